"""Writes that the API server refused: when each is tried again, and what may be said of them.

A refusal is an answer: asked again at once, the server says the same. So the pauses are long while there is time, and
short when the level must be written soon. What was refused twice is told with the server's own sentence.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field

from tidegate.pauses import Pauses
from tidegate.planning.model import Evidence, Ref
from tidegate.planning.reasons import Reason
from tidegate.ports import FieldId

FAR = Pauses(first=30.0, longest=300.0)
"""Seconds between two tries of what was refused, while there is time. Judgment: at most six tries in ten minutes."""
NEAR = Pauses(first=5.0, longest=15.0)
"""The same when the level should be written by now: as of a server that gives no answer."""
SHARE = 0.25
"""Of what is left until the level must be written, no pause takes more."""
TOLD_FROM = 2
"""Refusals in a row from which one is told: the first may have been a change of rules that is under way."""
FORGET_AFTER = 600.0
"""Seconds after which one is forgotten that was not tried again."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One field whose last write was refused."""

    times: int
    at: float
    """When it was refused last, epoch seconds."""
    said: Evidence


@dataclass(slots=True)
class Refusals:
    """What was refused, by field. In memory: a new leader tries at once, and counts anew."""

    _of: dict[FieldId, Refused] = field(default_factory=dict)
    _ending: dict[str, float] = field(default_factory=dict)
    """Namespaces that are being deleted, by when that was last said."""

    def ends(self, namespace: str, now: float) -> None:
        """Something could not be made in a namespace because that is being deleted."""
        self._ending[namespace] = now

    def is_ending(self, namespace: str, now: float) -> bool:
        """Whether nothing new is to be tried in a namespace: the answer would be the same for each object of it."""
        return 0.0 <= now - self._ending.get(namespace, -math.inf) < FAR.longest

    def refused(self, one: FieldId, about: Ref, said: str, now: float) -> None:
        """A write was refused, in the server's own words. ``about``: the object that was to be written."""
        before = self._of.get(one)
        times, since = (before.times + 1, before.said.since) if before is not None else (1, now)
        self._of[one] = Refused(times, now, Evidence(Reason.WRITE_REFUSED, about, "", said, since, since))

    def well(self, one: FieldId) -> None:
        """A write was not refused: nothing is held against the field any more."""
        self._of.pop(one, None)

    def until(self, one: FieldId, now: float, *, must_by: float) -> float:
        """When it may be tried again; minus infinity when at once.

        ``must_by`` is when the level must be written: infinite for what nothing waits for, in the past for what is late
        already. A clock that was stepped back ends the pause.
        """
        found = self._of.get(one)
        if found is None or found.at > now:
            return -math.inf
        return found.at + min(FAR.after(found.times), max(NEAR.after(found.times), SHARE * (must_by - found.at)))

    def told(self, one: FieldId) -> Evidence | None:
        """What may be said of a field: it was refused more than once."""
        found = self._of.get(one)
        return found.said if found is not None and found.times >= TOLD_FROM else None

    def suspects(self, one: FieldId) -> bool:
        """Whether its last write was refused."""
        return one in self._of

    def expire(self, now: float, wanted: Collection[FieldId]) -> None:
        """Forget what nobody has wanted to write for long."""
        longest = FAR.longest + FORGET_AFTER
        gone = [one for one, it in self._of.items() if one not in wanted and not 0.0 <= now - it.at < longest]
        for one in gone:
            del self._of[one]
        self._ending = {name: at for name, at in self._ending.items() if 0.0 <= now - at < FAR.longest}
