"""Clocks: simulated time is a function of real time, and waiting ends when it should."""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.shell.clock import RealClock, ScheduledClock

EVENING = ScheduledClock(real_start=1000.0, sim_start=0.0, segments=((0.0, 400.0), (4000.0, 20.0), (4200.0, 100.0)))


@pytest.mark.parametrize(
    ("real", "sim"),
    [
        (900.0, 0.0),
        (1000.0, 0.0),
        (1005.0, 2000.0),
        (1010.0, 4000.0),
        (1015.0, 4100.0),
        (1020.0, 4200.0),
        (1030.0, 5200.0),
    ],
)
def test_simulated_time_stands_until_the_start_and_then_runs_at_each_segments_speed(real: float, sim: float) -> None:
    assert EVENING.sim_for(real) == pytest.approx(sim)
    if real >= 1000.0:
        assert EVENING.real_for(sim) == pytest.approx(real)


def test_instants_before_the_start_are_reached_at_the_start_and_infinity_never() -> None:
    assert EVENING.real_for(-500.0) == 1000.0
    assert EVENING.real_for(math.inf) == math.inf


@given(
    st.lists(st.tuples(st.floats(1.0, 5000.0), st.floats(0.5, 1000.0)), min_size=1, max_size=6),
    st.lists(st.floats(0.0, 1000.0), min_size=2, max_size=20),
)
def test_time_never_runs_backwards_and_both_ways_agree(parts: list[tuple[float, float]], reals: list[float]) -> None:
    at, segments = 0.0, []
    for length, speed in parts:
        segments.append((at, speed))
        at += length
    clock = ScheduledClock(0.0, 0.0, tuple(segments))
    sims = [clock.sim_for(real) for real in sorted(reals)]
    assert sims == sorted(sims)
    assert [clock.real_for(sim) for sim in sims] == pytest.approx(sorted(reals), abs=1e-6)


def test_the_file_carries_the_whole_schedule(tmp_path: Path) -> None:
    EVENING.to_file(tmp_path / "clock.json")
    assert ScheduledClock.from_file(tmp_path / "clock.json") == EVENING


@pytest.mark.parametrize(
    "segments", [(), ((5.0, 1.0),), ((0.0, 1.0), (0.0, 2.0)), ((0.0, 0.0),), ((0.0, math.nan),), ((0.0, math.inf),)]
)
def test_a_schedule_that_makes_no_sense_is_refused(segments: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="must"):
        ScheduledClock(0.0, 0.0, segments)


def test_a_file_that_is_no_schedule_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "clock.json").write_text('{"realStart": 1}')
    with pytest.raises(ValueError, match="not a clock schedule"):
        ScheduledClock.from_file(tmp_path / "clock.json")


async def test_a_clock_that_has_not_begun_stands_until_its_file_says_when(tmp_path: Path) -> None:
    ours = ScheduledClock(math.inf, 100.0, ((0.0, 1000.0),))
    ours.to_file(tmp_path / "clock.json")
    theirs = ScheduledClock.from_file(tmp_path / "clock.json")
    assert (theirs.now(), theirs.begun) == (100.0, False)
    waiting = asyncio.create_task(theirs.wait(150.0, asyncio.Event()))
    await asyncio.sleep(0)
    assert not waiting.done()
    ours.begin(time.time())
    await asyncio.wait_for(waiting, 2.0)
    assert theirs == ours
    assert theirs.now() >= 150.0


async def test_waiting_ends_at_the_simulated_instant() -> None:
    clock = ScheduledClock(time.time(), 0.0, ((0.0, 1000.0),))
    await clock.wait(20.0, asyncio.Event())
    assert 20.0 <= clock.now() < 500.0


async def test_waiting_for_ever_ends_when_woken_and_leaves_the_event_set() -> None:
    wake = asyncio.Event()
    asyncio.get_running_loop().call_soon(wake.set)
    await RealClock().wait(math.inf, wake)
    assert wake.is_set()


async def test_waiting_for_the_past_returns_but_lets_others_run_first() -> None:
    ran = asyncio.Event()
    asyncio.get_running_loop().call_soon(ran.set)
    await RealClock().wait(0.0, asyncio.Event())
    assert ran.is_set()
