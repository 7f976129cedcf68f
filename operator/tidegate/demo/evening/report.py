"""The evening as one HTML file that needs nothing else: figures, pictures, every decision, and how it was made."""

from __future__ import annotations

from html import escape

from tidegate.demo.chart import document, legend
from tidegate.demo.evening.picture import LEGEND, WIDTH, service_charts
from tidegate.demo.evening.result import CONTESTANTS, EveningResult
from tidegate.demo.evening.table import HEADINGS, explanation, rows
from tidegate.demo.page import decided, made, page, table

LEAD = (
    "The same demand on the same cluster: prepared by Tidegate, by a timetable, and met by a plain HPA. All times are "
    "China time."
)


def report(result: EveningResult) -> str:
    """The whole page."""
    first, *others = result.scenario.services
    sections = [
        "<h1>Double 11, 2019, from 22:00 to 02:00</h1>",
        f'<p class="lead">{LEAD}</p>',
        table(["", *HEADINGS], rows(result)),
        f"<p>{escape(explanation())}</p>",
        _charts(result, first.name),
        "<h2>The other services</h2>",
        *(f"<details><summary>{s.name}</summary>{_charts(result, s.name)}</details>" for s in others),
        "<h2>Lost demand by service</h2>",
        _by_service(result),
        "<h2>What Tidegate decided</h2>",
        decided(result.decisions),
        made(result.notes),
    ]
    return page("Tidegate: Double 11, 2019", sections)


def _charts(result: EveningResult, name: str) -> str:
    service = next(s for s in result.scenario.services if s.name == name)
    charts, height = service_charts(result, service, 34)
    return document(WIDTH, round(34 + height), legend(LEGEND, 4, 18) + charts, title=name, alone=False)


def _by_service(result: EveningResult) -> str:
    body = [
        [s.name, *(f"{result.scores[name].lost_by_service[s.name]:.2f} %" for name in CONTESTANTS)]
        for s in result.scenario.services
    ]
    return table(["", *CONTESTANTS.values()], body)
