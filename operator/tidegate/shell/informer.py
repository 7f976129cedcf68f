"""List and watch of one collection: tells a handler of each object that is there, changes or goes.

Written for a kind with tens of thousands of objects: lists come in pages, nothing of an object is kept but its uid and
version, and the loop is given back every few milliseconds. What it promises: after ``on_sync`` every object of the
first list was handed over; nothing that vanished while nobody watched is missed, since a list that follows a lost
watch reports it as deleted; and ``age_seconds`` grows when the server has fallen silent, whatever the reason.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress

from tidegate.pauses import Pauses
from tidegate.ports import Json, RefusedError, TidegateError
from tidegate.targets.client import PAGE, KubeClient
from tidegate.targets.errors import ExpiredError, WatchFailedError

log = logging.getLogger(__name__)

Handler = Callable[[str, Json], None]
"""Gets ``ADDED``, ``MODIFIED`` or ``DELETED`` and the object. An object deleted unseen has metadata only."""

LASTING = 290.0
"""Seconds of one watch request: below the five minutes at which many proxies cut a connection."""

SILENCE = 150.0
"""Seconds without any byte after which a watch is begun anew: a server sends a bookmark about every minute, and has
been seen to leave the first one out."""

SHORTEST_WATCH = 1.0
"""Seconds: a watch that ends sooner without a word is not begun again before."""

SLICE = 0.003
"""Seconds that handlers may take in one go before other tasks get their turn."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds, the doubling pause after a failure, of which a random half to whole is taken."""


