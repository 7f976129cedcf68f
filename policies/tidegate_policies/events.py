"""When a LiveEvent runs, read from its spec; from its status only where the spec cannot be read.

A stack's own LiveEvent carries the status of its last update, which may be months old.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

from tidegate_policies.values import UNKNOWN, items, look

DAY = timedelta(days=1)
"""More than clocks differ between zones."""
OPEN = datetime.max.replace(tzinfo=UTC)
"""The end of what runs for nobody knows how long."""
_UNTIL = re.compile(r"UNTIL=([0-9TZ]+)", re.IGNORECASE)


class NotKnownYetError(ValueError):
    """The schedule, or a part of it, is known only in the update."""


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """One occurrence, in UTC."""

    start: datetime
    end: datetime

    def concerns(self, now: datetime, ahead: timedelta) -> bool:
        """Whether it runs, or begins soon."""
        return self.start - ahead <= now < self.end

    def told(self, now: datetime) -> str:
        """The same for people."""
        if now < self.start:
            return f"begins at {self.start:%Y-%m-%d %H:%M} UTC"
        return "runs" if self.end == OPEN else f"runs until {self.end:%Y-%m-%d %H:%M} UTC"


def window_near(event: Any, now: datetime, ahead: timedelta) -> Window | None:
    """The occurrence that runs or begins soon. ValueError when that cannot be told."""
    schedule = look(event, "spec.schedule")
    try:
        windows = sorted(_occurrences(schedule, now, ahead))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        windows = _told_by_status(event, now)
        if not windows and _holds_unknown(schedule):
            raise NotKnownYetError("its schedule is not known yet") from None
        if not windows:
            raise ValueError(f"its schedule cannot be read ({error})") from None
    return next((one for one in windows if one.concerns(now, ahead)), None)


def _told_by_status(event: Any, now: datetime) -> list[Window]:
    start, end = look(event, "status.nextOccurrence.start"), look(event, "status.nextOccurrence.end")
    if isinstance(start, str) and isinstance(end, str):
        return [Window(_utc(start), _utc(end))]
    conditions = items(look(event, "status.conditions"))
    runs = any(look(one, "type") == "Live" and look(one, "status") == "True" for one in conditions)
    return [Window(now, OPEN)] if runs else []


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _holds_unknown(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_unknown, value.values()))
    return any(map(_holds_unknown, value)) if isinstance(value, list) else value is UNKNOWN


def _occurrences(schedule: Any, now: datetime, ahead: timedelta) -> Iterator[Window]:
    """Occurrences that may be near, and all that were changed."""
    if not isinstance(schedule, dict) or _holds_unknown(schedule):
        raise ValueError("there is none that is known")
    zone = ZoneInfo(schedule["timeZone"])
    lasts = timedelta(seconds=int(schedule["durationSeconds"]))
    here = now.astimezone(zone).replace(tzinfo=None)
    changes = {datetime.fromisoformat(one["occurrence"]): one for one in items(schedule.get("changes"))}
    announced = set(_announced(schedule, zone, (here - lasts - DAY, here + ahead + DAY)))
    announced |= {start for start in changes if start in _announced(schedule, zone, (start, start))}
    for start in announced:
        change = changes.get(start, {})
        if not change.get("cancelled"):
            moved = datetime.fromisoformat(change.get("postponedTo") or start.isoformat())
            begins = moved.replace(tzinfo=zone).astimezone(UTC)
            yield Window(begins, begins + lasts + timedelta(seconds=int(change.get("extendedBySeconds") or 0)))


def _announced(schedule: Any, zone: ZoneInfo, near: tuple[datetime, datetime]) -> list[datetime]:
    """Announced local starts that are near."""
    first = datetime.fromisoformat(schedule["startTime"])
    rule = look(schedule, "recurrence.rrule")
    if not rule:
        return [first]
    left_out = {str(one) for one in items(look(schedule, "recurrence.exclude"))}
    local = _UNTIL.sub(lambda found: f"UNTIL={_local_end(found[1], zone)}", rule)
    starts = rrulestr(local, dtstart=first).between(*near, inc=True)
    return [one for one in starts if one.isoformat() not in left_out and one.date().isoformat() not in left_out]


def _local_end(text: str, zone: ZoneInfo) -> str:
    """A rule's end as a local time: a day lasts until it is over, and UTC is brought home."""
    if len(text) == len("20261111"):
        end = datetime.combine(datetime.strptime(text, "%Y%m%d").date(), time.max)
    elif text.upper().endswith("Z"):
        end = datetime.strptime(text.upper(), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).astimezone(zone)
    else:
        return text
    return f"{end:%Y%m%dT%H%M%S}"
