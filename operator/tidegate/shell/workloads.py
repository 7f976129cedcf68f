"""Watches the workloads that policies name, and the autoscalers in front of them, so that drift is seen at once.

One informer a kind (and namespace, in namespace scope), begun when a policy first names that kind. Only objects that a
policy drives are told of; the rest of a busy cluster passes by. A change of an object's status alone is told apart:
pods that start move it several times a second.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable

import orjson

from tidegate.planning.model import Policy, Ref
from tidegate.ports import Json, Place, TidegateError
from tidegate.shell.informer import Informer
from tidegate.shell.tasks import TaskGroup
from tidegate.targets.client import KubeClient
from tidegate.targets.discovery import Discovery
from tidegate.targets.shelf import Shelf

log = logging.getLogger("tidegate.workloads")

ASKED_AGAIN = 60.0
"""Seconds after which a kind that could not be watched, or was not served, is looked for again."""

HPA = ("autoscaling/v2", "HorizontalPodAutoscaler")
Kind = tuple[str, str]


class WorkloadWatch:
    """Tells of changes to known objects."""

    def __init__(
        self,
        client: KubeClient,
        discovery: Discovery,
        namespaces: tuple[str, ...] | None,
        *,
        group: TaskGroup,
        on_change: Callable[[Ref, bool], None],
        on_watch: Callable[[str, Callable[[], float]], None],
        shelf: Shelf,
    ) -> None:
        """``on_change`` is told which object changed, and whether more than its status did. ``on_watch`` is told the
        name and the age of each watch that begins. The ``shelf`` keeps what they show.
        """
        self._client = client
        self._discovery = discovery
        self._namespaces = namespaces
        self._group = group
        self._on_change = on_change
        self._on_watch = on_watch
        self._shelf = shelf
        self._informers: dict[tuple[Kind, str], Informer] = {}
        self._known: set[Ref] = set()
        self._specs: dict[Ref, object] = {}
        """What stands for the spec of each known object, as last seen."""
        self._asked: dict[Kind, float] = {}
        """Kinds that are watched (for ever) or were looked for, and when they may be looked for again."""

    def know(self, policies: Iterable[Policy], places: Iterable[Place | None]) -> None:
        """The workloads that matter now, and where their levels lie; begins to watch kinds that are new."""
        refs = {target.ref for policy in policies for target in policy.targets}
        self._known = refs | {place.ref for place in places if place is not None}
        for gone in self._specs.keys() - self._known:
            del self._specs[gone]
        kinds = {(ref.api_version, ref.kind) for ref in refs}
        now = time.monotonic()
        for kind in kinds | {HPA} if kinds else kinds:
            if self._asked.get(kind, 0.0) <= now:
                self._asked[kind] = now + ASKED_AGAIN
                self._group.once(f"watch {kind[1]}", self._begin(kind))

    async def _begin(self, kind: Kind) -> None:
        try:
            resource = await self._discovery.find(*kind)
        except TidegateError as error:
            log.warning("%s cannot be watched: %s", kind[1], error)
            return
        # Of a kind without a level, whoever names it, nothing is kept: the target's trouble says so. It may gain one.
        if resource is None or (kind != HPA and not (resource.scale and resource.namespaced)):
            return
        self._asked[kind] = math.inf
        for scope in self._namespaces or ("",):
            informer = Informer(
                self._client,
                resource.path(scope),
                on_object=lambda what, obj: self._seen(kind, what, obj),
                on_sync=lambda scope=scope: self._shelf.synced(kind, scope),  # type: ignore[misc]
            )
            self._informers[kind, scope] = informer
            name = f"{resource.plural} {kind[0]} {scope}".strip()
            self._on_watch(name, informer.age_seconds)
            self._group.keep(f"watch {name}", informer.run)

    def age(self, kind: Kind, scope: str) -> float:
        """Seconds since a kind's watch gave its last sign of life; infinite while it is not watching."""
        informer = self._informers.get((kind, scope))
        if informer is None or not informer.synced or informer.trouble:
            return math.inf
        return informer.age_seconds()

    def _seen(self, kind: Kind, what: str, obj: Json) -> None:
        self._shelf.seen(kind, what, obj)
        metadata = obj["metadata"]
        ref = Ref(*kind, metadata.get("namespace", ""), metadata["name"])
        if ref in self._known:
            spec = None if what == "DELETED" else spec_of(kind, obj)
            self._on_change(ref, spec is None or spec != self._specs.get(ref))
            self._specs[ref] = spec  # after that: a change that was not taken in is told again, as the same change
        elif kind == HPA and what != "MODIFIED":
            pointed = (obj.get("spec") or {}).get("scaleTargetRef") or {}
            at = Ref(pointed.get("apiVersion", ""), pointed.get("kind", ""), ref.namespace, pointed.get("name", ""))
            if at in self._known:
                self._on_change(at, True)


def spec_of(kind: Kind, obj: Json) -> object:
    """A value that changes when more than the object's status does; None when that cannot be told.

    The server counts changes of the spec in ``metadata.generation``; of autoscalers it does not.
    """
    metadata = obj["metadata"]
    if kind == HPA:
        spec = obj.get("spec") or {}
        bounds = spec.get("minReplicas"), spec.get("maxReplicas"), orjson.dumps(spec.get("scaleTargetRef"))
        return metadata.get("uid"), metadata.get("deletionTimestamp"), *bounds
    generation = metadata.get("generation")
    return (metadata.get("uid"), generation) if generation else None
