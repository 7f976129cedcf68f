"""Where Tidegate stands on real demand: plays the traces of docs/benchmarks.md and writes that page.

    python bench/backtest_table.py --traces DIR --rows rows.jsonl [--only NAME,NAME] [--tidegate-only | --rivals-only]
    python bench/backtest_table.py --rows rows.jsonl --write docs/benchmarks.md

Each play adds one line to the file of rows as soon as it is over; what stands there already is not played again, so
that a run may be stopped and continued. DIR holds the traces as files; only Double 11 comes with the program.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tidegate.backtest.builtin import BUILTIN
from tidegate.backtest.case import Physics
from tidegate.backtest.field import Entry, entries, played
from tidegate.backtest.outcome import row_of
from tidegate.backtest.series import instant, read_series
from tidegate.backtest.sources import Question, Source, case_of, events_of

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Bench:
    """One heading of the page."""

    name: str
    title: str
    trace: str
    """A file of the traces; empty: it comes with the program."""
    lag: float = 180.0
    begin: str = ""
    perturbation: str = "none"


WORLD_CUP = "wc98_1min_group_stage.csv.gz"
JUDGED = "1998-06-18T09:00:00Z"

BENCHES = (
    Bench("double-11", "Double 11, 2019, announced right", ""),
    Bench("double-11-low", "Double 11, 2019, announced 20 % too low", "", perturbation="low20"),
    Bench("double-11-high", "Double 11, 2019, announced 20 % too high", "", perturbation="high20"),
    Bench("world-cup", "World Cup 1998, judged half", WORLD_CUP, begin=JUDGED),
    Bench("viewers", "Marathon viewers, AGDQ 2019", "gdq_agdq2019_viewers_1min.csv.gz"),
    Bench("viewers-2020", "Marathon viewers, AGDQ 2020", "gdq_agdq2020_viewers_1min.csv.gz"),
    Bench("viewers-sgdq2020", "Marathon viewers, SGDQ 2020", "gdq_sgdq2020_viewers_1min.csv.gz"),
    Bench("viewers-sgdq2021", "Marathon viewers, SGDQ 2021", "gdq_sgdq2021_viewers_1min.csv.gz"),
    Bench("viewers-2021", "Marathon viewers, AGDQ 2021 (counted every 6 to 9 min)", "gdq_agdq2021_viewers_1min.csv.gz"),
    Bench("payments", "Marathon payments, AGDQ 2019", "gdq_agdq2019_donations_1min.csv.gz"),
    Bench("no-events", "Application CPU without events (Crane 0)", "crane_prod_cpu_0_1min.csv.gz"),
    Bench("world-cup-600", "World Cup 1998, judged half, 600 s", WORLD_CUP, 600.0, JUDGED),
    Bench(
        "world-cup-slips", "World Cup 1998, kick-offs as late and early as a stage's", WORLD_CUP, 180.0, JUDGED, "slips"
    ),
    Bench("world-cup-phantoms", "World Cup 1998, one event in four cancelled", WORLD_CUP, 180.0, JUDGED, "phantoms"),
    Bench("world-cup-boasters", "World Cup 1998, one host in five claims double", WORLD_CUP, 180.0, JUDGED, "boasters"),
)


def source_of(bench: Bench, traces: Path | None) -> Source:
    """The demand and the events of a heading."""
    if not bench.trace:
        return BUILTIN["double-11-2019"]()
    if traces is None:
        raise SystemExit(f"{bench.name} needs --traces")
    path = traces / bench.trace
    tables = sorted(traces.glob("*events*.csv"))
    series = read_series(path)
    return Source(bench.trace.partition(".")[0], series, events_of(path, series, tables))


def commit() -> str:
    """The commit that is played, with a mark where files differ from it."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=10"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return told.stdout.strip()


def play(bench: Bench, traces: Path | None, field: list[Entry], kept: Path) -> None:
    """Play the contestants of a heading that are not in the file of rows yet."""
    done = {(row["bench"], row["entry"]) for row in rows_of(kept)}
    begin = instant(bench.begin, "BENCHES") if bench.begin else None
    question = Question(begin=begin, perturbation=bench.perturbation)
    case = case_of(source_of(bench, traces), question, Physics(lag=bench.lag))
    for entry in field:
        name = f"{entry.policy} {entry.setting:g} {entry.variant.beneath if entry.variant else ''}".strip()
        if (bench.name, name) in done or (bench.perturbation != "none" and not entry.announced):
            continue
        begun = time.process_time()
        score, _ = played(case, entry)
        row = {
            **row_of(case, score),
            "bench": bench.name,
            "entry": name,
            "at_first": score.events[0].lost_at_first_percent if len(score.events) == 1 else None,
            "soon": score.events[0].lost_soon_percent if len(score.events) == 1 else None,
            "cpu_seconds": round(time.process_time() - begun, 1),
            "steps": len(case.grid.demand) - case.judged,
            "commit": commit(),
        }
        with kept.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def rows_of(kept: Path) -> list[dict[str, Any]]:
    """The rows that stand in a file; none where there is no file."""
    if not kept.exists():
        return []
    return [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines() if line]


