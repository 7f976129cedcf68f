"""What the pages say of failures is held: each row names its test, and each test that a page names exists."""

from __future__ import annotations

import ast
import re
from functools import cache

from project_tree import ROOT, pages

MODES = "docs/failure-modes.md"
TEST = re.compile(r"\b(test_\w+\.py)(?:::(\w+))?")
"""A file of tests, and one of them, as pages name them."""


@cache
def known() -> dict[str, frozenset[str]]:
    """Names of the tests of each file, by the file's name. Read, not imported: some need what is not installed here."""
    found = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        functions = (node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        found[path.name] = frozenset(name for name in functions if name.startswith("test_"))
    return found


def rows(text: str) -> list[list[str]]:
    """Cells of each row of each table, without heads."""
    body = re.sub(r"^\|.*\|\n\|[|:\- ]+\|$", "", text, flags=re.MULTILINE)
    lines = re.findall(r"^\|(.*)\|$", body, flags=re.MULTILINE)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines]


def without_a_test(text: str) -> list[str]:
    """First cells of the rows whose third one names no test."""
    return [cells[0] for cells in rows(text) if len(cells) != 3 or not TEST.search(cells[2])]


def unknown(text: str) -> list[str]:
    """Tests that a page names and that do not exist."""
    named = {(found[1], found[2]) for found in TEST.finditer(text)}
    return sorted(
        f"{file}::{name}" if name else file
        for file, name in named
        if file not in known() or (name and name not in known()[file])
    )


def test_each_row_of_the_failure_modes_names_the_test_that_holds_it() -> None:
    text = pages()[MODES]
    assert len(rows(text)) >= 100, "the tables are found"
    assert without_a_test(text) == [], f"{MODES}: name the test that fails when this is no longer so, in `held by`"


def test_each_test_that_a_page_names_exists() -> None:
    lost = {page: names for page, text in pages().items() if (names := unknown(text))}
    assert lost == {}, "renamed, moved or deleted: name the test that holds the sentence now"


def test_a_row_without_a_test_and_a_test_that_is_gone_would_be_found() -> None:
    head = "| what | what is done | held by |\n|---|---|---|\n"
    text = f"{head}| a | b | `test_house_rows.py` |\n| c | `x \\| y` |  |\n\n{head}| d | e |\n"
    assert without_a_test(text) == ["c", "d"]
    assert unknown("`test_house_rows.py::test_nothing`, `test_gone.py`, `test_house_rows.py`") == [
        "test_gone.py",
        "test_house_rows.py::test_nothing",
    ]
