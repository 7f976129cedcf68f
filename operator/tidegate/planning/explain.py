"""Explain: who asked for how much. Worked out when somebody asks, or when a step is taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidegate.planning.book import Book
from tidegate.planning.capacity import units_for
from tidegate.planning.model import Announcement, Key, Policy, TargetSpec
from tidegate.planning.shape import contributions


@dataclass(frozen=True, slots=True)
class Share:
    """What one event adds to one signal in a cell, and the units that alone would be."""

    event: Key
    signal: str
    demand: float
    units: int


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


def own_share(event: Announcement, policy: Policy, *, cell: float) -> tuple[tuple[str, int], ...]:
    """Units that an event alone would need of each target at its own peak, in the policy's order."""
    if not event.occurrences:
        return ()
    peaks: dict[str, float] = {}
    for part in contributions(event, event.occurrences[0], cell=cell):
        peaks[part.signal] = max(peaks.get(part.signal, 0.0), part.scale * float(part.unit[0].max()))
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
    low, high = book.index(since) + book.first, book.index(until) + book.first + 1
    asked: dict[str, float] = {}
    for entry in book.entries_of(policy):
        for part in entry.parts:
            begin, end = max(low, part.first), min(high, part.end)
            if begin < end:
                most = float(np.max(part.unit[0, begin - part.first : end - part.first])) * part.scale
                name = f"LiveEvent/{entry.announcement.key.name}"
                asked[name] = max(asked.get(name, 0.0), most)
    return tuple(name for name, most in sorted(asked.items(), key=lambda item: (-item[1], item[0])) if most > 0.0)
