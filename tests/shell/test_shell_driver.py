"""The driver decides soon after anything new is told, rests in between, and survives a decision that fails."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

from virtual_time import simulated

from tidegate.control.loop import Loop
from tidegate.shell.driver import Driver

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
    told_at: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    decided: list[float] = field(default_factory=list)
    fail_at: frozenset[int] = frozenset()
    next_in: float | None = None
    last: Any = None
    on_wake: Any = None

    def on_beat(self, beat: object) -> None:
        return

    def tell(self) -> None:
        self.fills += 1
        self.told_at.append(self.clock.now())
        self.on_wake()

    def deciding(self, *, stands: float) -> Iterator[None]:
        assert stands > 0
        now = self.clock.now()
        self.late += [now - at for at in self.told_at]
        self.told_at = []
        self.decided.append(now)
        if len(self.decided) in self.fail_at:
            raise MemoryError
        for _ in range(self.dice.randrange(4)):
            yield
        self.last = SimpleNamespace(now=now, next_at=None if self.next_in is None else now + self.next_in)


def played(seconds: float, *, tells: int, seed: int = 1, **given: Any) -> Deciding:
    with simulated(seed, WALL) as loop:
        clock, dice = Clock(loop), random.Random(seed)
        deciding = Deciding(clock, dice, **given)
        stop = asyncio.Event()
        driver = Driver(cast("Loop", deciding), cast("Any", clock), beat_seconds=15.0, wake_gates=lambda: None)

        async def main() -> None:
            running = asyncio.create_task(driver.run(stop))
            at = sorted(dice.uniform(0.0, seconds) for _ in range(tells))
            for one in at:
                await asyncio.sleep(max(0.0, one - (loop.time() - begun)))
                deciding.tell()
            await asyncio.sleep(max(0.0, seconds - (loop.time() - begun)) + 1.0)
            stop.set()
            driver.wake()
            await running

        begun = loop.time()
        loop.run_until_complete(main())
        return deciding


def test_whatever_is_told_is_decided_on_within_a_fifth_of_a_second_over_ten_thousand_interleavings() -> None:
    deciding = played(4000.0, tells=10_000)
    assert len(deciding.late) == 10_000
    assert max(deciding.late) <= SOON


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
