"""``tidegate version``."""

from __future__ import annotations

import json
import platform
from typing import Annotated

import typer

from tidegate import __version__
from tidegate.cli.output import Output


def version(output: Annotated[Output, typer.Option("--output", "-o", help="text or json")] = Output.TEXT) -> None:
    """Print the version, and which time zone database is used: the newest of the system's and the installed one."""
    from tidegate.api.zonedata import zone_data

    zones = zone_data()
    if output is Output.JSON:
        told = {"version": zones.version, "source": zones.source}
        print(json.dumps({"tidegate": __version__, "python": platform.python_version(), "zoneData": told}))
    else:
        print(f"tidegate {__version__}\ntime zones {zones}")
