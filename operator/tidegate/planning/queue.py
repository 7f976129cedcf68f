"""How much of each target may really be created, by facts that stand: what the shared queues count.

A policy's max, its autoscaler's maximum as last seen, whether there is a workload to drive at all, what its lane lets
its namespace have, and the boosts in force. Never what a pool grants now: that follows from these very queues.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.planning.model import Key, Observed, Policy, TargetKey, TargetSpec, Trouble
from tidegate.planning.override import Override, OverrideAction
from tidegate.planning.roster import Roster
from tidegate.planning.world import PoolWorld, World

UNDRIVABLE = frozenset({Trouble.MISSING, Trouble.NOT_SERVED, Trouble.NOT_SCALABLE, Trouble.FOREIGN_OWNER})
"""Troubles in which a floor creates nothing: there is no workload, or its level is not ours to write."""

Boosts = tuple[tuple[float, int], ...]
"""(until, percent), the earliest end first."""

MANY = 2**40
"""Units beyond which a boost adds nothing here: any max lies far below."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What bounds one target from outside its policy."""

    ceiling: int | None = None
    """Most units; None: nothing outside its policy bounds it."""
    boosts: Boosts = ()


UNBOUND = Bounds()


def bounds_of(world: World, roster: Roster, now: float) -> dict[TargetKey, Bounds]:
    """The bounds of all targets that have any."""
    found = {key: Bounds(most) for key, seen in world.observed.items() if (most := _of_workload(seen)) is not None}
    if world.pools:
        for key, target in roster.driven.items():
            policy = roster.policies[key[0]]
            one = world.pools.get(policy.pool) if policy.pool is not None else None
            if one is not None and target.lane is not None:
                seen = world.observed.get(key, Observed())
                ceilings = [m for m in (_of_workload(seen), _of_lane(one, target, key[0], seen)) if m is not None]
                found[key] = Bounds(min(ceilings, default=None))
    boosts = [one for one in world.overrides if one.action is OverrideAction.BOOST and now < one.until]
    for key, mine in _named(boosts, roster.policies):
        found[key] = Bounds(found.get(key, UNBOUND).ceiling, mine)
    return found


def boosted(units: NDArray[np.int64], boosts: Boosts, *, first: int, cell: float) -> NDArray[np.int64]:
    """Units by column, with the largest boost of those in force in it; several do not multiply, as in ``override``."""
    if not boosts:
        return units
    starts = np.arange(first, first + len(units)) * cell
    percent = np.zeros(len(units), dtype=np.int64)
    for until, more in boosts:
        np.maximum(percent, np.where(starts < until, more, 0), out=percent)
    raised = -(-(np.minimum(units, MANY) * (100 + percent)) // 100)
    return np.maximum(units, raised)


def _of_workload(seen: Observed) -> int | None:
    """Most units that the workload itself lets be created; None while nothing bounds it, or nobody can tell."""
    return 0 if seen.trouble in UNDRIVABLE else seen.maximum


def _of_lane(one: PoolWorld, target: TargetSpec, policy: Key, seen: Observed) -> int | None:
    """Most units that a lane lets a namespace have; None without a cap, or while it cannot be told."""
    lane = one.pool.lane(target.lane or "")
    rest = seen.loan.original if seen.loan is not None else seen.level or 0
    if lane is None or policy.namespace not in lane.allowed_namespaces:
        return rest
    unit = target.unit if seen.unit is None else seen.unit if target.unit is None else target.unit.most(seen.unit)
    capacity = one.pool.given or (one.seen.allocatable if one.seen is not None else None)
    if lane.cap is None or unit is None or capacity is None:
        return None
    return rest + unit.units_in(capacity.percent(lane.cap))


def _named(boosts: list[Override], policies: Mapping[Key, Policy]) -> Iterator[tuple[TargetKey, Boosts]]:
    by_policy: dict[Key, list[Override]] = {}
    for one in boosts:
        by_policy.setdefault(Key(one.key.namespace, one.policy), []).append(one)
    for key, ones in by_policy.items():
        of_all = tuple(sorted((one.until, one.percent) for one in ones if one.target is None))
        named = {one.target for one in ones}
        for target in policies[key].targets if key in policies else ():
            mine = of_all
            if target.name in named:
                mine = tuple(sorted((one.until, one.percent) for one in ones if one.target in (None, target.name)))
            if mine:
                yield (key, target.name), mine
