"""The driver decides soon after anything new is told, rests in between, and survives a decision that fails."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

import pytest
from virtual_time import simulated

from tidegate.control.loop import Loop
from tidegate.shell.driver import BUSY, SELDOM, SHORTEST_PAUSE, SLICE, Driver

WALL = 1_794_240_000.0
SOON = 0.2
"""Seconds until something that was told is decided on, where decisions cost nothing."""


@dataclass
class Clock:
    """The simulated loop's time as a port."""

    loop: asyncio.AbstractEventLoop

    def now(self) -> float:
        return WALL + self.loop.time()

    async def wait(self, until: float, wake: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(max(0.0, until - self.now())):
                await wake.wait()
        except TimeoutError:
            return


@dataclass
class Deciding:
    """A loop that only counts what it was told, and is sliced as chance will have it."""

    clock: Clock
    dice: random.Random
    fills: int = 0
    told_at: list[tuple[float, str]] = field(default_factory=list)
    late: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds from told to decided, by namespace."""
    cost: float = 0.0
    """Seconds of processor time that a decision takes."""
    spent: float = 0.0
    decided: list[float] = field(default_factory=list)
    fail_at: frozenset[int] = frozenset()
    next_in: float | None = None
    last: Any = None
    on_wake: Any = None

    def on_beat(self, beat: object) -> None:
        return

    def tell(self, namespace: str = "") -> None:
        self.fills += 1
        self.told_at.append((self.clock.now(), namespace))
        self.on_wake(namespace)

    def deciding(self, *, stands: float) -> Iterator[None]:
        assert stands > 0
        now = self.clock.now()
        for at, namespace in self.told_at:
            self.late[namespace].append(now - at)
        self.spent += self.cost
        self.told_at = []
        self.decided.append(now)
        if len(self.decided) in self.fail_at:
            raise MemoryError
        for _ in range(self.dice.randrange(4)):
            yield
        self.last = SimpleNamespace(now=now, next_at=None if self.next_in is None else now + self.next_in)


def played(
    seconds: float, *, tells: int, seed: int = 1, crowd: int = 0, quiet: Sequence[float] = (), **given: Any
) -> Deciding:
    """So many things told, of nobody's or of a crowd of namespaces, and at some instants something of a quiet one."""
    with simulated(seed, WALL) as loop:
        clock, dice = Clock(loop), random.Random(seed)
        deciding = Deciding(clock, dice, **given)
        stop = asyncio.Event()
        driver = Driver(
            cast("Loop", deciding),
            cast("Any", clock),
            beat_seconds=15.0,
            wake_gates=lambda: None,
            spent=lambda: deciding.spent,
        )

        async def main() -> None:
            running = asyncio.create_task(driver.run(stop))
            names = [f"busy-{number % crowd}" if crowd else "" for number in range(tells)]
            told = [(dice.uniform(0.0, seconds), name) for name in names] + [(one, "quiet") for one in quiet]
            for one, of in sorted(told):
                await asyncio.sleep(max(0.0, one - (loop.time() - begun)))
                deciding.tell(of)
            await asyncio.sleep(max(0.0, seconds - (loop.time() - begun)) + 2.5)
            stop.set()
            driver.wake()
            await running

        begun = loop.time()
        loop.run_until_complete(main())
        return deciding


def test_whatever_is_told_is_decided_on_within_a_fifth_of_a_second_over_ten_thousand_interleavings() -> None:
    deciding = played(4000.0, tells=10_000)
    assert len(deciding.late[""]) == 10_000
    assert max(deciding.late[""]) <= SOON


def test_a_storm_of_news_is_decided_on_ten_times_a_second_at_the_most() -> None:
    deciding = played(60.0, tells=20_000)
    assert len(deciding.decided) <= 60 * 10 + 20


def test_where_nothing_is_told_it_decides_once_a_beat() -> None:
    deciding = played(600.0, tells=0)
    assert 40 <= len(deciding.decided) <= 44


def test_what_is_due_by_time_alone_is_decided_on_then() -> None:
    deciding = played(60.0, tells=0, next_in=2.0)
    assert 28 <= len(deciding.decided) <= 32


def test_a_decision_that_fails_is_made_anew_a_second_later() -> None:
    deciding = played(30.0, tells=0, fail_at=frozenset({1, 2, 3}))
    assert [round(at - deciding.decided[0], 1) for at in deciding.decided[:4]] == [0.0, 1.0, 2.0, 3.0]


def alone() -> Driver:
    """A driver whose loop decides nothing."""
    return Driver(cast("Loop", SimpleNamespace()), cast("Any", None), beat_seconds=15.0, wake_gates=lambda: None)


def share(deciding: Deciding, seconds: float) -> float:
    """Of a core: a decision takes no time in the simulation, so that all of it was pause."""
    return deciding.spent / (seconds + deciding.spent)


def test_decisions_take_a_quarter_of_a_core_whatever_is_told() -> None:
    deciding = played(120.0, tells=4000, cost=0.2)
    assert 0.2 <= share(deciding, 120.0) <= 0.27


@pytest.mark.parametrize(("crowd", "tells"), [(1, 400), (1, 4000), (5, 4000), (5, 40_000)])
def test_busy_namespaces_are_decided_on_once_in_their_time_however_much_they_tell(crowd: int, tells: int) -> None:
    """While they go on as well as when they stop: the last that they told is decided on no later than the others."""
    deciding = played(120.0, tells=tells, crowd=crowd, cost=0.2)
    assert len(deciding.decided) <= 120.0 / BUSY + SELDOM * crowd + 10
    assert sum(len(deciding.late[f"busy-{number}"]) for number in range(crowd)) == tells
    assert max(max(late) for late in deciding.late.values()) <= BUSY + SOON


def test_what_is_decided_for_another_takes_a_busy_namespace_along() -> None:
    quiet = [20.03 + 2.0 * n for n in range(40)]
    deciding = played(120.0, tells=4000, crowd=1, quiet=quiet, cost=0.05)
    alone = played(120.0, tells=4000, crowd=1, cost=0.05)
    assert len(deciding.decided) < len(alone.decided) + 40
    assert max(deciding.late["quiet"]) <= SOON


def test_a_decision_gives_way_after_each_slice() -> None:
    """However long it takes: what else is due comes between."""
    driver, turns = alone(), 0

    def long() -> Iterator[None]:
        for _ in range(40):
            end = time.monotonic() + SLICE / 4
            while time.monotonic() < end:
                pass
            yield

    slices = long()
    while driver._some(slices):
        turns += 1
    assert turns >= 8


def test_a_namespace_that_seldom_tells_something_waits_for_no_busy_neighbour() -> None:
    """A decision takes 0.2 s. What is told in the pause of 0.6 s after it is decided on a third of that later."""
    quiet = [10.03 + 2.7 * n for n in range(40)]
    deciding = played(120.0, tells=4000, crowd=1, quiet=quiet, cost=0.2)
    assert len(deciding.late["quiet"]) == 40
    assert max(deciding.late["quiet"]) <= 0.2 + SHORTEST_PAUSE
    assert max(deciding.late["busy-0"]) > 0.5


def test_hearing_out_of_turn_takes_half_a_core_at_the_most() -> None:
    """A thousand namespaces that each tell little are a busy cluster, and no bad neighbours."""
    crowd = played(60.0, tells=4000, crowd=1000, cost=0.2)
    assert 0.45 <= share(crowd, 60.0) <= 0.52
