"""The rule of a HorizontalPodAutoscaler, example by example."""

from __future__ import annotations

import pytest

from tidegate.simulation.hpa import (
    Behavior,
    Direction,
    HpaMetric,
    HpaMetricKind,
    HpaReason,
    HpaRule,
    PercentPolicy,
    PodsPolicy,
    Select,
)


def rule(kind: HpaMetricKind, target: float, *, minimum: int = 1, maximum: int = 1000, **more: object) -> HpaRule:
    return HpaRule(minimum=minimum, maximum=maximum, metric=HpaMetric(kind, target), **more)  # type: ignore[arg-type]


def shared(target: float = 1.0, **more: object) -> HpaRule:
    return rule(HpaMetricKind.AVERAGE_VALUE, target, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("current", "minimum", "maximum", "want", "reason"),
    [
        (0, 1, 10, 0, HpaReason.SCALING_DISABLED),
        (12, 1, 10, 10, HpaReason.TOO_MANY),
        (2, 400, 1000, 400, HpaReason.TOO_FEW),
        (5, 1, 10, 5, HpaReason.METRIC_MISSING),
    ],
)
def test_bounds_come_first_in_one_step_and_without_a_metric(
    current: int, minimum: int, maximum: int, want: int, reason: HpaReason
) -> None:
    decision = shared(minimum=minimum, maximum=maximum).decide(now=0, current=current, ready=current, value=None)
    assert (decision.replicas, decision.desired_by_metric, decision.reason) == (want, None, reason)


@pytest.mark.parametrize(("running", "want"), [(80, 89), (81, 81), (88, 88), (89, 89), (98, 98), (99, 89)])
def test_the_deadband_leaves_a_shared_metric_short_of_its_number(running: int, want: int) -> None:
    """89 wanted: 81 to 98 running is near enough for an autoscaler."""
    autoscaler = shared()
    autoscaler.decide(now=-1000.0, current=running, ready=running, value=float(running))
    assert autoscaler.decide(now=0, current=running, ready=running, value=89.0).replicas == want


@pytest.mark.parametrize(
    ("start", "goal", "syncs"),
    [(10, 100, 4), (20, 400, 5), (3, 300, 7)],
)
def test_default_limits_double_at_most_once_a_sync(start: int, goal: int, syncs: int) -> None:
    autoscaler, current, now, count = shared(), start, 0.0, 0
    while current < goal:
        current = autoscaler.decide(now=now, current=current, ready=current, value=float(goal)).replicas
        now, count = now + 15, count + 1
    assert (current, count) == (goal, syncs)


def test_without_a_behavior_block_a_step_reaches_twice_the_current_number_or_four() -> None:
    assert shared(behavior=None).decide(now=0, current=1, ready=1, value=100.0).replicas == 4
    decision = shared(behavior=None).decide(now=0, current=10, ready=10, value=100.0)
    assert (decision.replicas, decision.reason) == (20, HpaReason.UP_LIMIT)


def test_a_fall_of_the_metric_takes_effect_after_the_window() -> None:
    autoscaler = shared()
    autoscaler.decide(now=0, current=50, ready=50, value=50.0)
    held = autoscaler.decide(now=15, current=50, ready=50, value=5.0)
    assert (held.replicas, held.desired_by_metric, held.reason) == (50, 5, HpaReason.DOWN_STABILIZED)
    assert autoscaler.decide(now=299, current=50, ready=50, value=5.0).replicas == 50
    assert autoscaler.decide(now=301, current=50, ready=50, value=5.0).replicas == 5


def test_a_lifted_floor_falls_to_the_metric_in_one_sync_when_the_window_saw_low_numbers() -> None:
    """Measured on a real cluster: 120 to 50 within 10 s after more than 7 minutes at a floor of 120."""
    autoscaler, current = shared(minimum=2), 50
    autoscaler.decide(now=0, current=current, ready=current, value=50.0)
    autoscaler.minimum = 120
    for sync in range(1, 30):
        current = autoscaler.decide(now=sync * 15.0, current=current, ready=current, value=50.0).replicas
    assert current == 120
    autoscaler.minimum = 2
    assert autoscaler.decide(now=450, current=current, ready=current, value=50.0).replicas == 50


