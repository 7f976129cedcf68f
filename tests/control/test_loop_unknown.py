"""What nobody can tell lowers nothing and ends no Loan; and what can be told goes on beside it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from fakes import FakeStore, HandClock, Thing, operator, run_until
from scalers import ScaledCluster, Scaler
from worlds import CORE, NS, T0, event, policy, target

from tidegate.planning.model import Key, Observed, Ref, Trouble
from tidegate.ports import Sight, UnavailableError

UNKNOWN = (Trouble.FORBIDDEN, Trouble.NOT_SERVED, Trouble.UNREADABLE)


@dataclass
class Silent(ScaledCluster):
    """Of some workloads nobody can tell for a while."""

    silent: dict[str, Trouble] = field(default_factory=dict)

    async def see(self, ref: Ref) -> Sight:
        if ref.name in self.silent:
            return Sight(Observed(trouble=self.silent[ref.name], note="not now"), None)
        if ref.name in self.unreadable:
            raise UnavailableError("no answer")
        return await super().see(ref)


def show_of(cluster: Silent) -> FakeStore:
    one = event()
    return FakeStore({CORE: policy(target(), hold=30.0)}, {one.key: one})


@pytest.mark.parametrize("trouble", UNKNOWN)
async def test_nothing_is_stepped_down_where_nobody_can_tell_whether_an_autoscaler_drives(trouble: Trouble) -> None:
    cluster = Silent(HandClock(T0 - 60.0), {"order": Thing()})
    store = show_of(cluster)
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    assert cluster.things["order"].level == 10
    store.policy_map.clear()
    cluster.hpas["keda"] = Scaler(minimum=10, asks=10, controller="ScaledObject/order")
    cluster.silent["order"], before = trouble, len(cluster.replicas)
    await run_until(loop, cluster.clock, T0 + 400.0)
    assert len(cluster.replicas) == before, "nothing is written against it"
    assert cluster.loans
    cluster.silent.clear()
    await run_until(loop, cluster.clock, T0 + 800.0)
    assert not cluster.loans
    assert cluster.things["order"].level == 10, "it is the autoscaler's"


@pytest.mark.parametrize("trouble", UNKNOWN)
async def test_what_is_owed_behind_an_autoscaler_that_is_gone_is_not_forgotten_while_nobody_can_tell(
    trouble: Trouble,
) -> None:
    cluster = Silent(HandClock(T0 - 60.0), {"order": Thing()})
    cluster.hpas["web"] = Scaler()
    store = show_of(cluster)
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    assert cluster.hpas["web"].minimum == 10
    store.policy_map.clear()
    del cluster.hpas["web"]
    cluster.silent["order"] = trouble
    await run_until(loop, cluster.clock, T0 + 400.0)
    assert cluster.loans
    cluster.silent.clear()
    await run_until(loop, cluster.clock, T0 + 2000.0)
    assert (cluster.things["order"].level, len(cluster.loans)) == (2, 0)


OTHER = Key(NS, "other")


@pytest.mark.parametrize("trouble", UNKNOWN)
async def test_a_neighbour_of_whom_nobody_can_tell_keeps_no_workloads_loan(trouble: Trouble) -> None:
    """It names another workload, so that it is no new name of the one that was lent."""
    cluster = Silent(HandClock(T0 - 60.0), {"order": Thing(), "fleet": Thing()}, silent={"fleet": trouble})
    store = show_of(cluster)
    store.policy_map[OTHER] = replace(policy(target("fleet")), key=OTHER)
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    assert cluster.things["order"].level == 10
    del store.policy_map[CORE]
    await run_until(loop, cluster.clock, T0 + 1200.0)
    assert (cluster.things["order"].level, len(cluster.loans)) == (2, 0)


@pytest.mark.parametrize("trouble", UNKNOWN)
async def test_a_target_that_names_another_object_by_now_keeps_not_the_loan_of_the_first(trouble: Trouble) -> None:
    cluster = Silent(HandClock(T0 - 60.0), {"order": Thing(), "fleet": Thing()}, silent={"fleet": trouble})
    store = show_of(cluster)
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    moved = replace(target("order"), ref=target("fleet").ref)
    store.policy_map[CORE] = policy(moved, hold=30.0)
    await run_until(loop, cluster.clock, T0 + 1200.0)
    assert (cluster.things["order"].level, len(cluster.loans)) == (2, 0)


@pytest.mark.parametrize("trouble", UNKNOWN)
async def test_an_autoscalers_loan_waits_for_such_a_neighbour_until_its_time_is_over(trouble: Trouble) -> None:
    """The autoscaler may point to that one by now, and hold its level."""
    cluster = Silent(HandClock(T0 - 60.0), {"order": Thing(), "fleet": Thing()}, silent={"fleet": trouble})
    cluster.hpas["web"] = Scaler()
    store = show_of(cluster)
    store.policy_map[OTHER] = replace(policy(target("fleet")), key=OTHER)
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    (loan,) = cluster.loans.values()
    del store.policy_map[CORE]
    await run_until(loop, cluster.clock, loan.until - 15.0)
    assert cluster.hpas["web"].minimum == 10
    await run_until(loop, cluster.clock, loan.until + 1200.0)
    assert (cluster.hpas["web"].minimum, len(cluster.loans)) == (2, 0)


async def test_a_target_that_names_another_object_by_now_is_looked_at_at_once() -> None:
    """Whatever became of looks at the one that it named before: on call has mended the name."""
    cluster = Silent(HandClock(T0 - 400.0), {"order": Thing(), "slow": Thing()}, unreadable={"slow"})
    one = event()
    store = FakeStore({CORE: policy(replace(target("order"), ref=target("slow").ref))}, {one.key: one})
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 - 20.0)
    store.policy_map[CORE] = policy(target("order"))
    await loop.turn()
    assert cluster.things["order"].level == 10
