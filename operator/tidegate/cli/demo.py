"""``tidegate demo``: Double 11, 2019, played by the real operator on an embedded cluster."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from tidegate.cli.demo_result import Result
    from tidegate.control.clock import ScheduledClock


class Output(Enum):
    """How the result is printed."""

    TEXT = "text"
    JSON = "json"


class Played(Enum):
    """What is played."""

    EVENING = "evening"
    NIGHT = "night"


def demo(
    scenario: Annotated[
        Played, typer.Option(help="evening: Tidegate beside a plain HPA. night: trading and data share machines.")
    ] = Played.EVENING,
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
    report: Annotated[Path, typer.Option(help="Where the HTML report is written.")] = Path("demo-report.html"),
    picture: Annotated[Path | None, typer.Option(help="Write the picture of the result to this SVG file too.")] = None,
    speed: Annotated[float, typer.Option(help="Multiplies all speeds; 0.5 takes twice as long.", min=0.01)] = 1.0,
    keep: Annotated[
        Path | None, typer.Option(help="Folder for the operator's log, the clock and the recording; else none is kept.")
    ] = None,
) -> None:
    """Play Double 11, 2019, on an embedded cluster: its evening, or its night.

    In the evening Tidegate prepares trading, beside a plain HPA. In the night trading at midnight and data processing
    after one o'clock share forty machines. The operator is the real one, in a process of its own; only pods and time
    are simulated. Each takes about 72 seconds.
    """
    from rich.console import Console

    from tidegate.cli.demo_operator import OperatorDiedError

    console = Console(stderr=output is Output.JSON)
    try:
        if scenario is Played.NIGHT:
            from tidegate.cli import demo_night
            from tidegate.cli.demo_night_picture import picture as picture_of_night
            from tidegate.cli.demo_night_report import report as report_on_night

            night = demo_night.play(console, speed=speed, keep=keep)
            shown = Shown(
                night.to_json(),
                page=lambda: report_on_night(night),
                drawing=lambda: picture_of_night(night),
                tell=lambda: demo_night.tell(console, night, report),
            )
        else:
            from tidegate.cli.demo_picture import picture as picture_of_evening
            from tidegate.cli.demo_report import report as report_on_evening

            evening = play(console, speed=speed, keep=keep)
            shown = Shown(
                evening.to_json(),
                page=lambda: report_on_evening(evening),
                drawing=lambda: picture_of_evening(evening),
                tell=lambda: _tell(console, evening, report),
            )
    except (OperatorDiedError, RuntimeError) as error:
        console.print(f"The demonstration failed: {error}", markup=False, style="bold red")
        raise typer.Exit(1) from error
    report.write_text(shown.page(), encoding="utf-8")
    if picture is not None:
        picture.write_text(shown.drawing(), encoding="utf-8")
    if output is Output.JSON:
        sys.stdout.write(json.dumps(shown.figures, indent=2) + "\n")
    else:
        shown.tell()


@dataclass(frozen=True, slots=True)
class Shown:
    """A result and the ways in which it can be shown."""

    figures: dict[str, Any]
    page: Callable[[], str]
    drawing: Callable[[], str]
    tell: Callable[[], None]


def play(console: Console, *, speed: float, keep: Path | None) -> Result:
    """Let the evening happen and judge it. OperatorDiedError when the operator does not live through it."""
    from tidegate.cli.demo_evening import length, notes, schedule
    from tidegate.cli.demo_operator import record_signals
    from tidegate.cli.demo_performance import performing, watch
    from tidegate.cli.demo_result import judge
    from tidegate.cli.demo_stage import Stage
    from tidegate.cli.demo_timeline import Timeline
    from tidegate.simulation.baselines import run_autoscaler
    from tidegate.simulation.double11_cluster import workloads
    from tidegate.simulation.double11_objects import (
        CREATION_RATE,
        NAMESPACE,
        live_events,
        query,
        scaling_policy,
        scenario,
    )

    played, clock = scenario(), schedule(speed)
    announced = [scaling_policy(), *live_events()]
    stage = Stage(
        played, clock, namespace=NAMESPACE, creation_rate=CREATION_RATE, before=workloads(), announced=announced
    )

    def settings(folder: Path) -> dict[str, str]:
        record_signals(played, {s.name: query(s) for s in played.services}, folder / "signals.json")
        return {
            "RECORDED_METRICS": str(folder / "signals.json"),
            "PLAN_CREATION_RATE": f"{CREATION_RATE:g}",
        }

    with performing(stage, clock, keep=keep, namespace=NAMESPACE, settings=settings) as operator:
        _greet(console, clock, length(clock))
        alone = {
            f"hpa{target}": run_autoscaler(
                played, target_percent=float(target), creation_rate=CREATION_RATE, name=f"hpa{target}"
            )
            for target in (70, 80)
        }
        watch(Timeline(console, played, clock, stage.recording), stage, clock, operator, played.last)
    runs = {"tidegate": stage.run_of("tidegate"), **alone}
    said = notes(played, clock, stage.recording)
    return judge(played, runs, stage.recording.decisions(), said)


def _greet(console: Console, clock: ScheduledClock, seconds: float) -> None:
    from tidegate.cli.demo_evening import speeds_in_words

    console.print("Double 11, 2019, from 22:00 to 02:00 China time, on an embedded cluster", style="bold")
    console.print(f"{speeds_in_words(clock)} It takes {seconds:.0f} s.", markup=False, highlight=False, style="dim")


def _tell(console: Console, result: Result, report: Path) -> None:
    from tidegate.cli.demo_table import explanation, table

    console.print(table(result))
    console.print(explanation(), markup=False, highlight=False, style="dim")
    for note in result.notes[:3]:
        console.print(note, markup=False, highlight=False, style="dim")
    console.print(f"Report with pictures: {report}", markup=False, highlight=False)
