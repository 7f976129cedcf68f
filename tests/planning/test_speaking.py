"""Overrides by the thousand: a plan looks at those that count and name something, and through all only now and then."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from worlds import CORE, NS, T0, event, policy, target, world

from tidegate.planning import speaking as module
from tidegate.planning.model import Key
from tidegate.planning.override import Override, OverrideAction, counted
from tidegate.planning.plan import Planner, make_plan
from tidegate.planning.reasons import Reason
from tidegate.planning.speaking import Speaking

POLICIES = {CORE: policy(target("order"), target("pay"))}
DAY = 86_400.0


def said(name: str, *, of: str = "core", on: str | None = None, until: float = T0 + DAY, **given: object) -> Override:
    made = Override(Key(NS, name), of, on, OverrideAction.BOOST, until, "me", "because", 50, T0 - 30 * DAY)
    return replace(made, **given)  # type: ignore[arg-type]


def test_what_names_nothing_that_is_there_is_not_looked_at() -> None:
    kept = said("a"), said("b", on="pay")
    lost = said("c", of="gone"), said("d", on="gone"), replace(said("e"), key=Key("other", "e"))
    assert Speaking().of((*kept, *lost), POLICIES, T0) == kept


@pytest.mark.parametrize("seed", range(60))
def test_at_each_instant_it_is_what_counts_then(seed: int) -> None:
    """Also of a clock that is set back, and of overrides and policies that change."""
    dice, speaking = random.Random(seed), Speaking()
    policies, now = dict(POLICIES), T0
    given: tuple[Override, ...] = ()
    for number in range(60):
        if dice.random() < 0.3:
            until = now + dice.choice((-3 * DAY, -2 * DAY, -60.0, 1.0, 60.0, DAY))
            action = dice.choice(list(OverrideAction))
            given = (*given, said(f"o{number}", on=dice.choice((None, "order", "x")), until=until, action=action))
        if dice.random() < 0.1:
            policies = {} if policies else dict(POLICIES)
        now += dice.choice((0.0, 1.0, 30.0, DAY / 2, -20.0))
        there = [one for one in given if policies and one.target != "x"]
        assert speaking.of(given, policies, now) == counted(there, now)


def test_thousands_that_name_nothing_are_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0

    def count(overrides: list[Override], now: float) -> tuple[Override, ...]:
        nonlocal looked
        looked += 1
        return counted(overrides, now)

    monkeypatch.setattr(module, "counted", count)
    idle = tuple(said(f"o{n}", on=f"gone-{n}") for n in range(1000))
    w, planner = world(event(), overrides=(*idle, said("boost", until=T0 + 100.0))), Planner()
    for n in range(50):
        planner.plan(w, T0 + n)
    assert looked == 1
    planner.plan(w, T0 + 101.0)
    assert looked == 2


def test_a_boost_among_thousands_that_name_nothing_counts_as_alone() -> None:
    idle = tuple(said(f"o{n}", of=f"gone-{n}") for n in range(1000))
    w = world(event(), overrides=(*idle, said("boost")))
    found = make_plan(w, T0).targets[CORE, "order"]
    assert (found.level, Reason.OVERRIDE_BOOST in {one.reason for one in found.trail}) == (15, True)
    assert found == make_plan(replace(w, overrides=(said("boost"),)), T0).targets[CORE, "order"]
