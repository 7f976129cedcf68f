"""What measured demand makes of a plan, for policies that ask for it (``Policy.live``).

An announcement says how much, a shape says when, and both are guesses until demand is seen. From the first reading that
lies wholly after a T-0 the rest of the curve is what is measured, times what the shape still does. Before that the step
at T-0 is what was announced, on top of what is measured, with a margin for how wrong announcements are.
"""

from __future__ import annotations

import math
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
    """Units that were planned for the time of that reading; what is there without any event at least."""
    share: float
    """Share of an announced rise that is prepared for, by how much of announced steps has come so far."""
    opening: bool
    """A T-0, or an announced step, lies between that time and the end of the lead time: what it brings comes on top of
    what is measured. Where there is none, the shape says by how much that grows."""
    before: float = math.inf
    """The largest need up to the first T-0 that was not seen yet; infinite where there is none."""
    announced: float = 0.0
    """Units that such T-0 bring at once, as announced."""
    prepared: float = 0.0
    """As many of them as are prepared for, by who announces each."""

    def of(self, units: int) -> int:
        """Units for a planned need that is due by now.

        What begins comes on top of what has come of all else, as far as that is still there: the end of an event that
        nobody came to takes nothing from the next one's opening.
        """
        if units <= 0:
            return units
        if self.before == math.inf:
            return _up(self._beside(units))
        after = self._beside(max(0.0, units - self.announced)) + self.prepared
        return _up(max(self._beside(min(units, self.before)), after))

    def _beside(self, units: float) -> float:
        """Units for a planned need without what begins."""
        more = units - self.planned
        if more > 0.0:
            each = 1.0
            if not self.opening and self.planned > 0.0:
                each = min(self.measured / self.planned, UNCONFIRMED_FACTOR)
            return self.measured + self.share * each * more
        return self.measured * units / self.planned if self.planned > 0.0 else self.measured


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
    beside = max([_units(target, name, demand) for name, demand in target.background], default=0.0)
    planned = float(np.maximum(line.units[low : high + 1], beside).mean())
    believed = (min(one.now, max(one.sure, UNCONFIRMED_FACTOR * planned)) for one in measure.demands)
    share = max(Steps().quantile(q) if one.step is None else one.step for one in known)
    begins = _begins(target, [one.signal for one in measure.demands], known, (begin, end), until)
    columns = {line.column(start) for start in begins.starts}
    # How the rest of its curve compares nobody knows before a T-0 was seen: what was measured of others does not tell.
    opening = any(begin < start <= until for start in starts) or _steps_up(line, low, line.column(until))
    before = math.inf
    if columns:
        before = float(np.maximum(line.units[low : max(min(columns), low + 1)], beside).max())
    return Correction(max(believed), planned, share, opening, before, begins.announced, begins.prepared)


@dataclass(frozen=True, slots=True)
class _Begins:
    """What begins at T-0 that were not seen yet, all at once."""

    starts: frozenset[float] = frozenset()
    announced: float = 0.0
    """In units."""
    prepared: float = 0.0


def _begins(
    target: TargetSpec, signals: Sequence[str], readings: Sequence[Reading], read: tuple[float, float], until: float
) -> _Begins:
    """After the time of the reading, of the signal that brings most; nothing where not all of it is told. What begins
    within that time was seen for the rest of it.
    """
    since, span = read[0], max(read[1] - read[0], 1e-3)
    starts: set[float] = set()
    most = 0.0, 0.0
    for signal, one in zip(signals, readings, strict=True):
        if one.opens is None or one.opens_to < until:
            return _Begins()
        mine = [opens for opens in one.opens if since < opens.start <= until]
        starts |= {opens.start for opens in mine}
        unseen = [min((opens.start - since) / span, 1.0) for opens in mine]
        prepared = sum(share * opens.prepared for share, opens in zip(unseen, mine, strict=True))
        announced = sum(share * opens.announced for share, opens in zip(unseen, mine, strict=True))
        most = max(most, (_units(target, signal, prepared), _units(target, signal, announced)))
    return _Begins(frozenset(starts), most[1], most[0])


def _units(target: TargetSpec, signal: str, demand: float) -> float:
    """Units that a demand asks for, not rounded; 0 for a signal that the target carries none of."""
    capacity = dict(target.capacity).get(signal)
    return demand * (1.0 + target.headroom) / capacity if capacity else 0.0


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
