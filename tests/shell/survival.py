"""Random worlds in which the leader dies at some instant, and the next one decides on what is left in the cluster.

    python tests/shell/survival.py [--worlds 500] [--seed 1]

A world has one to three policies of unequal workloads that start slower than is guessed, events, overrides, and edits
of events, overrides and policies into something invalid. Half of the worlds have a pool, whose work lends its machines:
lanes, Jobs and a Deployment, notices, drains that are learned, deadlines; it may be edited into something invalid, too.
What both leaders say at the instant of the death must be equal: of each target level, action, next write and its
instant, and until when it is borrowed; of each piece of work where its hand-over stands, its level, until when that
lasts, what was told and promised, and what is to be done now.
"""

# ruff: noqa: T201 - a program for the terminal

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import random
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path += [str(Path(__file__).parents[1] / room) for room in ("control", "planning")]

from fakes import HandClock, Leader, NoMetrics, Shelf, Sink, Thing, key_of
from pool_worlds import POOL, with_pool
from pooled import FakePools, PooledCluster, Work
from worlds import NS, T0

from tidegate.api.learned import learned_from_object, learned_to_object
from tidegate.api.loan import loan_from_object, loan_to_object
from tidegate.api.walltime import to_rfc3339
from tidegate.control.loop import Loop, LoopSettings
from tidegate.planning.decision import PoolView, TargetPlan
from tidegate.planning.model import Key, PlanSettings
from tidegate.planning.shift.handover import Do
from tidegate.shell.store import WatchedStore
from tidegate.targets.learned import learned_name

Json = dict[str, Any]
Said = dict[str, tuple[object, ...]]

BEFORE, AFTER = 5400.0, 3600.0
"""Seconds before and after T0 in which things happen."""
BEAT = 15.0
WITH_POOL = 3600.0
"""Seconds before the death from which on things happen on a pool: timetables take long to make."""
UNRECORDED = 6.0
"""Seconds after an edit within which the version before it may not be on record."""

INVALID: dict[str, Json] = {
    "LiveEvent": {"expected": {"orders": -1}},
    "Override": {"until": "soon"},
    "ScalingPolicy": {"targets": []},
    "CapacityPool": {"lanes": []},
}


