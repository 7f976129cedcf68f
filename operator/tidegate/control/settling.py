"""Take in what borrowed fields were seen to hold: new intent, levels that tools re-apply, and who insists."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from tidegate.control.conflicts import Conflicts
from tidegate.control.drift import Drift, manager_name
from tidegate.control.ledger import Ledger
from tidegate.ports import Held, Place

log = logging.getLogger("tidegate.loans")


@dataclass(frozen=True, slots=True)
class Settling:
    """One way for the levels of targets and for the work of pools."""

    ledger: Ledger
    conflicts: Conflicts

    def take_in(self, place: Place, held: Held, *, now: float, next_at: float | None = None) -> None:
        """Take in what a field holds, of current knowledge only.

        ``next_at`` is when the next step of the field is due: a field that is left alone is tried again then.
        """
        found, one = self.ledger.learn(place, held), place.id
        if found is Drift.NEW_INTENT:
            log.info("%s: %s set %d; that is the original now", place.ref, manager_name(held), held.value)
        if found is not Drift.REAPPLIED or self.conflicts.of(one, now) is not None:
            return
        if not self.conflicts.may_assert(one, now):
            note = f"{manager_name(held)} keeps setting {place.field} of {place.ref} back to {held.value}"
            log.warning("%s", note)
            self.conflicts.give_way(one, note, about=place.ref, now=now, next_at=next_at)
