"""The rivals keep their own rules: dead band, ramps, polls, windows, history."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from plays import case, peak, show

from tidegate.backtest.announcing import AFTER_END
from tidegate.backtest.case import Case, Physics
from tidegate.backtest.contest import Moment, play, score
from tidegate.backtest.field import RIVALS, entries, made, played
from tidegate.backtest.rivals import AlwaysOn, Reactive, forecaster, hpa, hpa_static, human, keda_cron, zalando
from tidegate.backtest.schedules import periodic, ramps, windows
from tidegate.backtest.series import ANCHOR, Grid
from tidegate.simulation.baselines import run_autoscaler
from tidegate.simulation.scenario import Scenario, Service


def wants(contestant: Reactive, steps: range, *, wanted: int, metric: float | None) -> list[int]:
    """What it asks for at each step, when all that it asks for is ready at once."""
    found = []
    for step in steps:
        wanted = contestant.want(Moment(step, ANCHOR + 15.0 * step, metric, wanted, wanted))
        found.append(wanted)
    return found


@pytest.mark.parametrize("step", [1.0, 7.0, 11.5, 37.0, 61.0, 70.0, 250.0, 299.0, 300.0])
def test_a_forecast_by_time_of_day_can_be_made_with_steps_of_any_length(step: float) -> None:
    """Four days of four units, with an hour of forty from noon on."""
    times = step * np.arange(math.floor(4 * 86_400.0 / step))
    demand = np.where((times % 86_400.0 >= 43_200.0) & (times % 86_400.0 < 46_800.0), 40.0, 4.0)
    made = periodic(Case("small", Grid(ANCHOR, step, demand), 1.0, physics=Physics(lag=180.0)), 0.95)
    assert np.isnan(made[times < 2 * 86_400.0 - 240.0 - step]).all()
    last = times >= 3 * 86_400.0
    assert (made[last] >= demand[last]).mean() > 0.997
    assert (made[last] > demand[last]).sum() * step <= 240.0 + 4 * max(step, 60.0)


def test_the_hpa_is_the_demonstrations_hpa_on_the_same_demand() -> None:
    """The same rule on two clusters, this grid and the second-by-second physics: counts agree within one sync."""
    demand = 20.0 + 15.0 * np.sin(np.arange(960) / 60.0) + peak(960, 7200.0, 1800.0, 0.0, 40.0)
    asked = case(demand, lag=60.0)
    ours = play(asked, hpa(asked, 70.0)).billed
    service = Service("s", "d", 1.0, 60.0, 1, 100_000, float(demand[0]))
    seconds = np.repeat(demand, 15)
    scenario = Scenario(ANCHOR, ANCHOR, ANCHOR + len(seconds), (service,), {"d": seconds}, (), ())
    theirs = run_autoscaler(scenario, target_percent=70.0, creation_rate=10_000.0, name="x").tracks["s"].billed[7::15]
    lowest = np.minimum(np.minimum(np.roll(theirs, 1), theirs), np.roll(theirs, -1))
    highest = np.maximum(np.maximum(np.roll(theirs, 1), theirs), np.roll(theirs, -1))
    inside = slice(5, -5)
    assert ((ours >= lowest) & (ours <= highest))[inside].all()


def test_the_hpa_spends_what_its_target_leaves() -> None:
    asked = case(np.full(2000, 70.0), lag=60.0)
    assert score(asked, play(asked, hpa(asked, 70.0))).cost_ratio == pytest.approx(100 / 70, rel=0.01)


def test_the_hpa_stands_still_while_the_metric_is_missing() -> None:
    asked = case(np.full(100, 10.0))
    assert wants(hpa(asked, 80.0), range(20), wanted=7, metric=None) == [7] * 20


def noon(units: float = 89.0, **physics: object):
    """An hour of an announced event, an hour after the begin; nobody is there otherwise."""
    return case(np.full(1000, 1.0), [show(3600.0, 3600.0, units)], **physics)


def test_a_cron_trigger_has_the_dead_band_of_the_hpa() -> None:
    contestant = keda_cron(noon(), 0.0)
    assert wants(contestant, range(240, 260), wanted=81, metric=1.0) == [81] * 20  # 89 is within a tenth of 81


def test_a_cron_trigger_may_add_while_the_metric_is_missing() -> None:
    assert wants(keda_cron(noon(), 0.0), range(240, 280), wanted=2, metric=None)[-1] >= 81


def test_a_timetable_that_is_met_while_the_metric_is_missing_is_remembered() -> None:
    """As the controller does: with one of two metrics missing, what wants no fewer is decided, and remembered."""
    timetable = np.array([40.0] * 20 + [1.0] * 40)
    asked = case(np.full(60, 1.0))
    contestant = Reactive(asked, "x", target_percent=80.0, metric=timetable)
    found = [40]
    for step in range(60):
        metric = None if step < 20 else 1.0
        found.append(contestant.want(Moment(step, ANCHOR + 15.0 * step, metric, found[-1], found[-1])))
    down = next(step for step, count in enumerate(found[1:]) if count < 40)
    assert down == 19 + 300 // 15


def test_a_timetable_that_wants_fewer_while_the_metric_is_missing_decides_nothing() -> None:
    contestant = Reactive(case(np.full(60, 1.0)), "x", target_percent=80.0, metric=np.full(60, 1.0))
    assert wants(contestant, range(40), wanted=40, metric=None) == [40] * 40


def test_the_adapter_of_the_scaling_schedule_writes_past_the_dead_band() -> None:
    assert wants(zalando(noon(), 0.0), range(240, 260), wanted=81, metric=1.0)[-1] == 89


def test_the_adapters_own_write_is_for_the_dead_band_alone_and_no_way_past_the_limits_of_the_hpa() -> None:
    assert wants(zalando(noon(), 0.0), range(240, 244), wanted=10, metric=1.0) == [20, 40, 80, 89]


def test_a_scaling_schedule_rises_in_ten_steps_and_is_whole_one_lag_before_the_event() -> None:
    asked = noon(100.0, lag=180.0)
    ramp = ramps(asked)
    start = (3600 - 180) // 15
    assert ramp[start] == 100.0
    assert ramp[start - 1] == 90.0
    assert ramp[start - 41] == 0.0
    assert sorted(set(ramp[: start + 1])) == [10.0 * n for n in range(11)]


def test_a_careful_person_has_the_peak_there_a_quarter_of_an_hour_before_and_a_while_after() -> None:
    asked = noon(40.0)
    floor = windows(asked, before=900.0)
    there = np.flatnonzero(floor)
    assert there[0] * 15.0 == 3600.0 - 900.0
    assert (there[-1] + 1) * 15.0 == 7200.0 + AFTER_END
    track = play(asked, human(asked, 0.0))
    assert track.ready[240] == 40


def test_a_cancelled_event_is_paid_for_until_it_is_taken_back() -> None:
    cancelled = replace(show(3600.0, 3600.0, 40.0), withdrawn_at=ANCHOR + 4200.0)
    there = np.flatnonzero(windows(case(np.ones(1000), [], announced=[cancelled]), before=900.0))
    assert (there[-1] + 1) * 15.0 == 4200.0


def test_always_on_is_the_announced_peak_all_the_time() -> None:
    asked = noon(40.0)
    assert set(play(asked, AlwaysOn(asked, headroom=0.1)).ready.tolist()) == {44}


def test_static_over_provision_keeps_its_share_of_the_peak() -> None:
    asked = noon(40.0)
    assert play(asked, hpa_static(asked, 0.5)).ready[50:].min() == 20


def days(count: int, high: float = 50.0) -> np.ndarray:
    return np.tile(peak(5760, 36_000.0, 3600.0, 5.0, high), count)


def test_a_forecast_needs_two_days_and_then_knows_the_hour() -> None:
    forecast = periodic(case(days(4), lag=180.0), 0.95)
    assert np.isnan(forecast[: 2 * 5760 - 20]).all()
    rise = 2 * 5760 + 36_000 // 15
    assert forecast[rise - 17] == 5.0
    assert forecast[rise - 16] == 50.0  # one lag ahead, and one look


def test_a_forecast_knows_nothing_of_an_event_that_is_new() -> None:
    demand = np.concatenate((days(3, high=5.0), days(1, high=50.0)))
    asked = case(demand, begin=ANCHOR + 3 * 86_400.0, lag=180.0)
    lost = [score(asked, play(asked, one)).lost_percent for one in (forecaster(asked, 0.95), hpa(asked, 80.0))]
    assert lost[0] == pytest.approx(lost[1])
    assert lost[0] > 1.0


def test_a_forecast_is_ready_for_what_is_there_each_day_and_an_hpa_is_not() -> None:
    asked = case(days(4), begin=ANCHOR + 3 * 86_400.0, lag=180.0)
    assert score(asked, play(asked, forecaster(asked, 0.95))).lost_percent == 0.0
    assert score(asked, play(asked, hpa(asked, 80.0))).lost_percent > 1.0


@pytest.mark.parametrize("entry", entries(RIVALS, sweep=True), ids=lambda one: f"{one.policy}-{one.setting}")
def test_every_rival_plays_a_trace_with_gaps_and_without_events(entry) -> None:
    demand = 5.0 + days(1) / 10.0
    demand[1000:1100] = np.nan
    asked = case(demand, metric_gaps=0.05)
    found, track = played(asked, entry)
    assert 0.0 <= found.lost_percent < 50.0
    assert found.cost_ratio > 0.5
    assert track.contestant == made(asked, entry).name


def test_a_contestant_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"no contestant is called hpx; there are always-on, hpa"):
        entries(["hpx"], sweep=False)
