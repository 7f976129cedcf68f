"""The rules in the real policy runtime: its deserialisation, its proxies, its pack; in an environment of its own.

``pulumi-policy`` has no test harness. Its servicer is private and is used in this one file.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

runtime = pytest.importorskip(
    "pulumi_policy.policy",
    reason="needs the extra [policies], in an environment of its own: make test-ground",
)

import grpc  # noqa: E402
from declared import Declared, database, deployment, hpa, job, live, policy, pool  # noqa: E402
from google.protobuf import empty_pb2, json_format, struct_pb2  # noqa: E402
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc  # noqa: E402

from tidegate_policies.rules import RULES  # noqa: E402

PACK = Path(__file__).resolve().parents[2] / "policies" / "pack"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""How the engine writes a text that is known only in an update."""


@pytest.fixture(scope="module")
def pack() -> Iterator[Any]:
    """The pack, as the engine starts it."""
    process = subprocess.Popen([sys.executable, str(PACK)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield analyzer_pb2_grpc.AnalyzerStub(channel)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def options(resource: Declared) -> Any:
    return analyzer_pb2.AnalyzerResourceOptions(
        protect=resource.opts.protect, ignoreChanges=list(resource.opts.ignore_changes)
    )


def properties(resource: Declared) -> Any:
    made = struct_pb2.Struct()
    json_format.ParseDict(resource.props, made)
    return made


def analyze(pack: Any, resource: Declared) -> list[tuple[str, str]]:
    """(rule, message) of what one resource breaks."""
    request = analyzer_pb2.AnalyzeRequest(
        type=resource.resource_type,
        urn=resource.urn,
        name=resource.name,
        properties=properties(resource),
        options=options(resource),
    )
    return [(one.policyName, one.message) for one in pack.Analyze(request).diagnostics]


def analyze_stack(pack: Any, *resources: Declared) -> list[tuple[str, str]]:
    """(rule, URN) of what a stack breaks."""
    each = [
        analyzer_pb2.AnalyzerResource(
            type=one.resource_type, urn=one.urn, name=one.name, properties=properties(one), options=options(one)
        )
        for one in resources
    ]
    answer = pack.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=each))
    return [(one.policyName, one.urn) for one in answer.diagnostics]


def test_the_pack_lists_every_rule_as_mandatory(pack: Any) -> None:
    info = pack.GetAnalyzerInfo(empty_pb2.Empty())
    assert info.name == "tidegate"
    assert {one.name for one in info.policies} == {rule.name for rule in RULES}
    assert {one.enforcementLevel for one in info.policies} == {analyzer_pb2.MANDATORY}


def test_a_resource_that_leaves_the_operator_s_field_alone_passes(pack: Any) -> None:
    assert analyze(pack, hpa("spec.minReplicas")) == []
    assert analyze(pack, database("spec.instances")) == []
    assert analyze(pack, job("spec.suspend")) == []


def test_a_resource_that_does_not_is_refused_with_what_to_write(pack: Any) -> None:
    ((rule, message),) = analyze(pack, hpa())
    assert rule == "operator-owned-paths-are-ignored"
    assert 'ignore_changes=["spec.minReplicas"]' in message


def test_an_unprotected_database_is_refused(pack: Any) -> None:
    assert [rule for rule, _ in analyze(pack, database("spec.instances", protect=False))] == ["databases-are-protected"]


def test_a_stack_is_judged_as_a_whole(pack: Any) -> None:
    written = deployment(replicas=3)
    assert analyze_stack(pack, hpa("spec.minReplicas"), deployment(), policy("orders")) == []
    assert analyze_stack(pack, hpa("spec.minReplicas"), written) == [("no-replicas-beside-an-autoscaler", written.urn)]
    assert analyze_stack(pack, policy("orders"), written) == [("moved-workloads-are-ignored", written.urn)]
    assert analyze_stack(pack, pool("orders"), written) == [("moved-workloads-are-ignored", written.urn)]


def test_what_an_autoscaler_wrote_is_not_held_against_the_program(pack: Any) -> None:
    reached = deployment(replicas=40, **live("kube-controller-manager"))
    assert analyze_stack(pack, hpa("spec.minReplicas"), policy("orders"), reached) == []


def test_what_is_unknown_in_a_preview_breaks_no_rule(pack: Any) -> None:
    unknown = hpa("spec.minReplicas", namespace=UNKNOWN)
    assert analyze(pack, unknown) == []
    said = analyze_stack(pack, unknown, deployment(replicas=3))
    assert all(urn == "" for _, urn in said), "only that the rule could not be run, and with no resource"
