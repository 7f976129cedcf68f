"""Since when signals are blind, for whoever leads next: a level that is kept blind is kept for ``blindMaxSeconds`` in
all, however many leaders that takes.

A blindness is put on record once it has lasted a while, and taken off with the first good reading. Who dies within the
seconds that this takes leaves one that is over; the next leader's first good reading ends it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from tidegate.planning.model import Key

SignalKey = tuple[Key, str]

LASTING = 60.0
"""Seconds of blindness from which on it is put on record: a missed answer or two is no reason to write. Judgment."""


@dataclass(slots=True)
class Blindness:
    """Of signals of policies."""

    version: int = 0
    """Rises with each change."""
    _since: dict[SignalKey, float] = field(default_factory=dict)

    def since(self, key: SignalKey) -> float | None:
        """Since when a signal has been blind for a while; None where it is not, or nobody knows."""
        return self._since.get(key)

    def told(self, key: SignalKey, since: float | None, now: float) -> None:
        """A signal was asked for, and is blind since then; None: it is good, or not asked for any more."""
        if since is None:
            if self._since.pop(key, None) is not None:
                self.version += 1
        elif key[0].namespace and now - since >= LASTING and self._since.get(key) != since:
            self._since[key] = since
            self.version += 1

    def keep(self, keys: Collection[SignalKey]) -> None:
        """Forget all others."""
        for gone in self._since.keys() - set(keys):
            self.told(gone, None, 0.0)

    def samples(self) -> Mapping[SignalKey, float]:
        """All that are blind."""
        return self._since

    def recall(self, former: Mapping[SignalKey, float]) -> None:
        """What is on record of former lives: no blindness began later than they saw."""
        for key, since in former.items():
            self._since[key] = min(since, self._since.get(key, since))
        self.version += 1
