"""The score: what a clairvoyant pays is 1, gaps and history count nowhere, windows are the events'."""

from __future__ import annotations

import numpy as np
import pytest
from plays import Scripted, case, peak, show

from tidegate.backtest.contest import least, play, score
from tidegate.backtest.outcome import breaches, on_frontier
from tidegate.backtest.series import ANCHOR


def test_whoever_follows_the_clairvoyant_plan_loses_nothing_and_pays_one() -> None:
    asked = case(peak(800, 4500.0, 3000.0, 3.2, 20.5), lag=180.0)
    found = score(asked, play(asked, Scripted(least(asked).tolist())))
    assert found.lost_percent == 0.0
    assert found.cost_ratio == 1.0
    assert found.free_cost_ratio > 1.0
    assert found.underprovisioned_seconds == 0.0


def test_half_of_what_is_needed_loses_half() -> None:
    asked = case(np.full(100, 10.0), lag=60.0)
    found = score(asked, play(asked, Scripted([5] * 100)))
    assert found.lost_percent == pytest.approx(50.0)
    assert found.cost_ratio == pytest.approx(0.5)
    assert found.underprovisioned_seconds == 1500.0


def test_a_gap_is_neither_lost_nor_paid_for_and_shows_no_metric() -> None:
    demand = np.full(100, 10.0)
    demand[40:60] = np.nan
    asked = case(demand, lag=60.0)
    plan = [10] * 40 + [1000] * 20 + [10] * 40
    found = score(asked, play(asked, Scripted(plan)))
    assert (found.lost_percent, found.cost_ratio) == (0.0, 1.0)
    assert np.isnan(asked.seen[50])
    assert asked.seen[20] == 10.0


def test_what_is_before_the_judged_part_counts_nowhere() -> None:
    demand = np.concatenate((np.full(1000, 50.0), np.full(1000, 10.0)))
    asked = case(demand, begin=ANCHOR + 15_000.0, lag=60.0)
    plan = [1] * 1000 + [10] * 1000
    found = score(asked, play(asked, Scripted(plan)))
    assert found.lost_percent == pytest.approx(100.0 * 4 * 9 / 10_000)  # one lag without the nine that are starting


def test_losses_are_told_for_windows_and_for_each_event() -> None:
    events = [show(7200.0, 3600.0, 10.0, name="a"), show(36_000.0, 3600.0, 10.0, name="b")]
    asked = case(np.full(4000, 10.0), events, lag=0.0)
    plan = [10] * 4000
    plan[480:720] = [5] * 240
    found = score(asked, play(asked, Scripted(plan)))
    assert [one.name for one in found.events] == ["a", "b"]
    assert found.events[0].lost_percent == pytest.approx(100.0 * 240 * 5 / (960 * 10))
    assert found.events[1].lost_percent == 0.0
    assert found.events[0].lost_at_first_percent == pytest.approx(50.0)  # the seven steps that begin in its 96 s
    assert found.events[0].lost_soon_percent == pytest.approx(50.0)
    assert found.lost_in_windows_percent == pytest.approx(found.events[0].lost_percent / 2)


def test_the_metric_is_a_mean_of_a_minute_half_a_minute_late() -> None:
    asked = case(np.arange(100, dtype=float))
    assert asked.seen[50] == pytest.approx(np.mean([44, 45, 46, 47]))


def test_metrics_go_missing_for_their_share_of_the_time_and_the_seed_says_when() -> None:
    flat = np.full(40_000, 5.0)
    seen = [case(flat, metric_gaps=0.1, seed=seed).seen for seed in (1, 1, 2)]
    assert 0.06 < np.isnan(seen[0]).mean() < 0.14
    assert np.array_equal(np.isnan(seen[0]), np.isnan(seen[1]))
    assert not np.array_equal(np.isnan(seen[0]), np.isnan(seen[2]))


def scores() -> list:
    asked = case(np.full(100, 10.0), lag=0.0)
    return [score(asked, play(asked, Scripted([n] * 100, name=f"p{n}"))) for n in (8, 10, 12)]


def test_who_pays_more_for_nothing_is_not_on_the_frontier() -> None:
    assert on_frontier(scores()) == [True, True, False]


def test_a_bound_that_is_not_kept_is_named_and_one_that_is_kept_is_not() -> None:
    found = breaches(scores(), frozenset({"p8"}), lost=1.0, cost=1.0)
    assert [str(one) for one in found] == ["p8: lost demand in percent is 20.000, above 1"]
    assert breaches(scores(), frozenset({"p10"}), lost=0.0, cost=1.0) == []
    with pytest.raises(ValueError, match="p9 was not played"):
        breaches(scores(), frozenset({"p9"}), lost=1.0, cost=None)
