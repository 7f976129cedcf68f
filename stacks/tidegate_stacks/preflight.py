"""What settings need of a cluster, asked before anything is registered: every finding at once, in words.

Half a stack that waits for a kind that is not served, or for nodes that nobody labelled, is worse than none. The
cluster is asked by ``kubectl get --raw``, with the kubeconfig and context that the stack configures for Pulumi's
Kubernetes provider. Where there is no kubectl, or the cluster does not answer, a warning says that nothing was checked.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

import pulumi
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import get_monitor
from pydantic import BaseModel

REQUEST_SECONDS = 5
PLACEHOLDERS = ("registry.example/", "example.com/")
"""Registries that stand for the reader's own in settings that we ship."""
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"

KINDS: Mapping[str, tuple[str, ...]] = {
    "DatabaseArgs": ("postgresql.cnpg.io/v1 Cluster", "postgresql.cnpg.io/v1 Pooler"),
    "BackupArgs": ("postgresql.cnpg.io/v1 ScheduledBackup",),
    "BatchArgs": tuple(f"kueue.x-k8s.io/v1beta2 {kind}" for kind in ("ClusterQueue", "LocalQueue", "ResourceFlavor")),
    "PoolArgs": ("tidegate.dev/v1alpha1 CapacityPool",),
    "EventPolicyArgs": ("tidegate.dev/v1alpha1 ScalingPolicy",),
    "PolicyArgs": ("tidegate.dev/v1alpha1 ScalingPolicy",),
}
"""Kinds that a component makes, by the class of its arguments."""
KINDS_BY_FIELD: Mapping[tuple[str, Any], tuple[str, ...]] = {
    ("monitor", True): ("monitoring.coreos.com/v1 PodMonitor",),
    ("kind", "gateway"): ("gateway.networking.k8s.io/v1 HTTPRoute",),
}
"""Kinds that one value of an argument asks for."""
KINDS_WHERE_GIVEN: Mapping[str, tuple[str, ...]] = {
    "dns": ("externaldns.k8s.io/v1alpha1 DNSEndpoint",),
    "gateway_class": ("gateway.networking.k8s.io/v1 Gateway",),
    "issuer": ("cert-manager.io/v1 Certificate",),
    "object_store": ("barmancloud.cnpg.io/v1 ObjectStore",),
    "snapshot_class": ("snapshot.storage.k8s.io/v1 VolumeSnapshotClass",),
}
"""Kinds that an argument asks for wherever it is given."""
GROUPS: Mapping[str, tuple[str, ...]] = {
    "operator": ("tidegate.dev",),
    "cloudnative_pg": ("postgresql.cnpg.io",),
    "kueue": ("kueue.x-k8s.io",),
    "prometheus": ("monitoring.coreos.com",),
}
"""API groups that a stack brings itself, by the section, or add-on, that brings them."""


class PreflightError(ValueError):
    """The cluster does not have what the settings need. ``findings``: one sentence each, all of them."""

    def __init__(self, findings: Sequence[str]) -> None:
        super().__init__("\n".join(findings))
        self.findings = list(findings)


class UnreachableError(Exception):
    """The cluster cannot be asked."""


class Cluster(Protocol):
    """What is needed of a cluster."""

    def get(self, path: str) -> Mapping[str, Any] | None:
        """The answer to a GET; None where there is nothing. UnreachableError when nobody answers."""


