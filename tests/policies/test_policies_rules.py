"""Each rule: what passes, and the one change that does not."""

from __future__ import annotations

from typing import Any

import pytest
from declared import Declared, Stack, database, deployment, hpa, job, live, policy, pool

from tidegate_policies import rules, seams


def about(rule: Any, resource: Declared) -> list[str]:
    said: list[str] = []
    rule(resource, said.append)
    return said


def about_all(rule: Any, *resources: Declared) -> list[str]:
    said: list[str] = []
    rule(Stack(resources), lambda message, urn=None: said.append(message))
    return said


OWNED = rules.operator_owned_paths_are_ignored


@pytest.mark.parametrize(
    ("resource", "want"),
    [
        (hpa("spec.minReplicas"), 0),
        (hpa("spec"), 0),
        (hpa(), 1),
        (hpa("spec.maxReplicas"), 1),
        (hpa("spec.minReplicasOfSomethingElse"), 1),
        (database("spec.instances"), 0),
        (database(), 1),
        (job("spec.suspend"), 0),
        (job(), 1),
        (deployment(replicas=3), 0),
        (Declared("kubernetes:kueue.x-k8s.io/v1beta2:ClusterQueue", "batch", {"spec": {}}), 2),
        (Declared("kubernetes:core/v1:Service", "orders", {}), 0),
        (Declared("random:index/randomId:RandomId", "orders", {}), 0),
        (Declared("pulumi:pulumi:Stack", "orders", {}), 0),
    ],
    ids=lambda value: value.name if isinstance(value, Declared) else str(value),
)
def test_a_field_that_the_operator_moves_is_ignored(resource: Declared, want: int) -> None:
    assert len(about(OWNED, resource)) == want


def test_the_report_says_what_to_write() -> None:
    assert about(OWNED, hpa()) == [
        'orders: spec.minReplicas belongs to the operator: add ignore_changes=["spec.minReplicas"]'
    ]


@pytest.mark.parametrize(("resource", "want"), [(database(), 0), (database(protect=False), 1), (deployment(), 0)])
def test_a_database_is_protected(resource: Declared, want: int) -> None:
    assert len(about(rules.databases_are_protected, resource)) == want


MOVED = rules.moved_workloads_are_ignored


def test_replicas_of_what_a_policy_names_are_ignored() -> None:
    assert about_all(MOVED, policy("orders"), deployment(replicas=3))
    assert not about_all(MOVED, policy("orders"), deployment("spec.replicas", replicas=3))


def test_replicas_of_what_a_pool_lends_are_ignored() -> None:
    assert about_all(MOVED, pool("loader"), deployment(name="loader", replicas=3)) == [
        'loader: a CapacityPool moves spec.replicas: add ignore_changes=["spec.replicas"]'
    ]
    assert not about_all(MOVED, pool("loader"), deployment("spec.replicas", name="loader", replicas=3))


def test_a_pool_s_member_is_found_by_the_namespace_that_the_pool_says() -> None:
    assert not about_all(MOVED, pool("loader", namespace="warehouse"), deployment(name="loader", replicas=3))


def test_a_pool_whose_members_are_not_known_yet_breaks_no_rule() -> None:
    empty = Declared("kubernetes:tidegate.dev/v1alpha1:CapacityPool", "machines", {"spec": {"lanes": [{}]}})
    assert not about_all(MOVED, empty, deployment(replicas=3))


def test_replicas_that_nothing_moves_are_pulumi_s() -> None:
    assert not about_all(MOVED, policy("carts"), deployment(replicas=3))


def test_the_order_of_resources_does_not_matter() -> None:
    assert about_all(MOVED, deployment(replicas=3), policy("orders"))


BESIDE = rules.no_replicas_beside_an_autoscaler


def test_no_replicas_are_written_beside_an_autoscaler() -> None:
    assert about_all(BESIDE, hpa(), deployment(replicas=3))
    assert not about_all(BESIDE, hpa(), deployment())


def test_an_autoscaler_of_another_namespace_is_another_matter() -> None:
    assert not about_all(BESIDE, hpa(namespace="carts"), deployment(replicas=3))


def test_keda_s_default_is_a_deployment() -> None:
    scaled = Declared(
        "kubernetes:keda.sh/v1alpha1:ScaledObject",
        "orders",
        {"metadata": {"name": "orders", "namespace": "shop"}, "spec": {"scaleTargetRef": {"name": "orders"}}},
    )
    assert about_all(BESIDE, scaled, deployment(replicas=3))


def test_replicas_that_the_autoscaler_wrote_are_not_held_against_the_program() -> None:
    """A stack's rule sees outputs: after an update those are the live object."""
    assert not about_all(BESIDE, hpa(), deployment(replicas=40, **live("kube-controller-manager")))
    assert about_all(BESIDE, hpa(), deployment(replicas=40, **live("pulumi-kubernetes")))


def test_every_rule_looks_at_either_a_resource_or_a_stack_and_says_so_in_its_name() -> None:
    for rule in rules.RULES:
        assert (rule.resource is None) != (rule.stack is None)
        function = rule.resource or rule.stack
        assert function is not None
        assert function.__name__.replace("_", "-") == rule.name
        assert rule.description.endswith(".")
        assert " must " in rule.description
    assert len({rule.name for rule in rules.RULES}) == len(rules.RULES)


def test_components_and_rules_know_the_same_fields() -> None:
    ownership = pytest.importorskip("tidegate_stacks.ownership")
    known = {**seams.OPERATOR_OWNED, **seams.OPERATOR_OWNED_WHERE_MOVED}
    theirs: dict[tuple[str, str], tuple[str, ...]] = {}
    for one in ownership.OPERATOR_OWNED:
        theirs[one.group, one.kind] = (*theirs.get((one.group, one.kind), ()), one.path)
    assert known == theirs
    assert seams.GROUP == ownership.GROUP
