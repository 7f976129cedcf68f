"""Fields that somebody else keeps writing: one memory for the levels of targets and for the work of pools.

A level that a tool re-applies over ours is asserted again a few times, then left alone and said.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from tidegate.planning.model import Ref
from tidegate.ports import FieldId

ASSERTIONS = 5
"""Times that a re-applied level is overruled within ``WINDOW``."""
WINDOW = 600.0
"""Seconds; a field that was left alone stays so for as long, unless its next step falls due before."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that is left alone for now."""

    note: str
    until: float
    about: Ref
    """The object that holds the field."""


@dataclass(slots=True)
class Conflicts:
    """Who overruled whom how often, and what is left alone. In memory: a new leader begins to count anew."""

    _asserted: dict[FieldId, deque[float]] = field(default_factory=dict)
    _left: dict[FieldId, Conflict] = field(default_factory=dict)

    def asserted(self, one: FieldId, now: float) -> None:
        """A re-applied level was overruled."""
        self._asserted.setdefault(one, deque(maxlen=2 * ASSERTIONS)).append(now)

    def may_assert(self, one: FieldId, now: float) -> bool:
        """Whether a re-applied level may be overruled once more."""
        return sum(now - WINDOW < at <= now for at in self._asserted.get(one, ())) < ASSERTIONS

    def give_way(self, one: FieldId, note: str, *, about: Ref, now: float, next_at: float | None = None) -> None:
        """Leave a field to whoever keeps writing it, until its next step is due."""
        until = now + WINDOW
        if next_at is not None and next_at > now:
            until = min(until, next_at)
        self._left[one] = Conflict(note, until, about)

    def of(self, one: FieldId, now: float) -> Conflict | None:
        """Why a field is left alone now; one whose time is over counts anew."""
        found = self._left.get(one)
        if found is not None and not now < found.until <= now + WINDOW:
            self.forget(one)
            return None
        return found

    def forget(self, one: FieldId) -> None:
        """Nothing is remembered of a field: its loan has ended, or its next step has come."""
        self._left.pop(one, None)
        self._asserted.pop(one, None)
