"""The chart's admission policies on a real API server: an attack on each promise, and what must go on working."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from admission_shop import DRY, LOAN_SPEC, ON_A_SERVER, Shop, admission_shop, refused, taken
from chart_release import FULLNAME
from harness import Json, eventually
from shop import policy

pytestmark = ON_A_SERVER

PLANNER, SHOPKEEPER, WRITER, ONCALL = "planner", "shopkeeper", "writer", "oncall"
NIGHTSHIFT, COLLEAGUE, BOT = "nightshift", "colleague", "bot"
RELEASER, TENANT = "releaser", "tenant"
_ALL = ["get", "list", "watch", "create", "update", "patch", "delete"]
_POLICIES = {"apiGroups": ["tidegate.dev"], "resources": ["scalingpolicies"], "verbs": _ALL}
_WORKLOADS = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"]}
_HPAS = {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["get", "patch"]}
_LOANS = {"apiGroups": ["tidegate.dev"], "resources": ["loans"], "verbs": _ALL}
_OVERRIDES = {"apiGroups": ["tidegate.dev"], "resources": ["overrides"], "verbs": _ALL}
_POOLS = {"apiGroups": ["tidegate.dev"], "resources": ["capacitypools"], "verbs": _ALL}
_RELEASE = {"apiGroups": ["tidegate.dev"], "resources": ["loans"], "verbs": ["release"]}
RIGHTS: dict[str, list[Json]] = {
    PLANNER: [_POLICIES],
    SHOPKEEPER: [_POLICIES, _WORKLOADS, _HPAS],
    WRITER: [_LOANS],
    ONCALL: [_LOANS, _RELEASE],
    NIGHTSHIFT: [_OVERRIDES, _POOLS],
    COLLEAGUE: [_OVERRIDES],
    BOT: [_OVERRIDES],
    RELEASER: [_LOANS, _RELEASE, _HPAS],
    TENANT: [{"apiGroups": ["tidegate.dev"], "resources": ["*"], "verbs": ["*"]}, _WORKLOADS, _HPAS],
}
"""User → what RBAC lets him do in the shop."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with admission_shop(tmp_path_factory.mktemp("admission"), RIGHTS, bots=[BOT]) as made:
        yield made


# ---- who writes a policy


def test_who_may_not_patch_deployments_writes_no_policy_for_them(shop: Shop) -> None:
    refused(shop.apply(PLANNER, policy(shop.namespace, "web")), "needs the verb patch on deployments.apps")


def test_who_may_writes_one_and_changes_it(shop: Shop) -> None:
    taken(shop.apply(SHOPKEEPER, policy(shop.namespace, "web")))
    taken(shop.apply(SHOPKEEPER, policy(shop.namespace, "web", hold=60)))


def test_a_policy_is_not_widened_by_who_could_not_have_written_it(shop: Shop) -> None:
    taken(shop.apply(SHOPKEEPER, policy(shop.namespace, "web")))
    wider = policy(shop.namespace, "web", "payment")
    refused(shop.apply(PLANNER, wider), "needs the verb patch on deployments.apps")
    taken(shop.patch(PLANNER, "scalingpolicy/shop", {"metadata": {"labels": {"team": "planning"}}}))


def test_each_kind_is_asked_about(shop: Shop) -> None:
    mixed = policy(shop.namespace, "web", "cache")
    mixed["spec"]["targets"][1]["ref"]["kind"] = "StatefulSet"
    refused(shop.apply(SHOPKEEPER, mixed), "needs the verb patch on statefulsets.apps")


def test_a_kind_that_the_administrator_did_not_list_is_no_target(shop: Shop) -> None:
    for api_version, kind in (("v1", "Secret"), ("rbac.authorization.k8s.io/v1", "Role"), ("keda.sh/v1", "Deployment")):
        odd = policy(shop.namespace, "web")
        odd["spec"]["targets"][0]["ref"] |= {"apiVersion": api_version, "kind": kind}
        refused(shop.apply(SHOPKEEPER, odd), "a kind that the operator may not scale")


def test_a_policy_of_64_targets_costs_no_more_than_the_server_allows(shop: Shop) -> None:
    large = policy(shop.namespace, *(f"web-{number:02d}" for number in range(64)))
    large["metadata"]["name"] = "large"
    taken(shop.apply(SHOPKEEPER, large))


