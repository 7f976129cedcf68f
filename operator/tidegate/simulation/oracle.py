"""The clairvoyant plan: knows every second of the demand, and has to start its pods in time like everybody else.

It is bound by each service's start lag and by whole pods, by nothing else: no headroom, no shared creation rate, no
release. Nothing that serves all demand can be cheaper on such a cluster, which is what makes it the measure of cost.
"""

from __future__ import annotations

import math

import numpy as np

from tidegate.simulation.scenario import Counts, Curve, Scenario, Service


def clairvoyant(need: Curve, start_seconds: float) -> Counts:
    """Pods that must exist each second: the largest whole need within the coming start lag.

    ``b*(t) = max over [t, t + lag] of ceil(d)``: a pod that is needed at *t* has to exist from ``t - lag`` on.
    """
    lag = math.ceil(start_seconds)
    whole = np.ceil(need - 1e-9).astype(np.int64)
    padded = np.concatenate((whole, np.full(lag, whole[-1] if len(whole) else 0, dtype=np.int64)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, lag + 1)
    plan: Counts = windows.max(axis=1)
    return plan


def clairvoyant_cost(scenario: Scenario, service: Service) -> float:
    """Pod-seconds of the clairvoyant plan of one service over the scored hours."""
    plan = clairvoyant(scenario.need(service), service.start_seconds)
    return float(plan[scenario.span(scenario.begin, scenario.end)].sum())
