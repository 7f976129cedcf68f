"""The operator that is tested, and all that is known here of how it is put together: adapt this file when that changes.

The narrow door to it: ``Life(slot, number, wire, prometheus, say)``, then ``start()``, ``kill()`` or ``await
terminate()``; ``identity`` is who it is in the Lease, ``skew`` by how much its wall clock is wrong, ``tasks`` what runs
in it, ``unwell()`` what its liveness probe would say. A life is a process: the real ``Runtime`` with every part it has,
inside the event loop of the run. Replaced are only what cannot live there: connections (``wire``), the Lease's thread
(the same code as a task), listening ports, Prometheus' HTTP client, and kopf (informers on the same kinds, and its
retries of a start that failed).
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

from prometheus import FakePrometheus
from virtual_time import outside
from wire import Wire

from tidegate.control.inline import InlineSolver
from tidegate.metrics.prometheus import PARALLEL, PrometheusSource
from tidegate.metrics.promql import Answer
from tidegate.shell import runtime, wiring
from tidegate.shell.informer import Informer
from tidegate.shell.kinds import OVERRIDES, POLICIES, POOLS
from tidegate.shell.leader import LeaseLeader
from tidegate.shell.settings import Settings
from tidegate.shell.stillness import Stillness
from tidegate.targets.client import KubeClient

HOME = "tidegate"
"""The operator's own namespace."""

START_AGAIN = 5.0
"""Seconds after which kopf tries a start-up handler again (``backoff`` in ``shell.app``)."""

JOBS = ("loans ", "memory ", "looks ", "signals ", "pools ", "timetables ", "writes ", "status ")
# Python 3.13.0 names a task that has no name "None".
SHORT_LIVED = ("Task-", "None", "epochs on record", "watch ", *JOBS)
"""Beginnings of names of tasks that may end by themselves, jobs of the gates among them; every other task lives until
the stop. What its group would start anew has died all the same.
"""

LIVING: contextvars.ContextVar[Life | None] = contextvars.ContextVar("living", default=None)
"""In whose process this code runs."""


def clock_error() -> float:
    """By how much the wall clock of whoever asks is wrong."""
    life = LIVING.get()
    return life.skew if life is not None else 0.0


class Life:
    """One process, from its start to its death."""

    def __init__(
        self,
        slot: str,
        number: int,
        wire: Wire,
        prometheus: FakePrometheus,
        *,
        beat: float = 15.0,
        scope: tuple[str, ...] | None = None,
    ) -> None:
        self.slot = slot
        self.identity = f"{slot}-{number}"
        self.skew = 0.0
        self.dead = False
        self.stopping = False
        self.started_at: float | None = None
        """When its start-up was over; None before."""
        self.starts = 0
        """Tries to start."""
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.wire = wire
        self.prometheus = prometheus
        self.listening: _Probes | None = None
        """Who holds the port of the probes."""
        self._lost: list[str] = []
        self._settings = Settings(
            operator_namespace=HOME, identity=self.identity, api_url="http://cluster", prometheus_url="http://prom",
            beat_seconds=beat, log_level="info", namespaces=scope,
        )  # fmt: skip
        self._runtime: runtime.Runtime | None = None
        self._informers: list[asyncio.Task[None]] = []
        self._context = outside()
        self._context.run(LIVING.set, self)

    # ---- the door

    def start(self) -> None:
        """Begin; returns at once."""
        asyncio.get_running_loop().create_task(self._main(), name="main", context=self._context)

    def kill(self) -> None:
        """SIGKILL: nothing of it reaches the cluster any more, whatever its code still does."""
        self.dead = True
        for task in list(self.tasks):
            task.cancel()

    async def terminate(self, patience: float = 30.0) -> None:
        """SIGTERM, and SIGKILL when it takes too long."""
        self.stopping = True
        job = asyncio.get_running_loop().create_task(self._stop(), name="Task-stop", context=self._context)
        await asyncio.wait((job,), timeout=patience)
        self.kill()

    def unwell(self) -> str:
        """What ``/healthz`` of whoever holds the port finds wrong; empty when nothing is, or nobody answers yet."""
        checks = self.listening.alive.values() if self.listening is not None else ()
        return "; ".join(wrong for check in checks if (wrong := check()))

    def lost_tasks(self) -> list[str]:
        """Tasks that ought to live and do not, with what ended them."""
        return self._lost

    # ---- inside

    def ended(self, task: asyncio.Task[Any]) -> None:
        """A task is over."""
        self.tasks.pop(task, None)
        if not (self.dead or self.stopping or task.get_name().startswith((*SHORT_LIVED, "main"))):
            self._lost.append(f"{task.get_name()}: {_end(task)}")

    async def _main(self) -> None:
        while True:
            self.starts += 1
            self._runtime = runtime.Runtime(self._settings)
            try:
                await self._runtime.start()
                break
            except Exception as error:  # noqa: BLE001 - as kopf does
                logging.getLogger("tidegate.kopf").info("start-up failed, tried again: %r", error)
                await asyncio.sleep(START_AGAIN)
        self.started_at = asyncio.get_running_loop().time()
        client = await KubeClient.connect()
        scope = self._settings.namespaces
        watched = [(kind, ns) for kind in (POLICIES, OVERRIDES) for ns in scope or ("",)]
        for kind, ns in watched if scope else [*watched, (POOLS, "")]:
            informer = Informer(client, kind.path(ns), on_object=self._seen(kind.kind), on_sync=lambda: None)
            self._informers.append(asyncio.create_task(informer.run(), name=f"kopf {kind.plural} {ns}".strip()))

    def _seen(self, kind: str) -> Callable[[str, Mapping[str, Any]], None]:
        def seen(what: str, body: Mapping[str, Any]) -> None:
            if self._runtime is not None:
                self._runtime.object_seen(kind, what, body)

        return seen

    async def _stop(self) -> None:
        if self._runtime is not None and self.started_at is not None:
            await self._runtime.stop()


