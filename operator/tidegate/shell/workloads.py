"""Watches the workloads that policies name, and the autoscalers in front of them, so that drift is seen at once.

One informer a kind (and namespace, in namespace scope), begun when a policy first names that kind. Only objects that a
policy drives wake the loop; the rest of a busy cluster passes by.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tidegate.planning.model import Policy, Ref
from tidegate.ports import Json, Place, TidegateError
from tidegate.shell.informer import Informer
from tidegate.targets.client import KubeClient
from tidegate.targets.discovery import Discovery

log = logging.getLogger("tidegate.workloads")

HPA = ("autoscaling/v2", "HorizontalPodAutoscaler")
Kind = tuple[str, str]


@dataclass(slots=True)
class WorkloadWatch:
    """Tells of changes to known objects."""

    client: KubeClient
    discovery: Discovery
    namespaces: tuple[str, ...] | None
    on_change: Callable[[Ref], None]
    _known: set[Ref] = field(default_factory=set)
    _informers: dict[tuple[Kind, str], Informer] = field(default_factory=dict)
    _asked: set[Kind] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def know(self, policies: Iterable[Policy], places: Iterable[Place | None]) -> None:
        """The workloads that matter now, and where their levels lie; begins to watch kinds that are new."""
        refs = {target.ref for policy in policies for target in policy.targets}
        self._known = refs | {place.ref for place in places if place is not None}
        kinds = {(ref.api_version, ref.kind) for ref in refs}
        for kind in (kinds | {HPA} if kinds else kinds) - self._asked:
            self._asked.add(kind)
            task = asyncio.create_task(self._begin(kind), name=f"watch {kind[1]}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End all watches."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for informer in self._informers.values():
            await informer.stop()

    async def _begin(self, kind: Kind) -> None:
        try:
            resource = await self.discovery.find(*kind)
        except TidegateError as error:
            log.warning("%s cannot be watched: %s", kind[1], error)
            self._asked.discard(kind)
            return
        if resource is None:
            return  # the target's trouble says so; looked for again when the process starts anew
        for scope in self.namespaces or ("",):
            informer = Informer(
                self.client,
                resource.path(scope),
                on_object=lambda what, obj, kind=kind: self._seen(kind, what, obj),  # type: ignore[misc]
                on_sync=lambda: None,
            )
            self._informers[kind, scope] = informer
            informer.start()

    def _seen(self, kind: Kind, what: str, obj: Json) -> None:
        metadata = obj["metadata"]
        ref = Ref(*kind, metadata.get("namespace", ""), metadata["name"])
        if ref in self._known:
            self.on_change(ref)
        elif kind == HPA and what != "MODIFIED":
            pointed = (obj.get("spec") or {}).get("scaleTargetRef") or {}
            at = Ref(pointed.get("apiVersion", ""), pointed.get("kind", ""), ref.namespace, pointed.get("name", ""))
            if at in self._known:
                self.on_change(at)
