"""Who owns a field, and how it changes hands."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.planning.model import MANAGER
from tidegate.ports import ConflictError, Manager
from tidegate.targets.ownership import handed_back, leaf_of_json_path, leaf_of_pointer, owner, owners

Json = dict[str, Any]
LEAF = ("spec", "minReplicas")
HELM = Manager("helm", "Apply")


def entry(manager: str, *leaves: str, operation: str = "Apply", subresource: str = "") -> Json:
    fields: Json = {}
    for leaf in leaves:
        node = fields
        for key in leaf.split("."):
            node = node.setdefault(f"f:{key}", {})
    made = {"manager": manager, "operation": operation, "apiVersion": "autoscaling/v2", "fieldsType": "FieldsV1"}
    return made | {"fieldsV1": fields} | ({"subresource": subresource} if subresource else {})


def ours(*leaves: str) -> Json:
    return entry(MANAGER, *leaves, operation="Update")


def back(fields: list[Json], to: Manager | None = HELM) -> list[Json] | None:
    return handed_back(fields, LEAF, to=to, api_version="autoscaling/v2")


def test_an_applier_is_named_before_a_writer_and_anybody_before_us() -> None:
    fields = [ours("spec.minReplicas"), entry("kubectl", "spec.minReplicas", operation="Update")]
    assert owner(fields, LEAF) == Manager("kubectl", "Update")
    assert owner([*fields, entry("helm", "spec.minReplicas")], LEAF) == HELM
    assert owner([ours("spec.minReplicas")], LEAF) == Manager(MANAGER, "Update")
    assert owner([entry("helm", "spec.maxReplicas")], LEAF) is None


def test_the_leaf_moves_from_our_entry_into_the_former_ones() -> None:
    fields = [entry("helm", "spec.maxReplicas"), ours("spec.minReplicas")]
    want = [entry("helm", "spec.maxReplicas", "spec.minReplicas")]
    assert back(fields) == want


def test_what_else_we_own_stays_ours() -> None:
    fields = [entry("helm", "spec.maxReplicas"), ours("spec.minReplicas", "spec.suspend")]
    assert back(fields) == [entry("helm", "spec.maxReplicas", "spec.minReplicas"), ours("spec.suspend")]


def test_a_vanished_writers_entry_is_written_again_and_a_vanished_appliers_is_not() -> None:
    fields = [entry("creator", "spec.maxReplicas"), ours("spec.minReplicas")]
    writer = Manager("kubectl-scale", "Update", "scale")
    again = entry("kubectl-scale", "spec.minReplicas", operation="Update", subresource="scale")
    assert back(fields, writer) == [entry("creator", "spec.maxReplicas"), again]
    assert back(fields, HELM) == [entry("creator", "spec.maxReplicas")]


def test_a_field_that_somebody_owns_with_us_is_left_to_them() -> None:
    fields = [entry("argocd", "spec.minReplicas"), entry("helm", "spec.maxReplicas"), ours("spec.minReplicas")]
    assert back(fields) == fields[:2]


@pytest.mark.parametrize("to", [None, HELM])
def test_nothing_is_written_when_there_is_nothing_to_change(to: Manager | None) -> None:
    assert back([entry("helm", "spec.minReplicas")], to) is None


def test_a_field_without_any_owner_goes_to_its_former_applier() -> None:
    """Restored to zero, our own entry vanishes with the field that the server leaves out."""
    assert back([entry("helm", "spec.maxReplicas")]) == [entry("helm", "spec.maxReplicas", "spec.minReplicas")]


def test_another_owner_by_now_is_a_conflict_that_names_him() -> None:
    with pytest.raises(ConflictError) as conflict:
        back([entry("argocd", "spec.minReplicas"), entry("helm", "spec.maxReplicas")])
    assert conflict.value.manager == "argocd"


def test_paths_are_read_as_the_server_writes_them() -> None:
    assert leaf_of_pointer("/spec/minReplicas") == LEAF
    assert leaf_of_json_path(".spec.workers.count") == ("spec", "workers", "count")


leaves = st.sampled_from(["spec.minReplicas", "spec.maxReplicas", "spec.a.b", "metadata.labels"])
managers = st.sampled_from([(MANAGER, "Update"), ("helm", "Apply"), ("kubectl", "Update"), ("argocd", "Apply")])


@st.composite
def managed_fields(draw: st.DrawFn) -> list[Json]:
    names = draw(st.lists(managers, unique=True, max_size=4))
    return [entry(name, *draw(st.lists(leaves, min_size=1, unique=True)), operation=op) for name, op in names]


@given(managed_fields(), st.sampled_from([None, HELM, Manager("kubectl", "Update")]))
def test_handing_back_touches_that_leaf_alone_and_is_done_at_once(fields: list[Json], to: Manager | None) -> None:
    before = copy.deepcopy(fields)
    try:
        after = back(fields, to)
    except ConflictError:
        assert MANAGER not in {one.name for one in owners(fields, LEAF)}
        return
    assert fields == before, "the input is not changed"
    after = fields if after is None else after
    assert MANAGER not in {one.name for one in owners(after, LEAF)}
    for leaf in (("spec", "maxReplicas"), ("spec", "a", "b"), ("metadata", "labels")):
        assert owners(after, leaf) == owners(before, leaf)
    if to is None or not owners(after, LEAF) or owners(after, LEAF)[0].name == to.name:
        assert back(after, to) is None
    else:  # somebody else owned it beside us: he keeps it, and asking again says so
        assert owners(after, LEAF) == [one for one in owners(before, LEAF) if one.name != MANAGER]
