"""Levels of loans that ended lately: a late copy may bring one of them back, and then it is nobody's new intent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from tidegate.planning.model import Key
from tidegate.ports import Clock, Ended, FieldId, Loan, Place

FORMER_SECONDS = 900.0
"""For so long the levels of a loan that has ended are no new intent under the next one. Judgment: as old as a copy is
that a tool still applies."""
STEP = 120.0
"""Seconds between two looks at the clock beyond which it was set, not waited for: it is looked at several times a
minute."""


@dataclass(slots=True)
class Former:
    """By field, the last loan of each."""

    clock: Clock
    version: int = 0
    """Rises with every change."""
    _looked_at: float = field(init=False)
    _oldest: float = math.inf
    """No loan of these ended before."""
    _told: tuple[int, Mapping[Key, tuple[Ended, ...]]] = (-1, {})
    _ended: dict[FieldId, tuple[Key, Ended]] = field(default_factory=dict)
    _watched: dict[FieldId, Loan] = field(default_factory=dict)
    """Loans that others may be ending while a durable stop stands, as last seen."""

    def __post_init__(self) -> None:
        self._looked_at = self.clock.now()

    def ended(self, loan: Loan) -> None:
        """A loan has ended, by us or by somebody else. One whose level was never read back may have moved nothing."""
        self._expire()
        self._watched.pop(loan.place.id, None)
        if loan.verified is not None:
            levels = tuple(one for one in loan.levels if one != loan.original)
            at = self.clock.now()
            self._ended[loan.place.id] = loan.policy, Ended(loan.place.id, at, levels)
            self._oldest = min(self._oldest, at)
            self.version += 1

    def watch(self, loans: Iterable[Loan]) -> None:
        """These stand while others may end them; of those that were there before and are not, the end is noted."""
        there = {loan.place.id: loan for loan in loans}
        for one, loan in list(self._watched.items()):
            if one not in there:
                self.ended(loan)
        self._watched = there

    def read_anew(self, *, before: Iterable[Loan], there: Iterable[Loan]) -> None:
        """All loans were read: what we knew of, or watched, and is gone, was ended by somebody else."""
        known = {loan.place.id: loan for loan in (*self._watched.values(), *before)}
        for one in known.keys() - {loan.place.id for loan in there}:
            self.ended(known[one])
        self._watched = {}

    def levels(self, place: Place, original: int) -> tuple[int, ...]:
        """The levels of the field's former loan, but for the owner's value."""
        self._expire()
        found = self._ended.get(place.id)
        return () if found is None else tuple(one for one in found[1].levels if one != original)

    def by_borrower(self) -> Mapping[Key, tuple[Ended, ...]]:
        """By policy (or pool), the latest last."""
        self._expire()
        if self._told[0] != self.version:
            found: dict[Key, list[Ended]] = {}
            for policy, one in sorted(self._ended.values(), key=lambda what: what[1].at):
                found.setdefault(policy, []).append(one)
            self._told = self.version, {policy: tuple(ones) for policy, ones in found.items()}
        return self._told[1]

    def recall(self, policy: Key, ended: Iterable[Ended]) -> None:
        """Loans that a former life saw end."""
        self._expire()
        for one in ended:
            at = min(one.at, self.clock.now())
            self._ended.setdefault(one.field, (policy, replace(one, at=at)))
            self._oldest = min(self._oldest, at)
            self.version += 1

    def _expire(self) -> None:
        now = self.clock.now()
        step = now - self._looked_at
        self._looked_at = now
        if -1.0 <= step <= STEP and now - self._oldest <= FORMER_SECONDS:
            return
        if not -1.0 <= step <= STEP:  # the clock was set, or we stood still: that is no time in which copies grow old
            self._ended = {one: (of, replace(what, at=what.at + step)) for one, (of, what) in self._ended.items()}
            self.version += bool(self._ended)
        kept = {one: what for one, what in self._ended.items() if abs(now - what[1].at) <= FORMER_SECONDS}
        self.version += len(kept) < len(self._ended)
        self._ended = kept
        self._oldest = min((what[1].at for what in kept.values()), default=math.inf)
