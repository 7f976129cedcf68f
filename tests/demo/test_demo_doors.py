"""Whoever knows the evening's rooms finds the night's."""

from __future__ import annotations

from pathlib import Path

import tidegate.demo

DOORS = {
    "demand",
    "notes",
    "objects",
    "picture",
    "report",
    "result",
    "run",
    "scenario",
    "stage",
    "table",
    "timeline",
}
OWN = {"evening": {"rivals", "signals", "stairs"}, "night": {"recording", "story"}}
"""What only one of them has: rivals, recorded signals, moments as stairs; work that is lent."""


def test_evening_and_night_have_the_same_doors_by_the_same_names() -> None:
    room = Path(next(iter(tidegate.demo.__path__)))
    for name, own in OWN.items():
        found = {path.stem for path in (room / name).glob("*.py")} - {"__init__"}
        assert found == DOORS | own
