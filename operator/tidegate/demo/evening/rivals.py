"""The evening as others would have it: what people use for an announced sale, each with the same announcement.

All stand on the HPA of ``simulation.hpa``, on the same physics at steps of one second, and on the metric of
``simulation.baselines``. Timetables are typed by the hour: of each announced event the most that is announced for that
hour, from a quarter of an hour before it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tidegate.api.parse import parse_live_event
from tidegate.demo import double11
from tidegate.demo.evening import demand as evening
from tidegate.demo.evening.objects import CREATION_RATE, Json, announced_curve, live_events
from tidegate.demo.workloads import BENEATH
from tidegate.simulation.baselines import autoscaler, opening_replicas, run_autoscaler
from tidegate.simulation.hpa import SYNC_SECONDS, HpaRule, whole
from tidegate.simulation.physics import Physics
from tidegate.simulation.scenario import Counts, Curve, Scenario, Service
from tidegate.simulation.score import Run, Track, Tracker

BEFORE, HOUR = 900, 3600
"""Seconds before a start at which people have a level there, and for which they type one."""
BENEATH_PERCENT = 80.0
"""Target of the HPA under a timetable."""
KEDA_POLL = 30
"""``pollingInterval`` of KEDA, seconds: stock value."""


def rivals(scenario: Scenario, share: float) -> dict[str, Run]:
    """Their runs by name; ``share``: how much is announced, of what comes."""
    typed = {s.name: timetable(s, live_events(share)) for s in scenario.services}
    return {
        "hpa70": run_autoscaler(scenario, target_percent=70.0, creation_rate=CREATION_RATE, name="hpa70"),
        "hpa80": run_autoscaler(scenario, target_percent=80.0, creation_rate=CREATION_RATE, name="hpa80"),
        "hpa80_quick": run_autoscaler(
            scenario, target_percent=80.0, creation_rate=CREATION_RATE, name="hpa80_quick", behavior=BENEATH
        ),
        "keda_cron": run_timetable(scenario, typed, name="keda_cron", by_metric=True),
        "human": run_timetable(scenario, typed, name="human", by_metric=False),
        "always_on": run_always_on(scenario, typed),
    }


# ---- what is announced, as a timetable


def timetable(service: Service, events: tuple[Json, ...]) -> Counts:
    """Units that people type, one value a second from the evening's first: the largest of what each event asks for, on
    top of the background and of what others that are on have as their plateau.
    """
    seconds = evening.seconds_of_the_evening()
    starts = [evening.index_of(parse_live_event(one).base.occurrences[0].start) for one in events]
    lengths = [int(one["spec"]["schedule"]["durationSeconds"]) for one in events]
    plateaus = np.zeros((len(events), seconds))
    for row, event in enumerate(events):
        plain = {**event, "spec": {**event["spec"], "moments": []}}
        plateaus[row, starts[row] :] = announced_need(plain, service.signal, seconds - starts[row])
    most = np.zeros(seconds)
    for row, event in enumerate(events):
        begin, others = starts[row], np.delete(plateaus, row, axis=0).sum(axis=0)
        needed = announced_need(event, service.signal, seconds - begin) + others[begin:]
        for first in range(0, lengths[row], HOUR):
            last = min(first + HOUR, lengths[row])
            span = slice(max(0, begin + first - BEFORE), begin + last)
            most[span] = np.maximum(most[span], needed[first:last].max())
    units: Counts = np.ceil((service.background + most) / service.capacity - 1e-9).astype(np.int64)
    units[most == 0.0] = 0
    return units


def announced_need(event: Json, signal: str, seconds: int) -> Curve:
    """What an event announces of a signal, expected or derived, one value a second from its start."""
    if signal in event["spec"]["expected"]:
        return announced_curve(event, signal, seconds)
    link = next(one for one in event["spec"]["derived"] if one["signal"] == signal)
    source = announced_curve(event, link["from"], seconds)
    return float(link["factor"]) * double11.delayed(source, link["lagSeconds"])


# ---- who follows it


class _Cron(HpaRule):
    """An HPA with a second metric, AverageValue 1, as KEDA's cron trigger makes it: the larger of both counts, each
    with its own tolerance (``computeReplicasForMetrics`` in ``horizontal.go``).
    """

    typed = 0

    def _desired(self, current: int, ready: int, value: float) -> int:
        tolerated = current > 0 and self._tolerated(self.typed / current)
        return max(super()._desired(current, ready, value), current if tolerated else whole(self.typed))


def run_timetable(scenario: Scenario, typed: Mapping[str, Counts], *, name: str, by_metric: bool) -> Run:
    """Play the scenario with an HPA a service that a timetable raises: by a second metric that is looked at every
    ``KEDA_POLL`` seconds, else by its ``minReplicas``. It comes down as the HPAs do that have a quick way down.
    """
    physics = Physics(creation_rate=CREATION_RATE)
    rules = {s.name: _rule(s) for s in scenario.services}
    wanted = {s.name: opening_replicas(s, BENEATH_PERCENT) for s in scenario.services}
    trackers = {s.name: Tracker(scenario) for s in scenario.services}
    writes = 0
    for service in scenario.services:
        physics.set_workload(
            service.name, now=scenario.first, replicas=wanted[service.name], start_seconds=service.start_seconds
        )
    for second in range(scenario.seconds):
        now = scenario.first + second
        physics.advance(now)
        for service in scenario.services:
            rule, level = rules[service.name], int(typed[service.name][second])
            if not by_metric:
                rule.minimum = max(service.minimum, level)
            elif second % KEDA_POLL == 0:
                rule.typed = level
            if second and second % SYNC_SECONDS == 0:
                writes += _sync(scenario, service, rule, physics, wanted, now)
            view = physics.view(service.name)
            trackers[service.name].sample(now, ready=view.ready, billed=view.scheduled)
    return Run(name, {key: tracker.track() for key, tracker in trackers.items()}, writes)


def _rule(service: Service) -> _Cron:
    plain = autoscaler(service, BENEATH_PERCENT, BENEATH)
    return _Cron(minimum=plain.minimum, maximum=plain.maximum, metric=plain.metric, behavior=plain.behavior)


def _sync(
    scenario: Scenario, service: Service, rule: _Cron, physics: Physics, wanted: dict[str, int], now: float
) -> int:
    """One look of the autoscaler; 1 when it wrote."""
    current = wanted[service.name]
    decision = rule.decide(
        now=now, current=current, ready=physics.view(service.name).ready, value=scenario.metric(service, now)
    )
    if decision.replicas == current:
        return 0
    wanted[service.name] = decision.replicas
    physics.set_workload(service.name, now=now, replicas=decision.replicas, start_seconds=service.start_seconds)
    return 1


def run_always_on(scenario: Scenario, typed: Mapping[str, Counts]) -> Run:
    """The announced peak, there all evening."""
    tracks = {
        s.name: Track(peak, peak)
        for s in scenario.services
        for peak in [np.full(scenario.seconds, int(typed[s.name].max()), dtype=np.int64)]
    }
    return Run("always_on", tracks, 0)
