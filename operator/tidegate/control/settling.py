"""What borrowed fields were seen to hold, and what became of writing them: new intent, levels that tools re-apply, who
insists, what is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tidegate.control.conflicts import Conflicts
from tidegate.control.drift import Drift, manager_name
from tidegate.control.ledger import Ledger
from tidegate.control.looker import Look
from tidegate.control.refusals import Refusals
from tidegate.planning.model import Observed, TargetKey, Trouble
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

    def with_answers(
        self, observed: dict[TargetKey, Observed], sights: Mapping[TargetKey, Look], refusals: Refusals, now: float
    ) -> dict[TargetKey, Observed]:
        """What was seen of targets, with what became of writing their levels: refused, or left to another manager."""
        for key, look in sights.items():
            if look.sight.place is None:
                continue
            one = look.sight.place.id
            refused, found = refusals.told(one), self.conflicts.of(one, now)
            if refused is not None:
                observed[key] = replace(observed[key], refused=refused)
            if found is not None:
                observed[key] = replace(
                    observed[key], trouble=Trouble.MANAGER_CONFLICT, note=found.note, about=found.about
                )
        return observed
