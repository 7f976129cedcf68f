"""Measures lead times as they happen: a level written at one instant, seen ready at another.

A start that something kept from being ready (an image that could not be pulled, a quota) tells how long that took to be
mended, and not how long a start takes. Nor does one across which the clock was stepped, or nobody looked.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from tidegate.control.doubts import FAR, Doubts, is_broken, usual
from tidegate.planning.evidence import SCHEDULING_GRACE
from tidegate.planning.model import Evidence, Key, Measured, TargetKey
from tidegate.planning.reasons import Reason

log = logging.getLogger("tidegate.stopwatch")

KEPT = 100
"""Measurements kept of a target: enough for a quantile of 0.99."""
KEPT_TOGETHER = 1600
"""Measurements kept of all targets of a policy: what was learned of it stays below 96 KiB."""

_HINDERED = frozenset(
    {
        Reason.IMAGE_PULL_FAILED,
        Reason.CONTAINERS_FAIL,
        Reason.PODS_UNSCHEDULABLE,
        Reason.QUOTA_EXCEEDED,
        Reason.PODS_REFUSED,
    }
)
"""Evidence of a start that is none. What is told of pods that are starting is no such, nor what a scaler says of
itself: a floor moves it all the same. A workload whose containers fail at each start keeps the policy's guess."""


@dataclass(slots=True)
class _Running:
    level: int
    units: int
    since: float
    looked: float
    """When it was looked at last."""
    spoiled: str = ""
    """Why it measures nothing; empty while it does."""


@dataclass(slots=True)
class Stopwatch:
    """One running measurement a target; a further step up restarts it, a step down ends it unmeasured."""

    measured: dict[TargetKey, deque[Measured]] = field(default_factory=dict)
    version: int = 0
    """Rises with every change of ``measured``."""
    speed: float = 1.0
    """See ``is_broken``."""
    _running: dict[TargetKey, _Running] = field(default_factory=dict)
    _guesses: Mapping[TargetKey, float] = field(default_factory=dict)
    _doubts: Doubts[Measured] = field(default_factory=Doubts)

    def written(self, key: TargetKey, *, level: int, there: int, now: float) -> None:
        """A level was written; ``there`` are the units that were ready or already started, by whomever. What somebody
        else had started before is ready sooner, and tells nothing of how long a start takes.
        """
        if level > there:
            self._running[key] = _Running(level, level - there, now, now)
        else:
            self._running.pop(key, None)

    def ended(self, key: TargetKey) -> None:
        """The level was lowered or returned: what was running measures nothing any more."""
        self._running.pop(key, None)

    def runs_for(self, keys: Iterable[TargetKey]) -> bool:
        """Whether a start is being measured of any of these."""
        return any(key in self._running for key in keys)

    def seen(
        self,
        key: TargetKey,
        *,
        ready: int | None,
        now: float,
        ordered: bool = False,
        evidence: Iterable[Evidence] = (),
    ) -> Measured | None:
        """So many units are ready now; gives the measurement that this completes, if it is believed. ``ordered``: they
        start one after the other; what was measured while they did otherwise is dropped. ``evidence``: why units are
        not ready, as far as it is to be seen.
        """
        running = self._running.get(key)
        if running is None or ready is None:
            return None
        if is_broken(now - running.looked, self.speed):
            running.spoiled = running.spoiled or f"{now - running.looked:.0f} s passed between two looks"
        running.looked = now
        if ready < running.level:
            running.spoiled = running.spoiled or _hindered(evidence, now)
            return None
        del self._running[key]
        done = Measured(running.units, round(max(0.0, now - running.since), 1), ordered=ordered)
        alike = [one for one in self.measured.get(key, ()) if one.ordered in (None, ordered)]
        if running.spoiled:
            log.info("%s/%s: %.0f s to be ready teach nothing: %s", *key, done.seconds, running.spoiled)
            return None
        if not (taken := self._doubts.taken(key, done, far=self._is_far(key, done, alike), now=now)):
            log.info("%s/%s: %.0f s to be ready are far from all that is usual: not believed yet", *key, done.seconds)
            return None
        self.measured[key] = deque((*alike, *taken), maxlen=KEPT)
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

    def know(self, guesses: Mapping[TargetKey, float]) -> None:
        """All targets that there are, with the seconds that a start takes by their policies' guess."""
        self._guesses = guesses
        self.forget(guesses.keys())

    def forget(self, keep: Set[TargetKey]) -> None:
        """Drop what belongs to targets that are gone."""
        self._doubts.keep(keep)
        gone = self.measured.keys() - keep
        self.version += bool(gone)
        for key in gone:
            del self.measured[key]
        for key in self._running.keys() - keep:
            del self._running[key]

    def _is_far(self, key: TargetKey, done: Measured, alike: Iterable[Measured]) -> bool:
        """Whether it took far longer than such starts do. Units that start one after the other take that time each;
        others stand in the queue of what is created, for a second each at the most.
        """
        times = done.units if done.ordered else 1
        measured = (one.seconds / (max(one.units, 1) if done.ordered else 1) for one in alike)
        each = usual(self._guesses.get(key, 0.0), measured)
        return done.seconds > FAR * each * times + done.units

    def _bound(self, policy: Key) -> None:
        """All targets of a policy keep the same number, the latest of each."""
        of = [one for key, one in self.measured.items() if key[0] == policy]
        most = min(KEPT, KEPT_TOGETHER // len(of))
        for one in of:
            while len(one) > most:
                one.popleft()


def _hindered(evidence: Iterable[Evidence], now: float) -> str:
    """What keeps units from being ready that is no part of a start; empty for nothing. Without a machine every pod is
    for a moment.
    """
    for one in evidence:
        young = one.reason is Reason.PODS_UNSCHEDULABLE and now - one.since < SCHEDULING_GRACE
        if one.reason in _HINDERED and not young:
            return one.message
    return ""
