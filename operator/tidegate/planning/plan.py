"""The one door: ``make_plan(world, now) -> Plan``.

``Planner`` is the same function with a memory of sums, so that one changed event among tens of thousands costs
milliseconds. Both give the same plan (a property test holds them together).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tidegate.planning import verdict
from tidegate.planning.book import Book
from tidegate.planning.capacity import Units, need, versions
from tidegate.planning.decision import Plan, TargetPlan
from tidegate.planning.leadtime import creation_lag, start_time
from tidegate.planning.model import (
    STAGES,
    Key,
    Measured,
    Mode,
    Observed,
    PlanSettings,
    Policy,
    Reading,
    Ref,
    TargetSpec,
)
from tidegate.planning.override import Override, OverrideAction, in_force
from tidegate.planning.pools import PoolOutcome, PoolPlanner, PoolTarget
from tidegate.planning.targets import NOBODY, Say, boosted, decide, not_ours, step_of
from tidegate.planning.timeline import Timeline, stage_shift, timeline
from tidegate.planning.world import World

BACK = 7200.0
"""Seconds of the past that the book keeps: holds and ends of events are looked up there."""
SLACK = 7200.0
"""Seconds that the book reaches beyond the horizon, so that it is rebuilt every two hours and not at every beat."""

TargetKey = tuple[Key, str]


@dataclass(slots=True)
class _Curve:
    """Need of one target, as of some versions of the sums."""

    policy: Policy
    versions: tuple[int, ...]
    units: Units | None


@dataclass(slots=True)
class _Decided:
    """A target's plan and everything it was made from."""

    plan: TargetPlan
    made_at: float
    policy: Policy
    curve: _Curve
    observed: Observed
    readings: tuple[Reading | None, ...]
    samples: tuple[Measured, ...]
    stopped: bool
    say: Say


