"""Where a case comes from: a file, a folder of traces, a Prometheus, or the data that comes with the program."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tidegate.api.walltime import to_rfc3339
from tidegate.backtest.announcing import background_of, with_expectations
from tidegate.backtest.case import Case, Physics
from tidegate.backtest.happenings import Happening, perturbed
from tidegate.backtest.series import Grid, InputError, Series, on_grid, shift_of

MOST_STEPS = 10_000_000
"""Of a play: 4.7 years at 15 s, 80 MB for each of its curves. One row of a wrong century makes 200 million."""


@dataclass(frozen=True)
class Source:
    """Demand and events in the time and the unit of whoever measured them."""

    name: str
    series: Series
    happenings: tuple[Happening, ...] = ()
    notes: tuple[str, ...] = ()
    earlier: tuple[Source, ...] = ()
    """Editions of it that were over before, in order of time: who learns has learned from them."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a source, beside the physics."""

    step: float = 15.0
    capacity: float | None = None
    """What one unit carries; None: the largest demand is ``units_at_peak`` units."""
    units_at_peak: int = 200
    begin: float | None = None
    """The score counts from here on, in the source's own time."""
    background: float | None = None
    """Demand without any event, in the series' unit; None: the median outside events."""
    perturbation: str = "none"


def case_of(source: Source, question: Question, physics: Physics) -> Case:
    """The case of a source: shifted in time, in units, with what is announced."""
    _check_length(source, question.step)
    shift = shift_of(source.series)
    raw = on_grid(source.series.shifted(shift), question.step)
    if not (raw.demand > 0).any():
        raise InputError(f"{source.name}: no value is above 0; there is nothing to prepare for")
    capacity = question.capacity or float(np.nanmax(raw.demand)) / question.units_at_peak
    grid = replace(raw, demand=raw.demand / capacity)
    happens = tuple(_in_units(one.moved(shift), capacity) for one in source.happenings)
    begin = -math.inf if question.begin is None else question.begin + shift
    judged = grid.index(begin) if math.isfinite(begin) else 0
    if judged >= len(grid.demand):
        raise InputError(f"{source.name}: the score would begin after the last value; let it begin earlier")
    if not (grid.demand[judged:] > 0).any():
        raise InputError(
            f"{source.name}: from where the score begins no value is known and above 0, so that nothing would be"
            " scored; let it begin earlier"
        )
    background = (
        question.background / capacity
        if question.background is not None
        else background_of(grid, happens, judged or len(grid.demand))
    )
    expected = with_expectations(grid, happens, background)
    announced = told = perturbed(expected, question.perturbation, physics.seed)
    if math.isfinite(begin):
        announced = tuple(one for one in announced if one.end > begin)
    return Case(
        name=source.name,
        grid=grid,
        capacity=capacity,
        happenings=_inside(grid, expected),
        announced=_inside(grid, announced),
        told=_inside(grid, told),
        perturbation=question.perturbation,
        begin=begin,
        background=background,
        physics=physics,
        notes=(*source.notes, *_notes(source, shift, capacity, question)),
    )


def _check_length(source: Source, step: float) -> None:
    seconds = source.series.end - float(source.series.times[0])
    if seconds / step > MOST_STEPS:
        raise InputError(
            f"{source.name}: lasts {seconds / 86_400.0:,.0f} days, or {seconds / step:,.0f} steps of {step:g} s, and at"
            f" most {MOST_STEPS:,} are played; check the first and the last time, or take a longer --step"
        )


def _in_units(one: Happening, capacity: float) -> Happening:
    return one if one.expected is None else replace(one, expected=one.expected / capacity)


def _inside(grid: Grid, happenings: Sequence[Happening]) -> tuple[Happening, ...]:
    last = grid.first + grid.step * len(grid.demand)
    return tuple(one for one in happenings if one.end > grid.first and one.start < last)


def _notes(source: Source, shift: float, capacity: float, question: Question) -> Iterator[str]:
    if shift:
        yield f"The trace was moved by {shift / 86_400.0:+.0f} days; weekday and time of day are as they were."
    if question.capacity is None:
        yield (
            f"One unit carries {capacity:g}, so that the largest demand is {question.units_at_peak} units: an"
            " assumption, since no capacity was given."
        )
    missing = int(np.isnan(source.series.values).sum())
    if missing:
        yield f"{missing} values are missing; nothing is scored there, and no metric is shown."
    first, end = float(source.series.times[0]), source.series.end
    if source.happenings and not any(one.end > first and one.start < end for one in source.happenings):
        yield (
            f"None of the {len(source.happenings)} announced events lies in the time of the demand"
            f" ({to_rfc3339(first)} to {to_rfc3339(end)}): are their days and zones right?"
        )
    elif any(one.expected is None for one in source.happenings):
        yield (
            "Announcements are right unless said otherwise: each is the largest demand within its event, less the"
            " background, taken from the trace itself. Every contestant is told the same."
        )
