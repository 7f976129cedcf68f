"""The evening as it is played and scored."""

from __future__ import annotations

import math

from tidegate.demo import double11
from tidegate.demo.evening import demand as evening
from tidegate.demo.evening.demand import SERVICES
from tidegate.demo.evening.objects import room_event, sale_event
from tidegate.simulation.scenario import Rise, Scenario, Window


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
        rises=_rises(),
    )


def _rises() -> tuple[Rise, ...]:
    """The announced moments of orders at which more is needed than just before."""
    found = []
    for event, start in ((room_event(), evening.ROOM_OPENS), (sale_event(), evening.MIDNIGHT)):
        before, end = 0.0, -math.inf
        for moment in event["spec"]["moments"]:
            begin, level = moment["offsetSeconds"], float(moment["factor"])
            if moment["signal"] == double11.ORDERS:
                if begin > end or level > before:
                    at = start + begin
                    found.append(Rise(moment["name"], SERVICES[0].name, at, at + moment["durationSeconds"]))
                before, end = level, begin + moment["durationSeconds"]
    return tuple(found)
