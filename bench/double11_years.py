"""Double 11 of the years whose running totals were published, as stairs: the mean rate between two milestones.

2020 is not among them: of that night the peak was published, and sales of eleven days together.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from tidegate.backtest.builtin import BEFORE
from tidegate.backtest.happenings import Happening
from tidegate.backtest.series import Series
from tidegate.backtest.sources import Source
from tidegate.backtest.stand import NAMESPACE, QUERY
from tidegate.planning.model import Announcement, Key, Moment, Occurrence

FILE = "double11_mean_rate.csv"
DAY = 86_400.0
CHINA = 8 * 3_600.0
"""Seconds by which midnight is earlier than in UTC."""
QUIET = 0.5
"""Before midnight, as a share of the day's lowest mean rate: judgment."""


def sale_of(year: int, traces: Path) -> Source:
    """Sales a second of a year, and the sale, announced as the stairs that it was."""
    stairs = list(_stairs(year, traces / FILE))
    midnight = datetime(year, 11, 11, tzinfo=UTC).timestamp() - CHINA
    lowest = min(rate for _, _, rate in stairs)
    background, plateau = QUIET * lowest, (1.0 - QUIET) * lowest
    curve = np.full(BEFORE + round(DAY), background)
    for begin, end, rate in stairs:
        curve[BEFORE + begin : BEFORE + end] = rate
    series = Series(midnight - BEFORE + np.arange(len(curve), dtype=np.float64), curve, 1.0)
    moments = tuple(
        Moment(f"part-{number}", QUERY, float(begin), float(end - begin), factor=(rate - background) / plateau)
        for number, (begin, end, rate) in enumerate(stairs, start=1)
    )
    key, when = Key(NAMESPACE, f"double-11-{year}"), (Occurrence(midnight, DAY),)
    detail = Announcement(key, "policy", when, (), "flat", moments=moments)
    sale = Happening(f"double-11-{year}", "sale", midnight, midnight + DAY, plateau, detail)
    return Source(f"double-11-{year}", series, (sale,))


def _stairs(year: int, file: Path) -> Iterator[tuple[int, int, float]]:
    with file.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if int(row["year"]) == year:
                yield int(row["from_s"]), int(row["to_s"]), float(row["mean_cny_per_s"])
