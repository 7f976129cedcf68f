"""What goes wrong between two looks: nothing is forgotten, nobody is blamed for our own failures, nothing spins."""

from __future__ import annotations

from dataclasses import dataclass, field

from fakes import FakeCluster, FakeStore, HandClock, NoMetrics, Thing, operator, run_until
from worlds import CORE, NS, T0, event, moment, policy, signal, target, world

from tidegate.control.stopwatch import Stopwatch
from tidegate.planning.model import Freshness, Observed, Reading, Ref
from tidegate.planning.plan import Planner, make_plan
from tidegate.ports import Place, Sight, UnavailableError

KEY = (CORE, "order")


@dataclass
class Flaky(FakeCluster):
    """Answers no write between two instants, and no read at some."""

    down: tuple[float, float] = (0.0, 0.0)
    blind_at: set[int] = field(default_factory=set)
    looks: int = 0

    async def see(self, ref: Ref) -> Sight:
        self.looks += 1
        if self.looks in self.blind_at:
            raise UnavailableError("no answer")
        return await super().see(ref)

    async def swap(self, place: Place, *, believed: int, wanted: int) -> None:
        if self.down[0] <= self.clock.now() < self.down[1]:
            raise UnavailableError("500")
        await super().swap(place, believed=believed, wanted=wanted)


def scene(**given: object) -> tuple[Flaky, FakeStore]:
    clock = HandClock(T0 - 300.0)
    cluster = Flaky(clock, {"order": Thing()}, **given)  # type: ignore[arg-type]
    show = event(duration=900.0, moments=(moment(offset=300.0, duration=300.0, factor=2.0),))
    return cluster, FakeStore({CORE: policy(target(), hold=30.0, rate=0.4)}, {show.key: show})


async def test_a_look_that_fails_right_after_a_step_takes_nobodys_old_value_for_new_intent() -> None:
    for blind in range(1, 60):
        cluster, store = scene(blind_at={blind})
        await run_until(operator(cluster, store), cluster.clock, T0 + 1800.0)
        thing = cluster.things["order"]
        assert (thing.level, thing.manager, cluster.loans) == (2, "helm", {}), f"look {blind} failed"


async def test_a_server_that_takes_no_writes_for_a_while_is_nobodys_conflict() -> None:
    cluster, store = scene(down=(T0 - 121.0, T0 + 30.0))
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 50.0)
    assert cluster.things["order"].level == 10
    await run_until(loop, cluster.clock, T0 + 2400.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


async def test_after_a_conflict_the_next_step_is_tried_at_its_time() -> None:
    cluster, store = scene()
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 10.0)
    for _ in range(8):
        cluster.things["order"].write(2, "argocd", cluster.clock.now())
        await loop.turn()
        cluster.clock.at += 1.0
    assert cluster.things["order"].level == 2
    await run_until(loop, cluster.clock, T0 + 300.0)
    assert cluster.things["order"].level == 20, "the moment at five minutes doubles the need"


async def test_an_autoscaler_that_appears_in_front_leaves_the_running_units_alone() -> None:
    """The floor is in its field from then on; the workload's own replicas are its to drive."""

    @dataclass
    class Fronted(FakeCluster):
        fronted: bool = False

        async def see(self, ref: Ref) -> Sight:
            sight = await super().see(ref)
            if not self.fronted:
                return sight
            thing = self.things["hpa"]
            seen = Observed(level=thing.level, ready=self.things["order"].ready, desired=thing.level, maximum=100)
            place = Place(Ref("autoscaling/v2", "HorizontalPodAutoscaler", NS, "hpa"), "h1", "/spec/minReplicas")
            return Sight(seen, place, self._held(thing))

    clock = HandClock(T0 - 300.0)
    cluster = Fronted(clock, {"order": Thing(), "hpa": Thing(level=3, uid="h1")})
    show = event(duration=900.0)
    loop = operator(cluster, FakeStore({CORE: policy(target(), hold=30.0)}, {show.key: show}))
    await run_until(loop, clock, T0 + 60.0)
    cluster.fronted = True
    await run_until(loop, clock, T0 + 200.0)
    assert (cluster.things["hpa"].level, cluster.things["order"].level) == (10, 10)
    (loan,) = cluster.loans.values()
    assert loan.place.ref.kind == "HorizontalPodAutoscaler"
    await run_until(loop, clock, T0 + 2400.0)
    assert (cluster.things["hpa"].level, cluster.loans) == (3, {})


