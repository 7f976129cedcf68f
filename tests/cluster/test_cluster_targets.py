"""What borrowing a level relies on, on the cluster that KUBECONFIG points to, else on the embedded one."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from borrowed import HELM, apply, deployment, eventually, hpa, job, path, ref, see_place
from contract import installed, served

from tidegate.planning.model import MANAGER, Ref, Trouble
from tidegate.ports import ConflictError, Manager, NotFoundError, RefusedError
from tidegate.targets.client import Form, KubeClient
from tidegate.targets.errors import ExistsError, NotServedError
from tidegate.targets.registry import KubeTargets

pytestmark = pytest.mark.cluster
Json = dict[str, Any]
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP = "contract.tidegate.dev"
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@pytest.fixture
def targets(kube: KubeClient) -> KubeTargets:
    return KubeTargets(kube, lifetime=0.0)


# ---- seeing


async def test_a_deployment_alone_is_moved_through_its_scale(kube: KubeClient, ns: str, targets: KubeTargets) -> None:
    await apply(kube, deployment(ns))
    sight = await see_place(targets, deployment(ns))
    assert (sight.place.field, sight.place.subresource) == ("/spec/replicas", "scale")
    assert sight.held is not None
    assert (sight.held.value, sight.held.manager) == (2, HELM)
    assert (sight.observed.level, sight.observed.desired, sight.observed.maximum) == (2, 2, None)
    ready = await eventually(lambda: targets.see(ref(deployment(ns))), lambda seen: seen.observed.ready == 2)
    assert ready.observed.trouble is None


async def test_an_hpa_in_front_is_where_the_floor_goes(kube: KubeClient, ns: str, targets: KubeTargets) -> None:
    await apply(kube, deployment(ns))
    await apply(kube, hpa(ns, minimum=3))
    sight = await see_place(targets, deployment(ns))
    assert (sight.place.ref.kind, sight.place.field) == ("HorizontalPodAutoscaler", "/spec/minReplicas")
    assert sight.place.subresource == ""
    assert (sight.observed.level, sight.observed.maximum) == (3, 50)
    assert sight.held is not None
    assert sight.held.manager == HELM


@pytest.mark.parametrize("names", [("web",), ("web", "new")])
async def test_a_workload_behind_autoscalers_says_its_own_number(
    kube: KubeClient, ns: str, targets: KubeTargets, names: tuple[str, ...]
) -> None:
    await apply(kube, deployment(ns))
    for name in names:
        await apply(kube, hpa(ns, name, minimum=2))
    beneath = (await targets.see(ref(deployment(ns)))).beneath
    assert beneath is not None
    assert (beneath.place.ref, beneath.place.field, beneath.level) == (ref(deployment(ns)), "/spec/replicas", 2)


async def test_a_null_that_is_applied_leaves_a_one_that_nobody_asked_for(
    kube: KubeClient, ns: str, targets: KubeTargets
) -> None:
    await apply(kube, deployment(ns))
    sight = await see_place(targets, deployment(ns))
    assert sight.place is not None
    await targets.swap(sight.place, believed=2, wanted=9)
    await kube.patch(path(deployment(ns)), {"spec": {"replicas": None}}, Form.MERGE, manager="kubectl-patch")
    held = await targets.held(sight.place)
    assert (held.value, held.manager) == (1, Manager("kubectl-patch", "Update"))


async def owned_by(kube: KubeClient, ns: str, root: str, scaler: Json) -> None:
    """A Deployment, and an HPA of an owner that is there: the collector takes what has lost its owner."""
    await apply(kube, deployment(ns))
    made = await kube.create(root, {**scaler, "metadata": {"name": "web-scaler", "namespace": ns}})
    owner = {key: scaler[key] for key in ("apiVersion", "kind")} | {"name": "web-scaler", "controller": True}
    await apply(kube, hpa(ns, owner={**owner, "uid": made["metadata"]["uid"]}))


async def test_what_another_scaler_owns_is_refused_by_its_name(kube: KubeClient, ns: str, targets: KubeTargets) -> None:
    await owned_by(kube, ns, f"/api/v1/namespaces/{ns}/configmaps", {"apiVersion": "v1", "kind": "ConfigMap"})
    sight = await targets.see(ref(deployment(ns)))
    assert (sight.place, sight.observed.trouble) == (None, Trouble.FOREIGN_OWNER)
    assert "ConfigMap/web-scaler" in sight.observed.note


@pytest.fixture
async def keda(kube: KubeClient) -> AsyncIterator[str]:
    """The API version of KEDA's ScaledObjects: as installed, else as far as an owner of an HPA goes."""
    mine = not await served(kube, "/apis/keda.sh/v1alpha1/scaledobjects")
    names = {"plural": "scaledobjects", "singular": "scaledobject", "kind": "ScaledObject"}
    schema = {"type": "object", "properties": {"spec": ANYTHING, "status": ANYTHING}}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    spec = {"group": "keda.sh", "scope": "Namespaced", "names": names, "versions": [version]}
    metadata = {"name": "scaledobjects.keda.sh"}
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata}
    if mine:
        await installed(kube, [{**crd, "spec": spec}])
    yield "keda.sh/v1alpha1"
    if mine:
        await kube.delete(f"{CRDS}/scaledobjects.keda.sh")


