"""Wiring: builds the operator's parts on one another and starts and ends them in the right order.

First everything is listed, then the loop begins: a policy that was not read yet looks like one that was deleted, and
its loans would be returned. Watching never depends on leading; acting does.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tidegate.api.loan import loan_from_object, loan_to_object
from tidegate.control.apply import Applier
from tidegate.control.clock import RealClock, ScheduledClock
from tidegate.control.gather import Gatherer
from tidegate.control.ledger import Ledger
from tidegate.control.loop import Beat, Loop, LoopSettings
from tidegate.control.pools import PoolKeeper
from tidegate.control.stop import NAME as STOP
from tidegate.control.stop import stop_path
from tidegate.metrics.prometheus import PrometheusSource
from tidegate.metrics.recorded import RecordedSource
from tidegate.planning.model import Freshness, Reading, Ref
from tidegate.planning.shift.step import summary
from tidegate.ports import Clock, MetricsSource
from tidegate.shell.events import KubeEventSink
from tidegate.shell.informer import Informer
from tidegate.shell.kinds import EVENTS, OVERRIDES, POLICIES, POOLS, FewKinds
from tidegate.shell.leader import LeaseLeader
from tidegate.shell.probes import Heart, OwnMetrics, Probes, watch_check
from tidegate.shell.publisher import StatusPublisher
from tidegate.shell.reporter import Reporter
from tidegate.shell.settings import Settings
from tidegate.shell.store import WatchedStore, key_of
from tidegate.shell.workloads import WorkloadWatch
from tidegate.targets.client import KubeClient
from tidegate.targets.loans import KubeLoanBook, latest_epoch, loan_key
from tidegate.targets.pools import KubePools
from tidegate.targets.registry import KubeTargets

log = logging.getLogger("tidegate")

SILENT = 300.0
"""Seconds without a sign of life after which a watch counts as dead and the process as not alive."""
STUCK = 180.0
"""Real seconds without a beat after which the process counts as not alive."""


class Runtime:
    """One operator process."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is connected yet."""
        self.settings = settings
        path = settings.clock_schedule
        self.clock: Clock = ScheduledClock.from_file(path) if path else RealClock()
        self.store = WatchedStore(self.clock.now)
        self.heart = Heart()
        self.metrics = OwnMetrics()
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect, list, watch, lead, and begin the loop."""
        settings = self.settings
        _log_to(settings)
        self.client = await KubeClient.connect(url=settings.api_url)
        self.targets = KubeTargets(self.client)
        discovery = self.targets.discovery
        book = KubeLoanBook(self.client, settings.namespaces, to_object=loan_to_object, from_object=loan_from_object)
        running = asyncio.get_running_loop()

        def tell(leading: bool) -> None:
            running.call_soon_threadsafe(self._led, leading)

        self.leader = LeaseLeader(
            lambda: KubeClient.connect(url=settings.api_url),
            namespace=settings.operator_namespace,
            name=settings.lease_name,
            identity=settings.identity,
            past_epoch=lambda client: latest_epoch(client, settings.namespaces),
            on_change=tell,
        )
        self.publisher = StatusPublisher(
            self.client,
            {one.kind: one for one in (EVENTS, POLICIES, OVERRIDES, POOLS)},
            now=self.clock.now,
            may_write=self.leader.may_write,
            per_second=settings.status_writes_per_second,
        )
        self.sink = KubeEventSink(self.client, discovery, instance=settings.identity, now=self.clock.now)
        self.reporter = Reporter(self.store, self.publisher, self.sink, self.clock, cell=settings.plan.cell)
        ledger = Ledger(self.targets, book, self.clock, self.leader, loan_key)
        self.source = source = _source(settings)
        self.few = FewKinds(self.client, self.store, self.publisher, settings.namespaces)
        pools = KubePools(self.client, self.targets, now=self.clock.now)
        idle = 4 * settings.beat_seconds
        self.loop = Loop(
            clock=self.clock,
            store=self.store,
            gatherer=Gatherer(self.targets, source, ledger, idle_seconds=idle),
            ledger=ledger,
            leadership=self.leader,
            applier=Applier(self.targets, ledger, self.clock),
            # Pools, nodes and other namespaces' work are of the whole cluster: some namespaces have none.
            pools=None if settings.namespaces else PoolKeeper(pools, source, ledger, self.clock, self.sink, idle),
            settings=LoopSettings(beat_seconds=settings.beat_seconds, idle_seconds=idle),
            plan_settings=settings.plan,
            on_beat=self._on_beat,
        )
        self.store.on_change = self.loop.wake.set
        self.workloads = WorkloadWatch(self.client, discovery, settings.namespaces, on_change=self._touched)
        self.informers = self._informers()
        self.probes = self._probes()
        await self.probes.start()
        await self.few.list_all()
        self.store.policies_synced = True
        self.publisher.start()
        self.sink.start()
        for informer in self.informers.values():
            informer.start()
        self.leader.start()
        self._spawn(self.loop.run(self._stop), "loop")
        self._spawn(self.reporter.sweep_for_ever(), "status sweep")
        self._spawn(self.few.list_for_ever(), "relist")
        for name in settings.unknown:
            log.warning("%s is set but means nothing; is it misspelt?", name)
        scope = ", ".join(settings.namespaces) if settings.namespaces else "the whole cluster"
        log.info("watching %s as %s", scope, settings.identity)

    async def stop(self) -> None:
        """End the loop between two writes, flush what is to be shown, give the Lease up."""
        self._stop.set()
        self.loop.wake.set()
        if self._tasks:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._tasks[0]), 8.0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.workloads.stop()
        for informer in self.informers.values():
            await informer.stop()
        await self.publisher.stop()
        await self.sink.stop()
        await asyncio.to_thread(self.leader.stop)
        await self.probes.stop()
        close = getattr(self.source, "close", None)
        if close is not None:
            await close()
        await self.client.close()

    def object_seen(self, kind: str, what: str, body: Mapping[str, Any]) -> None:
        """Kopf saw a policy, an override or a pool."""
        self.few.seen(kind, what, body)

    # ---- parts

    def _informers(self) -> dict[str, Informer]:
        found: dict[str, Informer] = {}
        scopes = self.settings.namespaces or ("",)
        waiting = set(scopes)

        def complete(scope: str) -> None:
            waiting.discard(scope)
            if not waiting:
                if not self.store.events_synced:
                    gc.freeze()  # tens of thousands of events stay: looking through them again and again costs 25 %
                self.store.events_synced = True
                self.loop.wake.set()

        for scope in scopes:
            name = f"liveevents {scope}".strip()
            found[name] = Informer(
                self.client,
                EVENTS.path(scope),
                on_object=self._event_seen,
                on_sync=lambda scope=scope: complete(scope),  # type: ignore[misc]
            )
        found["stop"] = Informer(
            self.client,
            stop_path(self.settings.operator_namespace),
            on_object=lambda kind, _: self.store.set_stopped(kind != "DELETED"),
            on_sync=self._stop_listed,
            selectors={"fieldSelector": f"metadata.name={STOP}"},
        )
        return found

    def _stop_listed(self) -> None:
        self.store.stop_synced = True
        self.loop.wake.set()

    def _probes(self) -> Probes:
        alive = {name: watch_check(one.age_seconds, limit=SILENT) for name, one in self.informers.items()}
        alive["loop"] = self.heart.check(limit=STUCK)
        for name, one in self.informers.items():
            self.metrics.watch_age(name, one.age_seconds)
        self.metrics.leader(self.leader.may_write)
        self.metrics.clock_skew(lambda: self.client.clock_skew_seconds)
        return Probes(
            alive=alive,
            ready={"synced": lambda: None if self.store.synced else "the first lists are not complete"},
            registry=self.metrics.registry,
            probe_port=self.settings.listen_probes,
            metrics_port=self.settings.listen_metrics,
        )

    # ---- what happens

    def _event_seen(self, kind: str, obj: Mapping[str, Any]) -> None:
        key = key_of(obj)
        if kind == "DELETED":
            self.store.delete_event(key)
            self.reporter.forget(key)
            self.publisher.forget("LiveEvent", key)
            return
        self.publisher.seen("LiveEvent", key, obj.get("status"))
        self.store.put_event(obj)
        self.reporter.arrived(key)

    def _touched(self, ref: Ref) -> None:
        self.targets.forget(ref.namespace)
        self.loop.touch(ref)

    def _led(self, leading: bool) -> None:
        log.info("leading, epoch %d" if leading else "not leading (epoch %d)", self.leader.epoch)
        self.loop.wake.set()

    def _on_beat(self, beat: Beat) -> None:
        self.heart.beat()
        self.workloads.know(
            beat.world.policies.values(), (look.sight.place for look in self.loop.gatherer.sights.values())
        )
        self.reporter.report(beat)
        for one in beat.applied:
            self.metrics.wrote("floor", "ok" if one.error is None else "failed")
        for key, plan in beat.plan.targets.items():
            seen = beat.world.observed.get(key)
            self.metrics.target(
                *key,
                floor=plan.level,
                level=seen.level if seen else None,
                ready=seen.ready if seen else None,
                next_step_seconds=plan.next_at - beat.now if plan.next_at is not None else None,
                overrides=len(plan.overridden),
            )
        self.metrics.keep(set(beat.plan.targets))
        for name, view in beat.plan.pools.items():
            shifts = [summary(view.facts, lane, view.step.hand_overs) for lane in view.step.balance.lanes]
            lanes = {shift.lane: (shift.lent, shift.draining) for shift in shifts}
            self.metrics.pool(name, lanes, oversold=view.step.balance.oversold, refused=len(view.plan.refusals))
        self.metrics.keep_pools(beat.plan.pools)
        for policy in beat.world.policies:
            blind = any(p.blind for (key, _), p in beat.plan.targets.items() if key == policy)
            self.metrics.blind(policy, blind=blind)

    def _spawn(self, job: Any, name: str) -> None:
        task = asyncio.create_task(job, name=name)
        task.add_done_callback(_say_the_end)
        self._tasks.append(task)


def _say_the_end(task: asyncio.Task[None]) -> None:
    """A task of ours that ends by itself with an error must not do so in silence."""
    if not task.cancelled() and task.exception() is not None:
        log.error("%s has ended: the process should be started anew", task.get_name(), exc_info=task.exception())


class _Nowhere:
    """No metrics source is configured: every query is unreachable, which is not zero."""

    async def read(self, query: str, *, now: float, stale_after: float) -> Reading:
        """See ``ports.MetricsSource``."""
        return Reading(Freshness.UNREACHABLE, None, now, "no metrics source is configured")


def _source(settings: Settings) -> MetricsSource:
    if settings.recorded_metrics is not None:
        return RecordedSource.from_file(settings.recorded_metrics)
    if settings.prometheus_url is not None:
        return PrometheusSource(settings.prometheus_url)
    return _Nowhere()


def _log_to(settings: Settings) -> None:
    logging.getLogger("tidegate").setLevel(settings.log_level.upper())
