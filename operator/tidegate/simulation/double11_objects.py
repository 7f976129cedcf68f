"""The evening of ``double11`` as objects of a cluster: services, autoscalers, what is announced, and the policy.

The announcement is exact: it is drawn from the demand itself, as stairs that a person could write down. How a wrong
announcement fares is a question for the backtest, not for this demonstration.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tidegate.simulation import double11 as evening
from tidegate.simulation.scenario import Curve, Rise, Scenario, Service, Window
from tidegate.simulation.stairs import Stair, stairs

Json = dict[str, Any]

NAMESPACE = "shop"
POLICY = "double11-core"
HPA_BENEATH_PERCENT = 90.0
"""Target of the autoscalers beneath Tidegate: while the plan holds a floor, the reactive part may run hot."""
CREATION_RATE = 100.0
"""Pods a second that the cluster creates: five times the stock client limit of kube-controller-manager, as a cluster
made for such an evening is tuned (``--kube-api-qps=100``). Both the cluster and the operator are told."""
HEADROOM_PERCENT = 4
HOLD_SECONDS = 30
RELEASE_PERCENT_PER_MINUTE = 100
"""The double 11 preset: an exact announcement needs little headroom and a short hold, and what stands for a minute and
a half falls by a third within five, so the way down is quick."""
HPA_SYNC_SECONDS = 15
"""A floor takes effect at the autoscaler's next sync: part of the lead time from a write to ready pods."""
MOMENTS_ORDERS, MOMENTS_PAYMENTS = 12, 12
"""How many moments the sale is announced with: two dozen, as many as one is willing to write down."""
PLATEAU_ORDERS = 10_000.0
"""Orders a second that the sale is announced with outside its moments, until 02:00."""

SERVICES: tuple[Service, ...] = tuple(
    Service(name, signal, capacity, start, minimum, 4000, evening.background()[signal], stage)
    for name, signal, capacity, start, minimum, stage in (
        ("order-service", evening.ORDERS, 400.0, 45.0, 10, "app"),
        ("payment-service", evening.PAYMENTS, 500.0, 45.0, 6, "app"),
        ("inventory-service", evening.INVENTORY, 1000.0, 40.0, 5, "app"),
        ("chat-service", evening.CHAT, 800.0, 30.0, 3, "app"),
        ("cache-service", evening.CACHE, 25_000.0, 60.0, 2, "cache"),
    )
)
"""What a pod carries and how long it starts is judgment: chosen so that the order service needs some 1,400 pods at the
peak, and that starts take tens of seconds, the cache longest (it has to warm up)."""


def scenario() -> Scenario:
    """The evening as it is played and scored."""
    return Scenario(
        first=evening.FIRST,
        begin=evening.ROOM_OPENS,
        end=evening.END,
        services=SERVICES,
        demand=evening.demand(),
        windows=(
            Window("first_96s", evening.MIDNIGHT, evening.MIDNIGHT + 96),
            Window("first_10min", evening.MIDNIGHT, evening.MIDNIGHT + 600),
            Window("at_link", evening.LINK, evening.LINK + evening.LINK_SECONDS),
        ),
        rises=_rises(),
    )


def _rises() -> tuple[Rise, ...]:
    """The announced moments of orders at which more is needed than just before."""
    found = []
    for event, start in ((room_event(), evening.ROOM_OPENS), (sale_event(), evening.MIDNIGHT)):
        before, end = 0.0, -math.inf
        for moment in event["spec"]["moments"]:
            begin, level = moment["offsetSeconds"], float(moment["factor"])
            if moment["signal"] == evening.ORDERS:
                if begin > end or level > before:
                    at = start + begin
                    found.append(Rise(moment["name"], SERVICES[0].name, at, at + moment["durationSeconds"]))
                before, end = level, begin + moment["durationSeconds"]
    return tuple(found)


# ---- what is announced


def live_events() -> tuple[Json, ...]:
    """The head room and the sale, as LiveEvents."""
    return room_event(), sale_event()


def room_event() -> Json:
    """A head room from 22:00 to midnight whose host calls the link at 22:30."""
    begin, end = evening.index_of(evening.ROOM_OPENS), evening.index_of(evening.MIDNIGHT)
    orders = evening.room_orders()[begin:end]
    payments = evening.paid(evening.room_orders())[begin:end]
    plateau = evening.ROOM_ORDERS
    paid_plateau = evening.PAID_SHARE * plateau
    moments = [
        *_moments("link", evening.ORDERS, stairs(orders, 4, floor=plateau), plateau),
        *_moments("paying", evening.PAYMENTS, stairs(payments, 4, floor=paid_plateau), paid_plateau),
        *_moments("last-paying", evening.PAYMENTS, (Stair(end - begin, end - begin + evening.PAID_WITHIN, 1.0),), 1.0),
    ]
    return _event("head-room-link", "2019-11-10T22:00:00", end - begin, plateau, moments, evening.ROOM_CHAT_FACTOR)


