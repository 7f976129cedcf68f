"""The past as the process knows it: what Prometheus remembers, and the LiveEvents that are still there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from tidegate.api.parsed import ParsedEvent
from tidegate.control.history import Announced, Past
from tidegate.planning.model import Announcement, Key
from tidegate.ports import PastSource
from tidegate.shell.store import WatchedStore

LEISURE = 3.0
"""Seconds of pause for each of learning from the past: it takes a quarter of a core."""


def past_of(source: PastSource | None, store: WatchedStore, seconds: float) -> Past | None:
    """None: nobody remembers. ``seconds``: how far back is asked."""
    return None if source is None else Past(source, announced_then(store), _rest, time.perf_counter, seconds)


async def _rest(spent: float) -> None:
    await asyncio.sleep(LEISURE * spent)


def announced_then(store: WatchedStore) -> Announced:
    """For ``control.history.Past``: recurring events are worked out as they are taken, which may be thousands."""

    def announced(policy: Key, since: float, until: float) -> Iterator[Announcement]:
        of_policy = [one for key, one in store.events.items() if key.namespace == policy.namespace]
        for one in of_policy:
            if one.policy == policy.name and (one.series is not None or _touches(one, since, until)):
                yield one.announcement(since, until)

    return announced


def _touches(event: ParsedEvent, since: float, until: float) -> bool:
    return any(start < until and start + duration > since for start, duration in event.base.occurrences)
