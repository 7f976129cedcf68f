"""The policy pack in a real Pulumi engine, over objects on a real API server, before and after updates.

The engine, the pack's runtime and the API server are real; managedFields are the server's own. The Kubernetes provider
is our stand-in (tests/stacks/standin.py). The engine's own program that starts a pack in Python comes with Pulumi's
distribution; here a script of its name does what it does: run the folder in the pack's environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

auto = pytest.importorskip("pulumi.automation", reason="needs the extra [stacks]: make test-cluster-ground")

import pulumi  # noqa: E402
from harness import ROOT, Cluster, tool  # noqa: E402
from standin import serving  # noqa: E402

from tidegate_stacks.component import Manifest  # noqa: E402

PYTHON = ROOT / ".venv-policies" / "bin" / "python"
PACK = ROOT / "policies" / "pack"

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not os.environ.get("KUBECONFIG"), reason="needs a real API server: set KUBECONFIG"),
    pytest.mark.skipif(not tool("pulumi"), reason="needs the pulumi program on PATH"),
    pytest.mark.skipif(not PYTHON.exists(), reason="needs .venv-policies: make test-policies"),
]


@dataclass
class Shop:
    """A stack of one Deployment and the policy that names it."""

    cluster: Cluster
    namespace: str
    folder: Path
    environment: dict[str, str]
    spec: dict[str, Any] = field(default_factory=dict)
    ignores: list[str] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)

    def stack(self) -> Any:
        options = auto.LocalWorkspaceOptions(work_dir=str(self.folder), env_vars=self.environment)
        return auto.create_or_select_stack(stack_name="dev", project_name="shop", program=self._declare, opts=options)

    def refused(self, run: Callable[..., Any]) -> str:
        """What the pack says against an operation, which it has to refuse."""
        with pytest.raises(auto.CommandError) as error:
            run(policy_packs=[str(PACK)])
        return str(error.value)

    def passes(self, run: Callable[..., Any]) -> dict[str, int]:
        """What an operation changes, with the pack."""
        done = run(policy_packs=[str(PACK)])
        changes = done.change_summary if hasattr(done, "change_summary") else done.summary.resource_changes
        return {str(getattr(kind, "value", kind)): count for kind, count in changes.items()}

    def _declare(self) -> None:
        labels = {"app": "orders"}
        container = {"name": "app", "image": "shop/orders:1", "resources": {"requests": {"cpu": "1000m"}}}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        spec = {"selector": {"matchLabels": labels}, "template": template, **self.spec}
        self._put("apps/v1", "Deployment", "orders", spec, self.ignores, self.annotations)
        ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "orders"}
        target = {"name": "orders", "ref": ref, "capacity": {"orders_per_second": 100}, "max": 9}
        self._put("tidegate.dev/v1alpha1", "ScalingPolicy", "events", {"targets": [target]}, [], {})

    def _put(self, api: str, kind: str, name: str, spec: Any, ignores: list[str], notes: dict[str, str]) -> None:
        metadata = {"name": name, "namespace": self.namespace, "annotations": notes}
        given = {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}
        Manifest(name, given, pulumi.ResourceOptions(ignore_changes=ignores))

    def live(self) -> Any:
        """The Deployment as it is."""
        return self.cluster.send("GET", f"apis/apps/v1/namespaces/{self.namespace}/deployments/orders")

    def managers(self) -> set[str]:
        """Who wrote it."""
        return {entry["manager"] for entry in self.live()["metadata"]["managedFields"]}

    def announce(self, minutes: int) -> None:
        """An event of the policy that begins in so many minutes."""
        start = (datetime.now(UTC) + timedelta(minutes=minutes)).replace(tzinfo=None).isoformat(timespec="seconds")
        schedule = {"startTime": start, "timeZone": "UTC", "durationSeconds": 7200}
        spec = {"schedule": schedule, "expected": {"orders_per_second": "500"}, "policyRef": {"name": "events"}}
        metadata = {"name": "double-11", "namespace": self.namespace}
        given = {"apiVersion": "tidegate.dev/v1alpha1", "kind": "LiveEvent", "metadata": metadata, "spec": spec}
        self.cluster.apply(given, manager="people", force="true")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """An empty namespace, and an engine that can start packs."""
    cluster = Cluster(os.environ["KUBECONFIG"])
    cluster.open()
    cluster.install_crds()
    namespace = cluster.namespace("rules")
    programs = tmp_path / "bin"
    programs.mkdir()
    starter = programs / "pulumi-analyzer-policy-python"
    starter.write_text(f'#!/bin/sh\nexec "{PYTHON}" -u "{PACK}"\n')
    starter.chmod(0o755)
    (tmp_path / "state").mkdir()
    with serving(cluster, version("pulumi-kubernetes"), str(tmp_path)) as port:
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
            "PULUMI_HOME": str(tmp_path / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DEBUG_PROVIDERS": f"kubernetes:{port}",
            "KUBECONFIG": os.environ["KUBECONFIG"],
        }
        yield Shop(cluster, namespace, tmp_path, environment)
    cluster.drop_namespace(namespace)
    cluster.close()


def test_before_and_after_an_update_the_engine_refuses_replicas_that_the_operator_moves(shop: Shop) -> None:
    shop.spec = {"replicas": 2}
    stack = shop.stack()
    assert "a ScalingPolicy moves spec.replicas" in shop.refused(stack.preview)
    shop.ignores = ["spec.replicas"]
    assert shop.passes(stack.preview)["create"] == 3

    shop.ignores = []
    stack.up()  # without the pack: now the object is there, and outputs are the server's
    (manager,) = [one for one in shop.managers() if one.startswith("pulumi-kubernetes-")]
    assert len(manager) == len("pulumi-kubernetes-1f7b2c9a")
    shop.spec = {"replicas": 2, "minReadySeconds": 5}
    assert "a ScalingPolicy moves spec.replicas" in shop.refused(stack.preview)
    shop.ignores = ['spec["replicas"]']
    assert shop.passes(stack.up)["update"] == 1


def test_replicas_that_somebody_else_wrote_are_not_held_against_the_program(shop: Shop) -> None:
    stack = shop.stack()
    assert shop.passes(stack.up)["create"] == 3
    scale = f"apis/apps/v1/namespaces/{shop.namespace}/deployments/orders/scale"
    patch = [{"op": "replace", "path": "/spec/replicas", "value": 7}]
    shop.cluster.send("PATCH", scale, patch, form="application/json-patch+json", fieldManager="tidegate")
    shop.spec = {"minReadySeconds": 5}
    assert shop.passes(stack.up)["update"] == 1
    assert set(shop.passes(stack.up)) == {"same"}
    assert shop.cluster.send("GET", scale)["spec"]["replicas"] == 7


def test_in_a_peak_the_engine_refuses_a_change_and_lets_no_change_pass(shop: Shop) -> None:
    shop.environment["TIDEGATE_ASK_CLUSTER"] = "yes"
    stack = shop.stack()
    assert shop.passes(stack.up)["create"] == 3
    shop.announce(minutes=20)
    assert set(shop.passes(stack.up)) == {"same"}
    shop.spec = {"minReadySeconds": 5}
    said = shop.refused(stack.up)
    assert f"the event {shop.namespace}/double-11 stands on it" in said
    assert "change spec.minReadySeconds after it" in said
    assert shop.refused(stack.preview).count("change spec.minReadySeconds after it") == 2, "both rules see it"
    assert "minReadySeconds" not in shop.live()["spec"], "refused before it was changed"
    shop.annotations = {"tidegate.dev/allow": "no-change-in-a-peak: tonight's fix, agreed with the show"}
    assert shop.passes(stack.up)["update"] == 1
    shop.annotations = {}
    shop.announce(minutes=600)
    assert shop.passes(stack.up)["update"] == 1
