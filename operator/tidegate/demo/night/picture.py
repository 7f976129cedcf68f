"""The picture of the night: who holds the machines, over the night and around the two hand-overs."""

from __future__ import annotations

import numpy as np

from tidegate.demo.chart import Box, Chart, Line, Mark, clock, document, draw, legend
from tidegate.demo.night import demand as night
from tidegate.demo.night.result import NightResult
from tidegate.demo.night.table import rows

WIDTH = 1000
LEGEND = (
    ("trading", "trading"),
    ("data", "data"),
    ("draining", "leaving their machines"),
    ("capacity", "all machines"),
)
SAID = ("oversold", "promise", "work lost", "demand lost", "one pool", "two clusters")
"""Figures that stand above the picture."""


def chart(result: NightResult, title: str, begin: float, end: float, marks: tuple[Mark, ...]) -> Chart:
    """Machines held by each side within ``[begin, end)``, one above the other."""

    def area(label: str, look: str, cores: float | None = None) -> Line:
        parts = {
            "trading": lambda h: h.trading,
            "data": lambda h: h.trading + h.data,
            "draining": lambda h: h.whole,
        }
        curve = result.recording.lanes.curve(parts[look], night.FIRST, result.scenario.seconds)
        return Line(label, look, curve / night.CORES, filled=True)

    whole = Line("machines", "capacity", np.full(result.scenario.seconds, float(night.MACHINES)))
    stacked = [area("leaving", "draining"), area("data", "data"), area("trading", "trading")]
    inside = tuple(mark for mark in marks if begin < mark.at < end)
    return Chart(title, "machines", night.FIRST, begin, end, [*stacked, whole], inside)


def charts(result: NightResult, top: float) -> tuple[str, float]:
    """The night and its two hand-overs below; (SVG, height used)."""
    again = (Mark(night.MIDNIGHT, "T-0", left=False), Mark(night.DATA_AGAIN, clock(night.DATA_AGAIN), left=True))
    promise: tuple[Mark, ...] = ()
    if result.promised is not None:
        first = result.promised[0]
        promise = (Mark(first, f"promised back from {clock(first)} on"),)
    half = WIDTH / 2
    out = chart(
        result, "To trading: told, stopped, lent", night.MIDNIGHT - 1080, night.MIDNIGHT + 300, (*_told(result), *again)
    )
    back = chart(result, "Back to data", night.DATA_AGAIN - 300, night.DATA_AGAIN + 1260, (*again, *promise))
    parts = [
        draw(
            chart(result, "Who holds the machines", night.BEGIN, night.LAST, (*again, *promise)),
            Box(0, top, WIDTH, 280),
        ),
        draw(out, Box(0, top + 290, half, 250)),
        draw(back, Box(half, top + 290, half, 250)),
    ]
    return "".join(parts), 540.0


def picture(result: NightResult) -> str:
    """One SVG file, with the figures that matter in words."""
    figures = dict(rows(result))
    heading = "The night of Double 11: forty machines, trading at midnight, data after one o'clock"
    lines = [f"{name[0].upper()}{name[1:]}: {figures[name]}." for name in SAID]
    top = 62 + 18 * len(lines)
    drawn, height = charts(result, top + 30)
    body = [
        f'<text class="heading" x="4" y="24">{heading}</text>',
        *(f'<text x="4" y="{46 + 18 * i}">{line}</text>' for i, line in enumerate(lines)),
        legend(LEGEND, 4, top),
        drawn,
    ]
    return document(WIDTH, round(top + 30 + height), "".join(body), title=heading, alone=True)


def _told(result: NightResult) -> tuple[Mark, ...]:
    """When the first piece of work was told, and when the first was stopped."""
    found = []
    for what in ("told", "stopped"):
        at = min((h.at for h in result.recording.happenings if h.what == what), default=None)
        if at is not None:
            found.append(Mark(at, what))
    return tuple(found)
