"""From what was seen of a pool to what its planning is told."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.planning.model import Evidence, Ref
from tidegate.planning.reasons import Reason
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import Holder, MemberSeen, Occupancy, PoolSeen, Standing, facts_of, gaps, holder_of
from tidegate.planning.shift.model import CannotStop, Lane, Mark, MemberKind, Pool, PoolFacts, base_of
from tidegate.planning.shift.pieces import stocks_of

CORE = Resources(1000, 1024)
POOL = Pool("hangzhou-a", (Lane("trading", allowed_namespaces=frozenset({"shop"})), Lane("data")))
JOB = Ref("batch/v1", "Job", "warehouse", "nightly")


def seen(**pods: int) -> PoolSeen:
    """A pool of 100 cores; ``namespace_Kind_name`` is how many cores such pods hold."""
    occupancy = {Holder(*key.split("__")): Occupancy(CORE.times(n), 50.0) for key, n in pods.items()}
    job = MemberSeen(JOB, "data", "nightly", MemberKind.JOB, CORE.times(4), 1, started_at=20.0)
    return PoolSeen(CORE.times(100), occupancy, (job,))


def test_pods_are_told_apart_by_who_controls_them() -> None:
    web = Standing("trading", "shop/core/web", Holder("shop", "Deployment", "web"), CORE, rest=10, asked=30)
    held = seen(shop__Deployment__web=25, shop__Deployment__tools=3, warehouse__Job__nightly=4, other__Pod__x=7)
    facts = facts_of(POOL, held, [web], {}, {})
    assert facts.capacity == CORE.times(93), "what others use is taken off"
    assert facts.use("trading").standing == CORE.times(13)
    assert facts.use("trading").asked == {"shop/core/web": CORE.times(20)}
    assert facts.use("trading").used == CORE.times(28)
    (member,) = facts.members
    assert (member.used, member.running_since) == (CORE.times(4), 50.0)


def test_work_that_others_scale_is_its_lanes_and_its_guarantee_is_met_by_it() -> None:
    loader = Ref("apps/v1", "Deployment", "warehouse", "loader")
    driven = CannotStop(loader, "data", Reason.OWNED_BY_OTHER_SCALER, "an autoscaler scales it")
    there = {holder_of(loader): Occupancy(CORE.times(12), 0.0, 12, CORE)}
    facts = facts_of(POOL, PoolSeen(CORE.times(40), there, cannot=(driven,)), [], {}, {})
    assert facts.capacity == CORE.times(40), "nothing of it is a stranger's"
    assert facts.use("data").standing == CORE.times(12)


def test_pods_without_gaps_need_no_reserve() -> None:
    assert gaps([CORE.times(8)] * 5, [CORE], [CORE, CORE.times(2)]) == Resources()


def test_a_pod_of_two_cores_may_find_a_gap_of_one_and_a_half_on_each_node() -> None:
    """300 Jobs of 1.5 cores on 20 nodes of 32 left 12 pods of 2 cores without a machine, with room for them in sum."""
    node, unit, job = Resources(32_000, 262_144), Resources(2000, 1024), Resources(1500, 1024)
    assert gaps([node] * 20, [unit], [job]) == Resources(20 * 1500, 0)


@settings(max_examples=300)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=4),
    st.lists(st.integers(1, 6), min_size=1, max_size=3),
    st.integers(1, 6),
    st.data(),
)
def test_within_the_reserve_a_borrowers_pod_always_fits_somewhere(
    nodes: list[int], others: list[int], unit: int, data: st.DataObject
) -> None:
    """Whatever stands where: as long as more is free than the reserve and the pod together, some node has room."""
    free = list(nodes)
    for _ in range(data.draw(st.integers(0, 20))):
        size, at = data.draw(st.sampled_from([*others, unit])), data.draw(st.integers(0, len(nodes) - 1))
        if free[at] >= size:
            free[at] -= size
    reserve = gaps([Resources(n) for n in nodes], [Resources(unit)], [Resources(o) for o in others])
    if sum(free) - reserve.cpu >= 1:
        assert max(free) >= unit


# ---- size is what pods use, and a claim is what stands here


LOADER = Ref("apps/v1", "Deployment", "warehouse", "loader")
BIGGER = Resources(1100, 1024)


def of(
    there: Occupancy,
    *,
    ref: Ref = LOADER,
    level: int = 5,
    mark: Mark | None = None,
    settled: bool = True,
    refused: Evidence | None = None,
) -> PoolFacts:
    """The facts of a pool with one member."""
    kind = MemberKind.JOB if ref.kind == "Job" else MemberKind.SCALE
    many = 4 if kind is MemberKind.JOB else 1
    member = MemberSeen(ref, "data", "m", kind, CORE.times(many), level, CORE, many=many, settled=settled)
    member = replace(member, refused=refused)
    pool = PoolSeen(CORE.times(100), {holder_of(ref): there}, (member,))
    return facts_of(POOL, pool, [], {} if mark is None else {ref: mark}, {})


def test_a_unit_is_what_its_pods_were_admitted_with_not_what_the_template_says() -> None:
    (member,) = of(Occupancy(BIGGER.times(5), 0.0, 5, BIGGER)).members
    assert (member.unit, member.extra) == (BIGGER, Resources(100, 0))


def test_while_no_pod_stands_the_larger_of_both_counts_is_remembered() -> None:
    mark = Mark(original=1, asked=0, asked_at=1.0, extra=Resources(100, 0))
    (member,) = of(Occupancy(Resources(), 0.0, 0), ref=JOB, level=0, mark=mark).members
    assert member.unit == BIGGER.times(4)


def test_what_is_leaving_is_judged_pod_by_pod() -> None:
    """Five pods of 1.1 cores are five, though they take more than five of the template's."""
    mark = Mark(original=13, asked=5, asked_at=1.0)
    (member,) = of(Occupancy(BIGGER.times(5), 0.0, 5, BIGGER), mark=mark).members
    assert member.leaving == 0
    (member,) = of(Occupancy(CORE.times(5) + Resources(1), 0.0, 6, BIGGER), mark=mark).members
    assert member.leaving == 1


