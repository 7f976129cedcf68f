"""Watches the workloads that policies name, and the autoscalers in front of them, so that drift is seen at once.

One informer a kind (and namespace, in namespace scope), begun when a policy first names that kind. Only objects that a
policy drives are told of; the rest of a busy cluster passes by. A change of an object's status alone is told apart:
pods that start move it several times a second.
"""

from __future__ import annotations

import heapq
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

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
AT_ONCE = 4
"""Kinds that are looked for at the same time, of each namespace one: a policy may name what nobody serves."""
EACH = 8
"""Kinds of one namespace that are looked for each time that ``know`` is told, the longest unasked first. Judgment: more
than a namespace has; whoever invents a thousand has them looked for bit by bit."""

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
        self._lines: dict[str, deque[Kind]] = {}
        """Kinds that are to be looked for, by the namespace that names them; whose turn it is first."""
        self._looking: set[str] = set()
        """Namespaces for which a kind is being looked for."""
        self._turns: dict[str, float] = {}
        """When each namespace had its turn last."""

    def know(self, policies: Iterable[Policy], places: Iterable[Place | None]) -> None:
        """The workloads that matter now, and where their levels lie; begins to watch kinds that are new."""
        refs = {target.ref for policy in policies for target in policy.targets}
        self._known = refs | {place.ref for place in places if place is not None}
        for gone in self._specs.keys() - self._known:
            del self._specs[gone]
        named: dict[str, set[Kind]] = {}
        for ref in refs:
            named.setdefault(ref.namespace, set()).add((ref.api_version, ref.kind))
        self._line_up({"": {HPA}, **named} if named else {})
        self._look()

    def _line_up(self, named: Mapping[str, set[Kind]]) -> None:
        """Kinds that are due, by namespace; what no policy names any more is forgotten."""
        kinds = set().union(*named.values())
        self._asked = {kind: at for kind, at in self._asked.items() if kind in kinds or at == math.inf}
        self._turns = {namespace: at for namespace, at in self._turns.items() if namespace in named}
        self._lines, now = {}, time.monotonic()
        for namespace in sorted(named, key=lambda namespace: self._turns.get(namespace, 0.0)):
            due = [kind for kind in named[namespace] if self._asked.get(kind, 0.0) <= now]
            if due:
                first = heapq.nsmallest(EACH, due, key=lambda kind: (self._asked.get(kind, 0.0), kind))
                self._lines[namespace] = deque(first)

    def _look(self) -> None:
        """Look for a few of the kinds that stand in line."""
        for namespace in list(self._lines):
            if len(self._looking) >= AT_ONCE:
                return
            if namespace in self._looking:
                continue
            line, now = self._lines.pop(namespace), time.monotonic()
            while line and self._asked.get(line[0], 0.0) > now:  # another namespace names it, too
                line.popleft()
            if not line:
                continue
            kind = line.popleft()
            if line:
                self._lines[namespace] = line
            self._asked[kind], self._turns[namespace] = now + ASKED_AGAIN, now
            self._looking.add(namespace)
            self._group.once("watch a kind", self._look_for(kind, namespace))

    async def _look_for(self, kind: Kind, namespace: str) -> None:
        try:
            await self._begin(kind)
        finally:
            self._looking.discard(namespace)
        self._look()

    async def _begin(self, kind: Kind) -> None:
        try:
            resource = await self._discovery.find(*kind)
        except TidegateError as error:
            log.warning("%s cannot be watched: %s", kind[1], error)
            return
        # Of a kind without a level, whoever names it, nothing is kept: the target's trouble says so. It may gain one.
        if resource is None or (kind != HPA and not (resource.scale and resource.namespaced)):
            return
        if self._asked.get(kind) == math.inf:
            return  # forgotten and named again meanwhile, and looked for twice
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
