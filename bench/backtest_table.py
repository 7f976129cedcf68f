"""Where Tidegate stands on real demand: plays the traces of docs/benchmarks.md.

    python bench/backtest_table.py --traces DIR --rows rows.jsonl [--only NAME,NAME] [--policies NAME,NAME]
    python bench/backtest_table.py --traces DIR --rows rows.jsonl --entries 'tidegate-live 0 None q0.88 f0.06' \
        --quantiles 0.88 --fade 0.06
    python bench/backtest_page.py --rows rows.jsonl --write docs/benchmarks.md

Each play adds one line to the file of rows as soon as it is over; what stands there already is not played again, so
that a run may be stopped and continued. DIR holds the traces as files; only Double 11 comes with the program.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from double11_years import FILE as SALES
from double11_years import sale_of

from tidegate.backtest.builtin import BUILTIN
from tidegate.backtest.case import WARM_UP, Physics
from tidegate.backtest.contest import Score
from tidegate.backtest.field import Entry, entries, played
from tidegate.backtest.folder import read_suite
from tidegate.backtest.lessons import Lesson, lesson_of, reach_of
from tidegate.backtest.operator import policy_of
from tidegate.backtest.outcome import row_of
from tidegate.backtest.series import instant
from tidegate.backtest.sources import Question, Source, case_of

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
    cut: bool = False
    """Nothing before ``begin`` is known: neither demand nor events."""
    sale: int = 0
    """The year of a Double 11, as stairs."""


WORLD_CUP = "wc98_1min_group_stage.csv.gz"
JUDGED = "1998-06-18T09:00:00Z"
STAIRS = ", mean rates between milestones"

BENCHES = (
    Bench("double-11", "Double 11, 2019, announced right", ""),
    Bench("double-11-low", "Double 11, 2019, announced 20 % too low", "", perturbation="low20"),
    Bench("double-11-high", "Double 11, 2019, announced 20 % too high", "", perturbation="high20"),
    Bench("double-11-2018", f"Double 11, 2018{STAIRS}, announced right", SALES, sale=2018),
    Bench(
        "double-11-2018-low", f"Double 11, 2018{STAIRS}, announced 20 % too low", SALES, perturbation="low20", sale=2018
    ),
    Bench(
        "double-11-2018-high",
        f"Double 11, 2018{STAIRS}, announced 20 % too high",
        SALES,
        perturbation="high20",
        sale=2018,
    ),
    Bench("world-cup", "World Cup 1998, judged half", WORLD_CUP, begin=JUDGED),
    Bench("viewers", "Marathon viewers, AGDQ 2019", "gdq_agdq2019_viewers_1min.csv.gz"),
    Bench("viewers-2020", "Marathon viewers, AGDQ 2020", "gdq_agdq2020_viewers_1min.csv.gz"),
    Bench("viewers-sgdq2020", "Marathon viewers, SGDQ 2020", "gdq_sgdq2020_viewers_1min.csv.gz"),
    Bench("viewers-sgdq2021", "Marathon viewers, SGDQ 2021", "gdq_sgdq2021_viewers_1min.csv.gz"),
    Bench("viewers-2021", "Marathon viewers, AGDQ 2021 (counted every 6 to 9 min)", "gdq_agdq2021_viewers_1min.csv.gz"),
    Bench("payments", "Marathon payments, AGDQ 2019", "gdq_agdq2019_donations_1min.csv.gz"),
    Bench("payments-2020", "Marathon payments, AGDQ 2020", "gdq_agdq2020_donations_1min.csv.gz"),
    Bench("payments-sgdq2020", "Marathon payments, SGDQ 2020", "gdq_sgdq2020_donations_1min.csv.gz"),
    Bench("payments-2021", "Marathon payments, AGDQ 2021", "gdq_agdq2021_donations_1min.csv.gz"),
    Bench("payments-sgdq2021", "Marathon payments, SGDQ 2021", "gdq_sgdq2021_donations_1min.csv.gz"),
    Bench("no-events", "Application CPU without events (Crane 0)", "crane_prod_cpu_0_1min.csv.gz"),
    Bench("world-cup-600", "World Cup 1998, judged half, 600 s", WORLD_CUP, 600.0, JUDGED),
    Bench(
        "world-cup-first", "World Cup 1998, judged half, by who has seen none before", WORLD_CUP, begin=JUDGED, cut=True
    ),
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
    if bench.sale:
        return sale_of(bench.sale, traces)
    (source,) = read_suite(traces, only=[bench.trace.partition(".")[0]], editions=True)
    return cut(source, instant(bench.begin, "BENCHES") - WARM_UP) if bench.cut else source


def cut(source: Source, begin: float) -> Source:
    """A source as it is from an instant on."""
    series = source.series
    later = series.times >= begin
    kept = replace(series, times=series.times[later], values=series.values[later])
    return replace(source, series=kept, happenings=tuple(one for one in source.happenings if one.end > begin))


def commit() -> str:
    """The commit that is played, with a mark where files differ from it."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=10"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return told.stdout.strip()


