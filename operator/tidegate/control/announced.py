"""What is announced of one signal, held against what is read: how much of announced steps comes, and from whom."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.planning.book import Book
from tidegate.planning.following import SETTLED
from tidegate.planning.hosts import MOST_OPENINGS, Hosts, Opening, running
from tidegate.planning.model import Key, Opens
from tidegate.planning.phases import AFTER, BEFORE
from tidegate.planning.trend import NOTHING_SAID, SOON

TOLD, STEPPED = 3.0, 0.1
"""An announced step is compared with what came when it is larger than so many grains (a unit), and than this share of
what was measured before. Judgment."""
BESIDE = 120.0
"""Seconds beside a T-0 within which readings are compared. Judgment: demand moves by itself, too."""
LOOKED_UP = 60.0
"""Seconds for which the events that are near stay as they were looked up."""
REMEMBERED = 60
"""Readings that are kept to compare: 15 minutes."""
UNSEEN = 900.0
"""Seconds after a T-0 for which it may not have been seen yet. Judgment."""
RISING = 600.0
"""Seconds before a T-0 from which its ramp may be what is ahead. Judgment: a show begins to rise so long before."""
LEAST_STEP = 0.1
"""Share of its height below which an opening makes no step: it ramps. Judgment."""

SignalKey = tuple[Key, str]


class Window(NamedTuple):
    """A reading: the mean of a stretch of time, with what is announced for that."""

    begin: float
    end: float
    value: float
    settled: float
    """What a T-0 brought by then was surely seen."""
    said: float


class Told(NamedTuple):
    """What of a reading is the announcements' part."""

    starts: Sequence[float]
    """T-0 that are near."""
    moved: float
    """By how much the logarithm was announced to move since the last reading, as far as announcements hold."""
    said: tuple[float, float]
    """What is announced for it, and the most that is for the time after it, on top of what is there without any event.
    """


@dataclass(frozen=True, slots=True)
class _Near:
    """The events that are near, looked up once a minute: there may be ten thousand."""

    book: Book | None = None
    revision: int = -1
    at: float = -math.inf
    openings: tuple[Opening, ...] = ()
    starts: tuple[float, ...] = ()
    jumps: tuple[tuple[Opening, float], ...] | None = ()
    """What each brings at once, of those that lie ahead or have not been seen yet; None: they are too many."""


@dataclass(slots=True)
class Announced:
    """Of one signal."""

    hosts: Hosts = field(default_factory=Hosts)
    _windows: deque[Window] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """The last readings."""
    _near: _Near = _Near()

    def told(self, book: Book | None, key: SignalKey, seen: Window, now: float, grain: float, beside: float) -> Told:
        """``grain`` is what is too little to matter, ``beside`` what is there without any event."""
        near = self._look(book, key, now)
        return Told(near.starts, self._moved(book, key, seen, grain), _said(book, key, seen, beside, now))

    def came(self, book: Book | None, key: SignalKey, seen: Window, grain: float) -> None:
        """Hold the first reading that lies wholly after a T-0 against the last one before it, where both are near it:
        after a gap nobody knows what of the difference the T-0 brought.
        """
        opened = [one for one in self._near.openings if one.start <= seen.settled]
        if book is not None and opened and self._windows and self._windows[-1].settled < opened[-1].start:
            at = opened[-1].start
            before = next((one for one in reversed(self._windows) if one.begin < at and one.end <= at), None)
            if before is not None and at - BESIDE <= before.end and seen.begin <= at + SETTLED + BESIDE:
                self._compare(book, key, before, seen, [one for one in opened if one.start >= before.end], grain)
        self._windows.append(seen)

    def _compare(
        self, book: Book, key: SignalKey, before: Window, seen: Window, brought: Sequence[Opening], grain: float
    ) -> None:
        """What the openings brought is what is there beyond what the other events have left: as much of these comes as
        came before, and of what they end with no more goes than was there.
        """
        was, now = book.brought(key[1], brought, ((before.begin, before.end), (seen.begin, seen.end)))
        said, others = now - was, before.said - was
        if said <= max(TOLD * grain, STEPPED * before.value):
            return
        share = min(before.value / others, 1.0) if others > 0.0 else 0.0
        without = before.value - share * (others - (seen.said - now))
        self.hosts.came((seen.value - without) / said, brought)

    def prepared(self, q: float, seen: Window, now: float) -> tuple[float, tuple[Opens, ...] | None, float]:
        """At the quantile ``q``: the share of a rise that is prepared for, of who is on, or comes soon without a jump;
        what each T-0 brings that the reading has not seen, in order; until when these are all.
        """
        known = bool(self.hosts.known)
        rising: list[Opening] = []
        if known:  # else nobody is told apart, and each reading would pay for it
            jumping = {opening for opening, _ in self._near.jumps or ()}
            soon = running(self._near.openings, now, now + RISING)
            rising = [one for one in soon if one.start <= now or one not in jumping]
        step = self.hosts.prepared(q, rising)
        if self._near.jumps is None:
            return step, None, -math.inf
        found: list[Opens] = []
        for opening, jump in self._near.jumps:
            if opening.start > seen.begin:
                ready = jump * (self.hosts.prepared(q, [opening]) if known else step)
                if found and found[-1].start == opening.start:
                    found[-1] = Opens(opening.start, found[-1].announced + jump, found[-1].prepared + ready)
                else:
                    found.append(Opens(opening.start, jump, ready))
        return step, tuple(found), self._near.at + LOOKED_UP + SOON

    def _look(self, book: Book | None, key: SignalKey, now: float) -> _Near:
        if book is None:
            return _Near()
        near, revision = self._near, book.revision.get(key[0], 0)
        if near.book is not book or near.revision != revision or not 0.0 <= now - near.at < LOOKED_UP:
            openings = book.openings(*key, now - AFTER, now + BEFORE + LOOKED_UP)
            ahead = [one for one in openings if now - UNSEEN <= one.start <= now + LOOKED_UP + SOON]
            jumps = None
            if len(ahead) <= MOST_OPENINGS:
                rises = ((one, book.jump(key[1], one)) for one in ahead)
                jumps = tuple([(one, jump) for one, jump in rises if jump > LEAST_STEP * one.amount])
            self._near = _Near(book, revision, now, openings, tuple([one.start for one in openings]), jumps)
        return self._near

    def _moved(self, book: Book | None, key: SignalKey, seen: Window, grain: float) -> float:
        if not self._windows:
            return 0.0
        last = self._windows[-1]
        on = running(self._near.openings, last.begin, seen.end) if self.hosts.known else ()
        share = self.hosts.believed(on)
        was, now = share * announced(book, key, last.begin, last.end), share * seen.said
        other = max(grain, last.value - was)
        return math.log((other + now) / (other + was))


def announced(book: Book | None, key: SignalKey, since: float, until: float) -> float:
    """Mean of what is announced of a signal between two instants."""
    return book.announced(*key, since, until) if book is not None else 0.0


def _said(book: Book | None, key: SignalKey, seen: Window, beside: float, now: float) -> tuple[float, float]:
    most = book.most_announced(*key, seen.end, now + SOON) if book is not None else 0.0
    if most <= 0.0:
        return NOTHING_SAID
    return (seen.said + beside if seen.said > 0.0 else 0.0), most + beside
