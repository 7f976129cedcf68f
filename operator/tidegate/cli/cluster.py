"""The world for commands that plan, from the cluster that KUBECONFIG names: read with the operator's own adapters.

Whoever runs the command may be allowed less than the operator. What could not be read is told in words, together with
what follows from that for what is shown.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from tidegate.api.learned import learned_from_object, learned_to_object
from tidegate.api.loan import loan_from_object, loan_to_object
from tidegate.api.parse import parse_pool
from tidegate.api.problems import InvalidObject
from tidegate.cli.world import Given, given_of, name_of, unread_pool
from tidegate.control.drains import drained
from tidegate.control.drift import state_of
from tidegate.control.poollooker import PoolLook
from tidegate.control.poolwork import mark_of
from tidegate.control.sizes import as_admitted, on_pool
from tidegate.control.stop import NAME, stop_path
from tidegate.planning.model import Key, Policy, TargetKey
from tidegate.planning.shift.facts import PoolSeen
from tidegate.planning.world import PoolWorld, World
from tidegate.ports import Learned, Loan, NotFoundError, PoolSight, RefusedError, TidegateError
from tidegate.targets.client import KubeClient
from tidegate.targets.learned import KubeLearnedBook
from tidegate.targets.loans import KubeLoanBook
from tidegate.targets.pools import KubePools
from tidegate.targets.registry import KubeTargets

if TYPE_CHECKING:
    from tidegate.planning.shift.model import Pool

GROUP = "/apis/tidegate.dev/v1alpha1"
T = TypeVar("T")
KINDS = (("scalingpolicies", "ScalingPolicy"), ("liveevents", "LiveEvent"), ("overrides", "Override"))


@dataclass(slots=True)
class Reading:
    """One read of a cluster as of an instant."""

    client: KubeClient
    namespace: str | None
    now: float
    notes: list[str] = field(default_factory=list)
    """What could not be read, and what follows from that: one sentence each."""

    async def world(self) -> Given:
        """All that a plan is made from. TidegateError where there is nothing to plan with."""
        given = given_of(await self._documents(), self.now, observed={}, namespace=self.namespace)
        policies = given.world.policies
        loans, learned = await self._loans(), await self._learned()
        world = replace(
            given.world,
            observed=await self._observed(policies, loans),
            measured={(one.of, name): seen for one in learned if one.of.namespace for name, seen in one.starts.items()},
            stopped=await self._stopped(),
        )
        world, problems = await self._with_pools(world, loans, {one.of: one for one in learned})
        return replace(
            given,
            world=world,
            learned={one.of: one for one in learned},
            assumed=False,
            problems=given.problems + problems,
            notes=given.notes + self.notes,
        )

    async def _documents(self) -> list[dict[str, Any]]:
        """Policies, events and overrides: of all namespaces, since they share pools and the making of pods."""
        try:
            return await self._listed("")
        except RefusedError as error:
            if self.namespace is None:
                raise
            self.notes.append(
                f"only namespace {self.namespace} was read ({error}): what the others need of the same pools, and of"
                " the cluster's making of pods, is not counted"
            )
            return await self._listed(f"/namespaces/{self.namespace}")

    async def _listed(self, scope: str) -> list[dict[str, Any]]:
        documents: list[dict[str, Any]] = []
        for plural, kind in KINDS:
            try:
                items = await self.client.items(f"{GROUP}{scope}/{plural}")
            except NotFoundError:
                if kind != "Override":  # a cluster whose CRDs are older has none
                    raise
                items = []
            documents += [{**item, "kind": kind} for item in items]
        return documents

    async def _loans(self) -> list[Loan]:
        book = KubeLoanBook(self.client, self._namespaces(), to_object=loan_to_object, from_object=loan_from_object)
        follows = "what is lent counts as its owner's own level, so that no step down and no return is shown"
        return [one for one in await self._or_none(book.list, "Loans", follows) if isinstance(one, Loan)]

    async def _learned(self) -> Sequence[Learned]:
        book = KubeLearnedBook(
            self.client, self._namespaces(), home="", to_object=learned_to_object, from_object=learned_from_object
        )
        follows = (
            "start times, drains and sizes of pods are the guesses of policies and pools, not what the operator has"
            " measured"
        )
        return await self._or_none(book.list, "Learned", follows)

    def _namespaces(self) -> list[str] | None:
        """None: all."""
        return [self.namespace] if self.namespace is not None and self.notes else None

    async def _or_none(self, read: Callable[[], Awaitable[Sequence[T]]], what: str, follows: str) -> Sequence[T]:
        """What is read, or nothing and a note."""
        try:
            return await read()
        except NotFoundError:
            return ()  # the cluster does not serve that kind: the operator has none either
        except RefusedError as error:
            self.notes.append(f"{what} could not be read ({error}): {follows}")
            return ()

    async def _stopped(self) -> bool:
        """Whether the durable stop is set (``tidegate release``)."""
        home = os.environ.get("TIDEGATE_OPERATOR_NAMESPACE", "tidegate")
        try:
            await self.client.find(stop_path(home, NAME), NAME)
        except NotFoundError:
            return False
        except RefusedError as error:
            self.notes.append(
                f"whether the operator was stopped (tidegate release) could not be read ({error}): if it was,"
                " nothing of what is shown is done until tidegate resume"
            )
            return False
        return True

    async def _observed(self, policies: Mapping[Key, Policy], loans: Iterable[Loan]) -> dict[TargetKey, Any]:
        lent = {(loan.policy, loan.target): state_of(loan, self.now) for loan in loans if loan.hand_over is None}
        targets, observed = KubeTargets(self.client), {}
        for key, policy in policies.items():
            for target in policy.targets:
                seen = (await targets.see(target.ref)).observed
                observed[key, target.name] = replace(seen, loan=lent.get((key, target.name)))
        return observed

    # ---- pools

    async def _with_pools(
        self, world: World, loans: Sequence[Loan], learned: Mapping[Key, Learned]
    ) -> tuple[World, list[str]]:
        """The world with the pools that its policies name. On one that could not be read there is room for all."""
        named = {policy.pool for policy in world.policies.values() if policy.pool is not None}
        if not named:
            return world, []
        try:
            documents = await self.client.items(f"{GROUP}/capacitypools")
        except RefusedError as error:
            return self._roomy(world, dict.fromkeys(named, str(error))), []
        pools, problems = _parsed(documents, self.now)
        look, worlds, unread = KubePools(self.client, KubeTargets(self.client), now=lambda: self.now), {}, {}
        for name in sorted(named & pools.keys()):
            try:
                sight = await look.see(pools[name])
            except TidegateError as error:
                unread[name] = str(error)
                continue
            self._measured_work(pools[name])
            sized = replace(sight, seen=_sized(sight.seen, name, world, learned))
            worlds[name] = pool_world(pools[name], sized, loans, learned.get(Key("", name)), self.now)
        return self._roomy(replace(world, pools=worlds), unread), problems

    def _measured_work(self, pool: Pool) -> None:
        for lane in pool.lanes:
            for member in lane.members:
                if member.work is not None and member.work.query is not None:
                    self.notes.append(
                        f"CapacityPool {pool.name}: how much work {member.name} (lane {lane.name}) has left is"
                        " measured, and metrics are not read here: it is planned as work of which nobody can tell"
                    )

    def _roomy(self, world: World, unread: Mapping[str, str]) -> World:
        """Leave out pools that could not be read, and say so."""
        for name, why in sorted(unread.items()):
            self.notes.append(unread_pool(name, why))
        policies = {
            key: replace(policy, pool=None) if policy.pool in unread else policy
            for key, policy in world.policies.items()
        }
        return replace(world, policies=policies)


def _sized(seen: PoolSeen, pool: str, world: World, learned: Mapping[Key, Learned]) -> PoolSeen:
    """A pool on which targets that have no pods are as large as the operator last saw their pods."""
    told = []
    for key, ref in on_pool(world.policies, pool):
        extra = learned[key[0]].sizes.get(key[1]) if key[0] in learned else None
        if extra is not None and key in world.observed:
            told.append((ref, world.observed[key].unit, extra))
    return as_admitted(seen, told)


def pool_world(pool: Pool, sight: PoolSight, loans: Iterable[Loan], learned: Learned | None, now: float) -> PoolWorld:
    """What the planning of a pool is told, from one look at it and the operator's records."""
    look = PoolLook(sight, asked=0, at=now)
    marks = {}
    for loan in loans:
        if loan.hand_over is not None and loan.hand_over.pool == pool.name:
            there = look.of(loan)
            marks[there[0].ref if there is not None else loan.place.ref] = mark_of(loan)
    measured = {(pool.name, lane): seen for lane, seen in learned.drains.items()} if learned is not None else {}
    return PoolWorld(
        pool=drained(pool, measured),
        seen=sight.seen,
        marks=marks,
        remaining={
            member.name: member.work.given for lane in pool.lanes for member in lane.members if member.work is not None
        },
        promises=learned.granted if learned is not None else (),
    )


def _parsed(documents: Iterable[Mapping[str, Any]], now: float) -> tuple[dict[str, Pool], list[str]]:
    """(pools by name, what is wrong with those that cannot be used)."""
    pools, problems = {}, []
    for document in documents:
        try:
            pool = parse_pool({**document, "kind": "CapacityPool"}, now=now)
        except InvalidObject as error:
            problems += [f"CapacityPool/{name_of(document)}: {problem}" for problem in error.problems]
        else:
            pools[pool.name] = pool
    return pools, problems


async def read_cluster(namespace: str | None, now: float) -> Given:
    """The world as it stands in the cluster that KUBECONFIG names."""
    client = await KubeClient.connect()
    try:
        return await Reading(client, namespace, now).world()
    finally:
        await client.close()
