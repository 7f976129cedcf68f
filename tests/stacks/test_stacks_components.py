"""What holds for every component, with values that are known and with values that are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]")

from samples import EACH, as_it_is, not_yet_known  # noqa: E402

from tidegate.api.parse import parse_policy  # noqa: E402
from tidegate_stacks import objects  # noqa: E402
from tidegate_stacks.component import Component  # noqa: E402
from tidegate_stacks.ownership import ignored  # noqa: E402

every_component = pytest.mark.parametrize("make", EACH.values(), ids=EACH)
known_or_not = pytest.mark.parametrize(
    ("text", "preview"), [(as_it_is, False), (as_it_is, True), (not_yet_known, True)], ids=["up", "preview", "unknown"]
)

Make = Callable[[str, Callable[[str], Any]], Component]


def laid(make: Make, *, name: str = "one", text: Callable[[str], Any] = as_it_is, preview: bool = False) -> Any:
    return ground.lay(lambda: make(name, text), preview=preview)[1]


@every_component
@known_or_not
def test_every_child_belongs_to_its_component_and_bears_its_name(
    make: Make, text: Callable[[str], Any], preview: bool
) -> None:
    component, *children = laid(make, text=text, preview=preview).resources
    package, module, type_ = component.type.split(":")
    assert (package, bool(module), type_[:1].isupper()) == ("tidegate", True, True)
    assert children
    for child in children:
        assert child.parent.endswith(f"{component.type}::{component.name}"), child.name
        assert child.name.startswith(component.name), child.name


@every_component
@known_or_not
def test_what_is_unknown_changes_no_resource(make: Make, text: Callable[[str], Any], preview: bool) -> None:
    want = [(one.type, one.name, one.ignores, one.protect) for one in laid(make).resources]
    got = [(one.type, one.name, one.ignores, one.protect) for one in laid(make, text=text, preview=preview).resources]
    assert got == want


@every_component
@pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
def test_every_declared_output_is_known_when_its_inputs_are(make: Make, preview: bool) -> None:
    values = ground.outputs_of(lambda: make("one", as_it_is), preview=preview)
    assert values
    assert all(values.values()), values


@every_component
def test_every_path_of_the_operator_is_ignored(make: Make) -> None:
    for one in laid(make).objects:
        assert one.ignores == ignored(one.inputs["apiVersion"], one.inputs["kind"]), one.name


@every_component
def test_replicas_are_never_written_beside_an_autoscaler(make: Make) -> None:
    found = laid(make)
    for one in found.objects:
        if one.kind == "HorizontalPodAutoscaler":
            scaled = one.inputs["spec"]["scaleTargetRef"]
            assert "replicas" not in found.find(scaled["kind"], scaled["name"]).inputs["spec"]


@every_component
def test_every_autoscaler_lets_go_gently(make: Make) -> None:
    for one in laid(make).objects:
        if one.kind == "HorizontalPodAutoscaler":
            (policy,) = one.inputs["spec"]["behavior"]["scaleDown"]["policies"]
            assert policy == {"type": "Percent", "value": objects.SCALE_DOWN_PERCENT, "periodSeconds": 60}


@every_component
def test_two_of_a_kind_do_not_collide(make: Make) -> None:
    def both() -> None:
        make("one", as_it_is)
        make("two", as_it_is)

    found = ground.lay(both)[1]
    names = [(one.type, one.name) for one in found.resources]
    assert len(names) == len(set(names))


@every_component
def test_the_policy_is_one_that_the_operator_accepts_and_moves_only_what_is_there(make: Make) -> None:
    found = laid(make)
    policies = [one for one in found.objects if one.kind == "ScalingPolicy"]
    scaled = {one.name for one in found.objects if one.kind == "HorizontalPodAutoscaler"}
    moved = set()
    for policy in policies:
        parse_policy(policy.inputs)  # raises, with every problem in words
        for target in policy.inputs["spec"]["targets"]:
            moved.add(target["name"])
            workload = found.find(target["ref"]["kind"], target["ref"]["name"])
            assert workload.inputs["apiVersion"] == target["ref"]["apiVersion"]
            if target["name"] in scaled:
                bounds = found.find("HorizontalPodAutoscaler", target["name"]).inputs["spec"]
                assert (target["min"], target["max"]) == (bounds["minReplicas"], bounds["maxReplicas"])
    assert scaled <= moved
