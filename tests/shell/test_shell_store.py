"""What the watches have seen: good objects act, bad ones say why, and neither hides the other."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tidegate.planning.model import Key
from tidegate.ports import LastValid
from tidegate.shell import store as module
from tidegate.shell.store import WatchedStore


def taken(store: WatchedStore) -> frozenset[Key]:
    """Changes that nobody planned yet, acknowledged."""
    changes = store.changes()
    store.acknowledge(changes)
    return changes


NOW = 1_794_240_000.0
SHOW = Key("shop", "show")
CORE = Key("shop", "core")


def live_event(name: str = "show", **spec: Any) -> dict[str, Any]:
    made = {
        "schedule": {"startTime": "2026-11-10T00:00:00", "timeZone": "Asia/Shanghai", "durationSeconds": 3600},
        "expected": {"orders": 1000},
        "policyRef": {"name": "core"},
    }
    return {"metadata": {"namespace": "shop", "name": name, "generation": 1}, "spec": {**made, **spec}}


def scaling_policy(generation: int = 1, **spec: Any) -> dict[str, Any]:
    target = {"name": "order", "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "order"}, "max": 50}
    made = {"mode": "Enforce", "targets": [{**target, "capacity": {"orders": 100}}]}
    return {"metadata": {"namespace": "shop", "name": "core", "generation": generation}, "spec": {**made, **spec}}


def store() -> tuple[WatchedStore, list[str]]:
    woken: list[str] = []
    made = WatchedStore(lambda: NOW)
    made.on_change = lambda namespace: woken.append("woken")
    return made, woken


def test_nothing_may_be_returned_before_every_first_list_is_complete() -> None:
    watched, _ = store()
    assert not watched.synced
    watched.policies_synced = watched.events_synced = True
    assert not watched.synced
    watched.stop_synced = True
    assert watched.synced


def test_an_event_is_announced_once_and_its_status_changes_are_not_news() -> None:
    watched, woken = store()
    watched.put_event(live_event())
    assert taken(watched) == {SHOW}
    watched.put_event({**live_event(), "status": {"verdict": "Ready"}})
    assert taken(watched) == frozenset()
    assert len(woken) == 1


def test_an_event_that_became_invalid_keeps_counting_as_it_last_was_valid_and_says_why() -> None:
    """A typing error in mid-show must not let floors fall."""
    watched, _ = store()
    watched.put_event(live_event())
    watched.put_event(live_event(expected={"orders": "many"}))
    assert watched.announcements()[SHOW].expected == (("orders", 1000.0),)
    assert "spec.expected.orders" in watched.invalid["LiveEvent", SHOW].problems
    watched.put_event(live_event(expected={"orders": 7}))
    assert watched.announcements()[SHOW].expected == (("orders", 7.0),)
    assert watched.invalid == {}


def test_a_policy_that_was_never_valid_is_known_to_be_there() -> None:
    """After a restart its loans must not look like those of a policy that was deleted."""
    watched, _ = store()
    watched.put_policy(scaling_policy(targets=[]))
    assert watched.unusable() == {CORE}
    watched.put_policy(scaling_policy(2))
    assert watched.unusable() == frozenset()


def test_one_bad_event_leaves_the_others() -> None:
    watched, _ = store()
    watched.put_event(live_event("bad", schedule={}))
    watched.put_event(live_event("good"))
    assert list(watched.announcements()) == [Key("shop", "good")]


def test_a_policy_that_became_invalid_keeps_acting_as_it_last_was_valid() -> None:
    """A typing error at 23:58 must not let floors fall."""
    watched, _ = store()
    watched.put_policy(scaling_policy())
    watched.put_policy(scaling_policy(2, targets=[]))
    assert [t.name for t in watched.policies()[CORE].targets] == ["order"]
    assert "spec.targets" in watched.invalid["ScalingPolicy", CORE].problems


def test_deleting_what_is_not_there_is_no_news() -> None:
    watched, woken = store()
    watched.delete_event(SHOW)
    watched.delete_policy(CORE)
    assert (woken, taken(watched)) == ([], frozenset())


def test_a_weekly_show_is_announced_again_as_weeks_pass() -> None:
    clock = [NOW]
    watched = WatchedStore(lambda: clock[0])
    schedule = {**live_event()["spec"]["schedule"], "recurrence": {"rrule": "FREQ=WEEKLY;COUNT=8"}}
    watched.put_event(live_event(schedule=schedule))
    (first,) = watched.announcements()[SHOW].occurrences
    taken(watched)
    clock[0] += 7 * 86_400.0
    (second,) = watched.announcements()[SHOW].occurrences
    assert second.start - first.start == 7 * 86_400.0
    assert taken(watched) == {SHOW}


@pytest.mark.parametrize(
    ("ref", "named"), [({"name": "core"}, Key("shop", "core")), ({}, Key("shop", "")), ("core", Key("shop", ""))]
)
def test_what_was_never_understood_is_told_by_the_policy_that_it_names(ref: object, named: Key) -> None:
    watched, _ = store()
    bad = live_event()
    bad["spec"]["policyRef"] = ref
    bad["spec"]["expected"] = {"orders": "many"}
    watched.put_event(bad)
    assert list(watched.unread()) == [named]
    assert "LiveEvent show cannot be understood" in watched.unread()[named]
    watched.put_event(live_event())
    assert watched.unread() == {}
    watched.put_event(bad)
    assert watched.unread() == {}, "its last valid version counts"


def test_an_override_that_was_never_understood_is_told_too() -> None:
    watched, _ = store()
    watched.put_override({"metadata": {"name": "more", "namespace": "shop"}, "spec": {"policyRef": {"name": "core"}}})
    assert watched.unread() == {
        Key("shop", "core"): "Override more cannot be understood, and what it said before is not known"
    }


# ---- last valid versions


def with_uid(obj: dict[str, Any], uid: str = "u1") -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], "uid": uid}}


def hold() -> dict[str, Any]:
    made = {"policyRef": {"name": "core"}, "action": "Hold", "until": "2026-11-11T02:00:00+08:00", "reason": "load"}
    return {"metadata": {"namespace": "shop", "name": "o", "generation": 1}, "spec": {**made, "author": "me"}}


BAD: dict[str, Any] = {"expected": {"orders": -1}}


def test_the_version_that_counts_is_told_while_the_object_is_invalid_and_the_next_life_goes_by_it() -> None:
    watched, _ = store()
    watched.put_policy(scaling_policy())
    watched.put_event(with_uid(live_event()))
    assert watched.last_valid() == {}
    watched.put_event(with_uid(live_event(**BAD)))
    told = watched.last_valid()
    assert [(one.kind, one.key, one.uid) for one in told[CORE]] == [("LiveEvent", SHOW, "u1")]
    assert watched.last_valid() is told, "the same while nothing changed"
    after, _ = store()
    after.put_event(with_uid(live_event(**BAD)))
    assert after.announcements() == {}
    after.recall(told[CORE])
    assert after.announcements() == watched.announcements()
    assert after.last_valid() == told
    assert (after.unread(), ("LiveEvent", SHOW) in after.invalid) == ({}, True)
    after.put_event(with_uid(live_event()))
    assert (after.last_valid(), after.invalid) == ({}, {})


def test_a_version_that_is_told_before_its_object_arrives_waits_for_it() -> None:
    watched, _ = store()
    watched.put_event(with_uid(live_event()))
    watched.put_event(with_uid(live_event(**BAD)))
    (told,) = watched.last_valid()[CORE]
    after, _ = store()
    after.recall([told])
    after.put_event(with_uid(live_event(**BAD)))
    assert after.announcements() == watched.announcements()


def test_policies_and_overrides_too() -> None:
    watched, _ = store()
    override = with_uid(hold())
    watched.put_policy(with_uid(scaling_policy()))
    watched.put_override(override)
    watched.put_policy(with_uid(scaling_policy(2, targets=[])))
    watched.put_override({**override, "spec": {**override["spec"], "until": "soon"}})
    told = watched.last_valid()[CORE]
    assert [one.kind for one in told] == ["ScalingPolicy", "Override"]
    after, _ = store()
    after.put_policy(with_uid(scaling_policy(2, targets=[])))
    after.put_override({**override, "spec": {**override["spec"], "until": "soon"}})
    assert after.unusable() == {CORE}
    after.recall(told)
    assert (after.policies(), after.overrides(), after.unusable()) == (watched.policies(), watched.overrides(), set())


def pool_object(**spec: Any) -> dict[str, Any]:
    lanes = [{"name": "trading", "allowedNamespaces": ["shop"]}, {"name": "data"}]
    given = {"capacity": {"given": {"cpu": "40", "memory": "40Gi"}}, "lanes": lanes}
    return {"metadata": {"name": "p", "uid": "u1", "generation": 1}, "spec": {**given, **spec}}


def test_pools_too_each_in_what_was_learned_of_itself() -> None:
    watched, _ = store()
    watched.put_pool(pool_object())
    watched.put_pool(pool_object(lanes=[]))
    told = watched.last_valid()
    assert [(of, one.kind, one.key) for of, ones in told.items() for one in ones] == [
        (Key("", "p"), "CapacityPool", Key("", "p"))
    ]
    after, _ = store()
    after.put_pool(pool_object(lanes=[]))
    assert (after.pools(), after.unusable_pools()) == ({}, {"p"})
    after.recall(told[Key("", "p")])
    assert (after.pools(), after.unusable_pools(), after.last_valid()) == (watched.pools(), set(), told)
    assert "lanes" in after.invalid["CapacityPool", Key("", "p")].problems


def pool_with_work() -> dict[str, Any]:
    """Its work is to be done by six in the morning."""
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "warehouse", "name": "loader"}
    work = {"deadline": "06:00", "timeZone": "UTC", "remaining": {"unitSeconds": 600}}
    return pool_object(lanes=[{"name": "data", "members": [{"name": "loader", "ref": ref, "work": work}]}])


@pytest.mark.parametrize("known", ["before", "ahead"])
def test_the_deadline_of_a_pools_work_is_tonight_again_once_a_clock_that_was_ahead_is_set_back(known: str) -> None:
    now = [NOW]
    watched = module.WatchedStore(lambda: now[0])

    def deadline() -> float:
        work = watched.pools()["p"].lanes[0].members[0].work
        assert work is not None
        return work.deadline

    if known == "before":
        watched.put_pool(pool_with_work())
        assert 0.0 < deadline() - NOW < 86_400.0
    now[0] = NOW + 10 * 86_400.0
    watched.put_pool(pool_with_work())
    if known == "before":
        assert deadline() > now[0]
    now[0] = NOW + 1.0
    assert 0.0 < deadline() - NOW < 86_400.0


def test_a_pool_that_is_invalid_stays_so_when_the_deadline_of_its_work_passes() -> None:
    now = [NOW]
    watched = module.WatchedStore(lambda: now[0])
    watched.put_pool(pool_with_work())
    watched.put_pool(pool_object(lanes=[]))
    first = watched.pools()["p"].lanes[0].members[0].work
    now[0] += 86_400.0
    second = watched.pools()["p"].lanes[0].members[0].work
    assert first is not None
    assert second is not None
    assert second.deadline == first.deadline + 86_400.0
    assert "lanes" in watched.invalid["CapacityPool", Key("", "p")].problems


ODD = ["garbage", [], {}, 1e300, True, None]


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{}",
        '{"metadata": {}}',
        '{"metadata": {}, "spec": {"expected": 3}}',
        *(orjson.dumps({"metadata": {"generation": odd}}).decode() for odd in ODD),
        '{"metadata": {"generation": 99999999999999999999999999}}',
        '{"metadata": {"creationTimestamp": ["x"], "uid": {}}, "kind": 3, "spec": []}',
        "[" * 4000,
    ],
)
def test_a_version_that_says_nothing_is_none(document: str) -> None:
    watched, _ = store()
    watched.recall([LastValid("LiveEvent", SHOW, "u1", document)])
    watched.put_event(with_uid(live_event(**BAD)))
    assert (watched.announcements(), watched.last_valid()) == ({}, {})
    assert "orders" in watched.invalid["LiveEvent", SHOW].problems


def test_an_object_that_was_made_again_has_no_last_version() -> None:
    watched, _ = store()
    watched.put_event(with_uid(live_event()))
    watched.put_event(with_uid(live_event(**BAD)))
    (told,) = watched.last_valid()[CORE]
    after, _ = store()
    after.recall([told])
    after.put_event(with_uid(live_event(**BAD), "u2"))
    assert after.announcements() == {}


def test_a_version_speaks_of_no_other_object_than_its_own() -> None:
    watched, _ = store()
    other = {**live_event(), "metadata": {"namespace": "other", "name": "elsewhere", "uid": "u1"}}
    watched.recall([LastValid("LiveEvent", SHOW, "u1", orjson.dumps(other).decode())])
    watched.put_event(with_uid(live_event(**BAD)))
    assert set(watched.announcements()) == {SHOW}


def test_of_events_that_are_far_away_and_of_large_ones_no_version_is_kept() -> None:
    watched, _ = store()
    far = live_event(schedule={**live_event()["spec"]["schedule"], "startTime": "2026-11-12T00:00:00"})
    large = live_event("large", derived=[])
    large["spec"]["moments"] = [
        {
            "name": f"moment-{n:03d}" + "x" * 40,
            "offsetSeconds": n,
            "durationSeconds": 1,
            "factor": "2",
            "signal": "orders",
        }
        for n in range(60)
    ]
    for obj in (with_uid(far), with_uid(large)):
        watched.put_event(obj)
        watched.put_event({**obj, "spec": {**obj["spec"], **BAD}})
    assert watched.last_valid() == {}


def test_the_policies_of_a_namespace_have_so_many_targets_together_and_no_other_pays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_TARGETS", 2)
    watched, _ = store()

    def named(name: str, namespace: str = "shop") -> dict[str, Any]:
        made = scaling_policy()
        return {**made, "metadata": {**made["metadata"], "name": name, "namespace": namespace}}

    for one in (named("a"), named("b"), named("c"), named("a", "other"), named("a")):
        watched.put_policy(one)
    assert set(watched.policies()) == {Key("shop", "a"), Key("shop", "b"), Key("other", "a")}
    assert "have 3 targets together; at most 2" in watched.invalid["ScalingPolicy", Key("shop", "c")].problems
    watched._policies.pop(Key("shop", "a"))
    watched.put_policy(named("c"))
    assert Key("shop", "c") in watched.policies()
