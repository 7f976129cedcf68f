"""docs/benchmarks.md is written from rows, and what is told of growth is held against what came."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plays import STEP, case, peak, show

sys.path.append(str(Path(__file__).parents[2] / "bench"))

from backtest_page import loss_at, page
from backtest_table import Played, cut
from choose_live import PARTS, choice
from choose_payments import EDITIONS
from choose_payments import choice as choice_for_payments
from forecast_coverage import KINDS, shares_of, told_of
from lent_reserve import KEPT, called, smallest, with_reserve

from tidegate.backtest.case import Case
from tidegate.backtest.contest import Track
from tidegate.backtest.field import entries
from tidegate.backtest.operator import policy_of
from tidegate.backtest.series import ANCHOR, Series
from tidegate.backtest.sources import Source
from tidegate.backtest.variants import LIVE_ALONE
from tidegate.planning.growth import FAN


def row(bench: str, policy: str, lost: float, cost: float, **other: Any) -> dict[str, Any]:
    told = {
        "bench": bench, "entry": f"{policy} {other}", "policy": policy, "headroom": 0.0, "lost_demand_percent": lost,
        "lost_in_event_windows_percent": lost, "cost_ratio": cost, "underprovisioned_seconds": 15.0, "cpu_seconds": 1.0,
        "steps": 5_760, "commit": "abc", "learned_from": [],
    }  # fmt: skip
    return told | other


def text(*rows: dict[str, Any]) -> str:
    return "\n".join(page(rows))


def tried(quantile: float, fade: float, *figures: tuple[float, float]) -> list[dict[str, Any]]:
    """A setting on all parts, each (lost %, cost)."""
    return [
        {"part": part.name, "quantile": quantile, "fade": fade, "lost_demand_percent": lost, "cost_ratio": cost}
        for part, (lost, cost) in zip(PARTS, figures, strict=True)
    ]


def test_the_setting_is_chosen_by_cost_and_by_what_is_lost_on_all_parts_together() -> None:
    dear = tried(0.99, 0.08, (0.0, 1.2), (0.0, 1.1), (0.0, 1.1))
    right = tried(0.97, 0.04, (0.1, 1.0), (0.1, 1.05), (0.0, 1.1))
    loses = tried(0.9, 0.08, (0.4, 1.0), (0.2, 1.0), (0.0, 1.0))
    assert choice([*dear, *right, *loses]) == (0.97, 0.04)
    assert choice([*dear, *right[:2]]) == (0.99, 0.08), "what was not played on all parts is not chosen"
    assert choice([]) is None
    written = text(row("viewers", "hpa-70", 0.1, 1.4), *right, *dear)
    assert "| 0.97 | 4 | 0.100 / 1.000 | 0.100 / 1.050 | 0.000 / 1.100 | 0.067 | 1.050 | 1.0833 | chosen |" in written


def paid(quantile: float, fade: float, *figures: tuple[float, float]) -> list[dict[str, Any]]:
    """A setting on all editions, each (lost %, cost), beside an HPA that loses 8 % for 1.5 and 10 % for 1.3."""
    found = []
    for edition, (lost, cost) in zip(EDITIONS, figures, strict=True):
        own = {"edition": edition.name, "policy": "tidegate-live", "quantile": quantile, "fade": fade, "commit": "abc"}
        found.append({**own, "lost_demand_percent": lost, "cost_ratio": cost})
        for target, theirs, price in ((60, 8.0, 1.5), (70, 10.0, 1.3)):
            rival = {"edition": edition.name, "policy": f"hpa-{target}", "target": float(target)}
            found.append({**rival, "lost_demand_percent": theirs, "cost_ratio": price})
    return found


def test_for_payments_the_setting_is_chosen_that_loses_least_beside_an_hpa_of_the_same_cost() -> None:
    good = paid(0.88, 0.06, (8.1, 1.4), (8.1, 1.4), (9.0, 1.3), (9.0, 1.3))
    dear = paid(0.95, 0.06, (7.0, 1.5), (7.9, 1.5), (7.9, 1.5), (7.9, 1.5))
    beyond = paid(0.99, 0.06, (1.0, 1.9), (1.0, 1.4), (1.0, 1.4), (1.0, 1.4))
    assert choice_for_payments([*good, *dear, *beyond]) == (0.88, 0.06), "what no HPA costs is beside none"
    assert choice_for_payments([]) is None
    written = text(row("viewers", "hpa-70", 0.1, 1.4), *good, *dear)
    assert "| 0.88 | 6 | 8.10 / 1.400: +10.0% | 8.10 / 1.400: +10.0% | 9.00 / 1.300: +10.0% |" in written
    assert "| 10.0% | chosen |" in written


def test_of_two_rows_of_one_play_the_later_one_counts_and_all_say_what_they_learned_from() -> None:
    old = row("viewers", "tidegate-live", 0.9, 1.9)
    new = row("viewers", "tidegate-live", 0.1, 1.1, learned_from=["gdq_agdq2018"], entry=old["entry"])
    fresh = row("viewers", "tidegate-live", 0.2, 1.2, new=True)
    told = text(old, fresh, new)
    assert "| tidegate-live | 0.00 | 0.100 |" in told
    assert "| tidegate-live, new | 0.00 | 0.200 |" in told
    assert "0.900" not in told
    assert "Learned from: `gdq_agdq2018`." in told


def test_loss_at_equal_cost_lies_between_two_targets_and_nowhere_beyond_them() -> None:
    rivals = [row("payments", f"hpa-{target}", lost, cost) for target, lost, cost in ((70, 6.0, 1.4), (80, 10.0, 1.2))]
    assert loss_at(rivals, 1.3) == pytest.approx(8.0)
    assert loss_at(rivals, 1.1) is None
    assert loss_at(rivals, 1.5) is None
    played = ((None, 2.0, 1.7), (0.9, 6.0, 1.35), (0.8, 9.0, 1.25))
    ours = [row("payments", "tidegate-live", lost, cost, quantile=q) for q, lost, cost in played]
    told = text(*rivals, *ours)
    assert "| AGDQ 2019 | tidegate-live, quantile 0.9 | 1.350 | 7.000 | 6.000 | 14.3% |" in told
    assert "| mean of 1 | tidegate-live | | | | 14.3% |" in told


def jump() -> tuple[Case, Track]:
    """Ten units stand all day, and for ten minutes thirty are needed."""
    asked = case(peak(2_000, 15_000.0, 600.0, 10.0, 30.0))
    return asked, Track("still", 0.0, np.full(2_000, 10), np.full(2_000, 10), {})


def test_a_lent_reserve_is_there_some_seconds_late_as_large_as_it_is_and_for_a_while() -> None:
    asked, base = jump()
    taken = called(asked, base.ready, 15, 30.0)
    begin, end = 1_000 + 2, 1_040 + 2 + round(KEPT / STEP)
    assert taken[:begin].tolist() == [0] * begin
    assert set(taken[begin:end]) == {15}
    assert not taken[end:].any()


def test_the_smallest_reserve_is_told_with_what_it_costs_lent_and_idle() -> None:
    """Lost is 20 of 30 units in 40 steps; with R units R fewer in all of them but the first one."""
    asked, base = jump()
    alone = with_reserve(asked, base, 0, STEP)
    found = smallest(asked, base, 0.5 * alone["lost"], STEP)
    assert found is not None
    assert found["units"] == 11, "ten would do if they came at once"
    assert found["cost_lent"] < 1.05 * alone["cost_lent"] < 2.0 * alone["cost_lent"] < found["cost_idle"]
    assert found["calls_a_day"] == pytest.approx(86_400.0 / 30_000.0)
    assert found["share_taken"] == pytest.approx((40 + KEPT / STEP) / 2_000)
    assert smallest(asked, base, 0.0, STEP) is None, "what comes a step late loses that step"
    half = {"lost": 2.0, "cost": 1.4}
    row = {
        "reserve": "payments",
        "title": "Marathon payments, AGDQ 2019",
        "quantile": 0.9,
        "commit": "abc",
        "back": 15.0,
    }
    told = text({**row, "hpa": half, "base": half, "halved": found}, {**row, "hpa": half, "base": half, "halved": None})
    assert f"| AGDQ 2019 | 2.00, 1.400 | 2.00, 1.400 | 15 s | 11 | {found['lost']:.2f} |" in told
    assert "| 15 s | none |" in told


def test_what_a_wrong_announcement_costs_is_told_beside_a_right_one() -> None:
    first = {"lost_demand_percent": 0.5, "cost_ratio": 1.3}
    told = text(
        row("world-cup", "tidegate-live", 0.04, 1.0),
        row("world-cup-first", "tidegate-live", 0.05, 1.1, first_event=first),
    )
    assert "| 0.050 | 1.100 | +10.0% | 0.500 | 1.300 |" in told


def test_a_quantile_is_part_of_a_plays_name_and_moves_what_follows_demand_alone() -> None:
    live, other = entries(["tidegate-live", "tidegate"], sweep=False)[2], entries(["hpa"], sweep=False)[0]
    assert Played(live, 0.9).name == "tidegate-live 0 None q0.9"
    assert Played(live, new=True).name == "tidegate-live 0 None new"
    moved = Played(live, 0.9).moved.variant
    assert moved is not None
    assert moved.live is not None
    assert moved.live.quantile == 0.9
    assert Played(other, 0.9).moved == other
    faded = Played(live, 0.9, fade=0.06)
    assert faded.name == "tidegate-live 0 None q0.9 f0.06"
    assert faded.moved.variant is not None
    assert faded.moved.variant.live is not None
    assert (faded.moved.variant.live.quantile, faded.moved.variant.live.fall_per_minute) == (0.9, 0.06)


def test_a_trace_that_is_cut_knows_nothing_before() -> None:
    series = Series(np.arange(4) * 60.0, np.ones(4), 60.0)
    found = cut(Source("x", series, tuple(show(at, 30.0, 1.0) for at in (-ANCHOR, -ANCHOR + 150.0))), 120.0)
    assert found.series.times.tolist() == [120.0, 180.0]
    assert [one.start for one in found.happenings] == [150.0]


def noisy(steps: int = 6_000) -> Case:
    random = np.random.default_rng(5)
    level = np.cumsum(0.01 * random.standard_normal(steps)) * 0.3
    return case(50.0 * np.exp(level - level.mean()), [show(40_000.0, 3_600.0, 0.0)])


def test_what_was_told_at_ninety_percent_covers_about_as_much_and_with_fading_more() -> None:
    asked, found = noisy(), {}
    for kind, live in KINDS.items():
        told = list(told_of(asked, policy_of(asked, replace(LIVE_ALONE, live=live), 0.0), None))
        found[kind] = {one["horizon_seconds"]: one for one in shares_of(asked, told)}
    assert 0.86 <= found["quantile alone"][60.0]["at_the_end"] <= 0.94
    assert found["as it comes"][60.0]["at_the_end"] > found["quantile alone"][60.0]["at_the_end"]
    assert all(one["on_the_way"] <= 1.0 for one in found["as it comes"].values())


def test_a_share_is_of_the_readings_a_horizon_later_and_of_known_ones_alone() -> None:
    """Told 100 at all times; what comes is 110 units (of 2) from step 500 on, and unknown from 900 on."""
    demand = np.full(1_000, 40.0)
    demand[500:] = 55.0
    demand[900:] = np.nan
    asked = case(demand)
    told = [(step, tuple((steps * STEP, 100.0) for steps in FAN)) for step in range(400, 950)]
    one = next(found for found in shares_of(asked, told) if found["horizon_seconds"] == 60.0)
    ends = [asked.seen[step + 4 + 4] for step in range(400, 950)]
    known = [2.0 * end for end in ends if np.isfinite(end)]
    assert one["readings"] <= len(known)
    assert one["at_the_end"] == pytest.approx(np.mean([end <= 100.0 for end in known]), abs=0.01)
    assert one["in_event_windows"] is None
