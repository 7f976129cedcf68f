"""What the outside may ask the process: is it alive, is it ready, and its own numbers.

Alive means that something new could still reach it: the loop has beaten, and every watch has given a sign of life. A
process whose watch fell silent answers requests as well as any other, and plans on yesterday's world.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from tidegate.planning.model import Key
from tidegate.planning.resources import NOTHING, Resources

Check = Callable[[], str | None]
"""What is wrong, in words; None when nothing is."""

TargetName = tuple[Key, str]
"""Policy and the target's name in it."""


class OwnMetrics:
    """Our numbers, in a registry of their own. What is not known has no series: never a zero in its place."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        names = ("namespace", "policy", "target")
        self._floor = self._gauge("target_floor", "Least level that the plan asks for now.", names)
        self._level = self._gauge("target_level", "Value of the field that holds the floor, as last read.", names)
        self._ready = self._gauge("target_ready", "Units ready.", names)
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
        self._writes = Counter("tidegate_writes", "Writes to the cluster.", ("kind", "result"), registry=self.registry)
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
        next_step_seconds: float | None,
        overrides: int,
    ) -> None:
        """A target's numbers now."""
        labels = (policy.namespace, policy.name, target)
        self._targets.add((policy, target))
        _put(self._floor, labels, floor)
        _put(self._level, labels, level)
        _put(self._ready, labels, ready)
        _put(self._next_step, labels, next_step_seconds)
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


def watch_check(age: Callable[[], float], *, limit: float) -> Check:
    """Wrong when a watch has given no sign of life for ``limit`` seconds."""
    return lambda: None if (seconds := age()) <= limit else f"no sign of life for {seconds:.0f} s (limit {limit:.0f} s)"


class Heart:
    """The loop's last beat, on the monotonic clock."""

    def __init__(self) -> None:
        self._at = time.monotonic()

    def beat(self) -> None:
        """The loop came round."""
        self._at = time.monotonic()

    def check(self, *, limit: float) -> Check:
        """Wrong when it has not for ``limit`` seconds."""
        return watch_check(lambda: time.monotonic() - self._at, limit=limit)


class Probes:
    """Serves ``/healthz``, ``/readyz`` and ``/metrics``."""

    def __init__(
        self,
        *,
        alive: Mapping[str, Check],
        ready: Mapping[str, Check],
        registry: CollectorRegistry,
        probe_port: int,
        metrics_port: int,
        host: str = "0.0.0.0",  # noqa: S104  the kubelet asks from outside the pod
    ) -> None:
        """Checks by name. Port 0 takes any free one; equal ports (other than 0) put all on one."""
        self._alive = dict(alive)
        self._ready = dict(ready)
        self._registry = registry
        self._host = host
        self._ports = (probe_port, metrics_port)
        self._runners: list[web.AppRunner] = []
        self.probe_port = probe_port
        """Where probes are answered, once started."""
        self.metrics_port = metrics_port

    async def start(self) -> None:
        """Listen. OSError when a port is taken."""
        probes, metrics = self._ports
        if probes == metrics != 0:
            self.probe_port = self.metrics_port = await self._listen(probes, probes=True, metrics=True)
        else:
            self.probe_port = await self._listen(probes, probes=True, metrics=False)
            self.metrics_port = await self._listen(metrics, probes=False, metrics=True)

    async def stop(self) -> None:
        """Stop listening."""
        runners, self._runners = self._runners, []
        await asyncio.gather(*(runner.cleanup() for runner in runners))

    async def _listen(self, port: int, *, probes: bool, metrics: bool) -> int:
        app = web.Application()
        if probes:
            app.router.add_get("/healthz", lambda _: _answer(self._alive))
            app.router.add_get("/readyz", lambda _: _answer(self._ready))
        if metrics:
            app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, self._host, port).start()
        return int(runner.addresses[0][1])

    async def _metrics(self, _: web.Request) -> web.Response:
        text = generate_latest(self._registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


async def _answer(checks: Mapping[str, Check]) -> web.Response:
    lines = []
    for name, check in sorted(checks.items()):
        wrong = check()
        lines.append((wrong is None, f"{name}: {wrong or 'ok'}"))
    well = all(ok for ok, _ in lines)
    return web.Response(text="\n".join(line for _, line in lines) + "\n", status=200 if well else 503)
