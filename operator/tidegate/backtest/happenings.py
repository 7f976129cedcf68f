"""What was announced: events from a CSV file or from LiveEvents, and how wrong announcements can be.

A CSV file has one row an event. Its columns: a start (the first column whose name begins with ``start``), an end (the
first that begins with ``end``; without one the event takes two hours), and where known ``type``, ``name`` and
``expected`` (the demand that the event brings on top of what is there without it, in the unit of the series), ``host``
and ``tier`` (who announces it, and the class of hosts that he is of).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from zlib import crc32

import numpy as np

from tidegate.backtest.series import InputError, instant, rows_of
from tidegate.planning.model import Announcement

WITHOUT_END = 7200.0
"""Seconds that an event takes whose row has no end: judgment, what a show takes."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One event: when it takes place, and what is expected of it."""

    name: str
    kind: str
    start: float
    end: float
    expected: float | None = None
    """Demand on top of the background; None: whoever announces it works it out (``announcing``)."""
    detail: Announcement | None = field(default=None, compare=False)
    """The LiveEvent that it comes from, or that was made for it: its shape and moments count."""
    factor: float = 1.0
    """What is announced, as a multiple of what a right announcement would say."""
    withdrawn_at: float | None = None
    """When it is taken back because it does not take place."""
    host: str = ""
    tier: str = ""
    """Who announces it, and the class of hosts that he is of; empty: nobody says."""

    def moved(self, seconds: float) -> Happening:
        """The same event, so many seconds later."""
        return replace(self, start=self.start + seconds, end=self.end + seconds)


def read_happenings(path: Path) -> tuple[Happening, ...]:
    """Events of a CSV file in order of their start. InputError says what is wrong with it."""
    with rows_of(path) as rows:
        return tuple(sorted(_happenings(path, rows.names, rows), key=lambda one: one.start))


def _happenings(path: Path, names: Sequence[str], rows: Iterable[tuple[str, dict[str, str]]]) -> Iterator[Happening]:
    begins, ends = _column(names, "start"), _column(names, "end")
    if begins is None:
        raise InputError(f"{path}: line 1: no column begins with start; give start, end, type, name and expected")
    for number, (where, row) in enumerate(rows, start=1):
        start = instant(row[begins], f"{where}: {begins}")
        end = instant(row[ends], f"{where}: {ends}") if ends and row[ends] else start + WITHOUT_END
        if end <= start:
            raise InputError(f"{where}: {ends}: the event ends before it begins; give an end after {row[begins]}")
        expected = _expected(row.get("expected"), where)
        name, kind = row.get("name") or f"event-{number}", row.get("type") or "event"
        yield Happening(name, kind, start, end, expected, host=row.get("host") or "", tier=row.get("tier") or "")


def of_announcements(announcements: Sequence[Announcement], signal: str) -> tuple[Happening, ...]:
    """One happening for each occurrence of LiveEvents."""
    found: list[Happening] = []
    for announcement in announcements:
        expected = dict(announcement.expected).get(signal)
        own = replace(announcement, moments=tuple(one for one in announcement.moments if one.signal == signal))
        for occurrence in announcement.occurrences:
            end = occurrence.start + occurrence.duration
            kind = announcement.profile
            name, host, tier = announcement.key.name, announcement.host, announcement.tier
            found.append(Happening(name, kind, occurrence.start, end, expected, own, host=host, tier=tier))
    return tuple(sorted(found, key=lambda one: one.start))


def _column(names: Sequence[str], prefix: str) -> str | None:
    return next((name for name in names if name.lower().startswith(prefix)), None)


