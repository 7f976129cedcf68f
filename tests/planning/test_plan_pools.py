"""Targets on a pool: what they need of it, how far they may rise, and what an attacker cannot do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import CORE, T0, event, policy, signal, target

from tidegate.planning.decision import Action, Outcome, Plan
from tidegate.planning.model import Freshness, Key, LoanState, Mode, Observed, PlanSettings, Reading, Ref
from tidegate.planning.plan import Planner, make_plan
from tidegate.planning.pools import MEASURED_FOR
from tidegate.planning.reasons import Reason
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import Holder, MemberSeen, Occupancy, PoolSeen
from tidegate.planning.shift.handover import Do
from tidegate.planning.shift.model import Drain, Lane, MemberKind, Pool
from tidegate.planning.shift.needs import COARSE, LEAVING
from tidegate.planning.whole import plan_whole
from tidegate.planning.world import PoolWorld, World

UNIT = Resources(1000, 1024)
KEY = (CORE, "order")
POOL = "hangzhou-a"


def pool(*, namespaces: frozenset[str] = frozenset({"shop"}), cap: int | None = None, notice: float = 60.0) -> Pool:
    drain = Drain(notice=notice, minimum_run=0.0, seconds=30.0)
    return Pool(POOL, (Lane("trading", 20, namespaces, cap), Lane("data", 10, drain=drain)))


def seen(*, cores: int = 20, jobs: int = 10) -> PoolSeen:
    """A pool with Jobs of one core and two replicas of the target."""
    refs = [Ref("batch/v1", "Job", "warehouse", f"job-{n}") for n in range(jobs)]
    occupancy = {Holder("warehouse", "Job", r.name): Occupancy(UNIT, 0.0) for r in refs}
    occupancy[Holder("shop", "Deployment", "order")] = Occupancy(UNIT.times(2), 0.0)
    members = tuple(MemberSeen(r, "data", "nightly", MemberKind.JOB, UNIT, 1) for r in refs)
    return PoolSeen(UNIT.times(cores), occupancy, members)


def whole(world: World, now: float) -> Plan:
    """The plan with its timetables."""
    return plan_whole(Planner(world.settings), world, now)[1]


def planned(
    now: float,
    *,
    level: float = 1500.0,
    on: Pool | None = None,
    cluster: PoolSeen | None = None,
    observed: Observed | None = None,
    unit: Resources | None = None,
    mode: Mode = Mode.ENFORCE,
) -> Plan:
    """A plan with one event that needs ``level`` / 100 units of one core from T0 on."""
    core = policy(target(lane="trading", unit=unit), pool=POOL, mode=mode)
    there = observed or Observed(level=2, ready=2, desired=2, unit=UNIT)
    worlds = {POOL: PoolWorld(on or pool(), cluster or seen())}
    show = event(level=level)
    return whole(World({CORE: core}, {show.key: show}, {KEY: there}, pools=worlds), now)


def test_a_floor_rises_only_as_far_as_machines_are_seen_free() -> None:
    """Fifteen are due, eight cores are free, and the Jobs have not left."""
    plan = planned(T0 - 10.0)
    mine = plan.targets[KEY]
    assert (mine.action, mine.level) == (Action.RAISE, 10)
    assert mine.refusals[0].reason is Reason.NOTICE_TOO_SHORT


def test_work_is_told_in_time_when_there_is_time() -> None:
    plan = planned(T0 - 600.0)
    view = plan.pools[POOL]
    assert plan.targets[KEY].refusals == ()
    lendings = [one for ones in view.plan.lendings.values() for one in ones]
    assert len(lendings) == 5
    assert all(T0 - 600.0 < one.notify_at < one.stop_at < one.free_by < T0 for one in lendings)


def test_what_time_alone_brings_is_late_and_what_never_comes_is_blocked() -> None:
    late = planned(T0 - 10.0).verdicts[Key("shop", "show")]
    assert (late.outcome, late.reason) == (Outcome.LATE, Reason.NOTICE_TOO_SHORT)
    assert late.ready_at is not None
    assert late.ready_at > T0
    never = planned(T0 - 600.0, level=5000.0).verdicts[Key("shop", "show")]
    assert (never.outcome, never.reason) == (Outcome.BLOCKED, Reason.POOL_TOO_SMALL)
    assert str(never.object) == "CapacityPool/hangzhou-a"


def test_a_pool_that_does_not_exist_blocks_and_raises_nothing() -> None:
    core = policy(target(lane="trading"), pool="nowhere")
    show = event(level=1500.0)
    there = Observed(level=2, ready=2, desired=2, unit=UNIT)
    plan = make_plan(World({CORE: core}, {show.key: show}, {KEY: there}), T0 - 10.0)
    assert plan.verdicts[show.key].reason is Reason.POOL_MISSING
    assert plan.targets[KEY].level == 2


def test_a_target_whose_size_nobody_knows_says_so() -> None:
    plan = planned(T0 - 600.0, observed=Observed(level=2, ready=2, desired=2))
    assert plan.verdicts[Key("shop", "show")].reason is Reason.UNIT_UNKNOWN


def test_what_only_observes_stops_no_work() -> None:
    plan = planned(T0 - 10.0, mode=Mode.OBSERVE)
    assert plan.pools[POOL].plan.lendings == {}
    assert plan.targets[KEY].action is Action.NOTHING


# ---- a pool of which nobody knows anything, or nobody has planned yet


def on(one: PoolWorld, *, held: int | None = None) -> Plan:
    """The plan of an event that is on, for a target that stands at two, or was let in with ``held``."""
    core = policy(target(lane="trading"), pool=POOL)
    show = event(level=1500.0)
    loan = LoanState(2, held, T0 - 60.0, T0 - 60.0) if held else None
    there = Observed(level=held or 2, ready=2, desired=2, unit=UNIT, loan=loan)
    return make_plan(World({CORE: core}, {show.key: show}, {KEY: there}, pools={POOL: one}), T0 + 60.0)


def test_on_a_pool_that_was_not_looked_at_yet_nothing_rises_and_nobody_can_tell_whether_the_event_is_carried() -> None:
    plan = on(PoolWorld(pool()))
    mine, verdict = plan.targets[KEY], plan.verdicts[Key("shop", "show")]
    assert (mine.action, mine.level) == (Action.NOTHING, 2)
    assert Reason.NOT_SEEN_YET in {judgement.reason for judgement in mine.trail}
    assert (verdict.outcome, verdict.reason) == (Outcome.UNKNOWN, Reason.NOT_SEEN_YET)
    assert "has not been looked at yet" in verdict.message
    dark = on(PoolWorld(pool(), note="nodes: no answer")).verdicts[Key("shop", "show")]
    assert dark.reason is Reason.POOL_UNSEEN
    assert "cannot be looked at: nodes: no answer" in dark.message


@pytest.mark.parametrize(
    ("one", "outcome", "reason"),
    [
        (None, Outcome.BLOCKED, Reason.POOL_MISSING),
        (PoolWorld(pool()), Outcome.UNKNOWN, Reason.NOT_SEEN_YET),
        (PoolWorld(pool(), note="nodes: no answer"), Outcome.UNKNOWN, Reason.POOL_UNSEEN),
        (PoolWorld(pool(), seen(), stale=True), Outcome.UNKNOWN, Reason.POOL_UNSEEN),
    ],
    ids=["missing", "not looked at yet", "never seen", "unseen for two minutes"],
)
def test_what_may_not_let_anything_in_is_said_long_before_it_is_needed(
    one: PoolWorld | None, outcome: Outcome, reason: Reason
) -> None:
    """From an hour before T-0, as all verdicts; also when a timetable has granted it while the pool was in sight."""
    core, show = policy(target(lane="trading"), pool=POOL), event(level=1500.0)
    there = {KEY: Observed(level=2, ready=2, desired=2, unit=UNIT)}
    world = World({CORE: core}, {show.key: show}, there, pools={POOL: PoolWorld(pool(), seen(cores=1000))})
    planner = Planner(world.settings)
    world, granted = plan_whole(planner, world, T0 - 3500.0)
    assert granted.verdicts[show.key].outcome is Outcome.READY
    world = replace(world, pools={} if one is None else {POOL: one})
    for ahead in (3400.0, 10.0):
        found = planner.plan(world, T0 - ahead)
        verdict = found.verdicts[show.key]
        assert (verdict.outcome, verdict.reason) == (outcome, reason)
        assert found.targets[KEY].level == 2


def test_of_a_pool_that_is_out_of_sight_what_was_let_in_is_ready() -> None:
    plan = on(PoolWorld(pool(), seen(), stale=True), held=15)
    assert plan.targets[KEY].level == 15
    assert plan.verdicts[Key("shop", "show")].reason is not Reason.POOL_UNSEEN


# ---- pods as they are


def test_a_target_asks_for_what_its_pods_were_admitted_with() -> None:
    """Two cores each, where the template says one: what is granted for thirteen units more is 26 cores."""
    double = UNIT.times(2)
    machines = seen(cores=1000)
    order = {Holder("shop", "Deployment", "order"): Occupancy(double.times(2), 0.0, 2, double)}
    plan = planned(T0 - 10.0, cluster=replace(machines, occupancy={**machines.occupancy, **order}))
    assert plan.pools[POOL].plan.granted("trading", T0 + 60.0) == double.times(13)
    assert plan.targets[KEY].level == 15


def test_units_that_stand_on_other_machines_are_not_made_room_for_again() -> None:
    """Fifteen of fifteen run, six on a machine that was cordoned: nine stand beside ten Jobs, on nineteen cores."""
    machines = seen(cores=19)
    order = {Holder("shop", "Deployment", "order"): Occupancy(UNIT.times(9), 0.0, 9, UNIT, elsewhere=6)}
    loan = LoanState(2, 15, T0 - 60.0, T0 - 60.0)
    complete = Observed(level=15, ready=15, desired=15, unit=UNIT, loan=loan)
    cordoned = replace(machines, occupancy={**machines.occupancy, **order})
    plan = planned(T0 + 60.0, cluster=cordoned, observed=complete)
    view = plan.pools[POOL]
    assert not view.plan.lendings
    assert not view.plan.refusals
    assert view.step.balance.oversold.nothing
    assert plan.targets[KEY].level == 15
    gone = replace(cordoned, occupancy={**machines.occupancy, **{h: replace(o, elsewhere=0) for h, o in order.items()}})
    assert planned(T0 + 60.0, cluster=gone, observed=complete).pools[POOL].plan.lendings, "what does not run is needed"


# ---- measured demand


def live(value: float, *, cores: int = 1000, level: float = 1000.0, held: int = 10) -> Plan:
    """The plan in mid-event of a target that was let in with ten, and whose measured demand asks for more."""
    core = policy(target(lane="trading"), pool=POOL, signals=(signal(),))
    show = event(level=level)
    loan = LoanState(2, held, T0 - 60.0, T0 - 60.0)
    there = {KEY: Observed(level=held, ready=held, desired=held, unit=UNIT, loan=loan)}
    read = {(CORE, "orders"): Reading(Freshness.FRESH, value, T0 + 595.0, confirmed=value)}
    machines = seen(cores=cores)
    occupied = {**machines.occupancy, Holder("shop", "Deployment", "order"): Occupancy(UNIT.times(held), 0.0)}
    worlds = {POOL: PoolWorld(pool(), replace(machines, occupancy=occupied))}
    return whole(World({CORE: core}, {show.key: show}, there, readings=read, pools=worlds), T0 + 600.0)


@pytest.mark.parametrize(
    "planned_level", [1000.0, 100.0], ids=["above the plan", "where the plan asks for nothing more"]
)
def test_measured_demand_asks_the_pool_for_its_room_as_well(planned_level: float) -> None:
    """Once ten of thirty were granted, with a thousand machines free."""
    plan = live(3000.0, level=planned_level)
    mine = plan.targets[KEY]
    assert (mine.action, mine.level, mine.reason) == (Action.RAISE, 30, Reason.LIVE_DEMAND)
    assert plan.pools[POOL].plan.granted("trading", T0 + 600.0) == UNIT.times(28)


def test_measured_demand_gets_no_more_than_there_is_and_stops_work_as_announced_demand_does() -> None:
    plan = live(3000.0, cores=25)
    assert plan.targets[KEY].level == 15, "five are free beside ten Jobs"
    assert plan.pools[POOL].plan.lendings, "and Jobs are told"


def test_a_measured_need_ends_with_what_is_announced_and_moves_no_timetable_with_each_second() -> None:
    at = T0 + 600.0
    (need,) = live(3000.0).pools[POOL].inputs.needs
    most = [step for step in need.steps if step.amount == UNIT.times(28)]
    assert at + MEASURED_FOR <= most[-1].end <= at + 2 * MEASURED_FOR + LEAVING + COARSE
    assert need.end <= T0 + 3600.0 + 600.0


def test_on_a_pool_that_is_out_of_sight_what_was_let_in_stays_and_nothing_new_is_let_in() -> None:
    assert on(PoolWorld(pool(), stale=True), held=6).targets[KEY].level == 6
    old = on(PoolWorld(pool(), seen(), stale=True), held=6).targets[KEY]
    assert (old.level, old.reason) == (6, Reason.POOL_UNSEEN)
    assert on(PoolWorld(pool(), seen())).targets[KEY].level == 10, "it rises where the pool is in sight"


def test_on_a_pool_that_is_out_of_sight_no_work_is_stopped_or_started() -> None:
    planner, core, show = Planner(PlanSettings()), policy(target(lane="trading"), pool=POOL), event(level=1500.0)
    there = {KEY: Observed(level=2, ready=2, desired=2, unit=UNIT)}
    world = World({CORE: core}, {show.key: show}, there, pools={POOL: PoolWorld(pool(), seen())})
    world, whole_plan = plan_whole(planner, world, T0 - 600.0)
    first = min(one.notify_at for ones in whole_plan.pools[POOL].plan.lendings.values() for one in ones)
    assert planner.plan(world, first + 1.0).pools[POOL].step.acts
    dark = replace(world, pools={POOL: PoolWorld(pool(), seen(), stale=True)})
    assert {a.do for a in planner.plan(dark, T0).pools[POOL].step.acts} <= {Do.NOTIFY}


def test_before_its_timetable_is_there_a_target_rises_into_what_is_free_and_the_verdict_is_open() -> None:
    plan = on(PoolWorld(pool(), seen()))
    assert plan.pools[POOL].due
    assert plan.targets[KEY].level == 10
    assert plan.verdicts[Key("shop", "show")].reason is Reason.POOL_UNPLANNED


# ---- attacks


def test_a_namespace_that_the_lane_does_not_let_in_stops_no_work_and_gets_no_machine() -> None:
    plan = planned(T0 - 10.0, on=pool(namespaces=frozenset({"someone-else"})))
    assert plan.pools[POOL].plan.lendings == {}
    assert plan.targets[KEY].level == 2
    assert plan.verdicts[Key("shop", "show")].reason is Reason.NAMESPACE_NOT_ALLOWED


def test_a_lane_that_lists_nobody_lets_nobody_in() -> None:
    plan = planned(T0 - 10.0, on=pool(namespaces=frozenset()))
    assert plan.pools[POOL].plan.grants == ()


def test_no_namespace_gets_more_than_its_cap() -> None:
    plan = planned(T0 - 600.0, on=pool(cap=30))
    assert plan.pools[POOL].plan.granted("trading", T0 + 60.0) == UNIT.times(6)
    assert plan.targets[KEY].refusals[0].reason is Reason.NAMESPACE_CAP


def test_a_policy_cannot_say_that_its_pods_are_smaller_than_they_are() -> None:
    honest, lying = planned(T0 - 600.0), planned(T0 - 600.0, unit=Resources(1, 1))
    assert lying.pools[POOL].plan.granted("trading", T0) == honest.pools[POOL].plan.granted("trading", T0)


def test_a_policy_that_names_a_lane_of_somebody_elses_members_moves_none_of_them_itself() -> None:
    """Members belong to the pool: a policy asks for machines, and the pool's own rules say who stops."""
    core = policy(target(lane="data"), pool=POOL)
    show = event(level=1500.0)
    there = Observed(level=2, ready=2, desired=2, unit=UNIT)
    world = World({CORE: core}, {show.key: show}, {KEY: there}, pools={POOL: PoolWorld(pool(), seen())})
    plan = whole(world, T0 - 10.0)
    assert plan.pools[POOL].plan.lendings == {}
    assert plan.targets[KEY].level == 2


def test_equal_worlds_give_equal_plans_of_pools() -> None:
    one, two = planned(T0 - 600.0), planned(T0 - 600.0)
    assert one.pools == two.pools
    assert replace(one, targets={}) == replace(two, targets={})
