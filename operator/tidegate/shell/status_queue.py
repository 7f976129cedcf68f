"""Which status is written next: what matters now before what can wait, turns by namespace, pauses for what failed.

No method waits, and each leaves the queue consistent, so that nothing can change under a request that is under way:
a worker takes a wish out, works on what it was given, and says afterwards how it went.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tidegate.pauses import Pauses
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
class _Lane:
    """Names in line by namespace, and whose turn it is."""

    lines: dict[str, deque[Name]] = field(default_factory=dict)
    """Names that nobody wants any more are passed over."""
    turns: deque[str] = field(default_factory=deque)
    queued: set[Name] = field(default_factory=set)

    def line_up(self, name: Name) -> None:
        """At the end of its namespace's line, unless it stands there."""
        if name in self.queued:
            return
        self.queued.add(name)
        namespace = name[1].namespace
        if namespace not in self.lines:
            self.lines[namespace] = deque()
            self.turns.append(namespace)
        self.lines[namespace].append(name)

    def next(self, may: Callable[[str], bool], wanted: Callable[[Name], bool]) -> Name | None:
        """The first wanted name of the next namespace that may begin one."""
        for _ in range(len(self.turns)):
            namespace = self.turns.popleft()
            name = self._first(namespace, wanted) if may(namespace) else None
            if self.lines.get(namespace):
                self.turns.append(namespace)
            else:
                self.lines.pop(namespace, None)
            if name is not None:
                return name
        return None

    def _first(self, namespace: str, wanted: Callable[[Name], bool]) -> Name | None:
        line = self.lines.get(namespace, deque())
        while line:
            name = line.popleft()
            self.queued.discard(name)
            if wanted(name):
                return name
        return None


@dataclass(slots=True)
class StatusQueue:
    """Objects that should show another status. An object is under way once at a time."""

    pauses: Pauses = field(default_factory=lambda: Pauses(first=FIRST_PAUSE, longest=LONGEST_PAUSE, least=0.5))
    """Of an object, and of its namespace, that the server gave no answer about."""
    _wanted: dict[Name, Json] = field(default_factory=dict)
    _under_way: dict[Name, Json] = field(default_factory=dict)
    _urgent: set[Name] = field(default_factory=set)
    _lanes: tuple[_Lane, _Lane] = field(default_factory=lambda: (_Lane(), _Lane()))
    """What matters now, and what can wait."""
    _taken: int = 0
    _resting: list[tuple[float, Name]] = field(default_factory=list)
    _asleep: set[Name] = field(default_factory=set)
    """Those that rest."""
    _failed: dict[Name, _Rest] = field(default_factory=dict)
    _troubled: dict[str, _Rest] = field(default_factory=dict)

    def __len__(self) -> int:
        """Objects whose wish is not fulfilled."""
        return len(self._wanted)

    def under_way(self, name: Name) -> bool:
        """A wish of this object was taken and is not done."""
        return name in self._under_way

    def put(self, name: Name, status: Json, *, urgent: bool = False) -> None:
        """Wish that an object shows this; replaces the wish before. What is urgent goes first, but for every fourth."""
        self._wanted[name] = status
        if urgent:
            self._urgent.add(name)
        else:
            self._urgent.discard(name)
        if name not in self._under_way and name not in self._failed:
            self._line_up(name)

    def drop(self, name: Name) -> None:
        """Nothing is wished of this object any more."""
        self._wanted.pop(name, None)
        self._failed.pop(name, None)
        self._asleep.discard(name)
        self._urgent.discard(name)

    def take(self, now: float, *, slots: int) -> tuple[Name, Json] | None:
        """The next wish, now under way; None when there is none, or none that may begin.

        What is urgent goes first, but every fourth is one that can wait: nothing waits for ever. Namespaces take turns.
        One that the last request gave no answer about tries one object at a time, and all such namespaces together hold
        half of the ``slots``.
        """
        while self._resting and self._resting[0][0] <= now:
            rested = heapq.heappop(self._resting)[1]
            self._asleep.discard(rested)
            self._line_up(rested)
        held = Counter(name[1].namespace for name in self._under_way)
        troubled = sum(count for namespace, count in held.items() if namespace in self._troubled)

        def may(namespace: str) -> bool:
            rest = self._troubled.get(namespace)
            return rest is None or not (rest.until > now or held[namespace] > 0 or troubled >= max(1, slots // 2))

        def wanted(name: Name) -> bool:
            return name in self._wanted and name not in self._under_way and name not in self._asleep

        lanes = self._lanes if self._taken % 4 < 3 else self._lanes[::-1]
        name = lanes[0].next(may, wanted) or lanes[1].next(may, wanted)
        if name is None:
            return None
        self._taken += 1
        self._under_way[name] = self._wanted[name]
        return name, self._wanted[name]

    def done(self, name: Name) -> None:
        """The wish that was taken is fulfilled, or refused for good; a newer one has its turn."""
        status = self._under_way.pop(name, None)
        self._failed.pop(name, None)
        self._troubled.pop(name[1].namespace, None)
        if self._wanted.get(name) is status:
            self._wanted.pop(name, None)
            self._urgent.discard(name)
        elif name in self._wanted:
            self._line_up(name)

    def failed(self, name: Name, now: float) -> None:
        """There was no answer: the object and its namespace rest, each longer than the last time."""
        self._under_way.pop(name, None)
        self._rest(self._troubled, name[1].namespace, now)
        if name in self._wanted:
            rest = self._rest(self._failed, name, now)
            heapq.heappush(self._resting, (rest.until, name))
            self._asleep.add(name)

    def next_at(self) -> float | None:
        """When something that rests may begin; None when nothing rests."""
        lines = [lane.lines for lane in self._lanes]
        ends = [rest.until for ns, rest in self._troubled.items() if any(line.get(ns) for line in lines)]
        return min([*ends, *(at for at, _ in self._resting[:1])], default=None)

    # ---- beneath

    def _line_up(self, name: Name) -> None:
        if name in self._wanted:
            self._lanes[0 if name in self._urgent else 1].line_up(name)

    def _rest(self, rests: dict[K, _Rest], key: K, now: float) -> _Rest:
        rest = rests.setdefault(key, _Rest())
        rest.failures += 1
        rest.until = now + self.pauses.after(rest.failures)
        return rest
