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


BEGUN = 1000.0
"""What the simulated loop's time begins with."""


class SetBack(Clock):
    """A clock that was a day ahead for its first 20 s."""

    def now(self) -> float:
        return super().now() + (86_400.0 if self.loop.time() < BEGUN + 20.0 else 0.0)


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
    alone: int = 0
    """Decisions for some namespaces alone."""
    next_in: float | None = None
    last: Any = None
    on_wake: Any = None

    def on_beat(self, beat: object) -> None:
        return

    def tell(self, namespace: str = "") -> None:
        self.fills += 1
        self.told_at.append((self.clock.now(), namespace))
        self.on_wake(namespace)

    def deciding(self, *, stands: float, only: frozenset[str] | None = None) -> Iterator[None]:
        assert stands > 0
        now = self.clock.now()
        taken = [one for one in self.told_at if only is None or one[1] in only]
        self.spent += self.cost
        self.decided.append(now)
        self.alone += only is not None
        if len(self.decided) in self.fail_at:
            raise MemoryError
        for _ in range(self.dice.randrange(4)):
            yield
        for at, namespace in taken:
            self.late[namespace].append(now - at)
        self.told_at = [one for one in self.told_at if one not in taken]
        self.last = SimpleNamespace(now=now, next_at=None if self.next_in is None else now + self.next_in)


def played(
    seconds: float,
    *,
    tells: int,
    seed: int = 1,
    crowd: int = 0,
    quiet: Sequence[float] = (),
    by: type[Clock] = Clock,
    **given: Any,
) -> Deciding:
    """So many things told, of nobody's or of a crowd of namespaces, and at some instants something of a quiet one."""
    with simulated(seed, WALL) as loop:
        clock, dice = by(loop), random.Random(seed)
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


def test_a_clock_that_was_set_back_keeps_no_decision_waiting() -> None:
    deciding = played(120.0, tells=0, by=SetBack)
    assert len(deciding.decided) >= 8


def test_what_is_due_by_time_alone_is_decided_on_then() -> None:
    deciding = played(60.0, tells=0, next_in=2.0)
    assert 28 <= len(deciding.decided) <= 32


def test_what_falls_due_waits_for_no_pause() -> None:
    deciding = played(60.0, tells=0, next_in=0.5, cost=1.0)
    assert len(deciding.decided) >= 110


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


def test_what_is_decided_for_another_leaves_a_busy_namespace_its_own_time() -> None:
    """Neither earlier, at its neighbours' cost, nor later, however many are heard before it."""
    quiet = [20.03 + 1.1 * n for n in range(80)]
    deciding = played(120.0, tells=4000, crowd=1, quiet=quiet, cost=0.05)
    alone = played(120.0, tells=4000, crowd=1, cost=0.05)
    assert 80 <= deciding.alone <= 80 + SELDOM
    assert len(deciding.decided) < len(alone.decided) + 2 * 80
    assert max(deciding.late["quiet"]) <= SOON
    assert max(deciding.late["busy-0"]) <= BUSY + 2 * SOON


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


@dataclass
class Interrupted:
    """Decisions on everything, in the midst of each of which a namespace that seldom tells something does."""

    log: list[str] = field(default_factory=list)
    last: Any = None
    on_wake: Any = None

    def on_beat(self, beat: object) -> None:
        return

    def deciding(self, *, stands: float, only: frozenset[str] | None) -> Iterator[None]:
        self.log.append("everything" if only is None else ", ".join(sorted(only)))
        for number in range(6):
            if number == 2 and only is None:
                self.on_wake(f"told-{len(self.log)}")
            yield
        self.log.append("done")
        self.last = SimpleNamespace(now=WALL, next_at=None)


def test_a_decision_on_everything_gives_way_once_to_who_seldom_tells_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.shell.driver.SLICE", 0.0)
    with simulated(1, WALL) as loop:
        deciding, stop = Interrupted(), asyncio.Event()
        driver = Driver(cast("Loop", deciding), cast("Any", Clock(loop)), beat_seconds=15.0, wake_gates=lambda: None)

        async def main() -> None:
            running = asyncio.create_task(driver.run(stop))
            await asyncio.sleep(5.0)
            stop.set()
            driver.wake()
            await running

        loop.run_until_complete(main())
    given_up = ["everything"]
    assert deciding.log == [*given_up, "told-1", "done", "everything", "done", "told-4", "done"]


def test_a_namespace_that_seldom_tells_something_waits_for_no_busy_neighbour() -> None:
    """A decision takes 0.2 s. What is told in the pause of 0.6 s after it is decided on a third of that later."""
    quiet = [10.03 + 2.7 * n for n in range(40)]
    deciding = played(120.0, tells=4000, crowd=1, quiet=quiet, cost=0.2)
    assert len(deciding.late["quiet"]) == 40
    assert max(deciding.late["quiet"]) <= 0.2 + SHORTEST_PAUSE
    assert max(deciding.late["busy-0"]) > 0.5


def test_hearing_out_of_turn_takes_a_quarter_of_a_core_at_the_most() -> None:
    """A thousand namespaces that each tell little are a busy cluster, and no bad neighbours."""
    crowd = played(60.0, tells=4000, crowd=1000, cost=0.2)
    assert 0.2 <= share(crowd, 60.0) <= 0.27
    assert max(max(late) for late in crowd.late.values()) <= 3 * 0.2 + SOON


def test_who_is_heard_out_of_turn_again_and_again_does_not_keep_everything_else_waiting() -> None:
    """News of nobody's come all the time, too: they are decided on between the others, and neither starves."""
    quiet = [10.0 + 0.11 * n for n in range(400)]
    both = played(60.0, tells=2000, crowd=0, quiet=quiet, cost=0.02, next_in=0.3)
    assert max(both.late["quiet"]) <= 1.0
    assert max(both.late[""]) <= 1.0
