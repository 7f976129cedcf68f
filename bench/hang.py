"""What one thing that hangs costs everybody else: time from a floor being due to its write, with it and without.

    python bench/hang.py [--targets 200] [--request-ms 10] [--only NAME]

The loop, its gates and its driver are the process's own; the cluster is a fake whose requests take as long as one says,
and which never answers where it hangs. Printed is the p99 over the healthy targets beside the p99 of the same targets
when nothing hangs.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.control.inline import InlineSolver
from tidegate.control.loop import Beat, Loop, LoopSettings
from tidegate.planning.model import (
    Announcement,
    Freshness,
    Key,
    LeadTimeGuess,
    Observed,
    Occurrence,
    PlanSettings,
    Policy,
    Reading,
    Ref,
    SignalSpec,
    TargetSpec,
)
from tidegate.planning.override import Override
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import PoolSeen
from tidegate.planning.shift.inputs import Timetabled, TimetableInputs
from tidegate.planning.shift.model import Lane, Pool
from tidegate.planning.withheld import Unheard
from tidegate.ports import Held, LastValid, Loan, Manager, Place, PoolSight, Sight, UnavailableError
from tidegate.shell.clock import RealClock
from tidegate.shell.driver import Driver
from tidegate.shell.gates import Gate
from tidegate.shell.settings import Settings
from tidegate.shell.tasks import TaskGroup
from tidegate.shell.wiring import gate_settings

GIVEN_UP = {"look": 5.0, "write": 4.0, "read": 10.0, "pool": 15.0, "solve": 60.0}
"""Seconds after which the adapters give a request up."""
AHEAD = 25.0
"""Seconds from the start until the floors are due: by then whatever hangs has been found out."""


@dataclass
class Cluster:
    """Answers after ``latency`` seconds; what hangs answers never."""

    latency: float
    hangs: Callable[[str, str, str], bool]
    """(call, namespace, name): whether it hangs."""
    levels: dict[tuple[str, str], int] = field(default_factory=dict)
    loans: dict[Key, Loan] = field(default_factory=dict)
    written: dict[tuple[str, str], float] = field(default_factory=dict)

    async def _take(self, call: str, namespace: str, name: str) -> None:
        if self.hangs(call, namespace, name):
            await asyncio.sleep(GIVEN_UP[call])
            raise UnavailableError(f"{call} {namespace}/{name}: no answer")
        await asyncio.sleep(self.latency)

    async def see(self, ref: Ref) -> Sight:
        await self._take("look", ref.namespace, ref.name)
        level = self.levels.setdefault((ref.namespace, ref.name), 2)
        held = Held(level, Manager("helm", "Apply"))
        return Sight(
            Observed(level=level, ready=level, desired=level, unit=Resources(100, 128)), self._place(ref), held
        )

    async def examine(self, ref: Ref) -> Sight:
        return await self.see(ref)

    def _place(self, ref: Ref) -> Place:
        return Place(ref, f"uid-{ref.name}", "/spec/replicas", "scale")

    async def held(self, place: Place) -> Held:
        await self._take("look", place.ref.namespace, place.ref.name)
        return Held(self.levels[place.ref.namespace, place.ref.name], Manager("tidegate", "Update"))

    async def swap(self, place: Place, *, believed: int, wanted: int) -> None:
        await self._take("write", place.ref.namespace, place.ref.name)
        self.levels[place.ref.namespace, place.ref.name] = wanted
        self.written.setdefault((place.ref.namespace, place.ref.name), time.time())

    async def hand_back(self, place: Place, manager: Manager | None) -> None:
        await self._take("write", place.ref.namespace, place.ref.name)

    async def list(self) -> Sequence[Loan]:
        return list(self.loans.values())

    @property
    def closed(self) -> frozenset[str]:
        return frozenset()

    async def names(self) -> frozenset[Key]:
        return frozenset(self.loans)

    async def save(self, loan: Loan, *, fresh: bool) -> None:
        await asyncio.sleep(self.latency)
        self.loans[loan.key] = loan

    async def remove(self, loan: Loan) -> None:
        await asyncio.sleep(self.latency)
        self.loans.pop(loan.key, None)

    async def read(self, query: str, *, now: float, stale_after: float) -> Reading:
        try:
            await self._take("read", "", query)
        except UnavailableError:
            return Reading(Freshness.UNREACHABLE, None, now)
        return Reading(Freshness.FRESH, 100.0, now)


@dataclass
class Machines:
    """Pools: plenty of machines, looked at in no time."""

    cluster: Cluster

    async def see(self, pool: Pool) -> PoolSight:
        await self.cluster._take("pool", "", pool.name)
        return PoolSight(PoolSeen(Resources(10_000_000, 10_000_000)), {})


@dataclass
class Slow:
    """A solver that never answers."""

    async def solve(self, inputs: TimetableInputs) -> Timetabled:
        await asyncio.sleep(GIVEN_UP["solve"])
        raise UnavailableError("given up")


@dataclass
class Store:
    """What the watches would have told."""

    given: dict[Key, Policy]
    events: dict[Key, Announcement]
    given_pools: dict[str, Pool]
    synced: bool = True

    @property
    def plannable(self) -> bool:
        """See ``ports.Store``."""
        return self.synced

    def policies(self) -> dict[Key, Policy]:
        return self.given

    def announcements(self) -> dict[Key, Announcement]:
        return self.events

    def changes(self) -> frozenset[Key]:
        return frozenset()

    def acknowledge(self, changes: frozenset[Key]) -> None:
        return

    def stopped(self) -> bool:
        return False

    def last_valid(self) -> Mapping[Key, tuple[LastValid, ...]]:
        return {}

    def recall(self, versions: Iterable[LastValid]) -> None:
        return

    def unheard(self) -> Unheard | None:
        return None

    def unheard_in(self) -> Mapping[str, Unheard]:
        return {}

    def unread(self) -> dict[Key, str]:
        return {}

    def unusable(self) -> frozenset[Key]:
        return frozenset()

    def pools(self) -> dict[str, Pool]:
        return self.given_pools

    def unusable_pools(self) -> frozenset[str]:
        return frozenset()

    def overrides(self) -> tuple[Override, ...]:
        return ()


class Leads:
    """Always."""

    epoch = 1

    def may_write(self) -> bool:
        return True


class Quiet:
    """Tells nobody."""

    def emit(
        self,
        subject: Ref,
        *,
        reason: str,
        message: str,
        warning: bool = False,
        about: str = "",
        until: float | None = None,
    ) -> None:
        return


@dataclass(frozen=True)
class Case:
    """What hangs."""

    name: str
    hangs: Callable[[str, str, str], bool] = lambda call, namespace, name: False
    signals: int = 0
    extra: int = 0
    """Targets of a namespace ``behind`` beside the healthy ones."""
    namespaces: int = 4
    hanging: int = 0
    """So many of the namespaces hang."""
    pool: bool = False


def _of(names: frozenset[str]) -> Callable[[str, str, str], bool]:
    """Whether a call is about one of some namespaces."""
    return lambda call, namespace, name: namespace in names


def cases() -> list[Case]:
    """All of them; ``nothing`` is what each is measured against."""
    some: list[Case] = [
        Case("Prometheus, 200 signals", lambda call, *_: call == "read", signals=200),
        Case("one target", lambda call, namespace, name: namespace == "behind", extra=1),
        Case(
            "64 targets behind one webhook",
            lambda call, namespace, _: call == "write" and namespace == "behind",
            extra=64,
        ),
        Case("a hard pool", pool=True),
        Case("the look at a pool", lambda call, *_: call == "pool", pool=True),
    ]
    for many in (1, 8, 15):
        names = frozenset(f"ns{number}" for number in range(many))
        some.append(Case(f"{many} of 16 namespaces", _of(names), namespaces=16, hanging=many))
    return some


def world(case: Case, targets: int, due_at: float) -> tuple[Store, set[tuple[str, str]], float]:
    """Policies of 16 targets or so, all with one event; the healthy targets."""
    policies: dict[Key, Policy] = {}
    events: dict[Key, Announcement] = {}
    lead = LeadTimeGuess(30.0)
    start = due_at + 30.0

    def add(namespace: str, names: Sequence[str]) -> None:
        key = Key(namespace, "core")
        signals = tuple(SignalSpec(f"s{n}", f"{namespace}-{n}") for n in range(case.signals // case.namespaces))
        carried = tuple((one.name, 10.0) for one in signals) or (("orders", 10.0),)
        specs = tuple(
            TargetSpec(name, Ref("apps/v1", "Deployment", namespace, name), carried, headroom=0.0, lead=lead)
            for name in names
        )
        policies[key] = Policy(key, specs, signals)
        expected = tuple((signal, 100.0) for signal, _ in carried)
        events[Key(namespace, "show")] = Announcement(
            Key(namespace, "show"), "core", (Occurrence(start, 3600.0),), expected
        )

    each = targets // case.namespaces
    for number in range(case.namespaces):
        add(f"ns{number}", [f"t{n}" for n in range(each)])
    if case.extra:
        add("behind", [f"t{n}" for n in range(case.extra)])
    pools: dict[str, Pool] = {}
    if case.pool:
        lanes = (Lane("trading", 50, frozenset({"pooled"})), Lane("data", 10))
        pools["hangzhou-a"] = Pool("hangzhou-a", lanes, given=Resources(10_000_000, 10_000_000))
        key = Key("pooled", "core")
        spec = TargetSpec(
            "web", Ref("apps/v1", "Deployment", "pooled", "web"), (("orders", 10.0),), lane="trading", lead=lead
        )
        policies[key] = Policy(key, (spec,), pool="hangzhou-a")
        events[Key("pooled", "show")] = Announcement(
            Key("pooled", "show"), "core", (Occurrence(start, 3600.0),), (("orders", 100.0),)
        )
    healthy = {(f"ns{number}", f"t{n}") for number in range(case.hanging, case.namespaces) for n in range(each)}
    return Store(policies, events, pools), healthy, start


async def run(case: Case, targets: int, latency: float, *, hang: bool) -> list[float]:
    """Seconds from due to written, of each healthy target."""
    cluster = Cluster(latency, case.hangs if hang else lambda *_: False)
    clock = RealClock()
    due_at = time.time() + AHEAD
    store, healthy, _ = world(case, targets, due_at)
    loop = Loop(
        clock=clock,
        store=store,
        targets=cluster,
        metrics=cluster,
        book=cluster,
        key_of=lambda place: Key(place.ref.namespace, place.ref.name),
        leadership=Leads(),
        events=Quiet(),
        pools=Machines(cluster) if case.pool else None,
        solver=Slow() if case.pool and hang and case.name == "a hard pool" else InlineSolver(),
        settings=LoopSettings(),
        plan_settings=PlanSettings(fail_over=0.0, reaction=0.0, creation_rate=1e6),
    )
    running = asyncio.get_running_loop()
    group = TaskGroup(clock=running.time, later=running.call_later, on_restart=lambda name: print("restarted", name))
    sizes = gate_settings(Settings())
    gates = [
        Gate(work, sizes[work.name], clock=clock, spawn=group.once, on_end=lambda name, result: None)
        for work in loop.rounds
    ]
    driver = Driver(loop, clock, beat_seconds=15.0, wake_gates=lambda: [gate.wake() for gate in gates])  # type: ignore[func-returns-value,arg-type]
    stop = asyncio.Event()
    dues: dict[tuple[str, str], float] = {}

    def note(beat: Beat) -> None:
        for plan in beat.plan.targets.values():
            upwards = plan.next_level is not None and plan.level is not None and plan.next_level > plan.level
            if upwards and plan.next_at is not None and plan.next_at > time.time():
                dues[plan.ref.namespace, plan.ref.name] = plan.next_at

    loop.on_beat = note
    for gate in gates:
        group.keep(f"gate {gate.name}", gate.run)
    group.keep("loop", lambda: driver.run(stop))
    while time.time() < due_at + 12.0 and not healthy <= cluster.written.keys():  # noqa: ASYNC110 - from outside
        await asyncio.sleep(0.1)
    stop.set()
    await group.stop()
    missing = healthy - cluster.written.keys()
    if missing:
        print(f"  {len(missing)} healthy targets were never written", file=sys.stderr)
    return sorted(cluster.written.get(one, time.time()) - dues.get(one, due_at) for one in healthy)


def p99(values: Sequence[float]) -> float:
    """The 99th percentile."""
    return values[min(len(values) - 1, int(len(values) * 0.99))]


def main() -> None:
    """Print one row a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=200)
    parser.add_argument("--request-ms", type=float, default=10.0)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print(
        f"{given.targets} targets, {given.request_ms:g} ms a request; seconds from due to written, p99 of the healthy"
    )
    print(f"{'what hangs':<32}{'healthy':>8}{'without':>9}{'with':>9}{'ratio':>7}")
    for case in cases():
        if given.only not in case.name:
            continue
        without = p99(asyncio.run(run(case, given.targets, given.request_ms / 1000, hang=False)))
        with_it = asyncio.run(run(case, given.targets, given.request_ms / 1000, hang=True))
        print(
            f"{case.name:<32}{len(with_it):>8}{without:>9.3f}{p99(with_it):>9.3f}{p99(with_it) / without:>7.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
