"""What happens while something is lent: what stands in front of a workload comes, goes, or is another's; an old copy of
an object, or one that leaves its level out, is applied. As ``scenarios``: here it is done, the tests judge it.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from harness import Json
from recorder import Series
from scene import Scene
from shop import FLOOR, ORIGINAL, deployment, event, hpa, in_seconds, minimum_of, policy, replicas_of

HOLD, STEP, DURATION = 20, 60, 60
WAY_DOWN = 300.0
"""Seconds that a way down may take, an HPA's own stabilization included."""
HPA = "HorizontalPodAutoscaler"
COMES, STAYS, GOES, AWAY = "comes", "stays", "goes", "away"
"""Workloads: an HPA comes in front of it and goes again, comes and stays, goes, goes while the operator is away."""
MERGED, APPLIED = "merged", "applied"
BARE, LIFTED, AGAIN = "bare", "lifted", "again"


def front(ns: str, workload: str, name: str, **given: Any) -> Json:
    """An HPA of another name than its workload."""
    made = hpa(ns, workload, **given)
    made["metadata"]["name"] = name
    return made


def announced(scene: Scene, *workloads: str, bare: tuple[str, ...] = ()) -> None:
    """Workloads at ``ORIGINAL``, those that are not bare with an HPA of their name; a show two minutes ahead, for which
    all of them stand at ``FLOOR``.
    """
    for name in workloads:
        scene.apply(deployment(scene.ns, name, replicas=ORIGINAL))
    for name in set(workloads) - set(bare):
        scene.apply(hpa(scene.ns, name))
    scene.leading(scene.operator())
    scene.apply(policy(scene.ns, *workloads, hold=HOLD, step=STEP))
    scene.t0 = in_seconds(130)
    scene.apply(event(scene.ns, "show", t0=scene.t0, duration=DURATION))
    for name in workloads:
        scene.until(lambda name=name: scene.replicas(name).last == FLOOR, 140, f"{name} is asked for {FLOOR}")
    scene.wait_until(scene.t0 + 5, "live")


def loan_of(scene: Scene, kind: str, name: str, field: str = "original") -> Series[Any]:
    """A field of the Loans' specs of one object over time, None once it is gone."""
    for loan in scene.recorder.names("Loan", scene.ns):
        first = scene.recorder.versions("Loan", scene.ns, loan)[0].obj
        target = first["spec"]["target"] if first is not None else {}
        if (target.get("kind"), target.get("name")) == (kind, name):
            return scene.recorder.series("Loan", scene.ns, loan, lambda obj: obj["spec"].get(field))
    return Series(())


def level_now(scene: Scene, kind: str, name: str) -> int:
    """What an object's field holds, by the server's own word."""
    found = scene.cluster.get(kind, scene.ns, name)
    return minimum_of(found) if kind == HPA else replicas_of(found)


def until_all_is_returned(scene: Scene, **levels: int) -> None:
    """Wait until no Loan is left, and these workloads are asked for so much."""
    scene.until(lambda: not scene.loans(), DURATION + HOLD + WAY_DOWN, "no Loan is left")
    scene.mark("no Loan is left")
    for name, level in levels.items():
        come = partial(lambda name, level: level_now(scene, "Deployment", name) == level, name, level)
        scene.until(come, WAY_DOWN, f"{name} is asked for {level} again")
    scene.notes["took"] = time.time() - scene.t0
    scene.mark("returned")


def autoscalers_come_and_go(scene: Scene) -> None:
    """HPAs in front of borrowed workloads: one comes and goes, one stays, one goes, one goes while nobody looks."""
    announced(scene, COMES, STAYS, GOES, AWAY, bare=(COMES, STAYS))
    scene.apply(front(scene.ns, COMES, "passing"))
    scene.apply(front(scene.ns, STAYS, "staying"))
    scene.cluster.delete(HPA, scene.ns, GOES)
    scene.mark("two HPAs come, one goes")
    for name in ("passing", "staying"):
        scene.until(lambda name=name: level_now(scene, HPA, name) == FLOOR, 20, f"{name} is lifted")
    scene.mark("both are lifted")
    scene.wait_until(scene.t0 + 30, "SIGKILL; two HPAs go")
    operator = scene.operators[0]
    operator.kill()
    scene.cluster.delete(HPA, scene.ns, "passing")
    scene.cluster.delete(HPA, scene.ns, AWAY)
    time.sleep(5)
    scene.leading(operator)
    until_all_is_returned(scene, **{COMES: ORIGINAL, GOES: ORIGINAL, AWAY: ORIGINAL, STAYS: ORIGINAL})