async def test_where_keda_is_served_its_scaledobject_is_named(
    kube: KubeClient, ns: str, targets: KubeTargets, keda: str
) -> None:
    trigger = {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}}
    scaler: Json = {"apiVersion": keda, "kind": "ScaledObject"}
    scaler["spec"] = {"scaleTargetRef": {"name": "web"}, "triggers": [trigger]}
    await owned_by(kube, ns, f"/apis/{keda}/namespaces/{ns}/scaledobjects", scaler)
    sight = await targets.see(ref(deployment(ns)))
    assert (sight.place, sight.observed.trouble) == (None, Trouble.FOREIGN_OWNER)
    assert "ScaledObject/web-scaler" in sight.observed.note


async def test_two_hpas_on_one_workload_leave_nothing_to_hold(kube: KubeClient, ns: str, targets: KubeTargets) -> None:
    await apply(kube, deployment(ns))
    await apply(kube, hpa(ns, "one"))
    await apply(kube, hpa(ns, "two"))
    sight = await targets.see(ref(deployment(ns)))
    assert (sight.place, sight.observed.trouble) == (None, Trouble.NOT_SCALABLE)
    assert "one and two" in sight.observed.note


async def test_a_deployment_at_zero_has_switched_its_hpa_off(kube: KubeClient, ns: str, targets: KubeTargets) -> None:
    await apply(kube, deployment(ns, replicas=0))
    await apply(kube, hpa(ns))
    sight = await targets.see(ref(deployment(ns)))
    assert (sight.place, sight.observed.trouble) == (None, Trouble.SCALING_DISABLED)


@pytest.mark.parametrize(
    ("wanted", "want_trouble"),
    [
        (("apps/v1", "Deployment"), Trouble.MISSING),
        (("nobody.example/v1", "Thing"), Trouble.NOT_SERVED),
        (("v1", "ConfigMap"), Trouble.MISSING),
        (("autoscaling/v2", "HorizontalPodAutoscaler"), Trouble.NOT_SCALABLE),
        (("v1", "Namespace"), Trouble.NOT_SCALABLE),
    ],
)
async def test_what_is_not_there_or_has_no_level_is_a_trouble_and_no_error(
    ns: str, targets: KubeTargets, wanted: tuple[str, str], want_trouble: Trouble
) -> None:
    sight = await targets.see(Ref(*wanted, ns, "absent"))
    assert (sight.place, sight.observed.trouble) == (None, want_trouble)


async def test_a_job_in_a_queue_belongs_to_kueue(kube: KubeClient, ns: str, targets: KubeTargets) -> None:
    night = job(ns, labels={"kueue.x-k8s.io/queue-name": "batch"}, suspend=True)
    await kube.create(path(night, collection=True), night)
    sight = await targets.see(ref(night))
    assert sight.observed.trouble is Trouble.FOREIGN_OWNER
    assert "Kueue (queue batch)" in sight.observed.note


# ---- borrowing


Prepared = tuple[Json, str]
"""The document that helm applies, and the name of its level's field in spec."""


@pytest.fixture(params=["hpa", "scale"])
async def applied(kube: KubeClient, ns: str, request: pytest.FixtureRequest) -> Prepared:
    await apply(kube, deployment(ns))
    if request.param == "scale":
        return deployment(ns), "replicas"
    await apply(kube, hpa(ns))
    return hpa(ns), "minReplicas"


async def test_a_swap_moves_the_level_and_takes_the_field(
    kube: KubeClient, ns: str, targets: KubeTargets, applied: Prepared
) -> None:
    sight = await see_place(targets, deployment(ns))
    await targets.swap(sight.place, believed=2, wanted=12)
    held = await targets.held(sight.place)
    assert held.value == 12
    assert held.manager is not None
    assert held.manager.name == MANAGER
    document, _ = applied
    with pytest.raises(ConflictError) as refused:
        await apply(kube, document)
    assert refused.value.manager == MANAGER


async def test_a_stale_level_is_a_conflict_and_changes_nothing(
    ns: str, targets: KubeTargets, applied: Prepared
) -> None:
    sight = await see_place(targets, deployment(ns))
    with pytest.raises(ConflictError) as stale:
        await targets.swap(sight.place, believed=3, wanted=12)
    assert stale.value.manager == "helm"
    assert (await targets.held(sight.place)).value == 2


