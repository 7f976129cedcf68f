"""What commands have in common: the files that they are given, and how they print."""

from __future__ import annotations

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
