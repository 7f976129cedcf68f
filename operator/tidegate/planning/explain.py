"""Explain: who asked for how much. Worked out when somebody asks, or when a step is taken."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegate.planning.book import Book
from tidegate.planning.capacity import units_for
from tidegate.planning.isolation import Failure, attempt
from tidegate.planning.model import Announcement, Key, LoanState, Policy, TargetSpec
from tidegate.planning.release import RELEASE_INTERVAL
from tidegate.planning.shape import contributions
from tidegate.planning.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Share:
    """What one event adds to one signal in a cell, and the units that alone would be."""

    event: Key
    signal: str
    demand: float
    units: int


class Keeping(NamedTuple):
    """The need that a level stands for."""

    at: float
    """Its instant: in the past while it is held, ahead while a lead time passes."""
    need: int
    asked: tuple[Share, ...]


def shares(book: Book, policy: Policy, target: TargetSpec, at: float) -> tuple[Share, ...]:
    """Everyone who asks for a target's signals in the cell of an instant, the largest first."""
    capacity = dict(target.capacity)
    cell = book.index(at) + book.first
    found = []
    for entry in book.entries_of(policy.key):
        for part in entry.parts:
            demand = part.value_at(cell)
            if part.signal in capacity and demand > 0.0:
                units = units_for(demand, capacity=capacity[part.signal], headroom=target.headroom)
                found.append(Share(entry.announcement.key, part.signal, demand, units))
    return tuple(sorted(found, key=lambda s: (-s.units, s.event, s.signal)))


def kept_by(
    book: Book,
    policy: Policy,
    target: TargetSpec,
    line: Timeline | None,
    now: float,
    *,
    level: int | None = None,
    loan: LoanState | None = None,
) -> Keeping | None:
    """The need that the level of now stands for: the largest that is held, present or due, where it lies, and who asks.

    Without one, of what is lent: the largest that falls due before it would be given back, for which it is kept. None:
    no announced need asks for the level.
    """
    if line is None:
        return None
    if (due := line.due_at(now) if level is None else line.due_from(now, level)) > 0:
        at = line.keeps(now, due)
        return Keeping(at, due, shares(book, policy, target, at))
    if loan is None:
        return None
    soon = max(line.due_at(now, ahead=line.longest_lead + RELEASE_INTERVAL), line.around(now, now, loan.until)[1])
    if soon <= 0:
        return None
    at = line.keeps(now, soon)
    return Keeping(at, soon, shares(book, policy, target, at))


def own_share(event: Announcement, policy: Policy, *, cell: float) -> tuple[tuple[str, int], ...]:
    """Units that an event alone would need of each target at its own peak, in the policy's order.

    Nothing of an event that cannot be planned: its verdict says why.
    """
    if not event.occurrences:
        return ()
    peaks: dict[str, float] = {}
    parts = attempt(lambda: contributions(event, event.occurrences[0], cell=cell))
    if isinstance(parts, Failure):
        return ()
    for part in parts:
        peaks[part.signal] = max(peaks.get(part.signal, 0.0), part.scale * part.most)
    found = []
    for target in policy.targets:
        units = [
            units_for(peaks[signal], capacity=capacity, headroom=target.headroom)
            for signal, capacity in target.capacity
            if signal in peaks
        ]
        if units:
            found.append((target.name, max(units)))
    return tuple(found)


def who(book: Book, policy: Key, since: float, until: float) -> tuple[str, ...]:
    """Names of the events of a policy with demand between two instants, the largest first: ``LiveEvent/name``."""
    return Askers().who(book, policy, since, until)


@dataclass(slots=True)
class Askers:
    """Who asks a policy for how much, and when; a policy's list is kept while its events stand."""

    _of: dict[Key, tuple[int, _Asked]] = field(default_factory=dict)

    def who(self, book: Book, policy: Key, since: float, until: float) -> tuple[str, ...]:
        """As ``who``."""
        asked = self._asked(book, policy)
        low, high = book.index(since) + book.first, book.index(until) + book.first + 1
        inside = np.flatnonzero((asked.first < high) & (asked.end > low))
        return tuple(dict.fromkeys([asked.names[at] for at in inside]))

    def since(self, book: Book, policy: Key, signals: Collection[str], at: float) -> float:
        """When the first of the demands for signals began that a policy's events have at an instant; the instant
        itself without one.
        """
        asked, cell = self._asked(book, policy), book.index(at) + book.first
        inside = np.flatnonzero((asked.first <= cell) & (asked.end > cell))
        begun = [int(asked.first[row]) for row in inside if asked.signals[row] in signals]
        return min(begun) * book.cell if begun else at

    def _asked(self, book: Book, policy: Key) -> _Asked:
        revision = book.revision.get(policy, 0)
        known = self._of.get(policy)
        if known is None or known[0] != revision:
            known = self._of[policy] = (revision, _asked(book, policy))
        return known[1]


class _Asked(NamedTuple):
    """The demands of a policy's events, the largest first."""

    names: list[str]
    signals: list[str]
    first: NDArray[np.int64]
    end: NDArray[np.int64]


def _asked(book: Book, policy: Key) -> _Asked:
    rows = [
        (-part.scale * part.most, entry.announcement.key.name, part.first, part.end, part.signal)
        for entry in map(book.entries.__getitem__, book.by_policy.get(policy, ()))
        for part in entry.parts
        if part.scale * part.most > 0.0
    ]
    rows.sort()
    return _Asked(
        [f"LiveEvent/{name}" for _, name, *_ in rows],
        [signal for *_, signal in rows],
        np.array([first for _, _, first, _, _ in rows], dtype=np.int64),
        np.array([end for _, _, _, end, _ in rows], dtype=np.int64),
    )
