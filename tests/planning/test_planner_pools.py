"""A planner that remembers, on machines that its targets share with work that may stop, against ``make_plan``."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_planner_slices import Hours, remembering_changes_nothing
from worlds import NS

from tidegate.planning.decision import Plan
from tidegate.planning.model import Policy, Ref, TargetSpec
from tidegate.planning.plan import make_plan
from tidegate.planning.pools import with_timetables
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import Holder, MemberSeen, Occupancy, PoolSeen
from tidegate.planning.shift.handover import Do
from tidegate.planning.shift.model import Drain, Lane, MemberKind, Pool
from tidegate.planning.shift.plan import timetable
from tidegate.planning.world import PoolWorld

POOL, UNIT = "p", Resources(1000, 1024)
JOBS = tuple(Ref("batch/v1", "Job", "warehouse", f"job-{n}") for n in range(4))


class PooledHours(Hours):
    """The same on a pool that shrinks and grows, is out of sight now and then, and has its lanes edited."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.machines(40)

    def target(self, number: int) -> TargetSpec:
        made = super().target(number)
        return replace(made, lane=self.dice.choice(("trading", "trading", None)), unit=UNIT)

    def policy(self, name: str) -> Policy:
        return replace(super().policy(name), pool=self.dice.choice((POOL, POOL, POOL, "nowhere")))

    def machines(self, count: int, *, stale: bool = False) -> None:
        """So many machines of one unit, of which four have Jobs that may stop."""
        drain, cap = Drain(60.0, 0.0, 30.0), self.dice.choice((None, None, 30))
        lanes = Lane("trading", 20, frozenset({NS}), cap), Lane("data", 5, drain=drain, give_back_within=900.0)
        occupancy = {Holder(ref.namespace, "Job", ref.name): Occupancy(UNIT, 0.0) for ref in JOBS}
        members = tuple(MemberSeen(ref, "data", "nightly", MemberKind.JOB, UNIT, 1) for ref in JOBS)
        one = PoolWorld(Pool(POOL, lanes), PoolSeen(UNIT.times(count), occupancy, members), stale=stale)
        self.world = replace(self.world, pools={POOL: one})

    def edit(self) -> None:
        if self.dice.random() < 0.2:
            self.machines(self.dice.choice((6, 40, 400)), stale=self.dice.random() < 0.3)
        else:
            super().edit()

    def obey(self, plan: Plan) -> None:
        """Levels are written as without a pool; a timetable comes now and then."""
        super().obey(plan)
        if self.dice.random() < 0.3:
            self.world = with_timetables(self.world, plan.pools, timetable)


@pytest.mark.parametrize("seed", range(24))
def test_a_planner_that_remembers_plans_a_pool_as_one_that_remembers_nothing(seed: int) -> None:
    remembering_changes_nothing(PooledHours(seed), steps=30)


def test_these_hours_are_about_what_they_say() -> None:
    """Targets rise and are kept from it, work is told to stop, and timetables are there."""
    cut = told = planned = 0
    for seed in range(12):
        hours = PooledHours(seed)
        for _ in range(30):
            hours.edit()
            plan = make_plan(hours.world, hours.now)
            cut += sum(bool(one.refusals) for one in plan.targets.values())
            told += sum(act.do is Do.NOTIFY for view in plan.pools.values() for act in view.step.acts)
            planned += bool(hours.world.timetables)
            hours.obey(plan)
    assert min(cut, told, planned) > 10, (cut, told, planned)
