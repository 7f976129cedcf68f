"""What a target's measured signals say of its level, and how far one reading alone is believed.

A reading adds at once. Until a second sample that shares nothing with the first confirms it, it adds no more than
``UNCONFIRMED_FACTOR`` times what the plan or the last confirmed reading asks for: one bad scrape must not fill a
cluster. It may keep a level that stands there already, whoever raised it. After a restart nothing is confirmed yet: the
first reading then raises by no more than the factor, and the level of the loan stays as far as the reading reaches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from tidegate.planning.capacity import units_for
from tidegate.planning.growth import within
from tidegate.planning.instants import elapsed
from tidegate.planning.model import Freshness, Observed, Policy, Reading, SignalSpec, TargetSpec

UNCONFIRMED_FACTOR = 2.0
"""Times the plan, or the last confirmed reading, that one reading alone may ask for. What an HPA does by default: it
doubles in 15 s. Judgment."""

DOUBTFUL_FACTOR = 1.25
"""Times the confirmed value from which a sample that nobody confirmed is remembered as doubtful: below it is noise.
Judgment."""

NOT_READ_YET = "NotReadYet"
"""The outcome of a signal that nobody has asked for yet."""

_NAMED = 3
"""Blind signals that a sentence names."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one signal's reading asks for, in units with the headroom."""

    signal: str
    units: int
    """For what is measured; where its growth is forecast, for the most that comes within the lead time."""
    confirmed: int
    """What at least two samples agree on, grown as much; 0 while there are no two."""
    now: int = 0
    """For what is measured, as it is."""
    sure: int = 0
    """For what at least two samples agree on, as it is."""
    alone: bool = False
    """Nobody remembers two samples that agree: this life is as young as that."""

    def allowed(self, plan: int, held: int) -> int:
        """Units it may ask for beside a plan; a level ``held`` that stands there already may stay."""
        return min(self.units, max(self.bound(plan), held))

    def bound(self, plan: int) -> int:
        """Most units that it may raise to beside a plan."""
        return max(self.confirmed, math.floor(UNCONFIRMED_FACTOR * max(plan, self.confirmed)))


@dataclass(frozen=True, slots=True)
class Blindness:
    """A signal without a good reading."""

    signal: str
    outcome: str
    note: str
    since: float
    confirmed: int | None
    """Units for what was confirmed before; None when nothing was, or nobody remembers."""
    doubted: int = 0
    """Units for a sample that was never confirmed; 0: there is none."""
    doubted_at: float = math.inf

    def __str__(self) -> str:
        return f"{self.signal}: {self.outcome}{f' ({self.note})' if self.note else ''}"


@dataclass(frozen=True, slots=True)
class Measure:
    """The readings of all measured signals of a target."""

    demands: tuple[Demand, ...] = ()
    blind: tuple[Blindness, ...] = ()

    @property
    def units(self) -> int | None:
        """The largest demand as read; None when nothing could be read."""
        return max((one.units for one in self.demands), default=None)

    @property
    def blind_since(self) -> float | None:
        """Since when the first of the blind signals is blind; None when none is."""
        return min((one.since for one in self.blind), default=None)

    @property
    def blindness(self) -> str:
        """Which signals are blind, with what became of asking for each."""
        more = len(self.blind) - _NAMED
        return "; ".join(map(str, self.blind[:_NAMED])) + (f"; and {more} more" if more > 0 else "")


def measured(
    policy: Policy, target: TargetSpec, readings: Sequence[Reading | None], *, now: float, lead: float | None = None
) -> Measure:
    """What the readings of a target's measured signals, in the policy's order, ask for.

    ``lead``: seconds within which growth counts; None: what is measured counts as it is.
    """
    carried = dict(target.capacity)
    demands: list[Demand] = []
    blind: list[Blindness] = []
    for spec, reading in zip(measured_signals(policy, target), readings, strict=True):

        def units(value: float, capacity: float = carried[spec.name]) -> int:
            return units_for(value, capacity=capacity, headroom=target.headroom)

        outcome, note, since = _judged(spec, reading, now)
        if reading is not None and outcome in (Freshness.FRESH, Freshness.PARTIAL) and _is_quantity(reading.value):
            confirmed = reading.confirmed if _is_quantity(reading.confirmed) else 0.0
            most = reading.value if lead is None else _grown(reading.value, reading.ahead, lead)
            sure = most if confirmed >= reading.value else most * confirmed / reading.value
            alone = reading.confirmed is None
            demands.append(Demand(spec.name, units(most), units(sure), units(reading.value), units(confirmed), alone))
        if outcome is not Freshness.FRESH:
            blind.append(
                _blindness(spec, reading, NOT_READ_YET if outcome is None else outcome.value, note, since, units)
            )
    return Measure(tuple(demands), tuple(blind))


def measured_signals(policy: Policy, target: TargetSpec) -> list[SignalSpec]:
    """The signals of a target that are measured, in the policy's order."""
    carried = {signal for signal, _ in target.capacity}
    return [spec for spec in policy.signals if spec.query and spec.name in carried]


def _grown(value: float, ahead: Sequence[tuple[float, float]], lead: float) -> float:
    """The most that comes within a lead time; what is measured where nobody can tell."""
    most = within(ahead, lead)
    return value if most is None or not math.isfinite(most) else max(most, 0.0)


def _is_quantity(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value) and value >= 0.0


def _judged(spec: SignalSpec, reading: Reading | None, now: float) -> tuple[Freshness | None, str, float]:
    """(what became of a signal, why, since when it is blind); the outcome is None when it was not asked for yet."""
    if reading is None:
        return None, "", now
    since = reading.since if reading.blind_since is None else reading.blind_since
    if reading.freshness not in (Freshness.FRESH, Freshness.PARTIAL):
        return reading.freshness, reading.note, since
    if not _is_quantity(reading.value):
        return Freshness.NEGATIVE if (reading.value or 0.0) < 0.0 else Freshness.NAN, reading.note, since
    if elapsed(now, reading.since, wait=spec.stale_after) > spec.stale_after:
        return Freshness.STALE, f"older than {spec.stale_after:g} s", since
    return reading.freshness, reading.note, since


def _blindness(
    spec: SignalSpec, reading: Reading | None, outcome: str, note: str, since: float, units: Callable[[float], int]
) -> Blindness:
    confirmed = reading.confirmed if reading is not None else None
    known = units(confirmed) if _is_quantity(confirmed) else None
    doubt = reading.doubt if reading is not None else None
    if doubt is None or not _is_quantity(doubt.value):
        return Blindness(spec.name, outcome, note, since, known)
    return Blindness(spec.name, outcome, note, since, known, units(doubt.value), doubt.at)


def sure_level(measure: Measure, observed: Observed, planned_at: Callable[[float], int]) -> int | None:
    """The level that a blind target keeps when what is above it rests on a sample that was never confirmed.

    None: it keeps all that it has. That is so unless the last move of the level came after a doubtful sample, and the
    level is within what this sample asked for. ``planned_at`` gives the units that the plan asked for at an instant.
    """
    loan, level = observed.loan, observed.level
    if loan is None or level is None:
        return None
    doubts = [one for one in measure.blind if loan.stepped_at >= one.doubted_at and level <= one.doubted]
    if not doubts or any(one.confirmed is None and not one.doubted for one in measure.blind):
        return None
    planned = max(planned_at(one.doubted_at) for one in doubts)
    confirmed = [*(one.confirmed or 0 for one in measure.blind), *(one.confirmed for one in measure.demands)]
    return max(planned, loan.original, *confirmed)
