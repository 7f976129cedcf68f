"""A timetable is not only possible but near enough to the cheapest: nobody is stopped, or told, for nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pools import cores, facts, job, lane, loader, pool

from tidegate.planning.resources import Resources
from tidegate.planning.shift.model import Drain, Need, NeedStep, Work
from tidegate.planning.shift.plan import plan_pool

T0 = 1_794_240_000.0
"""Midnight of a sale whose peak is announced for an hour."""
NIGHT = pool(
    lane("trading", guarantee=40), lane("data", guarantee=10, drain=Drain(600.0, 900.0, 120.0), give_back_within=900.0)
)


def needs() -> list[Need]:
    """Three services that come down one after the other."""

    def one(name: str, peak: int, after: int, ends: float) -> Need:
        levels = [(T0 - 90, ends, peak), (ends, ends + 30, peak * 3 // 4), (ends + 30, ends + 60, peak // 2)]
        steps = [NeedStep(start, end, Resources(1000 * level, 0)) for start, end, level in levels]
        return Need(f"shop/core/{name}", "trading", "shop", (*steps, NeedStep(ends + 60, T0 + 7320, cores(after))))

    return [one("orders", 260, 32, T0 + 3720), one("payments", 136, 20, T0 + 3720), one("stock", 126, 14, T0 + 3750)]


@pytest.mark.parametrize("before", [5000.0, 3600.0, 1800.0, 900.0, 830.0])
def test_nobody_takes_anothers_turn_where_nothing_asks_for_it(before: float) -> None:
    now = T0 - before
    units = loader(units=32, size=cores(2), work="loader")
    jobs = [job(f"nightly-{n:02d}", cores(8), work="nightly", saved_at=now, saved_every=300.0) for n in range(56)]
    works = {"loader": Work(500_000.0, T0 + 21_600), "nightly": Work(56 * 14_000.0, T0 + 21_600)}
    seen = replace(facts(Resources(612_000, 10**9), units, *jobs), works=works)
    plan = plan_pool(NIGHT, seen, needs(), now)
    assert plan.refusals == ()
    begun = {one.free_by for lent in plan.lendings.values() for one in lent}
    assert begun == {T0 - 90.0}
