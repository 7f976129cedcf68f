"""The measures: the clairvoyant plan is feasible and minimal, and the figures are what their formulas say."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.simulation.baselines import opening_replicas, run_autoscaler
from tidegate.simulation.oracle import clairvoyant
from tidegate.simulation.scenario import Rise, Scenario, Service, Window
from tidegate.simulation.score import Run, Track, Tracker, ready_before, score

ORDER = Service("order", "orders", capacity=10.0, start_seconds=2.0, minimum=1, maximum=100, background=10.0)


def scenario(demand: list[float], *, rises: tuple[Rise, ...] = (), begin: float = 2.0) -> Scenario:
    """Starts at second 0; what is before ``begin`` is not scored."""
    end = float(len(demand))
    windows = (Window("first", begin, begin + 2),)
    rises = rises or (Rise("start", ORDER.name, begin, end),)
    return Scenario(0.0, begin, end, (ORDER,), {"orders": np.array(demand, dtype=np.float64)}, windows, rises)


def run(ready: list[int], billed: list[int] | None = None) -> Run:
    return Run("someone", {"order": Track(np.array(ready), np.array(billed or ready))}, writes=3)


# ---- the clairvoyant plan

small_needs = st.lists(st.floats(0.0, 3.0), min_size=1, max_size=6)


def serves(plan: tuple[int, ...], need: list[float], lag: int) -> bool:
    """A pod serves in a second when it has existed for the ``lag`` seconds before it too; what is before the first
    second was prepared in time."""
    ready = [min(plan[max(0, t - lag) : t + 1]) for t in range(len(need))]
    return all(pods >= wanted - 1e-9 for pods, wanted in zip(ready, need, strict=True))


@given(small_needs, st.integers(0, 3))
def test_the_clairvoyant_plan_serves_everything_in_spite_of_the_start_lag(need: list[float], lag: int) -> None:
    assert serves(tuple(clairvoyant(np.array(need), float(lag))), need, lag)


@pytest.mark.parametrize("lag", [0, 1, 2])
@pytest.mark.parametrize("need", [[0, 2, 0, 1], [1.5, 0, 0, 2], [0, 0, 0], [2, 2, 0, 0.1]])
def test_no_plan_that_serves_everything_is_cheaper(need: list[float], lag: int) -> None:
    best = min(sum(plan) for plan in product(range(3), repeat=len(need)) if serves(plan, need, lag))
    assert clairvoyant(np.array(need, dtype=np.float64), float(lag)).sum() == best


def test_the_clairvoyant_plan_starts_a_pod_one_lag_ahead_and_ends_it_at_once() -> None:
    assert clairvoyant(np.array([0.0, 0.0, 0.0, 2.5, 0.0]), 2.0).tolist() == [0, 3, 3, 3, 0]


# ---- the figures


def test_lost_demand_is_what_met_no_ready_pod_in_percent_of_all() -> None:
    result = score(scenario([99, 99, 20, 40, 40, 20]), run([0, 0, 2, 3, 3, 2]))
    assert result.lost_percent == pytest.approx(100 * (1 + 1) / (2 + 4 + 4 + 2))
    assert result.lost_in["first"] == pytest.approx(100 * 1 / (2 + 4))
    assert result.lost_by_service == {"order": pytest.approx(result.lost_percent)}


def test_pods_that_are_not_needed_serve_nobody_later() -> None:
    assert score(scenario([0, 0, 10, 30]), run([0, 0, 9, 1])).lost_percent == pytest.approx(100 * 2 / 4)


def test_cost_is_what_was_paid_over_the_clairvoyant_plan_of_the_same_hours() -> None:
    """Need 1, 1, 3, 1 after two unscored seconds, start lag 2 s: the clairvoyant pays 3 + 3 + 3 + 1."""
    played = scenario([10, 10, 10, 10, 30, 10])
    assert score(played, run([9] * 6, [100, 100, 3, 6, 6, 5])).cost_ratio == pytest.approx(20 / 10)


def test_demand_of_several_services_is_added_up_in_pods() -> None:
    chat = Service("chat", "messages", capacity=1000.0, start_seconds=2.0, minimum=1, maximum=100, background=0.0)
    played = scenario([10] * 4)
    both = Scenario(0.0, 2.0, 4.0, (ORDER, chat), played.demand | {"messages": np.full(4, 3000.0)}, (), played.rises)
    tracks = {"order": Track(np.full(4, 1), np.full(4, 1)), "chat": Track(np.full(4, 2), np.full(4, 2))}
    assert score(both, Run("x", tracks, 0)).lost_percent == pytest.approx(100 * 1 / 4)


@pytest.mark.parametrize(
    ("ready", "seconds"),
    [
        ([3, 3, 3, 3, 3, 3], 4.0),
        ([1, 3, 3, 3, 3, 3], 3.0),
        ([3, 3, 1, 3, 3, 3], 1.0),
        ([1, 1, 1, 1, 3, 3], 0.0),
        ([1, 1, 1, 1, 1, 3], -1.0),
        ([1, 1, 1, 1, 1, 1], -2.0),
    ],
)
def test_ready_before_counts_unbroken_seconds_and_lateness_is_below_zero(ready: list[int], seconds: float) -> None:
    rise = Rise("link", "order", 4.0, 6.0)
    assert ready_before(scenario([10, 10, 10, 10, 20, 30], rises=(rise,)), run(ready), rise) == seconds


def test_the_worst_moment_counts() -> None:
    rises = (Rise("link", "order", 3.0, 4.0), Rise("opening", "order", 5.0, 6.0))
    result = score(scenario([10, 10, 10, 10, 10, 30], rises=rises), run([1, 1, 1, 1, 3, 3]))
    assert result.ready_before == {"link": 3.0, "opening": 1.0}
    assert result.ready_before_seconds == 1.0


# ---- samples to seconds


def test_samples_within_a_second_count_against_the_contestant() -> None:
    tracker = Tracker(scenario([0] * 5))
    tracker.sample(-3.0, ready=1, billed=1)
    tracker.sample(1.5, ready=4, billed=6)
    tracker.sample(3.25, ready=2, billed=2)
    track = tracker.track()
    assert track.ready.tolist() == [1, 1, 4, 2, 2]
    assert track.billed.tolist() == [1, 6, 6, 6, 2]


def test_before_the_first_sample_nothing_is_ready() -> None:
    tracker = Tracker(scenario([0] * 4))
    tracker.sample(1.5, ready=4, billed=4)
    assert tracker.track().ready.tolist() == [0, 0, 4, 4]


def test_samples_out_of_order_are_refused() -> None:
    tracker = Tracker(scenario([0] * 4))
    tracker.sample(2.0, ready=1, billed=1)
    with pytest.raises(ValueError, match="order of time"):
        tracker.sample(1.0, ready=1, billed=1)


# ---- the baselines


def test_the_metric_is_a_minute_wide_and_half_a_minute_old() -> None:
    played = scenario([0.0] * 100 + [60.0] * 100)
    assert played.metric(ORDER, 20.0) is None
    assert played.metric(ORDER, 130.0) == 0.0
    assert played.metric(ORDER, 160.0) == 30.0
    assert played.metric(ORDER, 190.0) == 60.0
    assert played.metric(ORDER, 9999.0) == 60.0


def test_an_autoscaler_alone_keeps_up_with_a_slow_rise_and_not_with_a_wall() -> None:
    slow = scenario([10.0 + t / 100 for t in range(2000)], begin=100.0)
    wall = scenario([10.0] * 1000 + [500.0] * 1000, begin=100.0)
    results = [score(s, run_autoscaler(s, target_percent=70, creation_rate=20.0, name="hpa70")) for s in (slow, wall)]
    assert results[0].lost_percent == 0.0
    assert results[1].lost_percent > 5.0
    assert results[1].ready_before_seconds <= 0.0


def test_an_autoscaler_settles_within_the_tolerance_of_its_target() -> None:
    played = scenario([400.0] * 1200)
    ready = run_autoscaler(played, target_percent=80, creation_rate=20.0, name="hpa80").tracks["order"].ready
    assert 50 / 1.1 <= ready[-1] <= 50 / 0.9
    assert set(ready[-500:]) == {ready[-1]}


def test_the_evening_begins_with_what_the_background_needs() -> None:
    assert opening_replicas(ORDER, 70.0) == 2
    assert opening_replicas(Service("o", "s", 10.0, 1.0, 5, 100, 10.0), 70.0) == 5
