"""What a primary writes, from the component's number to the operator's verdict."""

from __future__ import annotations

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from samples import EACH, as_it_is  # noqa: E402

from tidegate.api.parse import parse_policy  # noqa: E402
from tidegate.planning.model import Announcement, Key, Occurrence  # noqa: E402
from tidegate.planning.plan import Planner  # noqa: E402
from tidegate.planning.world import World  # noqa: E402


def test_an_event_above_what_the_primary_writes_is_told_so_by_the_operator() -> None:
    """From the component's number, through the policy as it is registered, to the operator's verdict."""
    found = ground.lay(lambda: EACH["database"]("orders", as_it_is))[1]
    (written,) = [one.inputs for one in found.objects if one.kind == "ScalingPolicy"]
    policy = parse_policy(written | {"spec": written["spec"] | {"mode": "Enforce"}})

    def said(orders: float) -> str:
        show = Announcement(
            Key("shop", "show"), policy.key.name, (Occurrence(7200.0, 600.0),), (("orders_per_second", orders),), "flat"
        )
        world = World({policy.key: policy}, {show.key: show}, {})
        (verdict,) = Planner(world.settings).plan(world, 7000.0).verdicts.values()
        return verdict.reason.value

    assert said(8_999.0) != "WriteLimit", "3,000 of the ordinary day come on top"
    assert said(9_001.0) == "WriteLimit"
