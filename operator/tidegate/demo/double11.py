"""The demand of Double 11, 2019-11-11, China time, second by second: what evening and night have in common.

No request trace of that night is public. What is public are milestones of the running sales total and a few counts, and
a curve must pass through all of them:

- 10 bn CNY after 96 s, 100 bn after 1:03:59, 120.7 bn after 1:26:07, 200 bn after 14:21:27, 268.444 bn after 24 h, and
  a peak of 544,000 orders a second: CGTN, "Facts & figures: China's Singles' Day shopping spree shatters records",
  2019-11-12. 50 bn after 12:49: CGTN, 2019-11-11.
- 1.292 bn delivery orders in the day: "Alibaba breaks Singles Day record with more than $38 billion in sales",
  2019-11-11.
- in 2020 the peak came 26 s after midnight: Alibaba Cloud blog, "Cloud-native technology on the core system of Double
  11"; taken for 2019 too.
- payments peak minutes after orders: 256,000 a second at about 00:05 in 2017 (against 325,000 orders a second).

Orders are taken to be spread as sales are. All else is judgment and says so: the shape between two milestones, the
level before midnight, and what the other four services see of an order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]

MIDNIGHT = 1_573_401_600.0
"""2019-11-11T00:00:00+08:00, epoch seconds."""

DAY_ORDERS = 1.292e9
DAY_SALES = 268.444e9
MILESTONES: tuple[tuple[int, float], ...] = (
    (0, 0.0),
    (96, 10e9),
    (769, 50e9),
    (3839, 100e9),
    (5167, 120.7e9),
    (51_687, 200e9),
    (86_400, DAY_SALES),
)
"""(seconds after midnight, running sales total in CNY)."""
PEAK_SECOND, PEAK_ORDERS = 26, 544_000.0

BACKGROUND_ORDERS = 5_000.0
"""Orders a second without any event: judgment, below the lowest hour of the day that the milestones leave."""

PAID_SHARE, PAID_WITHIN = 0.8, 300
"""Of the orders four in five are paid, evenly over the five minutes after them: judgment, made so that payments peak at
00:05 at about the 2017 proportion to the peak of orders (256 to 325)."""
INVENTORY_FACTOR, INVENTORY_LAG = 1.2, 2
"""Stock movements per order (some orders hold several goods) and the queue before them in seconds: judgment."""
CACHE_FACTOR = 9.0
"""Cache reads per order: judgment."""
CHAT_FACTOR, ROOM_CHAT_FACTOR, CHAT_LAG = 0.5, 1.5, 5
"""Chat messages per order, in all of the site and in the head room, and how long people type: judgment."""

ORDERS = "orders_per_second"
PAYMENTS = "payments_per_second"
INVENTORY = "inventory_updates_per_second"
CHAT = "chat_messages_per_second"
CACHE = "cache_reads_per_second"
SIGNALS = (ORDERS, PAYMENTS, INVENTORY, CHAT, CACHE)


@cache
def orders_of_the_day() -> Curve:
    """Orders a second, 86,400 values from midnight on, background included; value *i* holds in ``[i, i + 1)``.

    Its sum over the seconds between two milestones is that interval's share of the day's orders, exactly. Inside an
    interval the shape is judgment: lines, and after 1:26:07 a decay by a factor e every 25 minutes.
    """
    orders = np.zeros(86_400)
    for (begin, _), (end, _), draw in zip(MILESTONES, MILESTONES[1:], _SHAPES, strict=False):
        seconds = np.arange(begin, end, dtype=np.float64)
        orders[begin:end] = _solve(partial(draw, seconds, orders), _share(begin, end))
    orders.setflags(write=False)
    return orders


def _share(begin: int, end: int) -> float:
    totals = dict(MILESTONES)
    return (totals[end] - totals[begin]) / DAY_SALES * DAY_ORDERS


def _solve(curve: Callable[[float], Curve], total: float) -> Curve:
    """The curve of a family linear in one number whose sum is ``total``."""
    nothing, one = curve(0.0), curve(1.0)
    return curve((total - nothing.sum()) / (one.sum() - nothing.sum()))


def _lines(seconds: Curve, at: Sequence[float], heights: Sequence[float]) -> Curve:
    return np.asarray(np.interp(seconds, at, heights), dtype=np.float64)


def _opening(seconds: Curve, _: Curve, last: float) -> Curve:
    """Up within two seconds, on to the peak, then down to ``last`` at the first milestone."""
    knots = (0.0, 1.0, 2.0, float(PEAK_SECOND), 96.0)
    return _lines(seconds, knots, (180e3, 420e3, 490e3, PEAK_ORDERS, last))


def _first_minutes(seconds: Curve, before: Curve, middle: float) -> Curve:
    return _lines(seconds, (95.0, 300.0, 769.0), (before[95], middle, 120e3))


def _first_hour(seconds: Curve, before: Curve, middle: float) -> Curve:
    return _lines(seconds, (768.0, 1200.0, 3839.0), (before[768], middle, 74e3))


def _second_wave(seconds: Curve, before: Curve, last: float) -> Curve:
    return _lines(seconds, (3838.0, 5167.0), (before[3838], last))


def _night_and_day(seconds: Curve, before: Curve, plateau: float) -> Curve:
    falling: Curve = (before[5166] - plateau) * np.exp((5166.0 - seconds) / 1500.0)
    return plateau + falling


def _evening(seconds: Curve, before: Curve, high: float) -> Curve:
    return _lines(seconds, (51_686.0, 79_200.0, 86_400.0), (before[51_686], high, before[51_686]))


_SHAPES: tuple[Callable[[Curve, Curve, float], Curve], ...] = (
    _opening,
    _first_minutes,
    _first_hour,
    _second_wave,
    _night_and_day,
    _evening,
)

# ---- what follows from it


def sale_orders(*, before: int, after: int) -> Curve:
    """What the sale itself adds to the background, one value a second, from so many seconds before midnight to so many
    after it.
    """
    return np.concatenate((np.zeros(before), orders_of_the_day()[:after] - BACKGROUND_ORDERS))


def paid(orders: Curve) -> Curve:
    """Payments that follow orders: a share of them, evenly over the time until they are paid."""
    running = np.concatenate(([0.0], np.cumsum(orders)))
    at = np.arange(1, len(orders) + 1)
    mean: Curve = (running[at] - running[np.maximum(0, at - PAID_WITHIN)]) / PAID_WITHIN
    return PAID_SHARE * mean


def delayed(curve: Curve, lag: int) -> Curve:
    """The same, ``lag`` seconds later; nothing before."""
    return np.concatenate((np.zeros(lag), curve[: len(curve) - lag]))


@cache
def background() -> Mapping[str, float]:
    """What each service carries without any event."""
    return {
        ORDERS: BACKGROUND_ORDERS,
        PAYMENTS: PAID_SHARE * BACKGROUND_ORDERS,
        INVENTORY: INVENTORY_FACTOR * BACKGROUND_ORDERS,
        CHAT: CHAT_FACTOR * BACKGROUND_ORDERS,
        CACHE: CACHE_FACTOR * BACKGROUND_ORDERS,
    }
