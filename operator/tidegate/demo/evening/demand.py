"""The demand of the evening, 2019-11-10 22:00 to 2019-11-11 02:00, China time, second by second, and who carries it.

The sale is that of ``double11``. What no one published is judgment and says so: the head room's trickle and the height
of the link's burst.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from tidegate.demo import double11
from tidegate.simulation.scenario import Curve, Service

MIDNIGHT = double11.MIDNIGHT
"""T-0, epoch seconds."""
LINK = MIDNIGHT - 5400.0
"""22:30: the host calls the link."""
ROOM_OPENS = MIDNIGHT - 7200.0
"""22:00: the head room opens, the first scored second."""
FIRST = MIDNIGHT - 7500.0
"""Five minutes earlier everything is started, so that nobody is judged by a cold cluster."""
END = MIDNIGHT + 7200.0
"""02:00: the last scored second is the one before."""
POLICY_ENDS = END + 180.0
"""02:03: the policy is deleted, and with it the reason of every loan."""
LAST = END + 900.0
"""A quarter of an hour longer, unscored, in which what was borrowed is returned."""

ROOM_ORDERS = 2_000.0
"""Orders a second in the head room while the host talks: judgment."""
LINK_ORDERS = 150_000.0
"""Orders a second at the link: judgment."""
LINK_PLATEAU, LINK_DECAY, LINK_SECONDS = 10, 25.0, 120
"""The burst stands for 10 s, falls by a factor e every 25 s and is over after two minutes: judgment."""

SERVICES: tuple[Service, ...] = tuple(
    Service(name, signal, capacity, start, minimum, 4000, double11.background()[signal], stage)
    for name, signal, capacity, start, minimum, stage in (
        ("order-service", double11.ORDERS, 400.0, 45.0, 10, "app"),
        ("payment-service", double11.PAYMENTS, 500.0, 45.0, 6, "app"),
        ("inventory-service", double11.INVENTORY, 1000.0, 40.0, 5, "app"),
        ("chat-service", double11.CHAT, 800.0, 30.0, 3, "app"),
        ("cache-service", double11.CACHE, 25_000.0, 60.0, 2, "cache"),
    )
)
"""What a pod carries and how long it starts is judgment: chosen so that the order service needs some 1,400 pods at the
peak, and that starts take tens of seconds, the cache longest (it has to warm up)."""


# ---- the parts of it, each as one value a second from FIRST to LAST


def seconds_of_the_evening() -> int:
    """Number of values of every curve below."""
    return round(LAST - FIRST)


def index_of(instant: float) -> int:
    """Position of an instant (epoch seconds) in the curves."""
    return round(instant - FIRST)


@cache
def opening_orders() -> Curve:
    """What the sale itself adds to the background from midnight on."""
    return double11.sale_orders(before=index_of(MIDNIGHT), after=seconds_of_the_evening() - index_of(MIDNIGHT))


@cache
def room_orders() -> Curve:
    """What the head room adds: its own trickle from 22:00 to midnight, and the burst at the link."""
    orders = link_orders().copy()
    orders[index_of(ROOM_OPENS) : index_of(MIDNIGHT)] += ROOM_ORDERS
    return orders


@cache
def link_orders() -> Curve:
    """The burst at the link, on top of the trickle."""
    orders = np.zeros(seconds_of_the_evening())
    after = np.arange(LINK_SECONDS, dtype=np.float64)
    burst = (LINK_ORDERS - ROOM_ORDERS) * np.exp(-np.maximum(0.0, after - LINK_PLATEAU) / LINK_DECAY)
    begin = index_of(LINK)
    orders[begin : begin + LINK_SECONDS] += burst
    return orders


@cache
def demand() -> Mapping[str, Curve]:
    """The whole demand by signal, background included; read-only."""
    sale, room = opening_orders(), room_orders()
    chat = double11.CHAT_FACTOR * sale + double11.ROOM_CHAT_FACTOR * room
    events = {
        double11.ORDERS: sale + room,
        double11.PAYMENTS: double11.paid(sale) + double11.paid(room),
        double11.INVENTORY: double11.INVENTORY_FACTOR * double11.delayed(sale + room, double11.INVENTORY_LAG),
        double11.CHAT: double11.delayed(chat, double11.CHAT_LAG),
        double11.CACHE: double11.CACHE_FACTOR * (sale + room),
    }
    whole = {signal: double11.background()[signal] + curve for signal, curve in events.items()}
    for curve in whole.values():
        curve.setflags(write=False)
    return whole
