"""Shows status, and writes it only when its meaning changed.

Of every object a digest of what it shows is kept, nothing more, so that tens of thousands of them weigh little; the
watch hands in what objects show (``seen``), a digest that differs makes the worker look at the object itself, and only
what really differs is written, as a merge patch of ``/status``. A condition keeps the time at which its status last
changed; that time alone is never a reason to write.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import orjson

from tidegate.api.conditions import merge_conditions
from tidegate.planning.model import Key
from tidegate.ports import Json, NotFoundError, StatusPatch, TidegateError, UnavailableError
from tidegate.shell.status_queue import Name, StatusQueue
from tidegate.targets.client import Form, KubeClient, the_object
from tidegate.targets.discovery import Resource
from tidegate.targets.rules import Rule, Where

log = logging.getLogger(__name__)

RULES = (
    Rule("tidegate.dev", ("liveevents/status", "overrides/status", "scalingpolicies/status"), ("patch",)),
    Rule("tidegate.dev", ("capacitypools/status",), ("patch",), Where.CLUSTER),
)

FOREIGN = frozenset({"kopf"})
"""Parts of a status that are somebody else's: neither compared nor removed."""

AT_ONCE = 4
"""Objects written at a time: one that hangs leaves room for the others, and more would not be faster than
``per_second`` allows."""

IDLE_NAP = 5.0
"""Seconds after which the worker looks round though nobody woke it: its sign of life."""

STANDBY_NAP = 0.5
"""Seconds between two looks at whether we may write: the Lease is another thread's, and nothing else tells of it."""


