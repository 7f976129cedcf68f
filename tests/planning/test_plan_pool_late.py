"""What waits for a pool's machines is late by as much as they come after the last write in time; blocked is only what
never comes while the event is on.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import CORE, NS, T0, event, policy, target

from tidegate.planning.decision import Outcome, Plan, PoolRefusal, Verdict
from tidegate.planning.model import Key, LoanState, Observed, PlanSettings, Ref
from tidegate.planning.plan import Planner
from tidegate.planning.reasons import Reason
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import Holder, MemberSeen, Occupancy, PoolSeen
from tidegate.planning.shift.model import Drain, Lane, Mark, MemberKind, Notice, Pool, Promised
from tidegate.planning.timeline import TOLERANCE
from tidegate.planning.whole import plan_whole
from tidegate.planning.world import PoolWorld, World

UNIT = Resources(1000, 1024)
KEY, SHOW, POOL = (CORE, "order"), Key(NS, "show"), "hangzhou-a"
START = 30.0
SETTINGS = PlanSettings()
LEAD = START + SETTINGS.reserve + 1.0
"""Of a rise of up to twenty units: one second of the queue in which pods are created."""


def on(name: str, units: int = 1) -> Ref:
    return Ref("batch/v1", "Job", "warehouse", name)


def world_of(
    drain: Drain,
    *,
    cores: int = 12,
    jobs: int = 10,
    started: float = 0.0,
    stopped: dict[str, float] | None = None,
    units: int = 8,
    duration: float = 3600.0,
) -> World:
    """A pool full of Jobs of one core, and an event that needs ``units`` from T0 on; two are there. ``stopped`` are
    Jobs that were told to stop, and when: their pods have not left.
    """
    out = stopped or {}
    refs = [on(f"job-{n}") for n in range(jobs)]
    occupancy = {Holder("warehouse", "Job", r.name): Occupancy(UNIT, started) for r in refs}
    occupancy[Holder(NS, "Deployment", "order")] = Occupancy(UNIT.times(2), 0.0)
    members = tuple(MemberSeen(r, "data", "nightly", MemberKind.JOB, UNIT, 0 if r.name in out else 1) for r in refs)
    owner = (f"{CORE}/order",)
    marks = {
        on(name): Mark(1, 0, at, (), (Notice(0, at),), T0 - LEAD, T0 + 4000.0, (Promised(T0 + 7200.0, 1),), owner)
        for name, at in out.items()
    }
    lanes = (Lane("trading", 20, frozenset({NS})), Lane("data", 0, drain=drain))
    there = PoolWorld(Pool(POOL, lanes), PoolSeen(UNIT.times(cores), occupancy, members), marks=marks)
    show = event(level=100.0 * units, duration=duration)
    core = policy(target(lane="trading"), pool=POOL)
    seen = Observed(level=2, ready=2, desired=2, unit=UNIT)
    return World({CORE: core}, {show.key: show}, {KEY: seen}, pools={POOL: there}, settings=SETTINGS)


def planned(world: World, now: float) -> Plan:
    return plan_whole(Planner(world.settings), world, now)[1]


def verdict(world: World, now: float) -> Verdict:
    return planned(world, now).verdicts[SHOW]


# ---- a shortage that is over before anybody is late


@pytest.mark.parametrize("late", [1.0, 6.0, 17.0])
def test_a_drain_that_ends_within_what_the_lead_keeps_blocks_nobody_and_is_refused_nobody(late: float) -> None:
    """Work stopped some seconds later than planned: its machines are expected so much after the need begins."""
    begin = math.floor((T0 - LEAD) / 30.0) * 30.0
    drain = Drain(60.0, 0.0, 120.0)
    stopped = {f"job-{n}": begin + late - drain.seconds for n in range(6)}
    plan = planned(world_of(drain, stopped=stopped), begin - 100.0 + late)
    assert plan.pools[POOL].plan.refusals == ()
    assert plan.verdicts[SHOW].outcome is Outcome.READY


def test_a_drain_that_ends_later_than_that_is_late_by_what_is_beyond() -> None:
    begin = math.floor((T0 - LEAD) / 30.0) * 30.0
    drain = Drain(60.0, 0.0, 120.0)
    stopped = {f"job-{n}": begin + 90.0 - drain.seconds for n in range(6)}
    found = verdict(world_of(drain, stopped=stopped), begin - 20.0)
    assert (found.outcome, found.reason) == (Outcome.LATE, Reason.NOTICE_TOO_SHORT)
    assert found.ready_at == pytest.approx(T0 + begin + 90.0 - (T0 - LEAD + SETTINGS.reserve), abs=1.0)


def test_what_the_pool_holds_back_is_not_ready_however_much_of_the_level_is() -> None:
    drain = Drain(60.0, 0.0, 120.0)
    begin = math.floor((T0 - LEAD) / 30.0) * 30.0
    stopped = {f"job-{n}": begin - drain.seconds for n in range(6)}
    now = T0 - LEAD + 1.0  # due, and the pods of the Jobs have not left
    found = planned(world_of(drain, stopped=stopped), now)
    assert (found.targets[KEY].level, found.targets[KEY].wanted) == (2, 8)
    assert found.verdicts[SHOW].reason is not Reason.READY
    assert "2 of 8 ready" in found.verdicts[SHOW].message or found.verdicts[SHOW].outcome is Outcome.LATE


# ---- every shortage with an end that is in time for the event


@st.composite
def worlds(draw: st.DrawFn) -> tuple[World, float]:
    drain = Drain(float(draw(st.integers(0, 900))), float(draw(st.integers(0, 900))), float(draw(st.integers(1, 300))))
    now = T0 - float(draw(st.integers(1, 1200)))
    started = now - float(draw(st.integers(0, 900)))
    jobs, cores = draw(st.integers(2, 10)), 12
    some = draw(st.integers(0, jobs))
    stopped = {f"job-{n}": now - float(draw(st.integers(0, 400))) for n in range(some)}
    duration = float(draw(st.sampled_from([300, 900, 3600])))
    units = draw(st.integers(3, 14))
    return world_of(
        drain, cores=cores, jobs=jobs, started=started, stopped=stopped, units=units, duration=duration
    ), now


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_a_verdict_is_late_by_what_its_pool_is_and_blocked_only_where_nothing_comes(made: tuple[World, float]) -> None:
    world, now = made
    plan = planned(world, now)
    found, refusals = plan.verdicts[SHOW], plan.pools[POOL].plan.refusals
    end = T0 + world.announcements[SHOW].occurrences[0].duration
    times = [one.earliest for one in refusals]
    if not times:
        assert found.outcome is not Outcome.BLOCKED
        return
    if None in times or max(t for t in times if t is not None) >= end:
        assert found.outcome is Outcome.BLOCKED
        return
    served = max(t for t in times if t is not None)
    in_time = T0 - LEAD + SETTINGS.reserve
    assert found.outcome is not Outcome.BLOCKED
    if served - in_time > TOLERANCE + 1.0:
        assert found.outcome is Outcome.LATE
        assert found.ready_at is not None
        assert found.ready_at - T0 == pytest.approx(served - in_time, abs=1.0)
    elif served <= in_time:
        assert found.outcome is Outcome.READY


# ---- whatever rule stands against it, and beside whatever else


def refused(reason: Reason, **given: object) -> PoolRefusal:
    defaults: dict[str, object] = {"earliest": T0 + 100.0, "late": (T0, T0 + 120.0)}
    return PoolRefusal(POOL, T0 - 60.0, T0 + 120.0, reason, "short.", **(defaults | given))  # type: ignore[arg-type]


def judged(monkeypatch: pytest.MonkeyPatch, world: World, told: dict[str, tuple[PoolRefusal, ...]]) -> Verdict:
    """The verdict where the pool says these things of the targets."""
    from tidegate.planning import making

    pools_of = making.pools_of

    def saying(*given: object) -> object:
        outcome = pools_of(*given)  # type: ignore[arg-type]
        outcome.refusals.update({(CORE, name): refusals for name, refusals in told.items()})
        return outcome

    monkeypatch.setattr(making, "pools_of", saying)
    return Planner(world.settings).plan(world, T0 - 300.0).verdicts[SHOW]


SHORT = [
    Reason.OTHER_PROMISES, Reason.NOTICE_TOO_SHORT, Reason.MINIMUM_RUN, Reason.LANE_GUARANTEE, Reason.GIVE_BACK_PROMISE,
    Reason.WORK_DEADLINE, Reason.WORK_UNKNOWN, Reason.WORK_INDIVISIBLE, Reason.SEVERAL_LIMITS, Reason.POOL_TOO_SMALL,
    Reason.POOL_TOO_LARGE,
]  # fmt: skip


@pytest.mark.parametrize("reason", SHORT, ids=lambda one: one.value)
def test_it_is_late_for_whatever_reason_when_its_machines_come(monkeypatch: pytest.MonkeyPatch, reason: Reason) -> None:
    world = world_of(Drain(), cores=100)
    found = judged(monkeypatch, world, {"order": (refused(reason),)})
    assert (found.outcome, found.reason, found.ready_at) == (Outcome.LATE, reason, T0 + 120.0)
    assert "expected about 120 s late" in found.message


@pytest.mark.parametrize("reason", SHORT, ids=lambda one: one.value)
def test_it_is_blocked_for_the_same_reason_when_they_never_come_or_only_after_the_event(
    monkeypatch: pytest.MonkeyPatch, reason: Reason
) -> None:
    world = world_of(Drain(), cores=100)
    for never in (refused(reason, earliest=None, late=None), refused(reason, earliest=T0 + 3600.0)):
        found = judged(monkeypatch, world, {"order": (never,)})
        assert (found.outcome, found.reason) == (Outcome.BLOCKED, reason)


def test_a_shortage_that_is_over_before_an_event_begins_is_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    early = replace(refused(Reason.LANE_GUARANTEE, earliest=None, late=None), start=T0 - 900.0, end=T0 - 200.0)
    assert judged(monkeypatch, world_of(Drain(), cores=100), {"order": (early,)}).outcome is Outcome.READY


def two_targets(**second: object) -> World:
    """An event on two targets of a pool with room; the second one's observation may be changed."""
    one = world_of(Drain(), cores=100)
    core = policy(target(lane="trading"), target("pay", lane="trading"), pool=POOL)
    pay = Observed(**({"level": 2, "ready": 2, "desired": 2, "unit": UNIT} | second))  # type: ignore[arg-type]
    return replace(one, policies={CORE: core}, observed={**one.observed, (CORE, "pay"): pay})


