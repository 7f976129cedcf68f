"""Everything that the components render is taken by a real API server, field by field.

Strict server-side apply with the real CRDs: a field that does not exist, or stands in the wrong place, is refused.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-cluster-ground")

from samples import CHART, EACH, as_it_is  # noqa: E402
from standin import MANAGER  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CRDS = os.environ.get("TIDEGATE_TEST_CRDS", "")
"""Folders with a colon between them. CloudNativePG's have to be there; where Gateway API's, cert-manager's and
ExternalDNS's are, the components that use those are looked at too."""

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not os.environ.get("KUBECONFIG"), reason="needs a real API server: set KUBECONFIG"),
    pytest.mark.skipif(
        not CRDS,
        reason="needs the CRDs of CloudNativePG, served beside Kueue's: set TIDEGATE_TEST_CRDS to their folder",
    ),
]


def kubectl(*arguments: str, given: Any = None) -> subprocess.CompletedProcess[str]:
    """Run kubectl; objects are passed as JSON."""
    text = None if given is None else json.dumps(given)
    return subprocess.run(["kubectl", *arguments], input=text, capture_output=True, text=True, timeout=60, check=False)


def apply(given: Any) -> subprocess.CompletedProcess[str]:
    """Server-side apply as Pulumi's provider does it, every unknown field refused."""
    return kubectl("apply", "--server-side", "--validate=strict", f"--field-manager={MANAGER}", "-f", "-", given=given)


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """A namespace on a server that knows every kind that is rendered."""
    for folder in (*CRDS.split(":"), str(ROOT / "charts/tidegate/files/crds")):
        # In Pulumi's name: another's would be in the way of a stack that brings other versions of the operator's kinds.
        made = kubectl("apply", "--server-side", "--force-conflicts", f"--field-manager={MANAGER}", "-f", folder)
        assert made.returncode == 0, made.stderr
    established = kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    assert established.returncode == 0, established.stderr
    name = f"ground-{uuid.uuid4().hex[:8]}"
    assert kubectl("create", "namespace", name).returncode == 0
    # Pods that fall short of the restricted standard would be answered with a warning.
    assert kubectl("label", "namespace", name, "pod-security.kubernetes.io/warn=restricted").returncode == 0
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def rendered(component: str, namespace: str) -> list[Any]:
    """Objects of a component as they are registered, in the tests' namespace; the cluster's own under a new name."""
    name = f"c{uuid.uuid4().hex[:8]}"
    objects = [one.inputs for one in ground.lay(lambda: EACH[component](name, as_it_is))[1].objects]
    for one in objects:
        if "namespace" in one["metadata"]:
            one["metadata"]["namespace"] = namespace
        elif one["kind"] == "Namespace":
            one["metadata"]["name"] += "-" + name
    return objects


def helm_rendered(namespace: str) -> list[Any]:
    """Objects of the operator's chart as the Operator component renders it, hooks left out as Pulumi does."""
    (chart,) = [
        one
        for one in ground.lay(lambda: EACH["operator"]("tidegate", as_it_is))[1].resources
        if one.name == "tidegate" and one.kind == "Chart"
    ]
    folder, values = chart.inputs["chart"], json.dumps(chart.inputs.get("values", {}))
    command = ["helm", "template", "tidegate", folder, "--namespace", namespace, "--no-hooks", "--values", "-"]
    done = subprocess.run(command, input=values, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def not_served(objects: list[Any]) -> set[str]:
    """API versions that the server does not know."""
    known = set(kubectl("api-versions").stdout.split())
    return {one["apiVersion"] for one in objects} - known


def take(objects: list[Any], namespace: str) -> None:
    """Apply all of them for real; AssertionError at the first that is refused or warned of."""
    of_cluster = [one for one in objects if "namespace" not in one["metadata"]]
    try:
        for one in objects:
            done = apply(one)
            assert done.returncode == 0, f"{one['kind']} {one['metadata']['name']}: {done.stderr}"
            assert "Warning" not in done.stderr, done.stderr
            assert one["metadata"].get("namespace", namespace) == namespace
    finally:
        for one in reversed(of_cluster):
            if one["kind"] != "CustomResourceDefinition":
                kubectl("delete", "--wait=false", "--ignore-not-found", "-f", "-", given=one)


@pytest.mark.parametrize("component", [name for name in EACH if name != "operator"])
def test_the_server_takes_every_object_strictly(component: str, namespace: str) -> None:
    objects = rendered(component, namespace)
    assert objects
    if missing := not_served(objects):
        pytest.skip(f"needs the CRDs of {', '.join(sorted(missing))}: name their folders in TIDEGATE_TEST_CRDS")
    take(objects, namespace)


@pytest.mark.skipif(not (CHART / "Chart.yaml").exists(), reason="the operator's chart is not there")
@pytest.mark.skipif(not shutil.which("helm"), reason="needs helm on PATH")
def test_the_server_takes_every_object_of_the_operator_s_chart_strictly(namespace: str) -> None:
    objects = helm_rendered(namespace)
    assert {"Deployment", "ServiceAccount", "CustomResourceDefinition"} <= {one["kind"] for one in objects}
    take(objects, namespace)


@pytest.mark.parametrize("component", [name for name in EACH if name not in ("operator", "namespaces")])
def test_a_field_that_does_not_exist_would_have_been_refused(component: str, namespace: str) -> None:
    """The claim above can fail."""
    objects = rendered(component, namespace)
    broken = next((one for one in objects if "spec" in one), objects[0])
    broken.get("spec", broken)["noSuchField"] = 1
    done = apply(broken)
    assert done.returncode != 0
    assert "noSuchField" in done.stderr
