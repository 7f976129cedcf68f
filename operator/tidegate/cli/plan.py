"""``tidegate plan``: what will be done, when and why, before it is done."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.output import FileOption, Output, given_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from tidegate.api.parsed import ParsedEvent
    from tidegate.cli.world import Given
    from tidegate.planning.foresee import Foreseen, Foresight, Kept, Shifted


def plan(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="LiveEvents, ScalingPolicies, Overrides to plan with, without a cluster; none: ask it"),
    ] = None,
    filename: FileOption = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="only this namespace of the cluster")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="plan as of this instant, RFC 3339; default: now, or before the next occurrence")
    ] = None,
    hours: Annotated[float, typer.Option(min=0.1, max=48, help="how far ahead to show; all is planned as ever")] = 24.0,
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json")] = Output.TEXT,
) -> None:
    """Show every step that is coming: when, which target, from what to what, and why; and what is not done, and why.

    With files the targets are taken to stand at their policy's min, and CapacityPools to have room for all; with a
    cluster targets and pools are looked at, and what could not be read is said. Nothing is written. Policies in mode
    Observe are planned as if they enforced, and what metrics will say is left out. Where nothing is due from now on and
    --at is not given, the plan is that of the next occurrence, however far ahead it is.

    Exit codes: 0 all was planned; 1 an object of the files was left out, or none is a ScalingPolicy; 2 a file or the
    cluster cannot be read.
    """
    from tidegate.cli.occurrences import next_of
    from tidegate.cli.world import gather, instant, regather, tell

    now = asked = instant(at, default=_now())
    given = gather(given_files(files, filename), namespace, now, output)
    found = _foreseen(given, namespace, now, hours)
    following = None
    if at is None and not (found.steps or found.shifted or found.kept):
        following = next_of(_events(given, namespace), given.world.policies, now)
        if following is not None:
            now = following.seen_from(now, hours * 3600.0)
            given = regather(given, namespace, now, output)
            found = _foreseen(given, namespace, now, hours)
    tell(given)
    until = now + hours * 3600.0
    if output is Output.JSON:
        told: dict[str, Any] = {
            "now": _utc(now),
            "askedAt": _utc(asked),
            "nextOccurrence": {"event": str(following.event.key), "start": _utc(following.start)}
            if following
            else None,
            "whyNothing": list(_why_nothing(given, found, namespace, now, until)),
            "assumedLevels": given.assumed,
            "complete": found.complete,
            "leftOut": given.problems,
            "notes": given.notes,
        }
        rows = {
            "steps": [_row(s) for s in found.steps],
            "work": [_work(s) for s in found.shifted],
            "notDone": [_not_done(k) for k in found.kept],
        }
        print(json.dumps(told | rows))
    else:
        if following is not None:
            print(f"Nothing is due in the {_hours(hours)} from {_utc(asked)} on.")
            print(f"The next occurrence is {following.event.key} at {_utc(following.start)}: this is its plan.")
        _print(given, found, namespace, now, until)
    if given.lacking:
        raise typer.Exit(1)


def _now() -> float:
    """Epoch seconds."""
    return time.time()


def _foreseen(given: Given, namespace: str | None, now: float, hours: float) -> Foresight:
    """All that is coming in the hours from an instant on, of one namespace or of all."""
    from dataclasses import replace

    from tidegate.planning.foresee import foresight
    from tidegate.planning.model import Mode

    # What will be measured is not known: without signals the plan rests on the announcements alone.
    policies = {key: replace(policy, mode=Mode.ENFORCE, signals=()) for key, policy in given.world.policies.items()}
    found = foresight(replace(given.world, policies=policies), now, now + hours * 3600.0)
    return _of_namespace(found, given, namespace)


def _events(given: Given, namespace: str | None) -> list[ParsedEvent]:
    return [event for event in given.events if namespace in (None, event.key.namespace)]


def _why_nothing(given: Given, found: Foresight, namespace: str | None, now: float, until: float) -> Iterator[str]:
    """Why the plan has no step; nothing where it has one, or where no policy was looked at."""
    from tidegate.cli.occurrences import why_nothing

    if found.steps or found.shifted or not given.world.policies:
        return iter(())
    return why_nothing(_events(given, namespace), given.world.policies, now, until)


def _of_namespace(found: Foresight, given: Given, namespace: str | None) -> Foresight:
    """What concerns one namespace: its targets, and the work on the pools that its policies name."""
    from dataclasses import replace

    if namespace is None:
        return found
    pools = {policy.pool for key, policy in given.world.policies.items() if key.namespace == namespace}
    return replace(
        found,
        steps=[one for one in found.steps if one.step.policy.namespace == namespace],
        shifted=[one for one in found.shifted if one.pool in pools],
        kept=[one for one in found.kept if one.policy.namespace == namespace],
    )


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


def _work(shifted: Shifted) -> dict[str, Any]:
    act = shifted.act
    return {
        "at": _utc(shifted.at),
        "pool": shifted.pool,
        "lane": act.lane,
        "work": {"kind": act.ref.kind, "namespace": act.ref.namespace, "name": act.ref.name},
        "action": act.do.value,
        "from": act.before,
        "to": act.level,
        "reason": act.reason.value,
        "message": act.message,
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


def _print(given: Given, found: Foresight, namespace: str | None, now: float, until: float) -> None:
    from rich.console import Console

    console = Console()
    events, policies = (
        sum(namespace in (None, key.namespace) for key in kind)
        for kind in (given.world.announcements, given.world.policies)
    )
    console.print(f"{_words(policies, 'policy', 'policies')}, {_words(events, 'event', 'events')}, as of {_utc(now)}")
    if given.assumed and policies:
        console.print("Without a cluster: every target is taken to stand at its policy's min.")
    for line in _withheld(given, namespace):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    if quiet := _elsewhen(given, namespace, now, until):
        line = f"No occurrence between now and {_short(until)}: {', '.join(quiet)}."
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    if not policies:
        console.print("There is no ScalingPolicy that can be planned: nothing was looked at.")
    elif not found.steps and not found.shifted:
        console.print("Nothing will be done.")
        for why in _why_nothing(given, found, namespace, now, until):
            console.print(f"  {why}", soft_wrap=True, markup=False, highlight=False)
    else:
        _print_steps(console, found)
    if not found.complete:
        console.print(f"More follows after {_short(found.steps[-1].at)}: these are the first {len(found.steps)} steps.")
    for kept in found.kept:
        needed = f"needs {kept.needed}, " if kept.needed is not None else ""
        level = "its level is unknown" if kept.level is None else f"stays at {kept.level}"
        why = f"{needed}{level}. {kept.reason.value}: {kept.message}"
        line = f"Not done, {_short(kept.at)}: {kept.policy} {kept.target} {why}"
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _elsewhen(given: Given, namespace: str | None, now: float, until: float) -> list[str]:
    """Events that do not take place in the time that is looked at: they are over, cancelled, or further ahead."""
    return [
        str(key)
        for key, event in sorted(given.world.announcements.items())
        if namespace in (None, key.namespace)
        and not any(one.start < until and one.start + one.duration > now for one in event.occurrences)
    ]


def _withheld(given: Given, namespace: str | None) -> Iterator[str]:
    """Why the operator writes less than is shown: a stop, or policies that only observe."""
    from tidegate.planning.model import Mode

    if given.world.stopped:
        yield "The operator is stopped (tidegate release): nothing is borrowed or moved until tidegate resume."
    policies = given.world.policies.items()
    observing = [str(key) for key, p in policies if p.mode is Mode.OBSERVE and namespace in (None, key.namespace)]
    if observing:
        yield f"In mode Observe, so that this is what would be done, and nothing is written: {', '.join(observing)}."


def _print_steps(console: Console, found: Foresight) -> None:
    many = len({foreseen.step.policy for foreseen in found.steps}) > 1
    timed = [
        (
            foreseen.at,
            f"{foreseen.step.policy} {foreseen.step.target}" if many else foreseen.step.target,
            foreseen.step.before,
            foreseen.step.level,
            foreseen.step.message,
        )
        for foreseen in found.steps
    ]
    for shifted in found.shifted:
        act = shifted.act
        name = f"{act.ref.kind} {act.ref.namespace}/{act.ref.name}"
        timed.append((shifted.at, name, act.before, act.level, f"pool {shifted.pool}: {act.message}"))
    rows = [
        (_short(at), name, str(before), str(level), why)
        for at, name, before, level, why in sorted(timed, key=lambda row: row[0])
    ]
    titles = ("when (UTC)", "target", "from", "to", "why")
    widths = [max(len(row[place]) for row in (titles, *rows)) for place in range(4)]
    for row in (titles, *rows):  # lines rather than a table: a column that is cut off says nothing
        when, name, before, level = (
            row[place].rjust(width) if place > 1 else row[place].ljust(width) for place, width in enumerate(widths)
        )
        line = f"{when}  {name}  {before}  {level}  {row[4]}"
        console.print(line, soft_wrap=True, markup=False, highlight=False, style="bold" if row is titles else None)


def _hours(hours: float) -> str:
    return "hour" if hours == 1 else f"{hours:g} hours"


def _words(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _short(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%m-%d %H:%M:%S")


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