def test_a_gentle_behavior_makes_a_lost_floor_step_down() -> None:
    """Measured on a real cluster with 20 % a minute: 40, 32, 25."""
    gentle = Behavior(down=Direction(window=0.0, policies=(PercentPolicy(20, 60.0),)))
    autoscaler, current, seen = shared(minimum=2, behavior=gentle), 40, [40]
    autoscaler.decide(now=0, current=current, ready=current, value=40.0)
    for sync in range(1, 9):
        current = autoscaler.decide(now=sync * 15.0, current=current, ready=current, value=2.0).replicas
        if current != seen[-1]:
            seen.append(current)
    assert seen[:3] == [40, 32, 25]


@pytest.mark.parametrize(
    ("select", "want"), [(Select.MAX, 20), (Select.MIN, 14), (Select.DISABLED, 10)], ids=lambda v: str(v)
)
def test_of_several_policies_the_selected_one_limits(select: Select, want: int) -> None:
    up = Direction(window=0.0, policies=(PodsPolicy(4, 15.0), PercentPolicy(100, 15.0)), select=select)
    decision = shared(behavior=Behavior(up=up)).decide(now=0, current=10, ready=10, value=1000.0)
    assert decision.replicas == want


def test_what_was_added_within_the_period_is_not_added_twice() -> None:
    up = Direction(window=0.0, policies=(PodsPolicy(10, 60.0),))
    autoscaler = shared(behavior=Behavior(up=up))
    assert autoscaler.decide(now=0, current=10, ready=10, value=500.0).replicas == 20
    assert autoscaler.decide(now=15, current=20, ready=10, value=500.0).replicas == 20
    assert autoscaler.decide(now=61, current=20, ready=20, value=500.0).replicas == 30


def test_an_up_window_waits_for_the_demand_to_last() -> None:
    up = Direction(window=60.0, policies=(PercentPolicy(1000, 15.0),))
    autoscaler = shared(behavior=Behavior(up=up))
    autoscaler.decide(now=0, current=10, ready=10, value=10.0)
    held = autoscaler.decide(now=15, current=10, ready=10, value=50.0)
    assert (held.replicas, held.reason) == (10, HpaReason.UP_STABILIZED)
    assert autoscaler.decide(now=61, current=10, ready=10, value=50.0).replicas == 50


@pytest.mark.parametrize(
    ("current", "ready", "percent", "want"),
    [
        (10, 10, 160.0, 20),
        (10, 10, 88.9, 10),  # cut to 88 %, 1.1 times 80 %: inside the tolerance
        (10, 10, 89.0, 12),  # 1.11 times: outside
        (20, 10, 160.0, 20),  # ten starting pods count as idle: 1.0 times the target
        (20, 10, 240.0, 30),  # and even so there is too little
        (20, 15, 96.0, 20),  # 1.2 times over the ready ones, 0.9 over all: no contradiction is carried out
    ],
)
def test_starting_pods_count_as_idle_before_more_are_added(current: int, ready: int, percent: float, want: int) -> None:
    autoscaler = rule(HpaMetricKind.UTILIZATION, 80.0)
    assert autoscaler.decide(now=0, current=current, ready=ready, value=percent).replicas == want


def test_one_number_for_the_whole_counts_ready_pods() -> None:
    autoscaler = rule(HpaMetricKind.VALUE, 100.0)
    assert autoscaler.decide(now=0, current=10, ready=8, value=200.0).replicas == 16


def test_the_maximum_caps_what_the_metric_wants() -> None:
    decision = shared(maximum=15).decide(now=0, current=10, ready=10, value=500.0)
    assert (decision.replicas, decision.reason) == (15, HpaReason.TOO_MANY)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_what_is_no_number_changes_nothing(value: float | None) -> None:
    decision = shared().decide(now=0, current=10, ready=10, value=value)
    assert (decision.replicas, decision.reason) == (10, HpaReason.METRIC_MISSING)


@pytest.mark.parametrize(("value", "want"), [(62.4, 78), (62.400000000000006, 78), (62.401, 79)])
def test_what_sums_of_floats_are_wrong_by_is_no_unit_more(value: float, want: int) -> None:
    """The controller divides whole thousandths: 62400 by 800."""
    assert shared(0.8).decide(now=0, current=60, ready=60, value=value).replicas == want


def test_a_target_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        HpaMetric(HpaMetricKind.VALUE, 0.0)
