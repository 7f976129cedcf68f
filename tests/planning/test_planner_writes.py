"""The time that our own writes take is part of the lead: they queue before the pods do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from worlds import CORE, NS, T0, event, policy, target, world

from tidegate.planning.decision import Outcome
from tidegate.planning.leadtime import creation_lag, shared_lag, writing_lag
from tidegate.planning.model import Key, LoanState, Observed, PlanSettings
from tidegate.planning.plan import Planner, make_plan
from tidegate.planning.world import World

KEY = (CORE, "order")


def rush(targets: int, *, writes_per_second: float) -> World:
    """So many floors, all due at one instant; pods are created at once and ready after 30 s."""
    policies, events = [], []
    for number in range(targets // 50):
        key = Key(NS, f"p{number}")
        policies.append(policy(*(target(f"w{number}-{n}") for n in range(50)), key=key))
        events.append(replace(event(f"show-{number}"), policy=key.name))
    settings = PlanSettings(fail_over=0.0, reaction=0.0, creation_rate=1e9)
    return world(*events, policies=tuple(policies), settings=settings, writes_per_second=writes_per_second)


def test_two_thousand_floors_due_at_one_instant_are_all_written_in_time_at_twenty_writes_a_second() -> None:
    """By a writer that takes what is due in the plan's order, 20 a second; the last is ready by T-0 as well."""
    w = rush(2000, writes_per_second=20.0)
    planner = Planner(w.settings)
    first = planner.plan(w, T0 - 3600.0)
    assert {t.next_at for t in first.targets.values()} == {T0 - 30.0 - 1.0 - 100.0}
    assert dict(next(iter(first.targets.values())).lead.parts)["writing"] == 100.0
    now, written = first.next_at, 0
    assert now is not None
    while now < T0 - 30.0:
        plan = planner.plan(w, now, changed=frozenset())
        observed = dict(w.observed)
        for number, step in enumerate(plan.steps[: 20 * 25]):
            at = now + (number + 1) / 20.0
            loan = LoanState(step.before, step.level, at, at)
            observed[step.policy, step.target] = Observed(level=step.level, ready=2, desired=step.level, loan=loan)
            written += 1
        w, now = replace(w, observed=observed), now + 25.0
        assert {v.outcome for v in plan.verdicts.values()} == {Outcome.READY}, "who is behind in the queue is not late"
    assert written == 2000
    assert all(o.loan is not None and o.loan.stepped_at <= T0 - 30.0 for o in w.observed.values())


def test_a_few_writes_take_no_time_of_the_lead() -> None:
    """What is written within a second is part of the reaction."""
    parts = dict(make_plan(rush(50, writes_per_second=100.0), T0 - 3600.0).targets[Key(NS, "p0"), "w0-0"].lead.parts)
    assert "writing" not in parts


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_of_nothing_is_taken_for_the_slowest(rate: float) -> None:
    plan = make_plan(rush(50, writes_per_second=rate), T0 - 3600.0).targets[Key(NS, "p0"), "w0-0"]
    assert dict(plan.lead.parts)["writing"] == 500.0


def test_writes_of_one_instant_begin_in_the_cells_before_it() -> None:
    writes = np.zeros(100, dtype=np.int64)
    writes[50] = 600
    lag = writing_lag(writes, rate=20.0, cell=15.0)
    assert (lag[50], lag[49], lag[48], lag[47]) == (30.0, 15.0, 0.0, 0.0)


def test_both_queues_add_up_and_what_is_needed_earlier_is_never_due_later() -> None:
    dice = np.random.default_rng(7)
    for _ in range(50):
        rises, writes = dice.integers(0, 4, (2, 200)) ** dice.integers(1, 7)
        starts = np.arange(200) * 15.0
        creation, writing = creation_lag(rises, rate=20.0, cell=15.0), writing_lag(writes, rate=20.0, cell=15.0)
        lag = shared_lag(creation, writing, starts, here=20)
        assert (np.diff(lag.latest[20:]) >= 0.0).all()
        assert (lag.total >= creation + writing).all()
        assert lag.longest == lag.total.max()
