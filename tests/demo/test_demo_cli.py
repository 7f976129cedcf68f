"""``tidegate demo``: where its result is written, and what is said where it cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tidegate.cli.main import app
from tidegate.demo.evening import run as evening
from tidegate.demo.outcome import Outcome


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[Path | None]:
    """Paths that were told; the evening itself is not played."""
    told: list[Path | None] = []
    found = Outcome({"lost": 0.5}, page=lambda: "<html>", drawing=lambda: "<svg>", tell=told.append)
    monkeypatch.setattr(evening, "play", lambda *_, **__: found)
    return told


def run(*given: object) -> Result:
    return CliRunner().invoke(app, ["demo", *map(str, given)])


def test_the_result_is_shown_where_a_file_cannot_be_written_and_that_is_told(
    tmp_path: Path, played: list[Path | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    report, picture = tmp_path / "r.html", tmp_path / "p.svg"
    done = run("--report", report, "--picture", picture)
    assert (done.exit_code, played) == (2, [None])
    assert done.stderr.splitlines() == [
        f"--report: {report}: No space left on device; what was played is shown all the same",
        f"--picture: {picture}: No space left on device; what was played is shown all the same",
    ]
    done = run("--report", report, "-o", "json")
    assert (done.exit_code, json.loads(done.stdout)) == (2, {"lost": 0.5})


@pytest.mark.parametrize(
    ("option", "file", "says"),
    [
        ("--report", "none/r.html", "none is no folder; give a file in one that is there"),
        ("--picture", "none/p.svg", "none is no folder; give a file in one that is there"),
        ("--report", "", "is a folder; give a file in it"),
    ],
)
def test_a_place_where_nothing_can_be_written_is_told_before_anything_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, file: str, says: str
) -> None:
    monkeypatch.setattr(evening, "play", lambda *_, **__: pytest.fail("played"))
    files = {"--report": tmp_path / "r.html", option: tmp_path / file}
    done = run(*(part for pair in files.items() for part in pair))
    assert (done.exit_code, says in done.stderr) == (2, True), done.output


def test_report_and_picture_are_written(tmp_path: Path, played: list[Path | None]) -> None:
    report, picture = tmp_path / "r.html", tmp_path / "p.svg"
    assert run("--report", report, "--picture", picture).exit_code == 0
    assert (report.read_text(), picture.read_text(), played) == ("<html>", "<svg>", [report])
