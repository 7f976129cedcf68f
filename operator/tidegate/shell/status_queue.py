"""Which status is written next: wishes by object, turns by namespace, pauses for what failed.

No method waits, and each leaves the queue consistent, so that nothing can change under a request that is under way:
a worker takes a wish out, works on what it was given, and says afterwards how it went.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tidegate.planning.model import Key
from tidegate.ports import Json

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds, the doubling pause of an object, and of its namespace, that the server gave no answer about."""

Name = tuple[str, Key]
K = TypeVar("K")


@dataclass(slots=True)
class _Rest:
    """How often in a row something failed, and until when it rests."""

    failures: int = 0
    until: float = 0.0


@dataclass(slots=True)
class StatusQueue:
    """Objects that should show another status. An object is under way once at a time."""

    jitter: Callable[[], float]
    """Share of a pause that is taken, from a half to one."""
    _wanted: dict[Name, Json] = field(default_factory=dict)
    _under_way: dict[Name, Json] = field(default_factory=dict)
    _lines: dict[str, deque[Name]] = field(default_factory=dict)
    """By namespace, what waits for its turn; names that nobody wants any more are passed over."""
    _turns: deque[str] = field(default_factory=deque)
    _queued: set[Name] = field(default_factory=set)
    _resting: list[tuple[float, Name]] = field(default_factory=list)
    _failed: dict[Name, _Rest] = field(default_factory=dict)
    _troubled: dict[str, _Rest] = field(default_factory=dict)

    def __len__(self) -> int:
        """Objects whose wish is not fulfilled."""
        return len(self._wanted)

    def under_way(self, name: Name) -> bool:
        """A wish of this object was taken and is not done."""
        return name in self._under_way

    def put(self, name: Name, status: Json) -> None:
        """Wish that an object shows this; replaces the wish before."""
        self._wanted[name] = status
        if name not in self._under_way and name not in self._failed:
            self._line_up(name)

    def drop(self, name: Name) -> None:
        """Nothing is wished of this object any more."""
        self._wanted.pop(name, None)
        self._failed.pop(name, None)

    def take(self, now: float, *, slots: int) -> tuple[Name, Json] | None:
        """The next wish, now under way; None when there is none, or none that may begin.

        Namespaces take turns. One that the last request gave no answer about tries one object at a time, and all such
        namespaces together hold half of the ``slots``.
        """
        while self._resting and self._resting[0][0] <= now:
            self._line_up(heapq.heappop(self._resting)[1])
        held = Counter(name[1].namespace for name in self._under_way)
        troubled = sum(count for namespace, count in held.items() if namespace in self._troubled)
        for _ in range(len(self._turns)):
            namespace = self._turns.popleft()
            rest = self._troubled.get(namespace)
            waits = rest is not None and (rest.until > now or held[namespace] > 0 or troubled >= max(1, slots // 2))
            name = None if waits else self._first(namespace)
            if self._lines.get(namespace):
                self._turns.append(namespace)
            else:
                self._lines.pop(namespace, None)
            if name is not None:
                self._under_way[name] = self._wanted[name]
                return name, self._wanted[name]
        return None

    def done(self, name: Name) -> None:
        """The wish that was taken is fulfilled, or refused for good; a newer one has its turn."""
        status = self._under_way.pop(name, None)
        self._failed.pop(name, None)
        self._troubled.pop(name[1].namespace, None)
        if self._wanted.get(name) is status:
            self._wanted.pop(name, None)
        elif name in self._wanted:
            self._line_up(name)

    def failed(self, name: Name, now: float) -> None:
        """There was no answer: the object and its namespace rest, each longer than the last time."""
        self._under_way.pop(name, None)
        self._rest(self._troubled, name[1].namespace, now)
        if name in self._wanted:
            rest = self._rest(self._failed, name, now)
            heapq.heappush(self._resting, (rest.until, name))

    def next_at(self) -> float | None:
        """When something that rests may begin; None when nothing rests."""
        ends = [rest.until for namespace, rest in self._troubled.items() if self._lines.get(namespace)]
        return min([*ends, *(at for at, _ in self._resting[:1])], default=None)

    # ---- beneath

    def _line_up(self, name: Name) -> None:
        if name in self._queued or name not in self._wanted:
            return
        self._queued.add(name)
        namespace = name[1].namespace
        if namespace not in self._lines:
            self._lines[namespace] = deque()
            self._turns.append(namespace)
        self._lines[namespace].append(name)

    def _first(self, namespace: str) -> Name | None:
        line = self._lines.get(namespace, deque())
        while line:
            name = line.popleft()
            self._queued.discard(name)
            if name in self._wanted and name not in self._under_way:
                return name
        return None

    def _rest(self, rests: dict[K, _Rest], key: K, now: float) -> _Rest:
        rest = rests.setdefault(key, _Rest())
        rest.failures += 1
        rest.until = now + self.jitter() * min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(rest.failures - 1, 10))
        return rest
