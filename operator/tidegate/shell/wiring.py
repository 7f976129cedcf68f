"""Where the loop and all that it reads and writes through are built, together in one place."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.api.learned import learned_from_object, learned_to_object
from tidegate.api.loan import loan_from_object, loan_to_object
from tidegate.control.age import Age
from tidegate.control.loop import Beat, Loop, LoopSettings
from tidegate.metrics.credentials import Credentials
from tidegate.metrics.past import PrometheusPast
from tidegate.metrics.prometheus import PrometheusSource
from tidegate.metrics.recorded import RecordedSource
from tidegate.planning.model import Freshness, Reading, Ref
from tidegate.ports import Clock, EventSink, Leadership, MetricsSource, Place
from tidegate.shell.clients import Clients
from tidegate.shell.clock import fastest
from tidegate.shell.gates import Gate, GateSettings
from tidegate.shell.past import past_of
from tidegate.shell.settings import Settings
from tidegate.shell.solver import Solvers
from tidegate.shell.store import WatchedStore
from tidegate.shell.tasks import TaskGroup
from tidegate.targets.learned import KubeLearnedBook
from tidegate.targets.loans import KubeLoanBook, loan_key
from tidegate.targets.podindex import Watched
from tidegate.targets.pools import KubePools
from tidegate.targets.registry import KubeTargets
from tidegate.targets.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Works:
    """The loop with its readers and writers, as the rest of the process knows them."""

    loop: Loop
    targets: KubeTargets
    shelf: Shelf
    source: MetricsSource
    past: PrometheusPast | None
    solver: Solvers
    clock: Clock
    settings: Settings

    def wake(self, namespace: str = "") -> None:
        """Something changed that a decision should see: an object of a namespace, or something of nobody's."""
        self.loop.news(namespace)

    def moved(self, ref: Ref, spec_changed: bool) -> None:
        """A watch saw an object change. A change of its status alone wakes nobody: it is seen when it is due."""
        self.targets.forget(ref.namespace)
        self.loop.touch(ref, spec_changed=spec_changed)

    def places(self) -> Iterable[Place | None]:
        """Where the levels of all known targets lie."""
        return [look.sight.place for look in self.loop.looker.sights.values()]

    def ages(self) -> Mapping[str, Age]:
        """The age of each kind of knowledge."""
        return self.loop.ages(self.clock.now())

    def gates(self, group: TaskGroup, on_end: Callable[[str, str], None]) -> list[Gate]:
        """A gate for each round."""

        def spawn(name: str, job: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            return group.once(name, job)

        sizes = gate_settings(self.settings)
        return [Gate(work, sizes[work.name], clock=self.clock, spawn=spawn, on_end=on_end) for work in self.loop.rounds]

    async def close(self) -> None:
        """Close the metrics sources, and end the process that makes timetables."""
        await self.solver.close()
        if self.past is not None:
            await self.past.close()
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
    watch_age: Callable[[tuple[str, str], str], float],
    pods: Callable[[], Watched | None],
) -> Works:
    """All of it; nothing runs yet. ``watch_age`` tells how old the watch of a kind in a scope is, as ``Shelf`` asks;
    ``pods`` what a watch shows of pods, as ``KubePools`` asks.
    """
    shelf = Shelf(age=watch_age, now=clock.now)
    targets = KubeTargets(clients.looks, clients.writes, shelf=shelf)
    source, past, solver = _source(settings), past_source(settings), Solvers()
    book = KubeLoanBook(clients.writes, settings.namespaces, to_object=loan_to_object, from_object=loan_from_object)
    loop = Loop(
        clock=clock,
        store=store,
        targets=targets,
        metrics=source,
        book=book,
        learned=KubeLearnedBook(
            clients.writes,
            settings.namespaces,
            home=settings.operator_namespace,
            to_object=learned_to_object,
            from_object=learned_from_object,
        ),
        key_of=loan_key,
        leadership=leader,
        events=sink,
        past=past_of(past, store, 86_400.0 * settings.prometheus_history_days),
        # Pools, nodes and other namespaces' work are of the whole cluster: some namespaces have none.
        pools=None
        if settings.namespaces
        else KubePools(clients.pools, KubeTargets(clients.pools), now=clock.now, watched=pods),
        solver=solver,
        settings=LoopSettings(
            beat_seconds=settings.beat_seconds, idle_seconds=4 * settings.beat_seconds, speed=fastest(clock)
        ),
        plan_settings=settings.plan,
        on_beat=on_beat,
        # What the sums hold stays for hours: each look of the collector through all of it holds the loop up.
        on_rebuild=gc.freeze,
    )
    loop.writer.slots = settings.write_slots
    return Works(loop, targets, shelf, source, past, solver, clock, settings)


def gate_settings(settings: Settings) -> Mapping[str, GateSettings]:
    """How much of each kind of work runs at a time, and for how long at the most."""
    return {
        # Loans, and what was learned: where a hundred namespaces hang it takes 50 s until the others are known.
        "loans": GateSettings(2, patience=60.0, slow_after=60.0),
        # One page of the past at a time, whoever asks; what was learned from it so far is kept.
        "history": GateSettings(1, patience=120.0, slow_after=120.0, awaited=False),
        "memory": GateSettings(2, patience=60.0),
        "looks": GateSettings(settings.look_slots, patience=20.0),
        "signals": GateSettings(settings.signal_slots, patience=15.0),
        "writes": GateSettings(settings.write_slots, patience=20.0),
        # A look at ten thousand pods takes seconds where nothing is wrong.
        "timetables": GateSettings(settings.pool_slots, patience=300.0, slow_after=60.0),
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
        return PrometheusSource(settings.prometheus_url, credentials=_credentials(settings))
    return _Nowhere()


def past_source(settings: Settings) -> PrometheusPast | None:
    """Where the past of signals is asked for; None: nowhere."""
    if settings.prometheus_url is None or settings.recorded_metrics is not None or not settings.prometheus_history_days:
        return None
    return PrometheusPast(settings.prometheus_url, credentials=_credentials(settings))


def _credentials(settings: Settings) -> Credentials | None:
    folder = settings.prometheus_credentials
    return None if folder is None else Credentials(folder)
