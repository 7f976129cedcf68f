"""Ways in which nobody acts, and what ``kubectl get liveevents`` says of them a minute after each began.

The show is two minutes and a half ahead, needs 20 units of which 2 are there, and its step is due a minute before it.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from harness import ApiError, Json
from scenarios import _tidegate
from scene import Scene
from shop import FLOOR, ORIGINAL, deployment, event, hpa, in_seconds, policy

AHEAD = 150.0
LATER = 60.0
"""Seconds after which a person looks."""


def _look(scene: Scene) -> None:
    time.sleep(LATER)
    _shown_now(scene)


def _shown_now(scene: Scene) -> None:
    """What is shown: the columns by their headings, and the event."""
    shown = scene.cluster.run("kubectl", "get", "liveevents", "-n", scene.ns).stdout
    scene.mark(shown)
    heading, line = shown.splitlines()
    starts = [heading.index(word) for word in heading.split()]
    cells = [line[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
    scene.notes["shown"] = dict(zip(heading.split(), cells, strict=True))
    scene.notes["event"] = scene.cluster.get("LiveEvent", scene.ns, "show")
    found = scene.notes["event"].get("status", {}).get("conditions", [])
    said = next((one["message"] for one in found if one["type"] == "OnTime"), "")
    print(f"{scene.name}, a minute later: {' '.join(line.split())}; {said}")  # noqa: T201 - what is said is the point


def _announced(scene: Scene, made: Json, ahead: float = AHEAD) -> None:
    scene.apply(made)
    scene.t0 = in_seconds(ahead)
    scene.apply(event(scene.ns, "show", t0=scene.t0, policy=made["metadata"]["name"]))
    scene.mark("announced")


def observed(scene: Scene) -> None:
    """The policy only observes, as it does unless it is told otherwise."""
    scene.workload()
    scene.leading(scene.operator())
    made = policy(scene.ns, "web")
    del made["spec"]["mode"]
    _announced(scene, made)
    _look(scene)


def paused(scene: Scene) -> None:
    """On-call has paused it for an hour."""
    scene.workload()
    scene.leading(scene.operator())
    until = datetime.fromtimestamp(in_seconds(3600), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    scene.apply(
        {
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "Override",
            "metadata": {"name": "freeze", "namespace": scene.ns},
            "spec": {
                "policyRef": {"name": "shop"},
                "action": "Pause",
                "until": until,
                "author": "mei",
                "reason": "database migration",
            },
        }
    )
    _announced(scene, policy(scene.ns, "web"))
    _look(scene)


def stopped(scene: Scene) -> None:
    """The durable stop is set."""
    scene.workload()
    scene.leading(scene.operator())
    scene.notes["stop"] = _tidegate(scene, "release", "--all", "--namespace", scene.ns)
    _announced(scene, policy(scene.ns, "web"))
    _look(scene)


def outranked(scene: Scene) -> None:
    """An older policy drives the same workload, and has no event."""
    scene.workload()
    scene.leading(scene.operator())
    scene.apply(policy(scene.ns, "web", name="elder"))
    time.sleep(2)  # creation times are whole seconds
    _announced(scene, policy(scene.ns, "web"))
    _look(scene)


def unheard(scene: Scene) -> None:
    """The operator's account loses the right to list overrides, and then an event needs a level at once."""
    scene.workload()
    scene.leading(scene.operator())
    made = policy(scene.ns, "web")
    scene.apply(made)
    scene.until(lambda: scene.cluster.get("ScalingPolicy", scene.ns, "shop").get("status"), 30, "the policy is known")
    role = scene.cluster.send("GET", _role(scene))
    _grant(scene, [rule for rule in role["rules"] if "overrides" not in rule["resources"]] + _others(role))
    scene.mark("overrides may not be listed")
    time.sleep(16.0)  # it is asked every ten seconds whether they can be, and writes go on for five
    _announced(scene, made, 40.0)
    scene.until(lambda: _reason(scene) == "NotHeard", 45, "NotHeard is said")
    _shown_now(scene)
    scene.notes["written"] = scene.floor().values != [ORIGINAL]
    _grant(scene, role["rules"])
    scene.until_floor(FLOOR, 45)
    scene.until(lambda: _reason(scene) != "NotHeard", 30, "it is well again")


def closed(scene: Scene) -> None:
    """The operator is of two namespaces. Whoever owns the other deletes it in mid-event, and makes it again later."""
    other = scene.cluster.namespace("gone")
    try:
        _closed(scene, other)
    finally:
        scene.cluster.drop_namespace(other)