async def test_an_object_made_anew_under_the_same_name_is_a_conflict(
    kube: KubeClient, ns: str, targets: KubeTargets, applied: Prepared
) -> None:
    sight = await see_place(targets, deployment(ns))
    document, _ = applied
    await kube.delete(path(document))

    async def made_anew() -> bool:
        return (await apply(kube, document))["metadata"]["uid"] != sight.place.uid

    await eventually(made_anew, bool)
    with pytest.raises(ConflictError):
        await targets.swap(sight.place, believed=2, wanted=12)
    with pytest.raises(NotFoundError):
        await targets.held(sight.place)
    with pytest.raises(NotFoundError):
        await targets.hand_back(sight.place, HELM)


async def test_a_value_that_the_server_finds_wrong_is_refused_not_a_conflict(
    ns: str, targets: KubeTargets, applied: Prepared
) -> None:
    sight = await see_place(targets, deployment(ns))
    wrong = 51 if sight.place.field == "/spec/minReplicas" else -1
    with pytest.raises(RefusedError):
        await targets.swap(sight.place, believed=2, wanted=wrong)
    assert (await targets.held(sight.place)).value == 2


async def test_after_the_return_the_former_applier_changes_the_field_unforced(
    kube: KubeClient, ns: str, targets: KubeTargets, applied: Prepared
) -> None:
    document, field = applied
    sight = await see_place(targets, deployment(ns))
    assert sight.held is not None
    former = sight.held.manager
    await targets.swap(sight.place, believed=2, wanted=12)
    await targets.swap(sight.place, believed=12, wanted=2)
    await targets.hand_back(sight.place, former)
    assert (await targets.held(sight.place)).manager == HELM
    await targets.hand_back(sight.place, former)  # idempotent
    document["spec"][field] = 4
    assert (await apply(kube, document))["spec"][field] == 4
    managers = {entry["manager"] for entry in (await kube.get(path(document)))["metadata"]["managedFields"]}
    assert MANAGER not in managers


async def test_a_busy_object_is_handed_back_all_the_same(kube: KubeClient, ns: str, targets: KubeTargets) -> None:
    await apply(kube, deployment(ns))
    sight = await see_place(targets, deployment(ns))
    await targets.swap(sight.place, believed=2, wanted=40)
    await targets.swap(sight.place, believed=40, wanted=2)  # pods come and go, status moves the version meanwhile
    await targets.hand_back(sight.place, HELM)
    assert (await targets.held(sight.place)).manager == HELM


async def test_a_writer_whose_entry_vanished_gets_it_back(kube: KubeClient, ns: str, targets: KubeTargets) -> None:
    web = deployment(ns)
    await apply(kube, web)
    await kube.patch(f"{path(web)}/scale", {"spec": {"replicas": 3}}, Form.MERGE, manager="kubectl-scale")
    sight = await see_place(targets, web)
    assert sight.held is not None
    assert sight.held.manager == Manager("kubectl-scale", "Update", "scale")
    await targets.swap(sight.place, believed=3, wanted=9)
    await targets.swap(sight.place, believed=9, wanted=3)
    await targets.hand_back(sight.place, sight.held.manager)
    assert (await targets.held(sight.place)).manager == sight.held.manager


async def test_an_applier_whose_entry_vanished_is_not_charged_with_the_field_again(
    kube: KubeClient, ns: str, targets: KubeTargets
) -> None:
    web = deployment(ns)
    await kube.create(path(web, collection=True), web)
    only = {key: web[key] for key in ("apiVersion", "kind", "metadata")} | {"spec": {"replicas": 6}}
    await apply(kube, only, manager="tuner", force=True)
    sight = await see_place(targets, web)
    await targets.swap(sight.place, believed=6, wanted=9)
    await targets.swap(sight.place, believed=9, wanted=6)
    await targets.hand_back(sight.place, Manager("tuner", "Apply"))
    assert (await targets.held(sight.place)).manager is None
    only["spec"]["replicas"] = 7
    assert (await apply(kube, only, manager="tuner"))["spec"]["replicas"] == 7


async def test_a_field_that_somebody_else_took_by_force_is_not_given_away(
    kube: KubeClient, ns: str, targets: KubeTargets, applied: Prepared
) -> None:
    document, field = applied
    sight = await see_place(targets, deployment(ns))
    await targets.swap(sight.place, believed=2, wanted=12)
    document["spec"][field] = 5
    await apply(kube, document, manager="argocd", force=True)
    with pytest.raises(ConflictError) as taken:
        await targets.hand_back(sight.place, HELM)
    assert taken.value.manager == "argocd"


