"""A pool on a real cluster: its nodes, the pods on them, and the work that may stop. The loop's ``Pools``.

Read with three lists and one look a named member. Pods are counted by who controls them; none is kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace

from tidegate.planning.model import UNKNOWN, Ref
from tidegate.planning.resources import Resources, total
from tidegate.planning.shift.facts import Holder, MemberSeen, Occupancy, PoolSeen
from tidegate.planning.shift.model import Lane, MemberKind, MemberRef, Pool
from tidegate.ports import Held, Json, NotFoundError, Place, PoolSight, RefusedError, TidegateError
from tidegate.targets import jobs
from tidegate.targets.client import KubeClient
from tidegate.targets.errors import NotServedError
from tidegate.targets.read import child, instant, maps, text
from tidegate.targets.registry import KubeTargets
from tidegate.targets.rules import Rule, Where
from tidegate.targets.takes import pod_takes, there_is

log = logging.getLogger("tidegate.pools")

RULES = (Rule("", ("nodes", "pods"), ("list",), Where.CLUSTER), *jobs.RULES)
_ENDED = ("Succeeded", "Failed")
ON_NODES = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
"""Field selector of the pods that count."""
PAGE = 250
"""Pods, or nodes, of one page: about 20 ms to parse."""
_HASH = "pod-template-hash"
"""Label by which the ReplicaSet of a Deployment tells its pods: the end of its own name."""


@dataclass(frozen=True, slots=True)
class _Found:
    """One member object."""

    seen: MemberSeen
    place: Place
    held: Held


class KubePools:
    """``ports.Pools`` over an API server."""

    def __init__(self, client: KubeClient, targets: KubeTargets, *, now: Callable[[], float]) -> None:
        self._client, self._targets, self._now = client, targets, now
        self._last: dict[tuple[str, str, str], list[_Found]] = {}
        """What was last seen of a member, by pool, lane and member."""

    async def see(self, pool: Pool) -> PoolSight:
        """See ``ports.Pools``. A member that cannot be looked at is there as it was last seen, with ``seen=False``."""
        nodes = await self._nodes(pool) if pool.given is None else None
        room = pool.given if pool.given is not None else total((nodes or {}).values())
        occupancy = await self._occupancy(nodes, room)
        self._forget_others(pool)
        unseen: set[str] = set()
        named = [one for lane in pool.lanes for one in await self._members(pool, lane, unseen)]
        # A Job that bears the labels of two members is the first one's: it is on its machine only once.
        found = list({one.seen.ref: one for one in reversed(named)}.values())[::-1]
        return PoolSight(
            PoolSeen(room, occupancy, tuple(one.seen for one in found), tuple((nodes or {}).values())),
            {one.seen.ref: (one.place, one.held) for one in found},
            frozenset(unseen),
        )

    async def _nodes(self, pool: Pool) -> dict[str, Resources]:
        """The ready nodes that take pods, with their allocatable."""
        found = {}
        selector = ",".join(f"{name}={value}" for name, value in pool.node_selector)
        async for nodes in self._pages("/api/v1/nodes", {"labelSelector": selector}):
            for node in filter(_ready, nodes):
                if name := text(child(node, "metadata").get("name")):
                    found[name] = there_is(child(node, "status").get("allocatable"))
        return found

    async def _occupancy(self, nodes: Mapping[str, Resources] | None, room: Resources) -> dict[Holder, Occupancy]:
        """What the pods on these nodes (on any, for None) take, by who controls them. No pod takes more than its node
        has: what a kubelet refuses must not fill a pool.
        """
        used: dict[Holder, list[int]] = {}
        youngest: dict[Holder, float] = {}
        async for pods in self._pages("/api/v1/pods", {"fieldSelector": ON_NODES}):
            for pod in pods:
                spec, status = child(pod, "spec"), child(pod, "status")
                node = text(spec.get("nodeName"))
                has = room if nodes is None else nodes.get(node)
                if not node or has is None or status.get("phase") in _ENDED:
                    continue
                holder, takes = holder_of(child(pod, "metadata")), pod_takes(spec)
                sums = used.setdefault(holder, [0, 0])
                sums[0] += min(takes.cpu, has.cpu)
                sums[1] += min(takes.memory, has.memory)
                youngest[holder] = max(youngest.get(holder, 0.0), instant(status.get("startTime")) or 0.0)
        return {holder: Occupancy(Resources(*sums), youngest[holder]) for holder, sums in used.items()}

    async def _pages(self, path: str, params: Mapping[str, str]) -> AsyncIterator[list[Json]]:
        """A list in pages, of which none is kept; after each of them others get their turn."""
        async for page in self._client.pages(path, size=PAGE, params=params):
            yield maps(page.get("items"))
            await asyncio.sleep(0)

    async def _members(self, pool: Pool, lane: Lane, unseen: set[str]) -> list[_Found]:
        """The objects that a lane's members name. One that does not exist (any more) is left out; a lane with one of
        which nobody can tell is ``unseen``.
        """
        every = []
        for member in lane.members:
            key = (pool.name, lane.name, member.name)
            try:
                found = await self._look(lane, member)
            except TidegateError as error:
                if isinstance(error, NotFoundError) and not isinstance(error, NotServedError):
                    self._last[key] = []
                    continue
                log.warning("member %s of lane %s cannot be looked at: %s", member.name, lane.name, error)
                unseen.add(lane.name)
                found = [replace(one, seen=replace(one.seen, seen=False)) for one in self._last.get(key, ())]
            self._last[key] = found
            every += found
        return every

    def _forget_others(self, pool: Pool) -> None:
        """Forget members that the pool names no more."""
        named = {(pool.name, lane.name, member.name) for lane in pool.lanes for member in lane.members}
        for key in [key for key in self._last if key[0] == pool.name and key not in named]:
            del self._last[key]

    async def _look(self, lane: Lane, member: MemberRef) -> list[_Found]:
        if member.object_name is None:
            return await self._jobs(lane, member)
        if member.kind == "Job":
            path = f"/apis/batch/v1/namespaces/{member.namespace}/jobs/{member.object_name}"
            return self._of_jobs([await self._client.get(path)], lane, member)
        return await self._scaled(lane, member, member.object_name)

    async def _jobs(self, lane: Lane, member: MemberRef) -> list[_Found]:
        asked = {"labelSelector": ",".join(f"{name}={value}" for name, value in member.labels)}
        found = await self._client.items(f"/apis/batch/v1/namespaces/{member.namespace}/jobs", asked)
        return self._of_jobs(found, lane, member)

    def _of_jobs(self, documents: list[Json], lane: Lane, member: MemberRef) -> list[_Found]:
        """Those that can be read: a Job that says nonsense costs its lane nothing but itself."""
        now, found = self._now(), []
        for document in filter(jobs.is_work, documents):
            made = jobs.member_of(document, lane=lane.name, member=member.name, now=now)
            if made is None:
                name = text(child(document, "metadata").get("name"))
                log.info("job %s of lane %s is left out: nobody can tell what its pods take", name, lane.name)
            else:
                found.append(_Found(*made))
        return found

    async def _scaled(self, lane: Lane, member: MemberRef, name: str) -> list[_Found]:
        """One object with ``/scale``. With an autoscaler in front it is that one's to drive, and lends nothing."""
        ref = Ref(member.api_version, member.kind, member.namespace, name)
        sight = await self._targets.see(ref)
        unit, level = sight.observed.unit, sight.observed.level
        if sight.observed.trouble in UNKNOWN:
            raise RefusedError(sight.observed.note)
        if sight.place is None or sight.held is None or unit is None or level is None:
            return []
        if sight.place.ref.identity != ref.identity:
            return []
        seen = MemberSeen(sight.place.ref, lane.name, member.name, MemberKind.SCALE, unit, level)
        return [_Found(seen, sight.place, sight.held)]


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


def _ready(node: Json) -> bool:
    """Whether a node is up and takes pods: what stands on one that does not is outside the pool."""
    if child(node, "spec").get("unschedulable"):
        return False
    conditions = maps(child(node, "status").get("conditions"))
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
