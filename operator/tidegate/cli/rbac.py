"""``tidegate rbac``: what the operator's account must be allowed to do, as the code declares it. Needs no cluster."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tidegate.shell.rules import Account
    from tidegate.targets.rules import Rule

_HEADER = "# Generated from the RULES beside the code that makes the requests, by `tidegate rbac`: change those.\n"


class RbacOutput(StrEnum):
    """Formats that ``rbac`` prints; a file is always YAML."""

    YAML = "yaml"
    JSON = "json"


def rbac(
    write: Annotated[Path | None, typer.Option(help="Write to this file instead of printing.")] = None,
    check: Annotated[Path | None, typer.Option(help="Compare this file; exit 1 when it differs.")] = None,
    output: Annotated[RbacOutput, typer.Option("--output", "-o", help="Format that is printed.")] = RbacOutput.YAML,
) -> None:
    """Print what the operator's account must be allowed to do, write it to a file, or check that a file is up to date.

    The chart renders its Roles from that file, once for each watched namespace or once for the whole cluster.

    Exit codes: 0 printed, written or up to date; 1 the file differs; 2 it cannot be read or written.
    """
    text = rules_text()
    try:
        if check is not None:
            if check.read_text(encoding="utf-8") != text:
                typer.echo(f"{check} is not what the code declares; run: tidegate rbac --write {check}", err=True)
                raise typer.Exit(1)
        elif write is not None:
            write.write_text(text, encoding="utf-8")
            typer.echo(write)
        elif output is RbacOutput.JSON:
            typer.echo(json.dumps(rules_document(), indent=2))
        else:
            typer.echo(text, nl=False)
    except OSError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


def rules_text() -> str:
    """``rules_document`` as the YAML text of the chart's file."""
    import yaml

    return _HEADER + yaml.safe_dump(rules_document(), sort_keys=False, width=116)


def rules_document() -> dict[str, Any]:
    """For each account its rules by reach and its verbs on targets; and the kinds that are targets."""
    from tidegate.shell.rules import OPERATOR, RELEASE
    from tidegate.targets.scale import KINDS

    kinds = [{"group": one.group, "kind": one.kind, "resource": one.resource} for one in KINDS]
    return {"operator": _account(OPERATOR), "release": _account(RELEASE), "targetKinds": kinds}


def _account(account: Account) -> dict[str, Any]:
    from tidegate.shell.rules import merged
    from tidegate.targets.rules import Where

    reaches = {where.value: [_rule(rule) for rule in merged(account.rules, where)] for where in Where}
    targets = {"verbs": sorted(account.targets.main), "scaleVerbs": sorted(account.targets.scale)}
    return {**reaches, "targets": targets}


def _rule(rule: Rule) -> dict[str, Any]:
    """A rule as RBAC writes it."""
    made: dict[str, Any] = {"apiGroups": [rule.group], "resources": list(rule.resources)}
    if rule.names:
        made["resourceNames"] = list(rule.names)
    return {**made, "verbs": list(rule.verbs)}
