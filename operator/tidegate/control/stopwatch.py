"""Measures lead times as they happen: a level written at one instant, seen ready at another."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from tidegate.planning.model import Measured, TargetKey

KEPT = 200
"""Measurements kept per target."""


@dataclass(slots=True)
class _Running:
    level: int
    units: int
    since: float


@dataclass(slots=True)
class Stopwatch:
    """One running measurement a target; a further step up restarts it, a step down ends it unmeasured."""

    measured: dict[TargetKey, deque[Measured]] = field(default_factory=dict)
    _running: dict[TargetKey, _Running] = field(default_factory=dict)

    def written(self, key: TargetKey, *, level: int, ready: int, now: float) -> None:
        """A level was written; ``ready`` are the units there were."""
        if level > ready:
            self._running[key] = _Running(level, level - ready, now)
        else:
            self._running.pop(key, None)

    def ended(self, key: TargetKey) -> None:
        """The level was lowered or returned: what was running measures nothing any more."""
        self._running.pop(key, None)

    def runs_for(self, keys: Iterable[TargetKey]) -> bool:
        """Whether a start is being measured of any of these."""
        return any(key in self._running for key in keys)

    def seen(self, key: TargetKey, *, ready: int | None, now: float) -> Measured | None:
        """So many units are ready now; gives the measurement that this completes."""
        running = self._running.get(key)
        if running is None or ready is None or ready < running.level:
            return None
        del self._running[key]
        done = Measured(running.units, max(0.0, now - running.since))
        self.measured.setdefault(key, deque(maxlen=KEPT)).append(done)
        return done

    def samples(self) -> dict[TargetKey, tuple[Measured, ...]]:
        """All measurements, oldest first."""
        return {key: tuple(values) for key, values in self.measured.items()}

    def forget(self, keep: set[TargetKey]) -> None:
        """Drop what belongs to targets that are gone."""
        for book in (self.measured, self._running):
            for key in book.keys() - keep:
                del book[key]
