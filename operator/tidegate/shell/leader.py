"""Whether this process may act: one Lease, renewed in a thread of its own and timed by the monotonic clock.

A thread, because a plan that takes seconds must not cost the leadership. The monotonic clock, because a wall clock may
jump, and two machines' clocks never agree: a Lease counts as abandoned when *we* have watched it stand still for its
whole duration. Safety rests on that and on one inequality: a leader stops writing ``deadline`` seconds after its last
renewal was *sent*, and nobody takes its Lease before ``duration`` seconds have passed since that renewal was *seen*.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from tidegate.pauses import Pauses
from tidegate.ports import ConflictError, Json, NotFoundError, TidegateError
from tidegate.targets.client import KubeClient, the_object
from tidegate.targets.discovery import Resource
from tidegate.targets.errors import NotServedError
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
    recording: float = 120.0
    """Seconds that one look for the epochs on record may take; it goes on beside the rounds and holds none of them
    up."""
    trials: int = 5
    """Rounds that fail in a row before the client is given up for a new one."""
    longest: float = 60.0
    """Seconds after which a Lease that stands still is taken whatever duration it claims: nobody of ours claims
    more than a quarter of that, and a slip of a hand must not keep everybody from leading for years."""


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
        self._pauses = Pauses(first=times.renew_every, longest=times.renew_every, least=0.9)
        self._renewed: float | None = None
        self._since = math.inf
        self._epoch = 0
        self._recorded = False
        """The epochs on record elsewhere are known."""
        self._highest = 0
        """Highest epoch that we know of: on record elsewhere, or in a Lease that we saw."""
        self._seen: tuple[object, ...] = ()
        self._seen_at = 0.0
        self._told: float | None = None
        """Since when we lead, as was told last; None: that we do not."""
        self._release_it = True
        self._life = time.monotonic()
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

    def since(self) -> float:
        """When we began to lead, or led again after we might not write for a while, by the monotonic clock; infinite
        before we ever led.
        """
        return self._since

    def age_seconds(self) -> float:
        """Seconds since the thread last came round."""
        return time.monotonic() - self._life

    def start(self) -> None:
        """Begin to stand for the Lease; begins anew when the thread has ended by itself."""
        if self._stopping.is_set() or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._thread.start()

    async def keep(self) -> None:
        """Look now and then that the thread lives, and start it anew when it does not."""
        while True:
            self.start()
            await asyncio.sleep(self._times.renew_every)

    def stop(self, *, patience: float = 8.0, release: bool = True) -> None:
        """Stop writing at once, give the Lease up so that the next one need not wait, and end the thread.

        The caller has ended its own writes before; if it could not, ``release`` is False: then the others wait for
        the Lease's duration, as after a crash, and a late write meets no other writer. Returns after ``patience``
        seconds at the latest.
        """
        self._release_it = release
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
        failures = 0
        while not self._stopping.is_set():
            try:
                asyncio.run(self._main())
            except BaseException as error:  # whatever it is, the thread goes on: nobody else can lead
                failures += 1
                log.error("lease: the thread has failed and begins anew", exc_info=error)
                self.trouble = repr(error)
                self._stopping.wait(min(30.0, self._times.renew_every * failures))
        self._renewed = None
        self._tell(leading=False)

    async def _main(self) -> None:
        """One client after the other, until the stop."""
        stop = asyncio.Event()
        self._wake = (asyncio.get_running_loop(), stop)
        while not self._stopping.is_set():
            async with asyncio.timeout(self._times.deadline):
                client = await self._connect()
            try:
                await self._serve(client, stop)
            finally:
                with suppress(Exception):
                    await client.close()

    async def _serve(self, client: KubeClient, stop: asyncio.Event) -> None:
        """Rounds with one client, until the stop or until too many in a row failed."""
        recording = asyncio.create_task(self._record(client), name="epochs on record")
        failures = 0
        try:
            while not self._stopping.is_set() and failures < self._times.trials:
                self._life = time.monotonic()
                missed = await self._round(client)
                failures = failures + missed if missed else 0
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._pauses.after(1))
            if self._stopping.is_set() and self._release_it:
                await self._release(client)
        finally:
            recording.cancel()
            await asyncio.wait({recording})

    async def _record(self, client: KubeClient) -> None:
        """Learn the highest epoch on record elsewhere, once. Beside the rounds: where the Loans take long to list, a
        Lease that is ours must be renewed meanwhile, and taking one must be a quick request.
        """
        while not self._recorded:
            try:
                async with asyncio.timeout(self._times.recording):
                    self._highest = max(self._highest, await self._past_epoch(client))
                    self._recorded = True
            except (TidegateError, TimeoutError) as error:
                log.warning("lease: the epochs on record are not known yet: %s", error or "no answer in time")
                await asyncio.sleep(self._times.renew_every)
            except Exception:
                log.exception("lease: the epochs on record are not known yet")
                await asyncio.sleep(self._times.renew_every)

    async def _round(self, client: KubeClient) -> int:
        """Look at the Lease and renew or take it. 0 when the server answered, 1 when it did not; as many as make us
        give the client up when the client itself failed.
        """
        missed = 0
        try:
            async with asyncio.timeout(self._times.deadline / 3):  # one that hangs leaves time for another
                await self._renew_or_take(client)
            self.trouble = "" if self._recorded else "the epochs on record are not known yet"
        except ConflictError as error:
            log.debug("lease: %s", error)  # somebody was quicker: look again in the next round
        except (TidegateError, TimeoutError) as error:
            missed, said = 1, str(error) or "no answer in time"
            if said != self.trouble:
                log.warning("lease: %s", said)
            self.trouble = said
        except Exception as error:
            log.exception("lease: unexpected")  # a thread that dies in silence would never lead again
            missed, self.trouble = self._times.trials, repr(error)
        self._tell(leading=self.may_write())
        return missed

    async def _renew_or_take(self, client: KubeClient) -> None:
        sent = time.monotonic()  # before the request: a late answer must not lengthen our time
        try:
            lease = await self._look(client)
        except NotServedError:
            raise  # which says nothing of the Lease
        except NotFoundError:
            self._renewed = None
            if self._recorded:
                sent, epoch = time.monotonic(), self._highest + 1
                self._wrote(await client.create(self._collection, self._document(epoch, since=_now())))
                self._lead(epoch, sent)
            return
        spec = lease.get("spec") or {}
        self._highest = max(self._highest, int(spec.get("leaseTransitions") or 0))
        if spec.get("holderIdentity") == self._identity:
            epoch = self._highest  # also where somebody has lowered the number: epochs only grow
            document = self._document(epoch, since=spec.get("acquireTime"), lease=lease)
            self._wrote(await client.replace(self._path, document))
            self._lead(epoch, sent)
            return
        self._renewed = None
        if self._is_free(spec) and self._recorded:
            sent, epoch = time.monotonic(), self._highest + 1
            self._wrote(await client.replace(self._path, self._document(epoch, since=_now(), lease=lease)))
            self._lead(epoch, sent)

    async def _look(self, client: KubeClient) -> Json:
        return await client.find(self._path, self._metadata["name"])

    def _wrote(self, answer: Json) -> None:
        """UnavailableError for an answer that is no Lease, as a proxy may give: nobody leads by what is not written."""
        the_object(answer, f"writing {self._path}", self._metadata["name"])

    def _is_free(self, spec: Json) -> bool:
        """Nobody holds it, or we have watched it stand still for its holder's whole duration."""
        if not spec.get("holderIdentity"):
            return True
        seen = (spec["holderIdentity"], spec.get("renewTime"), spec.get("leaseTransitions"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, time.monotonic()
        duration = float(spec.get("leaseDurationSeconds") or self._times.duration)
        return time.monotonic() - self._seen_at >= min(duration, self._times.longest)

    def _lead(self, epoch: int, sent: float) -> None:
        if self._stopping.is_set():
            return
        self._epoch = self._highest = epoch
        if not self.may_write():
            self._since = time.monotonic()  # before the next line: who may write knows since when
        self._renewed = sent

    async def _release(self, client: KubeClient) -> None:
        """Empty the holder; if that fails, the others wait for the duration, as after a crash."""
        try:
            lease = await self._look(client)
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
        told = self._since if leading else None
        if told != self._told:  # also when it was lost and found between two looks
            self._told = told
            log.info("lease: %s (epoch %d)", "leading" if leading else "not leading", self._epoch)
            with suppress(RuntimeError):  # at the very end the loop that is told may be closed already
                self._on_change(leading)


def _now() -> str:
    """For people who read the Lease: nobody's decision depends on it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
