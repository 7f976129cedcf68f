"""Starting and stopping: a cluster behind a port, with its controllers running."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.routes import application

TICK_SECONDS = 0.05
"""Real seconds between two looks of the controllers at the clock."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    url: str
    port: int
    cluster: EmbeddedCluster
    _runner: web.AppRunner
    _controllers: asyncio.Task[None]

    async def stop(self) -> None:
        """End all watches and free the port. Idempotent."""
        self._controllers.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._controllers
        await self._runner.cleanup()


async def start(cluster: EmbeddedCluster, *, port: int = 0, host: str = "127.0.0.1") -> Running:
    """Serve a cluster on a port (0: a free one). OSError when the port is taken."""
    runner = web.AppRunner(application(cluster), access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    address: Any = runner.addresses[0]
    controllers = asyncio.create_task(_run_controllers(cluster))
    return Running(f"http://{host}:{address[1]}", address[1], cluster, runner, controllers)


async def _run_controllers(cluster: EmbeddedCluster) -> None:
    while True:
        try:
            cluster.step()
        except Exception:  # noqa: BLE001 - one object that nobody foresaw must not stop all the others
            _log.exception("a step of the controllers failed")
        await asyncio.sleep(TICK_SECONDS)


@contextlib.asynccontextmanager
async def running(cluster: EmbeddedCluster | None = None, *, port: int = 0) -> AsyncIterator[str]:
    """Serve for the length of a block, which gets the URL: ``async with`` this."""
    server = await start(cluster or EmbeddedCluster(), port=port)
    try:
        yield server.url
    finally:
        await server.stop()


def serve(
    port: int, *, cluster: EmbeddedCluster | None = None, on_start: Callable[[Running], None] | None = None
) -> None:
    """Serve until SIGINT or SIGTERM; ``on_start`` is called when the port answers."""
    asyncio.run(_serve(port, cluster or EmbeddedCluster(), on_start))


async def _serve(port: int, cluster: EmbeddedCluster, on_start: Callable[[Running], None] | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = await start(cluster, port=port)
    try:
        if on_start is not None:
            on_start(server)
        await stop.wait()
    finally:
        await server.stop()


def write_kubeconfig(path: Path | str, url: str, *, namespace: str = "default") -> Path:
    """Write a kubeconfig whose only context is this server; returns its path."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "embedded", "cluster": {"server": url}}],
        "users": [{"name": "embedded", "user": {"token": "none-needed"}}],
        "contexts": [
            {"name": "embedded", "context": {"cluster": "embedded", "user": "embedded", "namespace": namespace}}
        ],
        "current-context": "embedded",
    }
    target = Path(path)
    target.write_text(yaml.safe_dump(document), encoding="utf-8")
    return target
