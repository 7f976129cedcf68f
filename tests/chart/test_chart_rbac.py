"""RBAC: what the chart grants is what the code declares, in the reach that the code declares, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from helm_chart import CHART, NAMESPACE, Json, of_kind, render, template

from tidegate.cli.rbac import rules_text
from tidegate.shell.rules import OPERATOR, RELEASE, Account
from tidegate.targets.rules import LEASE_NAME, Where
from tidegate.targets.scale import KINDS

Grant = tuple[str, str, str, str]
"""(group, resource, verb, name); the name is "*" for all."""
EXTRA = {"group": "agones.dev", "kind": "Fleet", "resource": "fleets"}
ACCOUNTS = [pytest.param("tidegate", OPERATOR, id="operator"), pytest.param("tidegate-release", RELEASE, id="release")]


def granted(objects: list[Json], account: str) -> dict[str, set[Grant]]:
    """Namespace → what an account may do in it; "" for the whole cluster."""
    roles = {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in objects}
    found: dict[str, set[Grant]] = {}
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        for binding in of_kind(objects, kind):
            (subject,) = binding["subjects"]
            assert (subject["kind"], subject["namespace"]) == ("ServiceAccount", NAMESPACE)
            if subject["name"] != account:
                continue
            namespace = binding["metadata"].get("namespace", "")
            role = roles[binding["roleRef"]["kind"], namespace, binding["roleRef"]["name"]]
            found.setdefault(namespace, set()).update(flat(role["rules"]))
    return found


def flat(rules: Iterable[Json]) -> set[Grant]:
    return {
        (group, resource, verb, name)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", ["*"])
    }


def declared(account: Account, where: Where, *, kinds: Iterable[tuple[str, str]] = ()) -> set[Grant]:
    """What the code declares for one reach."""
    found = {
        (rule.group, resource, verb, "tidegate" if name == LEASE_NAME else name)
        for rule in account.rules
        if rule.where is where
        for resource in rule.resources
        for verb in rule.verbs
        for name in rule.names or ("*",)
    }
    if where is Where.WATCHED:
        for group, resource in [*((kind.group, kind.resource) for kind in KINDS), *kinds]:
            found |= {(group, resource, verb, "*") for verb in account.targets.main}
            found |= {(group, f"{resource}/scale", verb, "*") for verb in account.targets.scale}
    return found


def test_the_charts_rules_are_what_the_code_declares() -> None:
    assert (CHART / "files" / "rules.yaml").read_text(encoding="utf-8") == rules_text(), "run: make rbac"


@pytest.mark.parametrize(("name", "account"), ACCOUNTS)
def test_in_namespace_scope_there_is_a_role_in_each_namespace_and_nothing_of_the_cluster(
    name: str, account: Account, tmp_path: Path
) -> None:
    objects = render(tmp_path, rbac={"scope": "namespaces"}, watchNamespaces=["shop", "chat"])
    watched = declared(account, Where.WATCHED)
    assert granted(objects, name) == {
        "shop": watched,
        "chat": watched,
        NAMESPACE: declared(account, Where.HOME),
    }
    assert of_kind(objects, "ClusterRole") == []


def test_without_a_list_it_is_the_releases_own_namespace(tmp_path: Path) -> None:
    objects = render(tmp_path, rbac={"scope": "namespaces"})
    assert granted(objects, "tidegate") == {
        NAMESPACE: declared(OPERATOR, Where.WATCHED) | declared(OPERATOR, Where.HOME)
    }


@pytest.mark.parametrize(("name", "account"), ACCOUNTS)
def test_in_cluster_scope_only_what_is_at_home_stays_in_a_namespace(
    name: str, account: Account, tmp_path: Path
) -> None:
    assert granted(render(tmp_path), name) == {
        "": declared(account, Where.WATCHED) | declared(account, Where.CLUSTER),
        NAMESPACE: declared(account, Where.HOME),
    }


@pytest.mark.parametrize(("name", "account"), ACCOUNTS)
def test_a_kind_that_the_administrator_adds_gets_the_verbs_of_any_target(
    name: str, account: Account, tmp_path: Path
) -> None:
    targets = {"extraScaleResources": [EXTRA]}
    objects = render(tmp_path, rbac={"scope": "namespaces"}, watchNamespaces=["shop"], targets=targets)
    found = granted(objects, name)
    assert found["shop"] == declared(account, Where.WATCHED, kinds=[("agones.dev", "fleets")])
    crd = ("apiextensions.k8s.io", "customresourcedefinitions", "get", "fleets.agones.dev")
    assert found[""] == {crd}, "where it keeps its level, of this CRD alone"


@pytest.mark.parametrize("scope", ["cluster", "namespaces"])
def test_nothing_dangerous_is_ever_granted(scope: str, tmp_path: Path) -> None:
    objects = render(tmp_path, rbac={"scope": scope}, targets={"extraScaleResources": [EXTRA]})
    for name in ("tidegate", "tidegate-release"):
        for grants in granted(objects, name).values():
            for group, resource, verb, _ in grants:
                assert "*" not in (group, resource, verb)
                # Why units are missing; and, for pools, which the whole cluster alone has, where pods stand.
                seen = {"list", "watch"} if scope == "cluster" else {"list"}
                assert resource != "pods" or (name == "tidegate" and verb in seen), "pods are looked at, no more"
                assert resource != "nodes" or (name, verb) == ("tidegate", "list"), "how much a pool has, no more"
                assert resource not in ("secrets", "pods/exec", "serviceaccounts/token")
                assert group not in ("rbac.authorization.k8s.io", "admissionregistration.k8s.io")
                assert verb not in ("impersonate", "escalate", "bind", "deletecollection")


def test_a_lease_of_its_own_for_each_release(tmp_path: Path) -> None:
    objects = render(tmp_path, settings={"leaseName": "evening"})
    home = granted(objects, "tidegate")[NAMESPACE]
    assert ("coordination.k8s.io", "leases", "update", "evening") in home


def test_people_get_our_kinds_only_when_asked_and_never_write_loans(tmp_path: Path) -> None:
    plain = render(tmp_path)
    assert not [o for o in of_kind(plain, "ClusterRole") if "aggregate" in str(o["metadata"]["labels"])]
    roles = {o["metadata"]["name"]: o for o in of_kind(render(tmp_path, rbac={"aggregate": True}), "ClusterRole")}
    view, edit, admin = (flat(roles[f"{NAMESPACE}-tidegate-{role}"]["rules"]) for role in ("view", "edit", "admin"))
    assert {verb for _, _, verb, _ in view} == {"get", "list", "watch"}
    assert {resource for _, resource, _, _ in edit} == {"liveevents", "overrides", "scalingpolicies"}
    assert {(resource, verb) for _, resource, verb, _ in admin if resource != "capacitypools"} == {
        ("loans", "delete"),
        ("loans", "release"),
        ("loans", "update"),
    }


def test_pools_are_written_by_administrators_alone_and_overrides_by_on_call(tmp_path: Path) -> None:
    roles = {o["metadata"]["name"]: o for o in of_kind(render(tmp_path, rbac={"aggregate": True}), "ClusterRole")}
    writers: dict[str, set[str]] = {}
    for role in ("view", "edit", "admin", "oncall"):
        for _, resource, verb, _ in flat(roles[f"{NAMESPACE}-tidegate-{role}"]["rules"]):
            if verb not in ("get", "list", "watch"):
                writers.setdefault(resource, set()).add(role)
    oncall = roles[f"{NAMESPACE}-tidegate-oncall"]

    assert (writers["capacitypools"], writers["overrides"]) == ({"admin"}, {"edit", "oncall"})
    assert not [label for label in oncall["metadata"]["labels"] if "aggregate" in label], "given to people by name"


def test_there_are_pools_in_cluster_scope_only(tmp_path: Path) -> None:
    pools = ("capacitypools", "capacitypools/status")
    for scope, wanted in (("cluster", {""}), ("namespaces", set())):
        found = granted(render(tmp_path, rbac={"scope": scope}, watchNamespaces=["shop"]), "tidegate")
        assert {where for where, grants in found.items() if {g[1] for g in grants} & set(pools)} == wanted


def test_roles_are_left_to_somebody_else_when_asked(tmp_path: Path) -> None:
    objects = render(tmp_path, rbac={"create": False})
    assert not [obj for obj in objects if obj["apiVersion"].startswith("rbac.")]


# ---- admission policies


def policies(objects: list[Json]) -> dict[str, Json]:
    return {o["metadata"]["name"].rpartition("tidegate-")[2]: o for o in of_kind(objects, "ValidatingAdmissionPolicy")}


def test_the_authorizer_is_asked_once_for_each_kind(tmp_path: Path) -> None:
    rules = policies(render(tmp_path, targets={"extraScaleResources": [EXTRA]}))["scalingpolicies"]["spec"][
        "validations"
    ]
    asked = [rule["expression"] for rule in rules if "authorizer" in rule["expression"]]
    assert all(expression.count("authorizer.") == 1 for expression in asked)
    for resource in ("deployments", "statefulsets", "fleets", "horizontalpodautoscalers"):
        assert sum(f"resource('{resource}')" in expression for expression in asked) == 1


def test_policies_fail_closed_and_reach_as_far_as_the_operator(tmp_path: Path) -> None:
    for values, reach in (
        ({}, None),
        ({"rbac": {"scope": "namespaces"}, "watchNamespaces": ["shop", "chat"]}, ["chat", "shop"]),
    ):
        objects = render(tmp_path, **values)  # type: ignore[arg-type]
        assert set(policies(objects)) == {
            "learned",
            "levels-only",
            "loans",
            "overrides",
            "scalingpolicies",
            "status",
        }
        assert {policy["spec"]["failurePolicy"] for policy in policies(objects).values()} == {"Fail"}
        bindings = of_kind(objects, "ValidatingAdmissionPolicyBinding")
        assert {b["spec"]["policyName"] for b in bindings} == {
            p["metadata"]["name"] for p in policies(objects).values()
        }
        for binding in bindings:
            assert binding["spec"]["validationActions"] == ["Deny"]
            selector = binding["spec"].get("matchResources", {}).get("namespaceSelector")
            wanted = reach and {
                "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": reach}]
            }
            assert selector == wanted


def test_each_status_that_the_operator_writes_is_its_word_alone(tmp_path: Path) -> None:
    """Pools are of the whole cluster: no selector of namespaces would keep a policy from another operator's."""
    for values, pools in (({}, {"capacitypools/status"}), ({"watchNamespaces": ["shop"]}, set())):
        objects = render(tmp_path, **values)  # type: ignore[arg-type]
        (rule,) = policies(objects)["status"]["spec"]["matchConstraints"]["resourceRules"]
        every = {r for g, r, _, _ in declared(OPERATOR, Where.WATCHED) if g == "tidegate.dev" and r.endswith("/status")}
        assert set(rule["resources"]) == every | pools
        assert rule["operations"] == ["UPDATE"]


def test_nobody_signs_an_override_for_another_unless_listed(tmp_path: Path) -> None:
    bot = "system:serviceaccount:chat:bot"
    plain = policies(render(tmp_path))["overrides"]["spec"]
    listed = policies(render(tmp_path, admissionPolicies={"mayNameOtherAuthors": [bot]}))["overrides"]["spec"]

    assert [c["name"] for c in plain["matchConditions"]] == ["what-it-says-changes"]
    assert listed["matchConditions"][1]["expression"] == f'!(request.userInfo.username in ["{bot}"])'
    quoted = template(tmp_path, admissionPolicies={"mayNameOtherAuthors": ['"] || true || "a" in ["']})
    assert quoted.returncode != 0, "a name is a name"


def test_policies_can_be_left_out(tmp_path: Path) -> None:
    objects = render(tmp_path, admissionPolicies={"enabled": False})
    assert not [obj for obj in objects if obj["apiVersion"].startswith("admissionregistration.")]
