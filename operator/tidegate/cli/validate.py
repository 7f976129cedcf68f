"""``tidegate validate``: all that is wrong with the objects of our kinds in files, without a cluster."""

from __future__ import annotations

import difflib
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
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


@dataclass(slots=True)
class Found:
    """What was well-formed, each with where it stands."""

    events: list[tuple[Document, Any]] = field(default_factory=list)
    policies: list[tuple[Document, Any]] = field(default_factory=list)
    pools: list[tuple[Document, Any]] = field(default_factory=list)
    overrides: list[tuple[Document, Any]] = field(default_factory=list)
    scalers: list[Document] = field(default_factory=list)
    """HorizontalPodAutoscalers: not ours, and read for what they hold."""

    def add(self, document: Document, parsed: Any) -> None:
        """Keep an object with those of its kind."""
        kinds = {
            "LiveEvent": self.events,
            "ScalingPolicy": self.policies,
            "CapacityPool": self.pools,
            "Override": self.overrides,
        }
        kinds[document.kind].append((document, parsed))


def validate(
    files: Annotated[list[Path], typer.Argument(help="YAML or JSON files, or folders of them.")],
    output: Annotated[
        ValidateOutput, typer.Option("--output", "-o", help="Format of the findings.")
    ] = ValidateOutput.TEXT,
) -> None:
    """Check LiveEvents, ScalingPolicies, CapacityPools and Overrides in files: field path, what is wrong, what would be
    right. Needs no cluster. A HorizontalPodAutoscaler among them is read for what it wishes beneath a live floor.

    Exit codes: 0 nothing wrong (warnings are possible); 1 problems, or nothing was checked; 2 a file cannot be read.
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
    if not report.checked:
        typer.echo(f"nothing was checked: no object here is a {' or '.join(PEOPLES)} of tidegate.dev", err=True)
    if report.problems or not report.checked:
        raise typer.Exit(1)


def check_documents(documents: Iterable[Document]) -> Report:
    """Check each object by itself, then what they say of one another."""
    from tidegate.api.parse import parse_live_event, parse_override, parse_policy, parse_pool
    from tidegate.api.problems import InvalidObject, Problem

    parsers: dict[str, Callable[[Any], Any]] = {
        "LiveEvent": parse_live_event,
        "ScalingPolicy": parse_policy,
        "CapacityPool": partial(parse_pool, now=0.0),  # deadlines come out differently, what is wrong does not
        "Override": parse_override,
    }
    report = Report()
    found = Found()
    for document in documents:
        parse = parsers.get(document.kind)
        try:
            if parse is not None:
                found.add(document, parse(document.content))
            elif isinstance(document.content, dict) and document.kind:
                check_kind(document)
                report.skipped += 1
                if document.kind == "HorizontalPodAutoscaler":
                    found.scalers.append(document)
                continue
            else:
                raise InvalidObject([Problem("kind", "is missing", "give apiVersion, kind, metadata and spec")])
        except InvalidObject as error:
            report.problems += [_finding(document, p.path, p.wrong, p.right) for p in error.problems]
        report.checked += 1
    _check_names(found, report)
    _check_events(found.events, found.policies, report)
    _check_past(found, report)
    _check_workloads(found.policies, report)
    _check_queries(found, report)
    _check_lanes(found.policies, found.pools, report)
    _check_scalers(found, report)
    _check_overrides(found.overrides, found.policies, report)
    return report


PEOPLES = ("CapacityPool", "LiveEvent", "Override", "ScalingPolicy")
"""Kinds that people write."""


def check_kind(document: Document) -> None:
    """InvalidObject for a kind of our group that there is not: an API server would not know it either."""
    from tidegate.api.base import GROUP
    from tidegate.api.crd import KINDS
    from tidegate.api.problems import InvalidObject, Problem, quoted

    version = document.content.get("apiVersion")
    group = version.partition("/")[0] if isinstance(version, str) else ""
    if group != GROUP or document.kind in {kind.KIND for kind in KINDS}:
        return
    alike = difflib.get_close_matches(document.kind, PEOPLES, n=1)
    right = f"did you mean {alike[0]}?" if alike else f"one of {', '.join(PEOPLES)}"
    raise InvalidObject([Problem("kind", f"{quoted(document.kind)} is no kind of {GROUP}", right)])


def _check_past(found: Found, report: Report) -> None:
    """Events and overrides that are over, and occurrences that meet."""
    from tidegate.api.together import event_that_is_over, occurrences_at_once, override_that_is_over

    now = _now()
    for document, event in found.events:
        _warn(report, document, event_that_is_over(event, now))
        _warn(report, document, occurrences_at_once(event))
    for document, override in found.overrides:
        _warn(report, document, override_that_is_over(override, now))


def _check_names(found: Found, report: Report) -> None:
    """An object that is there twice: the later one would replace the first."""
    seen: dict[tuple[str, Any], str] = {}
    for document, parsed in [*found.events, *found.policies, *found.pools, *found.overrides]:
        key = parsed.name if document.kind == "CapacityPool" else parsed.key
        where = seen.setdefault((document.kind, key), f"{document.file} (document {document.index})")
        if where != f"{document.file} (document {document.index})":
            report.problems.append(
                _finding(document, "metadata.name", f"is used in {where} already", "give each object its own name")
            )


def _check_events(events: list[Any], policies: list[Any], report: Report) -> None:
    """Events whose policy is not in these files, whose signals nobody carries, or that need more than a max."""
    from tidegate.api.problems import Problem
    from tidegate.api.together import needs_beyond_max, signals_that_nobody_carries

    by_key = {policy.key: policy for _, policy in policies}
    for document, event in events:
        key = type(event.key)(event.key.namespace, event.policy)
        policy = by_key.get(key)
        if policy is not None:
            _warn(report, document, signals_that_nobody_carries(event, policy))
            _warn(report, document, needs_beyond_max(event, policy, _now()))
            continue
        wrong = f'no ScalingPolicy "{event.policy}" in namespace {key.namespace} among these files'
        right = "check the name, or pass its file too; on the cluster the event waits until it exists"
        _warn(report, document, [Problem("spec.policyRef.name", wrong, right)])


def _check_workloads(policies: list[Any], report: Report) -> None:
    """Workloads named by two policies: the oldest would win."""
    from tidegate.api.together import shared_workloads

    taken: dict[Any, Any] = {}
    for document, policy in policies:
        _warn(report, document, (problem for _, problem in shared_workloads(policy, taken)))
        for target in policy.targets:
            taken.setdefault(target.ref.identity, policy.key)


def _check_queries(found: Found, report: Report) -> None:
    """Queries the age of whose samples cannot be asked for, and those that hide that their series are missing."""
    for document, policy in found.policies:
        for index, signal in enumerate(policy.signals):
            _check_query(document, f"spec.signals[{index}].query", signal.query, report)
    for document, pool in found.pools:
        for n, lane in enumerate(pool.lanes):
            for m, member in enumerate(lane.members):
                path = f"spec.lanes[{n}].members[{m}].work.remaining.query"
                _check_query(document, path, member.work.query if member.work is not None else None, report)


def _check_query(document: Document, path: str, query: str | None, report: Report) -> None:
    from tidegate.metrics.ages import UncheckedError, age_check

    if not query:
        return
    try:
        check = age_check(query)
    except UncheckedError as error:
        right = (
            "as it is, an old sample counts as fresh: write it so that each selector can be asked for its newest sample"
        )
        report.warnings.append(_finding(document, path, f"the age of its samples is not checked: it {error}", right))
        return
    if not check.question:
        right = "name the series that measure the demand; a number that is always there hides that they are missing"
        report.warnings.append(_finding(document, path, "reads no series, so that it has no age", right))
    elif check.falls_back:
        right = "leave out the part after or: missing series then read as Blind, and are never zero"
        report.warnings.append(_finding(document, path, "puts a number in the place of missing series", right))
    elif check.several:
        wrong = (
            "has a selector of several metrics: where two of them bear the same labels, no age of samples is checked"
        )
        right = "there an old sample counts as fresh: name one metric in each selector, as in sum(a) + sum(b)"
        report.warnings.append(_finding(document, path, wrong, right))


def _check_lanes(policies: list[Any], pools: list[Any], report: Report) -> None:
    """Policies whose pool is in these files, and has not what they ask of it. A pool is somebody else's, in other files
    as a rule: that it is not here says nothing.
    """
    from tidegate.api.together import lanes_that_refuse

    by_name = {pool.name: pool for _, pool in pools}
    for document, policy in policies:
        if policy.pool in by_name:
            _warn(report, document, lanes_that_refuse(policy, by_name[policy.pool]))


def _check_scalers(found: Found, report: Report) -> None:
    """Live floors over autoscalers that are in these files, and wish more anyway. That none is here says nothing."""
    from tidegate.api.together import floors_that_weigh_nothing
    from tidegate.planning.model import Ref
    from tidegate.targets.hpa import hpa_of

    scalers = {}
    for hpa in filter(None, (hpa_of(document.content) for document in found.scalers)):
        group, kind, name = hpa.scales
        workload = Ref(f"{group}/v1", kind, hpa.ref.namespace or "default", name)
        scalers[workload.identity] = (str(hpa.ref), hpa.aims)
    for document, policy in found.policies if scalers else ():
        _warn(report, document, floors_that_weigh_nothing(policy, scalers))


def _check_overrides(overrides: list[Any], policies: list[Any], report: Report) -> None:
    """Overrides of a target that their policy, which is in these files, does not have. Policies in force are in the
    cluster as a rule: that one is not here says nothing.
    """
    from tidegate.api.together import target_that_is_not_there

    by_key = {policy.key: policy for _, policy in policies}
    for document, override in overrides:
        policy = by_key.get(type(override.key)(override.key.namespace, override.policy))
        if policy is not None:
            _warn(report, document, target_that_is_not_there(override, policy))


def _warn(report: Report, document: Document, found: Iterable[Any]) -> None:
    """Add warnings of one object; ``found`` are ``Problem``s."""
    report.warnings += [_finding(document, p.path, p.wrong, p.right) for p in found]


def _now() -> float:
    return time.time()


def _finding(document: Document, path: str, wrong: str, right: str) -> Finding:
    return Finding(document.file, document.kind, document.name, path, wrong, right)


def _summary(report: Report) -> str:
    skipped = f", {report.skipped} of other kinds skipped" if report.skipped else ""
    return (
        f"{report.checked} checked, {len(report.problems)} problems, {len(report.warnings)} warnings{skipped}"
        if report.checked or report.skipped
        else "no objects found: nothing was checked"
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
