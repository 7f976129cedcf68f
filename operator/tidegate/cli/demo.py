"""``tidegate demo``: Double 11, 2019, played by the real operator on an embedded cluster."""

from __future__ import annotations

import json
import os
import sys
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.output import Output, failed


class Played(Enum):
    """What is played."""

    EVENING = "evening"
    NIGHT = "night"


def demo(
    scenario: Annotated[
        Played, typer.Option(help="evening: Tidegate beside what others use. night: trading and data share machines.")
    ] = Played.EVENING,
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
    report: Annotated[Path, typer.Option(help="Where the HTML report is written.")] = Path("demo-report.html"),
    picture: Annotated[Path | None, typer.Option(help="Write the picture of the result to this SVG file too.")] = None,
    announced: Annotated[
        float,
        typer.Option(
            help="How much of what comes is announced, in the evening: 0.8 is 20 % too low.", min=0.1, max=10.0
        ),
    ] = 1.0,
    speed: Annotated[float, typer.Option(help="Multiplies all speeds; 0.5 takes twice as long.", min=0.01)] = 1.0,
    keep: Annotated[
        Path | None, typer.Option(help="Folder for the operator's log, the clock and the recording; else none is kept.")
    ] = None,
) -> None:
    """Play Double 11, 2019, on an embedded cluster: its evening, or its night.

    In the evening Tidegate prepares trading, beside a timetable and a plain HPA. In the night trading at midnight and
    data processing after one o'clock share forty machines. The operator is the real one, in a process of its own; only
    pods and time are simulated. Each takes less than two minutes.
    """
    from rich.console import Console

    from tidegate.demo.process import OperatorDiedError

    if scenario is Played.NIGHT:
        from tidegate.demo.night.run import play

        if announced != 1.0:
            raise typer.BadParameter("the night is announced as it comes; --announced is for the evening")
    else:
        from tidegate.demo.evening.run import play as evening

        play = partial(evening, announced=announced)

    places = {"--report": report} if picture is None else {"--report": report, "--picture": picture}
    if wrong := [words for option, path in places.items() if (words := _unwritable(option, path)) is not None]:
        raise failed("; ".join(wrong), output, 2)
    console = Console(stderr=output is Output.JSON)
    try:
        outcome = play(console, speed=speed, keep=keep)
    except (OperatorDiedError, RuntimeError) as error:
        console.print(f"The demonstration failed: {error}", markup=False, style="bold red")
        raise typer.Exit(1) from error
    unwritten = {}
    for option, path in places.items():
        text = outcome.page() if option == "--report" else outcome.drawing()
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            unwritten[option] = f"{option}: {path}: {error.strerror or error}; what was played is shown all the same"
    if output is Output.JSON:
        sys.stdout.write(json.dumps(outcome.figures, indent=2) + "\n")
    else:
        outcome.tell(None if "--report" in unwritten else report)
    for words in unwritten.values():
        typer.echo(words, err=True)
    if unwritten:
        raise typer.Exit(2)


def _unwritable(option: str, path: Path) -> str | None:
    """Why a file cannot be written, as far as that can be told before; None where nothing speaks against it."""
    if not path.parent.is_dir():
        return f"{option}: {path.parent} is no folder; give a file in one that is there"
    if path.is_dir():
        return f"{option}: {path} is a folder; give a file in it"
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        return f"{option}: {path} may not be written; give another file"
    return None
