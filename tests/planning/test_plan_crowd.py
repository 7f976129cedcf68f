"""How much of everybody's memory the events of one namespace may take."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import CORE, NS, T0, event, policy, target, world

from tidegate.planning import book
from tidegate.planning.decision import Outcome
from tidegate.planning.model import Announcement, Key, Policy
from tidegate.planning.plan import Planner
from tidegate.planning.world import World

NOW = T0 - 1800.0
OTHER = Key("other", "core")


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MOST_ROWS", 3)


def of(name: str, **given: object) -> Announcement:
    """An event of a policy that nobody has."""
    return replace(event(name), policy=f"policy-{name}", **given)  # type: ignore[arg-type]


def crowded(*events: Announcement) -> World:
    elsewhere = replace(event("calm"), key=Key("other", "calm"))
    return world(*events, elsewhere, policies=(policy(), Policy(OTHER, (target("elsewhere"),))))


def levels(planner: Planner, w: World) -> dict[Key, int | None]:
    plan = planner.plan(w, NOW)
    return {key[0]: one.peak for key, one in plan.targets.items()}


def test_what_one_namespace_asks_for_beyond_its_share_is_left_out_in_words_and_costs_no_other() -> None:
    planner = Planner()
    w = crowded(of("a"), of("b"), of("c"), event())
    plan = planner.plan(w, NOW)
    verdict = plan.verdicts[event().key]
    assert (verdict.outcome, "namespace shop asks for 4" in verdict.message) == (Outcome.BLOCKED, True)
    assert plan.targets[OTHER, "elsewhere"].peak == 10
    assert len(planner.book.rows) == 4


def test_there_is_room_again_when_another_goes() -> None:
    planner = Planner()
    w = crowded(of("a"), of("b"), of("c"), event())
    assert levels(planner, w)[CORE] == 2
    gone = of("b").key
    fewer = replace(w, announcements={key: one for key, one in w.announcements.items() if key != gone})
    planner.plan(fewer, NOW, changed=frozenset({gone}))
    after = planner.plan(fewer, NOW, changed=frozenset())
    assert after.targets[CORE, "order"].peak == 10
    assert planner.book.left_out == {}


def test_more_events_of_the_same_sums_take_no_more_room() -> None:
    planner = Planner()
    w = crowded(of("a"), of("b"), event(), event("more"))
    assert levels(planner, w)[CORE] == 20


def test_events_that_come_and_go_under_ever_new_names_leave_nothing_behind() -> None:
    planner = Planner()
    for number in range(50):
        w = crowded(of(f"x{number}"), of(f"y{number}"), of(f"z{number}"), of(f"too-many-{number}"))
        planner.plan(w, NOW)
    assert len(planner.book.rows) == 4
    assert sum(map(len, planner.book._crowded.values())) == 1
    planner.plan(crowded(), NOW)
    assert [row[0] for row in planner.book.rows] == [OTHER]
    assert (planner.book._counts[NS], sum(map(len, planner.book._crowded.values()))) == (0, 0)


def test_a_sum_that_was_let_go_and_comes_again_is_another() -> None:
    planner = Planner()
    with_it, without = crowded(event()), crowded()
    assert levels(planner, with_it)[CORE] == 10
    assert levels(planner, without)[CORE] == 2
    assert levels(planner, crowded(event(level=3000.0)))[CORE] == 30
