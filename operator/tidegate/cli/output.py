"""What commands have in common: the files that they are given, and how they print."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Output(Enum):
    """The form of what a command prints: text for people, JSON for programs."""

    TEXT = "text"
    JSON = "json"


FileOption = Annotated[
    list[Path] | None,
    typer.Option("--filename", "-f", help="one more file, as kubectl takes it; - is standard input"),
]
"""Files may be named as kubectl wants them named, too."""


def given_files(files: list[Path] | None, filename: list[Path] | None) -> list[Path]:
    """All files that a command was given, with the option and without."""
    return [*(files or []), *(filename or [])]


def failed(words: str, output: Output, code: int) -> typer.Exit:
    """Tell why a command does nothing: on standard error, and where JSON is asked for as JSON too. To be raised."""
    typer.echo(words, err=True)
    if output is Output.JSON:
        print(json.dumps({"error": words}))
    return typer.Exit(code)
