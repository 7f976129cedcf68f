"""How occurrences went, and how old what is shown of them is: what a verdict alone does not say.

Both are shown in the event's own status and taken from there after a restart, so that nothing is lost with the process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from zlib import crc32

from tidegate.api.walltime import recorded, to_rfc3339
from tidegate.planning.decision import Outcome, Verdict
from tidegate.planning.model import Key
from tidegate.ports import Json

LOOKED_EVERY = 30.0
"""Seconds between two instants of the last look that are shown of an event."""
CLOSE = 900.0
"""Seconds before T-0 from which the instant of the last look is shown, to the occurrence's end."""

AT_ONCE = 5.0
"""Seconds after T-0 within which a bad verdict that is taken back was no word on the occurrence: verdicts tick."""

_BAD = {Outcome.LATE.value: 1, Outcome.BLOCKED.value: 2}
"""Outcomes that an occurrence keeps once they were told of it while it was on, the worse one of two."""

_SAID = ("start", "outcome", "message")
"""What each ``lastOccurrence`` has; one without is somebody else's, and nothing seen."""


@dataclass(slots=True)
class Went:
    """Of each event since when its occurrence has been ready, and how the last one went."""

    _ready: dict[Key, tuple[float, float]] = field(default_factory=dict)
    """(T-0 of the occurrence, since when all of it is ready)."""
    _last: dict[Key, Json] = field(default_factory=dict)
    """As shown in ``status.lastOccurrence``: of an occurrence that is on as soon as something bad was told of it."""
    _shown: dict[Key, Json] = field(default_factory=dict)
    """The verdicts that objects show."""

    def judged(self, key: Key, before: Verdict | None, verdict: Verdict, now: float) -> None:
        """A verdict is shown, after another one. Ready since is since when all was there that the occurrence needs to
        its end, and nothing came late after that: a level that rises in mid-show, in time, takes nothing back.
        """
        shown = self._shown.pop(key, None)
        if before is not None and before.starts_at != verdict.starts_at:
            self.ended(key, before, now)
        elif before is not None:
            self._stood(key, _said(before), before.starts_at, now)
        elif shown is not None and shown["start"] == to_rfc3339(verdict.starts_at):
            self._stood(key, shown, verdict.starts_at, now)
        known = self._ready.get(key)
        if verdict.outcome in (Outcome.LATE, Outcome.BLOCKED):
            self._ready.pop(key, None)
        elif verdict.whole and (known is None or known[0] != verdict.starts_at):
            self._ready[key] = verdict.starts_at, now

    def ended(self, key: Key, verdict: Verdict, now: float) -> None:
        """An event has no verdict any more, or that on another occurrence: the worst that was told while it was on is
        how it went, unless it was taken back before it began.
        """
        starts_at, since = self._ready.pop(key, (None, 0.0))
        if verdict.starts_at <= now:
            said, known = _said(verdict), self._last.get(key)
            if known is None or known["start"] != said["start"] or _is_worse(said, known):
                known = said
            ready = {"readyTime": to_rfc3339(since)} if starts_at == verdict.starts_at else {}
            self._last[key] = {**known, **ready}

    def _stood(self, key: Key, said: Json, starts_at: float, now: float) -> None:
        """``said`` was told until now: while the occurrence was on, what is bad stays how it went."""
        if now - starts_at < AT_ONCE or said["outcome"] not in _BAD:
            return
        known = self._last.get(key)
        if known is None or known["start"] != said["start"] or _is_worse(said, known):
            self._last[key] = said

    def ready_since(self, key: Key, starts_at: float) -> float | None:
        """Since when all of an occurrence is ready; None while it is not."""
        known = self._ready.get(key)
        return known[1] if known is not None and known[0] == starts_at else None

    def shows(self, key: Key, starts_at: float) -> bool:
        """Whether an object shows a verdict on an occurrence, whoever gave it."""
        return key in self._shown and self._shown[key]["start"] == to_rfc3339(starts_at)

    def last(self, key: Key) -> Json | None:
        """How the last occurrence went; None when nobody saw one."""
        return self._last.get(key)

    def recall(self, key: Key, status: object) -> None:
        """An object shows this: what this process does not know itself is taken from there."""
        if not isinstance(status, Mapping):
            return
        last, coming = status.get("lastOccurrence"), status.get("nextOccurrence")
        if (
            key not in self._last
            and isinstance(last, Mapping)
            and all(isinstance(last.get(part), str) for part in _SAID)
        ):
            self._last[key] = dict(last)
        if (shown := _shown(status)) is not None:
            self._shown[key] = shown
        else:
            self._shown.pop(key, None)
        since, start = status.get("readyTime"), coming.get("start") if isinstance(coming, Mapping) else None
        if key not in self._ready and isinstance(since, str) and isinstance(start, str):
            try:
                self._ready[key] = recorded(start), recorded(since)
            except ValueError:
                return

    def forget(self, key: Key) -> None:
        """An event is gone."""
        self._ready.pop(key, None)
        self._last.pop(key, None)
        self._shown.pop(key, None)


def _said(verdict: Verdict) -> Json:
    """A verdict, as it is kept of an occurrence."""
    start = to_rfc3339(verdict.starts_at)
    return {"start": start, "outcome": verdict.outcome.value, "message": verdict.message[:500]}


def _is_worse(one: Json, other: Json) -> bool:
    return _BAD.get(one["outcome"], 0) > _BAD.get(other["outcome"], 0)


def _shown(status: Mapping[str, object]) -> Json | None:
    """The verdict that a status shows on its current or next occurrence; None when it shows none."""
    outcome, verdict, coming = status.get("outcome"), status.get("verdict"), status.get("nextOccurrence")
    start = coming.get("start") if isinstance(coming, Mapping) else None
    if not (isinstance(outcome, str) and isinstance(verdict, str) and isinstance(start, str)):
        return None
    if not verdict.startswith(f"{outcome}: "):  # how an earlier one went
        return None
    return {"start": start, "outcome": outcome, "message": verdict.removeprefix(f"{outcome}: ")[:500]}


def looks(verdicts: Mapping[Key, Verdict], now: float, *, most: int) -> dict[Key, float]:
    """The instant of the last look to show of each event that runs or begins soon: no more often than every
    ``LOOKED_EVERY`` seconds, and not of all events at once. When there are more than ``most`` of them, each namespace
    has as many as any other, as far as it has them; of the rest the Lease and the policies tell.
    """
    close = [key for key, verdict in verdicts.items() if verdict.starts_at - CLOSE <= now]
    if len(close) > most:
        turns, taken = Counter[str](), list[tuple[int, Key]]()
        for key in sorted(close):
            taken.append((turns[key.namespace], key))
            turns[key.namespace] += 1
        close = [key for _, key in sorted(taken)[:most]]
    return {key: now - (now - crc32(str(key).encode()) % LOOKED_EVERY) % LOOKED_EVERY for key in close}
