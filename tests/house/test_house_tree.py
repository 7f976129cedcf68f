"""What holds of the tree as a whole: what may lie where, what may stand in it, how long a file may be."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest
from project_tree import ROOT, texts, tracked

LONGEST = 450
"""Lines of a Python file: one that is longer holds two ideas."""

STRANGERS = {
    "a path of somebody's machine": r"(?<![\w.])/(?:root|home|Users|work)/\w",
    "the address of a package index": r"(?:py(?#)pi|pythonhosted)\.org|proxy\.golang|--(?:extra-)?index-url",
    "a word of how it was made": (
        r"(?i:\b(?:sub-?agents?\b|helper[ ]session|(?<!kubernetes )(?<!kopf )issues? #?\d|session #?\d"
        r"|(?:this|an earlier|the previous|the next)[ ]session\b))"
    ),
    "an unresolved merge": r"^(?:<{7}|>{7}) ",
}
"""What a tracked file may not hold, as regular expressions."""


def test_the_folder_operator_never_becomes_a_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists(), "it would hide the standard library's operator"


def test_python_in_the_root_still_has_the_standard_library_s_operator() -> None:
    program = "import operator, collections; print(operator.add(1, 2), hasattr(operator, '__file__'))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "3 True", "")


def test_no_test_lies_below_operator() -> None:
    found = [p for p in (ROOT / "operator").rglob("*.py") if re.fullmatch(r"test_.*|.*_test|conftest", p.stem)]
    assert found == []


def test_no_module_of_ours_bears_a_name_of_the_standard_library_at_the_top() -> None:
    tops = {p.stem for p in (ROOT / "operator").iterdir() if not p.name.startswith((".", "__"))}
    assert tops == {"tidegate"}


def test_names_of_test_files_are_unique() -> None:
    names = [p.name for p in (ROOT / "tests").rglob("*.py") if p.name not in ("conftest.py", "__init__.py")]
    assert sorted(names) == sorted(set(names)), "tests import their helpers by plain name"


@pytest.mark.parametrize("what", STRANGERS)
def test_no_file_holds(what: str) -> None:
    pattern = re.compile(STRANGERS[what], re.MULTILINE)
    found = [f"{name}: {match[0]!r}" for name, text in texts() if (match := pattern.search(text))]
    assert found == [], f"{what} in the tree"


def test_no_python_file_holds_two_ideas() -> None:
    lengths = {p.relative_to(ROOT): p.read_text(encoding="utf-8").count("\n") for p in tracked() if p.suffix == ".py"}
    assert {str(path): lines for path, lines in lengths.items() if lines > LONGEST} == {}


@pytest.mark.parametrize("extra", ["dev", "stacks", "policies", "mutants"])
def test_constraints_are_plain_versions_of_everything_that_is_installed_directly(extra: str) -> None:
    files = ["constraints.txt"] if extra == "dev" else ["constraints.txt", f"constraints-{extra}.txt"]
    lines = [line for file in files for line in (ROOT / file).read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)] == []
    pinned = [_name(line.partition("==")[0]) for line in lines]
    assert len(pinned) == len(set(pinned)), "each is pinned once: the files hold for one environment together"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"][extra]]
    names = {_name(re.split(r"[<>=!~;\[ ]", one, maxsplit=1)[0]) for one in wanted}
    assert names - set(pinned) == set()


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
