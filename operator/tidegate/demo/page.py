"""Parts of an HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from tidegate.demo.chart import STYLE, clock
from tidegate.demo.recording import Decision

PAGE_STYLE = """
:root { color-scheme: light dark; }
body { font-family: system-ui, -apple-system, "Segoe UI", sans-serif; line-height: 1.5; margin: 2rem auto;
  max-width: 1040px; padding: 0 1rem; color: #1f2933; background: #ffffff; }
h1 { font-size: 1.5rem; margin-bottom: 0.2rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p.lead { color: #616e7c; margin-top: 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.7rem; text-align: right; border-bottom: 1px solid #e4e7eb; font-size: 0.92rem; }
th { font-weight: 600; vertical-align: bottom; } th:first-child, td:first-child { text-align: left; }
td.words, th.words { text-align: left; }
div.scroll { overflow-x: auto; } svg { max-width: 100%; height: auto; }
details { margin: 0.6rem 0; } summary { cursor: pointer; }
@media (prefers-color-scheme: dark) { body { color: #e4e7eb; background: #161b22; }
  p.lead { color: #9aa5b1; } th, td { border-color: #323f4b; } }
"""


def page(title: str, sections: Iterable[str]) -> str:
    """An HTML page that needs nothing else."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{PAGE_STYLE}{STYLE}</style></head><body>{''.join(sections)}</body></html>"
    )


def made(notes: Iterable[str]) -> str:
    """The section that says how it was made."""
    return "<h2>How this was made</h2><ul>" + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul>"


def decided(decisions: Sequence[Decision]) -> str:
    """Every floor that was written, with its reason."""
    head = "<tr><th>time</th><th class='words'>service</th><th>from</th><th>to</th><th class='words'>why</th></tr>"
    body = "".join(
        f"<tr><td>{clock(d.at, seconds=True)}</td><td class='words'>{escape(d.service)}</td><td>{d.before}</td>"
        f"<td>{d.after}</td><td class='words'>{escape(d.why)}</td></tr>"
        for d in decisions
    )
    summary = f"<summary>{len(decisions)} floors were written</summary>"
    return f"<details open>{summary}<div class='scroll'><table>{head}{body}</table></div></details>"


def table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A table of texts."""
    cells = "".join(f"<th>{escape(text)}</th>" for text in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in body)
    return f"<div class='scroll'><table><tr>{cells}</tr>{lines}</table></div>"
