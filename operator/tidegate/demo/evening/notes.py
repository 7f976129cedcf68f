"""What the evening's demonstration says about how it was made and how it ended."""

from __future__ import annotations

from tidegate.demo.chart import clock as time_of_day
from tidegate.demo.evening import demand as evening
from tidegate.demo.evening.objects import (
    CREATION_RATE,
    FAIL_OVER_SECONDS,
    LIVE_QUANTILE_PERCENT,
    MOMENTS,
    QUANTILE_PERCENT,
    RELEASE_PERCENT_PER_MINUTE,
    resting,
)
from tidegate.demo.pace import speeds_in_words
from tidegate.demo.recording import Recording
from tidegate.demo.workloads import DOWN_PERCENT_PER_MINUTE
from tidegate.shell.clock import ScheduledClock
from tidegate.simulation.baselines import METRIC_NOTE
from tidegate.simulation.scenario import Scenario


def notes(scenario: Scenario, clock: ScheduledClock, recording: Recording, announced: float) -> list[str]:
    """How it was made and how it ended, for the report; the first three also end the terminal's output."""
    return [
        returned(scenario, recording),
        said(announced),
        RIVALS_NOTE,
        f"All but Tidegate were played at steps of one second with the same physics. {METRIC_NOTE}.",
        DEMAND_NOTE,
        _set(),
        _pods(scenario),
        speeds_in_words(clock),
        f"For levels, loans, status and events the operator sent {recording.write_requests} write requests.",
    ]


def returned(scenario: Scenario, recording: Recording) -> str:
    """Whether everything that was borrowed was given back, as the cluster shows it."""
    ended, until = time_of_day(evening.POLICY_ENDS), time_of_day(evening.LAST)
    if not is_returned(scenario, recording):
        kept = _kept(scenario, recording)
        return f"Not returned by {until}: levels of {', '.join(kept) or 'none'}; loans left: {len(recording.loans)}."
    return f"The policy was deleted at {ended}: by {until} all levels were their owners' again, and no loan was left."


def is_returned(scenario: Scenario, recording: Recording) -> bool:
    """Whether every level is its owner's again and no Loan is left."""
    return not _kept(scenario, recording) and not recording.loans


def _kept(scenario: Scenario, recording: Recording) -> list[str]:
    return [s.name for s in scenario.services if recording.floors[s.name] != resting(s)]


def said(announced: float) -> str:
    """How right the announcement was."""
    wrong = round(100.0 * (announced - 1.0), 1)
    height = "as high as it came" if not wrong else f"{abs(wrong):g} % too {'low' if wrong < 0 else 'high'}"
    return f"It was announced {height}, to Tidegate, the person and KEDA cron alike."


RIVALS_NOTE = (
    "The person sets minReplicas to the most that is announced for each hour, from a quarter of an hour before it; "
    "KEDA cron has the same timetable as a second metric, with the HPA's tolerance. Both stand on HPAs at 80 %, and "
    f"like 'quick' these come down without a window, by at most {DOWN_PERCENT_PER_MINUTE} % a minute. Stock behavior "
    "keeps pods for 300 s after each fall."
)

DEMAND_NOTE = (
    "Orders follow the published milestones of 2019: 10 bn CNY after 96 s, 50 bn after 12:49, 100 bn after 1:03:59, "
    "120.7 bn after 1:26:07 (of 268.444 bn and 1.292 bn delivery orders in the day), with a peak of 544,000 orders a "
    "second 26 s after midnight. What no one published is judgment: the level before midnight, the link's burst, and "
    "the factors of the other services. Sources stand in tidegate/demo/double11.py."
)


def _set() -> str:
    return (
        "Tidegate is the real operator process on an embedded cluster, and has each Deployment's replicas alone; ready "
        "pods were counted in that cluster at every change. Three LiveEvents announce the head room, its link and the "
        f"sale, the sale with {2 * MOMENTS} moments. The policy follows demand (live, {LIVE_QUANTILE_PERCENT} %), "
        f"covers {QUANTILE_PERCENT} % of how wrong announcements have been this evening, has no headroom and no hold, "
        f"and comes down by up to {RELEASE_PERCENT_PER_MINUTE} % a minute. {FAIL_OVER_SECONDS} s of each lead time are "
        "kept for a slow write."
    )


def _pods(scenario: Scenario) -> str:
    starts = ", ".join(f"{s.name} {s.start_seconds:g} s" for s in scenario.services)
    return (
        f"Pods: {CREATION_RATE:g} created a second, all workloads together (stock controllers: 20), then start times "
        f"of {starts}. The clairvoyant plan is bound by the start times alone, not by the creation rate."
    )
