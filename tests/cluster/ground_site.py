"""A checkout of a project, a real cluster, and a real Pulumi engine between them; for tests to change."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness import ROOT, ApiError, Cluster
from pulumi import automation as auto
from standin import APPLY, serving

from tidegate_stacks import component
from tidegate_stacks.ownership import FIELD_MANAGER

CRDS = os.environ.get("TIDEGATE_TEST_CRDS", "")
"""Folders of CRDs, with a colon between them: CloudNativePG's, and where they are to be had Gateway API's and more."""
JSON_PATCH = "application/json-patch+json"
AS_TEST = {"fieldManager": "tests", "force": "true"}

STORAGE = "by-hand"
"""StorageClass of volumes that a test makes by hand: nothing here provisions any."""

FLOORS = {
    "apis/autoscaling/v2/namespaces/{ns}/horizontalpodautoscalers/cdn-cn-east": ("/spec/minReplicas", 5),
    "apis/autoscaling/v2/namespaces/{ns}/horizontalpodautoscalers/live-relay": ("/spec/minReplicas", 4),
    "apis/apps/v1/namespaces/{ns}/statefulsets/cache-1/scale": ("/spec/replicas", 3),
    "apis/apps/v1/namespaces/{ns}/deployments/batch-loader/scale": ("/spec/replicas", 1),
    "apis/postgresql.cnpg.io/v1/namespaces/{ns}/poolers/database-pooler/scale": ("/spec/replicas", 4),
    "apis/postgresql.cnpg.io/v1/namespaces/{ns}/clusters/database/scale": ("/spec/replicas", 3),
    "apis/kueue.x-k8s.io/v1beta2/clusterqueues/batch-reports": (
        "/spec/resourceGroups/0/flavors/0/resources/0/nominalQuota",
        "20",
    ),
}
"""What the operator moves, and to what."""

PROTECTED = {
    "kubernetes:core/v1:Namespace",
    "kubernetes:networking.k8s.io/v1:NetworkPolicy",
    "kubernetes:postgresql.cnpg.io/v1:Cluster",
    "kubernetes:scheduling.k8s.io/v1:PriorityClass",
}
"""Types of what ``destroy`` leaves: the data, who may reach them, their namespace, which would take them along, and the
priority of their pods."""


@dataclass
class Site:
    """A checkout of the project's stack, a cluster, and the engine between them."""

    cluster: Cluster
    folder: Path
    environment: dict[str, str]
    namespace: str
    system: str
    project: str = "all-in-one"
    figures: list[str] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)

    def stack(self, *, beside: Callable[[], None] | None = None) -> Any:
        """The stack ``dev`` as it is shipped, in namespaces of this test's own; ``beside``: more of the program."""
        program = str(self.folder / "__main__.py")
        options = auto.LocalWorkspaceOptions(work_dir=str(self.folder), env_vars=self.environment)
        return auto.create_or_select_stack(
            stack_name="dev", project_name=f"tidegate-{self.project}", program=_running(program, beside), opts=options
        )

    def timed(self, name: str, run: Callable[[], Any]) -> dict[str, int]:
        """One operation of the engine; what it changed, and how long it took, for the record."""
        started = time.monotonic()
        done = run()
        changes = dict(done.summary.resource_changes or {})
        self.figures.append(f"{name}: {json.dumps(changes)} in {time.monotonic() - started:.1f} s")
        print(self.figures[-1])  # noqa: T201 - figures are the point
        return changes

    def change(self, old: str, new: str) -> None:
        """Edit the stack's configuration, as a user would."""
        path = self.folder / "Pulumi.dev.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def of(self, project: str) -> Site:
        """Another project on the same cluster, in the same namespaces, with the same backend."""
        return replace(self, project=project, folder=self.folder.parent / project)

    def machine(self, cpu: str, memory: str = "2Ti", labels: Mapping[str, str] = MappingProxyType({})) -> None:
        """A node that bears the labels that every kubelet gives its own, and ``labels``."""
        name = f"{self.namespace}-{len(self.nodes)}"
        amounts = {"cpu": cpu, "memory": memory, "pods": "110"}
        metadata = {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                **labels,
            },
        }
        status = {"allocatable": amounts, "capacity": amounts}
        self.cluster.send(
            "POST", "api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": status}
        )
        self.nodes.append(name)

    def disks(self, count: int) -> None:
        """Volumes for pods that keep something; without, they are never scheduled."""
        for number in range(count):
            name = f"{self.namespace}-disk-{number}"
            spec = {
                "capacity": {"storage": "100Gi"},
                "storageClassName": STORAGE,
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": f"/disks/{name}"},
            }
            volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
            self.cluster.send("POST", "api/v1/persistentvolumes", volume)
            self.volumes.append(name)

    def used(self) -> int:
        """Millicores that pods on those nodes request."""
        return _millicores(pod for pod in self._pods() if pod["spec"].get("nodeName") in self.nodes)

    def asked(self) -> int:
        """Millicores that pods request that run on those nodes only, whether they have one or not."""
        return _millicores(pod for pod in self._pods() if "pool" in pod["spec"].get("nodeSelector", {}))

    def homeless(self) -> list[str]:
        """Pods that may run anywhere and have no node."""
        waiting = [pod for pod in self._pods() if not pod["spec"].get("nodeName")]
        return [pod["metadata"]["name"] for pod in waiting if "pool" not in pod["spec"].get("nodeSelector", {})]

    def _pods(self) -> list[Any]:
        pods = self.cluster.send("GET", f"api/v1/namespaces/{self.namespace}/pods")["items"]
        return [pod for pod in pods if pod["status"].get("phase") not in ("Succeeded", "Failed")]

    def move_floors(self) -> None:
        """Write levels as the operator writes them."""
        for path, (pointer, value) in FLOORS.items():
            where = path.format(ns=self.namespace)
            patch = [{"op": "replace", "path": pointer, "value": value}]
            self.cluster.send("PATCH", where, patch, form=JSON_PATCH, fieldManager=FIELD_MANAGER)

    def give_back(self, path: str, pointer: str, value: Any) -> None:
        """Return one level as the operator returns it: the value that was there, owned by Pulumi again."""
        patch = [{"op": "replace", "path": pointer, "value": value}]
        where = path.format(ns=self.namespace)
        self.cluster.send("PATCH", where, patch, form=JSON_PATCH, fieldManager=FIELD_MANAGER)

    def floors(self) -> dict[str, Any]:
        """The same levels as they are."""
        return self.levels({path: pointer for path, (pointer, _) in FLOORS.items()})

    def levels(self, where: Mapping[str, str]) -> dict[str, Any]:
        """Levels by the paths of their objects."""
        return {path: self._value(path.format(ns=self.namespace), pointer) for path, pointer in where.items()}

    def loans(self) -> int:
        """How many the operator holds."""
        return len(self.cluster.list("Loan", self.namespace)["items"])

    def written(self, target: str) -> set[int]:
        """The levels that the operator wrote last to an object, as its Loan has them: read back, and meant since."""
        loans = [loan["spec"] for loan in self.cluster.list("Loan", self.namespace)["items"]]
        (loan,) = [loan for loan in loans if loan["target"]["name"] == target]
        return {loan["verified"], loan["pending"]}

    def _value(self, path: str, pointer: str) -> Any:
        document: Any = self.cluster.send("GET", path)
        for key in pointer.strip("/").split("/"):
            document = document[int(key)] if isinstance(document, list) else document.get(key)
        return document

    def exists(self, path: str) -> bool:
        """Whether an object is there and stays."""
        try:
            return "deletionTimestamp" not in self.cluster.send("GET", path.format(ns=self.namespace))["metadata"]
        except ApiError as error:
            if error.status == 404:
                return False
            raise

    def clean(self) -> None:
        """Take away what a test left beside its namespaces: objects of the cluster belong to no namespace."""
        stack = self.stack()
        if len(objects_of(stack)) > len(PROTECTED):
            stack.destroy(exclude_protected=True)
        for name in self.nodes:
            self.cluster.send("DELETE", f"api/v1/nodes/{name}")
        for name in self.volumes:
            self.cluster.send("DELETE", f"api/v1/persistentvolumes/{name}")


