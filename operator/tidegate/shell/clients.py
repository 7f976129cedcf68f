"""The process's connections to the API server: one client for each kind of work.

A client lets a bounded number of requests through at a time. Were there one for all, sixteen looks that hang would
hold up every write, and statuses that hang every look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from tidegate.shell.settings import Settings
from tidegate.targets.client import LOOKS, KubeClient, Limits
from tidegate.targets.discovery import Discovery

CONNECTED = 30.0
"""Seconds until a configuration must be found: a kubeconfig may call a program for its credentials."""


@dataclass(frozen=True, slots=True)
class Clients:
    """All of them."""

    watches: KubeClient
    looks: KubeClient
    writes: KubeClient
    pools: KubeClient
    status: KubeClient
    """Status and Events."""
    status_discovery: Discovery

    @classmethod
    async def connect(cls, settings: Settings) -> Clients:
        """Find the cluster; sends nothing. RefusedError with what was looked for; then none is open."""
        made: list[KubeClient] = []

        async def one(limits: Limits) -> KubeClient:
            made.append(await _connect(lambda: KubeClient.connect(url=settings.api_url, limits=limits)))
            await asyncio.sleep(0)  # each reads the certificates of all authorities: 40 ms
            return made[-1]

        try:
            status = await one(Limits(total=5.0, attempts=1, parallel=8))  # its queue tries again by itself
            return cls(
                watches=await one(Limits()),
                # Twice the slots: a gate lets as many again begin while half of them hang.
                looks=await one(replace(LOOKS, parallel=2 * settings.look_slots)),
                writes=await one(Limits(parallel=2 * settings.write_slots)),
                pools=await one(Limits()),
                status=status,
                status_discovery=Discovery(status),
            )
        except BaseException:
            await _close(made)
            raise

    async def close(self) -> None:
        """Drop the connections."""
        await _close([self.watches, self.looks, self.writes, self.pools, self.status])


async def _connect(connect: Callable[[], Awaitable[KubeClient]]) -> KubeClient:
    async with asyncio.timeout(CONNECTED):
        return await connect()


async def _close(clients: list[KubeClient]) -> None:
    await asyncio.gather(*(client.close() for client in clients), return_exceptions=True)
