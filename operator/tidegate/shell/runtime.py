"""Wiring: builds the operator's parts on one another and starts and ends them in the right order.

First everything is listed, then the loop begins: a policy that was not read yet looks like one that was deleted, and
its loans would be returned. Watching never depends on leading; acting does.

The stop is the start in reverse: no new work, slots drained, status flushed, Lease released, tasks cancelled, clients
closed, and the ports last, so that the probes tell the truth to the end.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from tidegate.control.loop import Beat
from tidegate.ports import Clock
from tidegate.shell.clients import Clients
from tidegate.shell.clock import RealClock, ScheduledClock
from tidegate.shell.driver import Driver
from tidegate.shell.events import KubeEventSink
from tidegate.shell.gates import Gate
from tidegate.shell.hearing import Hearing
from tidegate.shell.informer import Informer
from tidegate.shell.kinds import EVENTS, OVERRIDES, POLICIES, POOLS, UNHEARD, FewKinds
from tidegate.shell.leader import LeaseLeader
from tidegate.shell.lifecycle import Opened, allow_open_files, persistently
from tidegate.shell.own_metrics import OwnMetrics
from tidegate.shell.podwatch import PodWatch
from tidegate.shell.probes import Check, Heart, Probes, age_check, knowledge_check, watch_check, watches_check
from tidegate.shell.publisher import StatusPublisher
from tidegate.shell.reporter import Reporter
from tidegate.shell.settings import Settings
from tidegate.shell.showing import Showing
from tidegate.shell.stillness import Stillness
from tidegate.shell.store import WatchedStore
from tidegate.shell.tasks import TaskGroup
from tidegate.shell.watches import event_watches, stop_watch
from tidegate.shell.went import LOOKED_EVERY
from tidegate.shell.wiring import Works, build_works
from tidegate.shell.workloads import WorkloadWatch
from tidegate.targets.client import KubeClient
from tidegate.targets.loans import latest_epoch
from tidegate.targets.podindex import Watched

log = logging.getLogger("tidegate")

SILENT = 300.0
"""Seconds without a sign of life after which a watch counts as dead and the process as not alive."""
STUCK = 180.0
"""Real seconds without a beat, or without a round of the Lease's thread or of the status worker, after which the
process counts as not alive."""

OLD = {"targets": 300.0, "signals": 600.0, "pools": 600.0, "timetables": 1800.0}
"""Seconds by kind after which the process is not ready, when nothing of that kind was seen since. Judgment: several
times the age at which the planner itself stops to go by it."""

COLLECTED = 3000, 3, 66
"""Objects made after which the garbage collector looks through the youngest; how many such looks one through the middle
ones takes, and how many of those one through all. The last holds the event loop up for 70 ms where a namespace has a
thousand large objects, and Python's own numbers make it every second there; these, nine times as seldom. One through
the middle ones takes 4 ms where 2,000 targets are decided, and 12 ms were it made after ten of the first. What is in no
circle goes at once all the same."""

LOOP_ENDS, DRAINED, FLUSHED, RELEASED, CANCELLED, CLOSED = 5.0, 12.0, 3.0, 5.0, 3.0, 2.0
"""Seconds that the parts of a stop may take. Together with what kopf needs before it calls us they stay within the 40
that the chart gives; a write takes less than the 12, or is left to the Lease's duration."""


