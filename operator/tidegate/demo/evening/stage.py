"""The stage of the evening: the five services, and what is announced to them; in the end its policy is deleted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar

from tidegate.demo.evening.demand import POLICY_ENDS
from tidegate.demo.evening.objects import CREATION_RATE, announced, objects_before, resting
from tidegate.demo.objects import NAMESPACE, POLICY
from tidegate.demo.stage import Stage
from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.shell.clock import ScheduledClock
from tidegate.simulation.scenario import Scenario, Service


class EveningStage(Stage):
    """The cluster of the evening. Tidegate has each workload alone: its level is the Deployment's ``replicas``."""

    levels: ClassVar[tuple[str, str]] = ("apps", "deployments")
    level_field: ClassVar[str] = "replicas"

    def __init__(self, played: Scenario, clock: ScheduledClock, share: float = 1.0) -> None:
        """``share``: how much is announced, of what comes."""
        super().__init__(
            played,
            clock,
            namespace=NAMESPACE,
            creation_rate=CREATION_RATE,
            before=objects_before(),
            announced=announced(share),
        )

    def _owners_level(self, service: Service) -> int:
        return resting(service)

    def _beside(self, cluster: EmbeddedCluster) -> AbstractAsyncContextManager[object]:
        return self._closing(cluster)

    @asynccontextmanager
    async def _closing(self, cluster: EmbeddedCluster) -> AsyncIterator[None]:
        """A floor that follows demand is lent for as long as its policy stands: somebody deletes it after the sale."""
        task = asyncio.create_task(self._delete_policy(cluster))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _delete_policy(self, cluster: EmbeddedCluster) -> None:
        while True:
            await asyncio.sleep(0.02)
            if self._clock.now() >= POLICY_ENDS:
                break
        cluster.delete("tidegate.dev/v1alpha1", "ScalingPolicy", POLICY, namespace=NAMESPACE)
