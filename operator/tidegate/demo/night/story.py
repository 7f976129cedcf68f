"""What the night is told with: lines for what was done to data work, and a bar of machines for who holds them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.demo.chart import clock as time_of_day
from tidegate.demo.night import demand as night
from tidegate.demo.night.objects import LOADER, NOTICE_SECONDS
from tidegate.demo.night.recording import Happening
from tidegate.simulation.lanes import Held, LaneTrack

TOGETHER = 60.0
"""Seconds without another of its kind after which a batch is over: what follows is told on a line of its own."""
CHANGED = 3
"""Machines by which a side must have changed for another bar."""
GRID, SELDOM = 30.0, 1800.0
"""Seconds between two instants at which a bar may come, and at which one comes in any case."""

TRADING_MARK, DATA_MARK, DRAINING_MARK, FREE_MARK = "█", "▒", "/", "·"
LEGEND = f"{TRADING_MARK} trading  {DATA_MARK} data  {DRAINING_MARK} leaving  {FREE_MARK} free; one sign a machine"
_SAYS = {
    "told": f"told to stop, {NOTICE_SECONDS // 60} minutes ahead",
    "stopped": "stopped: their machines go to trading once they are seen free",
    "started": "started again, as trading's machines are seen free",
    "running again": "running again",
}


@dataclass(frozen=True, slots=True)
class Batch:
    """The same thing done to several pieces of work, close to one another."""

    what: str
    first: float
    last: float
    jobs: int
    replicas: int

    def __str__(self) -> str:
        """As a line."""
        parts = [f"{self.jobs} Job{'s' if self.jobs > 1 else ''}"] if self.jobs else []
        if self.replicas:
            parts.append(f"{self.replicas} replica{'s' if self.replicas > 1 else ''} of the loader")
        until = f" (until {time_of_day(self.last, seconds=True)})" if self.last - self.first >= 1.0 else ""
        return f"{time_of_day(self.first, seconds=True)} data: {' and '.join(parts)} {_SAYS[self.what]}{until}"


def batches(happenings: Iterable[Happening], now: float) -> tuple[list[Batch], list[Batch]]:
    """What happened in batches, in order of their beginnings: those that are over by ``now``, and those that go on."""
    over: list[Batch] = []
    going: dict[str, Batch] = {}
    for one in happenings:
        jobs, replicas = (0, one.units) if one.member == LOADER else (one.units, 0)
        batch = going.get(one.what)
        if batch is not None and one.at - batch.last <= TOGETHER:
            last, jobs, replicas = max(batch.last, one.at), batch.jobs + jobs, batch.replicas + replicas
            going[one.what] = Batch(one.what, batch.first, last, jobs, replicas)
            continue
        if batch is not None:
            over.append(batch)
        going[one.what] = Batch(one.what, one.at, one.at, jobs, replicas)
    over += [batch for batch in going.values() if now - batch.last > TOGETHER]
    still = [batch for batch in going.values() if now - batch.last <= TOGETHER]
    return sorted(over, key=lambda b: b.first), sorted(still, key=lambda b: b.first)


def machines(held: Held) -> tuple[int, int, int, int]:
    """Whole machines of trading, data, what is leaving, and what is free: together all there are, so that what a side
    lacks to a whole one goes to who lacks least.
    """
    exact = [held.trading, held.data, held.draining, max(0.0, night.MACHINES * night.CORES - held.whole)]
    exact = [cores / night.CORES for cores in exact]
    whole = [int(one) for one in exact]
    by_rest = sorted(range(4), key=lambda i: (whole[i] - exact[i], i))
    for i in by_rest[: night.MACHINES - sum(whole)]:
        whole[i] += 1
    return whole[0], whole[1], whole[2], whole[3]


def bar(held: Held) -> str:
    """One sign a machine."""
    marks = (TRADING_MARK, DATA_MARK, DRAINING_MARK, FREE_MARK)
    return "".join(mark * count for mark, count in zip(marks, machines(held), strict=True))


def bar_line(at: float, held: Held) -> str:
    """A bar with its time and figures."""
    trading, data, leaving, free = machines(held)
    told = f"trading {trading}, data {data}" + (f", leaving {leaving}" if leaving else "")
    return f"{time_of_day(at, seconds=True)} {bar(held)} {told}, free {free}"


def shown_bars(track: LaneTrack, until: float) -> list[tuple[float, Held]]:
    """When a bar is worth its line: who holds what has changed, or nothing was told for long."""
    shown: list[tuple[float, Held]] = []
    for step in range(math.floor((until - night.BEGIN) / GRID) + 1):
        at = night.BEGIN + step * GRID
        held = track.at(at)
        if not shown or at - shown[-1][0] >= SELDOM or _differs(held, shown[-1][1]):
            shown.append((at, held))
    return shown


def _differs(one: Held, other: Held) -> bool:
    return max(abs(a - b) for a, b in zip(machines(one), machines(other), strict=True)) >= CHANGED