def sale_event() -> Json:
    """The sale from midnight to 02:00."""
    begin, end = evening.index_of(evening.MIDNIGHT), evening.index_of(evening.END)
    orders = evening.opening_orders()[begin:end]
    payments = evening.paid(evening.opening_orders())[begin:end]
    plateau = PLATEAU_ORDERS
    paid_plateau = evening.PAID_SHARE * plateau
    moments = [
        *_moments("opening", evening.ORDERS, stairs(orders, MOMENTS_ORDERS, floor=plateau), plateau),
        *_moments("paying", evening.PAYMENTS, stairs(payments, MOMENTS_PAYMENTS, floor=paid_plateau), paid_plateau),
    ]
    return _event("double11-opening", "2019-11-11T00:00:00", end - begin, plateau, moments, evening.CHAT_FACTOR)


def _event(name: str, start: str, duration: int, orders: float, moments: list[Json], chat: float) -> Json:
    derived = [
        derived_signal(evening.INVENTORY, evening.INVENTORY_FACTOR, evening.INVENTORY_LAG),
        derived_signal(evening.CHAT, chat, evening.CHAT_LAG),
        derived_signal(evening.CACHE, evening.CACHE_FACTOR, 0),
    ]
    expected = {evening.ORDERS: orders, evening.PAYMENTS: evening.PAID_SHARE * orders}
    return flat_event(name, start, duration, expected, derived, moments)


def flat_event(
    name: str, start: str, duration: int, expected: Mapping[str, float], derived: list[Json], moments: list[Json]
) -> Json:
    """A LiveEvent of a flat shape under ``POLICY``; ``start`` is China time."""
    return {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "LiveEvent",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "schedule": {"startTime": start, "timeZone": "Asia/Shanghai", "durationSeconds": duration},
            "expected": {signal: decimal(level) for signal, level in expected.items()},
            "derived": derived,
            "profile": "flat",
            "moments": moments,
            "policyRef": {"name": POLICY},
        },
    }


def derived_signal(signal: str, factor: float, lag: int) -> Json:
    """A signal of an event that follows from its orders."""
    return {"signal": signal, "from": evening.ORDERS, "factor": decimal(factor), "lagSeconds": lag}


def _moments(name: str, signal: str, found: tuple[Stair, ...], plateau: float) -> list[Json]:
    return [
        {
            "name": f"{name}-{i}",
            "signal": signal,
            "offsetSeconds": stair.begin,
            "durationSeconds": stair.end - stair.begin,
            "factor": decimal(stair.level / plateau),
        }
        for i, stair in enumerate(found, start=1)
    ]


def decimal(value: float) -> str:
    """A quantity of the API: decimals in a string, rounded up to the third."""
    text = f"{math.ceil(value * 1000 - 1e-6) / 1000:.3f}"
    return text.rstrip("0").rstrip(".")


def announced(event: Json, signal: str, seconds: int) -> Curve:
    """What an event announces for ``expected`` signals, one value a second from its start; for checks and pictures."""
    spec = event["spec"]
    base = float(spec["expected"][signal])
    curve = np.zeros(seconds)
    curve[: spec["schedule"]["durationSeconds"]] = base
    for moment in spec["moments"]:
        if moment["signal"] == signal:
            span = slice(moment["offsetSeconds"], moment["offsetSeconds"] + moment["durationSeconds"])
            curve[span] = np.maximum(curve[span], float(moment["factor"]) * base)
    return curve


# ---- who drives what


def scaling_policy() -> Json:
    """The double 11 preset for the five services."""
    targets = [target(s, headroom_percent=HEADROOM_PERCENT) for s in SERVICES]
    return enforcing_policy(SERVICES, targets, hold_seconds=HOLD_SECONDS, step_percent=RELEASE_PERCENT_PER_MINUTE)


def enforcing_policy(
    services: Iterable[Service], targets: list[Json], *, hold_seconds: int, step_percent: int, **spec: Any
) -> Json:
    """A ScalingPolicy that writes, for what these services measure; ``spec`` is added to its own."""
    return {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "ScalingPolicy",
        "metadata": {"name": POLICY, "namespace": NAMESPACE},
        "spec": {
            "mode": "Enforce",
            "quantilePercent": 95,
            "signals": [{"name": s.signal, "query": query(s), "staleAfterSeconds": 120} for s in services],
            "targets": targets,
            "release": {"holdSeconds": hold_seconds, "maxStepPercentPerMinute": step_percent},
            **spec,
        },
    }


def target(service: Service, *, headroom_percent: int) -> Json:
    """How a policy names a service."""
    return {
        "name": service.name,
        "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "name": service.name},
        "capacity": {service.signal: decimal(service.capacity)},
        "background": {service.signal: decimal(service.background)},
        "headroomPercent": headroom_percent,
        "stage": {"name": service.stage},
        "min": service.minimum,
        "max": service.maximum,
        "leadTime": {"guessSeconds": round(service.start_seconds) + HPA_SYNC_SECONDS},
    }


def query(service: Service) -> str:
    """The PromQL by which a signal is measured."""
    return f"sum({service.signal})"
