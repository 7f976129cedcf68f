"""Writes without an answer: for a while each of them may still be carried out, also after its field was returned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tidegate.ports import Clock, FieldId, Loan

LATE_SECONDS = 300.0
"""For so long a write that got no answer may still come. An API server ends a request after 60 s (its flag
``--request-timeout``); the rest is for whatever holds the request up before it gets there. Judgment."""
LOOKED_EVERY = 60.0
"""Seconds between two looks at a returned field whose loan waits for such a write."""


@dataclass(slots=True)
class LateWrites:
    """By field and the value that they were to replace, when such writes were sent.

    A write is carried out only where the field holds what it was to replace. One that was to replace the owner's value
    is carried out after a return, too; any other one is not.
    """

    clock: Clock
    _sent: dict[tuple[FieldId, int], float] = field(default_factory=dict)
    _looked: dict[FieldId, float] = field(default_factory=dict)
    """When a returned field was last looked at."""

    def sent(self, one: FieldId, replacing: int) -> None:
        """A write of a field got no answer."""
        self._sent[one, replacing] = self.clock.now()

    def recall(self, loans: Iterable[Loan]) -> None:
        """Loans of a former life, which may have ended while it wrote the first level of one of them."""
        oldest = self.clock.now() - LATE_SECONDS
        self._sent = {key: at for key, at in self._sent.items() if at > oldest}
        for loan in loans:
            if loan.verified in (None, loan.original) and loan.pending != loan.original:
                key = loan.place.id, loan.original
                self._sent[key] = max(self._sent.get(key, loan.stepped_at), loan.stepped_at)

    def waits(self, one: FieldId, value: int) -> bool:
        """Whether the loan of a field that was just seen returned, to this value, has to stay for now."""
        self._looked[one] = self.clock.now()
        return self.until(one, value) is not None

    def rests(self, one: FieldId, value: int) -> bool:
        """Whether a field that was returned to this value was looked at just now, and a write of it may still come."""
        since = self.clock.now() - self._looked.get(one, -LOOKED_EVERY)
        return 0.0 <= since < LOOKED_EVERY and self.until(one, value) is not None

    def until(self, one: FieldId, value: int) -> float | None:
        """Until when a write that was to replace this value may still come, epoch seconds; None when there is none."""
        now = self.clock.now()
        at = self._sent.get((one, value))
        if at is None:
            return None
        at = min(at, now)  # a clock that was set back makes nobody wait longer
        if now - at < LATE_SECONDS:
            self._sent[one, value] = at
            return at + LATE_SECONDS
        del self._sent[one, value]
        self._looked.pop(one, None)
        return None