class StatusPublisher:
    """``ports.Publisher`` over an API server; a few objects at a time, at most ``per_second`` a second."""

    def __init__(
        self,
        client: KubeClient,
        resources: Mapping[str, Resource],
        *,
        now: Callable[[], float],
        may_write: Callable[[], bool],
        per_second: float = 20.0,
    ) -> None:
        """``resources`` by kind; ``now`` dates changed conditions; while ``may_write`` says no, patches wait.
        ``client`` should be nobody else's: a status that hangs must not take a turn from looks and writes.
        """
        self._client = client
        self._resources = dict(resources)
        self._now = now
        self._may_write = may_write
        self._pause = 1.0 / per_second
        self._queue = StatusQueue()
        self._shown: dict[Name, bytes] = {}
        self._told_again: dict[Name, tuple[Json, bytes]] = {}
        """Statuses that are told again and again, with what they mean."""
        self._writers: set[asyncio.Task[None]] = set()
        self._not_before = 0.0
        self._life = time.monotonic()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.writes = 0
        """Patches sent that the server took."""
        self.refused = 0
        """Patches that the server refused; each was logged and is not repeated until something changes."""

    def publish(self, patches: Iterable[StatusPatch]) -> None:
        """See ``ports.Publisher``."""
        for patch in patches:
            name = (patch.kind, patch.key)
            if self._shown.get(name) == self._digest(patch) and not self._queue.under_way(name):
                self._queue.drop(name)
            else:
                self._queue.put(name, patch.status, urgent=patch.urgent)
        self._changed()

    def _digest(self, patch: StatusPatch) -> bytes:
        """What a patch means. Of one that is told again and again it is found once."""
        if not patch.kept:
            return digest(patch.status)
        name = (patch.kind, patch.key)
        known = self._told_again.get(name)
        if known is None or known[0] is not patch.status:
            known = self._told_again[name] = patch.status, digest(patch.status)
        return known[1]

    def seen(self, kind: str, key: Key, status: Json | None) -> None:
        """An object was seen to show this. What cannot be understood counts as not seen."""
        try:
            self._shown[kind, key] = digest(status or {})
        except (TypeError, ValueError, RecursionError) as error:  # a number of 30 digits, say
            self._shown.pop((kind, key), None)
            log.warning("the status that %s %s shows cannot be compared: %s", kind, key, error)

    def forget(self, kind: str, key: Key) -> None:
        """An object is gone."""
        self._shown.pop((kind, key), None)
        self._told_again.pop((kind, key), None)
        self._queue.drop((kind, key))
        self._changed()

    def age_seconds(self) -> float:
        """Seconds since the worker last came round."""
        return time.monotonic() - self._life

    async def flush(self, *, patience: float) -> bool:
        """Wait until all is written, for ``patience`` seconds at most; whether it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.flushed()
        return not len(self)

    async def flushed(self) -> None:
        """Return when nothing is queued."""
        await self._idle.wait()

    def __len__(self) -> int:
        return len(self._queue)

    # ---- the worker

    async def run(self) -> None:
        """Write what is queued, for ever; writers that are under way end with it."""
        try:
            while True:
                self._life = time.monotonic()
                self._wake.clear()
                nap = self._begin_some() if self._may_write() else STANDBY_NAP
                with suppress(TimeoutError):
                    async with asyncio.timeout(nap):
                        await self._wake.wait()
        finally:
            for writer in list(self._writers):
                writer.cancel()
            if self._writers:
                await asyncio.wait(self._writers)

    def _begin_some(self) -> float:
        """Begin as many writes as may begin; seconds until there may be more, if nobody wakes us before."""
        now = time.monotonic()
        while len(self._writers) < AT_ONCE:
            if now < self._not_before:
                return self._not_before - now
            taken = self._queue.take(now, slots=AT_ONCE)
            if taken is None:
                at = self._queue.next_at()
                return IDLE_NAP if at is None else min(IDLE_NAP, max(0.01, at - now))
            writer = asyncio.create_task(self._write(*taken), name=f"status {taken[0][0]} {taken[0][1]}")
            self._writers.add(writer)
            writer.add_done_callback(self._ended)
        return IDLE_NAP

    def _ended(self, writer: asyncio.Task[None]) -> None:
        self._writers.discard(writer)
        self._changed()

    def _changed(self) -> None:
        self._wake.set()
        if len(self._queue):
            self._idle.clear()
        else:
            self._idle.set()

    async def _write(self, name: Name, status: Json) -> None:
        """One wish, from taken to done or failed, whatever happens in between."""
        answered = False
        try:
            if await self._show(name, status):
                self._not_before = max(time.monotonic(), self._not_before) + self._pause
            answered = True
        except UnavailableError as error:
            log.info("status: %s; %d wait", error, len(self._queue))
        except Exception:
            log.exception("status of %s %s", *name)
            answered = True  # a bug of ours: not worth another try until something changes
        finally:
            if answered:
                self._queue.done(name)
            else:
                self._queue.failed(name, time.monotonic())

    async def _show(self, name: Name, status: Json) -> bool:
        """Bring one object's status to ``status``; whether that took a write."""
        kind, key = name
        wanted, before = digest(status), self._shown.get(name)
        path = self._resources[kind].path(key.namespace, key.name)
        change: Json = {}
        try:
            current = (await self._client.find(path, key.name)).get("status") or {}
            if digest(current) != wanted:
                change = difference(current, self._dated(current, _told(status)))
            if change:
                if not self._may_write():  # what it shows may have been asked for seconds ago
                    raise UnavailableError("we do not lead any more")
                shown = await self._client.patch(f"{path}/status", {"status": change}, Form.MERGE)
                the_object(shown, f"PATCH {path}/status", key.name)
                self.writes += 1
        except NotFoundError:
            self._note(name, before, None)
            return False
        except UnavailableError:
            raise
        except TidegateError as error:
            self.refused += 1
            self._note(name, before, wanted)  # not shown, but not worth asking again until one of the two changes
            log.error("status of %s %s: %s", kind, key, error)
            return True
        self._note(name, before, wanted)
        return bool(change)

    def _note(self, name: Name, before: bytes | None, shown: bytes | None) -> None:
        """What the object shows now, unless the watch said otherwise while the request was under way."""
        if self._shown.get(name) is not before:
            return
        if shown is None:
            self._shown.pop(name, None)
        else:
            self._shown[name] = shown

    def _dated(self, current: Json, status: Json) -> Json:
        """The status with its conditions' times: those on show while their status stays, else now."""
        if "conditions" not in status:
            return status
        conditions = merge_conditions(current.get("conditions") or [], status["conditions"], now=self._now())
        return {**status, "conditions": conditions}


def digest(status: Json) -> bytes:
    """Eight bytes for what a status means: order of keys, absent values and times of transition do not count."""
    mine = {part: value for part, value in status.items() if part not in FOREIGN}
    return blake2b(orjson.dumps(_told(mine, "lastTransitionTime"), option=orjson.OPT_SORT_KEYS), digest_size=8).digest()


def difference(current: Json, wanted: Json) -> Json:
    """The merge patch (RFC 7386) that makes ``wanted`` of ``current``; empty when nothing differs."""
    return _difference({part: value for part, value in current.items() if part not in FOREIGN}, wanted)


def _difference(current: Json, wanted: Json) -> Json:
    patch: Json = {part: None for part in current if wanted.get(part) is None}
    for part, value in wanted.items():
        there = current.get(part)
        if value is None or there == value:
            continue
        both = isinstance(value, dict) and isinstance(there, dict)
        patch[part] = _difference(there, value) if both else value  # type: ignore[arg-type]
    return patch


def _told(value: Any, leaving_out: str | None = None) -> Any:
    """Without what is None. A merge patch takes it for a removal, but not inside a list: there a server sees a null."""
    if isinstance(value, dict):
        kept = {part: inner for part, inner in value.items() if inner is not None and part != leaving_out}
        return {part: _told(inner, leaving_out) for part, inner in kept.items()}
    return [_told(inner, leaving_out) for inner in value] if isinstance(value, list | tuple) else value
