"""Random days, foreseen at their begin and then driven: what the dry run says beside what an operator does.

    python tests/planning/foresight.py [--worlds 2000] [--seed 1] [--hours 24]

The operator of a day looks at every beat and whenever something is due, and keeps its loans itself. Each step counts:
target, action, level, and its instant within a beat; steps that follow one another within a look are one. Days have
overrides that end, seams that are bridged, needs that begin behind the horizon, pools that refuse, and targets in
trouble.
"""

# ruff: noqa: T201 - a program for the terminal

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from worlds import NS, T0, Obedient, event, moment, policy, target

from tidegate.planning.decision import Plan, Step
from tidegate.planning.foresee import Foresight, foresight
from tidegate.planning.model import (
    STAGES,
    Announcement,
    Key,
    LeadTimeGuess,
    Observed,
    PlanSettings,
    Policy,
    Ref,
    TargetKey,
    TargetSpec,
    Trouble,
)
from tidegate.planning.override import Override, OverrideAction
from tidegate.planning.resources import Resources
from tidegate.planning.shape import PROFILES
from tidegate.planning.shift.facts import Holder, MemberSeen, Occupancy, PoolSeen
from tidegate.planning.shift.handover import Do
from tidegate.planning.shift.model import Drain, Lane, MemberKind, Pool
from tidegate.planning.whole import plan_whole
from tidegate.planning.world import PoolWorld, World

BEAT = 15.0
SLOW = 30.0
"""A beat where there are pools: a plan of one takes ten times as long."""
FAR = 120.0
"""Seconds between two looks while nothing is lent and nothing is due."""
POOL, UNIT = "p", Resources(1000, 1024)
AFTER = 3.0
"""Seconds from a write to the next look."""

Told = tuple[str, str, str, int, float]
"""(policy, target, action, level, instant)."""


def day(seed: int) -> World:
    """A random day that begins at T0."""
    dice = random.Random(seed)
    pooled = dice.random() < 0.17
    most = 1 if pooled else 2  # a plan of a pool takes ten times as long
    policies = [_policy(dice, name, most, pooled=pooled) for name in "ab"[: dice.randint(1, most)]]
    events = [_event(dice, number, policies) for number in range(dice.randint(1, 2 * most))]
    if dice.random() < 0.4:  # a seam: the next one begins before the last one is let go
        last = events[-1]
        end = last.occurrences[0].start + last.occurrences[0].duration
        start = end + dice.choice((30.0, 90.0, 200.0, 600.0))
        events.append(replace(_event(dice, 9, policies), occurrences=(last.occurrences[0]._replace(start=start),)))
    overrides = tuple(_override(dice, number, policies) for number in range(dice.choice((0, 0, 1, 1, 2, 3))))
    observed = {(p.key, t.name): _observed(dice) for p in policies for t in p.targets}
    settings = PlanSettings(fail_over=dice.choice((0.0, 20.0)), reaction=5.0, creation_rate=dice.choice((2.0, 20.0)))
    pools = {POOL: _pool(dice, policies)} if pooled else {}
    return World(
        {p.key: p for p in policies}, {e.key: e for e in events}, observed, settings=settings,
        overrides=overrides, pools=pools,
    )  # fmt: skip


def _policy(dice: random.Random, name: str, most: int, *, pooled: bool) -> Policy:
    targets = [_target(dice, f"{name}{n}", pooled=pooled) for n in range(dice.randint(1, most))]
    hold, rate = dice.choice((0.0, 60.0, 300.0, 900.0)), dice.choice((0.1, 0.2, 0.5, 1.0))
    return policy(*targets, key=Key(NS, name), hold=hold, rate=rate, pool=POOL if pooled else None)


def _target(dice: random.Random, name: str, *, pooled: bool) -> TargetSpec:
    lead = LeadTimeGuess(dice.choice((10.0, 60.0, 300.0)), dice.choice((0.0, 0.0, 900.0, 9000.0)))
    return target(
        name,
        capacity=(("orders", dice.choice((50.0, 100.0, 333.0))),),
        background=dice.choice(((), (("orders", 250.0),))),
        headroom=dice.choice((0.0, 0.2)),
        stage=dice.choice(STAGES),
        settle=dice.choice((0.0, 0.0, 90.0, 600.0)),
        minimum=dice.choice((0, 1, 4)),
        maximum=dice.choice((8, 20, 5000)),
        lead=lead,
        lane="trading" if pooled else None,
    )


def _event(dice: random.Random, number: int, policies: list[Policy]) -> Announcement:
    moments = tuple(
        moment(f"m{n}", dice.choice((-300.0, 0.0, 600.0)), dice.choice((90.0, 600.0)))
        for n in range(dice.randint(0, 2))
    )
    one = event(
        f"e{number}",
        level=dice.choice((200.0, 1000.0, 3000.0, 9000.0)),
        start=T0
        + dice.choice((-1800.0, 300.0, 3000.0, 20_000.0, 60_000.0, 80_000.0, 90_000.0))
        + dice.random() * 900.0,
        duration=dice.choice((60.0, 600.0, 3600.0, 9000.0)),
        profile=dice.choice(sorted(PROFILES)),
        moments=moments,
    )
    return replace(one, policy=dice.choice(policies).key.name)