def test_of_a_target_that_is_late_by_its_pool_and_one_that_is_blocked_the_blocked_one_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = two_targets(maximum=3)
    found = judged(monkeypatch, world, {"order": (refused(Reason.OTHER_PROMISES),)})
    assert (found.outcome, found.reason, found.target) == (Outcome.BLOCKED, Reason.SCALER_MAXIMUM, "pay")


def test_of_two_targets_that_are_late_the_later_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    later = refused(Reason.MINIMUM_RUN, earliest=T0 + 400.0, late=(T0, T0 + 420.0))
    told = {"order": (refused(Reason.OTHER_PROMISES),), "pay": (later,)}
    found = judged(monkeypatch, two_targets(), told)
    assert (found.target, found.ready_at) == ("pay", T0 + 420.0)


def test_of_one_target_that_is_late_by_its_pool_and_by_its_start_the_later_is_told() -> None:
    loan = LoanState(2, 8, T0 + 100.0, T0 + 100.0)
    world = world_of(Drain(), cores=100)
    there = Observed(level=8, ready=2, desired=8, unit=UNIT, loan=loan)
    found = verdict(replace(world, observed={KEY: there}), T0 + 110.0)
    assert (found.outcome, found.reason) == (Outcome.LATE, Reason.LATE)


# ---- what stands


