"""Writes that the API server refuses, and units that come at their own pace: one namespace each."""

from __future__ import annotations

import time

from causes import named
from harness import Json
from scene import Scene
from shop import FLOOR, ORIGINAL, deployment, event, hpa, in_seconds, policy

from tidegate.shell.clock import ScheduledClock

SENTENCE = "no floors in this namespace: ask the platform team"
UNITS, EACH = 6, 12
"""Of a StatefulSet, of which two are there: how many are needed, and the seconds that each takes to start."""
SPEED, TEN_MINUTES = 5.0, 600.0
ADMISSION = "admissionregistration.k8s.io/v1"


def floor_refused(scene: Scene) -> None:
    """An admission policy lets nobody change an HPA."""
    _refused(scene, lambda: _deny(scene, "autoscaling", "horizontalpodautoscalers"), lambda: _allow(scene))


def scale_refused(scene: Scene) -> None:
    """An admission policy lets nobody scale a Deployment that has no HPA."""
    _refused(scene, lambda: _deny(scene, "apps", "deployments/scale"), lambda: _allow(scene), scaler=False)


def loans_full(scene: Scene) -> None:
    """A quota leaves no room for a Loan."""
    quota: Json = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"namespace": scene.ns, "name": "full"}}
    quota["spec"] = {"hard": {"count/loans.tidegate.dev": "0"}}

    def deny() -> None:
        scene.apply(quota)
        used = lambda: "used" in scene.cluster.get("ResourceQuota", scene.ns, "full").get("status", {})  # noqa: E731
        scene.until(used, 60, "the quota is counted")

    _refused(scene, deny, lambda: scene.cluster.delete("ResourceQuota", scene.ns, "full"))


def refused_for_ten_minutes(scene: Scene) -> None:
    """As ``floor_refused``, of an operator whose clock runs five times as fast: ten of its minutes are two of ours."""
    path = scene.folder / f"{scene.ns}-clock.json"
    clock = ScheduledClock(time.time(), float(in_seconds(0)), ((float(in_seconds(0)), SPEED),))
    clock.to_file(path)
    _refused(
        scene,
        lambda: _deny(scene, "autoscaling", "horizontalpodautoscalers"),
        lambda: _allow(scene),
        clock=clock,
        lasting=TEN_MINUTES / SPEED,
    )


def unable(scene: Scene) -> None:
    """The floor is written, and an HPA that may not scale its workload leaves it where it is."""
    scene.workload()
    scene.leading(scene.operator())
    scene.until(lambda: (scene.ready().last or 0) >= ORIGINAL, 60, "web is ready")
    _deny(scene, "apps", "deployments/scale")
    _announced(scene, minimum=1, floor=FLOOR, ahead=40)
    scene.until_floor(FLOOR, 60)
    scene.notes["since"] = time.time()
    scene.until(lambda: _reason(scene) == "ScalerUnable", 90, f"ScalerUnable is said: {_said(scene)}")
    _allow(scene)
    scene.until(lambda: _reason(scene) in ("Ready", "Late", "OnPlan"), 120, "it is well again")


def limited(scene: Scene) -> None:
    """An HPA that may add one pod a minute, and wants many by its metrics; then its floor is lifted, too late."""
    scene.apply(deployment(scene.ns, "web", replicas=None))
    made = hpa(scene.ns, "web")
    made["spec"]["metrics"][0]["external"]["target"]["averageValue"] = "10m"
    made["spec"]["behavior"] = {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}
    scene.apply(made)
    scene.leading(scene.operator())
    scene.until(lambda: (scene.ready().last or 0) >= ORIGINAL, 60, "web is ready")
    says = lambda: _condition(scene, "ScalingLimited") == ("True", "ScaleUpLimit")  # noqa: E731
    scene.until(says, 60, "the HPA may not add what it wants")
    _announced(scene, minimum=1, floor=FLOOR, ahead=20)
    scene.until_floor(FLOOR, 60)
    scene.notes["since"] = time.time()
    scene.until(lambda: (scene.replicas().last or 0) >= FLOOR, 60, "the floor is followed")
    scene.notes["followed"] = time.time()
    scene.until(lambda: _reason(scene) in ("Ready", "OnPlan"), 120, f"it is well: {_said(scene)}")