def a_foreign_hpa_in_front(scene: Scene) -> None:
    """An HPA of another controller, as KEDA makes them, comes in front of a borrowed workload, and stays."""
    announced(scene, "web", bare=("web",))
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-scaler", "namespace": scene.ns}}
    uid = scene.cluster.create(owner)["metadata"]["uid"]
    foreign = front(scene.ns, "web", "keda-hpa-web")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "web-scaler", "uid": uid, "controller": True}
    foreign["metadata"]["ownerReferences"] = [reference]
    scene.apply(foreign)
    scene.notes["came_at"] = time.time()
    scene.mark("a foreign HPA comes")
    until_all_is_returned(scene, web=ORIGINAL)


def stale_copies(scene: Scene) -> None:
    """Copies that were read while the level was lifted: applied on the way down to a Deployment and to an HPA, and an
    HPA is made again from one.
    """
    announced(scene, BARE, LIFTED, AGAIN, bare=(BARE,))
    copy = scene.cluster.get(HPA, scene.ns, AGAIN)
    scene.cluster.delete(HPA, scene.ns, AGAIN)
    scene.cluster.create({**copy, "metadata": {"name": AGAIN, "namespace": scene.ns}})
    scene.mark("an HPA is made again of a copy")
    for kind, name in (("Deployment", BARE), (HPA, LIFTED)):
        way = partial(lambda kind, name: ORIGINAL < level_now(scene, kind, name) < FLOOR, kind, name)
        scene.until(way, DURATION + HOLD + WAY_DOWN, f"{name} is on its way down")
        field = "replicas" if kind == "Deployment" else "minReplicas"
        plain = deployment(scene.ns, name) if kind == "Deployment" else hpa(scene.ns, name)
        plain["spec"][field] = FLOOR
        scene.cluster.apply(plain, manager="argocd", force="true")
        scene.notes[name] = time.time()
        scene.mark(f"a copy of {name} is applied")
    until_all_is_returned(scene, **{BARE: ORIGINAL})


def replicas_left_out(scene: Scene) -> None:
    """``replicas: null`` by a merge patch, and by a forced server-side apply."""
    announced(scene, MERGED, APPLIED, bare=(MERGED, APPLIED))
    path = f"apis/apps/v1/namespaces/{scene.ns}/deployments"
    null = {"spec": {"replicas": None}}
    scene.cluster.send("PATCH", f"{path}/{MERGED}", null, form="application/merge-patch+json")
    left_out = deployment(scene.ns, APPLIED)
    left_out["spec"]["replicas"] = None
    scene.notes["answered"] = replicas_of(scene.cluster.apply(left_out, manager="argocd", force="true"))
    scene.notes["left_out_at"] = time.time()
    scene.mark("replicas: null is applied")
    until_all_is_returned(scene, **{MERGED: ORIGINAL, APPLIED: ORIGINAL})


def an_hpa_without_a_metric(scene: Scene) -> None:
    """The HPA's metric does not exist: it scales up to its floor, and never down."""
    scene.apply(deployment(scene.ns, "web", replicas=ORIGINAL))
    blind = hpa(scene.ns, "web")
    blind["spec"]["metrics"][0]["external"]["metric"]["name"] = "tidegate_test_nobody_serves_this"
    scene.apply(blind)
    scene.leading(scene.operator())
    scene.apply(policy(scene.ns, "web", hold=HOLD, step=STEP))
    scene.t0 = in_seconds(130)
    scene.apply(event(scene.ns, "show", t0=scene.t0, duration=DURATION))
    scene.until_floor(FLOOR, 140)
    scene.until_returned(ORIGINAL, 140 + DURATION + HOLD + WAY_DOWN)
    time.sleep(20)
    happened = scene.cluster.list("Event", scene.ns)["items"]
    scene.notes["said"] = [one["message"] for one in happened if one["involvedObject"]["kind"] == "ScalingPolicy"]
    scene.notes["took"] = time.time() - scene.t0
