"""How fast the evening passes, and what the demonstration's notes say about how it was made."""

from __future__ import annotations

import math

from tidegate.cli.demo_chart import clock as time_of_day
from tidegate.cli.demo_stage import Recording
from tidegate.control.clock import ScheduledClock
from tidegate.simulation import double11 as evening
from tidegate.simulation.baselines import METRIC_NOTE, run_autoscaler
from tidegate.simulation.double11_cluster import BENEATH, DOWN_PERCENT_PER_MINUTE
from tidegate.simulation.double11_objects import (
    CREATION_RATE,
    HEADROOM_PERCENT,
    HOLD_SECONDS,
    HPA_BENEATH_PERCENT,
    MOMENTS_ORDERS,
    MOMENTS_PAYMENTS,
    RELEASE_PERCENT_PER_MINUTE,
)
from tidegate.simulation.scenario import Scenario
from tidegate.simulation.score import score

SPEEDS: tuple[tuple[float, float], ...] = (
    (evening.FIRST, 150.0),
    (evening.ROOM_OPENS - 90, 50.0),
    (evening.ROOM_OPENS + 60, 500.0),
    (evening.LINK - 120, 25.0),
    (evening.LINK + 90, 150.0),
    (evening.LINK + 600, 600.0),
    (evening.MIDNIGHT - 150, 25.0),
    (evening.MIDNIGHT + 100, 50.0),
    (evening.MIDNIGHT + 360, 120.0),
    (evening.MIDNIGHT + 1500, 600.0),
    (evening.MIDNIGHT + 5100, 250.0),
    (evening.END, 400.0),
)
"""(from when, simulated seconds per real second): slow where seconds count. The operator's own work takes real time, so
a write that takes 0.2 s comes 5 simulated seconds late at 25 times the speed: the faster, the harder for it."""


def schedule(speed: float = 1.0) -> ScheduledClock:
    """The clock of the evening, not begun yet; ``speed`` multiplies all of ``SPEEDS``."""
    return ScheduledClock(math.inf, evening.FIRST, tuple((at, fast * speed) for at, fast in SPEEDS))


def length(clock: ScheduledClock, last: float = evening.LAST) -> float:
    """Real seconds until the last instant."""
    trial = ScheduledClock(0.0, clock.sim_start, clock.segments)
    return trial.real_for(last)


def speeds_in_words(clock: ScheduledClock) -> str:
    """The announced speeds."""
    parts = [f"{fast:g}× from {time_of_day(at, seconds=True)}" for at, fast in clock.segments]
    return "Simulated time runs faster than real time: " + ", ".join(parts) + ". The Lease stays on the real clock."


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
    kept = [s.name for s in scenario.services if recording.floors[s.name] != s.minimum]
    if kept or recording.loans:
        return f"Not returned by {until}: floors of {', '.join(kept) or 'none'}; loans left: {len(recording.loans)}."
    return f"By {until} all floors were back at their owners' values, and no loan was left."


DEMAND_NOTE = (
    "Orders follow the published milestones of 2019: 10 bn CNY after 96 s, 50 bn after 12:49, 100 bn after 1:03:59, "
    "120.7 bn after 1:26:07 (of 268.444 bn and 1.292 bn delivery orders in the day), with a peak of 544,000 orders a "
    "second 26 s after midnight. What no one published is judgment: the level before midnight, the link's burst, and "
    "the factors of the other services. Sources stand in tidegate/simulation/double11.py."
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
        found.append(f"at {target:g} % loses {result.lost_percent:.2f} % at {result.cost_ratio:.2f}×")
    return (
        "Stock behavior keeps pods for 300 s after each fall, which is most of its cost. With the quick way down of "
        f"the HPAs beneath Tidegate an HPA alone {' and '.join(found)}."
    )
