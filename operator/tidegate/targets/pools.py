"""A pool on a real cluster: its nodes, the pods on them, and the work that may stop. The loop's ``Pools``.

Read with three lists and one look a named member. Pods are counted by who controls them; none is kept.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass

from tidegate.planning.model import Ref
from tidegate.planning.resources import NOTHING, Resources, total
from tidegate.planning.shift.facts import Holder, MemberSeen, Occupancy, PoolSeen
from tidegate.planning.shift.model import Lane, MemberKind, MemberRef, Pool
from tidegate.ports import Held, Json, NotFoundError, Place, PoolSight, TidegateError
from tidegate.targets import jobs
from tidegate.targets.client import KubeClient
from tidegate.targets.jobs import seconds_of
from tidegate.targets.registry import KubeTargets
from tidegate.targets.rules import Rule, Where
from tidegate.targets.takes import pod_takes, there_is

log = logging.getLogger("tidegate.pools")

RULES = (Rule("", ("nodes", "pods"), ("list",), Where.CLUSTER), *jobs.RULES)
_ENDED = ("Succeeded", "Failed")
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

    async def see(self, pool: Pool) -> PoolSight:
        """See ``ports.Pools``."""
        nodes = await self._nodes(pool) if pool.given is None else None
        room = pool.given if pool.given is not None else total((nodes or {}).values())
        occupancy = await self._occupancy(None if nodes is None else nodes.keys())
        named = [one for lane in pool.lanes for member in lane.members for one in await self._members(lane, member)]
        # A Job that bears the labels of two members is the first one's: it is on its machine only once.
        found = list({one.seen.ref: one for one in reversed(named)}.values())[::-1]
        return PoolSight(
            PoolSeen(room, occupancy, tuple(one.seen for one in found), tuple((nodes or {}).values())),
            {one.seen.ref: (one.place, one.held) for one in found},
        )

    async def _nodes(self, pool: Pool) -> dict[str, Resources]:
        """The ready nodes that take pods, with their allocatable."""
        asked = {"labelSelector": ",".join(f"{name}={value}" for name, value in pool.node_selector)}
        ready = [node for node in await self._client.items("/api/v1/nodes", asked) if _ready(node)]
        return {n["metadata"]["name"]: there_is(n["status"].get("allocatable")) for n in ready}

    async def _occupancy(self, nodes: Collection[str] | None) -> dict[Holder, Occupancy]:
        """What the pods on these nodes (on any, for None) take, by who controls them."""
        used: dict[Holder, Resources] = {}
        youngest: dict[Holder, float] = {}
        async for pod in self._pods():
            node, status = pod["spec"].get("nodeName"), pod.get("status") or {}
            if not node or (nodes is not None and node not in nodes) or status.get("phase") in _ENDED:
                continue
            holder = holder_of(pod["metadata"])
            used[holder] = used.get(holder, NOTHING) + pod_takes(pod["spec"])
            youngest[holder] = max(youngest.get(holder, 0.0), seconds_of(status.get("startTime")) or 0.0)
        return {holder: Occupancy(amount, youngest[holder]) for holder, amount in used.items()}

    async def _pods(self) -> AsyncIterator[Json]:
        async for page in self._client.pages("/api/v1/pods"):
            for pod in page.get("items") or ():
                yield pod

    async def _members(self, lane: Lane, member: MemberRef) -> list[_Found]:
        """The objects that a member names. What cannot be looked at is left out, and the loop keeps what it knew."""
        try:
            if member.object_name is None:
                return await self._jobs(lane, member)
            if member.kind == "Job":
                path = f"/apis/batch/v1/namespaces/{member.namespace}/jobs/{member.object_name}"
                return self._of_jobs([await self._client.get(path)], lane, member)
            return await self._scaled(lane, member, member.object_name)
        except NotFoundError:
            return []
        except TidegateError as error:
            log.warning("member %s of lane %s cannot be looked at: %s", member.name, lane.name, error)
            raise

    async def _jobs(self, lane: Lane, member: MemberRef) -> list[_Found]:
        asked = {"labelSelector": ",".join(f"{name}={value}" for name, value in member.labels)}
        found = await self._client.items(f"/apis/batch/v1/namespaces/{member.namespace}/jobs", asked)
        return self._of_jobs(found, lane, member)

    def _of_jobs(self, documents: list[Json], lane: Lane, member: MemberRef) -> list[_Found]:
        made = (
            jobs.member_of(document, lane=lane.name, member=member.name, now=self._now())
            for document in documents
            if jobs.is_work(document)
        )
        return [_Found(*one) for one in made if one is not None]

    async def _scaled(self, lane: Lane, member: MemberRef, name: str) -> list[_Found]:
        """One object with ``/scale``. With an autoscaler in front it is that one's to drive, and lends nothing."""
        ref = Ref(member.api_version, member.kind, member.namespace, name)
        sight = await self._targets.see(ref)
        unit, level = sight.observed.unit, sight.observed.level
        if sight.place is None or sight.held is None or sight.place.ref != ref or unit is None or level is None:
            return []
        seen = MemberSeen(ref, lane.name, member.name, MemberKind.SCALE, unit, level)
        return [_Found(seen, sight.place, sight.held)]


def holder_of(metadata: Json) -> Holder:
    """Who controls a pod: the Deployment behind its ReplicaSet, or whatever is named; a pod alone is its own."""
    namespace = metadata.get("namespace", "")
    for reference in metadata.get("ownerReferences") or ():
        if reference.get("controller"):
            kind, name = str(reference.get("kind")), str(reference.get("name"))
            label = (metadata.get("labels") or {}).get(_HASH)
            if kind == "ReplicaSet" and label and name.endswith(f"-{label}"):
                return Holder(namespace, "Deployment", name.removesuffix(f"-{label}"))
            return Holder(namespace, kind, name)
    return Holder(namespace, "Pod", metadata.get("name", ""))


def _ready(node: Json) -> bool:
    """Whether a node is up and takes pods: what stands on one that does not is outside the pool."""
    if (node.get("spec") or {}).get("unschedulable"):
        return False
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
