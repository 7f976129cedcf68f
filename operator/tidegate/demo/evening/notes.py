"""What the evening's demonstration says about how it was made and how it ended."""

from __future__ import annotations

from tidegate.demo.chart import clock as time_of_day
from tidegate.demo.evening import demand as evening
from tidegate.demo.evening.objects import (
    CREATION_RATE,
    HEADROOM_PERCENT,
    HOLD_SECONDS,
    MOMENTS_ORDERS,
    MOMENTS_PAYMENTS,
    RELEASE_PERCENT_PER_MINUTE,
)
from tidegate.demo.pace import speeds_in_words
from tidegate.demo.recording import Recording
from tidegate.demo.workloads import BENEATH, DOWN_PERCENT_PER_MINUTE, HPA_BENEATH_PERCENT
from tidegate.shell.clock import ScheduledClock
from tidegate.simulation.baselines import METRIC_NOTE, run_autoscaler
from tidegate.simulation.scenario import Scenario
from tidegate.simulation.score import score


def notes(scenario: Scenario, clock: ScheduledClock, recording: Recording) -> list[str]:
    """How it was made and how it ended, for the report; the first three also end the terminal's output."""
    return [
        returned(scenario, recording),
        f"The HPAs that are alone were played at steps of one second with the same physics. {METRIC_NOTE}.",
        _variants(scenario),
        DEMAND_NOTE,
        _announced(),
        _pods(scenario),
        speeds_in_words(clock),
        f"For floors, loans, status and events the operator sent {recording.write_requests} write requests.",
    ]


def returned(scenario: Scenario, recording: Recording) -> str:
    """Whether everything that was borrowed was given back, as the cluster shows it."""
    until = time_of_day(evening.LAST)
    if not is_returned(scenario, recording):
        kept = _kept(scenario, recording)
        return f"Not returned by {until}: floors of {', '.join(kept) or 'none'}; loans left: {len(recording.loans)}."
    return f"By {until} all floors were back at their owners' values, and no loan was left."


def is_returned(scenario: Scenario, recording: Recording) -> bool:
    """Whether every floor is its owner's again and no Loan is left."""
    return not _kept(scenario, recording) and not recording.loans


def _kept(scenario: Scenario, recording: Recording) -> list[str]:
    return [s.name for s in scenario.services if recording.floors[s.name] != s.minimum]


DEMAND_NOTE = (
    "Orders follow the published milestones of 2019: 10 bn CNY after 96 s, 50 bn after 12:49, 100 bn after 1:03:59, "
    "120.7 bn after 1:26:07 (of 268.444 bn and 1.292 bn delivery orders in the day), with a peak of 544,000 orders a "
    "second 26 s after midnight. What no one published is judgment: the level before midnight, the link's burst, and "
    "the factors of the other services. Sources stand in tidegate/demo/double11.py."
)


def _announced() -> str:
    return (
        "Tidegate is the real operator process on an embedded cluster; ready pods were counted in that cluster at "
        "every change. The announcement is exact: two LiveEvents, the sale with "
        f"{MOMENTS_ORDERS + MOMENTS_PAYMENTS} moments; headroom {HEADROOM_PERCENT} %, hold {HOLD_SECONDS} s, release "
        f"up to {RELEASE_PERCENT_PER_MINUTE} % a minute; beneath it HPAs at {HPA_BENEATH_PERCENT:g} % that come down "
        f"without a window, by at most {DOWN_PERCENT_PER_MINUTE} % a minute."
    )


def _pods(scenario: Scenario) -> str:
    starts = ", ".join(f"{s.name} {s.start_seconds:g} s" for s in scenario.services)
    return (
        f"Pods: {CREATION_RATE:g} created a second, all workloads together (stock controllers: 20), then start times "
        f"of {starts}. The clairvoyant plan is bound by the start times alone, not by the creation rate."
    )


def _variants(scenario: Scenario) -> str:
    """The same baselines with the quick way down that the HPAs beneath Tidegate have: cheaper, and no better."""
    found = []
    for target in (70.0, 80.0):
        run = run_autoscaler(scenario, target_percent=target, creation_rate=CREATION_RATE, name="", behavior=BENEATH)
        result = score(scenario, run)
        first = result.lost_in["first_96s"]
        found.append(
            f"at {target:g} % loses {result.lost_percent:.2f} % ({first:.2f} % of the first 96 s) at "
            f"{result.cost_ratio:.2f}×"
        )
    return (
        "Stock behavior keeps pods for 300 s after each fall, which is most of its cost. With the quick way down of "
        f"the HPAs beneath Tidegate an HPA alone {' and '.join(found)}."
    )
