"""A demonstration in the terminal: a live picture where there is a terminal, plain lines where there is none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from tidegate.demo.chart import clock as time_of_day
from tidegate.demo.recording import Decision, Recording
from tidegate.shell.clock import ScheduledClock
from tidegate.simulation.scenario import Scenario


class Timeline(ABC):
    """Shows a recording while it grows. ``update`` is called some four times a second."""

    def __init__(self, console: Console, scenario: Scenario, clock: ScheduledClock, recording: Recording) -> None:
        self._console, self._scenario, self._clock, self._recording = console, scenario, clock, recording
        self._live: Live | None = None
        self._said = 0
        self._verdicts = 0
        self._marks = [(rise.begin, rise.name.rstrip("-0123456789")) for rise in scenario.rises]

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

    @abstractmethod
    def _picture(self) -> RenderableType:
        """All that is on the screen now."""

    def _heading(self) -> Text:
        now = self._clock.now()
        coming = next(((at, name) for at, name in self._marks if at > now), None)
        ahead = f", {coming[1]} in {coming[0] - now:.0f} s" if coming else ""
        speed = f"{self._clock.speed_at(now):g}× faster than real" if self._clock.begun else "waiting for the operator"
        return Text(f"{time_of_day(now, seconds=True)} China time ({speed}){ahead}", style="bold")

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
