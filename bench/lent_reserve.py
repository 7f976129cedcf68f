"""What a lent reserve comes to where demand jumps within the start lag: marathon payments.

    python bench/lent_reserve.py --traces DIR --rows rows.jsonl [--only NAME,NAME]

Payments of a marathon jump within seconds, and nothing in the minutes before says when. Units that take 180 s come too
late, however they are planned. Here a number of units stands ready beside the plan at all times, and works for data
processing until demand passes the ready units: then trading has it some seconds later, and keeps it for a while.

For each edition a plan that costs about what an HPA at 70 % costs is played, and the smallest reserve is told with
which it loses half of what that HPA loses. Its price is told twice: as it is lent, when trading pays for the time in
which it has the units; and as it stands idle, when trading pays for all of it. Beside that: how often data processing
is interrupted, and the share of the reserve's time that it loses.

The base is played first, and the reserve is laid over it: the plan does not know of the reserve.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from backtest_table import BENCHES, Bench, Played, commit, rows_of, source_of

from tidegate.backtest.case import Case, Physics
from tidegate.backtest.contest import Counts, Track, score
from tidegate.backtest.field import Entry, entries, played
from tidegate.backtest.lessons import lesson_of
from tidegate.backtest.operator import policy_of
from tidegate.backtest.sources import Question, case_of

QUANTILE, FADE = 0.88, 0.06
"""Of what follows demand, as bench/choose_payments.py chooses them."""
BACK = (15.0, 30.0, 60.0)
"""Seconds from the first demand that meets no unit until the reserve works for trading."""
KEPT = 300.0
"""Seconds that trading keeps what it has taken, after the last need: work that is interrupted more often gets nothing
done. Judgment."""
AIM = 0.5
"""Of what an HPA at 70 % loses."""


def called(case: Case, ready: Counts, units: int, back: float) -> Counts:
    """Units of the reserve that trading has at each step."""
    demand = np.where(np.isfinite(case.grid.demand), case.grid.demand, 0.0)
    short = np.minimum(units, np.ceil(np.maximum(0.0, demand - ready) - 1e-9)).astype(np.int64)
    first, kept = round(back / case.grid.step), round(KEPT / case.grid.step)
    taken = np.zeros_like(short)
    for late in range(first, first + kept + 1):
        taken[late:] = np.maximum(taken[late:], short[: len(short) - late])
    return taken


def with_reserve(case: Case, base: Track, units: int, back: float) -> dict[str, Any]:
    """Loss and both prices of one reserve beside one plan."""
    taken = called(case, base.ready, units, back)
    lent = score(case, replace(base, ready=base.ready + taken, billed=base.billed + taken))
    idle = score(case, replace(base, ready=base.ready + units, billed=base.billed + units))
    scored = taken[case.judged :]
    begins = np.count_nonzero((scored[1:] > 0) & (scored[:-1] == 0))
    days = len(scored) * case.grid.step / 86_400.0
    return {
        "units": units,
        "back": back,
        "lost": lent.lost_percent,
        "cost_lent": lent.cost_ratio,
        "cost_idle": idle.cost_ratio,
        "calls_a_day": begins / days,
        "share_taken": float(scored.mean()) / units if units else 0.0,
    }


def smallest(case: Case, base: Track, most: float, back: float) -> dict[str, Any] | None:
    """The smallest reserve with which no more is lost; None where none of up to the largest demand does it."""
    low, high = 0, int(np.ceil(np.nanmax(case.grid.demand)))
    if with_reserve(case, base, high, back)["lost"] > most:
        return None
    while low < high:
        middle = (low + high) // 2
        if with_reserve(case, base, middle, back)["lost"] <= most:
            high = middle
        else:
            low = middle + 1
    return with_reserve(case, base, high, back)


def study(bench: Bench, traces: Path) -> list[dict[str, Any]]:
    """The rows of one edition."""
    question, physics = Question(perturbation=bench.perturbation), Physics(lag=bench.lag)
    source = source_of(bench, traces)
    case = case_of(source, question, physics)
    plain, _ = played(case, Entry("hpa", 70.0))
    entry = next(one for one in entries(["tidegate-live"], sweep=False) if one.variant and one.variant.beneath is None)
    moved = Played(entry, QUANTILE, fade=FADE).moved
    if moved.variant is None:
        raise SystemExit(f"{entry.policy} has no variant")
    policy = policy_of(case, moved.variant, moved.setting)
    lesson = lesson_of(source.earlier, question, physics, policy, case.capacity) if source.earlier else None
    ours, base = played(case, moved, lesson)
    told = {
        "reserve": bench.name,
        "title": bench.title,
        "quantile": QUANTILE,
        "hpa": {"lost": plain.lost_percent, "cost": plain.cost_ratio},
        "base": {"lost": ours.lost_percent, "cost": ours.cost_ratio},
        "commit": commit(),
    }
    found = [(back, smallest(case, base, AIM * plain.lost_percent, back)) for back in BACK]
    return [{**told, "back": back, "halved": one} for back, one in found]


def main() -> int:
    """Study each edition that is not in the file of rows yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--traces", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True, help="file of rows")
    parser.add_argument("--only", default=",".join(one.name for one in BENCHES if one.name.startswith("payments")))
    asked = parser.parse_args()
    done = {row["reserve"] for row in rows_of(asked.rows) if "reserve" in row}
    for bench in (one for one in BENCHES if one.name in set(asked.only.split(",")) - done):
        rows = study(bench, asked.traces)
        with asked.rows.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
