"""What an autoscaler wishes by itself, and when a floor that follows demand adds nothing to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from worlds import CORE, T0, policy, signal, target, world

from tidegate.planning.beneath import (
    ADVISED,
    ALONE,
    HPAS,
    OVER_90,
    Aim,
    Aims,
    Played,
    advice,
    is_dead_weight,
    said,
    wish,
)
from tidegate.planning.model import Freshness, Live, LoanState, Observed, Reading, Ref
from tidegate.planning.plan import make_plan

BENCHMARKS = Path(__file__).parents[2] / "docs" / "benchmarks.md"
CARRIES = (("orders", 50.0), ("views", 400.0))


def cpu(percent: float) -> Aims:
    return Aims((Aim("Resource", "cpu", percent=percent),))


def external(metric: str, average: float) -> Aims:
    return Aims((Aim("External", metric, average=average),))


@pytest.mark.parametrize(
    ("percent", "dead"), [(50, True), (70, True), (80, True), (90, False), (100, False), (150, False)]
)
def test_a_live_floor_matters_where_its_margin_exceeds_what_the_scaler_wishes_more(percent: float, dead: bool) -> None:
    held = wish(cpu(percent), CARRIES)
    assert held is not None
    assert held.more == pytest.approx(100.0 / percent - 1.0)
    assert is_dead_weight(held, headroom=0.0) is dead


def test_the_rule_is_the_margin_against_one_over_the_target() -> None:
    held = wish(cpu(80), CARRIES)
    assert held is not None
    assert is_dead_weight(held, headroom=0.0, margin=0.2499)
    assert not is_dead_weight(held, headroom=0.0, margin=0.2501)
    assert not is_dead_weight(held, headroom=0.25, margin=0.0001)


def test_of_several_metrics_the_one_that_wishes_most_counts() -> None:
    aims = Aims((*cpu(95).metrics, *external("views", 240.0).metrics, *external("orders", 45.0).metrics))
    held = wish(aims, CARRIES)
    assert held is not None
    assert (held.aim.metric, held.share) == ("views", 0.6)


@pytest.mark.parametrize(
    "aims",
    [
        None,
        Aims(),
        external("queue_length", 40.0),
        Aims((Aim("Resource", "memory", percent=70.0),)),
        Aims((Aim("Resource", "cpu", average=0.4),)),
        cpu(0),
    ],
)
def test_of_what_cannot_be_held_against_a_capacity_nothing_is_said(aims: Aims | None) -> None:
    assert wish(aims, CARRIES) is None


def test_it_is_said_which_floor_would_matter() -> None:
    held = wish(cpu(80), CARRIES)
    assert held is not None
    assert said(held, "HorizontalPodAutoscaler/web") == (
        "HorizontalPodAutoscaler/web holds cpu at 80 % of its request: where demand takes 100 units it wishes 125 by"
        " itself, and 126 is the smallest floor that matters"
    )


def test_nobody_is_told_to_fill_a_metric_that_saturates() -> None:
    held = wish(cpu(80), CARRIES)
    assert held is not None
    text = advice(held, CARRIES)
    assert "never cpu at 100 %" in text
    assert "Pods, Object or External" in text
    assert "raise" not in text


def test_a_metric_that_goes_on_growing_is_told_its_new_target_in_its_own_unit() -> None:
    held = wish(external("orders", 35.0), CARRIES)
    assert held is not None
    assert advice(held, CARRIES).startswith("raise its averageValue to 45, which is 90 % of what a unit carries")
    assert "an HPA at 70 % lost 0.002 % at 1.412 times" in advice(held, CARRIES)


def test_the_figures_are_those_of_the_benchmarks() -> None:
    table = BENCHMARKS.read_text().partition("## World Cup 1998, judged half\n")[2].partition("\n## ")[0]
    for one in (*HPAS.values(), OVER_90, ALONE):
        row = next(line for line in table.splitlines() if line.startswith(f"| {one.name} |"))
        lost, _, cost, _ = re.findall(r"[\d.]+(?= \|)", row)[-4:]
        assert Played(one.name, float(lost), float(cost)) == one
    assert f"hpa-{ADVISED:g}" in OVER_90.name


@pytest.mark.parametrize(
    ("grown", "more"), [(1.06, "; HorizontalPodAutoscaler/web wishes 125 of them by its own target"), (1.5, "")]
)
def test_the_status_says_when_the_scaler_wishes_more_than_the_floor_asks_for(grown: float, more: str) -> None:
    core = policy(target(), hold=0.0, rate=1.0, signals=(signal(),), live=Live())
    ended = T0 - 30.0
    shown = Reading(Freshness.FRESH, 1e4, ended, stamp=ended, span=60.0, confirmed=1e4, ahead=((60.0, 1e4 * grown),))
    lent = LoanState(2, 10, T0 - 500.0, T0 - 600.0)
    web = Ref("autoscaling/v2", "HorizontalPodAutoscaler", core.key.namespace, "web")
    there = Observed(10, 125, 125, 500, scaler=web, aims=cpu(80), loan=lent)
    asked = world(policies=(core,), observed={(CORE, "order"): there}, readings={(CORE, "orders"): shown})
    plan = make_plan(asked, T0).targets[CORE, "order"]
    assert plan.message == f"orders needs 100 units, and up to {100 * grown:.0f} within the lead time{more}"
