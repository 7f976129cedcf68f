"""What is installed is what is tested: the wheel holds our packages and nothing else, and works by itself."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from project_tree import ROOT

pytestmark = pytest.mark.timeout(600)

PACKAGES = {"tidegate": "operator", "tidegate_policies": "policies", "tidegate_stacks": "stacks"}
"""Packages of the wheel, with the folder that each lies in."""

PROBE = ["install", "--dry-run", "--quiet", "--no-deps", "--ignore-installed", "--no-cache-dir", "hatchling"]


def pip(*arguments: str, python: Path | str = sys.executable, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run pip; its own configuration decides where packages come from."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def _packages() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: list[str] = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert "operator/tidegate" in found
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built as pip builds it."""
    if pip(*PROBE, check=False).returncode:
        pytest.skip("pip cannot reach its index: the wheel needs its build backend from there")
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), ".")
    built = list(folder.glob("*.whl"))
    assert len(built) == 1
    return built[0]


def test_the_wheel_holds_our_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    packages = [ROOT / package for package in _packages()]
    assert {top for top in tops if not top.endswith(".dist-info")} == {package.name for package in packages}
    assert "tidegate/py.typed" in names, "its types are meant to be used"
    assert any(name.endswith("licenses/LICENSE") for name in names)
    sources = {str(path.relative_to(package.parent)) for package in packages for path in package.rglob("*.py")}
    assert sources <= set(names)


def test_the_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True, symlinks=True)
    binaries = tmp_path / "env" / "bin"
    pip("install", "--quiet", "--no-compile", "--constraint", "constraints.txt", str(wheel), python=binaries / "python")
    for program in ("tidegate", "kubectl-tidegate"):
        said = subprocess.run([binaries / program, "version"], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert said.stdout.startswith("tidegate ")
    sample = [binaries / "tidegate", "sample", "flash-sale"]
    printed = subprocess.run(sample, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "kind: ScalingPolicy" in printed, "the wheel brings the presets along"
    modules = ("cli.main", "shell.app", "demo.evening.run", "demo.night.run", "embedded.server", "simulation.score")
    program = f"import {', '.join(f'tidegate.{module}' for module in modules)}"
    subprocess.run([binaries / "python", "-W", "error::ImportWarning", "-c", program], cwd=tmp_path, check=True)
