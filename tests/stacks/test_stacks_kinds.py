"""mypy reads our objects with pulumi-kubernetes' types: a misspelt property fails before any cluster sees it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from tidegate_stacks import objects

ROOT = Path(__file__).resolve().parents[2]

MISSPELT = {
    '"minReplicas"': '"minReplica"',  # HorizontalPodAutoscaler
    '"maxUnavailable": unavailable,': '"maxUnavailables": unavailable,',  # PodDisruptionBudget
    '"targetPort"': '"targetport"',  # Service
    '"podManagementPolicy"': '"podManagementpolicy"',  # StatefulSet
    '"policyTypes"': '"policyType"',  # NetworkPolicy
    '"strategy"': '"updateStrategy"',  # Deployment: a StatefulSet's word
    '"automountServiceAccountToken"': '"automountServiceAccount"',  # a pod
    '"livenessProbe"': '"livenessprobe"',  # a container
    '"readOnlyRootFilesystem"': '"readOnlyRootFileSystem"',  # its security
    '"whenUnsatisfiable"': '"whenUnsatisfied"',  # its place
    '"failureThreshold"': '"failureTreshold"',  # a probe
}
"""A property of each kind as it is written in objects.py, and the same with a slip."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What mypy says of copies of objects.py, each with one slip; one copy has none."""
    folder = tmp_path_factory.mktemp("kinds")
    source = Path(objects.__file__).read_text(encoding="utf-8")
    files = {}
    for number, (right, wrong) in enumerate([("", ""), *MISSPELT.items()]):
        assert right in source, f"{right} is written in objects.py"
        files[wrong] = folder / f"slip{number}.py"
        files[wrong].write_text(source.replace(right, wrong, 1), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--cache-dir",
        str(ROOT / ".mypy_cache" / "stacks"),
        *map(str, files.values()),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=dict(os.environ))
    said = [line for line in done.stdout.splitlines() if ": error:" in line]
    return {wrong: [line for line in said if path.name in line] for wrong, path in files.items()}


def test_as_it_is_written_nothing_is_wrong(found: dict[str, list[str]]) -> None:
    assert found[""] == []


@pytest.mark.parametrize("wrong", MISSPELT.values())
def test_a_misspelt_property_fails_the_check(found: dict[str, list[str]], wrong: str) -> None:
    name = re.findall(r'"(\w+)"', wrong)[0]
    assert any(name in line and "TypedDict" in line for line in found[wrong]), found[wrong]


def test_no_program_imports_the_types() -> None:
    """They cost a second and 100 MB."""
    program = (
        "import sys, tidegate_stacks.together; print([n for n in sys.modules if n.startswith('pulumi_kubernetes')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_types_are_what_pulumi_kubernetes_says() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "stacks" / "kinds.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
