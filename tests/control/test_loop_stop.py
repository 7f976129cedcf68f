"""While the durable stop stands, loans belong to whoever returns them."""

from __future__ import annotations

from fakes import FakeCluster, FakeStore, HandClock, Thing, operator, run_until
from worlds import CORE, T0, event, policy, target


async def test_a_stopped_operator_writes_no_loan_that_is_being_returned() -> None:
    cluster = FakeCluster(HandClock(T0 - 300.0), {"order": Thing()})
    show = event(duration=600.0)
    store = FakeStore({CORE: policy(target())}, {show.key: show})
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0)
    before = dict(cluster.loans)
    assert len(before) == 1

    store.is_stopped = True
    cluster.things["order"].level = 5  # half-way back, by somebody else's hand
    await run_until(loop, cluster.clock, T0 + 60.0)

    assert cluster.loans == before, "to settle this loan is the releaser's affair"
