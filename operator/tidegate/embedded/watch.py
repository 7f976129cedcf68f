"""Watch streams: what happened since a version, then what happens, with bookmarks in the quiet.

A watch has no queue: it is a position in the kind's log, so a slow reader costs nothing and is told 410 when it falls
behind what the log remembers. All changes that wait are sent in one write.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from aiohttp import web

from tidegate.embedded.errors import Json, gone
from tidegate.embedded.lists import Filter, Lists
from tidegate.embedded.resources import Resource
from tidegate.embedded.store import ADDED, DELETED, Change, Store, Stored

Render = Callable[[Stored], bytes]

_BATCH = 500
"""Events sent in one write."""


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How a watch was asked for."""

    revision: str
    """``resourceVersion``: "" and "0" start with what exists."""
    timeout: float | None
    """Real seconds; None picks half an hour to an hour, as the real server does."""
    bookmarks: bool
    initial_events: bool


async def stream(
    request: web.Request,
    *,
    store: Store,
    lists: Lists,
    resource: Resource,
    chosen: Filter,
    options: WatchOptions,
    render: Render,
    bookmark_seconds: float,
) -> web.StreamResponse:
    """Answer a watch until its time is over or its reader is gone."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"})
    await response.prepare(request)
    watch = _Watch(response, store, resource, chosen, render)
    try:
        await watch.start(lists, options)
        timeout = options.timeout if options.timeout is not None else random.uniform(1800.0, 3600.0)
        await watch.follow(timeout, bookmark_seconds if options.bookmarks else None)
    except ConnectionResetError:
        pass  # the reader has gone
    except _Ended:
        await _finish(response)
    return response


async def _finish(response: web.StreamResponse) -> None:
    try:
        await response.write_eof()
    except ConnectionResetError:
        return


class _Ended(Exception):  # noqa: N818 - not an error: the stream said all it had to say
    pass


class _Watch:
    def __init__(
        self, response: web.StreamResponse, store: Store, resource: Resource, chosen: Filter, render: Render
    ) -> None:
        self._response = response
        self._store = store
        self._resource = resource
        self._bucket = store.bucket(resource.bucket)
        self._chosen = chosen
        self._render = render
        self._position = self._bucket.position

    async def start(self, lists: Lists, options: WatchOptions) -> None:
        """Send what exists, or find the place in the log from which to go on."""
        fresh = options.revision in ("", "0")
        if fresh or options.initial_events:
            revision, items = self._store.revision, lists.all(self._resource, self._chosen)
            for start in range(0, len(items), _BATCH):
                await self._send([_frame(ADDED, self._render(item)) for item in items[start : start + _BATCH]])
            if options.initial_events and options.bookmarks:
                await self._send([self._bookmark(revision, initial_end=True)])
            return
        position = self._bucket.position_after(int(options.revision)) if options.revision.isdigit() else None
        if position is None:
            await self._expire(options.revision)
        else:
            self._position = position

    async def follow(self, timeout: float, bookmark_seconds: float | None) -> None:  # noqa: ASYNC109
        """Send changes as they come until the time is over."""
        loop = asyncio.get_running_loop()
        end, spoke = loop.time() + timeout, loop.time()
        while (now := loop.time()) < end:
            changes = self._bucket.changes(self._position, limit=_BATCH)
            if changes is None:
                await self._expire("the watch fell behind")
            elif changes:
                self._position += len(changes)
                frames = [frame for change in changes if (frame := self._seen(change))]
                if frames:
                    await self._send(frames)
                    spoke = loop.time()
                await asyncio.sleep(0)  # a burst must not keep other requests waiting
            elif bookmark_seconds is not None and now - spoke >= bookmark_seconds:
                await self._send([self._bookmark(self._store.revision)])
                spoke = loop.time()
            else:
                quiet = end - now if bookmark_seconds is None else min(end - now, bookmark_seconds - (now - spoke))
                await self._bucket.wait(max(0.001, quiet))

    def _seen(self, change: Change) -> bytes | None:
        """The event as this watch sees it: an object that leaves the selection is deleted, one that enters added."""
        now = change.type != DELETED and self._chosen(change.item)
        was = change.before is not None and self._chosen(change.before)
        if now:
            kind = change.type if was or change.before is None else ADDED
        elif was:
            kind = DELETED
        else:
            return None
        return _frame(kind, self._render(change.item))

    async def _send(self, frames: list[bytes]) -> None:
        await self._response.write(b"".join(frames))

    async def _expire(self, version: str) -> None:
        status = gone(f"too old resource version: {version}").status()
        await self._send([_frame("ERROR", orjson.dumps(status))])
        raise _Ended

    def _bookmark(self, revision: int, *, initial_end: bool = False) -> bytes:
        meta: Json = {"resourceVersion": str(revision), "creationTimestamp": None}
        if initial_end:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        document = {"kind": self._resource.kind, "apiVersion": self._resource.api_version, "metadata": meta}
        return _frame("BOOKMARK", orjson.dumps(document))


def _frame(kind: str, raw: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), raw)
