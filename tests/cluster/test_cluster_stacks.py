"""Everything that the components render is taken by a real API server, field by field.

Strict server-side apply with the real CRDs: a field that does not exist, or stands in the wrong place, is refused.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]")

from samples import EACH  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CRDS = os.environ.get("TIDEGATE_TEST_CRDS", "")

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
    return kubectl(
        "apply", "--server-side", "--validate=strict", "--field-manager=pulumi-kubernetes", "-f", "-", given=given
    )


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """A namespace on a server that knows every kind that is rendered."""
    for folder in (CRDS, str(ROOT / "charts/tidegate/files/crds")):
        made = kubectl("apply", "--server-side", "--force-conflicts", "-f", folder)
        assert made.returncode == 0, made.stderr
    established = kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    assert established.returncode == 0, established.stderr
    name = f"ground-{uuid.uuid4().hex[:8]}"
    assert kubectl("create", "namespace", name).returncode == 0
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def rendered(component: str, namespace: str) -> list[dict[str, Any]]:
    """Objects of a component as they are registered; those of the cluster under a name of their own."""
    name = f"c{uuid.uuid4().hex[:8]}"

    def placed(value: str) -> str:
        return namespace if value == "shop" else value

    return [one.inputs for one in ground.lay(lambda: EACH[component](name, placed))[1].objects]


@pytest.mark.parametrize("component", EACH)
def test_the_server_takes_every_object_strictly(component: str, namespace: str) -> None:
    objects = rendered(component, namespace)
    assert objects
    of_cluster = []
    try:
        for one in objects:
            done = apply(one)
            assert done.returncode == 0, f"{one['kind']} {one['metadata']['name']}: {done.stderr}"
            assert "Warning" not in done.stderr, done.stderr
            if "namespace" not in one["metadata"]:
                of_cluster.append(one)
    finally:
        for one in reversed(of_cluster):
            kubectl("delete", "--wait=false", "-f", "-", given=one)


@pytest.mark.parametrize("component", EACH)
def test_a_field_that_does_not_exist_would_have_been_refused(component: str, namespace: str) -> None:
    """The claim above can fail."""
    broken = next(one for one in rendered(component, namespace) if "spec" in one)
    broken["spec"]["noSuchField"] = 1
    done = apply(broken)
    assert done.returncode != 0
    assert "noSuchField" in done.stderr
