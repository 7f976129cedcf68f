"""Pod objects: one for each pod of ``podphysics``, written when it changed.

What a reader can rely on: labels, annotations and containers of the template (requests filled in from limits),
``spec.nodeName`` and ``status.startTime`` from the instant of scheduling, ``phase``, the conditions ``PodScheduled``
and ``Ready``, and ``deletionTimestamp`` while a pod stops (the instant at which it will be gone, as the real API has
it). Controllers:

* a Deployment's pods belong to a ReplicaSet of its name and ``pod-template-hash``, as in a real cluster; that
  ReplicaSet object itself does not exist here. Without the hash, its name is the Deployment's;
* a StatefulSet's, ReplicaSet's or Job's pods belong to it. A StatefulSet's pod takes the lowest number that is free: it
  does not wait for a stopping one of its own number;
* what a webhook adds to pods of a namespace (``PodPhysics.sidecars``) stands in the pod alone, as in a real cluster;
* a Job's pods stay as ``Succeeded`` until the Job is deleted.

Deleting a Pod object kills the pod at once, whatever its stop time. Other changes of clients are kept and mean nothing.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field

import orjson

from tidegate.embedded.errors import ApiError, Json
from tidegate.embedded.jobs import JOBS
from tidegate.embedded.podphysics import Need, Pod, PodPhysics, Sidecar
from tidegate.embedded.resources import Registry
from tidegate.embedded.store import DELETED, Change, Key, Store
from tidegate.embedded.timestamps import rfc3339
from tidegate.embedded.workloads import KINDS, Kind, pods_key
from tidegate.embedded.writes import Options, Writes

PODS: Kind = ("", "pods")
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SPREAD = 7_368_787
"""Prime, so that all numbers below 27^5 give names of their own, and neighbours look nothing alike."""


@dataclass(slots=True)
class _Owner:
    """Whose pods they are."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    template: Json
    succeeded: list[Key] = field(default_factory=list)
    """Pods that are done and still shown."""
    numbers: set[int] = field(default_factory=set)
    """Of a StatefulSet's pods."""


class PodObjects:
    """Keeps Pod objects in step with the physics."""

    def __init__(self, store: Store, registry: Registry, writes: Writes, physics: PodPhysics) -> None:
        self._store, self._registry, self._writes, self._physics = store, registry, writes, physics
        self._owners: dict[str, _Owner] = {}
        self._keys: dict[Pod, Key] = {}
        self._pods: dict[Key, Pod] = {}
        self._why: dict[Pod, str] = {}
        """The message that a pending pod shows."""

    def changed(self, kind: Kind, change: Change, at: float) -> None:
        """Learn whose pods are coming, and what clients did to pods."""
        key = (change.item.namespace, change.item.name)
        if kind == PODS:
            pod = self._pods.pop(key, None) if change.type == DELETED else None
            if pod is not None:
                self._forget(pod)
                self._physics.kill(pod, now=at)
        elif kind in KINDS or kind == JOBS:
            self._learn(kind, change)

    def _learn(self, kind: Kind, change: Change) -> None:
        pods = pods_key(kind, (change.item.namespace, change.item.name))
        known = self._owners.get(pods)
        if change.type == DELETED:
            for key in known.succeeded if known else ():
                self._remove(key)
            return
        document = change.item.document()
        meta = document["metadata"]
        template = document["spec"].get("template") or {}
        if known is not None and known.uid == meta["uid"]:
            known.template = template
            return
        where = (change.item.namespace, change.item.name)
        self._owners[pods] = _Owner(document["apiVersion"], document["kind"], *where, meta["uid"], template)

    def next_instant(self) -> float | None:
        """The physics keeps the time."""
        return None

    def act(self, at: float) -> None:
        """Nothing is due but what the physics does."""

    def publish(self, at: float) -> None:
        """Write the pods that changed."""
        why: dict[Need, str] = {}
        for pod in self._physics.waiting:
            message = why.get(pod.need) or why.setdefault(pod.need, self._physics.why_pending(pod.need))
            if self._why.get(pod) != message:
                self._why[pod] = message
                self._physics.touched[pod] = None
        touched, self._physics.touched = self._physics.touched, {}
        for pod in touched:
            self._show(pod)

    def _show(self, pod: Pod) -> None:
        owner = self._owners[pod.key]
        if pod not in self._keys and (not pod.gone or pod.succeeded):
            self._create(pod, owner)
        key = self._keys.get(pod)
        if key is None:
            return
        if pod.machine is not None:
            self._why.pop(pod, None)
        if pod.gone and not pod.succeeded:
            self._forget(pod)
            self._remove(key)
            return
        stored = self._store.bucket(PODS).get(key)
        if stored is not None:
            document = _with_progress(stored.document(), pod, self._why.get(pod, ""))
            if document != stored.document():
                self._store.commit(PODS, document)
        if pod.gone:
            owner.succeeded.append(key)
            self._forget(pod)

    def _create(self, pod: Pod, owner: _Owner) -> None:
        resource = self._registry.find("", "v1", "pods")
        document = _new_pod(pod, owner)
        key = (owner.namespace, document["metadata"]["name"])
        if resource is None:
            return
        try:
            self._writes.create(resource, owner.namespace, document, Options(manager=None))
        except ApiError:
            return  # its namespace goes, somebody's own pod has the name, or its labels are none: it stays a count
        self._keys[pod], self._pods[key] = key, pod

    def _forget(self, pod: Pod) -> None:
        key = self._keys.pop(pod, None)
        self._why.pop(pod, None)
        if key is None:
            return
        self._pods.pop(key, None)
        owner = self._owners[pod.key]
        if owner.kind == "StatefulSet":
            owner.numbers.discard(int(key[1].rpartition("-")[2]))

    def _remove(self, key: Key) -> None:
        resource = self._registry.find("", "v1", "pods")
        if resource is not None and self._store.bucket(PODS).get(key) is not None:
            self._writes.delete(resource, key)


