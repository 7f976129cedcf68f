"""Shows status, and writes it only when its meaning changed.

Of every object a digest of what it shows is kept, nothing more, so that tens of thousands of them weigh little; the
watch hands in what objects show (``seen``), a digest that differs makes the worker look at the object itself, and only
what really differs is written, as a merge patch of ``/status``. A condition keeps the time at which its status last
changed; that time alone is never a reason to write.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import orjson

from tidegate.api.conditions import merge_conditions
from tidegate.planning.model import Key
from tidegate.ports import Json, NotFoundError, StatusPatch, TidegateError, UnavailableError
from tidegate.targets.client import Form, KubeClient
from tidegate.targets.discovery import Resource
from tidegate.targets.rules import Rule, Where

log = logging.getLogger(__name__)

RULES = (
    Rule("tidegate.dev", ("liveevents/status", "overrides/status", "scalingpolicies/status"), ("patch",)),
    Rule("tidegate.dev", ("capacitypools/status",), ("patch",), Where.CLUSTER),
)

FOREIGN = frozenset({"kopf"})
"""Parts of a status that are somebody else's: neither compared nor removed."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds, the doubling pause while the API server is unavailable, of which a random half to whole is taken."""

Name = tuple[str, Key]


class StatusPublisher:
    """``ports.Publisher`` over an API server; one worker writes, at most ``per_second`` objects a second."""

    def __init__(
        self,
        client: KubeClient,
        resources: Mapping[str, Resource],
        *,
        now: Callable[[], float],
        may_write: Callable[[], bool],
        per_second: float = 20.0,
    ) -> None:
        """``resources`` by kind; ``now`` dates changed conditions; while ``may_write`` says no, patches wait."""
        self._client = client
        self._resources = dict(resources)
        self._now = now
        self._may_write = may_write
        self._pause = 1.0 / per_second
        self._wanted: dict[Name, Json] = {}
        self._shown: dict[Name, bytes] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self.writes = 0
        """Patches sent that the server took."""
        self.refused = 0
        """Patches that the server refused; each was logged and is not repeated until something changes."""

    def publish(self, patches: Iterable[StatusPatch]) -> None:
        """See ``ports.Publisher``."""
        for patch in patches:
            name = (patch.kind, patch.key)
            if self._shown.get(name) == digest(patch.status):
                self._wanted.pop(name, None)
            else:
                self._wanted[name] = patch.status
        if self._wanted:
            self._idle.clear()
            self._wake.set()

    def seen(self, kind: str, key: Key, status: Json | None) -> None:
        """An object was seen to show this."""
        self._shown[kind, key] = digest(status or {})

    def forget(self, kind: str, key: Key) -> None:
        """An object is gone."""
        self._shown.pop((kind, key), None)
        self._wanted.pop((kind, key), None)

    def start(self) -> None:
        """Begin to write, in the running event loop."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="status")

    async def stop(self, *, patience: float = 5.0) -> None:
        """Write what is queued, for ``patience`` seconds at most, and end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.flushed()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def flushed(self) -> None:
        """Return when nothing is queued."""
        await self._idle.wait()

    def __len__(self) -> int:
        return len(self._wanted)

    # ---- the worker

    async def _run(self) -> None:
        failures = 0
        while True:
            await self._next()
            name, status = next(iter(self._wanted.items()))
            try:
                written = await self._show(name, status)
            except UnavailableError as error:
                failures += 1
                longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 10))
                log.info("status: %s; %d wait", error, len(self._wanted))
                self._wanted[name] = self._wanted.pop(name)  # the others first: one bad object holds nobody up
                await asyncio.sleep(random.uniform(longest / 2, longest))
                continue
            except Exception:
                log.exception("status of %s %s", *name)
                written = True
            failures = 0
            if self._wanted.get(name) is status:  # nobody has asked for another since
                del self._wanted[name]
            if written:
                await asyncio.sleep(self._pause)

    async def _next(self) -> None:
        """Return when there is something to write, and we may."""
        while not self._wanted:
            self._idle.set()
            self._wake.clear()
            await self._wake.wait()
        while not self._may_write():  # noqa: ASYNC110  the Lease is another thread's; nothing tells of it but this
            await asyncio.sleep(0.5)

    async def _show(self, name: Name, status: Json) -> bool:
        """Bring one object's status to ``status``; whether that took a write."""
        kind, key = name
        wanted = digest(status)
        path = self._resources[kind].path(key.namespace, key.name)
        try:
            current = (await self._client.get(path)).get("status") or {}
            self._shown[name] = digest(current)
            said = self._dated(current, _told(status))
            change = difference(current, said) if self._shown[name] != wanted else {}
            if change:
                await self._client.patch(f"{path}/status", {"status": change}, Form.MERGE)
                self.writes += 1
            self._shown[name] = wanted
        except NotFoundError:
            self._shown.pop(name, None)
            return False
        except UnavailableError:
            raise
        except TidegateError as error:
            self.refused += 1
            self._shown[name] = wanted  # not shown, but not worth asking again either until one of the two changes
            log.error("status of %s %s: %s", kind, key, error)
            return True
        return bool(change)

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
