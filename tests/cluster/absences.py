"""What happens in each scenario of absence: a kind, a version, a subresource or a right that is away for a while."""

from __future__ import annotations

import sys
import time

from harness import Json
from scene import Scene
from shop import FLOOR, ORIGINAL, condition_of, deployment, event, in_seconds, policy

DURATION, HOLD, STEP = 75, 10, 100
AWAY = 45.0
"""Seconds that a kind is away beyond the end of the event: three beats, in which its loan is over."""
FORBIDDEN = 40.0
BETA, STABLE = "v1beta1", "v1"
WAY_DOWN = 150.0


def version(name: str, *, storage: bool = True, served: bool = True, scale: bool = True) -> Json:
    """A version of the scene's kind."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": anything, "status": anything}}
    made: Json = {"name": name, "served": served, "storage": storage, "schema": {"openAPIV3Schema": schema}}
    if scale:
        paths = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
        made["subresources"] = {"status": {}, "scale": paths}
    return made


class Fleets:
    """A kind of the scene's own, with one object in its namespace."""

    def __init__(self, scene: Scene, *versions: Json) -> None:
        self.scene = scene
        self.group = f"{scene.ns}.example"
        self._definition = f"apis/apiextensions.k8s.io/v1/customresourcedefinitions/fleets.{self.group}"
        names = {"plural": "fleets", "singular": "fleet", "kind": "Fleet", "listKind": "FleetList"}
        spec = {"group": self.group, "scope": "Namespaced", "names": names, "versions": list(versions)}
        made = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": spec}
        made["metadata"] = {"name": f"fleets.{self.group}"}
        scene.cluster.send("POST", self._definition.rpartition("/")[0], made)
        scene.until(self._is_made, 30, "the server serves the kind")
        self._permit()

    def serve(self, *versions: Json) -> None:
        """Change what is served; read by nobody but the API server until it answers so."""
        change = {"spec": {"versions": list(versions)}}
        self.scene.cluster.send("PATCH", self._definition, change, form="application/merge-patch+json")
        told = [f"{one['name']}{'' if one['served'] else ' not served'}" for one in versions]
        self.scene.mark(f"the CRD: {', '.join(told)}")

    def level(self, name: str = BETA) -> int | None:
        """Its replicas, read in a version."""
        found: int | None = self.scene.cluster.send("GET", f"{self._objects(name)}/main")["spec"].get("replicas")
        return found

    def remove(self) -> None:
        """Take the kind away."""
        self.scene.cluster.send("DELETE", self._definition)

    def announce(self, *, duration: int) -> None:
        """Let a show that needs the fleet begin in a moment."""
        scene = self.scene
        made = policy(scene.ns, "main", hold=HOLD, step=STEP, guess=5)
        made["spec"]["targets"][0]["ref"] = {"apiVersion": f"{self.group}/{BETA}", "kind": "Fleet", "name": "main"}
        scene.apply(made)
        scene.t0 = in_seconds(30)
        scene.apply(event(scene.ns, "show", t0=scene.t0, duration=duration))

    def _is_made(self) -> bool:
        fleet = {"apiVersion": f"{self.group}/{BETA}", "kind": "Fleet", "metadata": {"name": "main"}}
        try:
            self.scene.cluster.send("POST", self._objects(BETA), {**fleet, "spec": {"replicas": ORIGINAL}})
        except Exception:  # noqa: BLE001  not served yet
            return False
        return True

    def _objects(self, name: str) -> str:
        return f"apis/{self.group}/{name}/namespaces/{self.scene.ns}/fleets"

    def _permit(self) -> None:
        """What an administrator grants beside the chart's rules."""
        verbs = ["get", "list", "watch", "patch"]
        rules = [{"apiGroups": [self.group], "resources": ["fleets", "fleets/scale"], "verbs": verbs}]
        rbac, metadata = "rbac.authorization.k8s.io", {"name": "fleets", "namespace": self.scene.ns}
        create = self.scene.cluster.create
        create({"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": metadata, "rules": rules})
        subjects = [{"kind": "ServiceAccount", "name": "tidegate-one", "namespace": self.scene.ns}]
        binding = {"roleRef": {"apiGroup": rbac, "kind": "Role", "name": "fleets"}, "subjects": subjects}
        create({"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": metadata, **binding})


def _verdict(scene: Scene) -> str:
    condition = condition_of(scene.cluster.get("LiveEvent", scene.ns, "show"), "OnTime")
    return condition[1] if condition else ""