# ---- who writes a loan


def test_nobody_but_the_operator_makes_a_loan(shop: Shop) -> None:
    for user in (WRITER, ONCALL):
        refused(shop.apply(user, shop.loan("forged", original=1000)), "Loans are written by the operator alone")
    admin = shop.kubectl("admin", *DRY, given=shop.loan("forged"))
    refused(admin, "Loans are written by the operator alone")


def test_the_operator_makes_moves_and_ends_a_loan(shop: Shop) -> None:
    taken(_create(shop, "mine"))
    moved = shop.loan("mine", pending=30, highest=30)
    there = shop.cluster.get("Loan", shop.namespace, "mine")
    taken(shop.kubectl(shop.operator, "replace", "-f", "-", given={**there, "spec": moved["spec"]}))
    taken(shop.kubectl(shop.operator, "delete", "loan", "mine"))


def _create(shop: Shop, name: str, **spec: Any) -> subprocess.CompletedProcess[str]:
    return shop.kubectl(shop.operator, "create", "-f", "-", given=shop.loan(name, **spec))


def test_what_was_learned_is_written_by_the_operator_alone(shop: Shop) -> None:
    spec = {"of": {"kind": "ScalingPolicy", "name": "shop"}, "epoch": 1}
    one = {"apiVersion": "tidegate.dev/v1alpha1", "kind": "Learned", "metadata": {"name": "mine"}, "spec": spec}
    refused(shop.kubectl("admin", *DRY, given=one), "Learned is written by the operator alone")
    taken(shop.kubectl(shop.operator, "create", "-f", "-", given=one))
    master = "--as-group=system:masters"
    edit = ("patch", "learned/mine", "--type=merge", "-p", '{"spec": {"epoch": 9}}', master)
    refused(shop.kubectl("admin", *edit), "Learned is written by the operator alone")
    taken(shop.kubectl("admin", "delete", "learned/mine", master))


def test_a_loan_is_neither_changed_nor_deleted_by_who_merely_may_write_it(shop: Shop) -> None:
    taken(_create(shop, "kept"))
    refused(shop.patch(WRITER, "loan/kept", {"spec": {"original": 1000}}), "Loans are written by the operator alone")
    refused(shop.kubectl(WRITER, "delete", "loan", "kept"), "Loans are written by the operator alone")
    refused(shop.kubectl(WRITER, "delete", "loans", "--all"), "Loans are written by the operator alone")
    assert shop.cluster.get("Loan", shop.namespace, "kept")["spec"]["original"] == 3


def test_who_may_release_ends_a_loan_and_writes_nothing_into_it_but_its_way_back(shop: Shop) -> None:
    taken(_create(shop, "oncall"))
    only = "only its way back"
    refused(shop.patch(ONCALL, "loan/oncall", {"spec": {"pending": 500}}), only)
    refused(shop.patch(ONCALL, "loan/oncall", {"spec": {"until": "2030-01-01T00:00:00.000Z"}}), only)
    refused(shop.patch(ONCALL, "loan/oncall", {"spec": {"epoch": 99}}), only)
    raised = {"spec": {"original": 1000}}
    refused(shop.patch(ONCALL, "loan/oncall", raised), "needs the verb patch on horizontalpodautoscalers.autoscaling")
    refused(shop.patch(ONCALL, "loan/oncall", {"spec": {"levels": [3, 7]}}), only)
    other = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "db", "uid": "x", "replicas": 0}
    refused(shop.patch(ONCALL, "loan/oncall", {"spec": {"workload": other}}), only)
    refused(shop.patch(ONCALL, "loan/oncall", {"spec": {"for": ["LiveEvent/another"]}}), only)
    refused(shop.patch(ONCALL, "loan/oncall", {"spec": {"steppedAt": "2019-01-01T00:00:00.000Z"}}), only)
    refused(shop.patch(ONCALL, "loan/oncall", {"spec": {"subresource": "scale"}}), only)
    taken(shop.patch(ONCALL, "loan/oncall", {"spec": {"pending": 3}}))
    taken(shop.kubectl(ONCALL, "delete", "loan", "oncall"))


