"""The evening in the terminal: a live table where there is a terminal, plain lines where there is none."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tidegate.cli.demo_chart import clock as time_of_day
from tidegate.cli.demo_result import Decision
from tidegate.cli.demo_stage import Recording
from tidegate.control.clock import ScheduledClock
from tidegate.simulation.physics import WorkloadView
from tidegate.simulation.scenario import Scenario

LINES = 8
"""Decisions shown at a time."""
BAR = 30
NOTHING = WorkloadView(0, 0, 0, 0, 0)


class Timeline:
    """Shows a recording while it grows. ``update`` is called some four times a second."""

    def __init__(self, console: Console, scenario: Scenario, clock: ScheduledClock, recording: Recording) -> None:
        self._console, self._scenario, self._clock, self._recording = console, scenario, clock, recording
        self._live: Live | None = None
        self._said = 0
        self._verdicts = 0
        self._marks = [(rise.begin, rise.name.rstrip("-0123456789")) for rise in scenario.rises]
        self._most = {s.name: max(1.0, float(scenario.need(s).max())) for s in scenario.services}

    def showing(self) -> AbstractContextManager[object]:
        """A context in which the timeline is on the screen."""
        if not self._console.is_terminal:
            return nullcontext()
        self._live = Live(self._picture(), console=self._console, refresh_per_second=4, transient=True)
        return self._live

    def update(self) -> None:
        """Show what is new."""
        if self._live is not None:
            self._live.update(self._picture())
        else:
            self._print_news()

    # ---- a terminal

    def _picture(self) -> RenderableType:
        decisions = self._recording.decisions()[-LINES:]
        lines = [Text(sentence(d), overflow="ellipsis", no_wrap=True) for d in reversed(decisions)]
        told = [Text(f"{name}: {verdict}", style="bold") for _, name, verdict in self._recording.verdicts[-2:]]
        return Group(self._heading(), self._services(), *told, Text("Decisions, newest first", style="dim"), *lines)

    def _heading(self) -> Text:
        now = self._clock.now()
        coming = next(((at, name) for at, name in self._marks if at > now), None)
        ahead = f", {coming[1]} in {coming[0] - now:.0f} s" if coming else ""
        speed = f"{self._clock.speed_at(now):g}× faster than real" if self._clock.begun else "waiting for the operator"
        return Text(f"{time_of_day(now, seconds=True)} China time ({speed}){ahead}", style="bold")

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

    # ---- no terminal

    def _print_news(self) -> None:
        for _, line in sorted(self._news()):
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _news(self) -> list[tuple[float, str]]:
        """Lines that were not told yet, each with its instant."""
        news: list[tuple[float, str]] = []
        decisions = self._recording.decisions()
        while self._said < len(decisions) and self._is_told(decisions[self._said]):
            decision = decisions[self._said]
            news.append((decision.at, sentence(decision)))
            self._said += 1
        verdicts = self._recording.verdicts
        while self._verdicts < len(verdicts):
            at, name, verdict = verdicts[self._verdicts]
            news.append((at, f"{time_of_day(at, seconds=True)} {name}: {verdict}"))
            self._verdicts += 1
        return news

    def _is_told(self, decision: Decision) -> bool:
        """A decision waits for its reason, but not for long."""
        if self._clock.now() >= self._scenario.last:
            return True
        return bool(decision.why) or self._clock.now() - decision.at > 5.0 * self._clock.speed_at(decision.at)


def sentence(decision: Decision) -> str:
    """A decision as a line."""
    why = f" ({decision.why})" if decision.why else ""
    return f"{time_of_day(decision.at, seconds=True)} {decision.service}: {decision.before} → {decision.after}{why}"


def _bar(need: float, ready: int, most: float) -> Text:
    """What is served, what stands ready beyond that, what is missing; full length is the evening's largest need."""
    wanted, there = round(min(1.0, need / most) * BAR), round(min(1.2, ready / most) * BAR)
    bar = Text("█" * min(wanted, there), style="green")
    bar.append("█" * max(0, there - wanted), style="blue")
    bar.append("█" * max(0, wanted - there), style="red")
    return bar
