"""``tidegate backtest``: how Tidegate and its rivals would have done on demand that has been."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.output import Output

if TYPE_CHECKING:
    from tidegate.backtest.case import Physics
    from tidegate.backtest.field import Entry
    from tidegate.backtest.happenings import Happening
    from tidegate.backtest.outcome import Outcome
    from tidegate.backtest.sources import Source
    from tidegate.planning.model import Policy

app = typer.Typer(invoke_without_command=True, pretty_exceptions_enable=False)

DEMAND = "Demand"
CLUSTER = "Cluster"
CONTEST = "Contest"
RESULT = "Result"

Capacity = Annotated[
    float | None,
    typer.Option(
        min=0, help="what one unit carries; default: the largest demand is --units-at-peak", rich_help_panel=CLUSTER
    ),
]
UnitsAtPeak = Annotated[int, typer.Option(min=1, help="units that the largest demand takes", rich_help_panel=CLUSTER)]
Step = Annotated[float, typer.Option(min=1, max=300, help="seconds of a step", rich_help_panel=CLUSTER)]
Spread = Annotated[
    float, typer.Option(min=0, max=2, help="deviation of the logarithm of the start lag", rich_help_panel=CLUSTER)
]
PerUnit = Annotated[
    float, typer.Option(min=0, help="seconds more of lag for each unit of a step", rich_help_panel=CLUSTER)
]
Failed = Annotated[float, typer.Option(min=0, max=0.9, help="share of starts that fail", rich_help_panel=CLUSTER)]
NodeUnits = Annotated[
    int, typer.Option(min=0, help="units of one machine; 0: there is always room", rich_help_panel=CLUSTER)
]
NodeSeconds = Annotated[float, typer.Option(min=0, help="seconds that a new machine takes", rich_help_panel=CLUSTER)]
Billed = Annotated[float, typer.Option(min=0, help="least seconds that a unit is paid for", rich_help_panel=CLUSTER)]
Age = Annotated[float, typer.Option(min=0, help="seconds that the metric is late", rich_help_panel=CLUSTER)]
Gaps = Annotated[
    float, typer.Option(min=0, max=0.9, help="share of the time without a metric", rich_help_panel=CLUSTER)
]
Seed = Annotated[int, typer.Option(help="of all that is drawn", rich_help_panel=CLUSTER)]
Policies = Annotated[
    str | None, typer.Option(help="contestants by name, with commas; default: all", rich_help_panel=CONTEST)
]
Sweep = Annotated[bool, typer.Option("--sweep", help="every setting of each contestant", rich_help_panel=CONTEST)]
Jobs = Annotated[int, typer.Option(min=1, help="processes", rich_help_panel=CONTEST)]


@app.callback()
def backtest(
    context: typer.Context,
    demand: Annotated[
        Path | None,
        typer.Option(help="CSV (or .csv.gz) with the columns timestamp and value", rich_help_panel=DEMAND),
    ] = None,
    builtin: Annotated[
        str, typer.Option(help="data that comes with the program: double-11-2019 or room", rich_help_panel=DEMAND)
    ] = "double-11-2019",
    prometheus: Annotated[
        str | None, typer.Option(help="URL of a Prometheus that has the demand", rich_help_panel=DEMAND)
    ] = None,
    query: Annotated[str | None, typer.Option(help="PromQL that gives one series", rich_help_panel=DEMAND)] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", help="begin of the range, RFC 3339; default: a week ago", rich_help_panel=DEMAND),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="end of the range, RFC 3339; default: now", rich_help_panel=DEMAND)
    ] = None,
    events: Annotated[
        list[Path] | None,
        typer.Option(help="announced events: CSV, or LiveEvents as YAML; may be given again", rich_help_panel=DEMAND),
    ] = None,
    judge_from: Annotated[
        str | None,
        typer.Option(
            help="score from this instant on, by the trace's own time; before it is history", rich_help_panel=DEMAND
        ),
    ] = None,
    background: Annotated[
        float | None,
        typer.Option(min=0, help="demand without events; default: the median outside them", rich_help_panel=DEMAND),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="a ScalingPolicy; default: the defaults", rich_help_panel=CONTEST)
    ] = None,
    lag: Annotated[
        float, typer.Option(min=0, help="seconds from the wish to ready and warm", rich_help_panel=CLUSTER)
    ] = 180.0,
    capacity: Capacity = None,
    units_at_peak: UnitsAtPeak = 200,
    step: Step = 15.0,
    lag_spread: Spread = 0.0,
    lag_per_unit: PerUnit = 0.0,
    failed_starts: Failed = 0.0,
    node_units: NodeUnits = 0,
    node_seconds: NodeSeconds = 180.0,
    min_billing: Billed = 0.0,
    metric_age: Age = 30.0,
    metric_gaps: Gaps = 0.0,
    seed: Seed = 1,
    perturbation: Annotated[
        str,
        typer.Option(
            help="how announcements are wrong: none, low20, high20, slips, phantoms, boasters", rich_help_panel=CONTEST
        ),
    ] = "none",
    policies: Policies = None,
    sweep: Sweep = False,
    jobs: Jobs = 1,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="text or json", rich_help_panel=RESULT)
    ] = Output.TEXT,
    report: Annotated[
        Path | None, typer.Option(help="write an HTML report to this file", rich_help_panel=RESULT)
    ] = None,
    max_lost: Annotated[
        float | None,
        typer.Option(min=0, help="exit with 1 if Tidegate loses more percent of demand", rich_help_panel=RESULT),
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(min=0, help="exit with 1 if Tidegate's cost ratio is above this", rich_help_panel=RESULT),
    ] = None,
    bounded: Annotated[
        str, typer.Option(help="the contestant that --max-lost and --max-cost bind", rich_help_panel=RESULT)
    ] = "tidegate+hpa-90",
) -> None:
    """Play past demand with Tidegate's own control loop, and with what people use instead.

    Every contestant is told the same announcements and runs on the same simulated cluster. Without any option it plays
    Double 11, 2019.
    """
    if context.invoked_subcommand is not None:
        return
    from tidegate.backtest.outcome import breaches
    from tidegate.backtest.series import InputError
    from tidegate.backtest.sources import Question
    from tidegate.backtest.suite import outcome_of

    physics = _physics(
        lag,
        lag_spread,
        lag_per_unit,
        failed_starts,
        node_units,
        node_seconds,
        min_billing,
        metric_age,
        metric_gaps,
        seed,
    )
    try:
        given = None if policy is None else _policy(policy)
        source = _source(demand, builtin, prometheus, query, since, until, step)
        source = replace(source, happenings=(*source.happenings, *_events(events or [], source)))
        question = Question(
            step=step,
            capacity=capacity
            if given is None or capacity is not None
            else dict(given.targets[0].capacity).popitem()[1],
            units_at_peak=units_at_peak,
            begin=_instant(judge_from),
            background=background if given is None or background is not None else _background(given),
            perturbation=_perturbation(perturbation),
        )
        found = outcome_of(source, question, physics, _entries(policies, sweep, given), jobs=jobs, progress=_progress)
        broken = []
        if max_lost is not None or max_cost is not None:
            broken = breaches(found.scores, frozenset({bounded}), lost=max_lost, cost=max_cost)
    except (InputError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    _show(found, output, report)
    for one in broken:
        typer.echo(f"bound not kept: {one}", err=True)
    if broken:
        raise typer.Exit(1)


@app.command("suite")
def suite(
    traces: Annotated[
        Path, typer.Option(help="folder of traces: CSV files, with their events", rich_help_panel=DEMAND)
    ],
    lags: Annotated[str, typer.Option(help="start lags in seconds, with commas", rich_help_panel=CLUSTER)] = "180",
    only: Annotated[
        str | None, typer.Option(help="traces whose name has one of these in it, with commas", rich_help_panel=DEMAND)
    ] = None,
    judge_from: Annotated[
        str | None, typer.Option(help="score from this instant on, by the traces' own time", rich_help_panel=DEMAND)
    ] = None,
    perturbations: Annotated[
        str,
        typer.Option(help="none, low20, high20, slips, phantoms, boasters, with commas", rich_help_panel=CONTEST),
    ] = "none",
    units_at_peak: UnitsAtPeak = 200,
    step: Step = 15.0,
    lag_spread: Spread = 0.0,
    min_billing: Billed = 0.0,
    metric_age: Age = 30.0,
    metric_gaps: Gaps = 0.0,
    seed: Seed = 1,
    policies: Policies = None,
    sweep: Sweep = False,
    jobs: Jobs = 1,
) -> None:
    """Play many traces, and print one JSON row for each play."""
    from tidegate.backtest.series import InputError
    from tidegate.backtest.sources import Question, read_suite
    from tidegate.backtest.suite import suite as played
    from tidegate.backtest.suite import text_of_rows

    physics = _physics(180.0, lag_spread, 0.0, 0.0, 0, 0.0, min_billing, metric_age, metric_gaps, seed)
    try:
        sources = read_suite(traces)
        if only is not None:
            sources = tuple(one for one in sources if any(part in one.name for part in only.split(",")))
        question = Question(step=step, units_at_peak=units_at_peak, begin=_instant(judge_from))
        rows = played(
            sources,
            question,
            physics,
            _entries(policies, sweep, None),
            lags=[float(one) for one in lags.split(",")],
            perturbations=[_perturbation(one) for one in perturbations.split(",")],
            jobs=jobs,
            progress=_progress,
        )
    except (InputError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    sys.stdout.write(text_of_rows(rows))


# ---- what is given


def _physics(
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


def _source(
    demand: Path | None,
    builtin: str,
    prometheus: str | None,
    query: str | None,
    since: str | None,
    until: str | None,
    step: float,
) -> Source:
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
        end = _instant(until) or time.time()
        start = _instant(since) or end - 7 * 86_400.0
        series = fetch(prometheus, query, start=start, end=end, step=max(step, 15.0), progress=_pages)
        return Source(query, series)
    if builtin not in BUILTIN:
        raise InputError(f"--builtin: there is no {builtin!r}; there are {', '.join(BUILTIN)}")
    return BUILTIN[builtin]()


def _events(files: list[Path], source: Source) -> list[Happening]:
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


def _policy(file: Path) -> Policy:
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


def _background(policy: Policy) -> float | None:
    return dict(policy.targets[0].background).get(policy.targets[0].capacity[0][0])


def _entries(policies: str | None, sweep: bool, given: Policy | None) -> list[Entry]:
    from tidegate.backtest.field import entries
    from tidegate.backtest.variants import AS_IT_COMES, OVER_HPA

    names = None if policies is None else policies.split(",")
    if given is None:
        return entries(names, sweep=sweep)
    headrooms = tuple(dict.fromkeys((given.targets[0].headroom, 0.0, 0.1, 0.2)))
    variants = [replace(one, policy=given, headrooms=headrooms) for one in (AS_IT_COMES, OVER_HPA)]
    return entries(names, sweep=sweep, variants=variants)


def _instant(text: str | None) -> float | None:
    from tidegate.backtest.series import instant

    return None if text is None else instant(text, "an option")


def _perturbation(name: str) -> str:
    from tidegate.backtest.happenings import PERTURBATIONS
    from tidegate.backtest.series import InputError

    if name not in PERTURBATIONS:
        raise InputError(f"there is no perturbation {name!r}; there are {', '.join(PERTURBATIONS)}")
    return name


# ---- what is shown


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        typer.echo(f"\r{done} of {of} plays", nl=done == of, err=True)


def _pages(done: int, of: int) -> None:
    if sys.stderr.isatty():
        typer.echo(f"\rpage {done} of {of}", nl=done == of, err=True)


def _show(found: Outcome, output: Output, report: Path | None) -> None:
    from tidegate.backtest.outcome import EXPLAINED, figures, lines

    if report is not None:
        from tidegate.backtest.report import report as page

        report.write_text(page(found), encoding="utf-8")
    if output is Output.JSON:
        sys.stdout.write(json.dumps(figures(found), indent=2) + "\n")
        return
    case = found.case
    days = float(case.scored.sum()) * case.grid.step / 86_400.0
    typer.echo(
        f"{case.name}: {days:.1f} days, {len(case.happenings)} events, start lag {case.physics.lag:g} s,"
        f" announcements: {case.perturbation}"
    )
    for note in case.notes:
        typer.echo(note)
    typer.echo("")
    for line in lines(found.scores):
        typer.echo(line)
    typer.echo("")
    typer.echo(EXPLAINED)
    if report is not None:
        typer.echo(f"The report is in {report}.")