def _took(scene: Scene, since: float, what: str) -> float:
    seconds = time.time() - since
    scene.mark(f"{what}: {seconds:.1f} s")
    sys.stderr.write(f"{scene.name}: {what}: {seconds:.1f} s\n")
    return seconds


def version_no_longer_served(scene: Scene) -> None:
    """The one version of a target's kind ends in mid-loan, for longer than the loan; then another one is served."""
    fleets = Fleets(scene, version(BETA))
    try:
        scene.leading(scene.operator())
        fleets.announce(duration=DURATION)
        scene.until(lambda: fleets.level() == FLOOR, 60, f"the fleet is at {FLOOR}")
        fleets.serve(version(BETA, served=False))
        away_since = scene.notes["away"] = time.time()
        scene.until(lambda: _verdict(scene) == "KindNotServed", 60, "the verdict says that the kind is not served")
        scene.notes["named_in"] = _took(scene, away_since, "the verdict names the kind")
        scene.wait_until(scene.t0 + DURATION + HOLD + AWAY, "the loan is over, and the kind is away")
        scene.notes["loans_while_away"] = scene.loans()
        back = scene.notes["back"] = time.time()
        fleets.serve(version(BETA, served=False), version(STABLE, storage=False))
        scene.until(lambda: _is_returned(scene, fleets), WAY_DOWN, "the fleet is returned, in the other version")
        scene.notes["returned_in"] = _took(scene, back, "returned in the other version")
    finally:
        fleets.remove()


def _is_returned(scene: Scene, fleets: Fleets) -> bool:
    try:
        return fleets.level(STABLE) == ORIGINAL and not scene.loans()
    except Exception:  # noqa: BLE001  not served yet
        return False


def kind_that_gains_scale(scene: Scene) -> None:
    """A target's kind has no ``/scale`` until the event is on."""
    fleets = Fleets(scene, version(BETA, scale=False))
    try:
        scene.leading(scene.operator())
        fleets.announce(duration=900)
        scene.until(lambda: _verdict(scene) == "NotScalable", 60, "the verdict says that it cannot be scaled")
        gained = time.time()
        fleets.serve(version(BETA))
        scene.until(lambda: fleets.level() == FLOOR, 120, f"the fleet is at {FLOOR}")
        scene.notes["found_in"] = _took(scene, gained, "/scale is found and written")
    finally:
        fleets.remove()


def target_that_may_not_be_read(scene: Scene) -> None:
    """The right to read Deployments is taken for a while in mid-loan, and the event ends meanwhile."""
    scene.apply(deployment(scene.ns, "web", start=1))
    scene.leading(scene.operator())
    scene.apply(policy(scene.ns, "web", hold=HOLD, step=STEP, guess=5))
    scene.t0 = in_seconds(30)
    scene.apply(event(scene.ns, "show", t0=scene.t0, duration=DURATION))
    scene.until(lambda: scene.replicas().last == FLOOR, 60, f"web is at {FLOOR}")
    role = f"apis/rbac.authorization.k8s.io/v1/namespaces/{scene.ns}/roles/tidegate-one"
    rules = scene.cluster.send("GET", role)["rules"]
    fewer = [one for one in rules if not {"deployments", "deployments/scale"} & set(one.get("resources", ()))]
    _permit(scene, role, fewer, "Deployments may not be read")
    taken = scene.notes["taken"] = time.time()
    scene.until(lambda: _verdict(scene) == "Forbidden", 60, "the verdict says Forbidden")
    scene.notes["named_in"] = _took(scene, taken, "the verdict says Forbidden")
    scene.notes["shown"] = scene.cluster.get("ScalingPolicy", scene.ns, "shop")["status"]["targets"][0]
    time.sleep(FORBIDDEN)
    scene.notes["loans_meanwhile"] = scene.loans()
    _permit(scene, role, rules, "Deployments may be read")
    given = scene.notes["given"] = time.time()
    scene.until(lambda: scene.replicas().last == ORIGINAL and not scene.loans(), WAY_DOWN, "web is returned")
    scene.notes["returned_in"] = _took(scene, given, "returned")


def _permit(scene: Scene, role: str, rules: list[Json], what: str) -> None:
    scene.cluster.send("PATCH", role, {"rules": rules}, form="application/merge-patch+json")
    scene.mark(what)