def test_who_may_patch_an_hpa_makes_no_loan_of_it_speak_of_another_workload(shop: Shop) -> None:
    """A return may learn that the workload's owner asks for more, which no autoscaler would have taken from him."""
    behind = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "one", "replicas": 3}
    taken(_create(shop, "behind", workload=behind))
    for change in ({"name": "db"}, {"uid": "other"}, {"kind": "StatefulSet"}, {"replicas": 0}, None):
        refused(shop.patch(RELEASER, "loan/behind", {"spec": {"workload": change}}), "only its way back")
    taken(shop.patch(RELEASER, "loan/behind", {"spec": {"original": 5, "workload": {"replicas": 5}}}))
    taken(shop.kubectl(RELEASER, "delete", "loan", "behind"))


@pytest.mark.parametrize(("api", "kind"), [("batch/v1", "Job"), ("apps/v1", "Deployment")])
def test_who_may_release_hands_a_field_to_nobody_and_to_nobody_else(shop: Shop, api: str, kind: str) -> None:
    """Its owner left the field out since: a return hands it to nobody, with no right on the object."""
    name = f"left-{kind.lower()}"
    target = LOAN_SPEC["target"] | {"apiVersion": api, "kind": kind, "namespace": shop.namespace}
    field = "/spec/suspend" if kind == "Job" else "/spec/replicas"
    owner = {"name": "pulumi-kubernetes-1", "operation": "Apply"}
    taken(_create(shop, name, target=target, field=field, formerManager=owner))
    another = {"spec": {"formerManager": {"name": "helm"}}}
    why = "may be changed by the operator alone" if kind == "Job" else "needs the verb patch on deployments.apps"
    refused(shop.patch(ONCALL, f"loan/{name}", another), why)
    refused(shop.patch(ONCALL, f"loan/{name}", {"spec": {"original": 1}}), why)
    taken(shop.patch(ONCALL, f"loan/{name}", {"spec": {"formerManager": None}}))
    taken(shop.kubectl(ONCALL, "delete", "loan", name))


def test_loans_go_with_their_namespace_whoever_deletes_it(shop: Shop) -> None:
    """The namespace controller holds every right to delete, and not the verb release."""
    user = f"cleaner-{shop.namespace}"
    rule = "--verb=get,list,delete,deletecollection", "--resource=loans.tidegate.dev"
    shop.cluster.run("kubectl", "create", "clusterrole", user, *rule)
    shop.cluster.run("kubectl", "create", "clusterrolebinding", user, f"--clusterrole={user}", f"--user={user}")
    other = Shop(shop.release, shop.cluster.namespace("admission-gone"))
    try:
        shop.release.install("upgrade", watchNamespaces=[shop.namespace, other.namespace])
        stuck = other.loan("stuck")
        stuck["metadata"]["finalizers"] = ["test.tidegate.dev/wait"]
        eventually(lambda: _created(other, stuck), 30, "the operator's account reaches the new namespace")
        refusal = "Loans are written by the operator alone"
        eventually(
            lambda: refusal in other.kubectl(user, "delete", "loan", "stuck", "--dry-run=server").stderr,
            30,
            "the policy covers the new namespace",
        )
        shop.cluster.drop_namespace(other.namespace)
        eventually(
            lambda: other.kubectl(user, "delete", "loan", "stuck", "--wait=false").returncode == 0,
            30,
            "a loan is deleted in a namespace that goes",
        )
    finally:
        free = [{"op": "remove", "path": "/metadata/finalizers"}]
        words = ("patch", "loan", "stuck", "--type=json", "-p", json.dumps(free))
        other.kubectl(shop.operator, *words)
        shop.cluster.run("kubectl", "-n", other.namespace, *words, check=False)
        shop.cluster.run("kubectl", "delete", f"clusterrole/{user}", f"clusterrolebinding/{user}")


def _created(shop: Shop, loan: Json) -> bool:
    done = shop.kubectl(shop.operator, "create", "-f", "-", given=loan)
    return done.returncode == 0 or "AlreadyExists" in done.stderr


def test_a_pools_loan_is_nobodys_to_rewrite(shop: Shop) -> None:
    promise = {"promises": [{"time": "2026-11-10T18:00:00.000Z", "units": 3}]}
    lent = shop.loan("lent", poolRef={"name": "hangzhou-a", "lane": "data"}, handOver=promise)
    del lent["spec"]["policyRef"]
    taken(shop.kubectl(shop.operator, "create", "-f", "-", given=lent))
    only = "only its way back"
    refused(shop.patch(ONCALL, "loan/lent", {"spec": {"handOver": {"promises": []}}}), only)
    refused(shop.patch(ONCALL, "loan/lent", {"spec": {"poolRef": {"lane": "trading"}}}), only)
    taken(shop.patch(ONCALL, "loan/lent", {"spec": {"pending": 3}}))
    taken(shop.kubectl(ONCALL, "delete", "loan", "lent"))