def _override(dice: random.Random, number: int, policies: list[Policy]) -> Override:
    chosen, action = dice.choice(policies), dice.choice(list(OverrideAction))
    of = dice.choice((None, chosen.targets[0].name))
    until = T0 + dice.choice((600.0, 4000.0, 7000.0, 25_000.0, 62_000.0)) + dice.random() * 3000.0
    percent = dice.choice((10, 50, 200)) if action is OverrideAction.BOOST else 0
    return Override(Key(NS, f"o{number}"), chosen.key.name, of, action, until, "me", "because", percent, T0 - 600.0)


def _observed(dice: random.Random) -> Observed:
    level = dice.choice((0, 2, 2, 2, 12))
    trouble = dice.choice((*[None] * 12, Trouble.MISSING, Trouble.SCALING_DISABLED))
    maximum, spare = dice.choice((None, None, 15)), dice.choice((None, None, 0, 10))
    return Observed(level, level, level, maximum=maximum, trouble=trouble, unit=UNIT, spare_units=spare)


def _pool(dice: random.Random, policies: list[Policy]) -> PoolWorld:
    drain = Drain(dice.choice((0.0, 60.0, 600.0)), dice.choice((0.0, 900.0)), dice.choice((30.0, 60.0)))
    back = dice.choice((900.0, 3600.0))
    lanes = Lane("trading", 20, frozenset({NS})), Lane("data", 10, drain=drain, give_back_within=back)
    refs = [Ref("batch/v1", "Job", "warehouse", f"job-{n}") for n in range(dice.randint(0, 6))]
    loader = Ref("apps/v1", "Deployment", "warehouse", "loader")
    units = dice.choice((0, 5, 12))
    occupancy = {Holder("warehouse", "Job", r.name): Occupancy(UNIT, 0.0) for r in refs}
    occupancy[Holder("warehouse", "Deployment", "loader")] = Occupancy(UNIT.times(units), 0.0)
    occupancy |= {
        Holder(NS, "Deployment", t.ref.name): Occupancy(UNIT.times(2), 0.0) for p in policies for t in p.targets
    }
    members = [MemberSeen(r, "data", "nightly", MemberKind.JOB, UNIT, 1) for r in refs]
    members += [MemberSeen(loader, "data", "loader", MemberKind.SCALE, UNIT, units)] if units else []
    return PoolWorld(Pool(POOL, lanes), PoolSeen(UNIT.times(dice.choice((20, 30, 200))), occupancy, tuple(members)))


@dataclass
class Operator(Obedient):
    """Looks at each beat and when something is due, does what is decided, keeps marks and loans as control does."""

    start_seconds: float = 0.0
    did: list[Told] = field(default_factory=list)

    def drive(self, until: float) -> None:
        now = T0
        while now < until:
            plan = self.at(now)
            busy = bool(plan.steps) or any(view.step.acts for view in plan.pools.values())
            if busy:
                now += AFTER
                continue
            lent = any(seen.loan is not None for seen in self.world.observed.values())
            ends = [one.until for one in self.world.overrides]
            later = [at for at in (*ends, plan.next_at) if at is not None and at > now]
            handed = any(one.marks for one in self.world.pools.values())
            beat = SLOW if self.world.pools else BEAT
            now = min(
                [
                    now + (beat if lent or handed or any(at - now < FAR for at in later) else FAR),
                    *([plan.next_at] if (plan.next_at or 0.0) > now else []),
                ]
            )

    def at(self, now: float) -> Plan:
        observed = {k: replace(seen, ready=seen.level) for k, seen in self.world.observed.items()}
        self.world = replace(self.world, observed=observed)
        self.world, plan = plan_whole(self.planner, self.world, now)
        for step in plan.steps:
            self.did.append(told(step, now))
            key = (step.policy, step.target)
            self._write(key, step.action, step.level, now)
            self._keep(key, plan, step, now)
        for name, view in plan.pools.items():
            self._shift(name, plan, now) if view.step.acts else None
            self.world = replace(
                self.world,
                pools={**self.world.pools, name: replace(self.world.pools[name], promises=view.plan.promises)},
            )
        return plan

    def _keep(self, key: tuple[Key, str], plan: Plan, step: Step, now: float) -> None:
        """The loan says until when; the pods are on the pool's machines."""
        seen = self.world.observed[key]
        if seen.loan is not None:
            seen = replace(seen, loan=replace(seen.loan, until=plan.targets[key].until or now))
            self.world = replace(self.world, observed={**self.world.observed, key: seen})
        for name, one in self.world.pools.items():
            assert one.seen is not None
            holder = Holder(NS, "Deployment", step.ref.name)
            there = {**one.seen.occupancy, holder: Occupancy(UNIT.times(step.level), 0.0)}
            self.world = replace(self.world, pools={name: replace(one, seen=replace(one.seen, occupancy=there))})

    def _shift(self, name: str, plan: Plan, now: float) -> None:
        one = self.world.pools[name]
        assert one.seen is not None
        marks, members, occupancy = dict(one.marks), list(one.seen.members), dict(one.seen.occupancy)
        for act in plan.pools[name].step.acts:
            if act.do is Do.CLOSE:
                del marks[act.ref]
                continue
            marks[act.ref] = act.mark
            if act.do not in (Do.STOP, Do.RESUME):
                continue
            at = next(i for i, m in enumerate(members) if m.ref == act.ref)
            holder = Holder(act.ref.namespace, act.ref.kind, act.ref.name)
            since = now if act.level > members[at].level else occupancy[holder].youngest
            occupancy[holder] = Occupancy(UNIT.times(act.level), since)
            members[at] = replace(members[at], level=act.level)
        seen = replace(one.seen, members=tuple(members), occupancy=occupancy)
        self.world = replace(self.world, pools={**self.world.pools, name: replace(one, marks=marks, seen=seen)})