@dataclass
class World:
    """What people wrote, and the cluster; outlives every leader."""

    dice: random.Random
    lent: random.Random | None = None
    """Draws the pool; None: there is none."""
    objects: dict[tuple[str, str], Json] = field(default_factory=dict)
    cluster: PooledCluster = field(init=False)
    shelf: Shelf = field(default_factory=Shelf)

    def __post_init__(self) -> None:
        self.cluster = PooledCluster(HandClock(T0 - BEFORE), {})
        for policy in range(self.dice.randint(1, 3)):
            self._policy(f"p{policy}")
        for event in range(self.dice.randint(1, 4)):
            self._event(f"e{event}")
        for override in range(self.dice.randint(0, 2)):
            self._override(f"o{override}")
        if self.lent is not None:
            self._pool(self.lent)

    def _pool(self, dice: random.Random) -> None:
        """Let most of the policies share machines with work that may stop."""
        standing = 0
        for name in self._policies():
            if dice.random() < 0.2:
                continue
            spec = self.objects["ScalingPolicy", name]["spec"]
            spec["poolRef"] = {"name": POOL}
            for target in spec["targets"]:
                target["lane"] = "trading"
                plain = self.cluster.things[target["name"]]
                work = Work(uid=plain.uid, start_seconds=plain.start_seconds, stop_seconds=10.0)
                self.cluster.things[target["name"]] = work
                standing += work.level
        self._put("CapacityPool", POOL, with_pool(self.cluster, dice, standing))

    def _put(self, kind: str, name: str, spec: Json) -> None:
        metadata = {"name": name, "uid": f"{kind}-{name}", "generation": 1}
        if kind != "CapacityPool":
            metadata["namespace"] = NS
        created = {"creationTimestamp": to_rfc3339(T0 - 86_400.0)}
        self.objects[kind, name] = {"metadata": metadata | created, "spec": spec}

    def _policy(self, name: str) -> None:
        targets = []
        for number in range(self.dice.randint(1, 2)):
            target = f"{name}-t{number}"
            self.cluster.things[target] = Thing(start_seconds=self.dice.choice([20.0, 90.0, 400.0]), uid=f"u-{target}")
            targets.append(
                {
                    "name": target,
                    "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
                    "capacity": {"orders": self.dice.choice([50, 100])},
                    "max": self.dice.choice([20, 100]),
                    "leadTime": {"guessSeconds": self.dice.choice([30, 60])},
                }
            )
        self._put("ScalingPolicy", name, {"mode": "Enforce", "targets": targets})

    def _policies(self) -> list[str]:
        return [name for kind, name in self.objects if kind == "ScalingPolicy"]

    def _event(self, name: str) -> None:
        start = T0 + self.dice.uniform(-BEFORE + 300.0, AFTER)
        spec = {
            "schedule": {
                "startTime": to_rfc3339(round(start)).removesuffix("Z"),
                "timeZone": "UTC",
                "durationSeconds": self.dice.choice([300, 900, 3600]),
            },
            "expected": {"orders": self.dice.choice([500, 1000, 3000])},
            "policyRef": {"name": self.dice.choice(self._policies())},
        }
        self._put("LiveEvent", name, spec)

    def _override(self, name: str) -> None:
        action = self.dice.choice(["Boost", "Hold", "Pause"])
        until = to_rfc3339(round(T0 + self.dice.uniform(-BEFORE, AFTER)))
        spec = {"policyRef": {"name": self.dice.choice(self._policies())}, "action": action, "until": until}
        spec |= {"reason": "a rehearsal", "author": "me"} | ({"percent": 50} if action == "Boost" else {})
        self._put("Override", name, spec)

    def in_a_hand_over(self, dice: random.Random) -> float:
        """An instant at which something may be lent: from the notice for an event until all is back."""
        specs = [one["spec"] for (kind, _), one in sorted(self.objects.items()) if kind == "LiveEvent"]
        schedule = dice.choice(specs)["schedule"]
        start = datetime.fromisoformat(schedule["startTime"] + "Z").timestamp()
        return start + dice.uniform(-900.0, schedule["durationSeconds"] + 2400.0)

    def kept(self) -> None:
        """What is left is what the API server keeps: objects of JSON, instants in milliseconds."""
        loans = [loan_from_object(_sent(loan_to_object(one))) for one in self.cluster.loans.values()]
        self.cluster.loans = {one.key: one for one in loans}
        names = {of: Key(of.namespace or "tidegate", learned_name(of)) for of in self.shelf.objects}
        learned = [
            learned_from_object(_sent(learned_to_object(one, names[of]))) for of, one in self.shelf.objects.items()
        ]
        self.shelf.objects = {one.of: one for one in learned}

    def spoil(self) -> tuple[str, str]:
        """Edit something into something invalid."""
        one = self.dice.choice(sorted(self.objects))
        self.objects[one] = copy.deepcopy(self.objects[one])
        self.objects[one]["spec"] |= INVALID[one[0]]
        self.objects[one]["metadata"]["generation"] += 1
        return one


class Life:
    """One operator process: a store that has listed everything, and the loop over it."""

    def __init__(self, world: World, epoch: int) -> None:
        self.world = world
        clock = world.cluster.clock
        self.store = WatchedStore(clock.now, policies_synced=True, events_synced=True, stop_synced=True)
        for kind, name in sorted(world.objects):
            self.see(kind, name)
        self.loop = Loop(
            clock=clock,
            store=self.store,
            targets=world.cluster,
            metrics=NoMetrics(),
            book=world.cluster,
            learned=world.shelf,
            key_of=key_of,
            leadership=Leader(epoch=epoch),
            events=Sink(),
            pools=FakePools(world.cluster) if world.lent is not None else None,
            settings=LoopSettings(),
            plan_settings=PlanSettings(fail_over=20.0, reaction=5.0, creation_rate=20.0),
        )

    def see(self, kind: str, name: str) -> None:
        put = {
            "LiveEvent": self.store.put_event,
            "Override": self.store.put_override,
            "ScalingPolicy": self.store.put_policy,
            "CapacityPool": self.store.put_pool,
        }
        put[kind](self.world.objects[kind, name])

    async def until(self, until: float) -> None:
        clock = self.world.cluster.clock
        while clock.at < until:
            beat = await self.loop.turn()
            assert beat is not None
            due = [clock.at + BEAT, until, *([beat.next_at] if beat.next_at is not None else [])]
            due += [at for at in (self.loop.memory.next_at(clock.at),) if at is not None]
            clock.at = max(min(due), clock.at + 0.1) if not beat.applied else clock.at + 0.1

    async def says(self) -> dict[str, tuple[object, ...]]:
        """What it decides now, once it has read its record and looked at all that this names."""
        for _ in range(2):
            if self.loop.pool_looker is not None:  # a pool at rest is looked at once a minute
                self.loop.pool_looker.hasten(POOL)
            beat = await self.loop.turn()
            assert beat is not None
        said: dict[str, tuple[object, ...]] = {plan.target: told(plan) for plan in beat.plan.targets.values()}
        for view in beat.plan.pools.values():
            said |= of_work(view)
        return said


