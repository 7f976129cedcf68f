"""``tidegate demo``: the opening of Double 11, 2019, prepared by the real operator, beside a plain HPA."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from tidegate.cli.demo_operator import Operator
    from tidegate.cli.demo_result import Result
    from tidegate.cli.demo_stage import Stage
    from tidegate.control.clock import ScheduledClock
    from tidegate.simulation.scenario import Scenario

START_PATIENCE = 60.0
"""Real seconds that the operator may take until it has planned everything."""


class Output(Enum):
    """How the result is printed."""

    TEXT = "text"
    JSON = "json"


def demo(
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
    report: Annotated[Path, typer.Option(help="Where the HTML report is written.")] = Path("demo-report.html"),
    picture: Annotated[Path | None, typer.Option(help="Write the picture of the result to this SVG file too.")] = None,
    speed: Annotated[float, typer.Option(help="Multiplies all speeds; 0.5 takes twice as long.", min=0.01)] = 1.0,
    keep: Annotated[
        Path | None, typer.Option(help="Folder for the operator's log, the clock and the recording; else none is kept.")
    ] = None,
) -> None:
    """Play the evening of Double 11, 2019, on an embedded cluster: Tidegate beside a plain HPA.

    The operator is the real one, in a process of its own; only pods and time are simulated. It takes about 72 seconds.
    """
    from rich.console import Console

    from tidegate.cli.demo_operator import OperatorDiedError
    from tidegate.cli.demo_picture import picture as draw_picture
    from tidegate.cli.demo_report import report as write_report

    console = Console(stderr=output is Output.JSON)
    try:
        result = play(console, speed=speed, keep=keep)
    except (OperatorDiedError, RuntimeError) as error:
        console.print(f"The demonstration failed: {error}", markup=False, style="bold red")
        raise typer.Exit(1) from error
    report.write_text(write_report(result), encoding="utf-8")
    if picture is not None:
        picture.write_text(draw_picture(result), encoding="utf-8")
    if output is Output.JSON:
        sys.stdout.write(json.dumps(result.to_json(), indent=2) + "\n")
    else:
        _tell(console, result, report)


def play(console: Console, *, speed: float, keep: Path | None) -> Result:
    """Let the evening happen and judge it. OperatorDiedError when the operator does not live through it."""
    from tidegate.cli.demo_evening import length, notes, schedule
    from tidegate.cli.demo_operator import Operator, record_signals
    from tidegate.cli.demo_result import judge
    from tidegate.cli.demo_stage import Stage
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
    with ExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-demo-")))
        folder.mkdir(parents=True, exist_ok=True)
        clock.to_file(folder / "clock.json")
        record_signals(played, {s.name: query(s) for s in played.services}, folder / "signals.json")
        stack.callback(stage.stop)
        url = stage.start()
        settings = {
            "CLOCK_SCHEDULE": str(folder / "clock.json"),
            "RECORDED_METRICS": str(folder / "signals.json"),
            "PLAN_CREATION_RATE": f"{CREATION_RATE:g}",
        }
        kubeconfig = stage.kubeconfig(folder / "kubeconfig")
        operator = stack.enter_context(
            Operator(folder, url=url, kubeconfig=kubeconfig, namespace=NAMESPACE, settings=settings)
        )
        _greet(console, clock, length(clock))
        alone = {
            f"hpa{target}": run_autoscaler(
                played, target_percent=float(target), creation_rate=CREATION_RATE, name=f"hpa{target}"
            )
            for target in (70, 80)
        }
        _watch(console, played, clock, stage, operator)
    runs = {"tidegate": stage.run_of("tidegate"), **alone}
    said = notes(played, clock, stage.recording)
    return judge(played, runs, stage.recording.decisions(), said)


def _watch(console: Console, played: Scenario, clock: ScheduledClock, stage: Stage, operator: Operator) -> None:
    """Wait for the operator's first plan, let the clock begin, and show the evening until it is over."""
    from tidegate.cli.demo_timeline import Timeline

    timeline = Timeline(console, played, clock, stage.recording)
    patience = time.monotonic() + START_PATIENCE
    with timeline.showing():
        while not stage.recording.policy_ready:
            operator.check()
            if time.monotonic() > patience:
                raise RuntimeError(f"the operator made no plan within {START_PATIENCE:g} s:\n{operator.last_words()}")
            time.sleep(0.05)
        clock.begin(time.time() + 0.2)
        while not stage.caught_up(played.last):
            operator.check()
            timeline.update()
            time.sleep(0.25)
        timeline.update()


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
