"""A real API server takes our CRDs, refuses bad objects in our words, and takes every example and preset.

The CRDs are left as they are found afterwards: they are applied, never deleted. All objects are dry runs.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

ROOT = Path(__file__).parents[2]
TABLE = runpy.run_path(str(ROOT / "tests/api/bad_inputs.py"))
CASES = TABLE["cases"]()
FILES = sorted([*(ROOT / "examples").glob("*.yaml"), *(ROOT / "policies/scaling").glob("*.yaml")])

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not os.environ.get("KUBECONFIG"), reason="needs a real API server: set KUBECONFIG"),
]


def kubectl(*arguments: str, given: Any = None) -> subprocess.CompletedProcess[str]:
    """Run kubectl; objects are passed as JSON."""
    text = None if given is None else orjson.dumps(given).decode()
    return subprocess.run(["kubectl", *arguments], input=text, capture_output=True, text=True, timeout=30, check=False)


def dry_run(obj: dict[str, Any], namespace: str) -> subprocess.CompletedProcess[str]:
    """Ask the server whether it would take an object."""
    placed = {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}
    return kubectl("create", "--dry-run=server", "-f", "-", given=placed)


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """A namespace of a cluster whose CRDs are those of the chart, established."""
    applied = kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "charts/tidegate/files/crds"))
    assert applied.returncode == 0, applied.stderr
    crds = [f"crd/{name}.tidegate.dev" for name in ("liveevents", "loans", "scalingpolicies")]
    established = kubectl("wait", "--for=condition=Established", "--timeout=20s", *crds)
    assert established.returncode == 0, established.stderr
    name = f"crds-{uuid.uuid4().hex[:8]}"
    made = kubectl("create", "namespace", name)
    assert made.returncode == 0, made.stderr
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize("kind", sorted(TABLE["bases"]()))
def test_the_server_takes_the_object_that_the_changes_start_from(kind: str, namespace: str) -> None:
    taken = dry_run(TABLE["bases"]()[kind], namespace)

    assert taken.returncode == 0, taken.stderr


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_server_refuses_what_its_schema_can_see_in_words(case: Any, namespace: str) -> None:
    answer = dry_run(case.build(), namespace)

    if case.server is None:
        assert answer.returncode == 0, answer.stderr
    else:
        assert answer.returncode != 0
        assert case.server in answer.stderr


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_the_server_takes_every_example_and_preset(path: Path, namespace: str) -> None:
    for obj in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        taken = dry_run(obj, namespace)
        assert taken.returncode == 0, taken.stderr


def test_the_server_fills_in_the_defaults_of_the_models(namespace: str) -> None:
    policy = TABLE["bases"]()["ScalingPolicy"]
    placed = {**policy, "metadata": {**policy["metadata"], "namespace": namespace}}
    stored = orjson.loads(kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", given=placed).stdout)["spec"]

    assert (stored["mode"], stored["quantilePercent"], stored["blindMaxSeconds"]) == ("Observe", 95, 1800)
    assert stored["release"] == {"holdSeconds": 900, "maxStepPercentPerMinute": 20}
    assert stored["targets"][0]["stage"] == {"name": "app", "settleSeconds": 0}
    assert stored["targets"][0]["leadTime"] == {"guessSeconds": 60, "machineSeconds": 0}


def test_a_loan_never_moves_to_another_field(namespace: str) -> None:
    loan = TABLE["bases"]()["Loan"]
    placed = {**loan, "metadata": {**loan["metadata"], "namespace": namespace}}
    assert kubectl("create", "-f", "-", given=placed).returncode == 0

    moved = {**placed, "spec": {**placed["spec"], "field": "/spec/replicas"}}
    raised = {**placed, "spec": {**placed["spec"], "pending": 3000}}

    refused = kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", given=moved)
    assert "target and field of a loan never change" in refused.stderr
    assert (
        kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", given=raised).returncode
        == 0
    )


def test_kubectl_get_answers_is_it_all_right_what_is_next_and_when(namespace: str) -> None:
    event = TABLE["bases"]()["LiveEvent"]
    placed = {**event, "metadata": {**event["metadata"], "namespace": namespace}}
    assert kubectl("create", "-f", "-", given=placed).returncode == 0
    condition = {"status": "True", "reason": "Armed", "message": "", "lastTransitionTime": "2026-11-01T00:00:00Z"}
    status = {
        "observedGeneration": 1,
        "conditions": [{"type": "Ready", **condition}, {"type": "OnTime", **condition, "reason": "Ready"}],
        "nextOccurrence": {
            "start": "2026-11-10T12:00:00Z",
            "startLocal": "2026-11-10T20:00:00+08:00",
            "end": "2026-11-10T14:00:00Z",
            "endLocal": "2026-11-10T22:00:00+08:00",
        },
        "share": [{"target": "order-service", "units": 12}],
        "outcome": "Ready",
        "verdict": "Ready: all targets stand at their floors.",
    }
    patch = orjson.dumps({"status": status}).decode()
    name = event["metadata"]["name"]
    patched = kubectl(
        "patch", "lev", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch, "-o", "json"
    )

    assert orjson.loads(patched.stdout)["status"] == status, "the schema prunes nothing of a status"
    heading, row = kubectl("get", "tidegate", "-n", namespace).stdout.splitlines()[:2]
    assert heading.split() == ["NAME", "READY", "VERDICT", "BLOCKED-BY", "NEXT", "LIVE", "POLICY", "AGE"]
    assert row.split()[1:4] == ["True", "Ready", "2026-11-10T20:00:00+08:00"]
