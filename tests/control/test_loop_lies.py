"""Whatever a cluster says of itself for a while: no level below the plan, no original lost, nothing borrowed for ever.

Hypothesis draws which calls lie, how, when, and how often; a person may set a level of his own meanwhile. Once the lies
are over everything ends as if there had been none.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fakes import FakeStore, HandClock, Leader, Sink, key_of
from hypothesis import HealthCheck, example, given, settings
from hypothesis import event as note
from hypothesis import strategies as st
from lies import ABOUT, Lie, Lies, LyingCluster, LyingMetrics, LyingPools, LyingShelf, What
from pooled import DATA, UNIT, Work
from worlds import CORE, NS, T0, event, policy, signal, target

from tidegate.control.loop import Loop, LoopSettings
from tidegate.planning.model import PlanSettings
from tidegate.planning.resources import Resources
from tidegate.planning.shift.model import Drain, Lane, MemberRef, Pool

LENGTH = 600.0
OWNERS, NEED = 2, 10
LAST = 180.0
"""Seconds that the longest lie lasts."""
CALM = 60.0
"""Seconds after the last lie within which all levels are right again: pauses after failures are 15 s at the longest,
and an active target is looked at every 15 s."""
ENDED = T0 + LENGTH + 2100.0

HONEST, PER_LIE = 30, 3
"""Level writes of a world without a lie, at the most; and for each lie: one that is done once more, one that undoes,
and one at the next beat."""

WHEN = (-60, -40, 100, 590, 620, 660, 720)
"""Seconds from T0 about which a lie begins: before the rise, in the show, on the way down, at the return."""

calls = sorted(ABOUT)


@st.composite
def a_lie(draw: st.DrawFn, among: list[str]) -> Lie:
    call = draw(st.sampled_from(among))
    at = T0 + draw(st.sampled_from(WHEN)) + draw(st.integers(0, 30))
    return Lie(call, draw(st.sampled_from(ABOUT[call])), at, draw(st.integers(1, int(LAST))), draw(st.integers(1, 3)))


@dataclass
class Stage:
    """One show on one workload of a pool, or of none, and a cluster that lies."""

    told: list[Lie]
    pooled: bool = False
    person_at: float | None = None
    """When the owner sets another level, in the truth."""
    cluster: LyingCluster = field(init=False)

    def __post_init__(self) -> None:
        clock = HandClock(T0 - 120.0)
        self.lies = Lies(self.told, clock.now)
        self.over_at = max((lie.at + lie.lasting for lie in self.told), default=T0)
        things = {"order": Work(start_seconds=15.0, stop_seconds=5.0)}
        if self.pooled:
            for number in range(4):
                things[f"job-{number}"] = Work(1, "cron", f"j{number}", ready=1, pods=2, job=True, member="nightly")
            things["loader"] = Work(3, "helm", "l", ready=3, member="loader")
        self.cluster = LyingCluster(clock, things, lies=self.lies)  # type: ignore[arg-type]
        self.own = {name: thing.level for name, thing in things.items()}
        self.managers = {name: thing.manager for name, thing in things.items()}
        self.loop = self.operator()

    def operator(self) -> Loop:
        show, one = event(duration=LENGTH), target(lane="trading") if self.pooled else target()
        core = policy(one, hold=30.0, rate=0.4, signals=(signal(),), pool="p" if self.pooled else None)
        store = FakeStore({CORE: core}, {show.key: show})
        if self.pooled:
            store.pool_map["p"] = pool()
        return Loop(
            clock=self.cluster.clock,
            store=store,
            targets=self.cluster,
            metrics=LyingMetrics(lies=self.lies, ends=T0 + LENGTH),
            book=self.cluster,
            learned=LyingShelf(lies=self.lies),
            key_of=key_of,
            leadership=Leader(),
            events=Sink(),
            pools=LyingPools(self.cluster, lies=self.lies) if self.pooled else None,
            settings=LoopSettings(),
            plan_settings=PlanSettings(fail_over=0.0, reaction=0.0, creation_rate=1000.0),
        )

    async def play(self, until: float) -> None:
        clock, order = self.cluster.clock, self.cluster.things["order"]
        while clock.at < until:
            if self.person_at is not None and clock.at >= self.person_at and self.own["order"] == OWNERS:
                self.own["order"], self.managers["order"] = 5, "kubectl"
                self.cluster.owner_writes("order", 5, "kubectl")
            beat = await self.loop.turn()
            assert beat is not None
            if self.quiet(clock.at) and T0 <= clock.at < T0 + LENGTH and not self.pooled:
                assert order.level >= NEED, f"at {clock.at - T0:.0f} s it stands at {order.level}"
            due = [clock.at + 15.0, *([beat.next_at] if beat.next_at is not None else [])]
            clock.at = max(min(due), clock.at + 1.0)

    def quiet(self, at: float) -> bool:
        """Whether nobody has lied, or set a level, for a while."""
        touched = [self.over_at if at >= self.first_at else T0 - 120.0]
        if self.person_at is not None and at >= self.person_at:
            touched.append(self.person_at)
        return all(at >= one + CALM for one in touched) or at < min(self.first_at, self.person_at or at + 1.0)

    @property
    def first_at(self) -> float:
        return min((lie.at for lie in self.told), default=float("inf"))


def pool() -> Pool:
    """Sixteen cores: two for trading, and the work has all but three of the others."""
    jobs = MemberRef("nightly", "batch/v1", "Job", DATA, labels=(("work", "nightly"),))
    loader = MemberRef("loader", "apps/v1", "Deployment", DATA, "loader")
    drain = Drain(notice=30.0, minimum_run=0.0, seconds=45.0)
    data = Lane("data", 5, members=(jobs, loader), drain=drain, give_back_within=900.0)
    return Pool("p", (Lane("trading", 40, frozenset({NS})), data), given=Resources(16 * UNIT.cpu, 16 * UNIT.memory))


async def judged(stage: Stage) -> None:
    await stage.play(ENDED)
    for kind, count in stage.lies.told.items():
        note(f"{kind} lied {'often' if count > 5 else 'a few times'}")
    cluster = stage.cluster
    for at, name, believed, wanted in cluster.writes:
        if name == "order" and T0 <= at < T0 + LENGTH and not stage.lies.told["pool"]:
            assert wanted >= min(NEED, believed), f"{believed} → {wanted} at {at - T0:.0f} s"
    assert {name: thing.level for name, thing in cluster.things.items()} == stage.own
    assert {name: thing.manager for name, thing in cluster.things.items()} == stage.managers
    assert cluster.loans == {}
    assert len(cluster.writes) <= HONEST + PER_LIE * sum(stage.lies.told.values())


PLAIN = [call for call in calls if call != "pool"]


@example([Lie("swap", What.NOT_DONE, T0 - 77.0, 71.0, 2), Lie("swap", What.DONE_CONFLICT, T0 - 35.0, 177.0)], None)
@example([Lie("remove", What.NOT_DONE, T0 + 650.0, 180.0)], None)
@example([Lie("hand_back", What.NOT_DONE, T0 + 620.0, 140.0)], None)
@example([Lie("save", What.DONE_CONFLICT, T0 + 618.0, 60.0, 2), Lie("list", What.LACKS, T0 + 594.0, 90.0)], None)
@given(st.lists(a_lie(PLAIN), min_size=1, max_size=4), st.none() | st.integers(-60, 800))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_when_the_lies_are_over_all_is_as_if_there_had_been_none(lies: list[Lie], person: int | None) -> None:
    await judged(Stage(lies, person_at=None if person is None else T0 + person))


@example([Lie("see", What.OLD, T0 + 313.0, 91.0), Lie("pool", What.OLD, T0 + 457.0, 112.0)])
@given(st.lists(a_lie(calls), min_size=1, max_size=4))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_on_a_pool_all_work_is_back_when_the_lies_are_over(lies: list[Lie]) -> None:
    await judged(Stage(lies, pooled=True))
