"""Whether no more comes than was told, by signal and horizon, on editions that nothing was learned from yet.

    python bench/forecast_coverage.py --traces DIR --rows rows.jsonl [--only NAME,NAME]
    python bench/backtest_page.py --rows rows.jsonl --write docs/benchmarks.md

Growth is learned from the earlier editions of each trace, as a backtest has it, and then from the trace itself as it
goes, each error after it was told. Each trace is read twice: as a policy has it that says nothing, and with a quantile
of 90 % without the fading of what was measured before, which covers more than it says. Each reading adds a line to the
file of rows; what stands there already is not read again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from backtest_table import JUDGED, WORLD_CUP, commit, rows_of
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tidegate.backtest.case import Case, Physics
from tidegate.backtest.folder import read_suite
from tidegate.backtest.lessons import Lesson, history_of, lesson_of, readings_of
from tidegate.backtest.operator import STUDIED, policy_of
from tidegate.backtest.series import instant
from tidegate.backtest.sources import Question, Source, case_of
from tidegate.backtest.stand import QUERY
from tidegate.backtest.variants import LIVE_ALONE
from tidegate.control.forecaster import Forecaster
from tidegate.planning.growth import FAN, STEP
from tidegate.planning.model import Live, Policy

Floats = NDArray[np.float64]

LONGEST = FAN[-1] * STEP - STEP
"""Seconds of a start lag with which all horizons are told."""
UNFADED = 1e6
"""Share a minute by which what was measured fades: at once."""
KINDS = {"as it comes": Live(), "quantile alone": Live(quantile=0.9, fall_per_minute=UNFADED)}


@dataclass(frozen=True)
class Covered:
    """One line of the table."""

    name: str
    title: str
    trace: str
    begin: str = ""


SIGNALS = (
    Covered("viewers-2020", "viewers, AGDQ 2020", "gdq_agdq2020_viewers_1min"),
    Covered("payments-2020", "payments, AGDQ 2020", "gdq_agdq2020_donations_1min"),
    Covered("chats-2020", "chat messages, AGDQ 2020", "gdq_agdq2020_chats_1min"),
    Covered("world-cup", "requests, World Cup 1998, judged half", WORLD_CUP.partition(".")[0], JUDGED),
    Covered("viewers-sgdq2020", "viewers, SGDQ 2020", "gdq_sgdq2020_viewers_1min"),
    Covered("viewers-sgdq2021", "viewers, SGDQ 2021", "gdq_sgdq2021_viewers_1min"),
    Covered("viewers-2021", "viewers, AGDQ 2021 (counted every 6 to 9 min)", "gdq_agdq2021_viewers_1min"),
    Covered("payments-sgdq2021", "payments, SGDQ 2021", "gdq_sgdq2021_donations_1min"),
)


def told_of(case: Case, policy: Policy, lesson: Lesson | None) -> Iterator[tuple[int, tuple[tuple[float, float], ...]]]:
    """(step, what was told there by horizon) of the judged part, by what was known then."""
    first, last, key = case.judged, len(case.grid.demand), (policy.key, QUERY)
    book = history_of(case, first, last)
    forecaster = Forecaster(book=lambda: book)
    forecaster.recall({} if lesson is None else {key: lesson.grown})
    forecaster.want({policy.key: policy}, {})
    since = max(0, first - round(STUDIED / case.grid.step))
    forecaster.study(key, readings_of(case, since, first), history_of(case, since, max(first, since + 1)))
    for at, reading in readings_of(case, first, last):
        yield case.grid.index(at), forecaster.take(key, reading, at).ahead


def shares_of(case: Case, told: list[tuple[int, tuple[tuple[float, float], ...]]]) -> Iterator[dict[str, Any]]:
    """For each horizon: the share of readings that were no larger than told a horizon before, and of those with no
    larger one on the way. What was told of a time is held against the reading that has it in its middle.
    """
    physics, step = case.physics, case.grid.step
    late = round((physics.metric_age + physics.metric_window / 2.0) / step)
    came, inside = case.seen * case.capacity, case.windows
    steps = np.array([at for at, ahead in told if ahead])
    values = np.array([[value for _, value in ahead] for _, ahead in told if ahead])
    most = np.maximum.accumulate(values, axis=1)
    horizons = next((ahead for _, ahead in told if ahead), ())
    for place, (horizon, _) in enumerate(horizons):
        count = round(horizon / step)
        ends = steps + late + count
        fits = ends < len(came)
        way = sliding_window_view(came, count)[(steps + late + 1)[fits]].max(axis=1)
        known = np.isfinite(way)
        at, within = came[ends[fits]][known] <= values[fits, place][known], way[known] <= most[fits, place][known]
        event = inside[steps[fits]][known]
        yield {
            "horizon_seconds": horizon,
            "readings": int(known.sum()),
            "at_the_end": _share(at),
            "on_the_way": _share(within),
            "in_event_windows": _share(at[event]),
        }


def _share(found: NDArray[np.bool_]) -> float | None:
    return float(found.mean()) if len(found) else None


def cover(one: Covered, traces: Path, kept: Path) -> None:
    """Read what is not in the file of rows yet."""
    done = {(row["coverage"], row["kind"]) for row in rows_of(kept) if "coverage" in row}
    missing = {kind: live for kind, live in KINDS.items() if (one.name, kind) not in done}
    if not missing:
        return
    (source,) = read_suite(traces, only=[one.trace], editions=True)
    question = Question(begin=instant(one.begin, "SIGNALS") if one.begin else None)
    case = case_of(source, question, physics := Physics(lag=LONGEST))
    lesson = lesson_of(source.earlier, question, physics, policy_of(case, LIVE_ALONE, 0.0), case.capacity)
    for kind, live in missing.items():
        told = list(told_of(case, policy_of(case, replace(LIVE_ALONE, live=live), 0.0), lesson))
        row = {
            "coverage": one.name,
            "title": one.title,
            "kind": kind,
            "quantile": live.quantile,
            "learned_from": _learned(source, case, lesson),
            "horizons": list(shares_of(case, told)),
            "commit": commit(),
        }
        with kept.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def _learned(source: Source, case: Case, lesson: Lesson | None) -> list[str]:
    return [*(lesson.editions if lesson is not None else ()), *([source.name] if case.judged else [])]


def main() -> int:
    """Read the signals."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--traces", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--only", default=",".join(one.name for one in SIGNALS))
    asked = parser.parse_args()
    wanted = asked.only.split(",")
    for one in (one for one in SIGNALS if one.name in wanted):
        cover(one, asked.traces, asked.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