class Informer:
    """Watches one path."""

    def __init__(
        self,
        client: KubeClient,
        path: str,
        *,
        on_object: Handler,
        on_sync: Callable[[], None],
        on_refusal: Callable[[], None] = lambda: None,
        page: int = PAGE,
        silence: float = SILENCE,
        proof: float | None = None,
        selectors: Mapping[str, str] | None = None,
    ) -> None:
        """``on_object``, ``on_sync`` (after each complete list) and ``on_refusal`` (the server says: you may not) are
        called in the event loop and must not block. ``proof``: seconds without a word after which an open watch is
        begun anew where it left off, so that a connection that died is noticed as soon. ``selectors`` are the query's:
        ``labelSelector``, ``fieldSelector``.
        """
        self._client = client
        self._path = path
        self._on_object = on_object
        self._on_sync = on_sync
        self._on_refusal = on_refusal
        self._page = page
        self._silence = silence
        self._proof = proof
        self._selectors = dict(selectors or {})
        self._known: dict[str, tuple[str, str]] = {}  # namespace/name -> uid, resourceVersion
        self._version: str | None = None
        self._life = time.monotonic()
        self._slice = 0.0
        self._failures = 0
        self._pauses = Pauses(first=FIRST_PAUSE, longest=LONGEST_PAUSE, least=0.5)
        self._missed = False
        """A handler failed: what it did not take is told again by a list."""
        self._asked = False
        """Somebody asked for a new list."""
        self._woken = asyncio.Event()
        self._watching: asyncio.Timeout | None = None
        """By which a watch is ended before its time."""
        self._resumed = False
        """We ended the last watch, and nothing was told since. The version of where it left off may be forgotten by
        now, because no bookmark came in so short a time: nothing broke then, and a list tells what was missed."""
        self._task: asyncio.Task[None] | None = None
        self.listed_at = -math.inf
        """When the last complete list was asked for, by the monotonic clock."""
        self.broke_at = -math.inf
        """When it last failed after it had worked, by the monotonic clock: what fails on has not broken again."""
        self.synced = False
        """A list has been complete."""
        self.lists = 0
        """Complete lists so far: more than one means that a watch was lost."""
        self.handler_errors = 0
        """Objects whose handler failed; each was logged."""
        self.trouble = ""
        """Why it is not watching, in words; empty while it is."""
        self.refused = False
        """The server answers, and says that we may not: nothing here is dead."""

    def start(self) -> None:
        """Begin, in the running event loop."""
        if self._task is None:
            self._life = time.monotonic()
            self._task = asyncio.create_task(self.run(), name=f"informer {self._path}")

    async def stop(self) -> None:
        """End; no handler is called afterwards."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def again(self, *, list_all: bool = False) -> None:
        """Begin the watch anew at once, where it left off: a connection that died in silence is noticed after minutes
        only. With ``list_all`` list first: what is told then is no older than this call.
        """
        self._asked = self._asked or list_all
        self._woken.set()
        if self._watching is not None and not self._watching.expired():
            self._watching.reschedule(asyncio.get_running_loop().time())

    def age_seconds(self) -> float:
        """Seconds since the server last gave a sign of life: an answer, an event or a bookmark."""
        return time.monotonic() - self._life

    @property
    def alive_at(self) -> float:
        """When that was, by the monotonic clock."""
        return self._life

    def __len__(self) -> int:
        return len(self._known)

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            try:
                if self._version is None or self._missed or self._asked:
                    await self._list_what_is_owed()
                begun = time.monotonic()
                if await self._watch_until_asked():
                    continue
                if time.monotonic() - begun < SHORTEST_WATCH:
                    await asyncio.sleep(SHORTEST_WATCH)  # a server that ends watches at once is not asked at once
            except ExpiredError as error:
                self._version, resumed, self._resumed = None, self._resumed, False
                if not resumed:
                    await self._rest(error)
            except TidegateError as error:
                if isinstance(error, WatchFailedError) and self._failures:
                    self._version = None  # a second time from the same version: the server never goes on from there
                await self._rest(error)
            except Exception as error:  # an answer that is no list or no event: as good as none
                log.exception("%s: not understood", self._path)
                self._version = None
                await self._rest(error)

    async def _rest(self, error: Exception) -> None:
        """Pause after a failure; the first loss of a watch is ordinary and costs next to nothing."""
        self._failures += 1
        if not self.trouble:
            self.broke_at = time.monotonic()
        before, self.trouble, self.refused = self.trouble, str(error), isinstance(error, RefusedError)
        if self.refused:
            self._on_refusal()
        level = logging.ERROR if self.refused and self.trouble != before else logging.INFO
        log.log(level, "%s: %s (attempt %d)", self._path, error, self._failures)
        self._woken.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), self._pauses.after(self._failures))

    def _alive(self) -> None:
        self._life = time.monotonic()

    def _well(self) -> None:
        self._alive()
        self._failures = 0
        self.trouble, self.refused = "", False
        self._resumed = False

    # ---- the list

    async def _list_what_is_owed(self) -> None:
        """List once. A list that fails is owed on; what is missed or asked for meanwhile is owed to the next one."""
        missed, asked = self._missed, self._asked
        self._missed = self._asked = False
        try:
            await self._list()
        except BaseException:
            self._missed, self._asked = self._missed or missed, self._asked or asked
            raise

    async def _list(self) -> None:
        seen: set[str] = set()
        version, asked = "", time.monotonic()
        async with aclosing(self._client.pages(self._path, size=self._page, params=self._selectors)) as pages:
            async for page in pages:
                self._alive()
                version = page["metadata"]["resourceVersion"]
                for item in page.get("items") or []:
                    seen.add(self._listed(page, item))
                    await self._breathe()
        for key in [key for key in self._known if key not in seen]:
            self._vanished(key)
            await self._breathe()
        self._version = version
        self.synced = True
        self.listed_at = asked
        self.lists += 1
        self._on_sync()

    def _listed(self, page: Json, item: Json) -> str:
        """One object of a list; tells the handler only what it does not know yet."""
        item.setdefault("apiVersion", page.get("apiVersion"))  # the items of typed lists come without
        item.setdefault("kind", str(page.get("kind", "")).removesuffix("List"))
        key, uid, version = _identity(item)
        known = self._known.get(key)
        if known is not None and known[0] != uid:
            self._vanished(key)
            known = None
        if known is None or known[1] != version:
            self._known[key] = (uid, version)
            self._tell("ADDED" if known is None else "MODIFIED", item)
        return key

    def _vanished(self, key: str) -> None:
        uid, version = self._known.pop(key)
        namespace, _, name = key.rpartition("/")
        metadata = {"namespace": namespace, "name": name, "uid": uid, "resourceVersion": version}
        self._tell("DELETED", {"metadata": {field: value for field, value in metadata.items() if value}})

    # ---- the watch

    async def _watch_until_asked(self) -> bool:
        """Watch; True when it was ended by ``again``, or for want of a sign of life."""
        if self._asked:
            return True
        try:
            async with asyncio.timeout(None) as self._watching:
                await self._watch(self._version or "")
        except TimeoutError:
            if self._watching is None or not self._watching.expired():
                raise
            self._resumed = True
            return True
        finally:
            self._watching = None
        return False

    async def _watch(self, version: str) -> None:
        events = self._client.watch(
            self._path, resource_version=version, lasting=LASTING, silence=self._silence, params=self._selectors
        )
        async with aclosing(events) as stream:
            async for kind, item in stream:
                self._prove_later()
                if kind == "OPEN":
                    self._alive()
                    self.trouble, self.refused = "", False
                    continue
                self._well()
                self._version = item["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    self._changed(kind, item)
                    await self._breathe()
        self._alive()  # the server ended it, as asked: life enough

    def _prove_later(self) -> None:
        if self._proof is not None and self._watching is not None and not self._watching.expired():
            self._watching.reschedule(asyncio.get_running_loop().time() + self._proof)

    def _changed(self, kind: str, item: Json) -> None:
        key, uid, version = _identity(item)
        if kind == "DELETED":
            self._known.pop(key, None)
        else:
            self._known[key] = (uid, version)
        self._tell(kind, item)

    # ---- beneath

    def _tell(self, kind: str, item: Json) -> None:
        """One object that its handler cannot digest must not stop the others."""
        try:
            self._on_object(kind, item)
        except Exception:
            self.handler_errors += 1
            key, uid, version = _identity(item)
            log.exception("%s: the handler failed on %s %s", self._path, kind, key)
            # As if we had not seen it: the list that follows this watch tells of it again.
            self._known[key] = (uid, version if kind == "DELETED" else "")
            self._missed = True

    async def _breathe(self) -> None:
        if time.monotonic() - self._slice > SLICE:
            await asyncio.sleep(0)
            self._slice = time.monotonic()


def _identity(item: Json) -> tuple[str, str, str]:
    metadata = item["metadata"]
    key = f"{metadata.get('namespace', '')}/{metadata['name']}"
    return key, metadata.get("uid", ""), metadata.get("resourceVersion", "")
