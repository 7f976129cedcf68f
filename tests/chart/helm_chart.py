"""The chart as a real Helm renders it, without a cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "tidegate"
NAMESPACE = "ops"


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Helm from ``$TIDEGATE_TOOLS/bin`` or PATH; skips the test where there is none."""
    folder = os.environ.get("TIDEGATE_TOOLS")
    found = (folder and shutil.which("helm", path=str(Path(folder) / "bin"))) or shutil.which("helm")
    if not found:
        pytest.skip("needs helm 4, in $TIDEGATE_TOOLS/bin or on PATH")
    environ = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    return subprocess.run([found, *words], capture_output=True, text=True, env=environ, timeout=60, check=False)


def render(folder: Path, **values: Any) -> list[Json]:
    """All objects of the chart for these values."""
    done = template(folder, **values)
    assert done.returncode == 0, done.stderr
    return [obj for obj in yaml.safe_load_all(done.stdout) if obj]


def template(folder: Path, **values: Any) -> subprocess.CompletedProcess[str]:
    """``helm template`` with these values."""
    path = folder / "values.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return helm("template", "tidegate", str(CHART), "--namespace", NAMESPACE, "--values", str(path))


def of_kind(objects: list[Json], kind: str) -> list[Json]:
    """Those of one kind."""
    return [obj for obj in objects if obj["kind"] == kind]


def one(objects: list[Json], kind: str, name: str = "tidegate") -> Json:
    """The one of that kind and name."""
    (found,) = [obj for obj in of_kind(objects, kind) if obj["metadata"]["name"] == name]
    return found


def pod_of(obj: Json) -> Json:
    """The pod spec of a Deployment or Job."""
    spec: Json = obj["spec"]["template"]["spec"]
    return spec


def default_values() -> Json:
    """``values.yaml``."""
    values: Json = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    return values
