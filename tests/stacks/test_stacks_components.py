"""What holds for every component, with values that are known and with values that are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import pulumi  # noqa: E402
from samples import EACH, MOVED, REGIONS, as_it_is, not_yet_known  # noqa: E402

from tidegate.api.parse import parse_policy  # noqa: E402
from tidegate_stacks import objects  # noqa: E402
from tidegate_stacks.component import Component, mounted  # noqa: E402
from tidegate_stacks.edge import EdgeCache, EdgeCacheArgs  # noqa: E402
from tidegate_stacks.ownership import ignored  # noqa: E402
from tidegate_stacks.policy import EventPolicy, EventPolicyArgs, PolicyArgs  # noqa: E402

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
    def shape(found: Any) -> list[Any]:
        return sorted((one.type, one.name, one.ignores, one.protect) for one in found.resources)

    assert shape(laid(make, text=text, preview=preview)) == shape(laid(make))


@every_component
def test_no_pod_starts_before_the_files_that_it_mounts_are_there(make: Make) -> None:
    found = laid(make)
    files = {one.name for one in found.objects if one.kind == "ConfigMap"}
    mounts = {one.name: (one, mounted(one.inputs)) for one in found.objects if mounted(one.inputs)}
    for workload, read in mounts.values():
        assert set(read) <= files
        waits_for = {urn.rpartition("::")[2] for urn in workload.after if ":ConfigMap::" in urn}
        assert waits_for == set(read), workload.name


def test_an_object_that_is_known_later_mounts_nothing() -> None:
    def program() -> list[str]:
        later = pulumi.Output.from_input({"template": {}})
        return [*mounted({"kind": "A", "spec": later}), *mounted({"kind": "A", "spec": {"template": later}})]

    assert ground.lay(program)[0] == []


def test_what_mounts_a_file_that_is_not_registered_yet_is_refused_in_words() -> None:
    volumes = [{"name": "config", "configMap": {"name": "one-config"}}]
    workload = {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "one-a"}}

    def program() -> None:
        component = Component("tidegate:test:Test", "one", None)
        component.put({**workload, "spec": {"template": {"spec": {"volumes": volumes}}}})

    with pytest.raises(ValueError, match="Deployment 'one-a' mounts ConfigMap 'one-config': register that before it"):
        ground.lay(program)


@every_component
@pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
def test_every_declared_output_is_known_when_its_inputs_are(make: Make, preview: bool) -> None:
    values = ground.outputs_of(lambda: make("one", as_it_is), preview=preview)
    assert values
    nothing = {"pool"} if make is EACH["batch-without-a-pool"] else set()
    assert {name for name, value in values.items() if not value} == nothing, values


@every_component
def test_every_path_of_the_operator_is_ignored(make: Make) -> None:
    found = laid(make)
    moved = set(targets_of(found)) | scaled_in(found) | lent_in(found)
    for one in found.objects:
        api_version, kind = one.inputs["apiVersion"], one.inputs["kind"]
        if (kind, one.name) in moved or kind not in ("Deployment", "StatefulSet"):
            assert one.ignores == ignored(api_version, kind), one.name
        else:
            assert one.ignores == [], f"nothing moves {kind} {one.name}: its level stays Pulumi's"


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


@pytest.mark.parametrize("make", [EACH[name] for name in MOVED], ids=MOVED)
def test_the_policy_is_one_that_the_operator_accepts_and_moves_what_is_there_within_its_bounds(make: Make) -> None:
    found = laid(make)
    (policy,) = [one for one in found.objects if one.kind == "ScalingPolicy"]
    parse_policy(policy.inputs)  # raises, with every problem in words
    targets = targets_of(found)
    assert targets
    assert scaled_in(found) <= set(targets)
    for (kind, name), target in targets.items():
        assert found.find(kind, name).inputs["apiVersion"] == target["ref"]["apiVersion"]
        if (kind, name) in scaled_in(found):
            bounds = found.find("HorizontalPodAutoscaler", name).inputs["spec"]
            assert (target["min"], target["max"]) == (bounds["minReplicas"], bounds["maxReplicas"])


def test_without_a_policy_of_its_own_a_component_leaves_its_targets_to_a_joint_one() -> None:
    def program() -> None:
        args = EdgeCacheArgs(namespace="shop", regions=REGIONS, policy=None)
        edge = EdgeCache("edge", args, origins=["o:1"])
        queries = {"egress_mbps_cn_east": "sum(egress)", "orders_per_second": "sum(orders)"}
        joint = EventPolicyArgs(namespace="shop", policy=PolicyArgs(mode="Enforce", queries=queries))
        EventPolicy("show", joint, edge.targets)

    found = ground.lay(program)[1]
    (policy,) = [one for one in found.objects if one.kind == "ScalingPolicy"]
    parse_policy(policy.inputs)
    assert [target["name"] for target in policy.inputs["spec"]["targets"]] == ["edge-cn-east", "edge-cn-south"]
    assert policy.inputs["spec"]["mode"] == "Enforce"
    assert policy.inputs["spec"]["signals"] == [{"name": "egress_mbps_cn_east", "query": "sum(egress)"}], (
        "a signal that no target carries is not measured"
    )


def targets_of(found: Any) -> dict[tuple[str, str], Any]:
    """Targets of all policies, by kind and name of the workload."""
    specs = [one.inputs["spec"] for one in found.objects if one.kind == "ScalingPolicy"]
    return {(one["ref"]["kind"], one["ref"]["name"]): one for spec in specs for one in spec["targets"]}


def lent_in(found: Any) -> set[tuple[str, str]]:
    """Workloads that are members of a pool."""
    pools = [one.inputs["spec"] for one in found.objects if one.kind == "CapacityPool"]
    members = [member for spec in pools for lane in spec["lanes"] for member in lane.get("members", ())]
    return {(one["ref"]["kind"], one["ref"]["name"]) for one in members if "ref" in one}


def scaled_in(found: Any) -> set[tuple[str, str]]:
    """Workloads behind an HPA."""
    refs = [one.inputs["spec"]["scaleTargetRef"] for one in found.objects if one.kind == "HorizontalPodAutoscaler"]
    return {(ref["kind"], ref["name"]) for ref in refs}
