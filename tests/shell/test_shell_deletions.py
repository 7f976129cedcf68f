"""What is deleted and made again at once was never gone; what cannot be understood is never lost."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from test_shell_store import CORE, NOW, SHOW, live_event, scaling_policy

from tidegate.planning.model import Key
from tidegate.shell import store as module
from tidegate.shell.store import GRACE, WatchedStore

Json = dict[str, Any]

POOL: Json = {"metadata": {"name": "east", "generation": 1, "uid": "p"}, "spec": {}}


def taken(store: WatchedStore) -> frozenset[Key]:
    """Changes that nobody planned yet, acknowledged."""
    changes = store.changes()
    store.acknowledge(changes)
    return changes


def override(**spec: Any) -> Json:
    made = {"policyRef": {"name": "core"}, "action": "Hold", "until": "2026-11-11T02:00:00+08:00", "reason": "load"}
    return {"metadata": {"namespace": "shop", "name": "o", "generation": 1}, "spec": {**made, "author": "me", **spec}}


class Stage:
    def __init__(self) -> None:
        self.at = NOW
        self.woken = 0
        self.store = WatchedStore(lambda: self.at)
        self.store.on_change = self.wake

    def wake(self, namespace: str) -> None:
        self.woken += 1

    def put_and_delete(self, kind: str) -> tuple[Callable[[Json], object], Callable[[], None], Callable[[], bool]]:
        """How an object of a kind is put, deleted, and looked for."""
        store = self.store
        if kind == "policy":
            return store.put_policy, lambda: store.delete_policy(CORE), lambda: CORE in store.policies()
        return store.put_event, lambda: store.delete_event(SHOW), lambda: SHOW in store.announcements()


OBJECTS: dict[str, Json] = {"policy": scaling_policy(), "event": live_event()}


@pytest.mark.parametrize("kind", OBJECTS)
def test_an_object_that_is_replaced_by_force_is_never_gone(kind: str) -> None:
    stage = Stage()
    put, delete, there = stage.put_and_delete(kind)
    put(OBJECTS[kind])
    taken(stage.store)
    delete()
    stage.at += 0.2
    assert there()
    again = copy.deepcopy(OBJECTS[kind])
    again["metadata"]["uid"] = "another"
    put(again)
    stage.at += 10 * GRACE
    assert there()


@pytest.mark.parametrize("kind", OBJECTS)
def test_an_object_that_stays_deleted_is_gone_after_the_grace_and_that_wakes_the_loop(kind: str) -> None:
    stage = Stage()
    put, delete, there = stage.put_and_delete(kind)
    put(OBJECTS[kind])
    delete()
    stage.at += GRACE - 0.1
    delete()  # said twice, by the watch and by a list: the grace runs from the first
    assert there()
    stage.at += 0.1
    woken = stage.woken
    stage.store.expire()
    assert stage.woken == woken + 1
    assert not there()


def test_a_clock_that_is_set_back_keeps_no_deleted_object() -> None:
    stage = Stage()
    stage.store.put_policy(scaling_policy())
    stage.store.delete_policy(CORE)
    stage.at -= 3600.0
    assert CORE in stage.store.policies()
    stage.at += GRACE
    assert CORE not in stage.store.policies()


def test_a_policy_that_was_never_valid_is_there_until_its_grace_ends() -> None:
    """Else its loans look for a moment like those of a policy that was deleted."""
    stage = Stage()
    stage.store.put_policy(scaling_policy(targets=[]))
    stage.store.delete_policy(CORE)
    assert stage.store.unusable() == {CORE}
    stage.at += GRACE
    stage.store.expire()
    assert stage.store.unusable() == frozenset()


# ---- what cannot be understood

ERRORS = [OverflowError("Infinity"), MemoryError(), RecursionError("too deep"), KeyError("x"), ZeroDivisionError()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("kind", ["live_event", "policy", "pool", "override"])
def test_whatever_a_parser_stumbles_over_makes_the_object_invalid_and_nothing_else(
    kind: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumbles(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(module, f"parse_{kind}", stumbles)
    store = Stage().store
    put, obj, name = {
        "live_event": (store.put_event, live_event(), ("LiveEvent", SHOW)),
        "policy": (store.put_policy, scaling_policy(), ("ScalingPolicy", CORE)),
        "pool": (store.put_pool, POOL, ("CapacityPool", Key("", "east"))),
        "override": (store.put_override, override(), ("Override", Key("shop", "o"))),
    }[kind]
    put(obj)  # type: ignore[operator]
    assert store.invalid[name].problems.startswith(f"could not be understood: {type(error).__name__}")
    assert name[1] in store.known(name[0])


def test_an_event_whose_occurrences_cannot_be_worked_out_is_invalid_and_keeps_counting_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage()
    weekly = {**live_event()["spec"]["schedule"], "recurrence": {"rrule": "FREQ=WEEKLY;COUNT=8"}}
    stage.store.put_event(live_event(schedule=weekly))
    before = stage.store.announcements()[SHOW]

    def stumbles(*_: object) -> None:
        raise OverflowError("date value out of range")

    monkeypatch.setattr("tidegate.api.parsed.ParsedEvent.announcement", stumbles)
    stage.at += module.ROLL + 1
    assert stage.store.announcements()[SHOW] == before
    stage.store.put_event(live_event(schedule=weekly, expected={"orders": 7}))
    assert stage.store.announcements()[SHOW] == before
    assert "OverflowError" in stage.store.invalid["LiveEvent", SHOW].problems


# ---- changes


def test_a_change_is_told_until_a_plan_has_acknowledged_it() -> None:
    store = Stage().store
    store.put_event(live_event())
    assert store.changes() == {SHOW}  # the plan that took it raised
    assert store.changes() == {SHOW}
    store.acknowledge(frozenset({SHOW}))
    assert store.changes() == frozenset()


def test_what_changes_again_while_a_plan_is_made_is_told_again() -> None:
    store = Stage().store
    store.put_event(live_event())
    taken = store.changes()
    store.put_event(live_event(expected={"orders": 7}))
    store.acknowledge(taken)
    assert store.changes() == {SHOW}


def test_a_status_that_changes_alone_wakes_nobody() -> None:
    stage = Stage()
    stage.store.put_policy(scaling_policy())
    stage.store.put_event(live_event())
    woken = stage.woken
    stage.store.put_policy({**scaling_policy(), "status": {"summary": "order 12"}})
    stage.store.put_event({**live_event(), "status": {"outcome": "Ready"}})
    assert stage.woken == woken


WEEKLY = {**live_event()["spec"]["schedule"], "recurrence": {"rrule": "FREQ=WEEKLY;COUNT=8"}}


@pytest.mark.parametrize("known", ["before", "ahead"])
def test_a_clock_that_was_ahead_hides_no_occurrence_once_it_is_set_back(known: str) -> None:
    """Whether an event was known before it was ahead, or came meanwhile, or another one was never looked at then."""
    stage = Stage()
    stage.store.put_event(live_event("other", schedule=WEEKLY))
    if known == "before":
        stage.store.put_event(live_event(schedule=WEEKLY))
    tonight = stage.store.announcements()[Key("shop", "other")].occurrences
    assert [round(one.start - NOW) for one in tonight] == [0]
    stage.at = NOW + 10 * 86_400.0
    if known == "before":
        assert stage.store.announcements()[SHOW].occurrences != tonight
    else:
        stage.store.put_event(live_event(schedule=WEEKLY))
    stage.at = NOW + 1.0
    taken(stage.store)
    assert stage.store.announcements()[SHOW].occurrences == tonight
    assert SHOW in taken(stage.store), "and it is planned anew"
    stage.at = NOW + 2.0
    stage.store.announcements()
    assert not taken(stage.store)


def test_recurring_events_are_worked_out_again_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROLLED_AT_ONCE", 3)
    stage = Stage()
    for at in range(7):
        stage.store.put_event(live_event(f"show{at}", schedule=WEEKLY))
    taken(stage.store)
    stage.at += 7 * 86_400.0
    moved = []
    for _ in range(4):
        stage.store.announcements()
        moved.append(len(taken(stage.store)))
    assert moved == [3, 3, 1, 0]
