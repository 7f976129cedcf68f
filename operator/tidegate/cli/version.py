"""``tidegate version``."""

from __future__ import annotations

import json
import platform
from typing import Annotated

import typer

from tidegate import __version__
from tidegate.cli.output import Output


def version(output: Annotated[Output, typer.Option("--output", "-o", help="text or json")] = Output.TEXT) -> None:
    """Print the version."""
    if output is Output.JSON:
        print(json.dumps({"tidegate": __version__, "python": platform.python_version()}))
    else:
        print(f"tidegate {__version__}")
