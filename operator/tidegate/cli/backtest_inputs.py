"""What ``tidegate backtest`` is given: demand, events, a policy and a cluster, from options and files."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tidegate.backtest.case import Physics
    from tidegate.backtest.field import Entry
    from tidegate.backtest.happenings import Happening
    from tidegate.backtest.sources import Source
    from tidegate.planning.model import Policy


def physics_of(
    lag: float,
    spread: float,
    per_unit: float,
    failed: float,
    node_units: int,
    node_seconds: float,
    billed: float,
    age: float,
    gaps: float,
    seed: int,
) -> Physics:
    """The cluster as the options describe it."""
    from tidegate.backtest.case import Nodes, Physics

    nodes = Nodes(node_units, node_seconds) if node_units else None
    return Physics(
        lag=lag,
        lag_spread=spread,
        lag_per_unit=per_unit,
        failed_starts=failed,
        nodes=nodes,
        billed_seconds=billed,
        metric_age=age,
        metric_gaps=gaps,
        seed=seed,
    )


def source_of(
    demand: Path | None,
    builtin: str,
    prometheus: str | None,
    query: str | None,
    since: str | None,
    until: str | None,
    step: float,
) -> Source:
    """Demand from a file, from a Prometheus, or as it comes with the program."""
    from tidegate.backtest.builtin import BUILTIN
    from tidegate.backtest.history import fetch
    from tidegate.backtest.series import InputError, read_series
    from tidegate.backtest.sources import Source

    if demand is not None and prometheus is not None:
        raise InputError("--demand and --prometheus: give one of them")
    if demand is not None:
        return Source(demand.name.removesuffix(".gz").removesuffix(".csv"), read_series(demand))
    if prometheus is not None:
        if not query:
            raise InputError("--prometheus needs --query, PromQL that gives one series")
        end = optional_instant(until) or time.time()
        start = optional_instant(since) or end - 7 * 86_400.0
        series = fetch(prometheus, query, start=start, end=end, step=max(step, 15.0), progress=pages)
        return Source(query, series)
    if builtin not in BUILTIN:
        raise InputError(f"--builtin: there is no {builtin!r}; there are {', '.join(BUILTIN)}")
    return BUILTIN[builtin]()


def events_of(files: list[Path], source: Source) -> list[Happening]:
    """Announced events of CSV files and of LiveEvents, in order."""
    from tidegate.backtest.happenings import of_announcements, read_happenings
    from tidegate.backtest.series import InputError

    found: list[Happening] = []
    for file in files:
        if file.suffix in (".yaml", ".yml", ".json"):
            from tidegate.api.parse import parse_live_event
            from tidegate.api.problems import InvalidObject
            from tidegate.cli.manifests import UnreadableError, read_documents

            begin, end = float(source.series.times[0]), source.series.end
            try:
                announced = [
                    parse_live_event(one.content).announcement(begin, end)
                    for one in read_documents([file])
                    if one.kind == "LiveEvent"
                ]
            except (InvalidObject, UnreadableError) as error:
                raise InputError(f"{file}: {error}") from error
            signals = {signal for one in announced for signal, _ in one.expected}
            if len(signals) > 1:
                raise InputError(
                    f"{file}: expects several signals ({', '.join(sorted(signals))}); keep the one of the demand"
                )
            found += of_announcements(announced, signals.pop() if signals else "")
        else:
            found += read_happenings(file)
    return sorted(found, key=lambda one: one.start)


def policy_of(file: Path) -> Policy:
    """The one ScalingPolicy of a file."""
    from tidegate.api.parse import parse_policy
    from tidegate.api.problems import InvalidObject
    from tidegate.backtest.series import InputError
    from tidegate.cli.manifests import UnreadableError, read_documents

    try:
        found = [parse_policy(one.content) for one in read_documents([file]) if one.kind == "ScalingPolicy"]
    except (InvalidObject, UnreadableError) as error:
        raise InputError(f"{file}: {error}") from error
    if len(found) != 1 or len(found[0].targets) != 1 or len(found[0].targets[0].capacity) != 1:
        raise InputError(f"{file}: give one ScalingPolicy with one target that carries one signal, that of the demand")
    return found[0]


def background_of(policy: Policy) -> float | None:
    """Demand without any event, as a policy says; None where it does not."""
    return dict(policy.targets[0].background).get(policy.targets[0].capacity[0][0])


def entries_of(policies: str | None, sweep: bool, given: Policy | None) -> list[Entry]:
    """The contestants that were asked for."""
    from tidegate.backtest.field import entries
    from tidegate.backtest.variants import AS_IT_COMES, OVER_HPA

    names = None if policies is None else policies.split(",")
    if given is None:
        return entries(names, sweep=sweep)
    headrooms = tuple(dict.fromkeys((given.targets[0].headroom, 0.0, 0.1, 0.2)))
    variants = [replace(one, policy=given, headrooms=headrooms) for one in (AS_IT_COMES, OVER_HPA)]
    return entries(names, sweep=sweep, variants=variants)


def optional_instant(text: str | None) -> float | None:
    """An instant of an option."""
    from tidegate.backtest.series import instant

    return None if text is None else instant(text, "an option")


def perturbation_of(name: str) -> str:
    """The name of a perturbation."""
    from tidegate.backtest.happenings import PERTURBATIONS
    from tidegate.backtest.series import InputError

    if name not in PERTURBATIONS:
        raise InputError(f"there is no perturbation {name!r}; there are {', '.join(PERTURBATIONS)}")
    return name


def pages(done: int, of: int) -> None:
    """Say how many pages of a range are there, to a terminal."""
    if sys.stderr.isatty():
        typer.echo(f"\rpage {done} of {of}", nl=done == of, err=True)
