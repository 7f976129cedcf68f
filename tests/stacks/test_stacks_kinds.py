"""mypy reads our objects with pulumi-kubernetes' types: a misspelt property fails before any cluster sees it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
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


def test_every_object_bears_the_type_that_pulumi_import_asks_for() -> None:
    """Built-in kinds by the provider's own list, so that what exists can be imported under the same type."""
    from test_stacks_preflight import BUILT_IN
    from test_stacks_projects import laid_in_order

    known = find_spec("pulumi_kubernetes")
    assert known
    assert known.origin
    listed = Path(known.origin).read_text(encoding="utf-8")
    objects_of_all = [one for made in laid_in_order("prod").values() for one in made.objects]
    built_in = {one.type for one in objects_of_all if one.type.split(":")[1].split("/")[0] in (*BUILT_IN, "core")}
    assert len(built_in) > 8
    assert [token for token in built_in if f'"{token}"' not in listed] == []