async def test_a_scale_of_zero_can_be_left_and_returned_to(kube: KubeClient, ns: str, targets: KubeTargets) -> None:
    await apply(kube, deployment(ns, replicas=0))
    sight = await see_place(targets, deployment(ns))
    with pytest.raises(ConflictError):
        await targets.swap(sight.place, believed=1, wanted=3)
    await targets.swap(sight.place, believed=0, wanted=3)
    with pytest.raises(ConflictError):
        await targets.swap(sight.place, believed=0, wanted=4)
    await targets.swap(sight.place, believed=3, wanted=0)
    await targets.hand_back(sight.place, HELM)
    held = await targets.held(sight.place)
    assert (held.value, held.manager) == (0, HELM)


# ---- custom resources


@pytest.fixture
async def room_kind(kube: KubeClient) -> AsyncIterator[str]:
    """A kind that keeps its level at an unusual place."""
    kind = f"Room{uuid.uuid4().hex[:8]}"
    plural = kind.lower() + "s"
    schema = {"type": "object", "properties": {"spec": ANYTHING, "status": ANYTHING}}
    scale = {"specReplicasPath": ".spec.workers.count", "statusReplicasPath": ".status.replicas"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    version["subresources"] = {"status": {}, "scale": scale}
    names = {"plural": plural, "singular": kind.lower(), "kind": kind}
    spec = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]}
    metadata = {"name": f"{plural}.{GROUP}"}
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata}
    await kube.create(CRDS, {**crd, "spec": spec})

    async def served() -> bool:
        try:
            return [entry async for entry in kube.pages(f"/apis/{GROUP}/v1/{plural}")] != []
        except NotFoundError:
            return False

    await eventually(served, bool)
    yield kind
    await kube.delete(f"{CRDS}/{metadata['name']}")


async def test_a_custom_resource_is_moved_through_its_own_scale(
    kube: KubeClient, ns: str, room_kind: str, targets: KubeTargets
) -> None:
    room = {
        "apiVersion": f"{GROUP}/v1",
        "kind": room_kind,
        "metadata": {"name": "main", "namespace": ns},
        "spec": {"title": "x", "workers": {"count": 3}},
    }
    await apply(kube, room)
    await kube.patch(f"{path(room)}/status", {"status": {"replicas": 3}}, Form.MERGE, manager="room-controller")
    sight = await see_place(targets, room)
    assert (sight.observed.level, sight.observed.ready) == (3, 3)
    assert sight.held is not None
    assert sight.held.manager == HELM
    await targets.swap(sight.place, believed=3, wanted=8)
    assert (await kube.get(path(room)))["spec"]["workers"]["count"] == 8
    await targets.swap(sight.place, believed=8, wanted=3)
    await targets.hand_back(sight.place, HELM)
    room["spec"]["workers"]["count"] = 4
    assert (await apply(kube, room))["spec"]["workers"]["count"] == 4


# ---- the client


async def test_errors_are_told_apart_by_what_the_server_answers(kube: KubeClient, ns: str) -> None:
    root = f"/api/v1/namespaces/{ns}/configmaps"
    body: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": ns}}
    made = await kube.create(root, body)
    with pytest.raises(ExistsError):
        await kube.create(root, body)
    with pytest.raises(NotFoundError):
        await kube.get(f"{root}/absent")
    await kube.patch(f"{root}/a", {"data": {"x": "1"}}, Form.MERGE)
    with pytest.raises(ConflictError):
        await kube.replace(f"{root}/a", made)
    with pytest.raises(ConflictError):
        await kube.delete(f"{root}/a", uid="another")
    uid = made["metadata"]["uid"]
    with pytest.raises(ConflictError):
        await kube.delete(f"{root}/a", uid=uid, version=made["metadata"]["resourceVersion"])
    with pytest.raises(NotServedError):
        await kube.get(f"/apis/nobody.example/v1/namespaces/{ns}/things/a")
    with pytest.raises(NotFoundError) as absent:
        await kube.get(f"/apis/apps/v1/namespaces/{ns}/deployments/absent")
    assert not isinstance(absent.value, NotServedError), "an answer about an object bears its name"
    with pytest.raises(RefusedError):
        await kube.create(root, {**body, "metadata": {"name": "Not A Name", "namespace": ns}})
    await kube.delete(f"{root}/a", uid=made["metadata"]["uid"])


async def test_the_servers_clock_is_known_within_two_seconds(kube: KubeClient, ns: str) -> None:
    await kube.get(f"/api/v1/namespaces/{ns}")
    assert kube.clock_skew_seconds is not None
    assert abs(kube.clock_skew_seconds) < 2
