"""What the adapters make of a refusal, on the cluster that KUBECONFIG points to, else on the embedded one.

Who may not (403) and what admission denies (422) are told apart from a level that is not as believed, which is a 422
too; nothing moves on either, and nothing is forgotten.
"""

from __future__ import annotations

from typing import Any

import pytest
from borrowed import HELM, apply, deployment, eventually, hpa, path, ref, see_place
from contract import Api, EmbeddedApi, Refusals, installed

from tidegate.api.crd import all_crds
from tidegate.api.loan import loan_from_object, loan_to_object
from tidegate.planning.model import Key, Trouble
from tidegate.ports import ConflictError, Loan, Place, RefusedError
from tidegate.targets.client import Form, KubeClient
from tidegate.targets.errors import ForbiddenError, InvalidError, PatchFailedError
from tidegate.targets.loans import KubeLoanBook, loan_key
from tidegate.targets.registry import KubeTargets

pytestmark = pytest.mark.cluster

FIELDS = {"hpa": ("horizontalpodautoscalers", "minReplicas"), "scale": ("deployments/scale", "replicas")}
WORDS = "levels are frozen tonight; ask the night shift"


async def borrowable(kube: KubeClient, ns: str, how: str) -> None:
    await apply(kube, deployment(ns))
    if how == "hpa":
        await apply(kube, hpa(ns))


# ---- who may not


@pytest.mark.parametrize(
    ("resource", "verb"), [("deployments", "get"), ("horizontalpodautoscalers", "list")], ids=["workload", "hpas"]
)
async def test_what_may_not_be_read_is_forbidden_and_not_missing(
    kube: KubeClient, ns: str, refusals: Refusals, resource: str, verb: str
) -> None:
    await borrowable(kube, ns, "hpa")
    sight = await KubeTargets(await refusals.who_may_not((verb, resource)), lifetime=0.0).see(ref(deployment(ns)))
    assert (sight.place, sight.observed.trouble) == (None, Trouble.FORBIDDEN)
    assert resource in sight.observed.note


@pytest.mark.parametrize("how", FIELDS)
async def test_a_level_that_may_not_be_written_is_refused_and_stays(
    kube: KubeClient, ns: str, refusals: Refusals, how: str
) -> None:
    await borrowable(kube, ns, how)
    resource, _ = FIELDS[how]
    targets = KubeTargets(await refusals.who_may_not(("patch", resource)), lifetime=0.0)
    sight = await see_place(targets, deployment(ns))
    with pytest.raises(ForbiddenError, match=f'cannot patch resource "{resource}"'):
        await targets.swap(sight.place, believed=2, wanted=12)
    held = await targets.held(sight.place)
    assert (held.value, held.manager) == (2, HELM)


async def test_a_field_that_may_not_be_handed_back_is_refused_and_stays_ours(
    kube: KubeClient, ns: str, refusals: Refusals
) -> None:
    """Through the scale a level may be moved by whoever may not patch its owner."""
    await borrowable(kube, ns, "scale")
    targets = KubeTargets(await refusals.who_may_not(("patch", "deployments")), lifetime=0.0)
    sight = await see_place(targets, deployment(ns))
    await targets.swap(sight.place, believed=2, wanted=12)
    await targets.swap(sight.place, believed=12, wanted=2)
    with pytest.raises(ForbiddenError):
        await targets.hand_back(sight.place, HELM)
    all_rights = KubeTargets(kube, lifetime=0.0)
    await all_rights.hand_back(sight.place, HELM)
    assert (await all_rights.held(sight.place)).manager == HELM


async def test_a_loan_that_may_not_be_made_or_ended_is_refused(kube: KubeClient, ns: str, refusals: Refusals) -> None:
    await installed(kube, all_crds())
    await borrowable(kube, ns, "scale")
    mine = await a_loan(kube, ns)
    denied = [("create", "loans"), ("update", "loans"), ("delete", "loans")]
    one = book(await refusals.who_may_not(*denied), ns)
    with pytest.raises(ForbiddenError):
        await one.save(mine, fresh=True)
    assert await one.list() == []
    await book(kube, ns).save(mine, fresh=True)
    assert await one.list() == [mine]
    with pytest.raises(ForbiddenError):
        await one.remove(mine)
    assert await one.list() == [mine]


async def test_quotas_and_pods_that_may_not_be_read_cost_a_target_nothing(
    kube: KubeClient, ns: str, refusals: Refusals
) -> None:
    await borrowable(kube, ns, "scale")
    client = await refusals.who_may_not(("list", "pods"), ("list", "resourcequotas"))
    sight = await KubeTargets(client, lifetime=0.0).examine(ref(deployment(ns)))
    assert sight.place is not None
    assert (sight.observed.evidence, sight.observed.rooms) == ((), ())


# ---- what admission denies


@pytest.mark.parametrize("how", FIELDS)
async def test_a_level_that_a_policy_denies_is_refused_in_its_words_and_no_conflict(
    kube: KubeClient, ns: str, refusals: Refusals, how: str
) -> None:
    await borrowable(kube, ns, how)
    targets = KubeTargets(await refusals.deny(FIELDS[how][0], WORDS), lifetime=0.0)
    sight = await see_place(targets, deployment(ns))
    with pytest.raises(RefusedError, match=WORDS):
        await targets.swap(sight.place, believed=2, wanted=12)
    assert (await targets.held(sight.place)).value == 2
    with pytest.raises(ConflictError):  # what is not as believed is a conflict all the same
        await targets.swap(sight.place, believed=3, wanted=12)


