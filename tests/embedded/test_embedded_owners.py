"""Who owns a field: borrowed by compare-and-swap, disputed, given back."""

from __future__ import annotations

from typing import Any

import pytest
from builders_embedded import API_VERSION, GROUP, HandClock, autoscaler, definition, deployment, show
from hypothesis import given
from hypothesis import strategies as st

from tidegate.embedded import managed
from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.errors import ApiError
from tidegate.embedded.managed import Owned, Writer
from tidegate.embedded.shape import BUILTIN

HPA = ("autoscaling/v2", "HorizontalPodAutoscaler", "web")
WEB = ("apps/v1", "Deployment", "web")

Json = dict[str, Any]


def owners(document: Json, *path: str) -> list[tuple[str, str, str]]:
    found = []
    for entry in document["metadata"]["managedFields"]:
        place: Json | None = entry["fieldsV1"]
        for step in path:
            place = None if place is None else place.get(f"f:{step}")
        if place is not None:
            found.append((entry["manager"], entry["operation"], entry.get("subresource", "")))
    return sorted(found)


def get(cluster: EmbeddedCluster, what: tuple[str, str, str]) -> Json:
    found = cluster.get(*what)
    assert found is not None
    return found


def swap(uid: str, field: str, was: int, want: int) -> list[Json]:
    return [
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "test", "path": field, "value": was},
        {"op": "replace", "path": field, "value": want},
    ]


def hand_back(document: Json, *, from_: str, to: str, path: tuple[str, str]) -> list[Json]:
    entries = [e for e in document["metadata"]["managedFields"] if e["manager"] != from_]
    former = next(e for e in entries if e["manager"] == to)
    former["fieldsV1"].setdefault(f"f:{path[0]}", {})[f"f:{path[1]}"] = {}
    version = document["metadata"]["resourceVersion"]
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/metadata/managedFields", "value": entries},
    ]


def test_a_floor_is_borrowed_held_against_its_applier_and_returned() -> None:
    cluster = EmbeddedCluster()
    installed = autoscaler(low=2)
    uid = cluster.apply(installed, manager="chart")["metadata"]["uid"]
    assert owners(get(cluster, HPA), "spec", "minReplicas") == [("chart", "Apply", "")]

    borrowed = cluster.patch(*HPA, swap(uid, "/spec/minReplicas", 2, 12), manager="borrower")
    assert owners(borrowed, "spec", "minReplicas") == [("borrower", "Update", "")]
    with pytest.raises(
        ApiError, match=r'conflict with "borrower" using autoscaling/v2: \.spec\.minReplicas'
    ) as refused:
        cluster.apply(installed, manager="chart")
    assert (refused.value.code, refused.value.causes[0].reason) == (409, "FieldManagerConflict")

    restored = cluster.patch(*HPA, swap(uid, "/spec/minReplicas", 12, 2), manager="borrower")
    back = cluster.patch(
        *HPA, hand_back(restored, from_="borrower", to="chart", path=("spec", "minReplicas")), manager="borrower"
    )
    assert owners(back, "spec", "minReplicas") == [("chart", "Apply", "")]
    installed["spec"]["minReplicas"] = 4
    assert cluster.apply(installed, manager="chart")["spec"]["minReplicas"] == 4


def test_an_apply_that_changes_anything_renews_the_time_of_its_entry_and_one_that_changes_nothing_does_not() -> None:
    """As the API server does: by that it is seen that an applier came by and left a field out."""
    clock = HandClock()
    cluster = EmbeddedCluster(clock=clock)
    first = cluster.apply(autoscaler(low=2), manager="chart")["metadata"]["managedFields"]
    clock.advance(60.0)
    assert cluster.apply(autoscaler(low=2), manager="chart")["metadata"]["managedFields"] == first
    (entry,) = cluster.apply(autoscaler(low=3), manager="chart")["metadata"]["managedFields"]
    assert entry["time"] > first[0]["time"]
    assert entry["fieldsV1"] == first[0]["fieldsV1"]


