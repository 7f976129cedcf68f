"""The rules in the real policy runtime: every case of the table, and what only the runtime can show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip(
    "pulumi_policy.policy",
    reason="needs the extra [policies], in an environment of its own: make test-ground",
)

from cases import Case
from declared import UNKNOWN, database, deployment, hpa, policy, thing
from runtime import LEVELS, Pack, running
from table import CASES

from tidegate_policies.rules import RULES


@pytest.fixture(scope="module")
def pack() -> Iterator[Pack]:
    """The pack, as the engine starts it."""
    with running() as made:
        yield made


@pytest.fixture
def configured(pack: Pack) -> Iterator[Pack]:
    """The same for a test that configures it."""
    yield pack
    pack.configure()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.claim)
def test_the_runtime_finds_what_is_wrong_and_nothing_else(pack: Pack, case: Case) -> None:
    assert pack.found(*case.resources) == sorted(case.found)


@pytest.mark.parametrize("case", [one for one in CASES if len(one.resources) > 1], ids=lambda case: case.claim)
def test_the_order_of_registration_does_not_matter_to_the_runtime(pack: Pack, case: Case) -> None:
    assert pack.found(*case.resources[::-1]) == sorted(case.found)


def test_the_pack_lists_every_rule_with_its_level_and_its_settings(pack: Pack) -> None:
    info = pack.info()
    assert info.name == "tidegate"
    assert info.supportsConfig
    told = {one.name: LEVELS[one.enforcementLevel] for one in info.policies}
    assert told == {rule.name: "advisory" if rule.advisory else "mandatory" for rule in RULES}
    assert sorted(name for name, level in told.items() if level == "advisory") == [
        "peaks-can-be-seen",
        "suppressions-are-needed",
    ]
    assert all("allow" in one.configSchema.properties for one in info.policies)


def test_a_finding_says_what_to_write(pack: Pack) -> None:
    (said,) = pack.analyze(hpa())
    assert said.policyName == "operator-owned-paths-are-ignored"
    assert 'ignore_changes=["spec.minReplicas"]' in said.message


def test_a_secret_is_judged_and_not_told(pack: Pack) -> None:
    from declared import secret

    hidden = thing("autoscaling/v2:HorizontalPodAutoscaler", "h", spec=secret({"minReplicas": 424_242}))
    (said,) = pack.analyze(hidden)
    assert "424242" not in said.message


def test_each_finding_of_a_stack_names_a_resource(pack: Pack) -> None:
    answer = pack.analyze_stack(policy(UNKNOWN), hpa(namespace=UNKNOWN), deployment(replicas=3))
    assert [said.policyName for said in answer.diagnostics] == [
        "moved-workloads-are-ignored",
        "no-replicas-beside-an-autoscaler",
    ]
    assert all(said.urn for said in answer.diagnostics)


def test_the_pack_s_configuration_allows_what_has_no_annotations(configured: Pack) -> None:
    cloud = thing("x", "orders")
    cloud = type(cloud)("alicloud:rds/instance:Instance", "orders", {})
    assert configured.found(cloud) == [("databases-are-protected", "orders")]
    for pattern in ("orders", cloud.urn, "*alicloud:rds*"):
        configured.configure(databases_are_protected={"allow": {pattern: "a copy for tests"}})
        assert configured.found(cloud) == [], pattern
    for allow in ({"orders": ""}, {"order": "a copy"}, {}):
        configured.configure(databases_are_protected={"allow": allow})
        assert configured.found(cloud) == [("databases-are-protected", "orders")], allow


def test_what_one_rule_allows_no_other_rule_does(configured: Pack) -> None:
    configured.configure(databases_are_protected={"allow": {"*": "everything is a test"}})
    assert configured.found(database(protect=False)) == [("operator-owned-paths-are-ignored", "orders")]


def test_without_an_event_the_rule_for_peaks_says_why_it_does_not_apply(pack: Pack) -> None:
    skipped = {one.policy_name: one.reason for one in pack.analyze_stack(deployment()).not_applicable}
    assert "TIDEGATE_CLUSTER" in skipped.pop("no-change-in-a-peak")
    assert skipped == {}


def test_what_the_runtime_itself_cannot_read_is_its_error_and_names_the_signature(pack: Pack) -> None:
    """The border of what rules can do: properties are taken apart before any rule sees them."""
    import grpc

    foreign: dict[str, Any] = {"4dabf18193072939515e22adb298388d": "no signature of the engine"}
    with pytest.raises(grpc.RpcError, match="no signature of the engine"):
        pack.analyze(thing("core/v1:ConfigMap", "c", data=foreign))
