"""The evening is played: how fast it passes, who plays it, and what is told of it in the end."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from tidegate.demo.evening import demand as evening
from tidegate.demo.evening.notes import is_returned, notes
from tidegate.demo.evening.objects import CREATION_RATE, FAIL_OVER_SECONDS
from tidegate.demo.evening.picture import picture
from tidegate.demo.evening.report import report
from tidegate.demo.evening.result import EveningResult, judge
from tidegate.demo.evening.rivals import rivals
from tidegate.demo.evening.scenario import scenario
from tidegate.demo.evening.signals import record_signals
from tidegate.demo.evening.stage import EveningStage
from tidegate.demo.evening.table import explanation, table
from tidegate.demo.evening.timeline import EveningTimeline
from tidegate.demo.objects import NAMESPACE, query
from tidegate.demo.outcome import Outcome
from tidegate.demo.pace import length, paced, speeds_in_words
from tidegate.demo.performance import performing, watch
from tidegate.shell.clock import ScheduledClock

SPEEDS: tuple[tuple[float, float], ...] = (
    (evening.FIRST, 150.0),
    (evening.ROOM_OPENS - 90, 100.0),
    (evening.ROOM_OPENS + 60, 500.0),
    (evening.LINK - 120, 25.0),
    (evening.LINK + 90, 200.0),
    (evening.LINK + 600, 600.0),
    (evening.MIDNIGHT - 150, 15.0),
    (evening.MIDNIGHT - 75, 25.0),
    (evening.MIDNIGHT + 100, 35.0),
    (evening.MIDNIGHT + 360, 60.0),
    (evening.MIDNIGHT + 1500, 300.0),
    (evening.MIDNIGHT + 5100, 200.0),
    (evening.END, 300.0),
    (evening.POLICY_ENDS - 10, 60.0),
    (evening.POLICY_ENDS + 130, 600.0),
)
"""(from when, simulated seconds per real second): slow where seconds count. The operator's own work takes real time, so
a write that takes 0.2 s comes 5 simulated seconds late at 25 times the speed: the faster, the harder for it."""


def schedule(speed: float = 1.0) -> ScheduledClock:
    """The clock of the evening, not begun yet; ``speed`` multiplies all of ``SPEEDS``."""
    return paced(evening.FIRST, SPEEDS, speed)


def play(console: Console, *, speed: float, keep: Path | None, announced: float = 1.0) -> Outcome:
    """Let the evening happen and judge it; ``announced``: how much is announced, of what comes. OperatorDiedError when
    the operator does not live through it.
    """
    played, clock = scenario(), schedule(speed)
    stage = EveningStage(played, clock, announced)

    def settings(folder: Path) -> dict[str, str]:
        record_signals(played, {s.name: query(s) for s in played.services}, folder / "signals.json")
        return {
            "RECORDED_METRICS": str(folder / "signals.json"),
            "PLAN_CREATION_RATE": f"{CREATION_RATE:g}",
            "PLAN_FAIL_OVER_SECONDS": f"{FAIL_OVER_SECONDS:g}",
        }

    with performing(stage, clock, keep=keep, namespace=NAMESPACE, settings=settings) as operator:
        seconds = length(clock, evening.LAST)
        console.print("Double 11, 2019, from 22:00 to 02:00 China time, on an embedded cluster", style="bold")
        console.print(f"{speeds_in_words(clock)} It takes {seconds:.0f} s.", markup=False, highlight=False, style="dim")
        others = rivals(played, announced)
        watch(EveningTimeline(console, played, clock, stage.recording), stage, clock, operator, played.last)
    runs = {"tidegate": stage.run_of("tidegate"), **others}
    recording = stage.recording
    result = judge(
        played,
        runs,
        recording.decisions(),
        notes(played, clock, recording, announced),
        returned=is_returned(played, recording),
        announced=announced,
    )
    return Outcome(
        result.to_json(),
        page=lambda: report(result),
        drawing=lambda: picture(result),
        tell=lambda path: tell(console, result, path),
    )


def tell(console: Console, result: EveningResult, path: Path | None) -> None:
    """The result in the terminal; ``path`` is where the report stands, None: it could not be written."""
    console.print(table(result))
    console.print(explanation(), markup=False, highlight=False, style="dim")
    for note in result.notes[:3]:
        console.print(note, markup=False, highlight=False, style="dim")
    if path is not None:
        console.print(f"Report with pictures: {path}", markup=False, highlight=False)
