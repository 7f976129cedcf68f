"""The stage of the evening: the five services, each with its HPA, and what is announced to them."""

from __future__ import annotations

from tidegate.demo.evening.objects import CREATION_RATE, announced, objects_before
from tidegate.demo.objects import NAMESPACE
from tidegate.demo.stage import Stage
from tidegate.shell.clock import ScheduledClock
from tidegate.simulation.scenario import Scenario


class EveningStage(Stage):
    """The cluster of the evening."""

    def __init__(self, played: Scenario, clock: ScheduledClock) -> None:
        super().__init__(
            played,
            clock,
            namespace=NAMESPACE,
            creation_rate=CREATION_RATE,
            before=objects_before(),
            announced=announced(),
        )
