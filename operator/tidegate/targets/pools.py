"""A pool on a real cluster: its nodes, the pods on them, and the work that may stop. The loop's ``Pools``.

Read with lists of nodes and Jobs, one look a named member, and the pods as one watch for all pools shows them; while it
does not, they are listed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from tidegate.planning.model import UNKNOWN, Ref, Trouble
from tidegate.planning.reasons import SENTENCES, Reason
from tidegate.planning.resources import Resources, total
from tidegate.planning.shift.facts import NO_PODS, Holder, MemberSeen, Occupancy, PoolSeen, holder_of
from tidegate.planning.shift.model import CannotStop, Lane, MemberKind, MemberRef, Pool
from tidegate.ports import Held, Json, NotFoundError, Place, PoolSight, RefusedError, TidegateError
from tidegate.targets import jobs
from tidegate.targets.client import KubeClient
from tidegate.targets.errors import NotServedError
from tidegate.targets.podindex import PodIndex, Watched
from tidegate.targets.read import child, maps, text
from tidegate.targets.registry import KubeTargets
from tidegate.targets.rules import Rule, Where
from tidegate.targets.takes import there_is

log = logging.getLogger("tidegate.pools")

RULES = (
    Rule("", ("nodes",), ("list",), Where.CLUSTER),
    Rule("", ("pods",), ("list", "watch"), Where.CLUSTER),
    *jobs.RULES,
)
NOT_ENDED = "status.phase!=Succeeded,status.phase!=Failed"
"""Field selector of the pods that count."""
PAGE = 250
"""Pods, or nodes, of one page: about 20 ms to parse. So many Jobs are read in one go: 10 ms and more."""


@dataclass(frozen=True, slots=True)
class _Found:
    """One member object."""

    seen: MemberSeen
    place: Place
    held: Held


class KubePools:
    """``ports.Pools`` over an API server."""

    def __init__(
        self,
        client: KubeClient,
        targets: KubeTargets,
        *,
        now: Callable[[], float],
        watched: Callable[[], Watched | None] = lambda: None,
    ) -> None:
        """``watched``: the pods of the cluster as a watch shows them; None while they have to be listed."""
        self._client, self._targets, self._now, self._watched = client, targets, now, watched
        self._last: dict[tuple[str, str, str], list[_Found]] = {}
        """What was last seen of a member, by pool, lane and member."""
        self._podless: dict[str, dict[Ref, float]] = {}
        """By pool, scaled work that has no pods, and since when."""

    async def see(self, pool: Pool) -> PoolSight:
        """See ``ports.Pools``. A member that cannot be looked at is there as it was last seen, with ``seen=False``."""
        nodes, lost = await self._nodes(pool) if pool.given is None else (None, frozenset())
        room = pool.given if pool.given is not None else total((nodes or {}).values())
        shown = self._watched()
        pods_at = None if shown is None else self._now() - shown.age
        pods = await self._pods() if shown is None else shown.pods
        self._forget_others(pool)
        unseen: set[str] = set()
        cannot: dict[Ref, CannotStop] = {}
        named = [one for lane in pool.lanes for one in await self._members(pool, lane, unseen, cannot)]
        occupancy = await pods.occupancy(nodes, room, _namespaces(pool), lost)
        # A Job that bears the labels of two members is the first one's: it is on its machine only once.
        found = list({one.seen.ref: one for one in reversed(named)}.values())[::-1]
        podless = self._note_podless(pool, [one.seen for one in found], occupancy)
        members = (replace(one.seen, settled=True) if one.seen.ref in podless else one.seen for one in found)
        return PoolSight(
            PoolSeen(
                room,
                occupancy,
                tuple(members),
                tuple((nodes or {}).values()),
                tuple(cannot[ref] for ref in sorted(cannot)),
            ),
            {one.seen.ref: (one.place, one.held) for one in found},
            frozenset(unseen),
            pods_at,
        )

    async def _nodes(self, pool: Pool) -> tuple[dict[str, Resources], frozenset[str]]:
        """The ready nodes that take pods, with their allocatable; and the names of those that are not up: what stands
        there does not run. On one that is up and takes no pods it does.
        """
        found: dict[str, Resources] = {}
        lost: set[str] = set()
        selector = ",".join(f"{name}={value}" for name, value in pool.node_selector)
        async for nodes in self._pages("/api/v1/nodes", {"labelSelector": selector}):
            for node in nodes:
                name = text(child(node, "metadata").get("name"))
                if name and not _is_up(node):
                    lost.add(name)
                elif name and not child(node, "spec").get("unschedulable"):
                    found[name] = there_is(child(node, "status").get("allocatable"))
        return found, frozenset(lost)

    async def _pods(self) -> PodIndex:
        """All pods that have not ended, with their machines or without."""
        index = PodIndex()
        async for pods in self._pages("/api/v1/pods", {"fieldSelector": NOT_ENDED}):
            for pod in pods:
                index.put(pod)
        return index

    async def _pages(self, path: str, params: Mapping[str, str]) -> AsyncIterator[list[Json]]:
        """A list in pages, of which none is kept; after each of them others get their turn."""
        async for page in self._client.pages(path, size=PAGE, params=params):
            objects = maps(page.pop("items", None))
            yield objects
            objects.clear()
            await asyncio.sleep(0)

    async def _members(self, pool: Pool, lane: Lane, unseen: set[str], cannot: dict[Ref, CannotStop]) -> list[_Found]:
        """The objects that a lane's members name. One that does not exist (any more) is left out, and one that may not
        be stopped is told in ``cannot``; a lane with one of which nobody can tell is ``unseen``.
        """
        every = []
        for member in lane.members:
            key = (pool.name, lane.name, member.name)
            try:
                looked = await self._look(lane, member)
                found = [one for one in looked if isinstance(one, _Found)]
                cannot.update({one.ref: one for one in looked if isinstance(one, CannotStop)})
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

    def _note_podless(
        self, pool: Pool, members: Iterable[MemberSeen], occupancy: Mapping[Holder, Occupancy]
    ) -> frozenset[Ref]:
        """Scaled work that has had no pods for longer than its controller needs to make them."""
        now, before = self._now(), self._podless.get(pool.name, {})
        scaled = [one.ref for one in members if one.kind is MemberKind.SCALE and one.level]
        there = ((ref, occupancy.get(holder_of(ref), NO_PODS)) for ref in scaled)
        without = [ref for ref, pods in there if not (pods.pods or pods.waiting or pods.elsewhere)]
        since = self._podless[pool.name] = {ref: min(before.get(ref, now), now) for ref in without}
        return frozenset(ref for ref, at in since.items() if now - at > jobs.SETTLED)

    def _forget_others(self, pool: Pool) -> None:
        """Forget members that the pool names no more."""
        named = {(pool.name, lane.name, member.name) for lane in pool.lanes for member in lane.members}
        for key in [key for key in self._last if key[0] == pool.name and key not in named]:
            del self._last[key]

    async def _look(self, lane: Lane, member: MemberRef) -> list[_Found | CannotStop]:
        if member.object_name is None:
            return await self._jobs(lane, member)
        if member.kind == "Job":
            path = f"/apis/batch/v1/namespaces/{member.namespace}/jobs/{member.object_name}"
            return self._of_jobs([await self._client.find(path, member.object_name)], lane, member)
        return await self._scaled(lane, member, member.object_name)

    async def _jobs(self, lane: Lane, member: MemberRef) -> list[_Found | CannotStop]:
        asked = {"labelSelector": ",".join(f"{name}={value}" for name, value in member.labels)}
        found: list[_Found | CannotStop] = []
        async for documents in self._pages(f"/apis/batch/v1/namespaces/{member.namespace}/jobs", asked):
            found += self._of_jobs(documents, lane, member)
        return found

    def _of_jobs(self, documents: list[Json], lane: Lane, member: MemberRef) -> list[_Found | CannotStop]:
        """Those that have not ended. A Job that says nonsense costs its lane nothing but itself."""
        now: float = self._now()
        found: list[_Found | CannotStop] = []
        for document in filter(jobs.is_work, documents):
            made = jobs.member_of(document, lane=lane.name, member=member.name, now=now)
            found.append(made if isinstance(made, CannotStop) else _Found(*made))
        return found

    async def _scaled(self, lane: Lane, member: MemberRef, name: str) -> list[_Found | CannotStop]:
        """One object with ``/scale``. With an autoscaler in front it is that one's to drive, and lends nothing."""
        ref = Ref(member.api_version, member.kind, member.namespace, name)
        sight = await self._targets.see(ref)
        observed, place = sight.observed, sight.place
        if observed.trouble in UNKNOWN:
            raise RefusedError(observed.note)
        if observed.trouble is Trouble.MISSING:
            return []
        if observed.trouble is Trouble.FOREIGN_OWNER or observed.scaler is not None:
            driver = observed.note or f"{observed.scaler} scales it: what drives it would undo our change"
            return [CannotStop(ref, lane.name, Reason.OWNED_BY_OTHER_SCALER, driver)]
        if place is None or sight.held is None or observed.level is None or place.ref.identity != ref.identity:
            return [CannotStop(ref, lane.name, Reason.NOT_SCALABLE, observed.note or SENTENCES[Reason.NOT_SCALABLE])]
        if observed.unit is None:
            return [CannotStop(place.ref, lane.name, Reason.NO_REQUESTS, SENTENCES[Reason.NO_REQUESTS])]
        seen = MemberSeen(
            place.ref,
            lane.name,
            member.name,
            MemberKind.SCALE,
            observed.unit,
            observed.level,
            refused=sight.refused,
        )
        return [_Found(seen, place, sight.held)]


def _namespaces(pool: Pool) -> set[str]:
    """Where the work and the borrowers of a pool are."""
    return {name for lane in pool.lanes for name in (*lane.allowed_namespaces, *(m.namespace for m in lane.members))}


def _is_up(node: Json) -> bool:
    """Whether its kubelet says that it is ready."""
    conditions = maps(child(node, "status").get("conditions"))
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
