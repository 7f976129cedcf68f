"""The night as one HTML file that needs nothing else: figures, pictures, what was done, and how it was made."""

from __future__ import annotations

from html import escape

from tidegate.demo.chart import document, legend
from tidegate.demo.night import demand as night
from tidegate.demo.night.picture import LEGEND, WIDTH, charts
from tidegate.demo.night.result import NightResult
from tidegate.demo.night.story import batches
from tidegate.demo.night.table import explanation, rows
from tidegate.demo.page import decided, made, page, table

LEAD = "One pool of forty machines: trading has most of them at midnight, data work before and after. China time."


def report(result: NightResult) -> str:
    """The whole page."""
    drawn, height = charts(result, 34)
    picture = document(WIDTH, round(34 + height), legend(LEGEND, 4, 18) + drawn, title="Machines", alone=False)
    done, _ = batches(result.recording.happenings, night.LAST)
    return page(
        "Tidegate: the night of Double 11, 2019",
        [
            "<h1>The night of Double 11, 2019, from 23:00 to 06:00</h1>",
            f'<p class="lead">{LEAD}</p>',
            table(("", ""), [(name, figure) for name, figure in rows(result)]).replace("<td>", "<td class='words'>"),
            f"<p>{escape(explanation())}</p>",
            picture,
            "<h2>What was done to data work</h2>",
            "<ul>" + "".join(f"<li>{escape(str(batch))}</li>" for batch in done) + "</ul>",
            "<h2>What Tidegate decided for trading</h2>",
            decided(result.decisions),
            made(result.notes),
        ],
    )
