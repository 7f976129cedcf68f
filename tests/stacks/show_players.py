"""Players of a show: they ask as HLS players do, and note what they would have seen.

RFC 8216, section 6.3: they load the playlist again after a segment's duration, or half of it when nothing was new, and
begin three segments before its end. They begin to play with two segments loaded. They do not decode: a player plays a
segment when it has loaded it and has played the one before. When a site does not answer they go to the next.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import aiohttp
from show_programs import SEGMENT_SECONDS

HOST = "live.example.com"
STREAM = "/live/room.m3u8"
FROM_END = 3
"""Segments before the end of a playlist at which a player begins."""
LOADED = 2
"""Segments that a player has before it begins."""


@dataclass(frozen=True)
class Played:
    """A segment that a player has played."""

    name: str
    at: float
    """When its first frame was shown."""

    @property
    def behind(self) -> float:
        """Seconds from the instant at which the origin had the first frame, which is the segment's name."""
        return self.at - int(self.name.rpartition("-")[2].removesuffix(".ts")) / 1000


@dataclass
class Player:
    """One viewer. ``addresses``: of its sites, the preferred first."""

    session: aiohttp.ClientSession
    addresses: list[str]
    played: list[Played] = field(default_factory=list)
    stalls: list[tuple[float, float]] = field(default_factory=list)
    answers: list[tuple[float, str, str]] = field(default_factory=list)
    """When, path, and what the cache said of itself."""
    requests: int = 0
    _held: list[str] = field(default_factory=list)
    """Loaded before it begins to play."""
    _end: float | None = None
    """When what it has loaded is played."""
    _last: str | None = None

    async def watch(self) -> None:
        """Until it is cancelled."""
        while True:
            playlist = await self._get(STREAM)
            new = self._new(playlist.decode()) if playlist else []
            for name in new:
                if await self._get(f"/live/{name}"):
                    self._load(name)
                    self._last = name
            await asyncio.sleep(SEGMENT_SECONDS if new else SEGMENT_SECONDS / 2)

    async def fetch(self, path: str) -> bytes | None:
        """One object."""
        return await self._get(path)

    async def _get(self, path: str) -> bytes | None:
        for _ in self.addresses:
            self.requests += 1
            try:
                async with self.session.get(f"http://{self.addresses[0]}{path}", headers={"Host": HOST}) as answer:
                    body = await answer.read()
                    self.answers.append((time.time(), path, answer.headers.get("X-Cache", "")))
                    return body if answer.status == 200 else None
            except (aiohttp.ClientError, TimeoutError, OSError):
                self.addresses.append(self.addresses.pop(0))
        return None

    def _new(self, playlist: str) -> list[str]:
        """Segments that come after the last one that was loaded."""
        names = [line for line in playlist.splitlines() if line and not line.startswith("#")]
        if self._last in names:
            return names[names.index(self._last) + 1 :]
        # The first time, or the stream goes on elsewhere under new names.
        return [name for name in names[-FROM_END:] if self._last is None or name > self._last]

    def _load(self, name: str) -> None:
        now = time.time()
        if self._end is None:
            self._held.append(name)
            if len(self._held) < LOADED:
                return
            self._end = now
        elif now > self._end:
            self.stalls.append((self._end, now))
            self._end = now
        for ready in self._held or [name]:
            self.played.append(Played(ready, self._end))
            self._end += SEGMENT_SECONDS
        self._held = []

    def stalled(self, since: float, until: float) -> float:
        """Seconds without a picture between two instants."""
        open_end = [(self._end, until)] if self._end is not None and self._end < until else []
        spans = [*self.stalls, *open_end]
        return sum(max(0.0, min(end, until) - max(begin, since)) for begin, end in spans)