@pytest.mark.parametrize("how", FIELDS)
async def test_a_level_that_a_webhook_refuses_as_unprocessable_is_refused_in_its_words_and_no_conflict(
    kube: KubeClient, ns: str, refusals: Refusals, how: str
) -> None:
    """A webhook's 422 without details is not the one of a patch whose test failed."""
    await borrowable(kube, ns, how)
    targets = KubeTargets(await refusals.refuse(FIELDS[how][0], WORDS), lifetime=0.0)
    sight = await see_place(targets, deployment(ns))
    with pytest.raises(RefusedError, match=WORDS):
        await targets.swap(sight.place, believed=2, wanted=12)
    with pytest.raises(ConflictError):
        await targets.swap(sight.place, believed=3, wanted=12)
    with pytest.raises(RefusedError, match="must be greater than or equal to 1" if how == "hpa" else "equal to 0"):
        await KubeTargets(kube, lifetime=0.0).swap(sight.place, believed=2, wanted=-1)


@pytest.mark.parametrize("who", ["a webhook", "a policy"])
async def test_a_return_that_is_refused_as_unprocessable_is_said_so_and_not_tried_again_at_once(
    kube: KubeClient, ns: str, refusals: Refusals, who: str
) -> None:
    await borrowable(kube, ns, "hpa")
    free = KubeTargets(kube, lifetime=0.0)
    sight = await see_place(free, deployment(ns))
    await free.swap(sight.place, believed=2, wanted=12)
    await free.swap(sight.place, believed=12, wanted=2)
    refuse = refusals.refuse if who == "a webhook" else refusals.deny
    refused = KubeTargets(await refuse("horizontalpodautoscalers", WORDS), lifetime=0.0)
    with pytest.raises(InvalidError, match=WORDS):
        await refused.hand_back(sight.place, HELM)


@pytest.mark.parametrize(
    "test", [{"path": "/spec/minReplicas", "value": 7}, {"path": "/metadata/uid", "value": "x"}, {"path": "/x"}]
)
async def test_a_failed_test_of_a_patch_is_told_apart(kube: KubeClient, ns: str, test: dict[str, Any]) -> None:
    await borrowable(kube, ns, "hpa")
    path = f"/apis/autoscaling/v2/namespaces/{ns}/horizontalpodautoscalers/{hpa(ns)['metadata']['name']}"
    level: dict[str, Any] = {"op": "add", "path": "/spec/minReplicas", "value": 3}
    with pytest.raises(PatchFailedError):
        await kube.patch(path, [{"op": "test", "value": 1, **test}, level], Form.JSON)


async def test_a_loan_that_a_policy_denies_is_refused_in_its_words(
    kube: KubeClient, ns: str, refusals: Refusals
) -> None:
    await installed(kube, all_crds())
    await borrowable(kube, ns, "scale")
    mine = await a_loan(kube, ns)
    one = book(await refusals.deny("loans", WORDS), ns)
    with pytest.raises(RefusedError, match=WORDS):
        await one.save(mine, fresh=True)
    assert await one.list() == []


# ---- what a quota leaves


async def test_a_loan_that_a_quota_has_no_room_for_is_refused_by_its_name(
    kube: KubeClient, ns: str, refusals: Refusals
) -> None:
    await installed(kube, all_crds())
    await borrowable(kube, ns, "scale")
    mine = await a_loan(kube, ns)
    one = book(await refusals.leave_no_room("loans"), ns)
    with pytest.raises(ForbiddenError, match="exceeded quota: full"):
        await one.save(mine, fresh=True)
    assert await one.list() == []


async def test_a_quota_says_how_many_more_units_there_is_room_for(api: Api, kube: KubeClient, ns: str) -> None:
    """A real cluster's quota controller counts. It counts wrong for minutes what is made while it begins, and whatever
    somebody writes beside it.
    """
    await borrowable(kube, ns, "scale")
    if not isinstance(api, EmbeddedApi):
        await eventually(
            lambda: kube.get(path(deployment(ns))), lambda seen: seen.get("status", {}).get("readyReplicas") == 2, 60
        )
    root = f"/api/v1/namespaces/{ns}/resourcequotas"
    metadata, hard = {"name": "most", "namespace": ns}, {"pods": "5", "requests.cpu": "1"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}
    await kube.create(root, quota)
    if isinstance(api, EmbeddedApi):  # nobody counts there
        status = {"hard": hard, "used": {"pods": "2", "requests.cpu": "200m"}}
        await kube.patch(f"{root}/most/status", {"status": status}, Form.MERGE, manager="quota-controller")
    targets = KubeTargets(kube, lifetime=0.0)

    def room(sight: object) -> dict[str, float]:
        return {one.resource: one.left for one in sight.observed.rooms}  # type: ignore[attr-defined]

    seen = await eventually(
        lambda: targets.examine(ref(deployment(ns))), lambda sight: room(sight) == {"pods": 3.0, "requests.cpu": 0.8}
    )
    assert {one.object.name for one in seen.observed.rooms} == {"most"}


# ---- loans of these tests


def book(client: KubeClient, ns: str) -> KubeLoanBook:
    return KubeLoanBook(client, [ns], to_object=loan_to_object, from_object=loan_from_object)


async def a_loan(kube: KubeClient, ns: str) -> Loan:
    """Of a field that is there."""
    uid = (await kube.get(path(deployment(ns))))["metadata"]["uid"]
    place = Place(ref(deployment(ns)), uid, "/spec/replicas", "scale")
    at = 1_700_000_000.0
    return Loan(loan_key(place), place, Key(ns, "shop"), "web", 2, HELM, None, 12, 12, at, at, at + 3600.0, 3)
