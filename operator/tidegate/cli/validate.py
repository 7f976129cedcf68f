"""``tidegate validate``: all that is wrong with LiveEvents and ScalingPolicies in files, without a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from tidegate.cli.manifests import Document, UnreadableError, read_documents


class ValidateOutput(StrEnum):
    """Formats of the findings."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem (the object would be refused) or a warning (it would not do what was meant) of one object."""

    file: str
    kind: str
    name: str
    path: str
    wrong: str
    right: str

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        return f"{self.file}: {self.kind or 'object'}/{self.name}: {place}{self.wrong}; {self.right}"


@dataclass(slots=True)
class Report:
    """What was found in all files together."""

    checked: int = 0
    skipped: int = 0
    """Objects of kinds that are not ours."""
    problems: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)


def validate(
    files: Annotated[list[Path], typer.Argument(help="YAML or JSON files, or folders of them.")],
    output: Annotated[
        ValidateOutput, typer.Option("--output", "-o", help="Format of the findings.")
    ] = ValidateOutput.TEXT,
) -> None:
    """Check LiveEvents and ScalingPolicies in files: field path, what is wrong, what would be right. Needs no cluster.

    Exit codes: 0 nothing wrong (warnings are possible); 1 problems; 2 a file cannot be read.
    """
    try:
        report = check_documents(read_documents(files))
    except UnreadableError as error:
        if output is ValidateOutput.JSON:
            typer.echo(orjson.dumps({"unreadable": str(error)}).decode())
        else:
            typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if output is ValidateOutput.JSON:
        typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
    elif sys.stdout.isatty() and (report.problems or report.warnings):
        _print_table(report)
    else:
        _print_lines(report)
    if report.problems:
        raise typer.Exit(1)


def check_documents(documents: Iterable[Document]) -> Report:
    """Check each object by itself, then what they say of one another."""
    from tidegate.api.parse import parse_live_event, parse_policy
    from tidegate.api.parsed import ParsedEvent
    from tidegate.api.problems import InvalidObject, Problem
    from tidegate.planning.model import Policy

    report = Report()
    events: list[tuple[Document, ParsedEvent]] = []
    policies: list[tuple[Document, Policy]] = []
    for document in documents:
        try:
            if document.kind == "LiveEvent":
                events.append((document, parse_live_event(document.content)))
            elif document.kind == "ScalingPolicy":
                policies.append((document, parse_policy(document.content)))
            elif isinstance(document.content, dict) and document.kind:
                report.skipped += 1
                continue
            else:
                raise InvalidObject([Problem("kind", "is missing", "give apiVersion, kind, metadata and spec")])
        except InvalidObject as error:
            report.problems += [_finding(document, p.path, p.wrong, p.right) for p in error.problems]
        report.checked += 1
    _check_names(events, policies, report)
    _check_events(events, policies, report)
    _check_workloads(policies, report)
    return report


def _check_names(events: list[Any], policies: list[Any], report: Report) -> None:
    """An object that is there twice: the later one would replace the first."""
    seen: dict[tuple[str, Any], str] = {}
    for document, parsed in [*events, *policies]:
        where = seen.setdefault((document.kind, parsed.key), f"{document.file} (document {document.index})")
        if where != f"{document.file} (document {document.index})":
            report.problems.append(
                _finding(document, "metadata.name", f"is used in {where} already", "give each object its own name")
            )


def _check_events(events: list[Any], policies: list[Any], report: Report) -> None:
    """Events whose policy is not in these files, or whose signals no target of it carries."""
    by_key = {policy.key: policy for _, policy in policies}
    for document, event in events:
        key = type(event.key)(event.key.namespace, event.policy)
        policy = by_key.get(key)
        if policy is None:
            wrong = f'no ScalingPolicy "{event.policy}" in namespace {key.namespace} among these files'
            right = "check the name, or pass its file too; on the cluster the event waits until it exists"
            report.warnings.append(_finding(document, "spec.policyRef.name", wrong, right))
            continue
        carried = {signal for target in policy.targets for signal, _ in target.capacity}
        asked = {s for s, _ in event.base.expected} | {d.signal for d in event.base.derived}
        sources = {d.source for d in event.base.derived}
        for signal in sorted((asked | {m.signal for m in event.base.moments}) - carried - sources):
            wrong = f'no target of {event.policy} carries "{signal}"'
            report.warnings.append(
                _finding(document, "spec", wrong, "add it to a target's capacity: nothing prepares it")
            )


def _check_workloads(policies: list[Any], report: Report) -> None:
    """Workloads named by two policies: the oldest would win."""
    seen: dict[Any, Any] = {}
    for document, policy in policies:
        for index, target in enumerate(policy.targets):
            first = seen.setdefault(target.ref, policy.key)
            if first != policy.key:
                wrong = f"{target.ref} is a target of {first} too"
                right = "one workload, one policy: on the cluster the oldest wins and this one stands back"
                report.warnings.append(_finding(document, f"spec.targets[{index}].ref", wrong, right))


def _finding(document: Document, path: str, wrong: str, right: str) -> Finding:
    return Finding(document.file, document.kind, document.name, path, wrong, right)


def _summary(report: Report) -> str:
    skipped = f", {report.skipped} of other kinds skipped" if report.skipped else ""
    return (
        f"{report.checked} checked, {len(report.problems)} problems, {len(report.warnings)} warnings{skipped}"
        if report.checked or report.skipped
        else "no objects found"
    )


def _print_lines(report: Report) -> None:
    for finding in report.problems:
        typer.echo(str(finding))
    for finding in report.warnings:
        typer.echo(f"warning: {finding}")
    typer.echo(_summary(report), err=True)


def _print_table(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    for heading in ("", "object", "field", "what is wrong", "what would be right"):
        table.add_column(heading, overflow="fold")
    for sign, style, findings in (("problem", "red", report.problems), ("warning", "yellow", report.warnings)):
        for f in findings:
            # Text: what people wrote is never read as markup.
            cells = (f"{f.file}\n{f.kind}/{f.name}", f.path, f.wrong, f.right)
            table.add_row(Text(sign, style=style), *(Text(cell) for cell in cells))
    console = Console()
    console.print(table)
    console.print(_summary(report))
