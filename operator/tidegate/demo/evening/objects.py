"""The evening as objects of a cluster: services, autoscalers, what is announced, and the policy.

The announcement is exact: it is drawn from the demand itself, as stairs that a person could write down. How a wrong
announcement fares is a question for the backtest, not for this demonstration.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate.demo import double11
from tidegate.demo.evening import demand as evening
from tidegate.demo.evening.demand import SERVICES
from tidegate.demo.evening.stairs import Stair, stairs
from tidegate.demo.objects import NAMESPACE, decimal, derived_signal, enforcing_policy, flat_event, target
from tidegate.demo.workloads import HPA_BENEATH_PERCENT, autoscaler, deployment, pod_template
from tidegate.simulation.baselines import opening_replicas
from tidegate.simulation.scenario import Curve, Service

Json = dict[str, Any]

CREATION_RATE = 100.0
"""Pods a second that the cluster creates: five times the stock client limit of kube-controller-manager, as a cluster
made for such an evening is tuned (``--kube-api-qps=100``). Both the cluster and the operator are told."""
HEADROOM_PERCENT = 4
HOLD_SECONDS = 30
RELEASE_PERCENT_PER_MINUTE = 100
"""The double 11 preset: an exact announcement needs little headroom and a short hold, and what stands for a minute and
a half falls by a third within five, so the way down is quick."""
MOMENTS_ORDERS, MOMENTS_PAYMENTS = 12, 12
"""How many moments the sale is announced with: two dozen, as many as one is willing to write down."""
PLATEAU_ORDERS = 10_000.0
"""Orders a second that the sale is announced with outside its moments, until 02:00."""


# ---- what runs


def objects_before() -> list[Json]:
    """The Deployments and HPAs, as they run before anything is announced."""
    return [document for s in SERVICES for document in (_service(s), autoscaler(s))]


def _service(service: Service) -> Json:
    template = pod_template(service.name, start_seconds=service.start_seconds)
    return deployment(service.name, NAMESPACE, opening_replicas(service, HPA_BENEATH_PERCENT), template)


# ---- what is announced


def announced() -> list[Json]:
    """The policy, and the events."""
    return [scaling_policy(), *live_events()]


def live_events() -> tuple[Json, ...]:
    """The head room and the sale, as LiveEvents."""
    return room_event(), sale_event()


def room_event() -> Json:
    """A head room from 22:00 to midnight whose host calls the link at 22:30."""
    begin, end = evening.index_of(evening.ROOM_OPENS), evening.index_of(evening.MIDNIGHT)
    orders = evening.room_orders()[begin:end]
    payments = double11.paid(evening.room_orders())[begin:end]
    plateau = evening.ROOM_ORDERS
    paid_plateau = double11.PAID_SHARE * plateau
    still_paying = Stair(end - begin, end - begin + double11.PAID_WITHIN, 1.0)
    moments = [
        *_moments("link", double11.ORDERS, stairs(orders, 4, floor=plateau), plateau),
        *_moments("paying", double11.PAYMENTS, stairs(payments, 4, floor=paid_plateau), paid_plateau),
        *_moments("last-paying", double11.PAYMENTS, (still_paying,), 1.0),
    ]
    return _event("head-room-link", "2019-11-10T22:00:00", end - begin, plateau, moments, double11.ROOM_CHAT_FACTOR)


def sale_event() -> Json:
    """The sale from midnight to 02:00."""
    begin, end = evening.index_of(evening.MIDNIGHT), evening.index_of(evening.END)
    orders = evening.opening_orders()[begin:end]
    payments = double11.paid(evening.opening_orders())[begin:end]
    plateau = PLATEAU_ORDERS
    paid_plateau = double11.PAID_SHARE * plateau
    moments = [
        *_moments("opening", double11.ORDERS, stairs(orders, MOMENTS_ORDERS, floor=plateau), plateau),
        *_moments("paying", double11.PAYMENTS, stairs(payments, MOMENTS_PAYMENTS, floor=paid_plateau), paid_plateau),
    ]
    return _event("double11-opening", "2019-11-11T00:00:00", end - begin, plateau, moments, double11.CHAT_FACTOR)


def _event(name: str, start: str, duration: int, orders: float, moments: list[Json], chat: float) -> Json:
    derived = [
        derived_signal(double11.INVENTORY, double11.INVENTORY_FACTOR, double11.INVENTORY_LAG),
        derived_signal(double11.CHAT, chat, double11.CHAT_LAG),
        derived_signal(double11.CACHE, double11.CACHE_FACTOR, 0),
    ]
    expected = {double11.ORDERS: orders, double11.PAYMENTS: double11.PAID_SHARE * orders}
    return flat_event(name, start, duration, expected, derived, moments)


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


def announced_curve(event: Json, signal: str, seconds: int) -> Curve:
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
    """The double 11 preset for the five services, with a headroom in the place of ``live``: the evening is announced
    right.
    """
    targets = [target(s, headroom_percent=HEADROOM_PERCENT) for s in SERVICES]
    return enforcing_policy(SERVICES, targets, hold_seconds=HOLD_SECONDS, step_percent=RELEASE_PERCENT_PER_MINUTE)
