"""Where the loop and all that it reads and writes through are built, together in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.api.loan import loan_from_object, loan_to_object
from tidegate.control.apply import Applier
from tidegate.control.gather import Gatherer
from tidegate.control.ledger import Ledger
from tidegate.control.loop import Beat, Loop, LoopSettings
from tidegate.control.pools import PoolKeeper
from tidegate.control.rounds import Round
from tidegate.metrics.prometheus import PrometheusSource
from tidegate.metrics.recorded import RecordedSource
from tidegate.planning.model import Freshness, Reading, Ref
from tidegate.ports import Clock, EventSink, Leadership, MetricsSource, Place
from tidegate.shell.clients import Clients
from tidegate.shell.gates import Gate, GateSettings
from tidegate.shell.settings import Settings
from tidegate.shell.store import WatchedStore
from tidegate.shell.tasks import TaskGroup
from tidegate.targets.loans import KubeLoanBook, loan_key
from tidegate.targets.pools import KubePools
from tidegate.targets.registry import KubeTargets


@dataclass(frozen=True, slots=True)
class Works:
    """The loop with its readers and writers, as the rest of the process knows them."""

    loop: Loop
    targets: KubeTargets
    source: MetricsSource
    clock: Clock
    rounds: Mapping[str, Round]
    """What gates drive, by the names of ``gate_settings``."""
    settings: Settings

    def wake(self) -> None:
        """Something changed that a beat should see."""
        self.loop.wake.set()

    def moved(self, ref: Ref, spec_changed: bool) -> None:
        """A watch saw an object change. A change of its status alone wakes nobody: it is seen when it is due."""
        self.targets.forget(ref.namespace)
        if spec_changed:
            self.loop.touch(ref)

    def places(self) -> Iterable[Place | None]:
        """Where the levels of all known targets lie."""
        return [look.sight.place for look in self.loop.gatherer.sights.values()]

    def ages(self) -> Mapping[str, float]:
        """Seconds of the oldest knowledge of each kind that there is."""
        now = self.clock.now()
        looks = [now - look.at for look in self.loop.gatherer.sights.values() if look.at > 0]
        return {"targets": max(looks)} if looks else {}

    def gates(self, group: TaskGroup, on_end: Callable[[str, str], None]) -> list[Gate]:
        """A gate for each round."""

        def spawn(name: str, job: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            return group.once(name, job)

        sizes = gate_settings(self.settings)
        return [
            Gate(round_, sizes[name], clock=self.clock, spawn=spawn, on_end=on_end)
            for name, round_ in self.rounds.items()
        ]

    async def close(self) -> None:
        """Close the metrics source."""
        close = getattr(self.source, "close", None)
        if close is not None:
            await close()


def build_works(
    settings: Settings,
    clock: Clock,
    store: WatchedStore,
    clients: Clients,
    leader: Leadership,
    sink: EventSink,
    on_beat: Callable[[Beat], None],
) -> Works:
    """All of it; nothing runs yet."""
    looking, writing = KubeTargets(clients.looks), KubeTargets(clients.writes)
    book = KubeLoanBook(clients.writes, settings.namespaces, to_object=loan_to_object, from_object=loan_from_object)
    ledger = Ledger(writing, book, clock, leader, loan_key)
    source = _source(settings)
    pools = KubePools(clients.pools, KubeTargets(clients.pools), now=clock.now)
    idle = 4 * settings.beat_seconds
    loop = Loop(
        clock=clock,
        store=store,
        gatherer=Gatherer(looking, source, ledger, idle_seconds=idle),
        ledger=ledger,
        leadership=leader,
        applier=Applier(writing, ledger, clock),
        # Pools, nodes and other namespaces' work are of the whole cluster: some namespaces have none.
        pools=None if settings.namespaces else PoolKeeper(pools, source, ledger, clock, sink, idle),
        settings=LoopSettings(beat_seconds=settings.beat_seconds, idle_seconds=idle),
        plan_settings=settings.plan,
        on_beat=on_beat,
    )
    return Works(loop, looking, source, clock, {}, settings)


def gate_settings(settings: Settings) -> Mapping[str, GateSettings]:
    """How much of each kind of work runs at a time, and for how long at the most."""
    return {
        "looks": GateSettings(settings.look_slots, patience=20.0),
        "signals": GateSettings(settings.signal_slots, patience=15.0),
        "writes": GateSettings(settings.write_slots, patience=20.0),
        # A look at ten thousand pods takes seconds where nothing is wrong.
        "pools": GateSettings(settings.pool_slots, patience=60.0, slow_after=20.0),
    }


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
