"""``tidegate plan``: what will be done, when and why, before it is done."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.output import Output

if TYPE_CHECKING:
    from rich.console import Console

    from tidegate.cli.world import Given
    from tidegate.planning.foresee import Foreseen, Foresight, Kept


def plan(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="LiveEvents, ScalingPolicies, Overrides to plan with, without a cluster; none: ask it"),
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="only this namespace of the cluster")
    ] = None,
    at: Annotated[str | None, typer.Option(help="plan as of this instant, RFC 3339; default: now")] = None,
    hours: Annotated[float, typer.Option(min=0.1, max=48, help="how far ahead to show; all is planned as ever")] = 24.0,
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json")] = Output.TEXT,
) -> None:
    """Show every step that is coming: when, which target, from what to what, and why; and what is not done, and why.

    With files the targets are taken to stand at their policy's min; with a cluster they are looked at. Nothing is
    written. Policies in mode Observe are planned as if they enforced, and what metrics will say is left out.
    """
    from dataclasses import replace

    from tidegate.cli.world import instant, load
    from tidegate.planning.foresee import foresight
    from tidegate.planning.model import Mode

    now = instant(at, default=time.time())
    given = load(files, namespace, now)
    # What will be measured is not known: without signals the plan rests on the announcements alone.
    policies = {key: replace(policy, mode=Mode.ENFORCE, signals=()) for key, policy in given.world.policies.items()}
    found = foresight(replace(given.world, policies=policies), now, now + hours * 3600.0)
    if output is Output.JSON:
        told = {"now": _utc(now), "assumedLevels": given.assumed, "complete": found.complete}
        rows = {"steps": [_row(s) for s in found.steps], "notDone": [_not_done(k) for k in found.kept]}
        print(json.dumps(told | rows))
        return
    _print(given, found, now)


def _row(foreseen: Foreseen) -> dict[str, Any]:
    step = foreseen.step
    return {
        "at": _utc(foreseen.at),
        "namespace": step.policy.namespace,
        "policy": step.policy.name,
        "target": step.target,
        "action": step.action.value,
        "from": step.before,
        "to": step.level,
        "reason": step.reason.value,
        "message": step.message,
    }


def _not_done(kept: Kept) -> dict[str, Any]:
    return {
        "since": _utc(kept.at),
        "namespace": kept.policy.namespace,
        "policy": kept.policy.name,
        "target": kept.target,
        "needed": kept.needed,
        "level": kept.level,
        "reason": kept.reason.value,
        "message": kept.message,
    }


def _print(given: Given, found: Foresight, now: float) -> None:
    from rich.console import Console

    console = Console()
    events, policies = len(given.world.announcements), len(given.world.policies)
    console.print(f"{_words(policies, 'policy', 'policies')}, {_words(events, 'event', 'events')}, as of {_utc(now)}")
    if given.assumed:
        console.print("Without a cluster: every target is taken to stand at its policy's min.")
    if not found.steps:
        console.print("Nothing will be done.")
    else:
        _print_steps(console, found.steps)
    if not found.complete:
        console.print(f"More follows after {_short(found.steps[-1].at)}: these are the first {len(found.steps)} steps.")
    for kept in found.kept:
        needed = f"needs {kept.needed}, " if kept.needed is not None else ""
        level = "its level is unknown" if kept.level is None else f"stays at {kept.level}"
        why = f"{needed}{level}. {kept.reason.value}: {kept.message}"
        line = f"Not done, {_short(kept.at)}: {kept.policy} {kept.target} {why}"
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _print_steps(console: Console, steps: list[Foreseen]) -> None:
    from rich.table import Table

    many = len({foreseen.step.policy for foreseen in steps}) > 1
    rows = [
        (
            _short(foreseen.at),
            f"{foreseen.step.policy} {foreseen.step.target}" if many else foreseen.step.target,
            str(foreseen.step.before),
            str(foreseen.step.level),
            foreseen.step.message,
        )
        for foreseen in steps
    ]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, title in enumerate(("when (UTC)", "target", "from", "to")):
        width = max(len(title), *(len(row[place]) for row in rows))  # a time that is cut off says nothing
        table.add_column(title, no_wrap=True, min_width=width, justify="right" if place > 1 else "left")
    table.add_column("why", no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _words(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _short(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%m-%d %H:%M:%S")


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
