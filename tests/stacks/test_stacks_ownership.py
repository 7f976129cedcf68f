"""What operator and components must agree on, and what every path must be for Pulumi's provider to ignore it."""

from __future__ import annotations

import re

import pytest

from tidegate.api import base
from tidegate.planning.model import MANAGER
from tidegate.targets import hpa, jobs
from tidegate_stacks import ownership


def test_operator_and_components_speak_of_the_same_group_and_field_manager() -> None:
    assert ownership.API_VERSION == base.API_VERSION
    assert (ownership.GROUP, ownership.VERSION) == (base.GROUP, base.VERSION)
    assert ownership.FIELD_MANAGER == MANAGER


def test_the_floor_that_the_operator_writes_is_ignored() -> None:
    assert hpa.FIELD.strip("/").replace("/", ".") in ownership.ignored(hpa.API_VERSION, hpa.KIND)


def test_what_the_operator_writes_to_stop_work_is_ignored() -> None:
    assert ownership.ignored(jobs.API_VERSION, "Job") == [jobs.FIELD.strip("/").replace("/", ".")]
    assert ownership.ignored("apps/v1", "Deployment") == ["spec.replicas"]


@pytest.mark.parametrize(
    ("api_version", "kind", "want"),
    [
        ("autoscaling/v2", "HorizontalPodAutoscaler", ["spec.minReplicas"]),
        ("autoscaling/v1", "HorizontalPodAutoscaler", ["spec.minReplicas"]),
        ("kueue.x-k8s.io/v1beta2", "ClusterQueue", ["spec.resourceGroups", "spec.stopPolicy"]),
        ("v1", "Service", []),
        ("serving.knative.dev/v1", "Service", []),
    ],
)
def test_a_kind_is_known_by_its_group_whatever_the_version(api_version: str, kind: str, want: list[str]) -> None:
    assert ownership.ignored(api_version, kind) == want


def test_the_table_is_sorted_and_holds_plain_paths() -> None:
    table = ownership.OPERATOR_OWNED
    assert list(table) == sorted(set(table))
    for owned in table:
        assert re.fullmatch(r"spec(\.[a-zA-Z]+)+", owned.path), "the provider cannot ignore an item of a list"
