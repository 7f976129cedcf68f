"""What the scenarios stand on: a real API server, and namespaces of their own on it.

Synchronous on purpose: a scenario is a story with waits in it. The server is reached through ``kubectl proxy``, so that
any kubeconfig works, whatever it authenticates with.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import requests
import yaml

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]

GROUPS = {
    "CapacityPool": ("apis/tidegate.dev/v1alpha1", "capacitypools"),
    "ClusterRole": ("apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    "ClusterRoleBinding": ("apis/rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    "ConfigMap": ("api/v1", "configmaps"),
    "Deployment": ("apis/apps/v1", "deployments"),
    "Event": ("api/v1", "events"),
    "HorizontalPodAutoscaler": ("apis/autoscaling/v2", "horizontalpodautoscalers"),
    "Job": ("apis/batch/v1", "jobs"),
    "Lease": ("apis/coordination.k8s.io/v1", "leases"),
    "LiveEvent": ("apis/tidegate.dev/v1alpha1", "liveevents"),
    "Loan": ("apis/tidegate.dev/v1alpha1", "loans"),
    "Pod": ("api/v1", "pods"),
    "ResourceQuota": ("api/v1", "resourcequotas"),
    "Override": ("apis/tidegate.dev/v1alpha1", "overrides"),
    "Role": ("apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "ScalingPolicy": ("apis/tidegate.dev/v1alpha1", "scalingpolicies"),
    "ServiceAccount": ("api/v1", "serviceaccounts"),
    "StatefulSet": ("apis/apps/v1", "statefulsets"),
    "ValidatingAdmissionPolicy": ("apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicies"),
    "ValidatingAdmissionPolicyBinding": ("apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings"),
}
"""Kind → (root, plural)."""

RULES = ROOT / "charts" / "tidegate" / "files" / "rules.yaml"
"""What the operator's account may do, as the chart grants it."""
LEASE = "tidegate"


