"""What the samples of one signal agree on, as they come in one after the other.

Two samples confirm each other when they have nothing in common: two scrapes of a gauge, of a sum of gauges two of each
of them, and for ``rate(x[1m])`` two windows that do not overlap, since one bad scrape stands in every window that
reaches back to it. Confirmed is the least
of all samples from the last one that shares nothing with the newest.

All of this is in memory. A restart forgets it, which lowers no floor: what one sample says may keep the level of a loan
(``planning.readings``), and a blind target keeps all of its level as long as no doubtful sample is remembered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tidegate.planning.model import Doubt, Freshness, Reading
from tidegate.planning.readings import DOUBTFUL_FACTOR

DOUBT_SECONDS = 3600.0
"""How long a sample that was never confirmed is remembered: long enough for any level to have come down. Judgment."""

GAP = 600.0
"""Seconds without a sample after which the ones before no longer count as neighbours of the next; longer for a signal
whose samples may be older."""

BEHIND = 300.0
"""Seconds that a sample may lie before the newest one and still be a late replica's: Prometheus' look-back. One that is
older by more comes from a clock that was set back."""

_PARTS = 16
"""Of a span: samples closer together than one part are kept as one, so that few are kept whatever the span."""


@dataclass(slots=True)
class _Slot:
    """Neighbouring samples: the first and the last of their times, and their least value."""

    first: float
    last: float
    least: float


@dataclass(slots=True)
class Confirmation:
    """Of one signal."""

    confirmed: float | None = None
    """What at least two samples agree on that share nothing; None until there are two."""
    doubt: Doubt | None = None
    """What was never confirmed; of several such samples the largest value and the earliest time."""
    _slots: list[_Slot] = field(default_factory=list)

    def take(self, reading: Reading, now: float, stale_after: float = 0.0) -> None:
        """Take in a reading with a value. The same sample read twice is one sample; an older one changes nothing. Of a
        partial answer only what is above the confirmed counts: it says nothing about less. ``stale_after``: seconds
        that a sample of the signal may be old.
        """
        value = reading.value
        if value is None or (reading.freshness is Freshness.PARTIAL and value <= (self.confirmed or 0.0)):
            return
        gap = max(GAP, 2.0 * stale_after) + reading.span
        if self._is_new(reading.since if reading.stamp is None else reading.stamp, value, reading.span, gap):
            self._confirm(reading.span)
        self._remember(value, reading.since, now)

    def known_doubt(self, now: float) -> Doubt | None:
        """The doubt, unless it is too old to matter."""
        return self.doubt if self.doubt is not None and now - self.doubt.at <= DOUBT_SECONDS else None

    def _is_new(self, stamp: float, value: float, span: float, gap: float) -> bool:
        """Put a sample among the others; False when it is none of the newest."""
        slots = self._slots
        if slots and (stamp - slots[-1].last > gap or slots[-1].last - stamp > BEHIND):
            slots.clear()
        if slots and stamp < slots[-1].last:
            return False
        if slots and (stamp == slots[-1].last or stamp - slots[-1].first < span / _PARTS):
            slots[-1].last, slots[-1].least = stamp, min(slots[-1].least, value)
        else:
            slots.append(_Slot(stamp, stamp, value))
        return True

    def _confirm(self, span: float) -> None:
        """Find what the samples agree on, and forget those that are too old to speak of the newest."""
        slots = self._slots
        stamp = slots[-1].last
        apart = [n for n, slot in enumerate(slots[:-1]) if slot.last < stamp - span]
        if apart:
            del slots[: apart[-1]]
            self.confirmed = min(slot.least for slot in slots)
        elif self.confirmed is not None:
            self.confirmed = min(self.confirmed, slots[-1].least)

    def _remember(self, value: float, since: float, now: float) -> None:
        """Keep the doubtful sample, and drop a doubt that was confirmed or is old."""
        noise = DOUBTFUL_FACTOR * (self.confirmed or 0.0)
        doubt = self.known_doubt(now)
        if doubt is not None and doubt.value <= noise:
            doubt = None
        if value > noise:
            doubt = Doubt(max(value, doubt.value), min(since, doubt.at)) if doubt is not None else Doubt(value, since)
        self.doubt = doubt


def is_ahead(reading: Reading, now: float, bound: float) -> bool:
    """Whether a reading's sample bears a time that lies ahead by more than a bound, or is no time at all."""
    return not math.isfinite(reading.since) or reading.since - now > bound
