"""A task that ends by itself is counted, told and started anew, until we stop it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from tidegate.shell.tasks import LONGEST_PAUSE, SETTLED, TaskGroup


@dataclass
class Alarm:
    at: float
    ring: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class HandTime:
    """Time that is moved by hand, with its alarms."""

    at: float = 0.0
    alarms: list[Alarm] = field(default_factory=list)

    def now(self) -> float:
        return self.at

    def later(self, seconds: float, ring: Callable[[], None]) -> Alarm:
        self.alarms.append(Alarm(self.at + seconds, ring))
        return self.alarms[-1]

    async def pass_to_the_next(self) -> float:
        """Move on to the next alarm; how many seconds that took."""
        alarm = min((a for a in self.alarms if not a.cancelled), key=lambda a: a.at)
        self.alarms.remove(alarm)
        passed, self.at = alarm.at - self.at, alarm.at
        alarm.ring()
        await settle()
        return passed


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@dataclass
class Stage:
    time: HandTime = field(default_factory=HandTime)
    restarts: list[str] = field(default_factory=list)
    group: TaskGroup = field(init=False)

    def __post_init__(self) -> None:
        self.group = TaskGroup(clock=self.time.now, later=self.time.later, on_restart=self.restarts.append)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    yield made
    await made.group.stop()


@pytest.mark.parametrize("how", ["returns", "raises", "is cancelled by somebody else"])
async def test_a_task_that_ends_by_itself_is_counted_told_and_started_anew(how: str, stage: Stage) -> None:
    lives: list[asyncio.Task[None] | None] = []

    async def work() -> None:
        lives.append(asyncio.current_task())
        if how == "raises":
            raise KeyError("show-1")
        if how != "returns":
            await asyncio.Event().wait()

    stage.group.keep("status", work)
    await settle()
    if how == "is cancelled by somebody else":
        assert lives[0] is not None
        lives[0].cancel()
        await settle()
    assert (len(lives), stage.restarts) == (1, ["status"])
    assert list(stage.group.trouble()) == ["status"]
    assert await stage.time.pass_to_the_next() == 1.0
    assert len(lives) == 2


async def test_the_pause_grows_to_a_minute_and_is_short_again_after_a_long_life(stage: Stage) -> None:
    fall = asyncio.Event()

    async def work() -> None:
        await fall.wait()
        raise ValueError("no")

    stage.group.keep("status", work)
    fall.set()
    await settle()
    pauses = [await stage.time.pass_to_the_next() for _ in range(8)]
    assert pauses == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE]
    fall.clear()
    await stage.time.pass_to_the_next()
    assert "ended 9 times" in stage.group.trouble()["status"]
    stage.time.at += SETTLED
    assert stage.group.trouble() == {}
    fall.set()
    await settle()
    assert await stage.time.pass_to_the_next() == 1.0


async def test_one_that_keeps_ending_leaves_its_neighbours_alone(stage: Stage) -> None:
    beats = 0

    async def sound() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    async def broken() -> None:
        raise RuntimeError("no")

    stage.group.keep("sound", sound)
    stage.group.keep("broken", broken)
    await settle()
    for _ in range(5):
        before = beats
        await stage.time.pass_to_the_next()
        assert beats > before
    assert set(stage.restarts) == {"broken"}


async def test_nothing_starts_anew_after_the_stop_also_what_was_about_to(stage: Stage) -> None:
    lives = 0

    async def work() -> None:
        nonlocal lives
        lives += 1
        raise RuntimeError("no")

    async def waits() -> None:
        await asyncio.Event().wait()

    stage.group.keep("broken", work)
    stage.group.keep("waits", waits)
    once = stage.group.once("once", waits())
    await settle()
    await stage.group.stop()
    assert all(alarm.cancelled for alarm in stage.time.alarms)
    assert once.cancelled()
    assert lives == 1
    late = stage.group.once("late", waits())
    await asyncio.wait({late})
    assert late.cancelled()


async def test_one_that_was_told_to_end_is_waited_for_and_not_started_anew(stage: Stage) -> None:
    stop = asyncio.Event()

    async def work() -> None:
        await stop.wait()

    stage.group.keep("loop", work)
    assert not await stage.group.finish("loop", patience=0.0)
    stop.set()
    assert await stage.group.finish("loop", patience=60.0)
    assert (stage.restarts, stage.time.alarms) == ([], [])


async def test_a_job_that_fails_is_told_and_not_repeated(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise RuntimeError("no such thing")

    with caplog.at_level(logging.ERROR):
        await asyncio.wait({stage.group.once("look at it", fails())})
        await settle()
    assert "look at it failed" in caplog.text
    assert (stage.restarts, stage.time.alarms) == (["look at it"], [])
