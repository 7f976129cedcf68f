"""The evening in the terminal: what each service needs and has, and what was decided."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tidegate.demo.recording import Recording
from tidegate.demo.timeline import Timeline, sentence
from tidegate.shell.clock import ScheduledClock
from tidegate.simulation.physics import WorkloadView
from tidegate.simulation.scenario import Scenario

LINES = 8
"""Decisions shown at a time."""
BAR = 30
NOTHING = WorkloadView(0, 0, 0, 0, 0)


class EveningTimeline(Timeline):
    """Shows an evening while it passes."""

    def __init__(self, console: Console, scenario: Scenario, clock: ScheduledClock, recording: Recording) -> None:
        super().__init__(console, scenario, clock, recording)
        self._most = {s.name: max(1.0, float(scenario.need(s).max())) for s in scenario.services}

    def _picture(self) -> RenderableType:
        decisions = self._recording.decisions()[-LINES:]
        lines = [Text(sentence(d), overflow="ellipsis", no_wrap=True) for d in reversed(decisions)]
        told = [Text(f"{name}: {verdict}", style="bold") for _, name, verdict in self._recording.verdicts[-2:]]
        return Group(self._heading(), self._services(), *told, Text("Decisions, newest first", style="dim"), *lines)

    def _services(self) -> Table:
        made = Table(box=None, pad_edge=False)
        made.add_column("service")
        for name in ("needed", "ready", "starting", "floor"):
            made.add_column(name, justify="right")
        made.add_column(Text.assemble(("served", "green"), " ", ("spare", "blue"), " ", ("missing", "red")))
        at = min(max(int(self._clock.now() - self._scenario.first), 0), self._scenario.seconds - 1)
        for service in self._scenario.services:
            view = self._recording.views.get(service.name, NOTHING)
            need = float(self._scenario.need(service)[at])
            floor = self._recording.floors.get(service.name, 0)
            made.add_row(
                service.name,
                f"{need:,.0f}",
                f"{view.ready:,}",
                f"{view.scheduled - view.ready:,}",
                f"{floor:,}",
                _bar(need, view.ready, self._most[service.name]),
            )
        return made


def _bar(need: float, ready: int, most: float) -> Text:
    """What is served, what stands ready beyond that, what is missing; full length is the evening's largest need."""
    wanted, there = round(min(1.0, need / most) * BAR), round(min(1.2, ready / most) * BAR)
    bar = Text("█" * min(wanted, there), style="green")
    bar.append("█" * max(0, there - wanted), style="blue")
    bar.append("█" * max(0, wanted - there), style="red")
    return bar
