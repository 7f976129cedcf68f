"""The night is played: how fast it passes, who plays it, and what is told of it in the end."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from tidegate.demo.night import demand as night
from tidegate.demo.night.notes import notes, returned
from tidegate.demo.night.objects import CREATION_RATE
from tidegate.demo.night.picture import picture
from tidegate.demo.night.report import report
from tidegate.demo.night.result import NightResult
from tidegate.demo.night.scenario import scenario
from tidegate.demo.night.stage import NightStage
from tidegate.demo.night.table import explanation, holders, table
from tidegate.demo.night.timeline import NightTimeline
from tidegate.demo.outcome import Outcome
from tidegate.demo.pace import length, paced, speeds_in_words
from tidegate.demo.performance import performing, watch
from tidegate.shell.clock import ScheduledClock

SPEEDS: tuple[tuple[float, float], ...] = (
    (night.FIRST, 400.0),
    (night.MIDNIGHT - 960, 60.0),
    (night.MIDNIGHT - 780, 150.0),
    (night.MIDNIGHT - 270, 20.0),
    (night.MIDNIGHT + 40, 60.0),
    (night.MIDNIGHT + 120, 450.0),
    (night.DATA_AGAIN - 60, 30.0),
    (night.DATA_AGAIN + 300, 150.0),
    (night.DATA_AGAIN + 480, 600.0),
    (night.SALE_ENDS, 200.0),
    (night.SALE_ENDS + 360, 1200.0),
)
"""(from when, simulated seconds per real second): slow where work is told, stopped and started again."""


def schedule(speed: float = 1.0) -> ScheduledClock:
    """The clock of the night, not begun yet; ``speed`` multiplies all of ``SPEEDS``."""
    return paced(night.FIRST, SPEEDS, speed)


def play(console: Console, *, speed: float, keep: Path | None) -> Outcome:
    """Let the night happen and judge it. OperatorDiedError when the operator does not live through it."""
    played, clock = scenario(), schedule(speed)
    stage = NightStage(played, clock)

    def settings(_: Path) -> dict[str, str]:
        return {"PROMETHEUS_URL": stage.metrics_url, "PLAN_CREATION_RATE": f"{CREATION_RATE:g}"}

    with performing(stage, clock, keep=keep, namespace=None, settings=settings) as operator:
        seconds = length(clock, night.LAST)
        console.print("The night of Double 11, 2019, 22:55 to 06:00 China time, on one pool", style="bold")
        console.print(f"{speeds_in_words(clock)} It takes {seconds:.0f} s.", markup=False, highlight=False, style="dim")
        watch(NightTimeline(console, played, clock, stage.recording, stage.seen_to), stage, clock, operator, night.LAST)
    stage.finish()
    recording = stage.recording
    said = notes(clock, recording)
    result = NightResult(played, recording, stage.run_of("tidegate"), recording.decisions(), said)
    return Outcome(
        result.to_json(),
        page=lambda: report(result),
        drawing=lambda: picture(result),
        tell=lambda path: tell(console, result, path),
    )


def tell(console: Console, result: NightResult, path: Path | None) -> None:
    """The result in the terminal; ``path`` is where the report stands, None: it could not be written."""
    console.print(holders(result))
    console.print(table(result))
    console.print(explanation(), markup=False, highlight=False, style="dim")
    console.print(returned(result), markup=False, highlight=False, style="dim")
    if path is not None:
        console.print(f"Report with pictures: {path}", markup=False, highlight=False)