def ordered(scene: Scene) -> None:
    """Six units from T-0, of two that are there, each made when the one before it is ready; announced too late."""
    made = deployment(scene.ns, "web", replicas=2, start=EACH)
    made["kind"] = "StatefulSet"
    made["spec"]["serviceName"] = "web"
    scene.apply(made)
    scene.leading(scene.operator())
    scene.until(lambda: _ready(scene) >= 2, 90, "two are ready")
    scene.t0 = in_seconds(30)
    made = policy(scene.ns, "web", guess=EACH)
    made["spec"]["targets"][0]["ref"]["kind"] = "StatefulSet"
    scene.apply(made)
    scene.apply(event(scene.ns, "web", t0=scene.t0, duration=600, floor=UNITS))
    scene.until(lambda: scene.cluster.get("StatefulSet", scene.ns, "web")["spec"]["replicas"] == UNITS, 60, "written")
    scene.notes["written"] = time.time()
    scene.until(lambda: _ready(scene) >= UNITS, 240, "all are ready")
    scene.notes["ready"] = time.time()
    scene.until(lambda: _reason(scene) == "Ready", 60, "Ready is said")


# ---- beneath


def _refused(  # type: ignore[no-untyped-def]
    scene: Scene, deny, allow, *, scaler: bool = True, clock: ScheduledClock | None = None, lasting: float = 20.0
) -> None:
    """Eight units by the policy's min, for an event of one: no announced need waits for them. Refused for ``lasting``
    seconds after it was told; ``clock``: the operator's, where it is not the machine's.
    """
    scene.apply(deployment(scene.ns, "web", replicas=None if scaler else ORIGINAL))
    if scaler:
        scene.apply(hpa(scene.ns, "web"))
    scene.leading(scene.operator(**({"CLOCK_SCHEDULE": str(clock.path)} if clock is not None else {})))
    scene.until(lambda: (scene.ready().last or 0) >= ORIGINAL, 90, "web is ready")
    deny()
    scene.mark("writes are refused")
    scene.notes["from"] = time.time()
    now = clock.now() if clock is not None else time.time()
    _announced(scene, minimum=8, floor=1, ahead=now - time.time() + 20)
    scene.until(lambda: _reason(scene) == "WriteRefused", 120, f"WriteRefused is said: {_said(scene)}")
    scene.notes["told"] = time.time()
    time.sleep(lasting)
    scene.notes["to"] = time.time()
    allow()
    scene.notes["allowed"] = time.time()
    scene.until(lambda: scene.level("web").last == 8, 150, "the level is written at the next try")
    scene.notes["written"] = time.time()
    scene.until(lambda: _reason(scene) == "Ready", 150, "Ready is said")


def _announced(scene: Scene, *, minimum: int, floor: int, ahead: float) -> None:
    scene.t0 = in_seconds(ahead)
    made = policy(scene.ns, "web")
    made["spec"]["targets"][0]["min"] = minimum
    scene.apply(made)
    scene.apply(event(scene.ns, "web", t0=scene.t0, duration=3600, floor=floor))


def _deny(scene: Scene, group: str, resource: str) -> None:
    """An admission policy of this namespace, in force."""
    rule = {"apiGroups": [group], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": [resource]}
    validation = {"expression": "false", "message": SENTENCE}
    spec = {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]}, "validations": [validation]}
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": scene.ns}}}
    binding = {"policyName": scene.ns, "validationActions": ["Deny"], "matchResources": here}
    metadata = {"name": scene.ns}
    scene.apply({"apiVersion": ADMISSION, "kind": "ValidatingAdmissionPolicy", "metadata": metadata, "spec": spec})
    scene.apply(
        {"apiVersion": ADMISSION, "kind": "ValidatingAdmissionPolicyBinding", "metadata": metadata, "spec": binding}
    )
    time.sleep(3.0)  # the server takes a new policy up within a second or two


def _allow(scene: Scene) -> None:
    scene.cluster.delete("ValidatingAdmissionPolicyBinding", "", scene.ns)
    scene.cluster.delete("ValidatingAdmissionPolicy", "", scene.ns)


def _ready(scene: Scene) -> int:
    return int(scene.cluster.get("StatefulSet", scene.ns, "web").get("status", {}).get("readyReplicas", 0))


def _condition(scene: Scene, kind: str) -> tuple[str, str]:
    status = scene.cluster.get("HorizontalPodAutoscaler", scene.ns, "web").get("status", {})
    said = (one for one in status.get("conditions", ()) if one["type"] == kind)
    return next(((one["status"], one["reason"]) for one in said), ("", ""))


def _said(scene: Scene) -> object:
    return scene.of("LiveEvent", "web", named).last


def _reason(scene: Scene) -> str | None:
    said = scene.of("LiveEvent", "web", named).last
    return said.reason if said is not None else None
