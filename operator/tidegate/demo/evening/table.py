"""The one table of the evening, for the terminal and for the report."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from tidegate.demo.evening.result import CONTESTANTS, EveningResult

HEADINGS = ("lost", "96 s", "10 min", "link", "cost", "ready", "writes")


def rows(result: EveningResult) -> list[list[str]]:
    """One row a contestant, the name first."""
    return [[label, *_cells(result, name)] for name, label in CONTESTANTS.items()]


def table(result: EveningResult) -> Table:
    """The table for the terminal."""
    made = Table(
        title="Lost demand, cost and readiness, 22:00 to 02:00",
        title_justify="left",
        box=SIMPLE_HEAD,
        collapse_padding=True,
    )
    made.add_column("", no_wrap=True)
    for heading in HEADINGS:
        made.add_column(heading, justify="right", no_wrap=True)
    for row in rows(result):
        made.add_row(*row)
    return made


def explanation() -> str:
    """What the columns say."""
    return (
        "Lost: share of the demand (in pods, all five services) that met no ready pod, in the whole evening, in the "
        "first 96 s and 10 min of the sale, and at the link. Cost: pod-seconds paid, starting pods included, over "
        "those of a clairvoyant plan bound by the same start lag. Ready: the fewest seconds that order-service stood "
        "ready before the link and the opening; below 0 it was that much late. Writes: levels written by Tidegate; "
        "scale writes of the HPAs."
    )


def _cells(result: EveningResult, name: str) -> list[str]:
    found = result.scores[name]
    lost = [found.lost_percent, found.lost_in["first_96s"], found.lost_in["first_10min"], found.lost_in["at_link"]]
    return [
        *(f"{value:.2f}%" for value in lost),
        f"{found.cost_ratio:.2f}×",
        f"{found.ready_before_seconds:+.0f} s",
        str(found.writes),
    ]
