"""The night as it is played and scored: trading's side of it."""

from __future__ import annotations

from tidegate.demo.night import demand as night
from tidegate.simulation.scenario import Rise, Scenario, Window


def scenario() -> Scenario:
    """Trading's night as it is played and scored."""
    return Scenario(
        first=night.FIRST,
        begin=night.BEGIN,
        end=night.END,
        services=night.services(),
        demand=night.demand(),
        windows=(
            Window("first_96s", night.MIDNIGHT, night.MIDNIGHT + 96),
            Window("first_10min", night.MIDNIGHT, night.MIDNIGHT + 600),
        ),
        rises=tuple(Rise(f"T-0 of {s.name}", s.name, night.MIDNIGHT, night.DATA_AGAIN) for s in night.services()),
    )