# ---- the page

FRONT = """# Where Tidegate stands on real demand

<!-- Written by bench/backtest_table.py: play anew, then let it write this page. -->

Each table is one demand on one simulated cluster: units start in 180 s unless said otherwise, the largest demand takes
200 units, the metric is the demand itself (a mean of 60 s, 30 s old), and a step takes 15 s. Every contestant is told
the same announcements. [backtest.md](backtest.md) says what the figures and the contestants are.

*lost* is demand that met no ready unit. *cost* is what was paid for, over a plan that knows the demand and has the same
start lag. A cost below 1 says that demand was refused. `tidegate` alone moves a workload without an HPA, whose owner
keeps it high enough for nearly all of the time without events; outside events nothing moves it but `live`.

`tidegate-live` follows demand at all times (`spec.live`) by what it has learned until then: of the two weeks before the
judged part where there are some, else of nothing but the trace as it goes. The constants of that rule were looked at on
these traces; data that nobody has looked at will judge them. Announcements are right unless said otherwise: the largest
demand within each event is taken from the trace itself, which no announcement of a match or a show would be.
"""


def page(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The page, line by line. Of two rows of one play the later one counts."""
    rows = list({(row["bench"], row["entry"]): row for row in rows}.values())
    yield FRONT
    days = datetime.now(UTC).strftime("%Y-%m-%d")
    commits = ", ".join(sorted({row["commit"] for row in rows}))
    yield "```text"
    yield "python bench/backtest_table.py --traces DIR --rows rows.jsonl"
    yield "python bench/backtest_table.py --rows rows.jsonl --write docs/benchmarks.md"
    yield "```"
    yield ""
    yield f"Written {days}; played at commit {commits}."
    for bench in BENCHES:
        own = sorted((row for row in rows if row["bench"] == bench.name), key=_order)
        if not own:
            continue
        opening = any(row.get("at_first") is not None for row in own)
        ours = [row for row in own if row["policy"].startswith("tidegate")]
        spent = sum(row["cpu_seconds"] for row in ours) / len(ours) if ours else 0.0
        yield ""
        yield f"## {bench.title}"
        yield ""
        yield (
            "| policy | setting | lost % | lost in events % | cost | short, s |"
            + opening * " first 96 s % | 10 min % |"
        )
        yield "| --- | ---: | ---: | ---: | ---: | ---: |" + opening * " ---: | ---: |"
        for row in own:
            yield (
                f"| {row['policy']} | {row['headroom']:.2f} | {row['lost_demand_percent']:.3f}"
                f" | {row['lost_in_event_windows_percent']:.3f} | {row['cost_ratio']:.3f}"
                f" | {row['underprovisioned_seconds']:.0f} |"
                + opening
                * f" {_figure(row, 'at_first')} | {_figure(row, 'soon')} |"
            )
        if bench.perturbation != "none":
            yield ""
            yield "Whoever is told of nothing, an HPA and a forecaster, does as under a right announcement."
        if not any(row["policy"].startswith("tidegate+") for row in ours):
            yield ""
            yield "Tidegate over an HPA was not played here yet."
        if ours:
            yield ""
            yield f"{ours[0]['steps'] * 15 / 86_400:.1f} days; Tidegate's plays took {spent:.0f} s of CPU each."


def _order(row: dict[str, Any]) -> tuple[bool, str, float]:
    return not row["policy"].startswith("tidegate"), row["policy"], -row["headroom"]


def _figure(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    return "" if value is None else f"{value:.2f}"


def main() -> int:
    """Play, or write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--traces", type=Path)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--only", default=",".join(bench.name for bench in BENCHES))
    parser.add_argument("--policies", help="contestants by name, with commas; default: all")
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    if asked.write is not None:
        asked.write.write_text("\n".join(page(rows_of(asked.rows))) + "\n", encoding="utf-8")
        return 0
    field = entries(asked.policies.split(",") if asked.policies else None, sweep=False)
    field.sort(key=lambda entry: entry.variant is not None)
    wanted = asked.only.split(",")
    for bench in sorted((one for one in BENCHES if one.name in wanted), key=lambda one: wanted.index(one.name)):
        play(bench, asked.traces, field, asked.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
