"""What a plain autoscaler makes of the same evening, on the same cluster physics, at steps of one second.

The metric is chosen to be kind to it: the demand itself, per pod, which does not saturate as CPU does when pods are
full, and which counts the whole demand and not only what was served. It is seen as a metrics pipeline shows it (mean of
60 s, 30 s old), asked every 15 s, with the stock ``behavior``.
"""

from __future__ import annotations

import math

from tidegate.simulation.hpa import DEFAULT, SYNC_SECONDS, Behavior, HpaMetric, HpaMetricKind, HpaRule
from tidegate.simulation.physics import Physics
from tidegate.simulation.scenario import Scenario, Service
from tidegate.simulation.score import Run, Tracker

METRIC_NOTE = (
    "HPA metric: the demand itself per pod (external, AverageValue: never saturates), mean of 60 s and 30 s old, "
    "every 15 s, stock behavior"
)


def autoscaler(service: Service, target_percent: float, behavior: Behavior | None = DEFAULT) -> HpaRule:
    """The HPA of a service that aims at this share of what a pod carries."""
    target = HpaMetric(HpaMetricKind.AVERAGE_VALUE, service.capacity * target_percent / 100.0)
    return HpaRule(minimum=service.minimum, maximum=service.maximum, metric=target, behavior=behavior)


def opening_replicas(service: Service, target_percent: float) -> int:
    """What runs when the evening begins: the background at the autoscaler's target."""
    wanted = math.ceil(service.background / (service.capacity * target_percent / 100.0))
    return min(service.maximum, max(service.minimum, wanted))


def run_autoscaler(
    scenario: Scenario,
    *,
    target_percent: float,
    creation_rate: float,
    name: str,
    behavior: Behavior | None = DEFAULT,
) -> Run:
    """Play the scenario with one HPA a service and nothing else. ``writes`` counts its scale writes."""
    physics = Physics(creation_rate=creation_rate)
    rules = {s.name: autoscaler(s, target_percent, behavior) for s in scenario.services}
    wanted = {s.name: opening_replicas(s, target_percent) for s in scenario.services}
    trackers = {s.name: Tracker(scenario) for s in scenario.services}
    for service in scenario.services:
        physics.set_workload(
            service.name, now=scenario.first, replicas=wanted[service.name], start_seconds=service.start_seconds
        )
    writes = 0
    for second in range(scenario.seconds):
        now = scenario.first + second
        physics.advance(now)
        if second and second % SYNC_SECONDS == 0:
            for service in scenario.services:
                writes += _sync(scenario, service, rules[service.name], physics, wanted, now)
        for service in scenario.services:
            view = physics.view(service.name)
            trackers[service.name].sample(now, ready=view.ready, billed=view.scheduled)
    return Run(name, {key: tracker.track() for key, tracker in trackers.items()}, writes)


def _sync(
    scenario: Scenario, service: Service, rule: HpaRule, physics: Physics, wanted: dict[str, int], now: float
) -> int:
    """One look of the autoscaler; 1 when it wrote."""
    current = wanted[service.name]
    ready = physics.view(service.name).ready
    decision = rule.decide(now=now, current=current, ready=ready, value=scenario.metric(service, now))
    if decision.replicas == current:
        return 0
    wanted[service.name] = decision.replicas
    physics.set_workload(service.name, now=now, replicas=decision.replicas, start_seconds=service.start_seconds)
    return 1