def mid_event(*, pods: int, more: dict[str, Occupancy], level: int = 1) -> World:
    """Half an hour into the event: eight units and four Jobs on twelve cores, and more Jobs beside them."""
    world = world_of(Drain(60.0, 0.0, 120.0), jobs=4)
    there = world.pools[POOL]
    assert there.seen is not None
    members = tuple(MemberSeen(on(name), "data", "nightly", MemberKind.JOB, UNIT, level) for name in more)
    occupancy = {
        **{holder: replace(one, pods=1) for holder, one in there.seen.occupancy.items()},
        Holder(NS, "Deployment", "order"): Occupancy(UNIT.times(pods), 0.0, pods, waiting=8 - pods),
        **{Holder("warehouse", "Job", name): one for name, one in more.items()},
    }
    seen = replace(there.seen, members=(*there.seen.members, *members), occupancy=occupancy)
    loan = LoanState(2, 8, T0 - LEAD, T0 - LEAD, T0 + 3600.0)
    order = Observed(level=8, ready=pods, desired=8, unit=UNIT, loan=loan)
    at, owner = T0 + 1799.0, (f"{CORE}/order",)
    mark = Mark(1, 0, at, (), (Notice(0, at),), at, T0 + 4000.0, (Promised(T0 + 7200.0, 1),), owner)
    marks = {} if level else dict.fromkeys(map(on, more), mark)
    return replace(world, observed={KEY: order}, pools={POOL: replace(there, seen=seen, marks=marks)})


def test_new_work_that_finds_no_machine_makes_nobody_late_whose_units_stand() -> None:
    waiting = {f"new-{n}": Occupancy(Resources(), 0.0, 0, waiting=1) for n in range(2)}
    plan = planned(mid_event(pods=8, more=waiting), T0 + 1800.0)
    assert plan.verdicts[SHOW].outcome is Outcome.READY
    assert plan.targets[KEY].level == 8
    assert set(plan.pools[POOL].plan.lendings) == {on("new-0"), on("new-1")}, "and not the work that runs"


def test_who_stands_is_not_late_by_what_is_counted_as_there_until_it_is_seen_gone() -> None:
    """A Job that was stopped counts as standing until a look has shown that nothing of it is there."""
    stopped = {"new-0": Occupancy(UNIT, T0 + 1790.0, 1)}
    plan = planned(mid_event(pods=8, more=stopped, level=0), T0 + 1800.0)
    assert plan.pools[POOL].plan.refusals, "the sums are over by one"
    assert plan.verdicts[SHOW].outcome is Outcome.READY
    short = planned(mid_event(pods=7, more=stopped, level=0), T0 + 1800.0)
    assert short.verdicts[SHOW].outcome is Outcome.LATE, "one of the eight has no machine"
