"""From what was seen of a pool to what its planning is told."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.planning.model import Ref
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import Holder, MemberSeen, Occupancy, PoolSeen, Standing, facts_of, gaps
from tidegate.planning.shift.model import Lane, MemberKind, Pool

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
