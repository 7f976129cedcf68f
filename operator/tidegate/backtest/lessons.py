"""Earlier editions of a demand: what an operator has learned from that kept its record from one to the next.

An edition is studied as it would have been lived through: its readings in order, beside the events that were announced
for it. Of two editions the later one goes on from what was learned in the earlier one, as after a restart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tidegate.backtest.announcing import live_event
from tidegate.backtest.case import Case, Physics
from tidegate.backtest.sources import Question, Source, case_of
from tidegate.backtest.stand import QUERY
from tidegate.control.forecaster import Forecaster
from tidegate.planning.book import Book, book_of
from tidegate.planning.hosts import Hosts
from tidegate.planning.model import Freshness, Policy, Reading
from tidegate.ports import Grown

CELL = 60.0
"""Seconds of a cell of the book that an edition is studied by."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What was learned of the one signal, and from what: names of editions, the oldest first."""

    grown: Grown
    editions: tuple[str, ...]


def lesson_of(
    editions: Sequence[Source], question: Question, physics: Physics, policy: Policy, capacity: float
) -> Lesson | None:
    """What a policy has learned from earlier editions, which are given in order of time; None: there are none.

    ``capacity`` is what one unit carries in the edition that is judged: what is too little to matter is a share of it.
    Announcements of earlier editions are as wrong as those of the judged one.
    """
    asked = replace(question, capacity=capacity, begin=None)
    grown: Grown | None = None
    for edition in editions:
        grown = _studied(case_of(edition, asked, physics), policy, grown)
    return None if grown is None else Lesson(grown, tuple(one.name for one in editions))


def reach_of(policy: Policy) -> float:
    """Seconds of the longest horizon that is learned for a policy: two with the same one learn the same."""
    forecaster = Forecaster()
    forecaster.want({policy.key: policy}, {})
    return forecaster.known[policy.key, QUERY].reaches


def _studied(case: Case, policy: Policy, before: Grown | None) -> Grown:
    forecaster, key = Forecaster(), (policy.key, QUERY)
    forecaster.recall({} if before is None else {key: before})
    forecaster.want({policy.key: policy}, {})
    steps = len(case.grid.demand)
    forecaster.study(key, readings_of(case, 0, steps), history_of(case, 0, steps))
    hosts = forecaster.announced[key].hosts if key in forecaster.announced else Hosts()
    came = hosts.all
    return Grown(forecaster.known[key].packed(), came.events, came.mean, came.square, hosts=hosts.told())


def readings_of(case: Case, first: int, last: int) -> Iterator[tuple[float, Reading]]:
    """(when, what) was read between two steps."""
    grid, physics = case.grid, case.physics
    for step, metric in enumerate(case.seen[first:last].tolist(), start=first):
        if math.isfinite(metric):
            now, value = grid.first + step * grid.step, metric * case.capacity
            end = now - physics.metric_age
            yield now, Reading(Freshness.FRESH, value, end, stamp=end, span=physics.metric_window, confirmed=value)


def history_of(case: Case, first: int, last: int) -> Book:
    """What was announced between two steps: who slips or boasts today did so before."""
    told = case.happenings if case.told is None else case.told
    events = [live_event(one, number, case.capacity) for number, one in enumerate(told)]
    since, until = (case.grid.first + step * case.grid.step for step in (first, last))
    return book_of({one.key: one for one in events}, cell=CELL, since=since, until=until)
