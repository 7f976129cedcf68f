"""A policy that follows demand, played by the whole loop: with and without events, announced well and badly."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from plays import STEP, case, peak, show
from test_backtest_operator import driven

from tidegate.backtest.builtin import BUILTIN
from tidegate.backtest.case import Case, Physics
from tidegate.backtest.contest import Moment, score
from tidegate.backtest.operator import Operator
from tidegate.backtest.sources import Question, case_of
from tidegate.backtest.variants import LIVE, LIVE_ALONE
from tidegate.control.conflicts import Conflicts
from tidegate.control.forecaster import Forecaster
from tidegate.control.memory import Memory
from tidegate.control.stopwatch import Stopwatch

DAY = 5_760


def waves(days: int = 2, *, size: float = 0.02, seed: int = 3, **physics: object) -> Case:
    """A daily wave between 20 and 100 units with noise, and no event."""
    random, level, found = np.random.default_rng(seed), 0.0, []
    for step in range(days * DAY):
        level = 0.98 * level + size * float(random.standard_normal())
        found.append((60.0 - 40.0 * np.cos(2 * np.pi * step / DAY)) * np.exp(level))
    return case(found, **physics)


@pytest.mark.parametrize("variant", [LIVE_ALONE, LIVE], ids=["alone", "over an HPA"])
def test_without_events_it_follows_demand_at_a_small_cost(variant: object) -> None:
    asked = waves(begin=case([1.0]).grid.first + 1.5 * DAY * STEP)
    found = score(asked, driven(asked, variant, 0.0)[0])  # type: ignore[arg-type]
    assert found.lost_percent <= 0.1
    assert found.cost_ratio <= 1.2


@pytest.mark.parametrize("wrong", ["low20", "high20"])
def test_double_11_is_ready_announced_a_fifth_too_low_or_too_high(wrong: str) -> None:
    asked = case_of(BUILTIN["double-11-2019"](), Question(perturbation=wrong), Physics(lag=180.0))
    track, _ = driven(asked, LIVE_ALONE, 0.0)
    found = score(asked, track)
    assert found.lost_percent <= 0.1
    assert found.events[0].lost_at_first_percent <= 1.0
    assert found.events[0].lost_soon_percent <= 1.0
    assert found.cost_ratio <= 1.2


def test_a_phantom_costs_minutes_and_not_its_whole_length() -> None:
    """Announced for two hours at 38 units, and nobody comes."""
    asked = case(np.full(1_200, 2.0), [], announced=[show(7_200.0, 7_200.0, 38.0)], background=2.0)
    track, _ = driven(asked, LIVE_ALONE, 0.0)
    assert track.ready[480] >= 38
    assert track.ready[480 + 40] < 10


def test_hosts_whose_steps_do_not_come_are_hardly_prepared_for_after_some_events() -> None:
    shows = [show(7_200.0 * n, 3_600.0, 40.0, name=f"show-{n}") for n in range(1, 7)]
    asked = case(np.full(7 * 480, 4.0), [], announced=shows, background=4.0)
    track, _ = driven(asked, LIVE_ALONE, 0.0)
    first, last = (int(track.ready[480 * n - 4 : 480 * n + 20].max()) for n in (1, 6))
    assert first >= 44
    assert last <= 24


def test_an_opening_that_is_announced_half_too_low_is_made_up_for_in_minutes() -> None:
    low = replace(show(7_200.0, 3_600.0, 38.0), factor=0.5)
    asked = case(
        peak(1_200, 7_200.0, 3_600.0, 2.0, 40.0), [show(7_200.0, 3_600.0, 38.0)], announced=[low], background=2.0
    )
    track, _ = driven(asked, LIVE_ALONE, 0.0)
    assert track.ready[520] >= 40


@pytest.mark.parametrize("died", [470, 481, 486])
def test_a_new_life_around_a_start_has_no_level_lower_than_the_last_one_would(died: int) -> None:
    """It knows the Loan, and nothing that was learned; the start is at step 480."""
    asked = case(peak(600, 7_200.0, 1_800.0, 4.0, 40.0), [show(7_200.0, 1_800.0, 36.0)], background=4.0)
    before, after = _levels(asked, died=None), _levels(asked, died=died)
    assert all(new >= old for old, new in zip(before[died:520], after[died:520], strict=True))


def _levels(asked: Case, *, died: int | None) -> list[int]:
    one, found = Operator(asked, LIVE_ALONE, 0.0), []
    try:
        for step, metric in enumerate(asked.seen.tolist()):
            if step == died:
                one._loop = replace(one._loop, forecaster=Forecaster(), stopwatch=Stopwatch(), conflicts=Conflicts())
                one._store.changed = set(one._store.events)
            level = one._workload.level
            found.append(one.want(Moment(step, asked.grid.first + step * STEP, float(metric), level, level)))
    finally:
        one.close()
    return found


def test_in_a_gap_of_the_metric_the_level_stays() -> None:
    demand = np.full(1_000, 50.0)
    demand[600:680] = np.nan
    track, _ = driven(case(demand), LIVE_ALONE, 0.0)
    assert track.ready[679] >= track.ready[599] - 1 >= 49


def test_it_writes_once_a_beat_at_the_most_and_of_a_calm_signal_rarely() -> None:
    """The HPA's own bound: it looks every 15 s."""
    asked = case(waves(days=1, size=0.005).grid.demand[:1_440])
    track, _ = driven(asked, LIVE_ALONE, 0.0)
    assert len(track.floors) <= 6 * 40


def test_a_policy_that_no_longer_follows_gives_everything_back() -> None:
    asked = case(np.full(800, 30.0))
    _, contestant = driven(asked, LIVE_ALONE, 0.0)
    assert contestant._workload.level >= 30
    contestant._store.policy = replace(contestant._store.policy, live=None)
    contestant._runner = asyncio.new_event_loop()
    for beat in range(60):
        contestant._clock.at = asked.grid.first + STEP * (800 + beat)
        contestant._runner.run_until_complete(contestant._loop.turn())
    contestant._runner.close()
    assert contestant._workload.level == 1
    assert contestant._workload.loans == {}


def test_what_it_learned_is_gathered_for_the_record() -> None:
    _, contestant = driven(case(waves(days=1).grid.demand[:600]), LIVE_ALONE, 0.0)
    memory: Memory = contestant._loop.memory
    kept = memory._gather()[contestant._store.policy.key]
    assert kept.growth["demand"].packed
