"""Measures lead times as they happen: a level written at one instant, seen ready at another."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tidegate.planning.model import Key, Measured, TargetKey

KEPT = 100
"""Measurements kept of a target: enough for a quantile of 0.99."""
KEPT_TOGETHER = 1600
"""Measurements kept of all targets of a policy: what was learned of it stays below 96 KiB."""


@dataclass(slots=True)
class _Running:
    level: int
    units: int
    since: float


@dataclass(slots=True)
class Stopwatch:
    """One running measurement a target; a further step up restarts it, a step down ends it unmeasured."""

    measured: dict[TargetKey, deque[Measured]] = field(default_factory=dict)
    version: int = 0
    """Rises with every change of ``measured``."""
    _running: dict[TargetKey, _Running] = field(default_factory=dict)

    def written(self, key: TargetKey, *, level: int, there: int, now: float) -> None:
        """A level was written; ``there`` are the units that were ready or already started, by whomever. What somebody
        else had started before is ready sooner, and tells nothing of how long a start takes.
        """
        if level > there:
            self._running[key] = _Running(level, level - there, now)
        else:
            self._running.pop(key, None)

    def ended(self, key: TargetKey) -> None:
        """The level was lowered or returned: what was running measures nothing any more."""
        self._running.pop(key, None)

    def runs_for(self, keys: Iterable[TargetKey]) -> bool:
        """Whether a start is being measured of any of these."""
        return any(key in self._running for key in keys)

    def seen(self, key: TargetKey, *, ready: int | None, now: float, ordered: bool = False) -> Measured | None:
        """So many units are ready now; gives the measurement that this completes. ``ordered``: they start one after the
        other; what was measured while they did otherwise is dropped.
        """
        running = self._running.get(key)
        if running is None or ready is None or ready < running.level:
            return None
        del self._running[key]
        done = Measured(running.units, round(max(0.0, now - running.since), 1), ordered=ordered)
        alike = (one for one in self.measured.get(key, ()) if one.ordered in (None, ordered))
        self.measured[key] = deque((*alike, done), maxlen=KEPT)
        self._bound(key[0])
        self.version += 1
        return done

    def samples(self) -> dict[TargetKey, tuple[Measured, ...]]:
        """All measurements, oldest first."""
        return {key: tuple(values) for key, values in self.measured.items()}

    def recall(self, samples: Mapping[TargetKey, Iterable[Measured]]) -> None:
        """What is on record of former lives, in the place of what this one measured."""
        self.measured = {key: deque(values, maxlen=KEPT) for key, values in samples.items()}
        self.version += 1

    def forget(self, keep: set[TargetKey]) -> None:
        """Drop what belongs to targets that are gone."""
        gone = self.measured.keys() - keep
        self.version += bool(gone)
        for key in gone:
            del self.measured[key]
        for key in self._running.keys() - keep:
            del self._running[key]

    def _bound(self, policy: Key) -> None:
        """All targets of a policy keep the same number, the latest of each."""
        of = [one for key, one in self.measured.items() if key[0] == policy]
        most = min(KEPT, KEPT_TOGETHER // len(of))
        for one in of:
            while len(one) > most:
                one.popleft()
