"""Objects as bytes, the revision counter, and the bounded log that watches read from.

An object is kept as the JSON that will be sent and nothing else: a list is a join, a watch event is a frame around the
same bytes, and who wants to change an object parses a copy of his own. Only labels are kept beside it, for selectors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from tidegate.embedded.errors import Json

Key = tuple[str, str]
"""Namespace ("" for cluster-scoped objects) and name."""

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of one object."""

    namespace: str
    name: str
    revision: int
    labels: dict[str, str]
    raw: bytes

    def document(self) -> Json:
        """A fresh copy, for the caller to keep or to change."""
        document: Json = orjson.loads(self.raw)
        return document


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one object. ``item`` is its last state, also of a deleted one (at the deletion's revision)."""

    type: str
    item: Stored
    before: Stored | None


class Bucket:
    """All objects of one kind, and what happened to them lately."""

    def __init__(self, log_size: int) -> None:
        self._items: dict[Key, Stored] = {}
        self._order: list[Key] | None = None
        self._log: list[Change] = []
        self._dropped = 0
        self._dropped_revision = 0
        self._log_size = log_size
        self._waiters: dict[asyncio.Future[None], None] = {}  # woken in the order in which they came

    # ---- objects

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: Key) -> Stored | None:
        """One object."""
        return self._items.get(key)

    def items(self, namespace: str | None = None) -> list[Stored]:
        """All objects (of one namespace) by namespace and name, as a list of the caller's own."""
        if self._order is None:
            self._order = sorted(self._items)
        items = self._items
        if namespace is None:
            return [items[key] for key in self._order]
        return [items[key] for key in self._order if key[0] == namespace]

    def put(self, item: Stored) -> Change:
        """Store a version of an object and log it."""
        key = (item.namespace, item.name)
        before = self._items.get(key)
        self._items[key] = item
        if before is None:
            self._order = None
        return self._record(Change(ADDED if before is None else MODIFIED, item, before))

    def remove(self, item: Stored) -> Change:
        """Take an object out; ``item`` is its last state."""
        before = self._items.pop((item.namespace, item.name))
        self._order = None
        return self._record(Change(DELETED, item, before))

    # ---- what happened

    @property
    def position(self) -> int:
        """Where the log ends: a watch that starts here sees only what comes."""
        return self._dropped + len(self._log)

    def position_after(self, revision: int) -> int | None:
        """Where the first change after a revision stands; None when it is no longer remembered."""
        if revision < self._forgotten:
            return None
        first = self._first
        low, high = first - self._dropped, len(self._log)
        while low < high:
            middle = (low + high) // 2
            if self._log[middle].item.revision > revision:
                high = middle
            else:
                low = middle + 1
        return self._dropped + low

    def changes(self, position: int, *, limit: int) -> list[Change] | None:
        """At most ``limit`` changes from a position on; None when the reader fell behind what is remembered."""
        if position < self._first:
            return None
        start = position - self._dropped
        return self._log[start : start + limit]

    async def wait(self, timeout: float) -> None:  # noqa: ASYNC109 - a watch ends by time, that is its job
        """Return when something was logged, or after ``timeout`` seconds."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[future] = None
        try:
            await asyncio.wait((future,), timeout=timeout)
        finally:
            self._waiters.pop(future, None)

    @property
    def _first(self) -> int:
        """The oldest position that is still promised."""
        return max(self._dropped, self.position - self._log_size)

    @property
    def _forgotten(self) -> int:
        """The revision of the newest change that is no longer promised; 0 when all are."""
        before = self._first - self._dropped - 1
        return self._log[before].item.revision if before >= 0 else self._dropped_revision

    def _record(self, change: Change) -> Change:
        self._log.append(change)
        if len(self._log) > 2 * self._log_size + 64:  # trimmed now and then: cutting a long list costs its length
            surplus = len(self._log) - self._log_size
            self._dropped_revision = self._log[surplus - 1].item.revision
            del self._log[:surplus]
            self._dropped += surplus
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
        return change


Listener = Callable[[tuple[str, str], Change], None]


class Store:
    """All buckets and the one revision counter. Not safe for threads: everything happens on one event loop."""

    def __init__(self, *, log_size: int) -> None:
        self._log_size = log_size
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._listeners: list[Listener] = []
        self.revision = 1000

    def bucket(self, kind: tuple[str, str]) -> Bucket:
        """The bucket of (group, plural)."""
        found = self._buckets.get(kind)
        if found is None:
            found = self._buckets[kind] = Bucket(self._log_size)
        return found

    def buckets(self) -> Iterator[tuple[tuple[str, str], Bucket]]:
        """All buckets by (group, plural)."""
        return iter(list(self._buckets.items()))

    def listen(self, listener: Listener) -> None:
        """Call back after each change, in the order of changes."""
        self._listeners.append(listener)

    def commit(self, kind: tuple[str, str], document: Json, *, delete: bool = False) -> Stored:
        """The only way in: number the document, keep its bytes, log it, tell the listeners."""
        self.revision += 1
        meta: dict[str, Any] = document["metadata"]
        meta["resourceVersion"] = str(self.revision)
        labels = meta.get("labels") or {}
        raw = orjson.dumps(document)
        item = Stored(meta.get("namespace", ""), meta["name"], self.revision, labels, raw)
        bucket = self.bucket(kind)
        change = bucket.remove(item) if delete else bucket.put(item)
        for listener in self._listeners:
            listener(kind, change)
        return item
