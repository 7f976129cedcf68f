"""What the planner remembers between two plans: each target's need over time, and the queues that all targets share.

These are sums: each follows from the book and a policy alone and is made anew when one of them changes. A target whose
need cannot be worked out has a sentence in its place, adds nothing to the queues, and is tried again by each plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tidegate.planning.book import Book
from tidegate.planning.capacity import Units, need, versions
from tidegate.planning.isolation import attempt
from tidegate.planning.leadtime import ALONG, Lag, creation_lag, shared_lag, writing_lag
from tidegate.planning.model import Key, Mode, PlanSettings, Policy, TargetKey, TargetSpec
from tidegate.planning.queue import UNBOUND, Bounds, boosted
from tidegate.planning.roster import Roster
from tidegate.planning.timeline import stage_shift

SLOWEST_WRITES = 0.1
"""Levels a second that our own process is taken to write at least. Judgment: slower, it is not writing at all, and no
lead helps."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Need of one target, as of some versions of the sums."""

    policy: Policy
    target: TargetSpec
    versions: tuple[int, ...]
    units: Units | None
    """None: no event ever needs it."""
    shift: float
    """Seconds by which its stage goes before those in front of it."""
    bounds: Bounds = UNBOUND


@dataclass(slots=True)
class _Alike:
    """Whether what a policy's curves follow from is the same in another one: a policy that was deleted and made again
    asks for what it asked for before.
    """

    policy: Policy
    _other: Policy | None = None
    _alike: bool = False

    def to(self, other: Policy) -> bool:
        """The last answer is remembered: all curves of a policy were made from one."""
        if other is not self._other:
            mine = replace(self.policy, created=other.created, uid=other.uid, generation=other.generation)
            self._other, self._alike = other, other is self.policy or other == mine
        return self._alike


@dataclass(slots=True)
class Curves:
    """Needs of all targets on one book."""

    book: Book
    failed: dict[TargetKey, str] = field(default_factory=dict)
    """Targets whose need cannot be worked out, and why."""
    _curves: dict[TargetKey, Curve] = field(default_factory=dict)
    _rises: NDArray[np.int64] = field(init=False)
    """Units that all targets together add to the cell before, by column: those that may really be created."""
    _writes: NDArray[np.int64] = field(init=False)
    """Targets whose need rises from the cell before, by column."""
    _seen: dict[Key, tuple[int, Policy]] = field(default_factory=dict)
    """Revision of the events, and the policy itself, as of which a policy's curves are."""
    _roster: Roster | None = None
    _changes: int = 0
    """Counts the changes of the queues."""

    def __post_init__(self) -> None:
        self._rises = np.zeros(self.book.size, dtype=np.int64)
        self._writes = np.zeros(self.book.size, dtype=np.int64)

    def __getitem__(self, key: TargetKey) -> Curve:
        return self._curves[key]

    def get(self, key: TargetKey) -> Curve | None:
        """One target's need; None where it drives nothing, or its need cannot be worked out."""
        return self._curves.get(key)

    def sync(self, roster: Roster, bounds: Mapping[TargetKey, Bounds]) -> Iterator[None]:
        """Bring the curves up to the book, the policies and what bounds their targets from outside; yields after each
        target that had to be looked at.
        """
        if roster is not self._roster:
            for gone in self._curves.keys() - roster.driven.keys():
                self._put(gone, None)
            self.failed = {failed: why for failed, why in self.failed.items() if failed in roster.driven}
            self._seen = {key: seen for key, seen in self._seen.items() if key in roster.policies}
            for key, _ in roster.driven.keys() - self._curves.keys():  # nobody drove its workload, or another did
                self._seen.pop(key, None)
            self._roster = roster
        again = {failed for failed, _ in self.failed}
        for key, policy in roster.policies.items():
            revision, seen = self.book.revision.get(key, 0), self._seen.get(key)
            if seen is not None and seen[0] == revision and seen[1] is policy and key not in again:
                continue
            alike = _Alike(policy)
            for target in policy.targets:
                if (key, target.name) in roster.driven:
                    self._bring_up((key, target.name), alike, target)
                    yield
            self._seen[key] = revision, policy
        for changed in [key for key, curve in self._curves.items() if curve.bounds != bounds.get(key, UNBOUND)]:
            self._put(changed, replace(self._curves[changed], bounds=bounds.get(changed, UNBOUND)))

    def lag(self, now: float, settings: PlanSettings, writes_per_second: float) -> Lag:
        """The queues from the present to the horizon."""
        book = self.book
        here = min(max(book.index(now), 0), book.size - 1)
        end = min(book.index(now + settings.horizon) + 1, book.size)
        creation, writing = np.zeros(book.size), np.zeros(book.size)
        writes_per_second = max(SLOWEST_WRITES, writes_per_second)  # in this order also for what is no number
        creation[here:end] = creation_lag(
            self._rises[here:end], rate=settings.creation_rate, cell=book.cell, along=ALONG
        )
        writing[here:end] = writing_lag(self._writes[here:end], rate=writes_per_second, cell=book.cell)
        starts = np.arange(book.first, book.first + book.size, dtype=np.float64) * book.cell
        state = self._changes, settings.creation_rate, writes_per_second
        return replace(shared_lag(creation, writing, starts, here=here), state=state)

    def _bring_up(self, key: TargetKey, alike: _Alike, target: TargetSpec) -> None:
        policy = alike.policy
        known, now = self._curves.get(key), versions(self.book, policy, target)
        if known is not None and known.versions == now and alike.to(known.policy):
            return

        def put() -> None:
            self._put(key, Curve(policy, target, now, need(self.book, policy, target), stage_shift(policy, target)))

        failure = attempt(put)
        if failure is None:
            self.failed.pop(key, None)
        else:
            self._put(key, None)
            self.failed[key] = failure.message

    def _put(self, key: TargetKey, curve: Curve | None) -> None:
        """Keep a curve in the place of the one before, in the queues too: all of it or nothing."""
        before, after = self._rises_of(self._curves.get(key)), self._rises_of(curve)
        more, writes = after - before, (after > 0).astype(np.int64) - (before > 0)
        self._rises += more
        self._writes += writes
        self._changes += bool(more.any() or writes.any())
        if curve is None:
            self._curves.pop(key, None)
        else:
            self._curves[key] = curve

    def _rises_of(self, curve: Curve | None) -> NDArray[np.int64]:
        """Units that each cell adds to the one before: what acts, and no more than its bounds let it.

        By static facts alone: a policy that only observes must not make everybody early, whatever it says.
        """
        if curve is None or curve.units is None or curve.policy.mode is not Mode.ENFORCE:
            return np.zeros(self.book.size, dtype=np.int64)
        target, ceiling = curve.target, curve.bounds.ceiling
        most = max(target.maximum, target.minimum)
        most = most if ceiling is None else min(most, max(ceiling, 0))
        units = boosted(curve.units, curve.bounds.boosts, first=self.book.first, cell=self.book.cell)
        # Where nothing is needed nobody stands at the policy's min: a need rises from nothing, at the most.
        bounded = np.where(units > 0, np.clip(units, min(target.minimum, most), most), 0)
        return np.maximum(np.diff(bounded, prepend=bounded[:1]), 0)