def test_replicas_are_borrowed_through_scale_and_returned_on_the_object() -> None:
    cluster = EmbeddedCluster()
    installed = deployment(replicas=2)
    uid = cluster.apply(installed, manager="chart")["metadata"]["uid"]
    change = swap(uid, "/spec/replicas", 2, 12)
    borrowed = cluster.patch(*WEB, change, subresource="scale", manager="borrower")
    assert borrowed["spec"]["replicas"] == 12
    assert owners(borrowed, "spec", "replicas") == [("borrower", "Update", "scale")]
    with pytest.raises(ApiError, match=r'"borrower" with subresource "scale" using apps/v1: \.spec\.replicas'):
        cluster.apply(installed, manager="chart")
    change = swap(uid, "/spec/replicas", 12, 2)
    restored = cluster.patch(*WEB, change, subresource="scale", manager="borrower")

    giving = hand_back(restored, from_="borrower", to="chart", path=("spec", "replicas"))
    cluster.step()  # the status moves, and with it the version
    with pytest.raises(ApiError) as refused:
        cluster.patch(*WEB, giving, manager="borrower")
    assert refused.value.code == 422
    giving = hand_back(get(cluster, WEB), from_="borrower", to="chart", path=("spec", "replicas"))
    cluster.patch(*WEB, giving, manager="borrower")
    installed["spec"]["replicas"] = 7
    assert cluster.apply(installed, manager="chart")["spec"]["replicas"] == 7


@pytest.mark.parametrize(("uid_wrong", "level"), [(True, 2), (False, 3)])
def test_a_swap_that_believes_wrong_is_422_and_changes_nothing(uid_wrong: bool, level: int) -> None:
    cluster = EmbeddedCluster()
    uid = "another" if uid_wrong else cluster.apply(deployment(replicas=2), manager="chart")["metadata"]["uid"]
    if uid_wrong:
        cluster.apply(deployment(replicas=2), manager="chart")
    before = get(cluster, WEB)
    with pytest.raises(ApiError) as refused:
        cluster.patch(*WEB, swap(uid, "/spec/replicas", level, 12), subresource="scale", manager="borrower")
    answer = refused.value.status()
    assert (answer["code"], answer["reason"], answer["details"]) == (422, "Invalid", {})
    assert answer["message"] == "the server rejected our request due to an error in our request"
    assert get(cluster, WEB) == before


def test_scale_of_a_custom_resource_is_owned_at_its_own_path() -> None:
    cluster = EmbeddedCluster()
    cluster.create(definition())
    cluster.apply(show(replicas=1), manager="chart")
    cluster.scale(API_VERSION, "Show", "friday", 5)
    document = get(cluster, (API_VERSION, "Show", "friday"))
    assert document["spec"]["replicas"] == 5
    assert owners(document, "spec", "replicas") == [("embedded-python", "Update", "scale")]
    entry = next(e for e in document["metadata"]["managedFields"] if e.get("subresource") == "scale")
    assert entry["apiVersion"] == f"{GROUP}/v1"


def test_a_merge_patch_with_the_same_value_takes_nothing() -> None:
    cluster = EmbeddedCluster()
    cluster.apply(autoscaler(low=2), manager="chart")
    before = get(cluster, HPA)
    cluster.patch(*HPA, {"spec": {"minReplicas": 2}}, manager="borrower")
    assert get(cluster, HPA) == before


def test_an_applier_that_stops_naming_a_field_removes_it_unless_somebody_else_owns_it() -> None:
    cluster = EmbeddedCluster()
    cluster.create(definition())
    cluster.apply(show(title="one", replicas=3), manager="a")
    cluster.apply(show(title="one"), manager="b")
    after = cluster.apply(show(), manager="a")
    assert "replicas" not in after["spec"]
    assert after["spec"]["title"] == "one"
    assert owners(after, "spec", "title") == [("b", "Apply", "")]


