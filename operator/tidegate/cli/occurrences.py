"""When events take place next, and when they did last: why a plan of today may be empty, and of when it is not.

``plan`` and ``explain`` call it. It looks at the events' own dates; what is done for them is the planner's business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from tidegate.api.parsed import ParsedEvent, reach
from tidegate.planning.model import Key, Occurrence

AHEAD_SECONDS = 7200.0
"""How long before the first demand of an occurrence it is looked at: longer than any usual lead time. A judgment."""
MOST_REASONS = 5
"""Events that are named; of more than these only the number is given."""
_BACK_DAYS = (8, 40, 400, 9 * 366)
"""How far back the last occurrence is looked for: most recur weekly, 29 February takes eight years."""


@dataclass(frozen=True, slots=True)
class Next:
    """The next occurrence of an event."""

    event: ParsedEvent
    occurrence: Occurrence

    @property
    def start(self) -> float:
        """Epoch seconds of its T-0."""
        return self.occurrence.start

    def seen_from(self, now: float, seconds: float) -> float:
        """An instant before anything is due for it, from which ``seconds`` are shown; never before ``now``."""
        before = reach(self.event.base, self.occurrence.duration)[0] + AHEAD_SECONDS
        return max(self.start - min(before, seconds / 2.0), now)


def next_of(events: Iterable[ParsedEvent], policies: Iterable[Key], after: float) -> Next | None:
    """The earliest occurrence after an instant, of events whose policy is known; None where none follows."""
    known = set(policies)
    found = [
        Next(event, one)
        for event in events
        if Key(event.key.namespace, event.policy) in known
        if (one := event.next_occurrence(after)) is not None
    ]
    return min(found, key=lambda one: (one.start, one.event.key), default=None)


def last_of(event: ParsedEvent, before: float) -> Occurrence | None:
    """The occurrence that ended last before an instant."""
    if event.series is None:
        return max((o for o in event.base.occurrences if _end(o) <= before), key=_end, default=None)
    for days in _BACK_DAYS:
        ended = [o for o in event.series.between(before - days * 86_400.0, before) if _end(o) <= before]
        if ended:
            return max(ended, key=_end)
    return None


def why_nothing(events: Iterable[ParsedEvent], policies: Collection[Key], now: float, until: float) -> Iterator[str]:
    """Why nothing is done between two instants: a sentence for each event, those that come soonest first."""
    told = sorted(events, key=lambda event: _date(event, now))
    if not told:
        yield "there is no LiveEvent"
    for event in told[:MOST_REASONS]:
        yield f"{event.key}: {_why(event, policies, now, until)}"
    if len(told) > MOST_REASONS:
        yield f"and {len(told) - MOST_REASONS} more events, which come later or are over"


def _date(event: ParsedEvent, now: float) -> tuple[float, Key]:
    coming = event.next_occurrence(now)
    return (coming.start if coming is not None else float("inf"), event.key)


def _why(event: ParsedEvent, policies: Collection[Key], now: float, until: float) -> str:
    policy = Key(event.key.namespace, event.policy)
    coming, last = event.next_occurrence(now), last_of(event, now)
    if policy not in policies:
        return f"it names ScalingPolicy {policy}, which is not here"
    if coming is None:
        return (
            f"the last occurrence ended {utc(_end(last))}, and none follows"
            if last is not None
            else "it never takes place"
        )
    if coming.start >= until:
        return f"the next occurrence begins {utc(coming.start)}"
    return "it asks for no more than its targets have anyway, or for what is named as not done"


def _end(one: Occurrence) -> float:
    return one.start + one.duration


def utc(at: float) -> str:
    """An instant as people read it, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