# ---- who says how it is


@pytest.mark.parametrize("kind", ["liveevent", "override", "scalingpolicy"])
def test_a_status_is_the_operators_word_whoever_may_write_the_rest(shop: Shop, kind: str) -> None:
    """The operator goes by it: a policy that it once accepted with queries of any namespace keeps them."""
    one = _spoken_of(shop, kind)
    taken(shop.apply(TENANT, one))
    what = f"{kind}/{one['metadata']['name']}"
    accepted = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "as ever"}
    forged = {"observedGeneration": 1, "conditions": [{**accepted, "lastTransitionTime": "2026-11-10T12:00:00Z"}]}
    refused(shop.patch(TENANT, what, {"status": forged}, "--subresource=status"), "written by the operator alone")
    taken(shop.patch(TENANT, what, {"metadata": {"labels": {"a": "b"}}}))
    taken(shop.patch(shop.operator, what, {"status": {"observedGeneration": 1}}, "--subresource=status"))
    taken(shop.kubectl(TENANT, "delete", what))


def _spoken_of(shop: Shop, kind: str) -> Json:
    if kind == "override":
        return shop.override("spoken-of", author=TENANT)
    if kind == "scalingpolicy":
        made = policy(shop.namespace, "web")
        made["metadata"]["name"] = "spoken-of"
        return made
    spec = {
        "schedule": {"startTime": "2026-11-10T20:00:00", "timeZone": "Asia/Shanghai", "durationSeconds": 600},
        "expected": {"orders_per_second": 100},
        "policyRef": {"name": "shop"},
    }
    metadata = {"name": "spoken-of", "namespace": shop.namespace}
    return {"apiVersion": "tidegate.dev/v1alpha1", "kind": "LiveEvent", "metadata": metadata, "spec": spec}


# ---- who signs an override


def test_an_override_bears_the_name_of_who_made_it(shop: Shop) -> None:
    signed = "spec.author is the user who makes or moves an Override"
    refused(shop.apply(NIGHTSHIFT, shop.override("forged", author=COLLEAGUE)), f"{signed}: you are {NIGHTSHIFT}")
    refused(shop.kubectl("admin", *DRY, given=shop.override("forged", author=COLLEAGUE)), signed)
    refused(shop.apply(NIGHTSHIFT, shop.override("forged", author=f"{NIGHTSHIFT} ")), signed)
    taken(shop.apply(NIGHTSHIFT, shop.override("mine", author=NIGHTSHIFT)))


def test_its_end_is_moved_by_its_author_alone_and_others_may_take_it_away(shop: Shop) -> None:
    taken(shop.apply(NIGHTSHIFT, shop.override("night", author=NIGHTSHIFT)))
    later = {"spec": {"until": "2026-11-11T03:00:00+08:00"}}
    refused(shop.patch(COLLEAGUE, "override/night", later), f"you are {COLLEAGUE}")
    stolen = shop.patch(COLLEAGUE, "override/night", {"spec": {"author": COLLEAGUE}})
    assert "of an override only until may change" in stolen.stderr, "nobody makes it his own"
    taken(shop.patch(COLLEAGUE, "override/night", {"metadata": {"labels": {"shift": "night"}}}))
    taken(shop.patch(NIGHTSHIFT, "override/night", later))
    taken(shop.kubectl(COLLEAGUE, "delete", "override", "night"))


def test_who_is_listed_writes_for_others(shop: Shop) -> None:
    taken(shop.apply(BOT, shop.override("asked-in-chat", author=NIGHTSHIFT)))
    taken(shop.patch(NIGHTSHIFT, "override/asked-in-chat", {"spec": {"until": "2026-11-11T01:00:00+08:00"}}))


def test_the_operator_shows_an_overrides_status_without_being_its_author(shop: Shop) -> None:
    taken(shop.apply(NIGHTSHIFT, shop.override("shown", author=NIGHTSHIFT)))
    status = {"status": {"observedGeneration": 1, "summary": "hold until 02:00"}}
    taken(shop.patch(shop.operator, "override/shown", status, "--subresource=status"))