async def test_the_loans_of_a_policy_that_cannot_be_understood_stay() -> None:
    cluster, store = scene()
    await run_until(operator(cluster, store), cluster.clock, T0 + 60.0)
    store.policy_map.clear()
    store.broken = frozenset([CORE])
    await run_until(operator(cluster, store), cluster.clock, T0 + 600.0)
    assert cluster.things["order"].level == 10


async def test_a_quiet_hour_at_the_policys_min_is_a_few_hundred_beats() -> None:
    """A need below min keeps the level at min: nothing is due, and nothing spins."""
    cluster, store = scene()
    store.policy_map[CORE] = policy(target(minimum=30), hold=30.0)
    beats: list[float] = []
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 900.0, each=lambda b: beats.append(b.now))
    assert cluster.things["order"].level == 30
    assert len(beats) < 120


async def test_a_need_below_min_is_foreseen() -> None:
    cluster, store = scene()
    store.policy_map[CORE] = policy(target(minimum=30))
    beat = await operator(cluster, store).turn()
    assert beat is not None
    plan = beat.plan.targets[KEY]
    assert plan.next_level == 30
    assert plan.next_at is not None
    assert T0 - 60.0 < plan.next_at < T0


async def test_demand_is_read_during_an_event_also_when_nothing_is_borrowed() -> None:
    """The owner's own 12 are enough for the plan; the crowd is five times what was announced."""
    cluster, store = scene()
    cluster.things["order"] = Thing(level=12, ready=12)
    store.policy_map[CORE] = policy(target(), signals=(signal(),))
    metrics = NoMetrics()
    loop = operator(cluster, store, metrics=metrics)
    await run_until(loop, cluster.clock, T0 + 30.0)
    for sample in (30.0, 60.0):
        metrics.answers["sum(orders)"] = Reading(Freshness.FRESH, 5000.0, T0 + sample)
        await run_until(loop, cluster.clock, T0 + sample + 30.0)
    assert cluster.things["order"].level == 50


async def test_one_target_that_makes_an_adapter_stumble_stops_nobody_else() -> None:
    @dataclass
    class Stumbling(FakeCluster):
        async def see(self, ref: Ref) -> Sight:
            if ref.name == "odd":
                raise KeyError("spec")
            return await super().see(ref)

    clock = HandClock(T0 - 60.0)
    cluster = Stumbling(clock, {"order": Thing(), "odd": Thing()})
    show = event()
    store = FakeStore({CORE: policy(target(), target("odd"))}, {show.key: show})
    await run_until(operator(cluster, store), clock, T0)
    assert cluster.things["order"].level == 10


def test_a_plan_made_in_what_is_the_future_again_is_not_reused() -> None:
    """The clock was stepped back a quarter of an hour."""
    w = world(event(duration=600.0))
    planner = Planner(w.settings)
    planner.plan(w, T0 + 1200.0)
    assert planner.plan(w, T0 + 300.0) == make_plan(w, T0 + 300.0)


def test_a_small_spread_of_a_level_stays_small() -> None:
    """A level of 500,000 that is 2 % unsure needs 3.3 % more, not 41 %."""
    sure = event(expected=(), moments=(moment(offset=0.0, duration=900.0, factor=None, level=500_000.0),), spread=0.02)
    need = make_plan(world(sure, policies=(policy(target(maximum=10**6)),)), T0).targets[KEY].need
    assert need in (5164, 5165, 5166)


def test_a_stopwatch_ends_with_the_loan() -> None:
    """Two of twenty never came; half a day later the owner's own 25 say nothing about that start."""
    watch = Stopwatch()
    watch.written(KEY, level=20, there=2, now=T0)
    watch.ended(KEY)
    assert watch.seen(KEY, ready=25, now=T0 + 43_000.0) is None
