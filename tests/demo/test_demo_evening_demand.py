"""The demand of the evening goes through everything that was published, and is announced as it comes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tidegate.api.parse import parse_live_event, parse_policy
from tidegate.demo import double11
from tidegate.demo.evening import demand as evening
from tidegate.demo.evening import objects
from tidegate.demo.evening.scenario import scenario
from tidegate.demo.evening.stairs import stairs
from tidegate.demo.objects import POLICY, decimal

PRESETS = Path(__file__).parents[2] / "policies" / "scaling"


@pytest.mark.parametrize(
    ("begin", "end", "billions"),
    [(0, 96, 10), (96, 769, 40), (769, 3839, 50), (3839, 5167, 20.7), (5167, 51687, 79.3), (51687, 86400, 68.444)],
)
def test_each_published_interval_holds_its_share_of_the_days_orders(begin: int, end: int, billions: float) -> None:
    share = billions / 268.444 * 1.292e9
    assert double11.orders_of_the_day()[begin:end].sum() == pytest.approx(share, rel=1e-3)


def test_the_day_has_all_its_orders() -> None:
    assert double11.orders_of_the_day().sum() == pytest.approx(1.292e9, rel=1e-6)


def test_the_peak_is_the_published_one_26_seconds_after_midnight() -> None:
    orders = evening.demand()[double11.ORDERS]
    assert orders.max() == 544_000
    assert orders.argmax() == evening.index_of(evening.MIDNIGHT) + 26


def test_orders_rise_within_two_seconds_of_midnight() -> None:
    orders, midnight = evening.demand()[double11.ORDERS], evening.index_of(evening.MIDNIGHT)
    assert orders[midnight - 1] < 10_000
    assert orders[midnight + 2] > 0.9 * 544_000


def test_nothing_jumps_but_what_is_announced_to() -> None:
    """Between two seconds the curve moves by less than one part in fifty, but for the wall at midnight."""
    orders = double11.orders_of_the_day()[2:10_000]
    assert np.abs(np.diff(orders) / orders[:-1]).max() < 0.02


def test_the_day_never_falls_below_the_background() -> None:
    assert double11.orders_of_the_day().min() > double11.BACKGROUND_ORDERS


def test_payments_peak_about_five_minutes_after_midnight_in_the_reported_proportion() -> None:
    """2017: 256,000 payments a second at about 00:05 against 325,000 orders a second."""
    payments = evening.demand()[double11.PAYMENTS]
    assert payments.argmax() - evening.index_of(evening.MIDNIGHT) == pytest.approx(300, abs=30)
    assert payments.max() / 544_000 == pytest.approx(256 / 325, abs=0.16)


def test_every_order_is_paid_in_its_proportion() -> None:
    orders = np.concatenate((np.full(100, 7.0), np.zeros(double11.PAID_WITHIN)))
    assert double11.paid(orders).sum() == pytest.approx(double11.PAID_SHARE * orders.sum())


def test_the_link_is_a_burst_of_two_minutes() -> None:
    orders, link = evening.demand()[double11.ORDERS], evening.index_of(evening.LINK)
    assert orders[link] > 20 * orders[link - 1]
    assert orders[link + evening.LINK_SECONDS] == orders[link - 1]


# ---- the objects


@pytest.mark.parametrize("event", objects.live_events(), ids=lambda event: event["metadata"]["name"])
def test_the_announcements_are_valid(event: dict) -> None:
    parsed = parse_live_event(event)
    assert parsed.policy == POLICY
    assert len(event["spec"]["moments"]) <= 2 * objects.MOMENTS


def test_the_policy_follows_demand_and_pays_for_no_headroom() -> None:
    policy = parse_policy(objects.scaling_policy())
    assert policy.live is not None
    assert {t.name for t in policy.targets} == {s.name for s in evening.SERVICES}
    assert all(t.headroom == 0.0 for t in policy.targets)


def test_the_policy_is_of_the_services_of_the_preset_that_is_shipped() -> None:
    """That one may stand over an HPA: how far it looks ahead, what it holds and how it falls is its own."""
    shipped = yaml.safe_load((PRESETS / "double-11.yaml").read_text())["spec"]
    assert services_of(objects.scaling_policy()["spec"]) == services_of(shipped)


def services_of(spec: dict) -> list[tuple]:
    targets = parse_policy({"metadata": {"name": "p"}, "spec": spec}).targets
    return sorted((t.name, t.ref, t.capacity, t.background, t.stage, t.minimum, t.maximum) for t in targets)


@pytest.mark.parametrize("share", [0.8, 1.2])
def test_a_wrong_announcement_is_wrong_in_its_height_alone(share: float) -> None:
    for event, wrong in zip(objects.live_events(), objects.live_events(share), strict=True):
        assert wrong["spec"]["moments"] == event["spec"]["moments"]
        assert wrong["spec"]["schedule"] == event["spec"]["schedule"]
        for signal, level in event["spec"]["expected"].items():
            assert float(wrong["spec"]["expected"][signal]) == pytest.approx(share * float(level), abs=0.001)


def test_the_events_start_when_the_demand_does() -> None:
    room, link, sale = (parse_live_event(event).base.occurrences[0] for event in objects.live_events())
    assert (room.start, room.start + room.duration) == (evening.ROOM_OPENS, evening.MIDNIGHT)
    assert (link.start, link.duration) == (evening.LINK, evening.LINK_SECONDS)
    assert (sale.start, sale.start + sale.duration) == (evening.MIDNIGHT, evening.END)


@pytest.mark.parametrize(
    ("event", "signal", "demand", "begin", "overhead"),
    [
        (objects.sale_event(), double11.ORDERS, evening.opening_orders(), evening.MIDNIGHT, 1.03),
        (objects.sale_event(), double11.PAYMENTS, double11.paid(evening.opening_orders()), evening.MIDNIGHT, 1.04),
        (objects.link_event(), double11.ORDERS, evening.link_orders(), evening.LINK, 1.35),
        (objects.link_event(), double11.PAYMENTS, double11.paid(evening.link_orders()), evening.LINK, 1.12),
    ],
    ids=["sale orders", "sale payments", "link orders", "link payments"],
)
def test_what_is_announced_covers_the_demand_and_little_more(
    event: dict, signal: str, demand: np.ndarray, begin: float, overhead: float
) -> None:
    lasts = evening.LINK_SECONDS + (double11.PAID_WITHIN if signal == double11.PAYMENTS else 0)
    end = evening.END if begin == evening.MIDNIGHT else begin + lasts
    curve = demand[evening.index_of(begin) : evening.index_of(end)]
    told = objects.announced_curve(event, signal, len(curve))
    assert (told >= curve - 1e-6).all()
    assert told.sum() <= overhead * curve.sum()


def test_the_moments_that_are_judged_are_the_link_and_the_opening() -> None:
    rises = scenario().rises
    assert [rise.begin for rise in rises] == [evening.LINK, evening.MIDNIGHT]
    assert {rise.service for rise in rises} == {"order-service"}


@pytest.mark.parametrize(("value", "text"), [(350.0, "350"), (1.2, "1.2"), (0.0005, "0.001"), (54.40001, "54.401")])
def test_quantities_are_rounded_up_and_plain(value: float, text: str) -> None:
    assert decimal(value) == text


# ---- stairs


def area(curve: np.ndarray, count: int, grid: int) -> float:
    return sum(s.level * (s.end - s.begin) for s in stairs(curve, count, grid=grid))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=9), st.integers(1, 4))
def test_stairs_cover_the_curve_and_none_are_lower(heights: list[int], count: int) -> None:
    curve = np.array(heights, dtype=np.float64)
    found = stairs(curve, count, grid=1)
    covered = np.zeros(len(curve))
    for stair in found:
        covered[stair.begin : stair.end] = stair.level
    assert (covered >= curve).all()
    assert len(found) <= count
    assert covered.sum() == pytest.approx(least_area(heights, count))


def least_area(heights: list[int], count: int) -> float:
    """By trying everything: cut off a free run of zeros, or a stair of any length."""
    if not heights or max(heights) == 0:
        return 0.0
    options = [least_area(heights[1:], count)] if heights[0] == 0 else []
    if count:
        options += [max(heights[:n]) * n + least_area(heights[n:], count - 1) for n in range(1, len(heights) + 1)]
    return min(options, default=float("inf"))
