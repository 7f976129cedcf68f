"""How long ago the sums were made, and so how far they reach, changes nothing of what is decided or told."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import fields, replace

import pytest
from worlds import CORE, T0, derived, event, moment, policy, target, world

from tidegate.planning.decision import Plan, TargetPlan
from tidegate.planning.model import (
    STAGES,
    Announcement,
    LeadTimeGuess,
    Limit,
    LoanState,
    Mode,
    Observed,
    PlanSettings,
    TargetSpec,
)
from tidegate.planning.plan import SLACK, Planner, make_plan
from tidegate.planning.world import World

KEY = (CORE, "order")
SIGNALS = ("chat", "orders", "refunds")
DAY = 86_400.0


class Long:
    """A random world of events that last, lag and lie far ahead, on targets of which some start one after the other."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        core = replace(
            policy(*(self.target(n) for n in range(2)), hold=self.dice.choice((0.0, 900.0, 10_000.0))),
            mode=random.Random(f"{seed} mode").choice((Mode.ENFORCE, Mode.ENFORCE, Mode.OBSERVE)),
            limits=(Limit("writes", "orders", self.dice.choice((900.0, 4000.0))),),
        )
        events = (self.event(n) for n in range(self.dice.randint(1, 4)))
        made = world(*events, policies=(core,), settings=PlanSettings())
        self.world = replace(made, observed={(CORE, one.name): self.observed() for one in core.targets})

    def target(self, number: int) -> TargetSpec:
        dice = self.dice
        return target(
            f"t{number}",
            capacity=tuple((one, dice.choice((10.0, 100.0))) for one in sorted(dice.sample(SIGNALS, 2))),
            stage=dice.choice(STAGES),
            settle=dice.choice((0.0, 90.0)),
            maximum=dice.choice((20, 5000)),
            lead=LeadTimeGuess(dice.choice((10.0, 300.0)), dice.choice((0.0, 120.0))),
        )

    def event(self, number: int) -> Announcement:
        dice = self.dice
        at = dice.choice((-40_000.0, -9000.0, -3000.0, 600.0, 3000.0, 40_000.0, 80_000.0, 84_000.0, 90_000.0))
        return event(
            f"e{number}",
            dice.choice((100.0, 1000.0, 9000.0)),
            T0 + at + dice.random() * 3000.0,
            dice.choice((60.0, 3600.0, 30_000.0, 2 * DAY)),
            profile=dice.choice(("flat", "match", "show")),
            derived=dice.choice(((), (derived("refunds", "orders", 0.5, dice.choice((60.0, DAY, 3 * DAY))),))),
            moments=dice.choice(((), (moment(offset=dice.choice((-9000.0, 600.0, DAY - 3000.0)), duration=3000.0),))),
        )

    def observed(self) -> Observed:
        dice = self.dice
        level = dice.choice((2, 2, 10, 90))
        since = T0 - dice.choice((30.0, 3000.0, 9000.0, 30_000.0))
        loan = LoanState(2, dice.choice((level, 90)), since, since, T0 + dice.choice((600.0, 80_000.0, 90_000.0)))
        ready, ordered = dice.choice((level, 1)), dice.random() < 0.3
        return Observed(level, ready, level, loan=dice.choice((None, loan)), ordered=ordered)


def differences(one: Plan, other: Plan) -> Iterator[str]:
    for key in one.targets:
        for name in [field.name for field in fields(TargetPlan)]:
            mine, its = getattr(one.targets[key], name), getattr(other.targets[key], name)
            if mine != its:
                yield f"{key[1]} {name}: {mine} or {its}"
    for event_, verdict in one.verdicts.items():
        if verdict != other.verdicts.get(event_):
            yield f"{event_.name}: {verdict} or {other.verdicts.get(event_)}"
    if (one.steps, one.next_at) != (other.steps, other.next_at):
        yield f"{one.steps} or {other.steps}, {one.next_at} or {other.next_at}"


def told(w: World, now: float, *, made: float) -> Plan:
    """The plan by sums that were made so many seconds ago."""
    planner = Planner(w.settings)
    planner.plan(w, now - made)
    return planner.plan(w, now, changed=frozenset())


SEEDS = (*range(130), 197, 281, 575)
"""In the last three a level was another once."""


@pytest.mark.parametrize("made", [15.0, SLACK / 2, SLACK - 60.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_told_is_the_same_however_long_ago_the_sums_were_made(seed: int, made: float) -> None:
    long = Long(seed)
    now = T0 + long.dice.uniform(-600.0, 3000.0)
    assert list(differences(told(long.world, now, made=made), make_plan(long.world, now))) == []


@pytest.mark.parametrize("after", [600.0, 9000.0, 9015.0, 40_000.0, DAY + 9000.0])
def test_what_has_been_on_for_a_day_is_told_to_be_on_since_it_began(after: float) -> None:
    """Also where that is longer ago than the sums reach: an instant that moves with the clock is a status that does."""
    others = event("over", 10.0, T0 - 30_000.0, 600.0), event("hats", start=T0 - DAY, duration=4 * DAY)
    w = world(others[0], replace(others[1], expected=(("hats", 5.0),)), event(duration=2 * DAY))
    assert make_plan(w, T0 + after).targets[KEY].peak_at == T0


def test_an_event_is_about_all_its_signals_also_about_one_that_follows_days_later() -> None:
    """That nobody prepares it is said from the first verdict on, and not only once it comes into sight."""
    late = event(derived=(derived("refunds", "orders", 0.1, 3 * DAY),))
    told = {make_plan(world(late), T0 + at).verdicts[late.key].message for at in (-3000.0, -600.0)}
    assert len(told) == 1
    assert "nothing prepares refunds" in told.pop()
