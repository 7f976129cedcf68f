"""``tidegate backtest``: how Tidegate and its rivals would have done on demand that has been."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.backtest_inputs import (
    MOST_SECONDS,
    Asked,
    LeftOuts,
    Steps,
    background_of,
    check_bounded,
    earlier_of,
    entries_of,
    events_of,
    given_options,
    listed,
    notes_of,
    optional_instant,
    perturbation_of,
    physics_of,
    policy_of,
    refuse_before,
    seconds_of,
    shard_of,
    source_of,
)
from tidegate.cli.output import Output, failed

if TYPE_CHECKING:
    from tidegate.backtest.outcome import Outcome

app = typer.Typer(invoke_without_command=True, pretty_exceptions_enable=False)

DEMAND = "Demand"
CLUSTER = "Cluster"
CONTEST = "Contest"
RESULT = "Result"

PLAYS = "{done} of {of} plays"

Capacity = Annotated[
    float | None,
    typer.Option(
        min=1e-6, help="what one unit carries; default: the largest demand is --units-at-peak", rich_help_panel=CLUSTER
    ),
]
UnitsAtPeak = Annotated[
    int, typer.Option(min=1, max=50_000, help="units that the largest demand takes", rich_help_panel=CLUSTER)
]
Step = Annotated[float, typer.Option(min=1, max=300, help="seconds of a step", rich_help_panel=CLUSTER)]
Spread = Annotated[
    float, typer.Option(min=0, max=2, help="deviation of the logarithm of the start lag", rich_help_panel=CLUSTER)
]
PerUnit = Annotated[
    float,
    typer.Option(min=0, max=MOST_SECONDS, help="seconds more of lag for each unit of a step", rich_help_panel=CLUSTER),
]
Failed = Annotated[float, typer.Option(min=0, max=0.9, help="share of starts that fail", rich_help_panel=CLUSTER)]
NodeUnits = Annotated[
    int, typer.Option(min=0, help="units of one machine; 0: there is always room", rich_help_panel=CLUSTER)
]
NodeSeconds = Annotated[
    float, typer.Option(min=0, max=MOST_SECONDS, help="seconds that a new machine takes", rich_help_panel=CLUSTER)
]
Billed = Annotated[
    float, typer.Option(min=0, max=MOST_SECONDS, help="least seconds that a unit is paid for", rich_help_panel=CLUSTER)
]
Age = Annotated[
    float, typer.Option(min=0, max=MOST_SECONDS, help="seconds that the metric is late", rich_help_panel=CLUSTER)
]
Gaps = Annotated[
    float, typer.Option(min=0, max=0.9, help="share of the time without a metric", rich_help_panel=CLUSTER)
]
Seed = Annotated[int, typer.Option(min=0, help="of all that is drawn", rich_help_panel=CLUSTER)]
Policies = Annotated[
    str | None, typer.Option(help="contestants by name, with commas; default: all", rich_help_panel=CONTEST)
]
NoHistory = Annotated[
    bool,
    typer.Option("--no-history", help="nobody has learned from earlier editions of a trace", rich_help_panel=CONTEST),
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
    prometheus_credentials: Annotated[
        Path | None,
        typer.Option(
            help="folder with token, tenant and ca.crt, or some of them, as the operator reads them",
            rich_help_panel=DEMAND,
        ),
    ] = None,
    prometheus_seconds: Annotated[
        float, typer.Option(min=1, help="seconds that one page of the range may take", rich_help_panel=DEMAND)
    ] = 60.0,
    events: Annotated[
        list[Path] | None,
        typer.Option(
            help="announced events: CSV, a calendar (.ics), or LiveEvents as YAML; may be given again",
            rich_help_panel=DEMAND,
        ),
    ] = None,
    judge_from: Annotated[
        str | None,
        typer.Option(
            help="score from this instant on, by the trace's own time; before it is history", rich_help_panel=DEMAND
        ),
    ] = None,
    history: Annotated[
        list[Path] | None,
        typer.Option(
            help="CSV of an earlier edition, its events beside it: live has learned from it; may be given again",
            rich_help_panel=DEMAND,
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
        float,
        typer.Option(min=0, max=MOST_SECONDS, help="seconds from the wish to ready and warm", rich_help_panel=CLUSTER),
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
        refuse_before(context, context.invoked_subcommand)
        return
    from tidegate.backtest.outcome import breaches
    from tidegate.backtest.series import InputError
    from tidegate.backtest.sources import Question
    from tidegate.backtest.suite import outcome_of

    physics = physics_of(
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
        given = None if policy is None else policy_of(policy)
        field = entries_of(policies, sweep, given)
        if max_lost is not None or max_cost is not None or "--bounded" in given_options(context):
            check_bounded(bounded, field)
        asked = Asked(prometheus, query, since, until, prometheus_credentials, prometheus_seconds)
        source = source_of(demand, builtin, asked, step)
        happenings = (*source.happenings, *events_of(events or [], source))
        notes = (*source.notes, *notes_of(policy, given))
        source = replace(source, happenings=happenings, earlier=earlier_of(history or [], source), notes=notes)
        question = Question(
            step=step,
            capacity=capacity
            if given is None or capacity is not None
            else dict(given.targets[0].capacity).popitem()[1],
            units_at_peak=units_at_peak,
            begin=optional_instant(judge_from, "--judge-from"),
            background=background if given is None or background is not None else background_of(given),
            perturbation=perturbation_of(perturbation),
        )
        with Steps(PLAYS) as steps:
            found = outcome_of(source, question, physics, field, jobs=jobs, progress=steps)
        broken = []
        if max_lost is not None or max_cost is not None:
            broken = breaches(found.scores, frozenset({bounded}), lost=max_lost, cost=max_cost)
    except (InputError, ValueError) as error:
        raise failed(str(error), output, 2) from error
    unwritten = None if report is None else _write(found, report)
    _show(found, output, report if unwritten is None else None)
    if unwritten is not None:
        typer.echo(unwritten, err=True)
        raise typer.Exit(2)
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
    history: Annotated[
        list[Path] | None,
        typer.Option(
            help="one more folder to look for earlier editions in; may be given again", rich_help_panel=DEMAND
        ),
    ] = None,
    no_history: NoHistory = False,
    shard: Annotated[
        str, typer.Option(help="which part of the traces: INDEX/OF, from 0/OF on", rich_help_panel=DEMAND)
    ] = "0/1",
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
    """Play many traces, and print one JSON row for each play.

    Files that are left out are told on standard error. The exit code is 2 where one of them is meant as a trace and
    cannot be used; the rows of the others are printed all the same.
    """
    from tidegate.backtest.folder import read_suite
    from tidegate.backtest.series import InputError
    from tidegate.backtest.sources import Question
    from tidegate.backtest.suite import playable, text_of_rows
    from tidegate.backtest.suite import suite as played

    left_out = LeftOuts()
    physics = physics_of(180.0, lag_spread, 0.0, 0.0, 0, 0.0, min_billing, metric_age, metric_gaps, seed)
    try:
        named = () if only is None else listed(only, "--only")
        lag_seconds = [seconds_of(one, "--lags") for one in listed(lags, "--lags")]
        wrongs = [perturbation_of(one) for one in listed(perturbations, "--perturbations")]
        field = entries_of(policies, sweep, None)
        learns = not no_history and any(one.learns for one in field)
        sources = read_suite(
            traces, only=named, shard=shard_of(shard), editions=learns, history=history or (), tell=left_out
        )
        question = Question(step=step, units_at_peak=units_at_peak, begin=optional_instant(judge_from, "--judge-from"))
        with Steps(PLAYS) as steps:
            rows = played(
                playable(sources, question, physics, left_out),
                question,
                physics,
                field,
                lags=lag_seconds,
                perturbations=wrongs,
                jobs=jobs,
                progress=steps,
            )
    except (InputError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    sys.stdout.write(text_of_rows(rows))
    if left_out.wrong:
        raise typer.Exit(2)


# ---- what is shown


def _write(found: Outcome, report: Path) -> str | None:
    """Write the report; why it cannot be written, where it cannot."""
    from tidegate.backtest.report import report as page

    try:
        report.write_text(page(found), encoding="utf-8")
    except OSError as error:
        return f"--report: {report}: {error.strerror or error}; what was played is shown all the same"
    return None


def _show(found: Outcome, output: Output, report: Path | None) -> None:
    from tidegate.backtest.outcome import EXPLAINED, figures, learned, lines

    if output is Output.JSON:
        sys.stdout.write(json.dumps(figures(found), indent=2) + "\n")
        return
    case = found.case
    days = float(case.scored.sum()) * case.grid.step / 86_400.0
    typer.echo(
        f"{case.name}: {days:.1f} days, {len(found.scores[0].events)} events, start lag {case.physics.lag:g} s,"
        f" announcements: {case.perturbation}"
    )
    for note in case.notes:
        typer.echo(note)
    typer.echo("")
    for line in lines(found.scores):
        typer.echo(line)
    typer.echo("")
    for line in (*learned(found.scores), EXPLAINED):
        typer.echo(line)
    if report is not None:
        typer.echo(f"The report is in {report}.")
