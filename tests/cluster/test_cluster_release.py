"""``tidegate release`` as the account of the chart's hook, under the chart's own RBAC and admission policies: whatever
state a Loan was left in, nothing that a return writes is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from admission_shop import ON_A_SERVER, Shop, admission_shop, taken
from harness import Json
from shop import ORIGINAL, deployment, hpa

from tidegate.planning.model import Ref
from tidegate.ports import Place
from tidegate.targets.loans import loan_name

pytestmark = ON_A_SERVER
LENT = 20
HPA = "HorizontalPodAutoscaler"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with admission_shop(tmp_path_factory.mktemp("release"), {}) as made:
        yield made


def lend(shop: Shop, name: str, **spec: Any) -> None:
    """A workload behind an HPA whose minimum is lent, as a process that is gone left it."""
    cluster, namespace = shop.cluster, shop.namespace
    cluster.apply(deployment(namespace, name, replicas=LENT), manager="kube-controller-manager")
    cluster.apply(hpa(namespace, name), manager="helm")
    taken(shop.patch(shop.operator, f"hpa/{name}", {"spec": {"minReplicas": LENT}}, "--field-manager=tidegate"))
    scaler, workload = (cluster.get(kind, namespace, name) for kind in (HPA, "Deployment"))
    ref = Ref("autoscaling/v2", HPA, namespace, name)
    uid = scaler["metadata"]["uid"]
    behind = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": workload["metadata"]["uid"]}
    target = {"apiVersion": ref.api_version, "kind": HPA, "namespace": namespace, "name": name, "uid": uid}
    known: Json = {"target": target, "original": ORIGINAL, "levels": [LENT], "for": ["LiveEvent/show"]}
    known["workload"] = {**behind, "replicas": ORIGINAL}
    known |= {"formerManager": {"name": "helm", "operation": "Apply"}, **spec}
    told = shop.loan(loan_name(Place(ref, uid, "/spec/minReplicas", "")), **known)
    told["spec"] = {field: value for field, value in told["spec"].items() if value is not None}
    taken(shop.kubectl(shop.operator, "create", "-f", "-", given=told))


def release(shop: Shop) -> None:
    """The hook's command, as its account: it returns all there is, and says so."""
    done = shop.release.run_as_release()
    assert done.returncode == 0, done.stdout + done.stderr
    assert shop.cluster.list("Loan", shop.namespace)["items"] == [], done.stdout


def minimum(shop: Shop, name: str) -> int:
    found: int = shop.cluster.get(HPA, shop.namespace, name)["spec"]["minReplicas"]
    return found


def test_loans_that_leaders_of_several_epochs_wrote_are_all_returned(shop: Shop) -> None:
    for epoch, name in enumerate(("first", "second", "third"), 1):
        lend(shop, name, epoch=epoch)
    release(shop)
    assert [minimum(shop, name) for name in ("first", "second", "third")] == [ORIGINAL] * 3


def test_a_loan_of_a_version_that_noted_no_levels_is_returned(shop: Shop) -> None:
    lend(shop, "older", levels=None, workload=None)
    release(shop)
    assert minimum(shop, "older") == ORIGINAL


def test_what_an_owner_meant_since_is_returned_to(shop: Shop) -> None:
    lend(shop, "meant")
    shop.cluster.apply(hpa(shop.namespace, "meant", minimum=7), manager="helm", force="true")
    release(shop)
    assert minimum(shop, "meant") == 7


def test_a_workload_whose_hpa_is_gone_is_returned_without_a_loan_of_its_own(shop: Shop) -> None:
    """To make a Loan is the operator's right alone."""
    lend(shop, "alone")
    shop.cluster.run("kubectl", "-n", shop.namespace, "delete", "hpa", "alone")
    release(shop)
    assert shop.cluster.get("Deployment", shop.namespace, "alone")["spec"]["replicas"] == ORIGINAL
