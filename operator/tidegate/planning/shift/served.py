"""Where a need stands in line: worked out from what is stored and seen, so that no leader has to remember it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from tidegate.planning.shift.model import Need, PoolFacts, amount_at

TOLERANCE = 20.0
"""Seconds that a start may have moved, with the lead it is worked out from, and still be the same. Judgment: a beat of
the loop and a cell of the plan."""


class Rank(IntEnum):
    """The order of asks, first to last."""

    SERVED = 0
    """Work was told or stopped for it, or its target was let in."""
    PROMISED = 1
    """An earlier plan granted it."""
    AHEAD = 2
    """Its time has not come."""
    LATE = 3
    """It has begun and nobody served it: it takes what the others leave."""


class Standing:
    """Where the needs of a pool stand."""

    def __init__(self, facts: PoolFacts, promises: Iterable[str], now: float) -> None:
        self.facts, self.now = facts, now
        self.names: dict[tuple[str, bool], list[tuple[Rank, float]]] = {}
        for member in facts.members:
            for name in member.mark.needs if member.mark else ():
                self._note(name, Rank.SERVED)
        for name in promises:
            self._note(name, Rank.PROMISED)

    def of(self, need: Need, *, guaranteed: bool) -> tuple[Rank, float]:
        """(rank, since when it is granted) of one half of a need."""
        amount, asked = amount_at(need.steps, self.now), self.facts.use(need.lane).asked.get(need.owner)
        if asked is not None and not amount.nothing and amount.fits(asked):
            return Rank.SERVED, need.start
        fits = [
            (rank, since)
            for rank, since in self.names.get((need.owner, guaranteed), ())
            if need.start - TOLERANCE <= since < need.end
        ]
        if not fits:
            return (Rank.AHEAD if need.start > self.now - TOLERANCE else Rank.LATE), need.start
        rank, since = min(fits)
        return rank, need.start if since <= need.start + TOLERANCE or since <= self.now else since

    def _note(self, name: str, rank: Rank) -> None:
        owner, since, guaranteed = told(name)
        self.names.setdefault((owner, guaranteed), []).append((rank, since))


def name_of(owner: str, since: float, *, guaranteed: bool) -> str:
    """A grant as it is stored: who, since when, and ``+`` for the part beyond the guarantee."""
    return f"{owner}@{since:.0f}{'' if guaranteed else '+'}"


def told(name: str) -> tuple[str, float, bool]:
    """(owner, since, within the guarantee) of a stored name; a name that says no time stands for none."""
    owner, _, since = name.rpartition("@")
    try:
        return owner, float(since.removesuffix("+")), not since.endswith("+")
    except ValueError:
        return owner, float("-inf"), True
