"""The night of Double 11 as a pool of machines lives it: trading at midnight, data processing after one o'clock.

Alibaba said of 2019 that one scheduler over clusters of 100,000 servers gives most machines to trading at 00:00 and to
data processing after 01:00. Here a pool of 40 machines carries a tenth of the orders of ``double11``, and data work
that must be done by a time in the morning. What no one published is judgment and says so: all sizes, and that trading
asks for its peak during the whole first hour, since nobody gives the machines of that hour away for a forecast.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from tidegate.demo import double11
from tidegate.simulation.scenario import Curve, Service

MIDNIGHT = double11.MIDNIGHT
"""T-0, epoch seconds."""
FIRST = MIDNIGHT - 3900.0
"""22:55: everything is started; data begins its work of the night."""
BEGIN = MIDNIGHT - 3600.0
"""23:00: the first scored second."""
DATA_AGAIN = MIDNIGHT + 3600.0
"""01:00: the end of what trading announced as its peak."""
SALE_ENDS = MIDNIGHT + 7200.0
"""02:00: the end of the announced sale; what still comes is left to the autoscalers."""
DEADLINE = MIDNIGHT + 21_600.0
"""06:00: the data work must be done. Judgment: with no machine lent it would be done an hour and a half before."""
END = LAST = DEADLINE
"""The last scored second is the one before, and nothing is played after it."""

SHARE = 0.1
"""Of the night's demand, carried by this pool: judgment, so that an embedded cluster keeps up with its pods."""

MACHINES, CORES, MEMORY = 40, 16, "64Gi"
POD_CORES, POD_MEMORY = 2, "4Gi"
"""Of every pod, trading and data alike: no machine is left with a rest that fits nobody."""

JOBS, JOB_PODS = 56, 4
"""Nightly Jobs, each of so many pods at a time: 28 machines."""
JOB_SECONDS, CHECKPOINT_SECONDS = 16_920.0, 300.0
"""Work of a Job's pods, 4:42 h, made safe every five minutes."""
JOB_STOP_SECONDS = 45.0
"""From being told to stop until its machine is free."""
LOADERS, LOADER_SECONDS = 32, 19_800.0
"""Replicas of the loader, 4 machines, and how long all of them have to do: 5:30 h."""
DATA_CORES = (JOBS * JOB_PODS + LOADERS) * POD_CORES
"""All that data uses when nothing is lent: 32 machines."""

_SERVICES = (
    ("order-service", double11.ORDERS, 450.0, 45.0, 6, 400),
    ("payment-service", double11.PAYMENTS, 550.0, 45.0, 4, 300),
    ("inventory-service", double11.INVENTORY, 1100.0, 40.0, 4, 300),
)
"""(name, signal, what a pod carries, start seconds, minimum, maximum): judgment, so that the peak takes 34 machines."""


@cache
def services() -> tuple[Service, ...]:
    """Trading: three services behind HPAs."""
    before = double11.background()
    return tuple(
        Service(name, signal, capacity, start, minimum, most, SHARE * before[signal])
        for name, signal, capacity, start, minimum, most in _SERVICES
    )


@cache
def demand() -> Mapping[str, Curve]:
    """The demand on the pool by signal, one value a second from ``FIRST`` to ``LAST``; read-only."""
    sale = double11.sale_orders(before=round(MIDNIGHT - FIRST), after=round(LAST - MIDNIGHT))
    events = {
        double11.ORDERS: sale,
        double11.PAYMENTS: double11.paid(sale),
        double11.INVENTORY: double11.INVENTORY_FACTOR * double11.delayed(sale, double11.INVENTORY_LAG),
    }
    whole = {signal: SHARE * (double11.background()[signal] + curve) for signal, curve in events.items()}
    for curve in whole.values():
        curve.setflags(write=False)
    return whole


def data_work() -> float:
    """All the data work of the night, core-seconds."""
    return (JOBS * JOB_PODS * JOB_SECONDS + LOADERS * LOADER_SECONDS) * POD_CORES
