"""Wall-clock time: zones, local times to instants, and times as the API writes them.

A wall time that the zone skips (clocks go forward) is moved forward by the gap; of one that comes twice the first is
meant. Both are what ``datetime`` does with ``fold=0`` (PEP 495), and both are said in a note.
"""

from __future__ import annotations

import difflib
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from tidegate.api.zonedata import zone_data

EARLIEST, LATEST = -2_000_000_000.0, 16_000_000_000.0
"""About 1906 and 2477, epoch seconds: between them no arithmetic on dates overflows."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_NAIVE = datetime(1970, 1, 1)


@lru_cache(maxsize=1024)
def find_zone(name: str) -> ZoneInfo | None:
    """The IANA zone of that exact name, or None. Names that mean something else on each machine are no zones."""
    if name not in _zone_names():
        return None
    return ZoneInfo(name)  # of the database that the names were read from


def zone_named(name: str) -> ZoneInfo:
    """As ``find_zone``, of a zone that is known to exist; KeyError when it does not."""
    if (zone := find_zone(name)) is None:
        raise KeyError(name)
    return zone


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    zone_data()
    return frozenset(available_timezones()) - {"localtime", "Factory", "posixrules"}


def near_zones(name: str) -> list[str]:
    """Up to three zones whose name, or whose place, is close to ``name``."""
    wanted = name.strip().replace(" ", "_").lower()
    names = {zone.lower(): zone for zone in sorted(_zone_names()) if "/" in zone and not zone.startswith("Etc/")}
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.84)
    places = {zone.rpartition("/")[2]: zone for zone in names}
    near += [places[p] for p in difflib.get_close_matches(wanted.rpartition("/")[2], places, n=3, cutoff=0.84)]
    return [names[zone] for zone in dict.fromkeys(near)][:3]


def to_instant(local: datetime, zone: ZoneInfo) -> float:
    """Epoch seconds of a naive wall time in ``zone``; gap and fold as in the module's docstring."""
    return (local.replace(tzinfo=zone) - _EPOCH).total_seconds()


def next_time_of_day(at: time, zone: ZoneInfo, after: float) -> float:
    """Epoch seconds of the first instant after ``after`` at which the clocks of ``zone`` show ``at``: once a day, also
    on the days on which that time is skipped or comes twice (gap and fold as in the module's docstring).
    """
    today = to_local(after, zone).date()
    days = (today + timedelta(days=ahead) for ahead in (-1, 0, 1, 2))
    return min(i for i in (to_instant(datetime.combine(day, at), zone) for day in days) if i > after)


def to_local(instant: float, zone: ZoneInfo) -> datetime:
    """The aware wall time in ``zone`` at an instant (epoch seconds)."""
    return (_EPOCH + timedelta(seconds=instant)).astimezone(zone)


def clock_note(local: datetime, zone: ZoneInfo) -> str | None:
    """What a change of the clocks makes of a naive wall time, as a sentence; None when it is an ordinary one."""
    first = local.replace(tzinfo=zone, fold=0)
    if first.utcoffset() == local.replace(tzinfo=zone, fold=1).utcoffset():
        return None
    real = to_local(to_instant(local, zone), zone)
    if real.replace(tzinfo=None) != local:
        return (
            f"{local.isoformat()} does not exist in {zone.key}: clocks go forward then;"
            f" moved forward by the gap to {real.replace(tzinfo=None).isoformat()}"
        )
    return (
        f"{local.isoformat()} comes twice in {zone.key}: clocks go back then; the first is meant ({real.isoformat()})"
    )


def to_rfc3339(instant: float, *, milliseconds: bool = False) -> str:
    """Epoch seconds as RFC 3339 in UTC with ``Z``, rounded to whole seconds or to milliseconds."""
    spec = "milliseconds" if milliseconds else "seconds"
    rounded = round(instant, 3) if milliseconds else round(instant)
    # Rounded to whole microseconds by timedelta first: isoformat truncates.
    when = _EPOCH_NAIVE + timedelta(milliseconds=round(rounded * 1000))
    return when.isoformat(timespec=spec) + "Z"


def from_rfc3339(text: str) -> float:
    """Epoch seconds of an RFC 3339 time. ValueError when it is none or has no offset."""
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"{text!r} has no offset: RFC 3339 times end in Z or +hh:mm")
    return (when - _EPOCH).total_seconds()


def recorded(text: str) -> float:
    """As ``from_rfc3339``, of what an object keeps for the operator: ValueError too for a time that could not be
    reckoned with and written back, before ``EARLIEST`` or after ``LATEST``.
    """
    instant = from_rfc3339(text)
    if not EARLIEST <= instant <= LATEST:
        raise ValueError(f"{text!r} is out of reach")
    return instant