class ApiError(Exception):
    """The server said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


def tool(name: str) -> str | None:
    """A program in ``$TIDEGATE_TOOLS/bin`` or on PATH."""
    folder = os.environ.get("TIDEGATE_TOOLS")
    return (folder and shutil.which(name, path=str(Path(folder) / "bin"))) or shutil.which(name)


def path_of(kind: str, namespace: str = "", name: str = "") -> str:
    """Where objects of a kind stand; without a namespace those of the whole cluster."""
    root, plural = GROUPS[kind]
    scope = f"namespaces/{namespace}/" if namespace else ""
    return f"{root}/{scope}{plural}" + (f"/{name}" if name else "")


@dataclass
class Cluster:
    """One API server, through a proxy of ours."""

    kubeconfig: str
    url: str = ""
    session: requests.Session = field(default_factory=requests.Session)
    _proxy: subprocess.Popen[str] | None = None

    def open(self) -> None:
        """Start the proxy."""
        command = [_needed("kubectl"), "--kubeconfig", self.kubeconfig, "proxy", "--port=0"]
        self._proxy = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._proxy.stdout is not None
        said = self._proxy.stdout.readline()
        assert "127.0.0.1:" in said, f"kubectl proxy said {said!r}"
        self.url = "http://" + said.strip().rpartition(" ")[2]
        self.session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=40))

    def close(self) -> None:
        """Stop the proxy."""
        if self._proxy is not None:
            self._proxy.terminate()
            self._proxy.wait(10)

    # ---- requests

    def send(self, method: str, path: str, body: Any = None, *, form: str = "application/json", **params: Any) -> Json:
        """One request; ApiError for any answer that is not a success."""
        data = None if body is None else json.dumps(body)
        answer = self.session.request(
            method, f"{self.url}/{path}", data=data, params=params, headers={"Content-Type": form}, timeout=30
        )
        if not answer.ok:
            try:
                message = answer.json()["message"]
            except (ValueError, KeyError):
                message = answer.text
            raise ApiError(answer.status_code, message)
        result: Json = answer.json()
        return result

    def get(self, kind: str, namespace: str, name: str) -> Json:
        """One object."""
        return self.send("GET", path_of(kind, namespace, name))

    def find(self, kind: str, namespace: str, name: str) -> Json | None:
        """One object, or None."""
        try:
            return self.get(kind, namespace, name)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind: str, namespace: str = "") -> Json:
        """The List document of a kind."""
        return self.send("GET", path_of(kind, namespace))

    def create(self, obj: Json) -> Json:
        """Make an object."""
        return self.send("POST", path_of(obj["kind"], obj["metadata"].get("namespace", "")), obj)

    def apply(self, obj: Json, *, manager: str, **params: str) -> Json:
        """Server-side apply, unforced unless ``force="true"``."""
        path = path_of(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        return self.send("PATCH", path, obj, form="application/apply-patch+yaml", fieldManager=manager, **params)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object."""
        self.send("DELETE", path_of(kind, namespace, name))

    def watch(self, kind: str, version: str) -> Iterator[Json]:
        """Changes of a kind in the whole cluster after a resourceVersion, for a minute at most."""
        params = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": "60"}
        url = f"{self.url}/{path_of(kind)}"
        with self.session.get(url, params=params, stream=True, timeout=(5, 75)) as answer:
            # One line is one change; a chunk of one byte would be slow, and a larger one would wait to be filled.
            for line in answer.iter_lines(chunk_size=None):  # type: ignore[call-overload]
                if line:
                    yield json.loads(line)

    # ---- programs

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """kubectl, helm or our own command line on this cluster."""
        program = [_needed(command[0]) if "/" not in command[0] else command[0], *command[1:]]
        environ = {**os.environ, "KUBECONFIG": self.kubeconfig, **environment}
        done = subprocess.run(program, text=True, capture_output=True, env=environ, cwd=ROOT, timeout=120)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}{done.stdout}")
        return done

    # ---- set-up

    def install_crds(self) -> None:
        """Our kinds, from the chart's generated files."""
        folder = str(ROOT / "charts" / "tidegate" / "files" / "crds")
        self.run("kubectl", "apply", "--server-side", "--force-conflicts", "-f", folder)
        kinds = ("capacitypools", "liveevents", "loans", "overrides", "scalingpolicies")
        names = [f"crd/{kind}.tidegate.dev" for kind in kinds]
        self.run("kubectl", "wait", "--for=condition=Established", "--timeout=60s", *names)
        for kind in ("CapacityPool", "LiveEvent", "Loan", "Override", "ScalingPolicy"):
            eventually(partial(self._serves, kind), 30, f"the server serves {kind}")

    def _serves(self, kind: str) -> bool:
        try:
            return "items" in self.list(kind)
        except ApiError:
            return False

    def namespace(self, name: str) -> str:
        """A new namespace."""
        full = f"{name}-{uuid.uuid4().hex[:6]}"
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": full}}
        self.send("POST", "api/v1/namespaces", body)
        return full

    def drop_namespace(self, name: str) -> None:
        """Delete a namespace with all that is in it; does not wait."""
        self.send("DELETE", f"api/v1/namespaces/{name}")

    def account(self, namespace: str, name: str, folder: Path, *, whole_cluster: bool = False) -> Path:
        """A service account with the chart's rules, for the namespace it lives in or for the whole cluster, and nothing
        beyond them; its kubeconfig.
        """
        metadata = {"name": name, "namespace": namespace}
        rbac = "rbac.authorization.k8s.io"
        self.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        rules = cluster_rules() if whole_cluster else operator_rules()
        role, binds = ("ClusterRole", "ClusterRoleBinding") if whole_cluster else ("Role", "RoleBinding")
        named = {"name": f"{namespace}-{name}"} if whole_cluster else metadata
        self.create({"apiVersion": f"{rbac}/v1", "kind": role, "metadata": named, "rules": rules})
        binding = {
            "roleRef": {"apiGroup": rbac, "kind": role, "name": named["name"]},
            "subjects": [{"kind": "ServiceAccount", **metadata}],
        }
        self.create({"apiVersion": f"{rbac}/v1", "kind": binds, "metadata": named, **binding})
        return self._kubeconfig_of(namespace, name, folder)

    def grant_in(self, elsewhere: str, namespace: str, name: str) -> None:
        """Give an account of one namespace the same rules in another."""
        metadata, rbac = {"name": name, "namespace": elsewhere}, "rbac.authorization.k8s.io"
        self.create({"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": metadata, "rules": operator_rules()})
        binding = {
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        }
        self.create({"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": metadata, **binding})

    def _kubeconfig_of(self, namespace: str, name: str, folder: Path) -> Path:
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 7200},
        }
        made = self.send("POST", f"{path_of('ServiceAccount', namespace, name)}/token", request)
        shown = self.run("kubectl", "config", "view", "--raw", "--minify", "--flatten", "-o", "json")
        known = json.loads(shown.stdout)
        user = {"name": "operator", "user": {"token": made["status"]["token"]}}
        context = {"cluster": known["clusters"][0]["name"], "user": "operator", "namespace": namespace}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": known["clusters"],
            "users": [user],
            "contexts": [{"name": "operator", "context": context}],
            "current-context": "operator",
        }
        path = folder / f"{namespace}-{name}.kubeconfig"
        path.write_text(json.dumps(config))
        return path


def operator_rules() -> list[Json]:
    """The operator's rules for a namespace that it watches and lives in; Deployments and StatefulSets are targets."""
    text = RULES.read_text().replace("$(leaseName)", LEASE)
    granted = yaml.safe_load(text)["operator"]
    targets = granted["targets"]
    return [
        *granted["watched"],
        *granted["home"],
        {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": targets["verbs"]},
        {
            "apiGroups": ["apps"],
            "resources": ["deployments/scale", "statefulsets/scale"],
            "verbs": targets["scaleVerbs"],
        },
    ]


def cluster_rules() -> list[Json]:
    """The operator's rules for the whole cluster."""
    granted = yaml.safe_load(RULES.read_text().replace("$(leaseName)", LEASE))["operator"]
    return [*operator_rules(), *granted["cluster"]]


def eventually(look: Callable[[], Any], seconds: float, claim: str, *, pause: float = 0.2) -> Any:
    """Wait until ``look`` gives something true; AssertionError with the claim when it does not."""
    deadline = time.monotonic() + seconds
    while True:
        if seen := look():
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {claim}")
        time.sleep(pause)


def _needed(name: str) -> str:
    found = tool(name)
    assert found is not None, f"no {name} in $TIDEGATE_TOOLS/bin or on PATH"
    return found