def test_appliers_share_a_keyed_list_item_by_item() -> None:
    cluster = EmbeddedCluster()
    cluster.create(definition())
    cluster.apply(show(signals=[{"name": "orders", "level": 5}]), manager="a")
    both = cluster.apply(show(signals=[{"name": "viewers", "level": 9}]), manager="b")
    assert [s["name"] for s in both["spec"]["signals"]] == ["orders", "viewers"]
    with pytest.raises(ApiError, match=r'.spec.signals\[name="orders"\].level'):
        cluster.apply(show(signals=[{"name": "orders", "level": 6}]), manager="b")
    left = cluster.apply(show(), manager="a")
    assert [s["name"] for s in left["spec"]["signals"]] == ["viewers"]


def test_applying_the_same_again_changes_nothing_at_all() -> None:
    cluster = EmbeddedCluster()
    first = cluster.apply(deployment(), manager="chart")
    assert cluster.apply(deployment(), manager="chart") == first


def test_an_update_owns_what_it_changes_and_nobody_owns_what_is_gone() -> None:
    cluster = EmbeddedCluster()
    cluster.create(definition())
    cluster.create(show(title="one", replicas=3), manager="maker")
    after = cluster.patch(API_VERSION, "Show", "friday", {"spec": {"title": "two", "replicas": None}}, manager="other")
    assert owners(after, "spec", "title") == [("other", "Update", "")]
    assert owners(after, "spec", "replicas") == []


_steps = st.one_of(
    st.sampled_from(["f:spec", "f:a", "f:b", "f:c"]),
    st.sampled_from(['k:{"name":"x"}', 'k:{"name":"y"}', 'v:"z"']),
)


@given(st.frozensets(st.lists(_steps, min_size=1, max_size=4).map(tuple), min_size=1, max_size=12))
def test_a_set_of_fields_survives_the_wire(paths: frozenset[tuple[str, ...]]) -> None:
    owned = Owned(Writer("m", "Apply", "scale", "v1"), paths, "2026-01-01T00:00:00Z")
    assert managed.decode(managed.encode([owned])) == [owned]


_values = st.recursive(
    st.integers(0, 3) | st.text("ab", max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)
_documents = st.fixed_dictionaries({"spec": st.dictionaries(st.sampled_from("abc"), _values, min_size=1, max_size=3)})


@given(old=_documents, new=_documents)
def test_after_an_update_every_field_has_one_owner_and_only_existing_fields_have_one(old: Json, new: Json) -> None:
    first, second = Writer("first", api_version="v1"), Writer("second", api_version="v1")
    held = managed.own_updates([], old={}, new=old, shape=BUILTIN, writer=first, now="")
    held = managed.own_updates(held, old=old, new=new, shape=BUILTIN, writer=second, now="")
    claimed = [path for owned in held for path in owned.paths]
    assert sorted(claimed) == sorted(managed.leaves(new, BUILTIN))


@given(config=_documents, live=_documents)
def test_what_was_applied_is_there_and_giving_it_all_up_leaves_the_rest(config: Json, live: Json) -> None:
    updater, applier = Writer("u", api_version="v1"), Writer("a", "Apply", "", "v1")
    held = managed.own_updates([], old={}, new=live, shape=BUILTIN, writer=updater, now="")
    start = _copy(live)
    applied, held = managed.apply(start, _copy(config), owners=held, shape=BUILTIN, writer=applier, force=True, now="")
    seen = managed.leaves(applied, BUILTIN)
    for path, value in managed.leaves(config, BUILTIN).items():
        assert seen.get(path) == value or value == {}  # an empty map may be filled by others
    left, _ = managed.apply(_copy(applied), {}, owners=held, shape=BUILTIN, writer=applier, force=True, now="")
    others = {path for owned in held if owned.writer == updater for path in owned.paths}
    assert others <= managed.leaves(left, BUILTIN).keys()


def _copy(value: Any) -> Any:
    return {k: _copy(v) for k, v in value.items()} if isinstance(value, dict) else value
