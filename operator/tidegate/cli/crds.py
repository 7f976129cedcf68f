"""``tidegate crds``: the CustomResourceDefinitions, from the models. Works without a cluster."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import orjson
import typer


class CrdOutput(StrEnum):
    """Formats that ``crds`` prints."""

    YAML = "yaml"
    JSON = "json"


def crds(
    write: Annotated[
        Path | None, typer.Option(help="Write one file a kind to this folder instead of printing.")
    ] = None,
    check: Annotated[Path | None, typer.Option(help="Compare this folder; exit 1 when it differs.")] = None,
    output: Annotated[CrdOutput, typer.Option(help="Format that is printed.")] = CrdOutput.YAML,
) -> None:
    """Print the CustomResourceDefinitions, write them to a folder, or check that a folder is up to date.

    Exit codes: 0 printed, written or up to date; 1 the folder differs; 2 it cannot be read or written.
    """
    from tidegate.api.crd import all_crds, crd_files, drift, write_crds

    try:
        if check is not None:
            found = drift(check)
            for sentence in found:
                typer.echo(sentence, err=True)
            if found:
                typer.echo(f"run: tidegate crds --write {check}", err=True)
                raise typer.Exit(1)
        elif write is not None:
            for path in write_crds(write):
                typer.echo(path)
        elif output is CrdOutput.JSON:
            typer.echo(orjson.dumps(all_crds(), option=orjson.OPT_INDENT_2).decode())
        else:
            typer.echo("---\n".join(crd_files().values()), nl=False)
    except OSError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