def _closed(scene: Scene, other: str) -> None:
    scene.workload()
    operator = scene.operator(also=(other,))
    _shop_in(scene, other, 40.0)
    scene.leading(operator)
    scene.until(lambda: _floor_in(scene, other) == FLOOR, 60, "the other namespace is served")
    scene.cluster.drop_namespace(other)
    scene.until(lambda: not _is_there(scene, other), 90, "it is gone")
    scene.mark("the other namespace is gone")
    operator.kill()
    scene.leading(operator)
    _announced(scene, policy(scene.ns, "web"), 60.0)
    scene.until_floor(FLOOR, 45)
    scene.notes["in time"] = time.time() <= scene.t0
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}}
    scene.cluster.send("POST", "api/v1/namespaces", made)
    _shop_in(scene, other, 60.0)
    scene.until(lambda: _floor_in(scene, other) == FLOOR, 60, "it is served as soon as it is there again")
    scene.mark("and served again")
    scene.notes["lives"] = operator.lives
    scene.notes["errors"] = [
        line for line in operator.log.read_text(errors="replace").splitlines() if "Traceback" in line
    ]


def _shop_in(scene: Scene, namespace: str, ahead: float) -> None:
    scene.cluster.grant_in(namespace, scene.ns, "tidegate-one")
    scene.apply(deployment(namespace, "web", replicas=None))
    scene.apply(hpa(namespace, "web"))
    scene.apply(policy(namespace, "web"))
    scene.apply(event(namespace, "show", t0=in_seconds(ahead)))


def _is_there(scene: Scene, namespace: str) -> bool:
    try:
        scene.cluster.send("GET", f"api/v1/namespaces/{namespace}")
    except ApiError as error:
        if error.status == 404:
            return False
        raise
    return True


def _floor_in(scene: Scene, namespace: str) -> int:
    return int(scene.cluster.get("HorizontalPodAutoscaler", namespace, "web")["spec"]["minReplicas"])


def _others(role: Json) -> list[Json]:
    """What the rules about overrides grant beside them."""
    about = [rule for rule in role["rules"] if "overrides" in rule["resources"]]
    rest = [{**rule, "resources": [one for one in rule["resources"] if one != "overrides"]} for rule in about]
    return [rule for rule in rest if rule["resources"]]


def _role(scene: Scene) -> str:
    return f"apis/rbac.authorization.k8s.io/v1/namespaces/{scene.ns}/roles/tidegate-one"


def _grant(scene: Scene, rules: list[Json]) -> None:
    scene.cluster.send("PATCH", _role(scene), {"rules": rules}, form="application/merge-patch+json")


def _reason(scene: Scene) -> str:
    found = scene.cluster.get("LiveEvent", scene.ns, "show").get("status", {}).get("conditions", [])
    return next((str(one["reason"]) for one in found if one["type"] == "OnTime"), "")


def nobody_leads(scene: Scene) -> None:
    """Somebody else keeps the Lease: the operator runs, and does not lead."""
    scene.apply(deployment(scene.ns, "web", replicas=None))
    scene.apply(hpa(scene.ns, "web"))
    operator = scene.operator()
    scene.leading(operator)
    _announced(scene, policy(scene.ns, "web"))
    scene.until(
        lambda: scene.cluster.get("LiveEvent", scene.ns, "show").get("status", {}).get("lookedAt"), 30, "looked at once"
    )
    scene.notes["from"] = time.time()
    end = time.time() + LATER
    while time.time() < end:
        _hold_the_lease(scene)
        time.sleep(2)
    scene.notes["alive"] = operator.alive
    scene.notes["leader"] = scene.leader()
    _shown_now(scene)


def _hold_the_lease(scene: Scene) -> None:
    lease = scene.cluster.get("Lease", scene.ns, "tidegate")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    lease["spec"] |= {"holderIdentity": "elsewhere", "renewTime": now}
    try:
        scene.cluster.send("PUT", f"apis/coordination.k8s.io/v1/namespaces/{scene.ns}/leases/tidegate", lease)
    except ApiError as error:
        if error.status != 409:  # it was renewed in between: taken at the next turn
            raise


def killed(scene: Scene) -> None:
    """The operator is killed once the event was looked at, before its step is due."""
    scene.workload()
    operator = scene.operator()
    scene.leading(operator)
    _announced(scene, policy(scene.ns, "web"))
    scene.until(
        lambda: scene.cluster.get("LiveEvent", scene.ns, "show").get("status", {}).get("lookedAt"), 30, "looked at once"
    )
    operator.kill()
    scene.notes["from"] = time.time()
    _look(scene)
