"""What the outside may ask the process: is it alive, is it ready, and its own numbers.

Alive means that something new could still reach it: the loop has beaten, and every watch has given a sign of life (of
the watches of several namespaces, one has). A process whose watch fell silent answers requests as well as any other,
and plans on yesterday's world.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from tidegate.control.age import Age
from tidegate.shell.informer import Informer

Check = Callable[[], str | None]
"""What is wrong, in words; None when nothing is."""


def age_check(age: Callable[[], float], *, limit: float) -> Check:
    """Wrong when something has given no sign of life for ``limit`` seconds."""
    return lambda: None if (seconds := age()) <= limit else f"no sign of life for {seconds:.0f} s (limit {limit:.0f} s)"


def watch_check(watch: Informer, *, limit: float) -> Check:
    """The same of a watch. One that the server refuses is not dead: a new start of ours would be refused as well."""
    silent = age_check(watch.age_seconds, limit=limit)
    return lambda: None if watch.refused else silent()


def watches_check(watches: Mapping[str, Informer], *, limit: float) -> Check:
    """The same of the watches of one kind, by namespace: wrong when all that the server does not refuse are silent.

    One namespace that gives no answer is its own trouble. A new start of ours would not make it answer, and everybody
    else would wait for it.
    """

    def youngest() -> float:
        return min((watch.age_seconds() for watch in watches.values() if not watch.refused), default=0.0)

    return age_check(youngest, limit=limit)


def knowledge_check(ages: Callable[[], Mapping[str, Age]], *, limits: Mapping[str, float]) -> Check:
    """Wrong when all that is known of a kind is older than its limit. A kind of which nothing is known yet is not old.

    One target that hangs makes nobody unready: it may be any tenant's, and its own status says so.
    """

    def check() -> str | None:
        old = [
            f"{kind} as of {age.youngest:.0f} s ago (limit {limits[kind]:.0f} s)"
            for kind, age in sorted(ages().items())
            if kind in limits and age.youngest > limits[kind]
        ]
        return "; ".join(old) or None

    return check


class Heart:
    """The loop's last beat, on the monotonic clock."""

    def __init__(self) -> None:
        self._at = time.monotonic()

    def beat(self) -> None:
        """The loop came round."""
        self._at = time.monotonic()

    def check(self, *, limit: float) -> Check:
        """Wrong when it has not for ``limit`` seconds."""
        return age_check(self.age, limit=limit)

    def age(self) -> float:
        """Seconds since the loop came round."""
        return time.monotonic() - self._at


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
        """Checks by name, looked up at each request. Port 0 takes any free one; equal ports (other than 0) put all
        on one.
        """
        self._alive = alive
        self._ready = ready
        self._registry = registry
        self._host = host
        self._ports = (probe_port, metrics_port)
        self._runners: list[web.AppRunner] = []
        self.probe_port = probe_port
        """Where probes are answered, once started."""
        self.metrics_port = metrics_port

    async def start(self) -> None:
        """Listen on all ports. OSError when one is taken: then on none."""
        try:
            await self._listen_to_all()
        except BaseException:
            await self.stop()
            raise

    async def _listen_to_all(self) -> None:
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
        text = bytearray()
        for metric in self._registry.collect():  # one at a time: thousands of targets have many series
            text += generate_latest(_One(metric))
            await asyncio.sleep(0)
        return web.Response(body=bytes(text), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


@dataclass(frozen=True, slots=True)
class _One:
    """A registry of one metric."""

    metric: Metric

    def collect(self) -> Iterator[Metric]:
        """The metric."""
        yield self.metric


async def _answer(checks: Mapping[str, Check]) -> web.Response:
    lines = []
    for name, check in sorted(checks.items()):
        wrong = check()
        lines.append((wrong is None, f"{name}: {wrong or 'ok'}"))
    well = all(ok for ok, _ in lines)
    return web.Response(text="\n".join(line for _, line in lines) + "\n", status=200 if well else 503)
