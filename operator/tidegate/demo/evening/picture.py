"""The picture of the evening: what one service needed, and what each contestant had ready."""

from __future__ import annotations

import numpy as np

from tidegate.demo.chart import Box, Chart, Line, Mark, document, draw, legend
from tidegate.demo.evening import demand as evening
from tidegate.demo.evening.result import CONTESTANTS, DRAWN, EveningResult
from tidegate.simulation.scenario import Service

WIDTH = 1000
ZOOMS: tuple[tuple[str, float, float], ...] = (
    ("The link, 22:30", evening.LINK - 150, evening.LINK + 450),
    ("Midnight", evening.MIDNIGHT - 180, evening.MIDNIGHT + 720),
)
MARKS = (Mark(evening.LINK, "link"), Mark(evening.MIDNIGHT, "T-0"))
LEGEND = (
    ("demand", "demand"),
    *((name, CONTESTANTS[name]) for name in DRAWN),
    ("lost", "lost by HPA at 70 %"),
)


TOLD = ("tidegate", "human", "hpa70", "hpa80")
"""Those whose figures stand above the picture."""


def chart(result: EveningResult, service: Service, title: str, begin: float, end: float) -> Chart:
    """Need and ready pods of one service within ``[begin, end)``."""
    need = Line("demand", "demand", result.scenario.need(service), filled=True)
    ready = [
        Line(CONTESTANTS[name], name, result.runs[name].tracks[service.name].ready.astype(np.float64))
        for name in reversed(DRAWN)
    ]
    marks = [mark for mark in MARKS if begin < mark.at < end]
    return Chart(title, "pods", result.scenario.first, begin, end, [need, *ready], marks, lost=("demand", "hpa70"))


def service_charts(result: EveningResult, service: Service, top: float) -> tuple[str, float]:
    """The evening of one service and its two zooms below; (SVG, height used)."""
    title = f"{service.name}: pods needed and pods ready (one carries {service.capacity:,.0f} {_words(service.signal)})"
    parts = [
        draw(chart(result, service, title, result.scenario.begin, result.scenario.end), Box(0, top, WIDTH, 280)),
    ]
    half = WIDTH / 2
    for i, (name, begin, end) in enumerate(ZOOMS):
        parts.append(draw(chart(result, service, name, begin, end), Box(i * half, top + 290, half, 260)))
    return "".join(parts), 550.0


def picture(result: EveningResult) -> str:
    """One SVG file: the order service, with the figures that matter in words."""
    charts, height = service_charts(result, result.scenario.services[0], 130)
    heading = "Double 11, 2019: the opening, prepared by Tidegate and met by a plain HPA"
    body = [
        f'<text class="heading" x="4" y="24">{heading}</text>',
        *(f'<text x="4" y="{46 + 18 * i}">{line}</text>' for i, line in enumerate(summary(result))),
        legend(LEGEND, 4, 112),
        charts,
    ]
    return document(WIDTH, round(130 + height), "".join(body), title=heading, alone=True)


def summary(result: EveningResult) -> tuple[str, str, str]:
    """Loss and cost of each contestant in three lines, all services together."""
    named = [(label, result.scores[name]) for name, label in CONTESTANTS.items() if name in TOLD]
    lost = "; ".join(f"{label} {found.lost_percent:.2f} %" for label, found in named)
    first = "; ".join(f"{label} {found.lost_in['first_10min']:.2f} %" for label, found in named)
    cost = "; ".join(f"{label} {found.cost_ratio:.2f}×" for label, found in named)
    return (
        f"Demand lost from 22:00 to 02:00, all services: {lost}.",
        f"Lost in the first ten minutes of the sale: {first}.",
        f"Cost beside a plan that knows the future and starts its pods in time: {cost}.",
    )


def _words(signal: str) -> str:
    return signal.removesuffix("_per_second").replace("_", " ") + " a second"
