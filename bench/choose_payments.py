"""How quantile and fade are chosen for payments: plays earlier editions, beside HPAs that cost the same.

    python bench/choose_payments.py --traces DIR --rows choose.jsonl [--settings 0.88:0.06,0.9:0.06]

Payments come in bursts that nobody foresees, so that a quantile which is right for viewers costs too much there. The
editions end before anything that docs/benchmarks.md judges begins, and each begins with nothing learned. The rule: the
largest mean of the share by which less is lost than by an HPA that costs the same. One setting for all editions. Each
play adds a line to the file of rows as soon as it is over; what stands there already is not played again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from backtest_table import commit, rows_of
from choose_live import Part, case_of_part, line

from tidegate.backtest.field import Entry, played
from tidegate.backtest.outcome import row_of
from tidegate.backtest.variants import LIVE_ALONE
from tidegate.planning.model import Live

Row = dict[str, Any]
Setting = tuple[float, float]
"""(quantile, fade)."""

EDITIONS = tuple(
    Part(f"{name[:4].upper()} {name[4:]}", f"gdq_{name}_donations_1min.csv.gz")
    for name in ("agdq2017", "sgdq2017", "agdq2018", "sgdq2018")
)
TARGETS = (60.0, 65.0, 70.0, 75.0, 80.0)
"""Of the HPAs that are played beside it, in percent."""
SETTINGS = "0.86:0.06,0.88:0.04,0.88:0.06,0.88:0.08,0.9:0.06"


def loss_at(own: Sequence[Row], cost: float) -> float | None:
    """Loss at a cost, on a straight line between settings that were played; None beyond them."""
    pairs = sorted((row["cost_ratio"], row["lost_demand_percent"]) for row in own)
    if not pairs or not pairs[0][0] <= cost <= pairs[-1][0]:
        return None
    costs, lost = np.array(pairs).T
    return float(np.interp(cost, costs, lost))


def less(rows: Sequence[Row], row: Row) -> float | None:
    """By which share a play loses less than an HPA that costs the same; None where none was played that does."""
    rivals = [one for one in rows if one["edition"] == row["edition"] and one["policy"].startswith("hpa-")]
    theirs = loss_at(rivals, row["cost_ratio"])
    return None if theirs is None else 1.0 - row["lost_demand_percent"] / theirs


def settings_of(rows: Sequence[Row]) -> dict[Setting, list[Row]]:
    """Our rows by setting, in order."""
    found: dict[Setting, list[Row]] = {}
    for row in sorted((one for one in rows if "fade" in one), key=lambda one: (one["quantile"], one["fade"])):
        found.setdefault((row["quantile"], row["fade"]), []).append(row)
    return found


def gains(rows: Sequence[Row]) -> dict[Setting, float]:
    """By setting that was played on all editions, the mean of ``less``."""
    found = {setting: [less(rows, row) for row in own] for setting, own in settings_of(rows).items()}
    return {
        setting: mean(share for share in shares if share is not None)
        for setting, shares in found.items()
        if len(shares) == len(EDITIONS) and None not in shares
    }


def choice(rows: Sequence[Row]) -> Setting | None:
    """(quantile, fade) by the rule; None while no setting was played on all editions."""
    found = gains(rows)
    return max(found, key=lambda setting: found[setting]) if found else None


def table(rows: Sequence[Row]) -> Iterator[str]:
    """All settings, and which of them the rule chooses."""
    chosen, means = choice(rows), gains(rows)
    yield line("quantile", "fade, % a minute", *(one.name for one in EDITIONS), "mean: less lost", "")
    yield line(*["---:"] * (len(EDITIONS) + 3), "---")
    for setting, own in settings_of(rows).items():
        by_edition = {row["edition"]: row for row in own}
        figures = [_figures(rows, by_edition.get(edition.name)) for edition in EDITIONS]
        share = f"{means[setting]:.1%}" if setting in means else ""
        yield line(f"{setting[0]:g}", f"{100 * setting[1]:g}", *figures, share, "chosen" if setting == chosen else "")


def _figures(rows: Sequence[Row], row: Row | None) -> str:
    share = None if row is None else less(rows, row)
    if row is None or share is None:
        return ""
    return f"{row['lost_demand_percent']:.2f} / {row['cost_ratio']:.3f}: {share:+.1%}"


def entries(settings: Sequence[Setting]) -> Iterator[tuple[Row, Entry]]:
    """Who plays an edition, with what its row says beside the figures."""
    for percent in TARGETS:
        yield {"target": percent}, Entry("hpa", percent)
    for quantile, fade in settings:
        variant = replace(LIVE_ALONE, live=Live(quantile=quantile, fall_per_minute=fade))
        yield {"quantile": quantile, "fade": fade}, Entry(variant.name, 0.0, variant)


def main() -> int:
    """Play what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--traces", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--settings", default=SETTINGS, help="quantile:fade, with commas")
    asked = parser.parse_args()
    pairs = [one.split(":") for one in asked.settings.split(",")]
    settings = [(float(quantile), float(fade)) for quantile, fade in pairs]
    for edition in EDITIONS:
        case = case_of_part(edition, asked.traces)
        for setting, entry in entries(settings):
            own = {"edition": edition.name, **setting}
            if any(own.items() <= row.items() for row in rows_of(asked.rows)):
                continue
            begun = time.process_time()
            score, _ = played(case, entry)
            spent = round(time.process_time() - begun, 1)
            row = {**row_of(case, score), **own, "cpu_seconds": spent, "commit": commit()}
            with asked.rows.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    print("\n".join(table([row for row in rows_of(asked.rows) if "edition" in row])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
