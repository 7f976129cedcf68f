"""What measured demand makes of a plan, for policies that ask for it (``Policy.live``).

An announcement says how much, a shape says when, and both are guesses until demand is seen. From the first reading that
lies wholly after a T-0 the rest of the curve is what is measured, times what the shape still does. Before that the step
at T-0 is what was announced, on top of what is measured, with a margin for how wrong announcements are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tidegate.planning.leadtime import Start
from tidegate.planning.model import Observed, PlanSettings, Policy, Reading, TargetSpec
from tidegate.planning.readings import UNCONFIRMED_FACTOR, Measure, measured
from tidegate.planning.steps import Steps
from tidegate.planning.timeline import Timeline

STEP = 1.5
"""From one cell to the next an announced need that grows by more makes a step. Judgment."""
SETTLED, AGE = 90.0, 30.0
"""A reading counts as of that many seconds ago to that many seconds ago at the latest, whatever it says of its own age:
a gauge may hold the mean of a minute that ended half a minute ago, and say neither. No reading is taken to have seen
what came later.
"""


@dataclass(frozen=True, slots=True)
class Correction:
    """How the announced need of one target is read, in the light of what is measured."""

    measured: float
    """Units for what is measured, as far as it is believed."""
    planned: float
    """Units that were planned for the time of that reading."""
    share: float
    """Share of an announced rise that is prepared for, by how much of announced steps has come so far."""
    opening: bool
    """A T-0, or an announced step, lies between that time and the end of the lead time: what it brings comes on top of
    what is measured. Where there is none, the shape says by how much that grows."""

    def of(self, units: int) -> int:
        """Units for a planned need that is due by now."""
        if units <= 0:
            return units
        more = units - self.planned
        if more > 0.0:
            each = 1.0
            if not self.opening and self.planned > 0.0:
                each = min(self.measured / self.planned, UNCONFIRMED_FACTOR)
            return _up(self.measured + self.share * each * more)
        return _up(self.measured * units / self.planned)


def correction(
    target: TargetSpec,
    line: Timeline,
    measure: Measure,
    readings: Sequence[Reading | None],
    starts: Sequence[float],
    *,
    now: float,
    until: float,
    q: float,
) -> Correction | None:
    """None where the plan stands as it was announced: a signal is blind, was read once only, or is not measured. What
    the target carries of one that nobody measures is known from nowhere else.

    ``starts`` are the T-0 that are near, ``until`` is when the needs end that are read, ``q`` the policy's quantile.
    """
    known = [one for one in readings if one is not None]
    if measure.blind or len(measure.demands) < len(target.capacity) or len(known) < len(target.capacity):
        return None
    if any(one.confirmed is None for one in known):
        return None
    begin = min(now - SETTLED, *(one.since - one.span for one in known))
    end = min(now - AGE, *(one.since for one in known))
    low, high = line.column(begin), line.column(max(begin, end - 1e-3))
    planned = float(line.units[low : high + 1].mean())
    believed = (min(one.now, max(one.sure, UNCONFIRMED_FACTOR * planned)) for one in measure.demands)
    share = max(Steps().quantile(q) if one.step is None else one.step for one in known)
    opening = any(begin < start <= until for start in starts) or _steps_up(line, low, line.column(until))
    return Correction(max(believed), planned, share, opening)


def _steps_up(line: Timeline, low: int, high: int) -> bool:
    """Whether the announced need makes a step up between two columns: a moment, which is seen no sooner than a T-0."""
    units = line.units[low : high + 1]
    return bool((units[1:] > STEP * np.maximum(units[:-1], 1)).any())


def following(
    policy: Policy,
    target: TargetSpec,
    observed: Observed,
    readings: Sequence[Reading | None],
    lead: float,
    *,
    machine_seconds: float,
    now: float,
) -> Measure:
    """What is measured, as far as the policy follows it: what may come within the lead time, which is longer where it
    does not fit on the machines that are up.
    """
    if policy.live is None:
        return measured(policy, target, readings, now=now)
    found = measured(policy, target, readings, now=now, lead=lead)
    rest = observed.loan.original if observed.loan is not None else observed.level or 0
    fits = rest if observed.spare_units is None else (observed.ready or 0) + observed.spare_units
    if machine_seconds <= 0.0 or (found.units or 0) <= fits:
        return found
    return measured(policy, target, readings, now=now, lead=lead + machine_seconds)


def live_lead(start: Start, settings: PlanSettings, shift: float) -> float:
    """Seconds from a small step of a floor that follows demand to its being ready and warm, its stage's lead included.

    A change of leader is left out: it is rare, and what it costs is a few seconds of growth.
    """
    return settings.reaction + 1.0 / settings.creation_rate + start.seconds + shift


def _up(units: float) -> int:
    return -int(-units // 1)