class Runtime:
    """One operator process."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is connected yet. Inside a running event loop."""
        self.settings = settings
        path = settings.clock_schedule
        self.clock: Clock = ScheduledClock.from_file(path) if path else RealClock()
        self.store = WatchedStore(self.clock.now, confine=settings.confine_queries)
        self.heart = Heart()
        self.metrics = OwnMetrics(self.clock.now)
        self.stillness = Stillness()
        self.group = TaskGroup(
            clock=time.monotonic, later=asyncio.get_running_loop().call_later, on_restart=self.metrics.restarted
        )
        self.gates: list[Gate] = []
        self.probes: Probes | None = None
        self.few: FewKinds | None = None
        self.workloads: WorkloadWatch | None = None
        self.pods: PodWatch | None = None
        self._informers: Mapping[str, Informer] = {}
        self._hearing: Hearing | None = None
        self._alive: dict[str, Check] = {}
        self._ready: dict[str, Check] = {}
        self._waits_for = "the start"
        self._works: Works | None = None
        self._drained = True
        self._stop = asyncio.Event()
        self._opened = Opened()

    async def start(self) -> None:
        """Connect, list, watch, lead, and begin the loop. Waits for an API server that refuses or does not answer,
        for as long as it takes. A start that fails or is cancelled has closed what it opened.
        """
        try:
            await self._start()
        except BaseException:
            self._stop.set()
            await self._opened.close()
            raise

    async def stop(self) -> None:
        """End the loop between two writes, drain the slots, flush what is to be shown, give the Lease up."""
        self._stop.set()
        await self._opened.close()

    def object_seen(self, kind: str, what: str, body: Mapping[str, Any]) -> None:
        """Kopf saw a policy, an override or a pool."""
        if self.few is not None:
            self.few.seen(kind, what, body)

    def trouble(self) -> Mapping[str, str]:
        """Tasks that keep ending, and why."""
        return self.group.trouble()

    # ---- the start, in its order

    async def _start(self) -> None:
        settings = self.settings
        logging.getLogger("tidegate").setLevel(settings.log_level.upper())
        gc.set_threshold(*COLLECTED)
        allow_open_files()
        self._ready["started"] = lambda: self._waits_for or None
        await self._retry(self._listen)
        clients = await self._retry(lambda: Clients.connect(settings))
        self._opened.add("clients", lambda: self._disconnect(clients), patience=CLOSED)
        self._opened.add("tasks", self.group.stop, patience=CANCELLED)
        self.group.keep("stand-still", self.stillness.measure_for_ever)
        leader = self._leader()
        publisher = StatusPublisher(
            clients.status,
            {kind.kind: kind for kind in (EVENTS, POLICIES, OVERRIDES, POOLS)},
            now=self.clock.now,
            may_write=leader.may_write,
            per_second=settings.status_writes_per_second,
        )
        few = FewKinds(clients.watches, self.store, publisher, settings.namespaces, since=leader.since)
        await self._retry(few.list_first)
        self.few = few
        sink = KubeEventSink(clients.status, clients.status_discovery, instance=settings.identity, now=self.clock.now)
        works = self._works = build_works(
            settings, self.clock, self.store, clients, leader, sink, self._beaten, self._watch_age, self._pods
        )
        most_looked = int(settings.status_writes_per_second / 4 * LOOKED_EVERY)
        reporter = Reporter(self.store, publisher, sink, self.clock, cell=settings.plan.cell, most_looked=most_looked)
        self._lead(leader)
        self._show(works, clients, reporter, publisher, sink)
        self._watch(works, clients, reporter, publisher, few, leader)
        self._keep_time(few, reporter, leader)
        self._work(works)
        self._tell_of(works, leader, publisher, clients)
        self._waits_for = ""
        for name in settings.unknown:
            log.warning("%s is set but means nothing; is it misspelt?", name)
        scope = ", ".join(settings.namespaces) if settings.namespaces else "the whole cluster"
        log.info("watching %s as %s", scope, settings.identity)

    async def _retry(self, attempt: Callable[[], Any]) -> Any:
        def waits_for(why: str) -> None:
            self._waits_for = why

        return await persistently(attempt, on_failure=waits_for)

    async def _disconnect(self, clients: Clients) -> None:
        if self._works is not None:
            await self._works.close()
        await clients.close()

    async def _listen(self) -> None:
        probes = Probes(
            alive=self._alive,
            ready=self._ready,
            registry=self.metrics.registry,
            probe_port=self.settings.listen_probes,
            metrics_port=self.settings.listen_metrics,
        )
        await probes.start()
        self.probes = probes
        self._opened.add("probes", probes.stop, patience=CLOSED)

    def _leader(self) -> LeaseLeader:
        settings, running = self.settings, asyncio.get_running_loop()

        def tell(leading: bool) -> None:
            running.call_soon_threadsafe(self._led, leading)

        return LeaseLeader(
            lambda: KubeClient.connect(url=settings.api_url),
            namespace=settings.operator_namespace,
            name=settings.lease_name,
            identity=settings.identity,
            past_epoch=lambda client: latest_epoch(client, settings.namespaces),
            on_change=tell,
        )

    def _lead(self, leader: LeaseLeader) -> None:
        async def release() -> None:
            await asyncio.to_thread(leader.stop, patience=RELEASED, release=self._drained)

        self._opened.add("Lease", release, patience=RELEASED + 1.0)
        self.group.keep("lease thread", leader.keep)

    def _show(
        self, works: Works, clients: Clients, reporter: Reporter, publisher: StatusPublisher, sink: KubeEventSink
    ) -> None:
        self.workloads = workloads = WorkloadWatch(
            clients.watches,
            works.targets.discovery,
            self.settings.namespaces,
            group=self.group,
            on_change=works.moved,
            on_watch=self.metrics.watch_age,
            shelf=works.shelf,
        )

        self.pods = pods = PodWatch(clients.watches, group=self.group, on_watch=self.metrics.watch_age)

        def know(beat: Beat) -> None:
            workloads.know(beat.world.policies.values(), works.places())
            pods.know(pools=bool(beat.world.pools))

        self.showing = Showing(reporter, self.metrics, on_beat=know)

        async def flush() -> None:
            await self.showing.show_waiting()
            await publisher.flush(patience=FLUSHED - 0.5)
            await sink.flush(patience=0.5)

        self._opened.add("status", flush, patience=FLUSHED + 1.0)
        self.group.keep("status", publisher.run)
        self.group.keep("events", sink.run)
        self.group.keep("showing", self.showing.run)

    def _watch(
        self,
        works: Works,
        clients: Clients,
        reporter: Reporter,
        publisher: StatusPublisher,
        few: FewKinds,
        leader: LeaseLeader,
    ) -> None:
        def synced() -> None:
            self.heart.beat()
            works.wake()

        self.store.on_change = works.wake
        informers = event_watches(
            clients.watches, self.settings.namespaces, self.store, reporter, publisher, on_sync=synced
        )
        stop = stop_watch(clients.watches, self.settings.operator_namespace, self.store, on_sync=synced)
        several = informers if self.settings.namespaces else {}
        closed = works.loop.book
        self._hearing = hearing = Hearing(stop, few, leader.since, self.clock.now, several, lambda: closed.closed)
        self.store.hearing, self.store.hearing_in = hearing.unheard, hearing.unheard_in
        self.metrics.unheard(hearing.unheard_in)
        self._informers = {f"liveevents {scope}".strip(): one for scope, one in informers.items()} | {"stop": stop}
        self._alive["stop"] = watch_check(stop, limit=SILENT)
        self._alive["liveevents"] = watches_check(informers, limit=SILENT)
        for name, informer in self._informers.items():
            self.metrics.watch_age(name, informer.age_seconds)
            self.group.keep(f"watch {name}", informer.run)

    def _keep_time(self, few: FewKinds, reporter: Reporter, leader: LeaseLeader) -> None:
        self.group.keep("status sweep", reporter.sweep_for_ever)
        self.group.keep("relist", few.list_for_ever)
        self.group.keep("deletions", few.expire_for_ever)
        self.group.keep("hearing", lambda: self._listen_again(leader, few))
        self.group.keep("asking", few.ask_for_ever)

    def _work(self, works: Works) -> None:
        """Gates and the loop. At the stop the loop ends first, then what is under way is waited for."""

        async def drain() -> None:
            drained = await asyncio.gather(*(gate.drain(DRAINED - 1.0) for gate in self.gates))
            self._drained = self._drained and all(drained)

        async def end_loop() -> None:
            works.wake()
            self._drained = await self.group.finish("loop", patience=LOOP_ENDS - 1.0)

        self.gates = works.gates(self.group, self.metrics.job_ended)
        self._opened.add("slots", drain, patience=DRAINED)
        for gate in self.gates:
            self.group.keep(f"gate {gate.name}", gate.run)
        self._opened.add("loop", end_loop, patience=LOOP_ENDS)
        works.loop.on_due = self._wake_gates
        driver = Driver(works.loop, self.clock, beat_seconds=self.settings.beat_seconds, wake_gates=self._wake_gates)
        self.group.keep("loop", lambda: driver.run(self._stop))

    def _wake_gates(self) -> None:
        for gate in self.gates:
            gate.wake()

    def _tell_of(self, works: Works, leader: LeaseLeader, publisher: StatusPublisher, clients: Clients) -> None:
        """What probes and metrics are asked for."""
        beating = self.heart.check(limit=STUCK)
        self.heart.beat()
        # Before the first lists are complete there is no beat: a server that is slow to list is no reason to die.
        self._alive["loop"] = lambda: beating() if self.store.plannable else None
        self._alive["lease"] = age_check(leader.age_seconds, limit=STUCK)
        self._alive["status"] = age_check(publisher.age_seconds, limit=STUCK)
        self._ready["synced"] = lambda: None if self.store.synced else "the first lists are not complete"
        hearing = self._hearing
        self._ready["on-call"] = lambda: hearing.trouble() if hearing is not None and leader.may_write() else None
        self._ready["knowledge"] = knowledge_check(works.ages, limits=OLD)
        self.metrics.oldest_knowledge(works.ages)
        self.metrics.leader(leader.may_write)
        self.metrics.clock_skew(lambda: clients.looks.clock_skew_seconds)
        self.metrics.stand_still(self.stillness.longest)
        self.metrics.decision_age(self.heart.age)
        self.metrics.troubled_tasks(self.group.trouble)

    # ---- what happens

    def _watch_age(self, kind: tuple[str, str], scope: str) -> float:
        return self.workloads.age(kind, scope) if self.workloads is not None else math.inf

    def _pods(self) -> Watched | None:
        return self.pods.watched() if self.pods is not None else None

    def _led(self, leading: bool) -> None:
        log.info("leading" if leading else "not leading")
        if leading:  # nothing is written before these are heard; events come after what was missed
            for name, informer in self._informers.items():
                informer.again(list_all=name == "stop")
            if self.few is not None:
                self.few.hear()
        self.store.on_change("")

    async def _listen_again(self, leader: LeaseLeader, few: FewKinds) -> None:
        """See that the durable stop is listed whenever we have begun to lead, whoever told us of it or not, or when it
        cannot be heard of any more, and that the few kinds are listed after a watch of ours broke.
        """
        while True:
            await asyncio.sleep(UNHEARD)
            few.broke(max(one.broke_at for one in self._informers.values()))
            lost = self._hearing is not None and self._hearing.stop_lost_since() is not None
            if lost or self._informers["stop"].listed_at < leader.since() < math.inf:
                self._informers["stop"].again(list_all=True)

    def _beaten(self, beat: Beat) -> None:
        self.heart.beat()
        self.showing.take(beat)
