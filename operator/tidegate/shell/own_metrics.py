"""The process's own numbers, as Prometheus reads them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tidegate.api.zonedata import zone_data
from tidegate.control.age import Age
from tidegate.planning.model import Key
from tidegate.planning.resources import NOTHING, Resources

TargetName = tuple[Key, str]
"""Policy and the target's name in it."""


class OwnMetrics:
    """Our numbers, in a registry of their own. What is not known has no series: never a zero in its place."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """``now``: epoch seconds, as plans count them."""
        self._now = now
        self.registry = CollectorRegistry()
        names = ("namespace", "policy", "target")
        self._floor = self._gauge("target_floor", "Least level that the plan asks for now.", names)
        self._level = self._gauge("target_level", "Value of the field that holds the floor, as last read.", names)
        self._ready = self._gauge("target_ready", "Units ready; no series while nobody can tell.", names)
        self._next_step = self._gauge("next_step_seconds", "Seconds until the target's next planned step.", names)
        self._overridden = self._gauge("target_overridden", "Overrides in force on the target.", names)
        self._blind = self._gauge(
            "blind", "1 while a signal of the policy cannot be measured.", ("namespace", "policy")
        )
        pool = ("pool", "lane", "resource")
        self._lent = self._gauge("lane_lent", "What a lane's stopped work has left to others: cores or bytes.", pool)
        self._draining = self._gauge("lane_draining", "What stopped work still holds: cores or bytes.", pool)
        self._oversold = self._gauge(
            "pool_oversold", "What is granted and in flight above the capacity: cores or bytes.", ("pool", "resource")
        )
        self._refused = self._gauge("pool_refusals", "Needs that the pool does not carry in full.", ("pool",))
        self._watch_age = self._gauge("watch_age_seconds", "Seconds since a watch's last sign of life.", ("watch",))
        self._leader = self._gauge("leader", "1 while this process may write.", ())
        self._skew = self._gauge("clock_skew_seconds", "The API server's clock minus ours.", ())
        self._restarts = Counter(
            "tidegate_task_restarts", "Tasks that ended by themselves.", ("task",), registry=self.registry
        )
        self._jobs = Counter(
            "tidegate_jobs", "Looks, reads and writes by how they ended.", ("round", "result"), registry=self.registry
        )
        self._stand_still = self._gauge(
            "loop_stand_still_seconds", "Longest stand-still of the event loop within the last minutes.", ()
        )
        self._decision_age = self._gauge("decision_age_seconds", "Seconds since the last decision.", ())
        self._writes = Counter("tidegate_writes", "Writes to the cluster.", ("kind", "result"), registry=self.registry)
        zones = self._gauge("zone_data_info", "1 for the time zone database that is used.", ("version", "source"))
        zones.labels(zone_data().version, zone_data().source).set(1)
        self._targets: set[TargetName] = set()
        self._policies: set[Key] = set()
        self._pools: dict[str, set[str]] = {}

    def target(
        self,
        policy: Key,
        target: str,
        *,
        floor: int | None,
        level: int | None,
        ready: int | None,
        next_step_at: float | None,
        overrides: int,
    ) -> None:
        """A target's numbers now."""
        labels = (policy.namespace, policy.name, target)
        self._targets.add((policy, target))
        _put(self._floor, labels, floor)
        _put(self._level, labels, level)
        _put(self._ready, labels, ready)
        if next_step_at is None:
            self._next_step.remove(*labels)
        else:  # asked at each scrape: it shrinks by itself
            self._next_step.labels(*labels).set_function(lambda: next_step_at - self._now())
        _put(self._overridden, labels, overrides)

    def keep(self, targets: set[TargetName]) -> None:
        """Drop the series of all other targets, and of policies without any."""
        for policy, target in self._targets - targets:
            for gauge in (self._floor, self._level, self._ready, self._next_step, self._overridden):
                _put(gauge, (policy.namespace, policy.name, target), None)
        self._targets &= targets
        policies = {policy for policy, _ in targets}
        for policy in self._policies - policies:
            _put(self._blind, (policy.namespace, policy.name), None)
        self._policies &= policies

    def blind(self, policy: Key, *, blind: bool) -> None:
        """Whether a policy cannot see."""
        self._policies.add(policy)
        _put(self._blind, (policy.namespace, policy.name), float(blind))

    def pool(
        self, name: str, lanes: Mapping[str, tuple[Resources, Resources]], oversold: Resources, refused: int
    ) -> None:
        """A pool's numbers now; of each lane what it has lent, and what still drains."""
        for lane, (lent, draining) in lanes.items():
            for resource, value in _base(lent):
                _put(self._lent, (name, lane, resource), value)
            for resource, value in _base(draining):
                _put(self._draining, (name, lane, resource), value)
        self._drop_lanes(name, self._pools.get(name, set()) - lanes.keys())
        self._pools[name] = set(lanes)
        for resource, value in _base(oversold):
            _put(self._oversold, (name, resource), value)
        _put(self._refused, (name,), refused)

    def keep_pools(self, names: Collection[str]) -> None:
        """Drop the series of all other pools."""
        for gone in self._pools.keys() - set(names):
            self._drop_lanes(gone, self._pools.pop(gone))
            for resource, _ in _base(NOTHING):
                _put(self._oversold, (gone, resource), None)
            _put(self._refused, (gone,), None)

    def _drop_lanes(self, pool: str, lanes: set[str]) -> None:
        for lane in lanes:
            for resource, _ in _base(NOTHING):
                for gauge in (self._lent, self._draining):
                    _put(gauge, (pool, lane, resource), None)

    def wrote(self, kind: str, result: str) -> None:
        """Count a write: kind such as ``floor``, ``loan``, ``status``; result ``ok`` or an error's name."""
        self._writes.labels(kind, result).inc()

    def watch_age(self, watch: str, age: Callable[[], float]) -> None:
        """Ask for a watch's age whenever it is scraped."""
        self._watch_age.labels(watch).set_function(age)

    def leader(self, leading: Callable[[], bool]) -> None:
        """Ask for leadership whenever it is scraped."""
        self._leader.set_function(lambda: float(leading()))

    def clock_skew(self, skew: Callable[[], float | None]) -> None:
        """Ask for the clock skew whenever it is scraped; NaN before anything is known."""
        self._skew.set_function(lambda: value if (value := skew()) is not None else float("nan"))

    def restarted(self, task: str) -> None:
        """A task ended by itself."""
        self._restarts.labels(task).inc()

    def job_ended(self, round_: str, result: str) -> None:
        """Count a job of a gate: ``ok``, ``failed``, ``hung`` or ``cancelled``."""
        self._jobs.labels(round_, result).inc()

    def stand_still(self, longest: Callable[[], float]) -> None:
        """Ask for the event loop's longest stand-still whenever it is scraped."""
        self._stand_still.set_function(longest)

    def decision_age(self, age: Callable[[], float]) -> None:
        """Ask for the seconds since the last decision whenever it is scraped."""
        self._decision_age.set_function(age)

    def troubled_tasks(self, trouble: Callable[[], Mapping[str, str]]) -> None:
        """Ask for the tasks that keep ending whenever it is scraped."""
        text = "1 for a task that ended by itself and has not lived for long since."
        self.registry.register(_Asked("tidegate_task_trouble", text, "task", lambda: dict.fromkeys(trouble(), 1.0)))

    def oldest_knowledge(self, ages: Callable[[], Mapping[str, Age]]) -> None:
        """Ask for the age of the oldest knowledge of each kind whenever it is scraped."""
        text = "Age of the oldest that we know and go by, of each kind of knowledge."

        def oldest() -> dict[str, float]:
            return {kind: age.oldest for kind, age in ages().items()}

        self.registry.register(_Asked("tidegate_oldest_knowledge_seconds", text, "kind", oldest))

    def unheard(self, where: Callable[[], Collection[str]]) -> None:
        """Ask for the namespaces that refuse us or give no answer, whenever it is scraped."""
        text = "1 for a namespace of several that cannot be listed or watched: nothing is lowered there."
        self.registry.register(_Asked("tidegate_unheard", text, "namespace", lambda: dict.fromkeys(where(), 1.0)))

    def _gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(f"tidegate_{name}", text, labels, registry=self.registry)


def _base(amount: Resources) -> tuple[tuple[str, float], ...]:
    """An amount in base units, by resource."""
    return ("cpu", amount.cpu / 1000), ("memory", float(amount.memory * 2**20))


def _put(gauge: Gauge, labels: tuple[str, ...], value: float | None) -> None:
    if value is None:
        gauge.remove(*labels)
    else:
        gauge.labels(*labels).set(value)


@dataclass(frozen=True, slots=True)
class _Asked(Collector):
    """A gauge with one label whose series are asked for at each scrape."""

    name: str
    text: str
    label: str
    values: Callable[[], Mapping[str, float]]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The series that there are now."""
        family = GaugeMetricFamily(self.name, self.text, labels=[self.label])
        for name, value in sorted(self.values().items()):
            family.add_metric([name], value)
        yield family