def _millicores(pods: Iterable[Any]) -> int:
    asked = [one["resources"]["requests"]["cpu"] for pod in pods for one in pod["spec"]["containers"]]
    return sum(int(cpu[:-1]) if cpu.endswith("m") else 1000 * int(cpu) for cpu in asked)


def _running(program: str, beside: Callable[[], None] | None) -> Callable[[], None]:
    def run() -> None:
        runpy.run_path(program, run_name="__main__")
        if beside:
            beside()

    return run


@contextmanager
def prepared(tmp_path: Path) -> Iterator[Site]:
    """Every project in a folder of its own, and a server that knows every kind."""
    cluster = Cluster(os.environ["KUBECONFIG"])
    cluster.open()
    for crds in CRDS.split(":"):
        cluster.run("kubectl", "apply", "--server-side", "--force-conflicts", "-f", crds)
    cluster.send("PATCH", f"apis/storage.k8s.io/v1/storageclasses/{STORAGE}", _storage_class(), form=APPLY, **AS_TEST)
    tag = uuid.uuid4().hex[:6]
    for project in (ROOT / "stacks").glob("*/Pulumi.yaml"):
        shutil.copytree(project.parent, tmp_path / "stacks" / project.parent.name)
    for settings in (tmp_path / "stacks").glob("*/Pulumi.dev.yaml"):
        settings.write_text(_of_this_test(settings.read_text(), tag))
    (tmp_path / "charts").symlink_to(ROOT / "charts")
    (tmp_path / "state").mkdir()
    folder = tmp_path / "stacks" / "all-in-one"
    with serving(cluster, version("pulumi-kubernetes"), str(folder)) as port:
        environment = {
            "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
            "PULUMI_HOME": str(tmp_path / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DEBUG_PROVIDERS": f"kubernetes:{port}",
        }
        made = Site(cluster, folder, environment, f"shop-{tag}", f"tidegate-{tag}")
        yield made
        made.clean()
        for namespace in (made.namespace, made.system):
            cluster.run("kubectl", "delete", "namespace", namespace, "--ignore-not-found", "--wait=false")
    cluster.close()


def _of_this_test(text: str, tag: str) -> str:
    """Settings in namespaces of their own. Others' operators are on the server already: their charts cannot be had."""
    text = text.replace("namespace: shop", f"namespace: shop-{tag}").replace("[shop]", f"[shop-{tag}]")
    text = text.replace("tidegate-system", f"tidegate-{tag}")
    return re.sub(r"addons:\n(    .*\n)+", "addons: {}\n", text)


def _storage_class() -> Any:
    metadata = {"name": STORAGE, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": metadata,
        "provisioner": "kubernetes.io/no-provisioner",
    }


@dataclass
class Nightly:
    """A Job that is laid by the same program, as a component of its own."""

    namespace: str
    nodes: Mapping[str, str] = field(default_factory=lambda: {"kubernetes.io/os": "linux"})
    retries: int = 6

    def declare(self) -> None:
        """Sixteen cores, which it says are not suspended."""
        labels = {"workload": "nightly"}
        container = {
            "name": "work",
            "image": "registry.example/nightly:1",
            "resources": {"requests": {"cpu": "2", "memory": "1Gi"}},
        }
        pod = {
            "metadata": {"annotations": {"tidegate.test/run": "3600s"}},
            "spec": {
                "restartPolicy": "Never",
                "containers": [container],
                "nodeSelector": dict(self.nodes),
            },
        }
        spec = {
            "suspend": False,
            "parallelism": 8,
            "completions": 8,
            "backoffLimit": self.retries,
            "template": pod,
        }
        metadata = {"name": "nightly-1", "namespace": self.namespace, "labels": labels}
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
        _Work("nightly", job)


class _Work(component.Component):
    """Anything, through the door that every component's objects pass."""

    def __init__(self, name: str, given: Any) -> None:
        super().__init__("tidegate:test:Work", name, None)
        self.put(given)
        self.finish()


def objects_of(stack: Any) -> set[str]:
    """Kinds of objects of the cluster that the stack still counts as its own."""
    resources = stack.export_stack().deployment.get("resources", [])
    return {one["type"] for one in resources if one["type"].startswith("kubernetes:")}