def told(step: Step, at: float) -> Told:
    return step.policy.name, step.target, step.action.value, step.level, at


def differences(seed: int, hours: float, *, foreseen: Foresight | None = None) -> Iterator[str]:
    """What the dry run says otherwise than the operator does, in words."""
    world, until = day(seed), T0 + hours * 3600.0
    operator = Operator(world)
    operator.drive(until)
    found = foreseen or foresight(world, T0, until)
    yield from apart([told(one.step, one.at) for one in found.steps], operator.did, world.observed, until)


def apart(said: list[Told], did: list[Told], keys: Iterable[TargetKey], until: float) -> Iterator[str]:
    """Where what was said of each target parts from what was done, in words."""
    for key in keys:
        mine = [joined([s for s in steps if s[:2] == (key[0].name, key[1])]) for steps in (said, did)]
        for number in range(max(map(len, mine))):
            pair = [steps[number] if number < len(steps) else None for steps in mine]
            if _same(*pair) or _at_the_end(pair, until):
                continue
            yield f"{key[1]} step {number}: the dry run {_words(pair[0])}, the operator {_words(pair[1])}"
            break


def joined(steps: Iterable[Told]) -> list[Told]:
    """Steps of a target, those of one kind that follow one another within a look as one: where a level rises by the
    second, the next look finds two or three of them due. The level is that of the last, the instant that of the first.
    """
    found: list[Told] = []
    last = -math.inf
    for step in steps:
        if found and step[2] == found[-1][2] and step[4] - last <= AFTER:
            found[-1] = (*step[:4], found[-1][4])
        else:
            found.append(step)
        last = step[4]
    return found


def _same(one: Told | None, other: Told | None) -> bool:
    return one is not None and other is not None and one[:4] == other[:4] and abs(one[4] - other[4]) <= SLOW + BEAT


def _at_the_end(pair: list[Told | None], until: float) -> bool:
    """Only one of the two has come before the end."""
    return None in pair and all(one is None or one[4] > until - SLOW - BEAT for one in pair)


def _words(one: Told | None) -> str:
    return "nothing" if one is None else f"{one[2]} to {one[3]} at {one[4] - T0:+.1f}"


def kinds(seed: int) -> Counter[str]:
    """What a day is about."""
    world = day(seed)
    found: Counter[str] = Counter()
    found["pools"] = bool(world.pools)
    found["overrides that end inside"] = any(one.until < T0 + 86_400.0 for one in world.overrides)
    found["troubles"] = any(seen.trouble is not None for seen in world.observed.values())
    found["needs behind the horizon"] = any(
        e.occurrences[0].start > T0 + 86_400.0 for e in world.announcements.values()
    )
    return found


def main() -> int:
    """Run many, and say what each finds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--worlds", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--of", choices=("pools", "targets"), help="only days with pools, or only those without")
    asked = parser.parse_args()
    begun, met = time.process_time(), Counter[str]()
    try:
        for number in range(asked.worlds):
            seed = asked.seed * 1_000_000 + number
            if asked.of is None or bool(day(seed).pools) == (asked.of == "pools"):
                found = list(differences(seed, asked.hours))
                met += kinds(seed)
                met["worlds"] += 1
                met["differences"] += len(found)
                for line in found:
                    print(f"{seed}: {line}", flush=True)
    except KeyboardInterrupt:
        print("stopped before the end; so far:")
    worlds, bad = met.pop("worlds", 0), met.pop("differences", 0)
    about = ", ".join(f"{count} with {kind}" for kind, count in sorted(met.items()))
    took = time.process_time() - begun
    print(f"{worlds} worlds of {asked.hours:g} hours ({about}): {bad} differences; {took / 3600:.2f} processor hours")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