def _new_pod(pod: Pod, owner: _Owner) -> Json:
    meta = owner.template.get("metadata") or {}
    labels, reference = dict(meta.get("labels") or {}), (owner.api_version, owner.kind, owner.name, owner.uid)
    name = f"{owner.name[:57]}-{_suffix(pod.number)}"
    if owner.kind == "Deployment":
        digest = _template_hash(owner.template)
        labels["pod-template-hash"] = digest
        replica_set = f"{owner.name}-{digest}"
        uid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{owner.uid}/{digest}"))
        reference = ("apps/v1", "ReplicaSet", replica_set, uid)
        name = f"{replica_set[:57]}-{_suffix(pod.number)}"
    elif owner.kind == "StatefulSet":
        number = next(n for n in range(len(owner.numbers) + 1) if n not in owner.numbers)
        owner.numbers.add(number)
        name = f"{owner.name}-{number}"
        labels |= {"statefulset.kubernetes.io/pod-name": name, "apps.kubernetes.io/pod-index": str(number)}
    elif owner.kind == "Job":
        for prefix in ("", "batch.kubernetes.io/"):
            labels |= {f"{prefix}controller-uid": owner.uid, f"{prefix}job-name": owner.name}
    api_version, kind, controller, uid = reference
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": labels,
            "annotations": dict(meta.get("annotations") or {}),
            "ownerReferences": [
                {
                    "apiVersion": api_version,
                    "kind": kind,
                    "name": controller,
                    "uid": uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": _spec(owner.template.get("spec") or {}, pod.sidecar),
    }


def _spec(template: Json, sidecar: Sidecar | None) -> Json:
    """As the API server defaults it: a limit without a request is the request too; and what a webhook adds."""
    spec: Json = orjson.loads(orjson.dumps(template))
    for container in spec.get("containers") or ():
        resources = container.get("resources") or {}
        if resources.get("limits"):
            container["resources"] = {**resources, "requests": {**resources["limits"], **resources.get("requests", {})}}
    if sidecar is not None:
        requests = {"cpu": sidecar.cpu, "memory": sidecar.memory}
        spec["containers"] = [*spec.get("containers", ()), {"name": "sidecar", "resources": {"requests": requests}}]
    return spec


def _with_progress(document: Json, pod: Pod, why: str) -> Json:
    """Where the pod is and how far, written into its document."""
    document["metadata"]["creationTimestamp"] = rfc3339(pod.created_at)  # it is shown at the end of a step, later
    if pod.machine is None:
        unscheduled = _condition("PodScheduled", pod.created_at, "Unschedulable", why)
        document["status"] = {"phase": "Pending", "conditions": [unscheduled]}
    else:
        since = pod.scheduled_at or pod.created_at
        document["spec"]["nodeName"] = pod.machine.name
        document["status"] = {
            "phase": "Succeeded" if pod.succeeded else "Running",
            "startTime": rfc3339(since),
            "conditions": [_condition("PodScheduled", since), _readiness(pod, since)],
        }
    if pod.gone_at is not None and not pod.succeeded:
        grace = round(pod.gone_at - pod.stopped_at)
        document["metadata"].update(deletionTimestamp=rfc3339(pod.gone_at), deletionGracePeriodSeconds=grace)
    return document


def _readiness(pod: Pod, since: float) -> Json:
    if pod.succeeded:
        return _condition("Ready", pod.gone_at or since, "PodCompleted")
    if pod.ready:
        return _condition("Ready", pod.ready_at)
    return _condition("Ready", since, "ContainersNotReady", "containers with unready status")


def _condition(kind: str, since: float, reason: str = "", message: str = "") -> Json:
    """One condition; a reason makes it False."""
    told = {"reason": reason, "message": message} if reason else {}
    shown: Json = {"type": kind, "status": "False" if reason else "True", "lastTransitionTime": rfc3339(since)}
    return shown | {name: text for name, text in told.items() if text}


def _suffix(number: int) -> str:
    rest, text = number * _SPREAD % len(_ALPHABET) ** 5, ""
    for _ in range(5):
        rest, digit = divmod(rest, len(_ALPHABET))
        text += _ALPHABET[digit]
    return text


def _template_hash(template: Json) -> str:
    digest = hashlib.sha256(orjson.dumps(template, option=orjson.OPT_SORT_KEYS)).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:10])
