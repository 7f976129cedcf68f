"""The chart, installed by a real Helm; its accounts, its operator's process, and what they asked the server for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from audited import lines_of
from harness import ROOT, Cluster, Json, eventually

CHART = ROOT / "charts" / "tidegate"
FULLNAME = "tidegate"

Request = tuple[str, str, str]
"""(group, resource with subresource, verb)."""


@dataclass
class Release:
    """One installation, in a namespace of its own."""

    cluster: Cluster
    namespace: str
    values: Json
    folder: Path
    began: float = field(default_factory=time.time)
    _process: subprocess.Popen[bytes] | None = None

    # ---- Helm

    def helm(self, *words: str) -> str:
        """Helm in this release's namespace."""
        return self.cluster.run("helm", *words, "--namespace", self.namespace).stdout

    def install(self, verb: str = "install", **more: Any) -> str:
        """Install, or upgrade: neither forced. CRDs that a test before applied by hand are taken over."""
        path = self.folder / f"{self.namespace}-values.yaml"
        self.values = {**self.values, **more}
        path.write_text(yaml.safe_dump(self.values))
        return self.helm(verb, FULLNAME, str(CHART), "--take-ownership", "--values", str(path))

    def objects(self) -> list[Json]:
        """What the release consists of, as Helm rendered it."""
        return [obj for obj in yaml.safe_load_all(self.helm("get", "manifest", FULLNAME)) if obj]

    def container(self) -> Json:
        """The operator's container as the server has it."""
        path = f"apis/apps/v1/namespaces/{self.namespace}/deployments/{FULLNAME}"
        (container,) = self.cluster.send("GET", path)["spec"]["template"]["spec"]["containers"]
        found: Json = container
        return found

    def granted(self, account: str) -> set[Request]:
        """What an account may ask for, by the Roles that the chart made."""
        objects = {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in self.objects()}
        found = set()
        for (kind, namespace, _), binding in objects.items():
            if not kind.endswith("RoleBinding") or {s["name"] for s in binding["subjects"]} != {account}:
                continue
            role = objects[binding["roleRef"]["kind"], namespace, binding["roleRef"]["name"]]
            for rule in role["rules"]:
                found |= {
                    (group, resource, verb)
                    for group in rule["apiGroups"]
                    for resource in rule["resources"]
                    for verb in rule["verbs"]
                }
        return found

    # ---- as its accounts

    def user(self, account: str = FULLNAME) -> str:
        """The name that the server knows an account by."""
        return f"system:serviceaccount:{self.namespace}:{account}"

    def kubeconfig(self, account: str = FULLNAME) -> Path:
        """A kubeconfig with nothing but a token of an account."""
        token = self.cluster.run(
            "kubectl", "create", "token", account, "--namespace", self.namespace, "--duration=2h"
        ).stdout.strip()
        shown = self.cluster.run("kubectl", "config", "view", "--raw", "--minify", "--flatten", "-o", "json")
        known = json.loads(shown.stdout)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": known["clusters"],
            "users": [{"name": account, "user": {"token": token}}],
            "contexts": [{"name": "it", "context": {"cluster": known["clusters"][0]["name"], "user": account}}],
            "current-context": "it",
        }
        path = self.folder / f"{self.namespace}-{account}.kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def may(self, verb: str, resource: str, namespace: str, account: str = FULLNAME) -> bool:
        """The server's own answer to a SelfSubjectAccessReview of an account."""
        path = str(self.folder / f"{self.namespace}-{account}.kubeconfig")
        asked = ("auth", "can-i", verb, resource, "--namespace", namespace)
        return self.cluster.run("kubectl", "--kubeconfig", path, *asked, check=False).stdout.strip() == "yes"

    # ---- the operator's process

    def start(self, **settings: str) -> None:
        """Run what the Deployment would: its command, its arguments, its environment, its account. ``settings`` are
        variables that are otherwise here than in a pod.
        """
        container = self.container()
        program, *words = [*container["command"], *container["args"]]
        assert program == "kopf"
        set_by_chart = {one["name"]: one["value"] for one in container["env"]}
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TIDEGATE_", "KUBERNETES_"))}
        any_port = {"TIDEGATE_LISTEN_PROBES": "0", "TIDEGATE_LISTEN_METRICS": "0"}  # a pod has all ports to itself
        environ = {**inherited, **set_by_chart, **any_port, **settings, "KUBECONFIG": str(self.kubeconfig())}
        environ |= {"PYTHONPATH": str(ROOT / "operator"), "PYTHONUNBUFFERED": "1"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kopf", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
                cwd=self.folder,
            )
        eventually(self._leads, 60, f"the operator leads; {self.tail()}")

    def stop(self) -> None:
        """SIGTERM, as the kubelet does."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)

    def freeze(self, frozen: bool = True) -> None:
        """Let the process hang with all its connections open, or go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    @property
    def log(self) -> Path:
        """What the process says."""
        return self.folder / f"{self.namespace}.log"

    def tail(self) -> str:
        """The end of it."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:]) if self.log.exists() else ""

    def run_as_release(self) -> subprocess.CompletedProcess[str]:
        """Run the command of the pre-delete hook as its account."""
        text = self.helm("get", "hooks", FULLNAME)
        (job,) = [one for one in yaml.safe_load_all(text) if one]
        (container,) = job["spec"]["template"]["spec"]["containers"]
        program, *words = [*container["command"], *container.get("args", [])]
        assert program == "tidegate"
        environ = {one["name"]: one["value"] for one in container["env"]}
        environ |= {"KUBECONFIG": str(self.kubeconfig(f"{FULLNAME}-release")), "PYTHONPATH": str(ROOT / "operator")}
        return self.cluster.run(sys.executable, "-m", "tidegate.cli.main", *words, check=False, **environ)

    def _leads(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.tail()
        lease = self.cluster.find("Lease", self.namespace, FULLNAME)
        return bool((lease or {}).get("spec", {}).get("holderIdentity"))


def new_release(cluster: Cluster, folder: Path, name: str, **values: Any) -> Release:
    """A release in a new namespace; not installed."""
    return Release(cluster, cluster.namespace(name), values, folder)


def drop(release: Release) -> None:
    """Whatever a test came to: no process, no policy of the cluster and no namespace outlives it."""
    release.stop()
    release.cluster.run("helm", "uninstall", FULLNAME, "--namespace", release.namespace, "--no-hooks", check=False)
    release.cluster.drop_namespace(release.namespace)


# ---- the audit log


def asked(log: Path, user: str) -> Iterator[Json]:
    """Finished requests of a user."""
    for line in lines_of(log):
        if user in line and '"ResponseComplete"' in line:
            entry = json.loads(line)
            if entry["user"]["username"] == user:
                yield entry


def used(log: Path, user: str) -> Counter[Request]:
    """What a user asked for, and how often; discovery apart, which everybody may."""
    found: Counter[Request] = Counter()
    for entry in asked(log, user):
        if ref := entry.get("objectRef"):
            name = "/".join(part for part in (ref["resource"], ref.get("subresource")) if part)
            found[ref.get("apiGroup", ""), name, entry["verb"]] += 1
    return found


def forbidden(log: Path, user: str) -> list[str]:
    """Requests of a user that were answered with 403."""
    refused = (e for e in asked(log, user) if e.get("responseStatus", {}).get("code") == 403)
    return [f"{e['verb']} {e['requestURI']}" for e in refused]


def unique(word: str) -> str:
    """A name that nobody has."""
    return f"{word}{uuid.uuid4().hex[:6]}"