def _sent(document: Json) -> Json:
    """What comes back of a document that was sent."""
    found: Json = json.loads(json.dumps(document))
    return found


def told(plan: TargetPlan) -> tuple[object, ...]:
    """What must be the same."""
    return plan.level, plan.action, plan.next_at, plan.next_level, plan.until


def of_work(view: PoolView) -> dict[str, tuple[object, ...]]:
    """The same of the work of a pool, by its name; of work that nobody was told yet when how much of it will be: which
    of equal Jobs that is stands nowhere before its notice.
    """
    acts: dict[str, list[object]] = {}
    for act in view.step.acts:
        if act.do is Do.RECORD:  # the mark is compared itself; who of the two writes it down first is of no matter
            continue
        acts.setdefault(act.ref.name, []).append((act.do, act.level))
    planned = sorted(one.deadline or 0.0 for one in view.step.hand_overs if one.mark is None)
    said: dict[str, tuple[object, ...]] = {"planned": tuple(planned)} if planned else {}
    return said | {
        one.ref.name: (
            one.state,
            one.asked,
            one.deadline,
            (one.mark.notices, one.mark.stops, one.mark.until, one.mark.promises),
            acts.get(one.ref.name),
        )
        for one in view.step.hand_overs
        if one.mark is not None
    }


def has_pool(seed: int) -> bool:
    """Whether the policies of a world share machines with work that may stop."""
    return random.Random(f"{seed} pool").random() < 0.5


async def survives(seed: int, *, forgotten: bool = False) -> list[str]:
    """What the next leader says otherwise, in words; nothing when the world goes well. ``forgotten``: what was learned
    is lost between the two.
    """
    last, says = await both_say(seed, forgotten=forgotten)
    differ = [name for name in sorted({*last, *says}) if says.get(name) != last.get(name)]
    return [f"{name}: {last.get(name)} before, {says.get(name)} after" for name in differ]


async def both_say(seed: int, *, forgotten: bool = False) -> tuple[Said, Said]:
    """What the leader that dies says of each target and of each piece of work, and what the next one says."""
    dice = random.Random(seed)
    world = World(dice, random.Random(f"{seed} lent") if has_pool(seed) else None)
    death = T0 + dice.uniform(-BEFORE / 2, AFTER)
    if world.lent is not None:
        death = max(world.in_a_hand_over(world.lent), T0 - BEFORE + 2 * UNRECORDED)
        world.cluster.clock.at = max(T0 - BEFORE, death - WITH_POOL)
    spoiled = sorted(dice.uniform(world.cluster.clock.at, death - UNRECORDED) for _ in range(dice.randint(0, 2)))
    life = Life(world, 1)
    assert not life.store.invalid
    for at in spoiled:
        await life.until(at)
        life.see(*world.spoil())
    await life.until(death)
    before = copy.deepcopy((world.cluster, world.shelf))
    last = await life.says()
    world.cluster, world.shelf = before
    world.cluster.clock.at = death
    world.kept()
    if forgotten:
        world.shelf = Shelf()
    first = Life(world, 2)
    return last, await first.says()


def main() -> int:
    """Run many, and say what each finds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--worlds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    begun, bad = time.process_time(), 0
    for number in range(asked.worlds):
        found = asyncio.run(survives(asked.seed * 1_000_000 + number))
        bad += bool(found)
        for line in found:
            print(f"{asked.seed * 1_000_000 + number}: {line}")
    print(
        f"{asked.worlds} worlds, {bad} in which the next leader decides otherwise; {time.process_time() - begun:.0f} s"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
