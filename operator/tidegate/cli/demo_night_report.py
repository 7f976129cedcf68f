"""The night as one HTML file that needs nothing else: figures, pictures, what was done, and how it was made."""

from __future__ import annotations

from html import escape

from tidegate.cli.demo_chart import document, legend
from tidegate.cli.demo_night_picture import LEGEND, WIDTH, charts
from tidegate.cli.demo_night_result import NightResult
from tidegate.cli.demo_night_story import batches
from tidegate.cli.demo_night_table import explanation, rows
from tidegate.cli.demo_report import decided, made, page, table
from tidegate.simulation import double11_night as night

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
