"""What is announced and who drives it, as objects of a cluster: the parts that evening and night have in common."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tidegate.demo import double11
from tidegate.simulation.scenario import Service

Json = dict[str, Any]

NAMESPACE = "shop"
POLICY = "double11-core"
HPA_SYNC_SECONDS = 15
"""A floor takes effect at the autoscaler's next sync: part of the lead time from a write to ready pods."""


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
    return {"signal": signal, "from": double11.ORDERS, "factor": decimal(factor), "lagSeconds": lag}


def decimal(value: float) -> str:
    """A quantity of the API: decimals in a string, rounded up to the third."""
    text = f"{math.ceil(value * 1000 - 1e-6) / 1000:.3f}"
    return text.rstrip("0").rstrip(".")


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


def target(service: Service, *, headroom_percent: int, sync_seconds: int = HPA_SYNC_SECONDS) -> Json:
    """How a policy names a service; ``sync_seconds`` are 0 where no autoscaler stands between a level and its pods."""
    return {
        "name": service.name,
        "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "name": service.name},
        "capacity": {service.signal: decimal(service.capacity)},
        "background": {service.signal: decimal(service.background)},
        "headroomPercent": headroom_percent,
        "stage": {"name": service.stage},
        "min": service.minimum,
        "max": service.maximum,
        "leadTime": {"guessSeconds": round(service.start_seconds) + sync_seconds},
    }


def query(service: Service) -> str:
    """The PromQL by which a signal is measured."""
    return f"sum({service.signal})"
