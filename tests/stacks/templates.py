"""What every pod template of the ground must have, as a walk over registered objects that says what is missing.

A template is found by its shape, a map with ``spec.containers``, wherever it lies in an object: so a kind that nobody
thought of is walked too. CloudNativePG builds the pods of its Pooler from a part of a template: that part is judged by
the fields that it leaves to us.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate_stacks.checks import _known_image
from tidegate_stacks.objects import CONFIG_ANNOTATION
from tidegate_stacks.sizing import memory_bytes

CNPG = "postgresql.cnpg.io"
PRIVATE_PORTS = {"bus", "metrics", "status"}
"""Ports that are never open to the world, by name."""


@dataclass(frozen=True)
class Template:
    """A pod template and where it was found."""

    kind: str
    workload: str
    namespace: Any
    group: str
    body: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.kind} {self.workload}"

    @property
    def labels(self) -> Mapping[str, Any]:
        return self.body.get("metadata", {}).get("labels", {})

    @property
    def spec(self) -> Mapping[str, Any]:
        return self.body["spec"]

    @property
    def ends(self) -> bool:
        """Whether its pods run to their end instead of serving."""
        return self.kind in ("CronJob", "Job")

    @property
    def partial(self) -> bool:
        """Whether another operator fills in the rest of the pods."""
        return self.group == CNPG


def templates(objects: Sequence[Mapping[str, Any]]) -> Iterator[Template]:
    """Every pod template of these objects."""
    for one in objects:
        metadata = one.get("metadata", {})
        for body in _bodies(one):
            group = one["apiVersion"].rpartition("/")[0]
            yield Template(one["kind"], metadata["name"], metadata.get("namespace"), group, body)


def _bodies(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        spec = value.get("spec")
        if isinstance(spec, Mapping) and isinstance(spec.get("containers"), list):
            yield value
        for inner in value.values():
            yield from _bodies(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _bodies(inner)


def lacks(objects: Sequence[Mapping[str, Any]], *, prioritized: bool = True) -> list[str]:
    """What any template of these objects lacks, in words: ``Deployment edge-cn-east: nginx has no liveness probe``.

    ``prioritized``: whether each must bear a PriorityClass; a component that is used alone may have none.
    """
    classes = {one["metadata"]["name"]: one for one in objects if one["kind"] == "PriorityClass"}
    found = []
    for template in templates(objects):
        said = [*_reach(template, objects), *_resources(template)]
        if prioritized or template.spec.get("priorityClassName"):
            said += _priority(template, classes)
        if not template.partial:
            said += [*_restricted(template), *_pod(template), *_containers(template, objects), *_config(template)]
        found += [f"{template}: {one}" for one in said]
    return [*found, *_open_to_the_world(objects)]


def lent(template: Template) -> bool:
    """Whether the pods are work that waits, by the PriorityClass that the batch component gives it."""
    return str(template.spec.get("priorityClassName", "")).endswith("-lent")


def _reach(template: Template, objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """A NetworkPolicy of its namespace selects its pods, by their labels or by those that CloudNativePG adds."""
    labels = dict(template.labels)
    if template.kind == "Pooler":
        labels["cnpg.io/poolerName"] = template.workload
    for one in objects:
        if one["kind"] == "NetworkPolicy" and one["metadata"].get("namespace") == template.namespace:
            spec = one["spec"]
            chosen = spec.get("podSelector", {}).get("matchLabels", {})
            if chosen and chosen.items() <= labels.items() and "Ingress" in spec.get("policyTypes", ()):
                return []
    return ["no NetworkPolicy selects its pods"]


def _priority(template: Template, classes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """It bears a class; where the program makes classes, it is one of them, and those that serve stand above."""
    name = template.spec.get("priorityClassName")
    if not name:
        return ["no priorityClassName"]
    if name not in classes:
        return [] if len(classes) < 2 else [f"priorityClassName {name} is no class that the program makes"]
    if lent(template):
        return []
    below = [one for one in classes if one != name and classes[one]["value"] >= classes[name]["value"]]
    return [f"priority {name} is not above {other}" for other in below]


def _resources(template: Template) -> list[str]:
    found = []
    for container in _all_containers(template):
        asked = container.get("resources", {})
        wanted = [
            ("requests", "cpu"),
            *((k, r) for k in ("requests", "limits") for r in ("memory", "ephemeral-storage")),
        ]
        found += [f"{container['name']} has no {r} in {k}" for k, r in wanted if not asked.get(k, {}).get(r)]
    volumes = [one["emptyDir"] for one in template.spec.get("volumes", ()) if "emptyDir" in one]
    if unbounded := [one for one in volumes if "sizeLimit" not in one]:
        found.append(f"{len(unbounded)} of its emptyDir volumes have no sizeLimit")
    on_disk = [one["sizeLimit"] for one in volumes if one.get("medium") != "Memory" and "sizeLimit" in one]
    limits = [one.get("resources", {}).get("limits", {}).get("ephemeral-storage") for one in _containers_of(template)]
    if all(limits) and sum(map(memory_bytes, on_disk)) > sum(map(memory_bytes, limits)):
        found.append(
            f"its emptyDir volumes of {', '.join(on_disk)} do not fit into ephemeral-storage {', '.join(limits)}"
        )
    return found


def _restricted(template: Template) -> list[str]:
    """The restricted pod security standard, field by field."""
    pod = template.spec.get("securityContext", {})
    found = []
    if pod.get("runAsNonRoot") is not True or not pod.get("runAsUser"):
        found.append("may run as root")
    if "fsGroup" not in pod:
        found.append("no fsGroup: its volumes belong to root")
    if pod.get("seccompProfile") != {"type": "RuntimeDefault"}:
        found.append("no seccompProfile")
    for container in _all_containers(template):
        own, name = container.get("securityContext", {}), container["name"]
        if own.get("allowPrivilegeEscalation") is not False:
            found.append(f"{name} may gain privileges")
        if own.get("capabilities") != {"drop": ["ALL"]}:
            found.append(f"{name} keeps capabilities")
        if own.get("readOnlyRootFilesystem") is not True:
            found.append(f"{name} may write to its image's file system")
    if template.spec.get("automountServiceAccountToken") is not False:
        found.append("gets a token of its service account")
    return found


def _pod(template: Template) -> list[str]:
    """Its name as label, its component, a stated end, an even spread, volumes for all that is mounted."""
    spec, found = template.spec, []
    name, component = (template.labels.get(f"app.kubernetes.io/{key}") for key in ("name", "part-of"))
    if not (name and component and template.labels.get("app.kubernetes.io/managed-by")):
        found.append("its labels do not say what it is, what it is part of and who made it")
    if not spec.get("terminationGracePeriodSeconds"):
        found.append("no terminationGracePeriodSeconds")
    if not template.ends:
        spread = {
            one["topologyKey"]
            for one in spec.get("topologySpreadConstraints", ())
            if one["labelSelector"]["matchLabels"].items() <= template.labels.items() and one["maxSkew"] == 1
        }
        if spread != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
            found.append(f"is spread over {sorted(spread) or 'nothing'}, not over zones and nodes")
    volumes = {one["name"] for one in spec.get("volumes", ())}
    mounts = [mount for container in _all_containers(template) for mount in container.get("volumeMounts", ())]
    found += [
        f"mounts {one['name']}, which is no volume" for one in mounts if one["name"] not in volumes | _claims(template)
    ]
    found += [f"volume {one} is mounted nowhere" for one in sorted(volumes - {one["name"] for one in mounts})]
    found += [f"mounts {one['name']} at no path" for one in mounts if not one.get("mountPath")]
    found += [f"may write to {one['name']}" for one in mounts if one["name"] == "config" and not one.get("readOnly")]
    return found


def _claims(template: Template) -> set[str]:
    """Volumes of a StatefulSet's own, which its template does not hold."""
    return {"data"} if template.kind == "StatefulSet" else set()


