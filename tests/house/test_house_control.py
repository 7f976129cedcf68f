"""Nothing in ``control`` sleeps, spawns or knows the time: whoever drives its rounds does."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from project_tree import ROOT

CONTROL = ROOT / "operator" / "tidegate" / "control"
FORBIDDEN_MODULES = {"time", "datetime", "threading", "multiprocessing", "concurrent", "subprocess", "random", "os"}
FORBIDDEN_CALLS = {"sleep", "create_task", "ensure_future", "timeout", "wait_for", "call_later", "to_thread", "run"}
ONE_PLACE = ("rounds.py", "ensure_future")
"""``limited`` keeps the jobs of one turn apart, and waits for all of them."""


def offences(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            names = []
        found += [f"imports {name}" for name in names if name.partition(".")[0] in FORBIDDEN_MODULES]
        of_asyncio = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "asyncio"
        if of_asyncio and node.attr in FORBIDDEN_CALLS and (path.name, node.attr) != ONE_PLACE:
            found.append(f"asyncio.{node.attr}, line {node.lineno}")
    return found


@pytest.mark.parametrize("path", sorted(CONTROL.glob("*.py")), ids=lambda path: path.name)
def test_nothing_in_control_sleeps_spawns_or_knows_the_time(path: Path) -> None:
    assert offences(path) == []


def test_the_check_finds_what_it_looks_for(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("import time\nimport asyncio\n\nasyncio.create_task\n")
    assert offences(bad) == ["imports time", "asyncio.create_task, line 4"]