def _end(task: asyncio.Task[Any]) -> str:
    if task.cancelled():
        return "cancelled"
    error = task.exception()
    return repr(error) if error is not None else "returned"


# ---- what is put in the place of what cannot live in simulated time


class _Lease(LeaseLeader):
    """The Lease's own code, as a task in place of a thread."""

    _lease: asyncio.Task[None] | None = None

    def start(self) -> None:
        if not self._stopping.is_set() and (self._lease is None or self._lease.done()):
            self._lease = asyncio.create_task(self._main(), name="Task-lease")


class _Probes:
    """Ports that nobody asks; a port is taken until its owner stops."""

    def __init__(self, *, alive: Mapping[str, Callable[[], str | None]], **_: Any) -> None:
        self.alive = alive
        self._life = LIVING.get()

    async def start(self) -> None:
        assert self._life is not None
        if self._life.listening is not None:
            raise OSError(98, "address already in use")
        self._life.listening = self

    async def stop(self) -> None:
        assert self._life is not None
        self._life.listening = None


class _Prometheus(PrometheusSource):
    """The real source; its threads and its HTTP client are the fake's."""

    def __init__(self) -> None:
        super().__init__("http://prom")
        self._gate = asyncio.Semaphore(PARALLEL)
        life = LIVING.get()
        assert life is not None
        self._fake = life.prometheus

    async def _once(self, query: str, at: float | None = None) -> Answer:
        async with self._gate:
            return Answer(await self._fake.ask(query))


class _Rest:
    """The HTTP client below a ``KubeClient``."""

    def __init__(self, life: Life) -> None:
        self._life = life

    async def request(self, method: str, url: str, *, headers: Any, body: Any, _request_timeout: Any) -> Any:
        return await self._life.wire.request(self._life, method, url, headers or {}, body, _request_timeout)

    async def close(self) -> None:
        return


def _source(_: Settings) -> _Prometheus:
    return _Prometheus()


class _Solver(InlineSolver):
    """Timetables at once: there is no other process in simulated time."""

    async def close(self) -> None:
        return


async def _no_measure(_: Stillness) -> None:
    await asyncio.Event().wait()


async def _connect(*_: Any, **__: Any) -> KubeClient:
    life = LIVING.get()
    assert life is not None
    return wired(life)


def wired(life: Any) -> KubeClient:
    """A client whose requests go through a life's wire."""
    from kubernetes.aio.client.configuration import Configuration

    configuration = Configuration()
    configuration.host = "http://cluster"
    client = KubeClient(configuration)
    client._api.rest_client = _Rest(life)
    return client


@contextmanager
def assembled(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Puts the stand-ins in their places, and lets each life know its tasks."""

    def made(loop: asyncio.AbstractEventLoop, work: Any, **how: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **how)
        context = how.get("context") or contextvars.copy_context()
        life = context.get(LIVING)
        if life is not None:
            life.tasks[task] = None
            task.add_done_callback(life.ended)
            if life.dead:
                task.cancel()
        return task

    loop.set_task_factory(made)
    with (
        mock.patch.object(KubeClient, "connect", _connect),
        mock.patch.object(runtime, "LeaseLeader", _Lease),
        mock.patch.object(runtime, "Probes", _Probes),
        mock.patch.object(wiring, "_source", _source),
        mock.patch.object(wiring, "Solvers", _Solver),
        mock.patch.object(Stillness, "measure_for_ever", _no_measure),
        mock.patch("gc.freeze"),
    ):
        yield
