"""Pods that have not ended, trimmed to what pools are planned with: where each stands, what it takes, and who controls
it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple

from tidegate.planning.resources import NOTHING, Resources
from tidegate.planning.shift.facts import Holder, Occupancy
from tidegate.ports import Json
from tidegate.targets.read import child, instant, maps, text
from tidegate.targets.takes import admitted_takes

AT_ONCE = 2000
"""Pods that are counted in one go: a few milliseconds."""
_ENDED = ("Succeeded", "Failed")
_HASH = "pod-template-hash"
"""Label by which the ReplicaSet of a Deployment tells its pods: the end of its own name."""


class PodSeen(NamedTuple):
    """One pod."""

    holder: Holder
    node: str
    """Empty: no machine was found for it yet."""
    takes: Resources
    started: float


@dataclass(slots=True)
class _Sum:
    """The pods of one holder, while they are counted."""

    cpu: int = 0
    memory: int = 0
    youngest: float = 0.0
    pods: int = 0
    largest: Resources = NOTHING
    elsewhere: int = 0
    waiting: int = 0

    def told(self) -> Occupancy:
        return Occupancy(
            Resources(self.cpu, self.memory), self.youngest, self.pods, self.largest, self.elsewhere, self.waiting
        )


class Watched(NamedTuple):
    """What a watch shows of pods."""

    pods: PodIndex
    age: float
    """Seconds by which it may be behind."""


@dataclass(slots=True)
class PodIndex:
    """Pods by node, and those that have none."""

    _pods: dict[str, PodSeen] = field(default_factory=dict)
    """By uid."""
    _on: dict[str, dict[str, PodSeen]] = field(default_factory=lambda: defaultdict(dict))
    """By node, then by uid; by namespace those that have no node."""
    _of: dict[str, dict[str, PodSeen]] = field(default_factory=lambda: defaultdict(dict))
    """By namespace, then by uid."""

    def __len__(self) -> int:
        return len(self._pods)

    def put(self, pod: Json) -> None:
        """A pod as it is now; one that has ended is forgotten."""
        metadata, seen = child(pod, "metadata"), seen_pod(pod)
        uid = text(metadata.get("uid")) or f"{text(metadata.get('namespace'))}/{text(metadata.get('name'))}"
        self.drop(uid)
        if seen is not None:
            self._pods[uid] = seen
            self._on[seen.node][uid] = seen
            self._of[seen.holder.namespace][uid] = seen

    def drop(self, uid: str) -> None:
        """A pod is gone."""
        before = self._pods.pop(uid, None)
        if before is not None:
            _forget(self._on, before.node, uid)
            _forget(self._of, before.holder.namespace, uid)

    async def occupancy(
        self,
        nodes: Mapping[str, Resources] | None,
        room: Resources,
        namespaces: Collection[str],
        lost: Collection[str] = (),
    ) -> dict[Holder, Occupancy]:
        """The pods on these nodes by who controls them, and beside them all pods of these namespaces. Without nodes
        every pod that has one counts as standing here; one on a node that is ``lost`` waits for another. No pod takes
        more than its node has: what a kubelet refuses must not fill a pool. Others get their turn in between.
        """
        sums: dict[Holder, _Sum] = defaultdict(_Sum)
        counted = 0
        most = room if nodes is None else largest(nodes.values())
        for name in list(self._on) if nodes is None else nodes:
            here = self._on.get(name, {}) if name else {}
            has = room if nodes is None else nodes.get(name, NOTHING)
            for part in _parts(here):
                for pod in part:
                    _stands(sums[pod.holder], pod, has)
                counted = await _breathe(counted + len(part))
        for namespace in namespaces:
            for part in _parts(self._of.get(namespace, {})):
                for pod in part:
                    one = sums[pod.holder]
                    one.largest = one.largest.most(pod.takes.least(most))
                    if not pod.node or pod.node in lost:
                        one.waiting += 1
                    elif nodes is not None and pod.node not in nodes:
                        one.elsewhere += 1
                counted = await _breathe(counted + len(part))
        return {holder: one.told() for holder, one in sums.items()}


def largest(amounts: Iterable[Resources]) -> Resources:
    """The most of each resource."""
    return reduce(Resources.most, amounts, NOTHING)


def seen_pod(pod: Json) -> PodSeen | None:
    """A pod, trimmed; None for one that has ended."""
    metadata, spec, status = child(pod, "metadata"), child(pod, "spec"), child(pod, "status")
    if status.get("phase") in _ENDED:
        return None
    started = instant(status.get("startTime")) or 0.0
    return PodSeen(holder_of(metadata), text(spec.get("nodeName")), admitted_takes(spec, status), started)


def holder_of(metadata: Json) -> Holder:
    """Who controls a pod: the Deployment behind its ReplicaSet, or whatever is named; a pod alone is its own."""
    namespace = text(metadata.get("namespace"))
    for reference in maps(metadata.get("ownerReferences")):
        if reference.get("controller"):
            kind, name = text(reference.get("kind")), text(reference.get("name"))
            label = text(child(metadata, "labels").get(_HASH))
            if kind == "ReplicaSet" and label and name.endswith(f"-{label}"):
                return Holder(namespace, "Deployment", name.removesuffix(f"-{label}"))
            return Holder(namespace, kind, name)
    return Holder(namespace, "Pod", text(metadata.get("name")))


def _parts(pods: Mapping[str, PodSeen]) -> Iterator[list[PodSeen]]:
    """Pods as they are now, so many at a time as are counted in one go: they may change in between."""
    every = list(pods.values())
    return (every[first : first + AT_ONCE] for first in range(0, len(every), AT_ONCE))


async def _breathe(counted: int) -> int:
    """Give others their turn after some pods; how many were counted since."""
    if counted < AT_ONCE:
        return counted
    await asyncio.sleep(0)
    return 0


def _stands(one: _Sum, pod: PodSeen, has: Resources) -> None:
    takes = pod.takes.least(has)
    one.cpu += takes.cpu
    one.memory += takes.memory
    one.youngest = max(one.youngest, pod.started)
    one.pods += 1
    one.largest = one.largest.most(takes)


def _forget(book: dict[str, dict[str, PodSeen]], key: str, uid: str) -> None:
    kept = book.get(key)
    if kept is not None:
        kept.pop(uid, None)
        if not kept:
            del book[key]
