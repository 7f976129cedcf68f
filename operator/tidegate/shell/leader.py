"""Whether this process may act: one Lease, renewed in a thread of its own and timed by the monotonic clock.

A thread, because a plan that takes seconds must not cost the leadership. The monotonic clock, because a wall clock may
jump, and two machines' clocks never agree: a Lease counts as abandoned when *we* have watched it stand still for its
whole duration. Safety rests on that and on one inequality: a leader stops writing ``deadline`` seconds after its last
renewal was *sent*, and nobody takes its Lease before ``duration`` seconds have passed since that renewal was *seen*.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from tidegate.ports import ConflictError, Json, NotFoundError, TidegateError
from tidegate.targets.client import KubeClient
from tidegate.targets.discovery import Resource
from tidegate.targets.rules import LEASE_NAME, Rule, Where

log = logging.getLogger(__name__)

LEASES = Resource("coordination.k8s.io/v1", "Lease", "leases", namespaced=True, scale=False)

RULES = (
    Rule("coordination.k8s.io", ("leases",), ("create",), Where.HOME),
    Rule("coordination.k8s.io", ("leases",), ("get", "update"), Where.HOME, names=(LEASE_NAME,)),
)


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """When a Lease is renewed and when it is lost."""

    duration: float = 15.0
    """Seconds without a renewal after which others may take it."""
    renew_every: float = 2.0
    """Seconds between renewals, and between looks of those who wait."""
    deadline: float = 10.0
    """Seconds after the last renewal at which we stop writing: a third of the duration before anybody takes over, which
    is more than the longest single write takes."""


class LeaseLeader:
    """``ports.Leadership`` by a Lease. ``start`` and ``stop`` from any one thread; ``may_write`` from all."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[KubeClient]],
        *,
        namespace: str,
        name: str,
        identity: str,
        past_epoch: Callable[[KubeClient], Awaitable[int]],
        on_change: Callable[[bool], None],
        times: LeaseTimes = LeaseTimes(),
    ) -> None:
        """``connect`` is called in the thread's own event loop. ``identity`` must be this life's alone: a restarted
        process waits for its former life's Lease like anybody else. ``past_epoch`` tells the highest epoch on record
        elsewhere, so that epochs grow even when the Lease was deleted. ``on_change`` is told of leading or not, in
        that thread.
        """
        self._connect = connect
        self._path = LEASES.path(namespace, name)
        self._collection = LEASES.path(namespace)
        self._metadata = {"namespace": namespace, "name": name}
        self._identity = identity
        self._past_epoch = past_epoch
        self._on_change = on_change
        self._times = times
        self._renewed: float | None = None
        self._epoch = 0
        self._seen: tuple[object, ...] = ()
        self._seen_at = 0.0
        self._told = False
        self._stopping = threading.Event()
        self._wake: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._thread: threading.Thread | None = None
        self.trouble = ""
        """Why the last round failed; empty when it did not."""

    def may_write(self) -> bool:
        """See ``ports.Leadership``."""
        renewed = self._renewed
        return renewed is not None and time.monotonic() - renewed < self._times.deadline

    @property
    def epoch(self) -> int:
        """See ``ports.Leadership``; 0 before we ever led."""
        return self._epoch

    def start(self) -> None:
        """Begin to stand for the Lease."""
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._thread.start()

    def stop(self, *, patience: float = 8.0) -> None:
        """Stop writing at once, give the Lease up so that the next one need not wait, and end the thread.

        The caller has ended its own writes before. Returns after ``patience`` seconds at the latest.
        """
        self._stopping.set()
        self._renewed = None
        if self._wake is not None:
            loop, event = self._wake
            with suppress(RuntimeError):  # the loop has ended by itself
                loop.call_soon_threadsafe(event.set)
        if self._thread is not None:
            self._thread.join(patience)

    # ---- in the thread

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception as error:
            log.exception("lease: the thread has ended; this process will never lead")
            self.trouble = repr(error)

    async def _main(self) -> None:
        stop = asyncio.Event()
        self._wake = (asyncio.get_running_loop(), stop)
        client = await self._connect()
        try:
            while not self._stopping.is_set():
                await self._round(client)
                with suppress(TimeoutError):
                    pause = self._times.renew_every * random.uniform(0.9, 1.0)
                    await asyncio.wait_for(stop.wait(), pause)
            await self._release(client)
        finally:
            self._renewed = None
            self._tell(leading=False)
            await client.close()

    async def _round(self, client: KubeClient) -> None:
        try:
            async with asyncio.timeout(self._times.deadline / 3):  # one that hangs leaves time for another
                await self._renew_or_take(client)
            self.trouble = ""
        except ConflictError as error:
            log.debug("lease: %s", error)  # somebody was quicker: look again in the next round
        except (TidegateError, TimeoutError) as error:
            if str(error) != self.trouble:
                log.warning("lease: %s", error)
            self.trouble = str(error)
        except Exception as error:
            log.exception("lease: unexpected")  # a thread that dies in silence would never lead again
            self.trouble = repr(error)
        self._tell(leading=self.may_write())

    async def _renew_or_take(self, client: KubeClient) -> None:
        sent = time.monotonic()  # before the request: a late answer must not lengthen our time
        try:
            lease = await client.get(self._path)
        except NotFoundError:
            self._renewed = None
            epoch = await self._past_epoch(client) + 1
            sent = time.monotonic()
            await client.create(self._collection, self._document(epoch, since=_now()))
            self._lead(epoch, sent)
            return
        spec = lease.get("spec") or {}
        epoch = int(spec.get("leaseTransitions") or 0)
        if spec.get("holderIdentity") == self._identity:
            await client.replace(self._path, self._document(epoch, since=spec.get("acquireTime"), lease=lease))
            self._lead(epoch, sent)
            return
        self._renewed = None
        if self._is_free(spec):
            epoch = max(epoch, await self._past_epoch(client)) + 1
            sent = time.monotonic()
            await client.replace(self._path, self._document(epoch, since=_now(), lease=lease))
            self._lead(epoch, sent)

    def _is_free(self, spec: Json) -> bool:
        """Nobody holds it, or we have watched it stand still for its holder's whole duration."""
        if not spec.get("holderIdentity"):
            return True
        seen = (spec["holderIdentity"], spec.get("renewTime"), spec.get("leaseTransitions"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, time.monotonic()
        return time.monotonic() - self._seen_at >= float(spec.get("leaseDurationSeconds") or self._times.duration)

    def _lead(self, epoch: int, sent: float) -> None:
        if self._stopping.is_set():
            return
        self._epoch = epoch
        self._renewed = sent

    async def _release(self, client: KubeClient) -> None:
        """Empty the holder; if that fails, the others wait for the duration, as after a crash."""
        try:
            lease = await client.get(self._path)
            if (lease.get("spec") or {}).get("holderIdentity") == self._identity:
                epoch = int(lease["spec"].get("leaseTransitions") or 0)
                await client.replace(self._path, self._document(epoch, since=None, lease=lease, holder=""))
        except TidegateError as error:
            log.warning("lease: not released: %s", error)

    def _document(self, epoch: int, *, since: str | None, lease: Json | None = None, holder: str | None = None) -> Json:
        """The Lease as we want it; a replacement bears the resourceVersion of what was read."""
        spec = {
            "holderIdentity": self._identity if holder is None else holder,
            "leaseDurationSeconds": int(self._times.duration),
            "leaseTransitions": epoch,
            "renewTime": _now(),
            "acquireTime": since or _now(),
        }
        metadata = lease["metadata"] if lease else self._metadata
        return {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}

    def _tell(self, *, leading: bool) -> None:
        if leading != self._told:
            self._told = leading
            log.info("lease: %s (epoch %d)", "leading" if leading else "not leading", self._epoch)
            self._on_change(leading)


def _now() -> str:
    """For people who read the Lease: nobody's decision depends on it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
