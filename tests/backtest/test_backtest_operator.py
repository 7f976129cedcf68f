"""Tidegate's part in the play is the operator's own loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from plays import STEP, case, peak, show

from tidegate.backtest import operator as room
from tidegate.backtest.case import Case
from tidegate.backtest.contest import Track, play, score
from tidegate.backtest.operator import Operator, resting
from tidegate.backtest.variants import AS_IT_COMES, OVER_HPA, PRESET, PRESET_ALONE, Variant
from tidegate.control.loop import Loop


def driven(asked: Case, variant: Variant, headroom: float = 0.2, *, skip_quiet: bool = True) -> tuple[Track, Operator]:
    contestant = Operator(asked, variant, headroom, skip_quiet=skip_quiet)
    try:
        return play(asked, contestant), contestant
    finally:
        contestant.close()


def evening(**physics: object) -> Case:
    """Four hours of two units, with an hour of forty from the second hour on."""
    return case(peak(1200, 7200.0, 3600.0, 2.0, 40.0), [show(7200.0, 3600.0, 38.0)], background=2.0, **physics)


@pytest.mark.parametrize("variant", [AS_IT_COMES, PRESET_ALONE, OVER_HPA, PRESET])
def test_what_is_announced_is_ready_when_it_begins_and_given_back_afterwards(variant: Variant) -> None:
    asked = evening()
    track, _ = driven(asked, variant)
    assert track.ready[480] >= 40
    assert track.ready[430] < 40  # and not long before
    assert track.ready[-1] < 10
    assert score(asked, track).lost_in_windows_percent == 0.0


def test_without_an_event_nothing_is_written() -> None:
    track, _ = driven(case(peak(400, 1500.0, 600.0, 2.0, 30.0)), AS_IT_COMES)
    assert dict(track.floors) == {}


def test_an_announcement_that_is_too_low_is_made_up_for_by_what_is_measured() -> None:
    low = replace(show(7200.0, 3600.0, 38.0), factor=0.5)
    asked = case(peak(1200, 7200.0, 3600.0, 2.0, 40.0), [show(7200.0, 3600.0, 38.0)], announced=[low], background=2.0)
    track, _ = driven(asked, AS_IT_COMES)
    assert track.ready[481] < 40
    assert track.ready[520] >= 40


def test_an_event_that_is_cancelled_is_given_back() -> None:
    phantom = replace(show(7200.0, 7200.0, 38.0), withdrawn_at=show(7800.0, 1.0, 1.0).start)
    asked = case(np.full(1200, 2.0), [], announced=[phantom], background=2.0)
    track, _ = driven(asked, PRESET_ALONE)
    assert track.ready[500] >= 38
    assert track.ready[(7800 + 900) // 15] < 10


def noisy(seed: int = 4) -> Case:
    """Six hours with noise, two shows and a gap, one show announced too low."""
    random = np.random.default_rng(seed)
    demand = peak(1440, 3000.0, 2700.0, 6.0, 60.0) + peak(1440, 12_000.0, 1800.0, 0.0, 30.0)
    demand = demand * np.exp(0.1 * random.standard_normal(len(demand)))
    demand[840:860] = np.nan
    shows = [show(3000.0, 2700.0, 54.0), show(12_000.0, 1800.0, 20.0, name="b")]
    return case(demand, shows, background=6.0)


@pytest.mark.parametrize("variant", [AS_IT_COMES, OVER_HPA, PRESET], ids=["alone", "over an HPA", "preset"])
@pytest.mark.parametrize("seed", [4, 5])
def test_turns_that_are_left_out_while_nothing_moves_change_no_level(variant: Variant, seed: int) -> None:
    asked = noisy(seed)
    with_all, every = driven(asked, variant, skip_quiet=False)
    with_few, few = driven(asked, variant)
    assert dict(with_few.floors) == dict(with_all.floors)
    assert len(with_all.floors) > 5
    assert few.turns < every.turns == len(asked.grid.demand)


def test_a_shorter_horizon_changes_no_level(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = noisy()
    short, _ = driven(asked, PRESET)
    monkeypatch.setattr(room, "HORIZON", 86_400.0)
    long, _ = driven(asked, PRESET)
    assert dict(short.floors) == dict(long.floors)


def test_it_is_the_operators_loop_that_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    decided = []
    before = Loop.decide

    def decide(self: Loop):
        decided.append(self.clock.now())
        return before(self)

    monkeypatch.setattr(Loop, "decide", decide)
    driven(evening(), AS_IT_COMES)
    assert len(decided) > 200


def test_alone_a_workload_rests_where_nearly_all_of_its_quiet_time_is_carried() -> None:
    quiet = np.concatenate((np.full(995, 3.0), np.full(5, 9.0)))
    assert resting(case(quiet)) == 3
    assert resting(evening()) == 2


def test_the_hours_of_a_long_event_are_none_of_a_workloads_quiet_time() -> None:
    demand = np.concatenate((np.full(1000, 2.0), np.full(5000, 30.0)))
    assert resting(case(demand, [show(15_000.0, 75_000.0, 28.0)])) == 2


def test_a_metric_gap_lowers_nothing_while_the_event_is_on() -> None:
    demand = peak(1200, 7200.0, 7200.0, 2.0, 40.0)
    asked = case(demand, [show(7200.0, 7200.0, 10.0)], background=2.0)
    asked.seen[600:700] = np.nan  # measured demand holds four times what was announced
    track, _ = driven(asked, AS_IT_COMES)
    assert track.ready[560] >= 40
    assert track.ready[600:700].min() >= 40
    assert STEP * 100 == 1500.0