@dataclass(frozen=True)
class Played:
    """A contestant as it is played: with another quantile or fade, or as one that has learned nothing before."""

    entry: Entry
    quantile: float | None = None
    new: bool = False
    fade: float | None = None

    @property
    def name(self) -> str:
        """By which its row is found again."""
        entry = self.entry
        name = f"{entry.policy} {entry.setting:g} {entry.variant.beneath if entry.variant else ''}".strip()
        moved = [f" {of}{value:g}" for of, value in (("q", self.quantile), ("f", self.fade)) if value is not None]
        return name + "".join(moved) + " new" * self.new

    @property
    def moved(self) -> Entry:
        """The entry, with the quantile and the fade."""
        variant = self.entry.variant
        if variant is None or variant.live is None:
            return self.entry
        live = variant.live
        if self.quantile is not None:
            live = replace(live, quantile=self.quantile)
        if self.fade is not None:
            live = replace(live, fall_per_minute=self.fade)
        return replace(self.entry, variant=replace(variant, live=live))


def play(bench: Bench, traces: Path | None, field: list[Played], kept: Path) -> None:
    """Play the contestants of a heading that are not in the file of rows yet."""
    done = {(row["bench"], row["entry"]) for row in rows_of(kept) if "bench" in row}
    begin = instant(bench.begin, "BENCHES") if bench.begin else None
    question, physics = Question(begin=begin, perturbation=bench.perturbation), Physics(lag=bench.lag)
    source = source_of(bench, traces)
    case = case_of(source, question, physics)
    lessons: dict[float, Lesson | None] = {}
    for one in field:
        entry = one.moved
        if (bench.name, one.name) in done or (bench.perturbation != "none" and not entry.announced):
            continue
        lesson = None
        if entry.variant is not None and entry.learns and source.earlier and not one.new:
            policy = policy_of(case, entry.variant, entry.setting)
            reach = reach_of(policy)
            if reach not in lessons:
                lessons[reach] = lesson_of(source.earlier, question, physics, policy, case.capacity)
            lesson = lessons[reach]
        begun = time.process_time()
        score, _ = played(case, entry, lesson)
        row = {
            **row_of(case, score),
            "bench": bench.name,
            "entry": one.name,
            "quantile": one.quantile,
            "fade": one.fade,
            "new": one.new,
            "at_first": score.events[0].lost_at_first_percent if len(score.events) == 1 else None,
            "soon": score.events[0].lost_soon_percent if len(score.events) == 1 else None,
            "cpu_seconds": round(time.process_time() - begun, 1),
            "first_event": _first_event(score),
            "steps": len(case.grid.demand) - case.judged,
            "commit": commit(),
        }
        with kept.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def _first_event(score: Score) -> dict[str, float] | None:
    if not score.events:
        return None
    first = score.events[0]
    return {"lost_demand_percent": first.lost_percent, "cost_ratio": first.cost_ratio}


def rows_of(kept: Path) -> list[dict[str, Any]]:
    """The rows that stand in a file; none where there is no file."""
    if not kept.exists():
        return []
    return [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines() if line]


def main() -> int:
    """Play."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--traces", type=Path)
    parser.add_argument("--rows", type=Path, required=True, help="file of rows")
    parser.add_argument("--only", default=",".join(bench.name for bench in BENCHES))
    parser.add_argument("--policies", help="contestants by name, with commas; default: all")
    parser.add_argument("--entries", help="of those only these, as rows name them: 'tidegate-live 0 None,hpa 70'")
    parser.add_argument("--quantiles", help="of what follows demand, with commas, beside its own")
    parser.add_argument("--fade", type=float, help="of these quantiles: share a minute by which what was high fades")
    parser.add_argument("--targets", help="of HPAs, with commas, beside 70, 80 and 90: what costs as much as we do")
    parser.add_argument("--new", action="store_true", help="as ones that have learned from no earlier edition")
    asked = parser.parse_args()
    known = entries(asked.policies.split(",") if asked.policies else None, sweep=False)
    known += [Entry("hpa", float(target)) for target in asked.targets.split(",")] if asked.targets else []
    known.sort(key=lambda entry: entry.variant is not None)
    named = set(asked.entries.split(",")) if asked.entries else None
    quantiles = [None, *(float(one) for one in asked.quantiles.split(","))] if asked.quantiles else [None]
    all_ways = [
        Played(one, quantile, asked.new, None if quantile is None else asked.fade)
        for one in known
        for quantile in (quantiles if one.learns else [None])
    ]
    field = [one for one in all_ways if named is None or {one.name, Played(one.entry).name} & named]
    wanted = asked.only.split(",")
    for bench in sorted((one for one in BENCHES if one.name in wanted), key=lambda one: wanted.index(one.name)):
        play(bench, asked.traces, field, asked.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