@dataclass(slots=True)
class Planner:
    """Plans again and again, working out only what changed."""

    settings: PlanSettings = field(default_factory=PlanSettings)
    _book: Book | None = None
    _curves: dict[TargetKey, _Curve] = field(default_factory=dict)
    _decided: dict[TargetKey, _Decided] = field(default_factory=dict)
    _states: dict[Key, tuple[int, Policy]] = field(default_factory=dict)
    _rises: NDArray[np.int64] | None = None
    _queue: NDArray[np.float64] | None = None
    _queued_at: int = 0
    _longest_moved: float = 0.0
    _verdicts: verdict.Verdicts = field(default_factory=verdict.Verdicts)
    _pools: PoolPlanner = field(default_factory=PoolPlanner)

    def plan(self, world: World, now: float, *, changed: frozenset[Key] | None = None) -> Plan:
        """Work out the plan of an instant.

        ``changed`` names the announcements that may differ from the last call (None: compare them all). ``world`` may
        be another object each time; its values are compared by identity first.
        """
        if world.settings != self.settings:
            self.__init__(world.settings)  # type: ignore[misc]
        book = self._bring_up(world, now, changed)
        targets = _targets_of(world)
        moved = self._requeue(world, targets, book, now)
        pools, says = self._others(world, targets, book, now)
        plans: dict[TargetKey, TargetPlan] = {}
        for key, (policy, target, winner) in targets.items():
            if winner is not None:
                plans[key] = not_ours(policy, target, winner, now=now)
                continue
            plans[key] = self._decide(world, key, policy, target, book, now, moved, says.get(key, NOBODY))
        for gone in self._decided.keys() - plans.keys():
            del self._decided[gone]
        verdicts = self._verdicts.of(world, book, plans, now)
        steps = [s for key, p in plans.items() if (s := step_of(world.policies[key[0]], p)) is not None]
        stage = {key: STAGES.index(target.stage) for key, (_, target, _) in targets.items()}
        steps.sort(key=lambda s: (stage[s.policy, s.target], s.policy, s.target))
        times = (*(p.next_at for p in plans.values()), *(v.next_at for v in pools.views.values()))
        upcoming = [at for at in times if at is not None]
        return Plan(now, plans, verdicts, tuple(steps), min(upcoming, default=None), pools.views)

    def timeline(self, world: World, policy: Policy, target: TargetSpec, now: float) -> Timeline | None:
        """A target's need and lead over time, for explaining and for looking ahead; None without any need."""
        book = self._bring_up(world, now, None)
        self._requeue(world, _targets_of(world), book, now)
        curve = self._curve(book, (policy.key, target.name), policy, target)
        return self._timeline(world, policy, target, book, curve.units)

    def _others(
        self, world: World, targets: dict[TargetKey, tuple[Policy, TargetSpec, Key | None]], book: Book, now: float
    ) -> tuple[PoolOutcome, dict[TargetKey, Say]]:
        """Who else has a say: overrides and pools. Of most targets nobody, and those are not in the answer."""
        spoken: dict[TargetKey, tuple[Override, ...]] = {}
        if world.overrides:
            named = {key: _overrides(world, policy, target, now) for key, (policy, target, _) in targets.items()}
            spoken = {key: overrides for key, overrides in named.items() if overrides}
        asking = [
            PoolTarget(key, policy, target, observed, boosted(line, spoken.get(key, ())))
            for key, (policy, target, winner) in targets.items()
            if winner is None and policy.pool is not None and target.lane is not None
            for observed in (world.observed.get(key, Observed()),)
            for line in (self._timeline(world, policy, target, book, self._curves[key].units),)
        ]
        pools = self._pools.of(world, asking, now)
        heard = spoken.keys() | pools.limits.keys() | pools.refusals.keys()
        return pools, {
            key: Say(spoken.get(key, ()), pools.limits.get(key), pools.refusals.get(key, ())) for key in heard
        }

    @property
    def book(self) -> Book:
        """The demand book as of the last plan."""
        if self._book is None:
            raise RuntimeError("plan() has not been called yet")
        return self._book

    def _bring_up(self, world: World, now: float, changed: frozenset[Key] | None) -> Book:
        cell = self.settings.cell
        hold = max((p.release.hold for p in world.policies.values()), default=0.0)
        settle = max((stage_shift(p, t) for p in world.policies.values() for t in p.targets), default=0.0)
        back = BACK + hold + settle
        book = self._book
        if (
            book is None
            or book.index(now - hold - settle - BACK / 2) < 0
            or book.index(now + self.settings.horizon) >= book.size
        ):
            first = math.floor((now - back) / cell)
            size = math.ceil((back + self.settings.horizon + SLACK) / cell) + 1
            book = self._book = Book(cell, first, size)
            self._curves.clear()
            self._decided.clear()
            self._verdicts = verdict.Verdicts()
            self._rises = None
            changed = None
        book.sync(world.announcements, changed)
        return book

    def _curve(self, book: Book, key: TargetKey, policy: Policy, target: TargetSpec) -> _Curve:
        known, now = self._curves.get(key), versions(book, policy, target)
        if known is not None and known.versions == now and (known.policy is policy or known.policy == policy):
            return known
        fresh = self._curves[key] = _Curve(policy, now, need(book, policy, target))
        if self._rises is not None:
            if known is not None and known.units is not None:
                old = next((t for t in known.policy.targets if t.name == key[1]), target)
                self._rises -= _rises(known.units, old)
            if fresh.units is not None:
                self._rises += _rises(fresh.units, target)
        return fresh

    def _requeue(
        self, world: World, targets: dict[TargetKey, tuple[Policy, TargetSpec, Key | None]], book: Book, now: float
    ) -> tuple[int, int]:
        """Bring curves and the shared creation queue up; returns the columns [low, high) in which the queue moved."""
        gone = [key for key in self._curves if key not in targets or targets[key][2] is not None]
        for key in gone:
            old = self._curves.pop(key)
            target = next(t for t in old.policy.targets if t.name == key[1])
            if self._rises is not None and old.units is not None:
                self._rises -= _rises(old.units, target)
        if self._rises is None:
            self._rises = np.zeros(book.size, dtype=np.int64)
            self._curves.clear()
            self._states.clear()
            self._queue = None
        seen: dict[Key, bool] = {}
        for key, (policy, target, winner) in targets.items():
            if policy.key not in seen:
                state = (book.revision.get(policy.key, 0), policy)
                known = self._states.get(policy.key)
                seen[policy.key] = known is not None and known[0] == state[0] and known[1] is policy
                self._states[policy.key] = state
            if winner is None and not (seen[policy.key] and key in self._curves):
                self._curve(book, key, policy, target)
        here = min(max(book.index(now), 0), book.size - 1)
        end = min(book.index(now + self.settings.horizon) + 1, book.size)
        queue = np.zeros(book.size)
        queue[here:end] = creation_lag(self._rises[here:end], rate=self.settings.creation_rate, cell=self.settings.cell)
        if self._queue is None:
            moved = (0, book.size)
        else:
            ends = min(end, max(self._queued_at, 0))
            differ = np.flatnonzero(queue[here:ends] != self._queue[here:ends])
            moved = (here + int(differ[0]), here + int(differ[-1]) + 1) if len(differ) else (0, 0)
            if end > ends and queue[ends:end].any():
                moved = (min(moved[0] if moved[1] else ends, ends), end)
        self._queue, self._queued_at = queue, end
        self._longest_moved = float(queue[slice(*moved)].max(initial=0.0))
        return moved

    def _decide(
        self,
        world: World,
        key: TargetKey,
        policy: Policy,
        target: TargetSpec,
        book: Book,
        now: float,
        moved: tuple[int, int],
        say: Say,
    ) -> TargetPlan:
        curve = self._curves[key]
        observed = world.observed.get(key, Observed())
        readings = _readings(world, policy, target)
        samples = world.measured.get(key, ())
        known = self._decided.get(key)
        if (
            known is not None
            and known.curve is curve
            and (known.observed is observed or known.observed == observed)
            and known.readings == readings
            and known.samples == samples
            and known.stopped == world.stopped
            and (known.say is say or known.say == say)
            and known.made_at <= now < known.plan.valid_until
            and not self._touches(known.plan, curve, book, moved)
        ):
            return known.plan
        line = self._timeline(world, policy, target, book, curve.units)
        plan = decide(world, policy, target, observed, readings, line, say, now=now)
        self._decided[key] = _Decided(plan, now, policy, curve, observed, readings, samples, world.stopped, say)
        return plan

    def _touches(self, plan: TargetPlan, curve: _Curve, book: Book, moved: tuple[int, int]) -> bool:
        """Whether a change of the creation queue in some columns can change this decision."""
        low, high = moved
        if low >= high or curve.units is None:
            return False
        shift = stage_shift(curve.policy, next(t for t in curve.policy.targets if t.name == plan.target))
        earliest = (low + book.first) * book.cell - plan.lead.seconds - self._longest_moved - shift
        return earliest <= plan.valid_until and bool(curve.units[low:high].any())

    def _timeline(
        self, world: World, policy: Policy, target: TargetSpec, book: Book, units: Units | None
    ) -> Timeline | None:
        if units is None or self._queue is None:
            return None
        observed = world.observed.get((policy.key, target.name), Observed())
        start = start_time(
            world.measured.get((policy.key, target.name), ()),
            target.lead,
            q=policy.quantile,
            rate=self.settings.creation_rate,
        )
        rest = observed.loan.original if observed.loan else (observed.level or 0)
        spare = observed.spare_units
        return timeline(
            policy=policy,
            target=target,
            units=units,
            first=book.first,
            cell=book.cell,
            queue=self._queue,
            start=start,
            fixed=self.settings.reaction + self.settings.fail_over,
            # What is up and free together does not change while units start on it; the owner's level is the safe guess.
            machine_above=rest if spare is None else (observed.ready or 0) + spare,
        )


