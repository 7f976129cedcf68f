"""The page of settings says of every setting what it takes, what it is by default and what it means."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from samples import CHART

from tidegate_stacks.together import Together

SCRIPT = CHART.parents[1] / "stacks" / "settings.py"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@pytest.fixture(scope="module")
def page(script: dict[str, Any]) -> str:
    return str(script["page"]())


def settings_of(model: Any, found: dict[str, Any]) -> dict[str, Any]:
    """Every class of arguments that a stack's configuration can hold."""
    found[model.__name__] = model
    for field in model.model_fields.values():
        for inner in re.findall(r"tidegate_stacks\.[a-z_.]+\.([A-Za-z]+Args)", str(field.annotation)):
            if inner not in found:
                kind = next(one for one in _classes(field.annotation) if one.__name__ == inner)
                settings_of(kind, found)
    return found


def _classes(annotation: Any) -> list[Any]:
    from typing import get_args

    inner = [one for part in get_args(annotation) for one in _classes(part)]
    return [annotation, *inner] if isinstance(annotation, type) else inner


def test_every_setting_of_every_class_stands_on_the_page(page: str) -> None:
    models = settings_of(Together, {})
    assert len(models) > 20
    for name, model in models.items():
        if name != "Together":
            for setting in model.model_fields:
                assert f"\n| `{setting}` | " in page, f"{name}.{setting}"


def test_no_setting_is_without_words(page: str) -> None:
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 150
    assert [row for row in rows if row.rstrip("| ").endswith("|") or row.endswith("|  |")] == []


def test_every_link_on_the_page_leads_somewhere(page: str) -> None:
    headings = {title.lower() for title in re.findall(r"^#+ (\w+)$", page, flags=re.MULTILINE)}
    assert set(re.findall(r"\(#([a-z]+)\)", page)) <= headings


def test_the_page_that_is_committed_is_the_page_that_would_be_made(
    script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script["main"](["--check"]) == 0
    stale = tmp_path / "ground.md"
    stale.write_text("# Settings of the ground\n")
    monkeypatch.setitem(script["main"].__globals__, "PAGE", stale)
    monkeypatch.setitem(script["main"].__globals__, "ROOT", tmp_path)
    assert script["main"](["--check"]) == 1
    assert "run make docs-ground" in capsys.readouterr().err
    assert script["main"]([]) == 0
    assert script["main"](["--check"]) == 0
