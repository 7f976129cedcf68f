"""A watched namespace under the chart's admission policies, and people in it who are impersonated.

Nobody here is an operator's process. Everybody holds the RBAC rights that an attack needs, so that what refuses is the
policy and nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from chart_release import Release, drop, new_release
from harness import Cluster, Json, eventually, tool
from shop import deployment, hpa

KUBECONFIG = os.environ.get("KUBECONFIG")


def _missing() -> str:
    if not KUBECONFIG:
        return "needs an API server, found by KUBECONFIG"
    absent = [name for name in ("helm", "kubectl") if tool(name) is None]
    return f"needs {' and '.join(absent)}, in $TIDEGATE_TOOLS/bin or on PATH" if absent else ""


ON_A_SERVER = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(_missing()), reason=_missing()),
    pytest.mark.timeout(300),
]

_MORE = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "patch"]},
    {
        "apiGroups": ["tidegate.dev"],
        "resources": ["liveevents/status", "overrides/status", "scalingpolicies/status"],
        "verbs": ["get"],
    },
]
"""Of the operator, beside what the chart gives it: Jobs are its to suspend in cluster scope only, and kubectl reads
before it patches."""

LOAN_SPEC: Json = {
    "target": {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "namespace": "",
        "name": "web",
        "uid": "11111111-2222-3333-4444-555555555555",
    },
    "field": "/spec/minReplicas",
    "policyRef": {"namespace": "", "name": "shop"},
    "targetName": "web",
    "original": 3,
    "pending": 20,
    "verified": 20,
    "highest": 20,
    "startedAt": "2026-11-10T12:00:00.000Z",
    "steppedAt": "2026-11-10T12:00:00.000Z",
    "until": "2026-11-10T14:00:00.000Z",
    "epoch": 1,
}


class Shop:
    """A watched namespace with a workload, and people."""

    def __init__(self, release: Release, namespace: str) -> None:
        self.release = release
        self.cluster = release.cluster
        self.namespace = namespace
        self.operator = release.user()

    def kubectl(self, user: str, *words: str, given: Json | None = None) -> subprocess.CompletedProcess[str]:
        """Kubectl as somebody."""
        program = tool("kubectl")
        assert program is not None
        command = [program, "--kubeconfig", self.cluster.kubeconfig, "--as", user, "--namespace", self.namespace]
        text = None if given is None else json.dumps(given)
        return subprocess.run([*command, *words], input=text, capture_output=True, text=True, timeout=30, check=False)

    def apply(self, user: str, obj: Json) -> subprocess.CompletedProcess[str]:
        """Make or change an object as somebody."""
        return self.kubectl(user, "apply", "--server-side", "--force-conflicts", "-f", "-", given=obj)

    def patch(self, user: str, what: str, change: Any, *more: str) -> subprocess.CompletedProcess[str]:
        """Merge something into an object as somebody."""
        return self.kubectl(user, "patch", what, "--type=merge", "-p", json.dumps(change), *more)

    def loan(self, name: str, **spec: Any) -> Json:
        """A Loan as the operator writes it."""
        full = deepcopy(LOAN_SPEC) | spec
        full["target"]["namespace"] = full["policyRef"]["namespace"] = self.namespace
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": "tidegate.dev/v1alpha1", "kind": "Loan", "metadata": metadata, "spec": full}

    def override(self, name: str, *, author: str, **spec: Any) -> Json:
        """An Override of the shop's policy."""
        full = {
            "policyRef": {"name": "shop"},
            "action": "Hold",
            "until": "2026-11-11T02:00:00+08:00",
            "author": author,
            "reason": "the link drops again at one",
        }
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": "tidegate.dev/v1alpha1", "kind": "Override", "metadata": metadata, "spec": full | spec}


def refused(done: subprocess.CompletedProcess[str], why: str) -> None:
    """Refused by a policy of the chart, in these words."""
    assert done.returncode != 0, done.stdout
    assert "ValidatingAdmissionPolicy" in done.stderr, done.stderr
    assert why in done.stderr


def taken(done: subprocess.CompletedProcess[str]) -> None:
    """Accepted."""
    assert done.returncode == 0, done.stderr


@contextmanager
def admission_shop(folder: Path, rights: Mapping[str, Sequence[Json]], *, bots: Sequence[str] = ()) -> Iterator[Shop]:
    """The chart, installed without an operator's process; users with what RBAC lets them do in the shop."""
    cluster = Cluster(str(KUBECONFIG))
    cluster.open()
    watched = cluster.namespace("admission-shop")
    release = new_release(
        cluster,
        folder,
        "admission",
        rbac={"scope": "namespaces"},
        watchNamespaces=[watched],
        admissionPolicies={"mayNameOtherAuthors": list(bots)},
        replicas=0,
    )
    made = Shop(release, watched)
    try:
        release.install()
        for user, rules in rights.items():
            _grant(made, user, rules)
        _grant(made, made.operator, _MORE)
        for obj in (deployment(watched, "web", replicas=None), hpa(watched, "web")):
            cluster.apply(obj, manager="helm")
        # A policy acts some moments after it was made.
        eventually(lambda: made.kubectl("admin", *DRY, given=made.loan("early")).returncode != 0, 30, "policies act")
        yield made
    finally:
        drop(release)
        cluster.drop_namespace(watched)
        cluster.close()


DRY = ("create", "--dry-run=server", "--as-group=system:masters", "-f", "-")
"""Words for kubectl: try to make an object as an administrator."""


def _grant(shop: Shop, user: str, rules: list[Json]) -> None:
    rbac = "rbac.authorization.k8s.io"
    metadata = {"name": user, "namespace": shop.namespace}
    shop.cluster.create({"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": metadata, "rules": rules})
    binding = {
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": user},
        "subjects": [{"apiGroup": rbac, "kind": "User", "name": user}],
    }
    shop.cluster.create({"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": metadata, **binding})
