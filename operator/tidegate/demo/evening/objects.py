"""The evening as objects of a cluster: services, what is announced, and the policy.

The shape that is announced is the demand's own, as stairs that last year's record gives; its height is right, or wrong
by a factor that whoever plays it chooses.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate.demo import double11
from tidegate.demo.evening import demand as evening
from tidegate.demo.evening.demand import SERVICES
from tidegate.demo.evening.stairs import Stair, stairs
from tidegate.demo.objects import NAMESPACE, decimal, derived_signal, enforcing_policy, flat_event, target
from tidegate.demo.workloads import deployment, pod_template
from tidegate.simulation.baselines import opening_replicas
from tidegate.simulation.scenario import Curve, Service

Json = dict[str, Any]

CREATION_RATE = 100.0
"""Pods a second that the cluster creates: five times the stock client limit of kube-controller-manager, as a cluster
made for such an evening is tuned (``--kube-api-qps=100``). Both the cluster and the operator are told."""
FAIL_OVER_SECONDS = 5
"""Of each lead time, kept for a slow write. The operator stands alone here; the default of 15 s is for one that has to
take over, and costs 0.01 more."""
QUANTILE_PERCENT = 94
"""How sure the announced steps are covered, by what announcements have brought so far in the evening: with 90 a
sale that is announced 20 % too low loses 0.07 % (at 1.11, fail-over 15 s), with 95 it costs 0.004 more."""
LIVE_QUANTILE_PERCENT = 60
"""Of what may come within a lead time. This demand is smooth and falls but for its announced steps, so that a margin
for growth buys nothing: 75 costs 0.01 more at the same loss, 97 prolongs the ramp of payments and costs 0.15 more."""
FADE_PERCENT_PER_MINUTE = 8
"""For the same reason: what is measured falls, and does not come back."""
HOLD_SECONDS = 0
"""What is measured holds a level by itself."""
RELEASE_PERCENT_PER_MINUTE = 100
"""What stands for a minute and a half falls by a third within five, so the way down is quick."""
MOMENTS = 48
"""Moments of the sale, for orders and for payments each: as last year's record gives them. With a dozen the stairs are
8 % above what they stand for, payments of a ramp most of all, and a plan that is corrected by what is measured takes
their error for the demand's: 0.15 % lost."""
LINK_MOMENTS = 8
PLATEAU_ORDERS = 10_000.0
"""Orders a second that the sale is announced with outside its moments, until 02:00."""
LINK_PLATEAU_ORDERS = 100.0
"""The same of the link."""


# ---- what runs


def objects_before() -> list[Json]:
    """The Deployments as they run before anything is announced. No autoscaler stands beneath: over one at 90 % not even
    a plan that knows the demand has this evening for less than 1.19 times the least.
    """
    return [_service(s) for s in SERVICES]


def resting(service: Service) -> int:
    """Replicas that the owner of a service has written: enough for the background."""
    return opening_replicas(service, 100.0)


def _service(service: Service) -> Json:
    template = pod_template(service.name, start_seconds=service.start_seconds)
    return deployment(service.name, NAMESPACE, resting(service), template)


# ---- what is announced


def announced(share: float = 1.0) -> list[Json]:
    """The policy, and the events; ``share``: how much is announced, of what comes."""
    return [scaling_policy(), *live_events(share)]


def live_events(share: float = 1.0) -> tuple[Json, ...]:
    """The head room, its link and the sale, as LiveEvents."""
    return room_event(share), link_event(share), sale_event(share)


def room_event(share: float = 1.0) -> Json:
    """A head room from 22:00 to midnight, by its trickle."""
    seconds = evening.index_of(evening.MIDNIGHT) - evening.index_of(evening.ROOM_OPENS)
    still_paying = Stair(seconds, seconds + double11.PAID_WITHIN, 1.0)
    moments = _moments("last-paying", double11.PAYMENTS, (still_paying,), 1.0)
    plateau = share * evening.ROOM_ORDERS
    return _event("head-room", "2019-11-10T22:00:00", seconds, plateau, moments, double11.ROOM_CHAT_FACTOR)


def link_event(share: float = 1.0) -> Json:
    """What the host's call for the link at 22:30 brings on top of it."""
    orders, seconds = evening.link_orders(), evening.LINK_SECONDS
    begin = evening.index_of(evening.LINK)
    payments = double11.paid(orders)[begin : begin + seconds + double11.PAID_WITHIN]
    plateau = LINK_PLATEAU_ORDERS
    paid_plateau = double11.PAID_SHARE * plateau
    moments = [
        *_moments(
            "link", double11.ORDERS, stairs(orders[begin : begin + seconds], LINK_MOMENTS, floor=plateau), plateau
        ),
        *_moments("paying", double11.PAYMENTS, stairs(payments, 2 * LINK_MOMENTS, floor=paid_plateau), paid_plateau),
    ]
    return _event("link", "2019-11-10T22:30:00", seconds, share * plateau, moments, double11.ROOM_CHAT_FACTOR)


def sale_event(share: float = 1.0) -> Json:
    """The sale from midnight to 02:00."""
    begin, end = evening.index_of(evening.MIDNIGHT), evening.index_of(evening.END)
    orders = evening.opening_orders()[begin:end]
    payments = double11.paid(evening.opening_orders())[begin:end]
    plateau = PLATEAU_ORDERS
    paid_plateau = double11.PAID_SHARE * plateau
    moments = [
        *_moments("opening", double11.ORDERS, stairs(orders, MOMENTS, floor=plateau), plateau),
        *_moments("paying", double11.PAYMENTS, stairs(payments, MOMENTS, floor=paid_plateau), paid_plateau),
    ]
    return _event(
        "double11-opening", "2019-11-11T00:00:00", end - begin, share * plateau, moments, double11.CHAT_FACTOR
    )


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
    """The five services follow demand at all times, and what is announced."""
    targets = [target(s, headroom_percent=0, sync_seconds=0) for s in SERVICES]
    return enforcing_policy(
        SERVICES,
        targets,
        hold_seconds=HOLD_SECONDS,
        step_percent=RELEASE_PERCENT_PER_MINUTE,
        quantilePercent=QUANTILE_PERCENT,
        live={"quantilePercent": LIVE_QUANTILE_PERCENT, "fadePercentPerMinute": FADE_PERCENT_PER_MINUTE},
    )
