"""Whether work that was lent was back by what it was promised: its Loans against the instants at which it ran again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

MOVED = 1.0
"""Seconds beyond which a promise counts as moved."""


@dataclass(frozen=True, slots=True)
class Back:
    """One unit (a Job, a replica) that ran again."""

    member: str
    promised: float
    at: float

    @property
    def late(self) -> bool:
        """Whether it was back later than promised."""
        return self.at > self.promised


@dataclass
class PromiseBook:
    """Told of every Loan as it is stored, and of every unit that runs again.

    A Loan forgets a promise when the work is started; here it stands until the work runs.
    """

    back: list[Back] = field(default_factory=list)
    moved_later: int = 0
    """Promises of units that were still out and were given a later time. None may be."""
    unpromised: list[tuple[str, float]] = field(default_factory=list)
    """(member, when) of units that were stopped without a promise."""
    _stored: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """What each member's Loan says, a time for each unit, in order."""
    _starting: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Promises of units that were started again and do not run yet."""

    def stored(self, member: str, promises: Iterable[float]) -> None:
        """A Loan of the member was written, with a promise for each unit that is out."""
        now, before = sorted(promises), self._stored[member]
        redeemed = max(0, len(before) - len(now))
        self._starting[member] = sorted([*self._starting[member], *before[:redeemed]])
        self.moved_later += sum(new > old + MOVED for old, new in zip(before[redeemed:], now, strict=False))
        self._stored[member] = now

    def stopped(self, member: str, at: float, out: int) -> None:
        """More units were stopped, and so many are out now. Their promises are stored by then."""
        missing = out - len(self._stored[member])
        self.unpromised += [(member, at)] * max(0, missing)

    def ran(self, member: str, at: float, units: int) -> None:
        """So many units run again."""
        owed = self._starting[member]
        self.back += [Back(member, promised, at) for promised in owed[:units]]
        del owed[:units]

    @property
    def still_out(self) -> Sequence[tuple[str, float]]:
        """(member, promised time) of every unit that does not run."""
        found = [(m, at) for book in (self._starting, self._stored) for m, times in book.items() for at in times]
        return sorted(found, key=lambda one: (one[1], one[0]))

    @property
    def given(self) -> int:
        """Units that were promised back."""
        return len(self.back) + len(self.still_out)

    def late(self, now: float) -> int:
        """Units that were back late, or are out beyond their time."""
        return sum(one.late for one in self.back) + sum(at < now for _, at in self.still_out)

    def kept(self, now: float) -> bool:
        """Whether something was promised, and all of it was kept."""
        return bool(self.given) and not self.late(now) and not self.moved_later and not self.unpromised
