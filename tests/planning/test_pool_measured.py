"""Measured demand of a target whose machines come from a pool."""

from __future__ import annotations

import pytest
from worlds import CORE, NS, T0, event, policy, signal, target, world

from tidegate.planning.model import Freshness, Reading
from tidegate.planning.plan import make_plan
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import PoolSeen
from tidegate.planning.shift.model import Lane, Pool
from tidegate.planning.world import PoolWorld

UNIT = Resources(1000, 1024)


@pytest.mark.xfail(strict=True, reason="what is asked of a pool is made from announcements alone")
def test_measured_demand_adds_at_once_where_the_pool_has_room() -> None:
    """10 units are announced, 30 are measured, a thousand are free."""
    pool = Pool("p", (Lane("trading", 40, frozenset({NS})), Lane("data", 5)), given=UNIT.times(1000))
    core = policy(target(lane="trading", unit=UNIT), signals=(signal("orders", "q"),), pool="p")
    readings = {(CORE, "orders"): Reading(Freshness.FRESH, 3000.0, T0 + 60.0)}
    seen = world(
        event(),
        policies=(core,),
        pools={"p": PoolWorld(pool, PoolSeen(UNIT.times(1000), {}, ()))},
        readings=readings,
    )
    plan = make_plan(seen, T0 + 60.0).targets[CORE, "order"]
    assert plan.level == 30, plan.message