def make_plan(world: World, now: float) -> Plan:
    """Work out, from nothing but the arguments, what is to be done at an instant and why.

    Equal arguments give equal plans; the order of objects in ``world`` does not matter.
    """
    return Planner(world.settings).plan(world, now)


def _rises(units: Units, target: TargetSpec) -> NDArray[np.int64]:
    """Units that each cell adds to the one before, within the target's bounds."""
    bounded = np.clip(units, target.minimum, max(target.maximum, target.minimum))
    return np.maximum(np.diff(bounded, prepend=bounded[:1]), 0)


def _overrides(world: World, policy: Policy, target: TargetSpec, now: float) -> tuple[Override, ...]:
    """Overrides that name a target; a boost that is over counts as long as the hold of what it raised."""
    held = now - policy.release.hold - stage_shift(policy, target)
    mine = in_force(world.overrides, policy.key, target.name, held)
    return tuple(one for one in mine if now < one.until or one.action is OverrideAction.BOOST)


def _readings(world: World, policy: Policy, target: TargetSpec) -> tuple[Reading | None, ...]:
    if not policy.signals:
        return ()
    carried = {signal for signal, _ in target.capacity}
    return tuple(world.readings.get((policy.key, s.name)) for s in policy.signals if s.query and s.name in carried)


def _targets_of(world: World) -> dict[TargetKey, tuple[Policy, TargetSpec, Key | None]]:
    """Every target in a fixed order, with the policy that drives its workload instead, if another does."""
    owner: dict[Ref, Key] = {}
    # What only observes drives nothing, so it stands behind what acts.
    for policy in sorted(world.policies.values(), key=lambda p: (p.mode is Mode.OBSERVE, p.created, p.key)):
        for target in policy.targets:
            owner.setdefault(target.ref, policy.key)
    return {
        (key, target.name): (world.policies[key], target, owner[target.ref] if owner[target.ref] != key else None)
        for key in sorted(world.policies)
        for target in world.policies[key].targets
    }