def test_no_right_in_a_namespace_makes_a_pool(shop: Shop) -> None:
    lanes = [{"name": "mine", "guaranteePercent": 100, "allowedNamespaces": [shop.namespace]}]
    pool = {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "CapacityPool",
        "metadata": {"name": "grab"},
        "spec": {"capacity": {"given": {"cpu": "640", "memory": "1280Gi"}}, "lanes": lanes},
    }
    done = shop.kubectl(NIGHTSHIFT, "create", "-f", "-", given=pool)
    assert done.returncode != 0
    assert "at the cluster scope" in done.stderr


# ---- what the operator's own account may write


@pytest.mark.parametrize("account", [FULLNAME, f"{FULLNAME}-release"])
def test_a_stolen_token_changes_levels_and_nothing_else(shop: Shop, account: str) -> None:
    user = shop.release.user(account)
    image = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "evil.example/miner:1"}]}}}}
    refused(shop.patch(user, "deployment/web", image), "changes the level of a workload")
    paused = {"spec": {"paused": True}}
    refused(shop.patch(user, "deployment/web", paused), "changes the level of a workload")
    note = {"metadata": {"annotations": {"a": "b"}}}
    refused(shop.patch(user, "deployment/web", note), "of metadata nothing")
    refused(shop.patch(user, "hpa/web", {"metadata": {"labels": {"a": "b"}}}), "of metadata nothing")
    refused(shop.patch(user, "hpa/web", {"spec": {"maxReplicas": 5000}}), "the minimum of an HPA and nothing else")
    elsewhere = {"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "payment"}}}
    refused(shop.patch(user, "hpa/web", elsewhere), "the minimum of an HPA and nothing else")
    aim = {"spec": {"targetCPUUtilizationPercentage": 1}}
    refused(shop.patch(user, "horizontalpodautoscalers.v1.autoscaling/web", aim), "the minimum of an HPA and nothing")
    taken(shop.patch(user, "hpa/web", {"spec": {"minReplicas": 5}}))
    taken(shop.patch(user, "deployment/web", {"spec": {"replicas": 5}}, "--subresource=scale"))


def test_a_stolen_token_suspends_a_job_and_changes_nothing_else_of_it(shop: Shop) -> None:
    """Also of a suspended one, whose pods could be sent to other machines otherwise."""
    shop.cluster.create(_job(shop.namespace, "nightly"))
    elsewhere = {"spec": {"template": {"spec": {"nodeSelector": {"zone": "other"}}}}}
    only = "suspends a Job and lets it run again"
    refused(shop.patch(shop.operator, "job/nightly", elsewhere), only)
    refused(shop.patch(shop.operator, "job/nightly", {"spec": {"parallelism": 500}}), only)
    refused(shop.patch(shop.operator, "job/nightly", {"spec": {"podReplacementPolicy": "Failed"}}), only)
    refused(shop.patch(shop.operator, "job/nightly", {"spec": {"manualSelector": True}}), only)
    refused(shop.patch(shop.operator, "job/nightly", {"metadata": {"labels": {"a": "b"}}}), "of metadata nothing")
    taken(shop.patch(shop.operator, "job/nightly", {"spec": {"suspend": False}}))
    taken(shop.patch(shop.operator, "job/nightly", {"spec": {"suspend": True}}))


def _job(namespace: str, name: str) -> Json:
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "work.example/nightly:1"}]}
    spec = {"suspend": True, "parallelism": 1, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def test_others_change_the_same_objects_as_ever(shop: Shop) -> None:
    taken(shop.patch(SHOPKEEPER, "hpa/web", {"spec": {"maxReplicas": 80}, "metadata": {"labels": {"a": "b"}}}))
    taken(shop.patch(SHOPKEEPER, "deployment/web", {"metadata": {"annotations": {"a": "b"}}}))


def test_the_policies_end_at_the_watched_namespaces(shop: Shop) -> None:
    """Another operator's Loans are none of this one's affair."""
    other = Shop(shop.release, shop.cluster.namespace("admission-other"))
    try:
        taken(other.kubectl("admin", *DRY, given=other.loan("theirs")))
    finally:
        shop.cluster.drop_namespace(other.namespace)
