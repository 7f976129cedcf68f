"""The evening as it is played and scored."""

from __future__ import annotations

from tidegate.demo.evening import demand as evening
from tidegate.demo.evening.demand import SERVICES
from tidegate.simulation.scenario import Rise, Scenario, Window

STEPS = (("link", evening.LINK), ("opening", evening.MIDNIGHT))
"""The moments at which orders rise by a step."""
FIRST_SECONDS = 60.0
"""What is needed at its highest within so many seconds of a step must stand ready when it begins."""


def scenario() -> Scenario:
    """The evening as it is played and scored."""
    return Scenario(
        first=evening.FIRST,
        begin=evening.ROOM_OPENS,
        end=evening.END,
        services=SERVICES,
        demand=evening.demand(),
        windows=(
            Window("first_96s", evening.MIDNIGHT, evening.MIDNIGHT + 96),
            Window("first_10min", evening.MIDNIGHT, evening.MIDNIGHT + 600),
            Window("at_link", evening.LINK, evening.LINK + evening.LINK_SECONDS),
        ),
        rises=tuple(Rise(name, SERVICES[0].name, at, at + FIRST_SECONDS) for name, at in STEPS),
    )