def _containers(template: Template, objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """Image, probes and ports of each container."""
    found = []
    for container in _all_containers(template):
        try:
            _known_image(container.get("image"))
        except ValueError:
            found.append(f"{container['name']} has an image without tag or digest: {container.get('image')}")
    if template.ends:
        return found
    for container in _containers_of(template):
        # Work of somebody else's: only its owner knows what says that it is stuck. The one exception.
        if "livenessProbe" not in container and not lent(template):
            found.append(f"{container['name']} has no liveness probe")
    named = {port["name"] for container in _containers_of(template) for port in container.get("ports", ())}
    served = _served(template, objects)
    if served and not any("readinessProbe" in container for container in _containers_of(template)):
        found.append("a Service sends to it, and nothing says when it is ready")
    return [*found, *(f"a Service sends to port {port}, which no container names" for port in served - named)]


def _served(template: Template, objects: Sequence[Mapping[str, Any]]) -> set[Any]:
    """Ports that Services send to its pods."""
    ports: set[Any] = set()
    for one in objects:
        if one["kind"] == "Service" and one["metadata"].get("namespace") == template.namespace:
            chosen = one["spec"].get("selector", {})
            if chosen and chosen.items() <= template.labels.items():
                ports |= {port["name"] for port in one["spec"]["ports"]}
    return ports


def _config(template: Template) -> list[str]:
    """Files that are read once at the start: another text replaces the pods."""
    mounts = any("configMap" in one for one in template.spec.get("volumes", ()))
    noted = template.body.get("metadata", {}).get("annotations", {}).get(CONFIG_ANNOTATION)
    return ["mounts a ConfigMap and bears no checksum of it"] if mounts and not noted else []


def _open_to_the_world(objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ports for metrics, status and the members' own talk that a rule without peers opens to anybody."""
    private = {
        (one.namespace, port["containerPort"])
        for one in templates(objects)
        for container in one.spec["containers"]
        for port in container.get("ports", ())
        if port["name"] in PRIVATE_PORTS
    }
    return [
        f"NetworkPolicy {one['metadata']['name']}: port {port['port']} is open to anybody"
        for one in objects
        if one["kind"] == "NetworkPolicy"
        for rule in one["spec"].get("ingress", ())
        if not rule.get("from")
        for port in rule.get("ports", ())
        if (one["metadata"].get("namespace"), port["port"]) in private
    ]


def _containers_of(template: Template) -> list[Mapping[str, Any]]:
    return list(template.spec["containers"])


def _all_containers(template: Template) -> list[Mapping[str, Any]]:
    return [*template.spec.get("initContainers", ()), *template.spec["containers"]]