def _expected(text: str | None, where: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        raise InputError(f"{where}: expected: {text!r} is no demand; give a number from 0 on, or leave it empty")
    return value


# ---- how announcements are wrong

SLIP_QUANTILES = ((0.0, -8700.0), (0.1, -6540.0), (0.5, -2340.0), (0.75, 1800.0), (0.9, 3000.0), (1.0, 4620.0))
"""(share, seconds) by which runs of a charity marathon began later than announced 20 days before: AGDQ 2017, 160 runs,
median -39 min, median of the absolute slip 49.5 min, nine in ten within 109 min, range -145 to +77 min."""
PHANTOM_SHARE = 0.25
"""Of all announced events: one in four does not take place, as three of four landing slots of STS-70 were waived."""
PHANTOM_WITHDRAWN = 600.0
"""Seconds after the announced start at which a cancelled event is taken back."""
HOSTS, BOASTERS, BOAST = 10, 2, 2.0
"""Of so many hosts two claim double, always. Where nobody says who the hosts are, events are dealt to ten by lot."""

Perturbation = Callable[[Sequence[Happening], np.random.Generator], tuple[Happening, ...]]


def _as_is(happenings: Sequence[Happening], random: np.random.Generator) -> tuple[Happening, ...]:
    return tuple(happenings)


def _times(factor: float) -> Perturbation:
    def scaled(happenings: Sequence[Happening], random: np.random.Generator) -> tuple[Happening, ...]:
        return tuple(replace(one, factor=one.factor * factor) for one in happenings)

    return scaled


def _slips(happenings: Sequence[Happening], random: np.random.Generator) -> tuple[Happening, ...]:
    shares, seconds = zip(*SLIP_QUANTILES, strict=True)
    slips = np.interp(random.random(len(happenings)), shares, seconds)
    moved = [one.moved(-float(slip)) for one, slip in zip(happenings, slips, strict=True)]
    return tuple(sorted(moved, key=lambda one: one.start))


def _phantoms(happenings: Sequence[Happening], random: np.random.Generator) -> tuple[Happening, ...]:
    """Add events that nobody comes to, each like one that takes place, at another time without any event."""
    if not happenings:
        return ()
    first, last = happenings[0].start, max(one.end for one in happenings)
    wanted = round(len(happenings) * PHANTOM_SHARE / (1.0 - PHANTOM_SHARE))
    found: list[Happening] = []
    for _ in range(200 * wanted):
        if len(found) == wanted:
            break
        like = happenings[int(random.integers(len(happenings)))]
        start = float(random.uniform(first, last))
        end = start + like.end - like.start
        if all(end <= one.start or start >= one.end for one in (*happenings, *found)):
            name = f"cancelled-{len(found) + 1}"
            withdrawn = start + PHANTOM_WITHDRAWN
            found.append(replace(like, name=name, start=start, end=end, withdrawn_at=withdrawn))
    return tuple(sorted((*happenings, *found), key=lambda one: one.start))


def _boasters(happenings: Sequence[Happening], random: np.random.Generator) -> tuple[Happening, ...]:
    """Who claims double does so in each edition: it follows from his name."""
    drawn = random.integers(HOSTS, size=len(happenings)).tolist()
    dealt = [one if one.host else replace(one, host=f"host-{n}") for one, n in zip(happenings, drawn, strict=True)]
    return tuple(replace(one, factor=one.factor * BOAST) if _boasts(one.host) else one for one in dealt)


def _boasts(host: str) -> bool:
    """Two of the ten that are dealt, and as many of others."""
    number = host.removeprefix("host-")
    known = int(number) if number.isdecimal() and len(number) < 4 else crc32(host.encode())
    return known % HOSTS < BOASTERS


PERTURBATIONS: dict[str, Perturbation] = {
    "none": _as_is,
    "low20": _times(0.8),
    "high20": _times(1.2),
    "slips": _slips,
    "phantoms": _phantoms,
    "boasters": _boasters,
}
"""By name: right; 20 % too low; 20 % too high; times that slip as a stage's do; cancelled events; hosts that boast."""


def perturbed(happenings: Sequence[Happening], name: str, seed: int) -> tuple[Happening, ...]:
    """The events as they are announced under a perturbation; the same seed gives the same announcements."""
    return PERTURBATIONS[name](happenings, np.random.default_rng(seed))