def test_work_whose_pods_stand_elsewhere_frees_nothing_and_is_named() -> None:
    facts = of(Occupancy(Resources(), 0.0, 0, CORE, elsewhere=4), ref=JOB, level=1)
    assert facts.members == ()
    assert [(one.ref, one.reason) for one in facts.cannot] == [(JOB, Reason.PODS_ELSEWHERE)]
    facts = of(Occupancy(Resources(), 0.0, 0, CORE, elsewhere=5))
    assert [one.reason for one in facts.cannot] == [Reason.PODS_ELSEWHERE]
    assert facts.capacity - base_of(POOL.lanes[1], facts) == CORE.times(100), "it takes nothing of these machines"
    assert stocks_of(POOL, facts, 0.0) == []


def test_scaled_work_whose_pods_are_all_refused_is_named_with_what_its_controller_says() -> None:
    nothing = Occupancy(Resources(), 0.0, 0)
    quota = Evidence(Reason.QUOTA_EXCEEDED, Ref("v1", "ResourceQuota", "warehouse", "small"), "spec.hard", "none left")
    (told,) = of(nothing, refused=quota).cannot
    assert (told.ref, told.lane, told.reason, told.message) == (LOADER, "data", Reason.QUOTA_EXCEEDED, "none left")
    assert of(Occupancy(CORE, 0.0, 1, CORE), refused=quota).cannot == (), "one stands here, and may be stopped"
    assert of(Occupancy(Resources(), 0.0, 0, waiting=1), refused=quota).cannot == ()
    assert [one.reason for one in of(nothing).cannot] == [Reason.NO_PODS], "why, its controller does not say"
    assert of(nothing, settled=False).cannot == (), "its pods may come at any moment"
    assert of(nothing, level=0, refused=quota).cannot == (), "it asks for none"


def test_a_job_without_pods_frees_nothing_once_they_had_time_to_come() -> None:
    nothing = Occupancy(Resources(), 0.0, 0)
    assert [one.reason for one in of(nothing, ref=JOB, level=1).cannot] == [Reason.NO_PODS]
    (young,) = of(nothing, ref=JOB, level=1, settled=False).members
    assert not young.lends
    assert not young.claim.nothing, "its pods may come at any moment"
    assert of(Occupancy(Resources(), 0.0, 0, waiting=4), ref=JOB, level=1).cannot == (), "they may take a machine here"


def test_of_a_job_that_stands_here_in_part_only_that_part_is_freed() -> None:
    (member,) = of(Occupancy(CORE, 0.0, 1, CORE, elsewhere=3), ref=JOB, level=1).members
    assert member.unit == CORE


def test_units_of_a_target_that_stand_elsewhere_take_nothing_here() -> None:
    """Twenty of twenty run, two of them on a machine that was cordoned: nobody has to make room for those two."""
    web = Standing("trading", "shop/core/web", Holder("shop", "Deployment", "web"), CORE, rest=4, asked=20, elsewhere=2)
    there = {web.holder: Occupancy(CORE.times(18), 0.0, 18, CORE, elsewhere=2)}
    facts = facts_of(POOL, PoolSeen(CORE.times(18), there), [web], {}, {})
    assert facts.use("trading").claim == CORE.times(18)


def test_what_stands_needs_no_reserve_for_gaps_once_it_is_complete() -> None:
    """A machine was cordoned beneath a borrower whose pods all run: nothing more has to be placed."""
    node, double = CORE.times(32), CORE.times(2)
    web = Standing("trading", "shop/core/web", Holder("shop", "Deployment", "web"), double, rest=4, asked=10)

    def reserve(pods: int, *, asked: int = 10, loaders: int = 4) -> Resources:
        loader = MemberSeen(LOADER, "data", "m", MemberKind.SCALE, CORE.times(3), loaders)
        there = {
            web.holder: Occupancy(double.times(pods), 0.0, pods, double),
            holder_of(LOADER): Occupancy(CORE.times(3 * loaders), 0.0, loaders, CORE.times(3)),
        }
        return facts_of(POOL, PoolSeen(node, there, (loader,), (node,)), [web._replace(asked=asked)], {}, {}).reserve

    assert not reserve(9).nothing, "one is still to be placed"
    assert reserve(10) == Resources(), "ten of two cores and four of three fill the machine"
    assert not reserve(4, asked=4, loaders=8).nothing, "at rest all that is to come will have to be placed"
