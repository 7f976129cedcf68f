"""How quantile and fade of ``spec.live`` are chosen: plays the fitting parts of real traces, and prints the choice.

    python bench/choose_live.py --traces DIR --rows choose.jsonl [--quantiles 0.95,0.97] [--fades 0.08]

The parts end before anything that docs/benchmarks.md judges begins, and each begins with nothing learned but its own
history. The rule: the least of the mean cost and ``PRICE`` times the mean of what is lost. One setting for all of them.
Each play adds a line to the file of rows as soon as it is over; what stands there already is not played again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

from backtest_table import JUDGED, WORLD_CUP, commit, rows_of

from tidegate.backtest.beside import events_of
from tidegate.backtest.case import Case, Physics
from tidegate.backtest.field import Entry, played
from tidegate.backtest.outcome import row_of
from tidegate.backtest.series import Series, instant, read_series
from tidegate.backtest.sources import Question, Source, case_of
from tidegate.backtest.variants import LIVE_ALONE
from tidegate.planning.model import Live

PRICE = 0.5
"""What a percent of lost demand is worth, as a share of the bill: machines cost some 2 % of what they sell. Judgment,
and not of an hour in which everybody looks."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """A part of a trace that nothing is judged on."""

    name: str
    trace: str
    begin: str = ""
    end: str = ""


PARTS = (
    Part("World Cup 1998, 10 to 18 June", WORLD_CUP, "1998-06-10T09:00:00Z", JUDGED),
    Part("Marathon viewers, AGDQ 2017", "gdq_agdq2017_viewers_1min.csv.gz"),
    Part("Marathon viewers, SGDQ 2018", "gdq_sgdq2018_viewers_1min.csv.gz"),
)


def case_of_part(part: Part, traces: Path) -> Case:
    """The demand of a part, at a start lag of 180 s."""
    path = traces / part.trace
    whole = read_series(path)
    series = before(whole, instant(part.end, "PARTS")) if part.end else whole
    begin = instant(part.begin, "PARTS") if part.begin else None
    source = Source(path.name.partition(".")[0], series, events_of(path, whole, sorted(traces.glob("*events*.csv"))))
    return case_of(source, Question(begin=begin), Physics(lag=180.0))


def before(series: Series, end: float) -> Series:
    """What of a series was there before an instant."""
    there = series.times < end
    return replace(series, times=series.times[there], values=series.values[there])


def choice(rows: Sequence[Row]) -> tuple[float, float] | None:
    """(quantile, fade) by the rule; None while no setting was played on all parts."""
    found = [(dear(of), setting) for setting, of in settings_of(rows).items() if len(of) == len(PARTS)]
    return min(found)[1] if found else None


def done_of(rows: Sequence[Row]) -> set[tuple[str, float, float]]:
    """(part, quantile, fade) of the plays that stand in a file of rows, which may hold other programs' rows too."""
    return {(row["part"], row["quantile"], row["fade"]) for row in rows if "part" in row}


def dear(rows: Sequence[Row]) -> float:
    """Mean cost of some plays, with what was lost."""
    return float(mean(row["cost_ratio"] + PRICE * row["lost_demand_percent"] for row in rows))


def settings_of(rows: Sequence[Row]) -> dict[tuple[float, float], list[Row]]:
    """Rows by setting, in order."""
    found: dict[tuple[float, float], list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row["quantile"], row["fade"], row["part"])):
        found.setdefault((row["quantile"], row["fade"]), []).append(row)
    return found


def table(rows: Sequence[Row]) -> Iterator[str]:
    """All settings, and which of them the rule chooses."""
    chosen, parts = choice(rows), [part.name for part in PARTS]
    yield line("quantile", "fade, % a minute", *parts, "mean lost %", "mean cost", "with what was lost", "")
    yield line(*["---:"] * (len(parts) + 5), "---")
    for setting, of in settings_of(rows).items():
        by_part = {row["part"]: f"{row['lost_demand_percent']:.3f} / {row['cost_ratio']:.3f}" for row in of}
        lost, cost = (mean(row[name] for row in of) for name in ("lost_demand_percent", "cost_ratio"))
        figures = [by_part.get(part, "") for part in parts]
        means = f"{lost:.3f}", f"{cost:.3f}", f"{dear(of):.4f}"
        yield line(f"{setting[0]:g}", f"{100 * setting[1]:g}", *figures, *means, "chosen" if setting == chosen else "")


def line(*cells: str) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Play what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--traces", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--quantiles", default="0.95,0.96,0.97,0.98,0.99")
    parser.add_argument("--fades", default="0.04,0.08,0.16")
    asked = parser.parse_args()
    grid = list(product(map(float, asked.quantiles.split(",")), map(float, asked.fades.split(","))))
    for part in PARTS:
        case = case_of_part(part, asked.traces)
        for quantile, fade in grid:
            if (part.name, quantile, fade) in done_of(rows_of(asked.rows)):
                continue
            variant = replace(LIVE_ALONE, live=Live(quantile=quantile, fall_per_minute=fade))
            begun = time.process_time()
            score, _ = played(case, Entry(variant.name, 0.0, variant))
            spent = round(time.process_time() - begun, 1)
            row = {**row_of(case, score), "part": part.name, "quantile": quantile, "fade": fade}
            with asked.rows.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**row, "cpu_seconds": spent, "commit": commit()}) + "\n")
    print("\n".join(table([row for row in rows_of(asked.rows) if "part" in row])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
