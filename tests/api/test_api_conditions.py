"""Conditions: an unchanged meaning is an unchanged status, and kstatus reads them as they are meant."""

from __future__ import annotations

from tidegate.api.conditions import accepted_conditions, condition, invalid_conditions, merge_conditions

NOON, LATER = 1_794_312_000.0, 1_794_312_600.0


def test_the_transition_time_moves_only_when_the_status_changes() -> None:
    first = merge_conditions([], [condition("OnTime", True, "Ready", "all ready")], now=NOON)
    told_anew = merge_conditions(first, [condition("OnTime", True, "ReadyEarly", "other words")], now=LATER)
    turned = merge_conditions(told_anew, [condition("OnTime", False, "Late", "at 20:04")], now=LATER)

    assert first[0]["lastTransitionTime"] == "2026-11-10T12:00:00Z"
    assert told_anew[0]["lastTransitionTime"] == "2026-11-10T12:00:00Z"
    assert told_anew[0]["reason"] == "ReadyEarly"
    assert turned[0]["lastTransitionTime"] == "2026-11-10T12:10:00Z"


def test_merging_the_same_again_gives_the_same() -> None:
    conditions = merge_conditions([], accepted_conditions(generation=3), now=NOON)

    assert merge_conditions(conditions, accepted_conditions(generation=3), now=LATER) == conditions


def test_conditions_are_sorted_by_type_and_old_ones_go() -> None:
    old = merge_conditions([], invalid_conditions("no such zone", generation=1), now=NOON)
    new = merge_conditions(old, accepted_conditions(generation=2), now=LATER)

    assert [c["type"] for c in old] == ["Accepted", "Ready", "Stalled"]
    assert [c["type"] for c in new] == ["Accepted", "Ready"]


def test_an_invalid_object_is_stalled_and_an_armed_one_is_ready() -> None:
    invalid = {c["type"]: c["status"] for c in invalid_conditions("no such zone")}
    armed = {c["type"]: c["status"] for c in accepted_conditions(reason="Armed")}

    assert invalid == {"Accepted": "False", "Ready": "False", "Stalled": "True"}
    assert armed == {"Accepted": "True", "Ready": "True"}, "an event that waits for next Friday is Ready"


def test_messages_are_bounded_and_unknown_is_a_status() -> None:
    made = condition("OnTime", None, "NotDueYet", "x" * 5000, generation=2)

    assert made["status"] == "Unknown"
    assert len(made["message"]) == 1024
    assert made["observedGeneration"] == 2
