"""What couples workloads: one queue of pods that all share, stages in front of one another, several policies."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from worlds import NS, T0, Obedient, event, policy, target, world

from tidegate.planning.decision import Action
from tidegate.planning.model import STAGES, Announcement, Key, LeadTimeGuess, Mode, Observed, PlanSettings
from tidegate.planning.override import Override, OverrideAction
from tidegate.planning.plan import Planner, make_plan
from tidegate.planning.world import World

pytestmark = pytest.mark.timeout(300)  # a loaded machine fails no test

RATE, START = 20.0, 30.0
"""Pods that the cluster creates in a second, and seconds until one is ready."""
BATCH = 4
"""Pods that are looked at as one."""
KEYS = (Key(NS, "core"), Key(NS, "pay"), Key("chat", "core"))


@st.composite
def days(draw: st.DrawFn) -> World:
    """One to three policies of one or two workloads in unequal stages, and up to four events over a day."""
    keys = KEYS[: draw(st.integers(1, 3))]
    policies = []
    for number, key in enumerate(keys):
        targets = [
            target(
                f"w{number}{index}",
                stage=draw(st.sampled_from(STAGES)),
                settle=draw(st.sampled_from([0.0, 30.0, 300.0])),
                maximum=draw(st.sampled_from([20, 400])),
                capacity=(("orders", draw(st.sampled_from([10.0, 100.0]))),),
                lead=LeadTimeGuess(START),
            )
            for index in range(draw(st.integers(1, 2)))
        ]
        policies.append(policy(*targets, key=key, hold=draw(st.sampled_from([0.0, 600.0]))))
    events = [_event(draw, f"show-{n}", draw(st.sampled_from(keys))) for n in range(draw(st.integers(1, 4)))]
    made = world(*events, policies=tuple(policies))
    # What is written within a second is part of the reaction time.
    settled = PlanSettings(creation_rate=RATE, fail_over=0.0, reaction=1.0)
    return replace(made, settings=settled, writes_per_second=draw(st.sampled_from([math.inf, 0.1])))


def _event(draw: st.DrawFn, name: str, of: Key) -> Announcement:
    made = event(
        name,
        level=draw(st.integers(100, 20_000)),
        start=T0 + draw(st.integers(-43_200, 43_200)),
        duration=draw(st.integers(60, 7200)),
        profile=draw(st.sampled_from(["flat", "show", "flash-sale"])),
    )
    return replace(made, key=Key(of.namespace, name), policy=of.name)


def one_ramp() -> World:
    """Two workloads whose need rises within two cells: the second step is written with the first one of both."""
    both = [
        target(f"w0{n}", stage="database", maximum=400, capacity=(("orders", 10.0),), lead=LeadTimeGuess(START))
        for n in range(2)
    ]
    rising = event("show-0", level=16_817, start=T0 - 2424, duration=150, profile="show")
    rising = replace(rising, key=Key(KEYS[0].namespace, "show-0"), policy=KEYS[0].name)
    made = world(rising, policies=(policy(*both, key=KEYS[0], hold=0.0),))
    settled = PlanSettings(creation_rate=RATE, fail_over=0.0, reaction=1.0)
    return replace(made, settings=settled, writes_per_second=math.inf)


@dataclass
class Queued(Obedient):
    """A cluster that creates pods one after the other, in the order in which their levels were written; these are
    written one after the other, too.
    """

    free_at: float = 0.0
    written_at: float = 0.0

    def _write(self, key: tuple[Key, str], action: Action, level: int, now: float) -> None:
        before = self.world.observed[key].level or 0
        super()._write(key, action, level, now)
        if level > before:
            self.written_at = max(self.written_at, now) + 1.0 / self.world.writes_per_second
            begun, units = max(self.free_at, self.written_at), level - before
            self.free_at = begun + units / RATE
            del self.starting[key][-1]
            for first in range(0, units, BATCH):  # the first of them are there before the last are created
                last = min(first + BATCH, units)
                self.starting[key].append((begun + last / RATE + START, last - first))


@settings(max_examples=25, deadline=None)
@given(days())
@example(one_ramp())
def test_all_is_ready_in_time_though_all_start_through_one_queue(day: World) -> None:
    cluster = Queued(day)
    now = T0 - 50_000.0
    while now < T0 + 60_000.0:
        plan = cluster.at(now)
        for key, one in plan.targets.items():
            assert cluster.ready(key) >= min(one.need, one.level or 0), f"{key[1]} {now - T0:+.0f} s"
            spec = next(t for t in day.policies[key[0]].targets if t.name == key[1])
            assert (one.level or 0) >= min(one.need, spec.maximum)
        ahead = (plan.next_at or now + 900.0) - now
        now += min(max(1.0, ahead), 60.0 if any(o.loan for o in cluster.world.observed.values()) else 900.0)
    assert all(o.loan is None and o.level == 2 for o in cluster.world.observed.values())


@settings(max_examples=40, deadline=None)
@given(days(), st.randoms(use_true_random=False), st.integers(-43_200, 43_200))
def test_the_order_of_policies_and_events_never_matters(day: World, dice: random.Random, offset: int) -> None:
    def shuffled(of: dict[Key, object]) -> dict[Key, object]:
        items = list(of.items())
        dice.shuffle(items)
        return dict(items)

    other = replace(
        day,
        policies=shuffled(dict(day.policies)),  # type: ignore[arg-type]
        announcements=shuffled(dict(day.announcements)),  # type: ignore[arg-type]
        observed=dict(reversed(day.observed.items())),
    )
    assert make_plan(day, T0 + offset) == make_plan(other, T0 + offset)


@settings(max_examples=30, deadline=None)
@given(days(), st.data())
def test_a_planner_that_saw_everything_change_plans_as_one_that_never_saw_it(day: World, data: st.DataObject) -> None:
    """What one policy's edit changes in another's lead, a planner with a memory must notice, too."""
    planner, now, keys = Planner(day.settings), T0 - 20_000.0, list(day.policies)
    for number in range(6):
        of = data.draw(st.sampled_from(keys))
        what = data.draw(st.sampled_from(["event", "gone", "mode", "ceiling", "boost", "time"]))
        if what == "event":
            new = _event(data.draw, f"more-{number % 2}", of)
            day = replace(day, announcements={**day.announcements, new.key: new})
        elif what == "gone" and len(day.announcements) > 1:
            last = list(day.announcements)[-1]
            day = replace(day, announcements={k: v for k, v in day.announcements.items() if k != last})
        elif what == "mode":
            mode = data.draw(st.sampled_from(list(Mode)))
            day = replace(day, policies={**day.policies, of: replace(day.policies[of], mode=mode)})
        elif what == "ceiling":
            key = of, day.policies[of].targets[0].name
            seen = Observed(level=2, ready=2, desired=2, maximum=data.draw(st.sampled_from([None, 5, 100])))
            day = replace(day, observed={**day.observed, key: seen})
        elif what == "boost":
            until = now + data.draw(st.integers(-100, 90_000))
            made = Override(Key(of.namespace, "o"), of.name, None, OverrideAction.BOOST, until, "ann", "x", percent=100)
            day = replace(day, overrides=(made,))
        now += data.draw(st.integers(0, 10_000))
        assert planner.plan(day, now) == make_plan(day, now)


@pytest.mark.parametrize(("later", "written"), [(45, 20), (300, 10)])
def test_a_step_is_written_with_the_one_before_only_if_it_follows_within_a_minute(later: int, written: int) -> None:
    """What is written early stands before others' pods in the queue, which counts on a minute of it."""
    slow = target("w00", capacity=(("orders", 10.0),), lead=LeadTimeGuess(600.0))
    shows = [event(name, level=100, start=T0 + at, duration=900) for name, at in (("first", 0), ("second", later))]
    day = world(*shows, policies=(policy(slow, key=KEYS[0]),))
    planner, now = Planner(day.settings), T0 - 1200.0
    while not (plan := planner.plan(day, now)).steps:
        assert plan.next_at is not None
        now = plan.next_at
    assert [step.level for step in plan.steps] == [written]
