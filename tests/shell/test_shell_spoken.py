"""What overrides show: each time those in force, and all of them when one changes, begins to matter or ends."""

from __future__ import annotations

from dataclasses import replace

from test_shell_store import CORE, NOW, hold, scaling_policy

from tidegate.api.parse import parse_policy
from tidegate.control.loop import Beat
from tidegate.planning.model import Key, Observed, Policy
from tidegate.planning.override import Override, OverrideAction
from tidegate.planning.plan import make_plan
from tidegate.planning.world import World
from tidegate.ports import Json
from tidegate.shell import spoken as module
from tidegate.shell.spoken import Spoken
from tidegate.shell.store import Invalid, WatchedStore

POLICIES = {CORE: parse_policy(scaling_policy())}
DAY = 86_400.0


def said(name: str, *, of: str = "core", on: str | None = None, until: float = NOW + DAY) -> Override:
    return Override(Key("shop", name), of, on, OverrideAction.HOLD, until, "me", "because", 0, NOW - DAY)


ACTIVE = said("active")
IDLE = tuple(said(f"idle-{n}", on=f"gone-{n}") for n in range(200))
PAST = tuple(said(f"past-{n}", until=NOW - DAY) for n in range(200))
MANY = (ACTIVE, *IDLE, *PAST)


def beat(overrides: tuple[Override, ...], at: float = NOW, policies: dict[Key, Policy] | None = None) -> Beat:
    of = POLICIES if policies is None else policies
    there = Observed(level=2, ready=2, desired=2)
    world = World(of, {}, {(CORE, "order"): there}, overrides=overrides)
    return Beat(at, world, make_plan(world, at), (), (), True, 0, None)


def shown(spoken: Spoken, of: Beat, invalid: dict[tuple[str, Key], Invalid] | None = None) -> dict[str, Json]:
    return {patch.key.name: patch.status for one in spoken.tellings(of, invalid or {}) for patch in one.make()}


def named(name: str) -> Json:
    made = hold()
    return {**made, "metadata": {**made["metadata"], "name": name}}


def why(status: Json) -> str:
    (found,) = (one["reason"] for one in status["conditions"] if one["type"] == "Active")
    return str(found)


def test_all_are_shown_once_and_then_those_in_force() -> None:
    spoken = Spoken()
    assert len(shown(spoken, beat(MANY))) == len(MANY)
    for n in range(1, 5):
        assert list(shown(spoken, beat(MANY, NOW + 15.0 * n))) == ["active"]


def test_one_that_ends_says_so() -> None:
    spoken, short = Spoken(), said("short", until=NOW + 20.0)
    of = (*MANY, short)
    assert why(shown(spoken, beat(of))["short"]) == "InForce"
    assert set(shown(spoken, beat(of, NOW + 15.0))) == {"active", "short"}
    assert why(shown(spoken, beat(of, NOW + 20.0))["short"]) == "Expired"
    assert set(shown(spoken, beat(of, NOW + 35.0))) == {"active"}


def test_a_policy_that_comes_or_a_target_that_is_added_is_told_by_those_that_waited_for_it() -> None:
    spoken, of = Spoken(), (said("early", on="late"),)
    assert why(shown(spoken, beat(of, policies={}))["early"]) == "PolicyMissing"
    assert why(shown(spoken, beat(of))["early"]) == "TargetMissing"
    core = POLICIES[CORE]
    grown = replace(core, targets=(*core.targets, replace(core.targets[0], name="late")))
    assert why(shown(spoken, beat(of, policies={CORE: grown}))["early"]) == "InForce"


def test_what_somebody_else_wrote_into_one_that_is_over_does_not_stay() -> None:
    spoken = Spoken()
    shown(spoken, beat(MANY))
    assert len(shown(spoken, beat(MANY, NOW + module.ALL_AGAIN))) == len(MANY)


def test_an_edit_that_is_not_valid_is_told_at_once_by_whichever_it_is() -> None:
    spoken = Spoken()
    shown(spoken, beat(MANY))
    new = Key("shop", "new")
    bad = {("Override", key): Invalid("Override", key, 2, "spec.until: wrong") for key in (PAST[0].key, new)}
    found = shown(spoken, beat(MANY, NOW + 15.0), bad)
    assert "the latest change is not valid" in str(found["past-0"])
    assert "spec.until: wrong" in str(found["new"])
    assert "the latest change is not valid" not in str(shown(spoken, beat(MANY, NOW + 30.0))["past-0"])


def test_the_overrides_of_a_store_are_one_object_while_none_changes() -> None:
    store = WatchedStore(lambda: NOW)
    for name in "ba":
        store.put_override(named(name))
    first = store.overrides()
    assert [one.key.name for one in first] == ["a", "b"]
    assert store.overrides() is first
    store.put_override(named("c"))
    assert [one.key.name for one in store.overrides()] == ["a", "b", "c"]
    store.delete_override(Key("shop", "b"))
    store.now = lambda: NOW + DAY
    assert [one.key.name for one in store.overrides()] == ["a", "c"]
