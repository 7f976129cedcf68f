"""The night in the terminal: bars of machines as they change hands, and lines for what was done."""

from __future__ import annotations

import math
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.text import Text

from tidegate.demo.night.recording import NightRecording
from tidegate.demo.night.story import (
    DATA_MARK,
    DRAINING_MARK,
    FREE_MARK,
    LEGEND,
    TRADING_MARK,
    bar_line,
    batches,
    shown_bars,
)
from tidegate.demo.timeline import Timeline, sentence
from tidegate.shell.clock import ScheduledClock
from tidegate.simulation.scenario import Scenario

BARS, LINES = 18, 6
"""Bars, and lines of what happened, at a time."""
_COLORS = {TRADING_MARK: "blue", DATA_MARK: "green", DRAINING_MARK: "yellow", FREE_MARK: "dim"}


class NightTimeline(Timeline):
    """Shows a night while it passes."""

    def __init__(
        self,
        console: Console,
        scenario: Scenario,
        clock: ScheduledClock,
        recording: NightRecording,
        seen_to: Callable[[], float],
    ) -> None:
        """``seen_to`` is the instant up to which the recording tells everything."""
        super().__init__(console, scenario, clock, recording)
        self._night, self._seen_to = recording, seen_to
        self._bars = 0
        self._told: set[tuple[str, float]] = set()
        self._held_back: list[tuple[float, str]] = []
        self._legend_told = False

    # ---- a terminal

    def _picture(self) -> RenderableType:
        now = self._seen_to()
        bars = [_colored(bar_line(at, held)) for at, held in shown_bars(self._night.lanes, now)[-BARS:]]
        bars.append(_colored(bar_line(now, self._night.lanes.at(now))))
        over, going = batches(list(self._night.happenings), now)
        told = [(batch.first, str(batch)) for batch in (*over, *going)]
        told += [(d.at, sentence(d)) for d in self._recording.decisions()]
        lines = [Text(line, overflow="ellipsis", no_wrap=True) for _, line in sorted(told)[-LINES:]]
        verdicts = [Text(f"{name}: {verdict}", style="bold") for _, name, verdict in self._recording.verdicts[-1:]]
        books = Text(f"pool: {self._night.pool_summary}", style="dim")
        return Group(self._heading(), _colored(LEGEND), *bars, *verdicts, books, *reversed(lines))

    # ---- no terminal

    def _news(self) -> list[tuple[float, str]]:
        now, news = self._seen_to(), [*self._held_back, *super()._news()]
        if not self._legend_told:
            self._console.print(LEGEND, highlight=False, markup=False)
            self._legend_told = True
        over, going = batches(list(self._night.happenings), now)
        news += [(batch.first, str(batch)) for batch in over if (batch.what, batch.first) not in self._told]
        self._told.update((batch.what, batch.first) for batch in over)
        bars = shown_bars(self._night.lanes, now)
        news += [(at, bar_line(at, held)) for at, held in bars[self._bars :]]
        self._bars = len(bars)
        # What came after the beginning of a batch waits until that batch can be told.
        until = min((batch.first for batch in going), default=math.inf)
        self._held_back = [one for one in news if one[0] >= until]
        return [one for one in news if one[0] < until]


def _colored(line: str) -> Text:
    made = Text(overflow="ellipsis", no_wrap=True)
    for sign in line:
        made.append(sign, style=_COLORS.get(sign, ""))
    return made