class Kubectl:
    """A cluster by kubectl, each request with a bound."""

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        self._command = ["kubectl", *arguments, "get", f"--request-timeout={REQUEST_SECONDS}s", "--raw"]

    def get(self, path: str) -> Mapping[str, Any] | None:
        """As the protocol says."""
        try:
            done = subprocess.run(  # noqa: S603 - the program that everybody reaches a cluster with
                [*self._command, path], capture_output=True, text=True, timeout=2 * REQUEST_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnreachableError(str(error)) from None
        if done.returncode == 0:
            return json.loads(done.stdout)  # type: ignore[no-any-return]
        if "NotFound" in done.stderr or "could not find the requested resource" in done.stderr:
            return None
        raise UnreachableError(done.stderr.strip())


# ---- what settings need


@dataclass(frozen=True)
class Leaf:
    """One value of the settings and where it stands: ``config.edge.image``."""

    path: str
    name: str
    value: Any


@dataclass(frozen=True)
class Standing:
    """What is set once in a database: its name, and how many instances it is made with."""

    namespace: str
    database: str
    instances: int


@dataclass
class Needs:
    """What a cluster must have. Each maps what is needed to the place in the settings that needs it."""

    kinds: dict[str, str] = field(default_factory=dict)
    """``postgresql.cnpg.io/v1 Cluster``."""
    nodes: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Labels by place: at least one node must bear them."""
    apart: dict[str, int] = field(default_factory=dict)
    """How many pods must each have a node of its own, by place."""
    storage_classes: dict[str | None, str] = field(default_factory=dict)
    """None: the cluster's default."""
    priorities: dict[str, str] = field(default_factory=dict)
    databases: dict[str, Standing] = field(default_factory=dict)
    """Databases as the settings have them, by place, for what cannot be changed in one that lives."""
    placeholders: list[str] = field(default_factory=list)
    """Images that stand for the reader's own, in words."""


def needs(sections: Mapping[str, BaseModel], *, brings: Sequence[str] = (), makes: Sequence[str] = ()) -> Needs:
    """What these sections need. ``brings``: API groups that the program installs itself; ``makes``: PriorityClasses."""
    found = Needs()
    for name, section in sections.items():
        for model, path in _models(section, f"config.{name}"):
            _of_kinds(found, model, path)
            for leaf in _leaves(model, path):
                _of_leaf(found, leaf)
            if type(model).__name__ == "DatabaseArgs":
                found.apart[f"{path}.instances"] = model.instances  # type: ignore[attr-defined]
                _of_database(found, model, path)
            if type(model).__name__ == "CacheArgs" and model.apart:  # type: ignore[attr-defined]
                found.apart[f"{path}.apart"] = 2  # a shard's first pod shares no machine with the others
    found.kinds = {kind: path for kind, path in found.kinds.items() if kind.partition("/")[0] not in brings}
    found.priorities = {name: path for name, path in found.priorities.items() if name not in makes}
    return found


def brought(sections: Mapping[str, BaseModel]) -> list[str]:
    """API groups that these sections bring: the operator's own kinds, and those of add-ons."""
    addons = sections.get("addons")
    given = [name for name in GROUPS if name in sections or getattr(addons, name, None) is not None]
    return [group for name in given for group in GROUPS[name]]


def _models(section: BaseModel, path: str) -> Iterator[tuple[BaseModel, str]]:
    """A section and every model within it, with its place. What lies in another cluster is not asked of this one."""
    if getattr(section, "kubeconfig", None) is not None:
        return
    yield section, path
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _models(value, f"{path}.{name}")
        elif isinstance(value, tuple):
            for index, one in enumerate(value):
                if isinstance(one, BaseModel):
                    yield from _models(one, f"{path}.{name}[{index}]")


def _leaves(model: BaseModel, path: str) -> Iterator[Leaf]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if not isinstance(value, BaseModel):
            yield Leaf(f"{path}.{name}", name, value)


def _of_database(found: Needs, model: Any, path: str) -> None:
    """A database that can be looked up: where it lives is known, not an Output of another stack."""
    if isinstance(model.namespace, str):
        found.databases[path] = Standing(model.namespace, model.database, model.instances)


def _of_kinds(found: Needs, model: BaseModel, path: str) -> None:
    for kind in KINDS.get(type(model).__name__, ()):
        found.kinds.setdefault(kind, path)


def _of_leaf(found: Needs, leaf: Leaf) -> None:
    """What one value asks for. A value that is known only later is not asked for: an Output of another stack."""
    name, value = leaf.name, leaf.value
    if isinstance(value, pulumi.Output):
        return
    kinds = KINDS_BY_FIELD.get((name, value), ()) if isinstance(value, str | bool) else ()
    kinds += KINDS_WHERE_GIVEN.get(name, ()) if value is not None else ()
    for kind in kinds:
        found.kinds.setdefault(kind, leaf.path)
    if name == "nodes" and value:
        found.nodes[leaf.path] = value
    elif name == "storage_class":
        found.storage_classes.setdefault(value, leaf.path)
    elif name == "priority" and value is not None:
        found.priorities.setdefault(value, leaf.path)
    elif name.endswith("image") and value is not None and any(one in value for one in PLACEHOLDERS):
        found.placeholders.append(f"{leaf.path}: {value} stands for an image of yours: name it")


# ---- what the cluster has


def findings(wanted: Needs, cluster: Cluster) -> list[str]:
    """Everything that the cluster does not have, in words."""
    return [
        *wanted.placeholders,
        *_missing_kinds(wanted, cluster),
        *_missing_nodes(wanted, cluster),
        *_missing_storage(wanted, cluster),
        *_missing_priorities(wanted, cluster),
        *_changed_databases(wanted, cluster),
    ]


def _missing_kinds(wanted: Needs, cluster: Cluster) -> list[str]:
    served: dict[str, set[str]] = {}
    said = []
    for needed, path in wanted.kinds.items():
        version, _, kind = needed.partition(" ")
        if version not in served:
            answer = cluster.get(f"/apis/{version}") or {}
            served[version] = {one["kind"] for one in answer.get("resources", ())}
        if kind not in served[version]:
            said.append(f"{path}: the cluster does not serve {kind} of {version}: install what brings it first")
    return said


def _missing_nodes(wanted: Needs, cluster: Cluster) -> list[str]:
    if not (wanted.nodes or wanted.apart):
        return []
    nodes = [one for one in (cluster.get("/api/v1/nodes") or {}).get("items", ()) if _usable(one)]
    said = []
    for path, labels in wanted.nodes.items():
        if not any(labels.items() <= one["metadata"].get("labels", {}).items() for one in nodes):
            text = ",".join(f"{key}={value}" for key, value in labels.items())
            said.append(f"{path}: none of {len(nodes)} nodes bears {text}: kubectl label node NAME {text}")
    for path, count in wanted.apart.items():
        if count > len(nodes):
            said.append(
                f"{path}: {count} pods need a node each, and {len(nodes)} nodes take pods: lower it or add nodes"
            )
    return said


def _usable(node: Mapping[str, Any]) -> bool:
    """Whether a node is ready and takes pods that tolerate nothing."""
    spec = node.get("spec", {})
    conditions = {one["type"]: one["status"] for one in node.get("status", {}).get("conditions", ())}
    closed = [one for one in spec.get("taints", ()) if one.get("effect") in ("NoSchedule", "NoExecute")]
    return conditions.get("Ready") == "True" and not spec.get("unschedulable") and not closed


def _missing_storage(wanted: Needs, cluster: Cluster) -> list[str]:
    if not wanted.storage_classes:
        return []
    classes = (cluster.get("/apis/storage.k8s.io/v1/storageclasses") or {}).get("items", ())
    names = sorted(one["metadata"]["name"] for one in classes)
    marked = [one for one in classes if one["metadata"].get("annotations", {}).get(DEFAULT_CLASS) == "true"]
    there = ", ".join(names) or "none"
    said = []
    for name, path in wanted.storage_classes.items():
        if name is None and not marked:
            said.append(f"{path}: the cluster has no default StorageClass: name one (there: {there})")
        elif name is not None and name not in names:
            said.append(f"{path}: the cluster has no StorageClass {name} (there: {there})")
    return said


def _missing_priorities(wanted: Needs, cluster: Cluster) -> list[str]:
    return [
        f"{path}: the cluster has no PriorityClass {name}"
        for name, path in wanted.priorities.items()
        if cluster.get(f"/apis/scheduling.k8s.io/v1/priorityclasses/{name}") is None
    ]


def _changed_databases(wanted: Needs, cluster: Cluster) -> list[str]:
    """What is set once and does not fit the database that lives. The programs name it as its section is named.

    More instances than the settings have are no finding: a plan may have ordered them, and whoever wants fewer lowers
    the settings first, so that no commit waits for a replica that is going.
    """
    said = []
    for path, one in wanted.databases.items():
        name = path.rpartition(".")[2]
        living = cluster.get(f"/apis/postgresql.cnpg.io/v1/namespaces/{one.namespace}/clusters/{name}")
        if living is None:
            continue
        spec = living.get("spec", {})
        made = spec.get("bootstrap", {}).get("initdb", {}).get("database", one.database)
        if made != one.database:
            said.append(
                f"{path}.database: {name} was made with database {made}, and the poolers would let in {one.database}"
                f" alone, which is not there: set {made}, or make another database beside it and move the data"
            )
        number = spec.get("instances", one.instances)
        if number < one.instances:
            said.append(
                f"{path}.instances: {name} has {number}, which Pulumi leaves as it is, and commits would wait for"
                f" replicas that nobody makes: kubectl -n {one.namespace} scale clusters.postgresql.cnpg.io/{name}"
                f" --replicas={one.instances} first, or set {number}"
            )
    return said


# ---- the check itself


def mocked() -> bool:
    """Whether the program runs without an engine."""
    return isinstance(get_monitor(), MockMonitor)


def check(
    asked: bool | None,
    sections: Mapping[str, BaseModel],
    *,
    makes: Sequence[str] = (),
    cluster: Cluster | None = None,
    warn: Callable[[str], None] | None = None,
) -> None:
    """PreflightError when the cluster lacks anything that these sections of the configuration need.

    ``asked``: the stack's setting ``preflight``; without an engine nothing is asked unless ``cluster`` is given.
    ``makes``: PriorityClasses that the program makes itself.
    """
    if asked is False or (cluster is None and mocked()):
        return
    wanted = needs(sections, brings=brought(sections), makes=makes)
    tell = warn or pulumi.log.warn
    with ExitStack() as stack:
        try:
            said = findings(wanted, cluster or _configured(stack))
        except UnreachableError as error:
            tell(f"preflight: nothing was checked, the cluster cannot be asked: {error}")
            return
    if said:
        raise PreflightError(said)


def _configured(stack: ExitStack) -> Cluster:
    """The cluster that the stack configures for Pulumi's Kubernetes provider."""
    if shutil.which("kubectl") is None:
        raise UnreachableError("there is no kubectl on PATH")
    config = pulumi.Config("kubernetes")
    arguments = []
    if (given := config.get("kubeconfig")) is not None:
        arguments.append(f"--kubeconfig={_file(given, stack)}")
    if (context := config.get("context")) is not None:
        arguments.append(f"--context={context}")
    return Kubectl(arguments)


def _file(kubeconfig: str, stack: ExitStack) -> str:
    """A kubeconfig's path. The provider takes its contents too: those lie in a file of ours for as long as we ask."""
    # Contents that are cut short are no path: kubectl would repeat them in its error.
    if "clusters" not in kubeconfig and "\n" not in kubeconfig:
        return kubeconfig
    file = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".kubeconfig"))  # noqa: SIM115 - entered here
    file.write(kubeconfig)
    file.flush()
    return file.name
