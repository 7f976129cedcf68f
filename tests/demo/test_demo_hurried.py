"""Both demonstrations, several times faster than they are shown: the real operator, hurried, still does its work.

At its own speed it takes longer than a test should; what it promises there (less than 0.5 % lost, 1 % in the first 96 s
and ten minutes, at most 1.3 times the clairvoyant cost) is what ``tidegate demo`` prints.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tidegate.cli.main import app


@pytest.mark.timeout(120)
def test_the_hurried_evening_is_prepared_and_returned(tmp_path: Path) -> None:
    arguments = ["demo", "-o", "json", "--speed", "5", "--keep", str(tmp_path), "--report", str(tmp_path / "r.html")]
    result = CliRunner().invoke(app, arguments)
    log = (tmp_path / "operator.log").read_text()
    assert result.exit_code == 0, log[-3000:]
    figures = json.loads(result.stdout)
    assert figures["tidegate"]["lost_demand_percent"] < figures["hpa70"]["lost_demand_percent"] / 4
    assert figures["tidegate"]["lost_first_10min_percent"] < figures["hpa70"]["lost_first_10min_percent"] / 4
    assert figures["tidegate"]["writes"] > 0
    page = (tmp_path / "r.html").read_text()
    for service in ("order", "payment", "inventory", "chat", "cache"):
        assert f"{service}-service" in page
    assert "all floors were back at their owners&#x27; values, and no loan was left" in page
    assert "Traceback" not in log


@pytest.mark.timeout(180)
def test_in_the_hurried_night_work_is_lent_and_returned_and_nothing_is_sold_twice(tmp_path: Path) -> None:
    arguments = ["demo", "--scenario", "night", "-o", "json", "--speed", "3"]
    files = ["--keep", str(tmp_path), "--report", str(tmp_path / "r.html"), "--picture", str(tmp_path / "p.svg")]
    result = CliRunner().invoke(app, [*arguments, *files])
    log = (tmp_path / "operator.log").read_text()
    assert result.exit_code == 0, log[-3000:]
    figures = json.loads(result.stdout)
    assert figures["oversold_instants"] == 0
    assert figures["promise_kept"]
    assert figures["promises"]["kept"] > 40
    assert figures["returned"]
    assert figures["deadline_met"]
    assert figures["work_lost_unit_seconds"] < figures["work_done_unit_seconds"] / 50
    assert "running again" in (tmp_path / "r.html").read_text()
    assert "promised back" in (tmp_path / "p.svg").read_text()
    assert "Traceback" not in log
    assert "[ERROR" not in log
