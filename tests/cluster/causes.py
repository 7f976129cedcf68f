"""What stands in the way of an event, produced for real: one target, policy and event for each cause.

The fake kubelets pull no images, so that one state is written by the scenario in the kubelet's place; all else is done
by the real controllers, the real scheduler and the real quota admission.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from harness import Json
from scene import Scene
from shop import FLOOR, HPA_SYNC_SECONDS, ORIGINAL, START_SECONDS, deployment, event, hpa, in_seconds, policy

from tidegate.api.walltime import from_rfc3339
from tidegate.planning.evidence import SCHEDULING_GRACE

LOW_MAXIMUM = 8
START_GUESS = START_SECONDS + HPA_SYNC_SECONDS + 5.0
"""What ``shop.policy`` says of the start."""
SECOND_TOOL = "argocd"
QUOTA = "team"
CORES = 6
IMAGE = "registry.example/shop:1"


class Named(NamedTuple):
    """What a LiveEvent says of its verdict."""

    status: str
    reason: str
    blocked_by: str | None
    message: str


def named(show: Json) -> Named | None:
    """Of a LiveEvent."""
    status = show.get("status", {})
    for one in status.get("conditions", []):
        if one["type"] == "OnTime":
            return Named(one["status"], one["reason"], status.get("blockedBy"), one["message"])
    return None


def seven_causes(scene: Scene) -> None:
    """Seven workloads, each with something else wrong, and one that is well; T-0 is two minutes off.

    ``causes`` of the notes: the first instant at which each may be called a cause.
    """
    causes: dict[str, float] = {}
    scene.notes["causes"] = causes
    scene.workload("well")
    scene.workload("small", maximum=LOW_MAXIMUM)
    for name in ("gone", "asleep", "contested"):
        scene.workload(name)
    _workload(scene, "large", requests={"cpu": "100", "memory": "1Gi"})
    _workload(scene, "silent", never_ready=True)
    _workload(scene, "unpulled", never_ready=True)
    scene.leading(scene.operator())
    for name in ("well", "small", "gone", "asleep", "contested"):
        scene.until(lambda name=name: (scene.ready(name).last or 0) >= ORIGINAL, 60, f"{name} is ready")
    scene.t0 = in_seconds(120)
    for name in ("well", "small", "gone", "asleep", "contested", "large", "silent", "unpulled"):
        scene.apply(policy(scene.ns, name, name=name))
        scene.apply(event(scene.ns, name, t0=scene.t0, duration=900, policy=name))
    announced = time.time()
    scene.mark("announced")
    causes["small"] = announced
    causes["large"] = max(announced, _decided(scene, "large") + SCHEDULING_GRACE)
    causes["silent"] = max(announced, _decided(scene, "silent") + START_GUESS)
    _fail_to_pull(scene, "unpulled")
    causes["unpulled"] = max(time.time(), _decided(scene, "unpulled") + START_GUESS)
    for name in ("gone", "asleep"):
        scene.until(lambda name=name: _named(scene, name), 40, f"{name} has a verdict")
    scene.cluster.delete("Deployment", scene.ns, "gone")
    causes["gone"] = time.time()
    scene.cluster.run("kubectl", "scale", "deployment", "asleep", "--replicas=0", "-n", scene.ns)
    causes["asleep"] = time.time()
    scene.mark("one deleted, one scaled to 0")
    scene.until_floor(FLOOR, 120, "contested")
    causes["contested"] = _contest(scene, "contested")
    _until_named(scene, list(causes), 90)


def quotas(scene: Scene) -> None:
    """A quota of six cores with three in use, fifty minutes ahead; then one that no pod can meet, minutes ahead."""
    causes: dict[str, float] = {}
    scene.notes["causes"] = causes
    scene.apply(_quota(scene.ns, QUOTA, {"requests.cpu": str(CORES)}))
    _workload(scene, "web", requests={"cpu": "1"})
    scene.leading(scene.operator())
    scene.until(lambda: (scene.ready("web").last or 0) >= ORIGINAL, 60, "web is ready")
    scene.apply(policy(scene.ns, "web", name="web"))
    scene.t0 = in_seconds(3000)
    scene.apply(event(scene.ns, "web", t0=scene.t0, duration=900, policy="web"))
    causes["web"] = time.time()
    scene.mark("announced fifty minutes ahead")
    _until_named(scene, ["web"], 90)
    scene.notes["level then"] = scene.floor("web").last

    scene.cluster.send("PATCH", f"{_hpas(scene)}/web", {"spec": {"minReplicas": CORES + 2}}, form=MERGE)
    scene.until(lambda: _refused(scene, "web"), 60, "the quota refuses a pod")
    scene.notes["refused"] = _refused(scene, "web")
    scene.cluster.delete("ResourceQuota", scene.ns, QUOTA)
    scene.apply(_quota(scene.ns, "limited", {"limits.cpu": "1k"}))
    scene.until(lambda: scene.cluster.find("ResourceQuota", scene.ns, QUOTA) is None, 10, "the first quota is gone")
    _workload(scene, "refused", requests={"cpu": "1"})
    scene.until(lambda: _refused(scene, "refused"), 60, "the second quota refuses a pod")
    scene.apply(policy(scene.ns, "refused", name="refused"))
    scene.apply(event(scene.ns, "refused", t0=scene.t0, duration=900, policy="refused"))
    causes["refused"] = time.time()
    scene.mark("a quota on limits, and a workload that states none")
    _until_named(scene, ["refused"], 90)


def machines_come_late(scene: Scene) -> None:
    """Twenty pods that nobody may schedule until T-5 s; machines should have been there long before."""
    scene.apply(_gated(scene, "web"))
    scene.apply(hpa(scene.ns, "web"))
    scene.leading(scene.operator())
    scene.until(lambda: _open_gates(scene, "web") and (scene.ready("web").last or 0) >= ORIGINAL, 60, "web is ready")
    scene.t0 = in_seconds(150)
    made = policy(scene.ns, "web", guess=LATE_START)
    made["spec"]["targets"][0]["leadTime"]["machineSeconds"] = MACHINES
    scene.apply(made)
    scene.apply(event(scene.ns, "web", t0=scene.t0, duration=120))
    scene.until_floor(FLOOR, 120)
    scene.wait_until(scene.t0 - 5, "machines are there")
    _open_gates(scene, "web")
    scene.notes["opened"] = time.time()
    scene.until(lambda: _verdict(scene, "web") == "Ready", 60, "all is ready")


LATE_START = 30
"""Seconds that the policy reckons for the start of a pod on its machine; it takes ``PODS_START``."""
PODS_START = 26
MACHINES = 30
GATE = "tidegate.test/machine"


def _gated(scene: Scene, name: str) -> Json:
    """A Deployment whose pods wait for a gate to be opened."""
    made = deployment(scene.ns, name, replicas=None, start=PODS_START)
    made["spec"]["template"]["spec"]["schedulingGates"] = [{"name": GATE}]
    return made


def _open_gates(scene: Scene, app: str) -> bool:
    """Let the scheduler have every pod that there is."""
    for pod in scene.cluster.list("Pod", scene.ns)["items"]:
        if pod["metadata"]["labels"].get("app") == app and pod["spec"].get("schedulingGates"):
            path = f"api/v1/namespaces/{scene.ns}/pods/{pod['metadata']['name']}"
            scene.cluster.send("PATCH", path, {"spec": {"schedulingGates": None}}, form=MERGE)
    return True


MERGE = "application/merge-patch+json"


def _until_named(scene: Scene, names: list[str], seconds: float) -> None:
    """Wait until every event has said something that is not good; give up in silence: the tests judge."""
    deadline = time.monotonic() + seconds
    waiting = set(names)
    while waiting and time.monotonic() < deadline:
        waiting = {name for name in waiting if (said := _named(scene, name)) is None or said.status != "False"}
        time.sleep(0.5)


def _named(scene: Scene, name: str) -> Named | None:
    return scene.of("LiveEvent", name, named).last


def _verdict(scene: Scene, name: str) -> str | None:
    said = _named(scene, name)
    return said.reason if said is not None else None


def _workload(scene: Scene, name: str, *, requests: dict[str, str] | None = None, never_ready: bool = False) -> None:
    """A Deployment whose pods ask for something, or never become ready, with an HPA in front."""
    made = deployment(scene.ns, name, replicas=None, start=2)
    pod = made["spec"]["template"]
    if requests:
        pod["spec"]["containers"][0]["resources"] = {"requests": requests}
    if never_ready:
        pod["metadata"]["annotations"]["tidegate.test/never-ready"] = "yes"
    scene.apply(made)
    scene.apply(hpa(scene.ns, name))


def _quota(namespace: str, name: str, hard: dict[str, str]) -> Json:
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}


def _pods(scene: Scene, app: str) -> list[Json]:
    listed = scene.cluster.list("Pod", scene.ns)["items"]
    return [pod for pod in listed if pod["metadata"]["labels"].get("app") == app and pod["spec"].get("nodeName")]


def _decided(scene: Scene, app: str) -> float:
    """Since when the scheduler has said yes or no to a pod."""

    def asked() -> list[str]:
        return [
            one["lastTransitionTime"]
            for pod in scene.cluster.list("Pod", scene.ns)["items"]
            for one in pod.get("status", {}).get("conditions", [])
            if pod["metadata"]["labels"].get("app") == app and one["type"] == "PodScheduled"
        ]

    return from_rfc3339(min(scene.until(asked, 60, f"the scheduler has seen a pod of {app}")))


def _fail_to_pull(scene: Scene, app: str) -> None:
    """Write what a kubelet writes whose registry has no such image."""
    scene.until(lambda: len(_pods(scene, app)) >= ORIGINAL, 60, f"the pods of {app} are on machines")
    waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{IMAGE}": not found'}
    container = {"name": "main", "image": IMAGE, "imageID": "", "ready": False, "restartCount": 0}
    status = {"containerStatuses": [{**container, "state": {"waiting": waiting}}]}
    for pod in _pods(scene, app):
        path = f"api/v1/namespaces/{scene.ns}/pods/{pod['metadata']['name']}/status"
        scene.cluster.send("PATCH", path, {"status": status}, form=MERGE)


def _hpas(scene: Scene) -> str:
    return f"apis/autoscaling/v2/namespaces/{scene.ns}/horizontalpodautoscalers"


def _contest(scene: Scene, name: str) -> float:
    """A second tool with self-healing: it forces its own minimum whenever it differs. Returns when it did so last."""
    for _ in range(12):
        at = time.time()
        scene.cluster.apply(hpa(scene.ns, name), manager=SECOND_TOOL, force="true")
        end = time.monotonic() + 5.0
        while time.monotonic() < end and scene.floor(name).last != FLOOR:
            time.sleep(0.1)
        if scene.floor(name).last != FLOOR:
            return at  # it has won
    raise AssertionError(f"{name}: the floor was asserted twelve times")


def _refused(scene: Scene, name: str) -> list[Json]:
    """The conditions of a Deployment that says its pods are refused; none before it does."""
    conditions: list[Json] = scene.cluster.get("Deployment", scene.ns, name).get("status", {}).get("conditions", [])
    return conditions if any(c["type"] == "ReplicaFailure" for c in conditions) else []
