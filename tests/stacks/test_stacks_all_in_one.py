"""The project that holds everything, under mocks: it runs as it is shipped, and breaks none of the rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from test_stacks_checks import PROJECT  # noqa: E402

from tidegate.api.parse import parse_policy, parse_pool  # noqa: E402
from tidegate_policies.resources import kind_of  # noqa: E402
from tidegate_policies.rules import RULES  # noqa: E402
from tidegate_stacks import dry  # noqa: E402


def violations(found: Any) -> list[str]:
    """What the rules say of everything that was registered."""
    said: list[str] = []
    resources = [_seen(one) for one in found.resources]
    stack = type("Stack", (), {"resources": resources})()
    for rule in RULES:
        if rule.stack:
            rule.stack(stack, lambda message, _urn=None: said.append(message))
        elif rule.resource:
            for one in resources:
                rule.resource(one, said.append)
    return said


def _seen(registered: Any) -> Any:
    options = type("Options", (), {"protect": registered.protect, "ignore_changes": registered.ignores})()
    facts = {"resource_type": registered.type, "name": registered.name, "urn": registered.name}
    return type("Seen", (), {**facts, "props": registered.inputs, "opts": options})()


@pytest.fixture(scope="module", params=[False, True], ids=["up", "preview"])
def found(request: pytest.FixtureRequest) -> Any:
    return dry.run(PROJECT, "dev", preview=request.param)


def test_one_policy_moves_everything_that_scales(found: Any) -> None:
    (policy,) = [one for one in found.objects if one.kind == "ScalingPolicy"]
    parse_policy(policy.inputs)
    moved = {target["name"] for target in policy.inputs["spec"]["targets"]}
    assert {one.name for one in found.objects if one.kind == "HorizontalPodAutoscaler"} <= moved
    assert {"cache-0", "cache-1", "cache-2", "database-pooler"} <= moved


def test_what_asks_and_what_lends_meet_in_one_pool(found: Any) -> None:
    (pool,) = [one.inputs for one in found.objects if one.kind == "CapacityPool"]
    (policy,) = [one.inputs for one in found.objects if one.kind == "ScalingPolicy"]
    lanes = {lane.name: lane for lane in parse_pool(pool, now=0.0).lanes}
    asking = {target.name for target in parse_policy(policy).targets if target.lane}
    assert parse_policy(policy).pool == pool["metadata"]["name"]
    assert asking == {"cache-0", "cache-1", "cache-2", "live-relay"}
    assert policy["metadata"]["namespace"] in lanes["trading"].allowed_namespaces
    assert [member.name for member in lanes["data"].members] == ["loader", "nightly"]


def test_the_operator_may_scale_every_kind_that_the_policy_names(found: Any) -> None:
    chart = found.find("Chart", "tidegate").inputs
    granted = {("apps", "Deployment"), ("apps", "StatefulSet")}
    granted |= {(one["group"], one["kind"]) for one in chart["values"]["targets"]["extraScaleResources"]}
    policy = next(one for one in found.objects if one.kind == "ScalingPolicy").inputs
    refs = [target["ref"] for target in policy["spec"]["targets"]]
    assert {(ref["apiVersion"].rpartition("/")[0], ref["kind"]) for ref in refs} <= granted


def test_the_whole_ground_breaks_none_of_the_rules(found: Any) -> None:
    assert any(kind_of(_seen(one)) == ("postgresql.cnpg.io", "Cluster") for one in found.resources)
    assert violations(found) == []


def test_the_rules_would_have_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    component = pytest.importorskip("tidegate_stacks.component")
    nothing: Callable[..., list[str]] = lambda *_: []  # noqa: E731
    monkeypatch.setattr(component, "ignored", nothing)
    said = violations(dry.run(PROJECT, "dev"))
    assert len([one for one in said if "spec.minReplicas" in one]) == 3
    assert any("a ScalingPolicy moves spec.replicas" in one for one in said)
    assert any("batch-loader: a CapacityPool moves spec.replicas" in one for one in said)


def test_the_program_is_configuration_wiring_and_exports_only() -> None:
    lines = (PROJECT / "__main__.py").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if line.lstrip().startswith(("def ", "class ", "for ", "while ", "if ", "try"))]
    assert len(lines) < 60
