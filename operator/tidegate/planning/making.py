"""A plan in the making: every target decided, one after the other, and the verdicts on their events.

All that a decision rests on (the world, the sums, what the pools say) stands before the first target is decided and
does not change until the last one is. One target or event that raises leaves the others decided.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice

import numpy as np

from tidegate.planning import verdict
from tidegate.planning.book import WATCH, Book
from tidegate.planning.capacity import Units
from tidegate.planning.curves import Curves
from tidegate.planning.decision import Action, Plan, PoolLimit, PoolView, Step, TargetPlan, Verdict
from tidegate.planning.explain import Askers
from tidegate.planning.following import correction, following, live_lead
from tidegate.planning.isolation import Failure, NotPlannableError, attempt
from tidegate.planning.leadtime import Lag, Start, start_time
from tidegate.planning.model import STAGES, Key, Mode, Observed, Policy, Reading, Ref, TargetKey, TargetSpec
from tidegate.planning.needs import Needs
from tidegate.planning.override import Override, OverrideAction, in_force
from tidegate.planning.phases import AFTER, BEFORE
from tidegate.planning.pools import PoolOutcome, PoolTarget, pools_of
from tidegate.planning.reasons import Reason
from tidegate.planning.roster import Roster
from tidegate.planning.shift.handover import State
from tidegate.planning.standing import Decisions, Inputs, Standing
from tidegate.planning.targets import Say, Situation, boosted, decide, not_ours, not_planned, step_of
from tidegate.planning.timeline import Row, Timeline, stage_shift, timeline
from tidegate.planning.world import World

PAST = 3600.0
"""Seconds that a plan looks back beside holds and settle times: measured demand keeps a level for an hour after the end
of what was announced (``guardrails.OVERRUN_MAX``).
"""
VERDICTS = 20
"""Events whose verdict costs about as much as deciding one target."""
COMPARED = 10
"""Policies of which it is compared what their decisions rest on before others get their turn."""


@dataclass(slots=True)
class Making:
    """One plan: ``ask_pools``, then go through ``decide_all``, then read ``plan``."""

    world: World
    now: float
    book: Book
    curves: Curves
    roster: Roster
    lag: Lag
    askers: Askers
    decisions: Decisions = field(default_factory=Decisions)
    """Those of the last plans, and then of this one."""
    stands: float = 0.0
    """Seconds for which a decision may stand; 0: everything is decided anew."""
    only: frozenset[str] | None = None
    """What changed elsewhere than in these namespaces waits for another plan; None: nothing does."""
    known: slice = field(init=False)
    """The columns of the book that a plan of this instant knows: how much further the book reaches, which depends on
    when it was made, changes nothing.
    """
    pools: PoolOutcome = field(default_factory=lambda: PoolOutcome({}, {}, {}))
    _queues: Lag = field(init=False)
    """``lag`` of the columns that are known."""
    _overrides: dict[Key, list[Override]] = field(default_factory=dict)
    """By the policy that they name."""
    _left_out: dict[Key, str] = field(default_factory=dict)
    """Policies of which an event that is near could not be summed."""
    _starts_of: dict[Key, tuple[float, ...]] = field(default_factory=dict)
    _plans: dict[TargetKey, TargetPlan] = field(default_factory=dict)
    _verdicts: dict[Key, Verdict] = field(default_factory=dict)
    _steps: list[tuple[int, Step]] = field(default_factory=list)

    def __post_init__(self) -> None:
        begin = self.book.index(self.now - self.roster.reach - PAST)
        self.known = slice(max(begin, 0), self.book.index(self.now + self.world.settings.horizon) + 1)
        self._queues = self.lag.within(self.known)
        for override in self.world.overrides:
            self._overrides.setdefault(Key(override.key.namespace, override.policy), []).append(override)
        for key, one in self.book.left_out.items():
            occurrence = verdict.current_occurrence(one.occurrences, self.now)
            if occurrence is not None and occurrence.start - WATCH <= self.now:
                policy = Key(key.namespace, one.announcement.policy)
                self._left_out[policy] = f"LiveEvent {key.name} cannot be planned: {one.message}"

    def plan(self) -> Plan:
        """All that was decided."""
        self._steps.sort(key=lambda one: (one[0], one[1].policy, one[1].target))
        times = (*(p.next_at for p in self._plans.values()), *(v.next_at for v in self.pools.views.values()))
        upcoming = [at for at in (*times, self.decisions.again_at) if at is not None and at < math.inf]
        steps = tuple([step for _, step in self._steps])
        return Plan(self.now, self._plans, self._verdicts, steps, min(upcoming, default=None), self.pools.views)

    def ask_pools(self) -> None:
        """Plan the pools, for the targets on them. What raises in one pool leaves the others planned."""
        asking = list(self._asking())
        outcome = attempt(lambda: pools_of(self.world, asking, self.now))
        if isinstance(outcome, Failure):
            names = sorted(self.world.pools.keys() | {one.policy.pool for one in asking if one.policy.pool})
            alone = [self._ask_pool(name, [one for one in asking if one.policy.pool == name]) for name in names]
            outcome = PoolOutcome(
                dict(chain.from_iterable(one.views.items() for one in alone)),
                dict(chain.from_iterable(one.limits.items() for one in alone)),
                dict(chain.from_iterable(one.refusals.items() for one in alone)),
            )
        owners = {one.owner: one.key[0] for one in asking}
        views = {name: replace(view, told_for=self._told_for(view, owners)) for name, view in outcome.views.items()}
        self.pools = replace(outcome, views=views)

    def _told_for(self, view: PoolView, owners: Mapping[str, Key]) -> dict[Ref, tuple[str, ...]]:
        """By work that was told to stop: the events of the policies that need its machines, while they need them."""
        found: dict[Ref, tuple[str, ...]] = {}
        for one in view.step.hand_overs:
            if one.state is State.NOTICE and one.mark is not None:
                since, until = max(one.mark.free_by, self.now), self._within(max(one.mark.until, self.now))
                policies = dict.fromkeys(owners[need] for need in one.mark.needs if need in owners)
                names = (name for key in policies for name in self.askers.who(self.book, key, since, until))
                found[one.ref] = tuple(dict.fromkeys(names))
        return found

    def _within(self, until: float) -> float:
        """An instant, or where the horizon ends."""
        return min(until, self.now + self.world.settings.horizon)

    def _ask_pool(self, name: str, asking: list[PoolTarget]) -> PoolOutcome:
        """Plan one pool by itself; while it cannot be planned, its targets may have no more than they have."""
        pools = {name: self.world.pools[name]} if name in self.world.pools else {}
        outcome = attempt(lambda: pools_of(replace(self.world, pools=pools), asking, self.now))
        if not isinstance(outcome, Failure):
            return outcome
        message = f"pool {name}: {outcome.message}"
        limits = {one.key: PoolLimit(one.rest, Reason.CANNOT_BE_PLANNED, message) for one in asking}
        return PoolOutcome({}, limits, {})

    def _asking(self) -> Iterator[PoolTarget]:
        for key, target in self.roster.driven.items():
            policy = self.roster.policies[key[0]]
            if policy.pool is None or target.lane is None:
                continue
            line = attempt(partial(self.boosted, policy, target))
            if not isinstance(line, Failure):  # deciding the target fails for the same reason, and says so
                observed = self.world.observed.get(key, Observed())
                asked = attempt(partial(self._measured, policy, target, observed, line))
                yield PoolTarget(key, policy, target, observed, line, 0 if isinstance(asked, Failure) else asked)

    def _measured(self, policy: Policy, target: TargetSpec, observed: Observed, line: Timeline | None) -> int:
        """Units that measured demand asks for, while an event is on; of a policy that follows it, at all times, and
        what it makes of what is announced.
        """
        due = line.due_at(self.now) if line is not None else 0
        follows = policy.live is not None and (policy.mode is Mode.ENFORCE or observed.loan is None)
        if (due <= 0 and not follows) or not policy.signals:
            return 0
        start, readings = self._start(policy, target), _readings(self.world, policy, target)
        lead = live_lead(start, self.world.settings, stage_shift(policy, target))
        machines = start.machine_seconds
        measure = following(policy, target, observed, readings, lead, machine_seconds=machines, now=self.now)
        held = observed.level or 0 if observed.loan is not None else 0
        asked = max((one.allowed(due, held) for one in measure.demands), default=0)
        if line is None or not follows:
            return asked
        starts, until = self._starts_near(policy), self.now + lead
        seen = correction(target, line, measure, readings, starts, now=self.now, until=until, q=policy.quantile)
        return asked if seen is None else max(asked, seen.of(due))

    def _starts_near(self, policy: Policy) -> tuple[float, ...]:
        """T-0 of the policy's events that are near, if it follows demand."""
        if policy.live is None:
            return ()
        if policy.key not in self._starts_of:  # for all targets of the policy: thousands of events may be near
            self._starts_of[policy.key] = self.book.starts(policy.key, self.now - AFTER, self.now + BEFORE)
        return self._starts_of[policy.key]

    def boosted(self, policy: Policy, target: TargetSpec) -> Timeline | None:
        """``timeline`` with what overrides add."""
        return boosted(self.timeline(policy, target), self._spoken(policy, target), now=self.now)

    def timeline(self, policy: Policy, target: TargetSpec) -> Timeline | None:
        """A target's need and lead over time, without what overrides add; None when no event ever needs it."""
        return self._timeline(policy, target, self._start(policy, target))

    def _timeline(self, policy: Policy, target: TargetSpec, start: Start) -> Timeline | None:
        key = policy.key, target.name
        if key in self.curves.failed:
            raise NotPlannableError(self.curves.failed[key])
        curve, settings = self.curves[key], self.world.settings
        if curve.units is None:
            return None
        units = curve.units[self.known]
        observed = self.world.observed.get(key, Observed())
        rest = observed.loan.original if observed.loan else (observed.level or 0)
        spare = observed.spare_units
        return timeline(
            policy=policy,
            units=units,
            first=self.book.first + self.known.start,
            cell=self.book.cell,
            lag=self._queues,
            start=start,
            fixed=settings.reserve,
            # What is up and free together does not change while units start on it; the owner's level is the safe guess.
            machine_above=rest if spare is None else (observed.ready or 0) + spare,
            shift=curve.shift,
            row=self._row(target, units, start) if observed.ordered else None,
            rest=rest,
        )

    def _row(self, target: TargetSpec, units: Units, start: Start) -> Row:
        """The row in which a target's units start."""
        levels = np.where(units > 0, np.clip(units, target.minimum, target.maximum), 0)
        return Row(self._queues, levels, start.seconds, max(self.book.index(self.now) - self.known.start, 0))

    def _start(self, policy: Policy, target: TargetSpec) -> Start:
        samples = self.world.measured.get((policy.key, target.name), ())
        ordered = self.world.observed.get((policy.key, target.name), Observed()).ordered
        rate = self.world.settings.creation_rate
        return start_time(samples, target.lead, q=policy.quantile, rate=rate, ordered=ordered)

    def decide_all(self) -> Iterator[None]:
        """Everything that is to be decided, in a fixed order; yields after each target and as much work on verdicts."""
        inputs: dict[Key, Inputs] = {}
        for key, policy in self.roster.policies.items():
            inputs[key] = self._inputs(policy)
            if len(inputs) % COMPARED == 0:
                yield
        queues, decisions = self.lag.state, self.decisions
        kept = decisions.standing(inputs, queues, self.now, stands=self.stands, only=self.only)
        for key, policy in self.roster.policies.items():
            if key in kept:
                self._take(key, decisions[key], with_steps=key not in decisions.outdated)
                continue
            plans, steps, verdicts = dict[str, TargetPlan](), list[tuple[int, Step]](), dict[Key, Verdict]()
            for target in policy.targets:
                plans[target.name], step = self._decided(policy, target)
                self._plans[key, target.name] = plans[target.name]
                steps += [step] if step is not None else []
                yield
            yield from self._judge(policy, verdicts)
            self._steps += steps
            self._verdicts.update(verdicts)
            decisions.put(key, Standing(inputs[key], queues, self.now, plans, steps, verdicts))
        for missing in self.book.by_policy.keys() - self.roster.policies.keys():
            unheard = self.world.unheard_of(missing.namespace)
            yield from self._told(verdict.of_nobody(self.book, missing, self.now, unheard))
        yield from self._told(verdict.of_left_out(self.book.left_out, self.now))

    def _inputs(self, policy: Policy) -> Inputs:
        """All that a policy's decisions rest on, beside the instant and the shared queues. What follows from these
        values alone is not among them.
        """
        world, key = self.world, policy.key
        of: list[object] = [policy, world.stopped, self.book.revision.get(key, 0), self._left_out.get(key)]
        unheard = world.unheard_of(key.namespace)
        of += [unheard, unheard is not None and unheard.withholds(self.now)]
        of += [world.unread.get(key), world.unread.get(Key(key.namespace, ""))]
        of += [world.readings.get((key, signal.name)) for signal in policy.signals]
        for one in self._overrides.get(key, ()):
            of += [one, self.now < one.until]
        for target in policy.targets:
            mine = key, target.name
            of += [world.observed.get(mine), world.measured.get(mine), self.roster.winners.get(mine)]
            of += [self.curves.failed.get(mine), self.pools.limits.get(mine), self.pools.refusals.get(mine)]
        return Inputs(tuple([target.name for target in policy.targets]), tuple(of))

    def _take(self, policy: Key, one: Standing, *, with_steps: bool) -> None:
        """Let a decision stand. A verdict goes with the event that it is on."""
        for name, plan in one.plans.items():
            self._plans[policy, name] = plan
        if with_steps:
            self._steps += one.steps
        entries = self.book.entries
        for key, found in one.verdicts.items():
            if key in entries and entries[key].announcement.policy == policy.name:
                self._verdicts[key] = found

    def _decided(self, policy: Policy, target: TargetSpec) -> tuple[TargetPlan, tuple[int, Step] | None]:
        key = policy.key, target.name
        decided = attempt(partial(self._planned_and_written, key, policy, target))
        if isinstance(decided, Failure):
            observed = self.world.observed.get(key, Observed())
            return not_planned(policy, target, observed, decided.message), None
        return decided

    def _planned_and_written(
        self, key: TargetKey, policy: Policy, target: TargetSpec
    ) -> tuple[TargetPlan, tuple[int, Step] | None]:
        """A target's plan and the step that it asks for, with its stage."""
        plan = self._planned(key, policy, target)
        if plan.action is Action.NOTHING:
            return plan, None
        names: tuple[str, ...] = ()
        if plan.action is Action.RAISE:
            names = self.askers.who(self.book, policy.key, self.now, self._within(plan.until or self.now))
        step = step_of(plan, names)
        return plan, (STAGES.index(target.stage), step) if step is not None else None

    def _planned(self, key: TargetKey, policy: Policy, target: TargetSpec) -> TargetPlan:
        winner, observed = self.roster.winners.get(key), self.world.observed.get(key, Observed())
        if winner is not None:
            return not_ours(policy, target, winner)
        why = self.roster.unusable.get(key) or self.curves.failed.get(key)
        if why is not None:
            return not_planned(policy, target, observed, why)
        start = self._start(policy, target)
        pools = self.pools
        spoken, world = self._spoken(policy, target), self.world
        unheard = world.unheard_of(policy.key.namespace)
        say = Say(spoken, pools.limits.get(key), pools.refusals.get(key, ()), world.stopped, unheard)
        situation = Situation(
            policy,
            target,
            observed,
            _readings(self.world, policy, target),
            start,
            self._timeline(policy, target, start),
            say,
            self._unknown(policy.key, observed),
            self._starts_near(policy),
        )
        plan = decide(self.world.settings, situation, now=self.now)
        begin = (self.book.first + self.known.start) * self.book.cell
        if plan.peak_at == begin:  # it is on for longer than is known
            plan = replace(plan, peak_at=self.askers.since(self.book, policy.key, dict(target.capacity), begin))
        return plan

    def _unknown(self, policy: Key, observed: Observed) -> str:
        """Why more may be needed than is known; of what cannot be understood for as long as the loan was to last.

        A new life of the operator has only the loan to tell it that an event counted before it was edited into one that
        cannot be understood.
        """
        if (summed := self._left_out.get(policy)) is not None:
            return summed
        if observed.loan is None or observed.loan.until <= self.now:
            return ""
        return self.world.unread.get(policy) or self.world.unread.get(Key(policy.namespace, "")) or ""

    def _spoken(self, policy: Policy, target: TargetSpec) -> tuple[Override, ...]:
        """Overrides that name a target; a boost that is over counts as long as the hold of what it raised."""
        naming = self._overrides.get(policy.key)
        if not naming:
            return ()
        held = self.now - policy.release.hold - self.curves[policy.key, target.name].shift
        mine = in_force(naming, policy.key, target.name, held)
        return tuple(one for one in mine if self.now < one.until or one.action is OverrideAction.BOOST)

    def _judge(self, policy: Policy, judged: dict[Key, Verdict]) -> Iterator[None]:
        """The verdicts on a policy's events, into ``judged``."""
        first = self.book.first + self.known.start
        needs = Needs(partial(self._need_of, policy), partial(self._ahead, policy), first, self.book.cell)
        found = verdict.of_policy(self.world, self.book, self._plans, policy, self.now, needs)
        while (some := attempt(lambda: list(islice(found, VERDICTS)))) != []:
            if isinstance(some, Failure):
                missing = verdict.near_of(self.book, policy.key, self.now) - judged.keys()
                some = list(verdict.of_unjudged(self.book, missing, some.message, self.now))
            judged.update(some)
            yield

    def _need_of(self, policy: Policy, target: TargetSpec) -> Units | None:
        """What is announced of a target in the columns that are known, with what overrides add; None: nothing."""
        curve = self.curves.get((policy.key, target.name))
        if curve is None or curve.units is None:
            return None
        if any(one.action is OverrideAction.BOOST for one in self._spoken(policy, target)):
            line = self.boosted(policy, target)
            return line.units if line is not None else curve.units[self.known]
        return curve.units[self.known]

    def _ahead(self, policy: Policy, target: TargetSpec) -> float:
        """Seconds before a need of a target at which its write is due."""
        key = policy.key, target.name
        return self._plans[key].lead.seconds + self.curves[key].shift

    def _told(self, found: Iterator[verdict.Found]) -> Iterator[None]:
        while some := list(islice(found, VERDICTS)):
            self._verdicts.update(some)
            yield


def _readings(world: World, policy: Policy, target: TargetSpec) -> tuple[Reading | None, ...]:
    if not policy.signals:
        return ()
    carried = {signal for signal, _ in target.capacity}
    return tuple(world.readings.get((policy.key, s.name)) for s in policy.signals if s.query and s.name in carried)


def frozen(world: World) -> World:
    """The world as it is now: its mappings may be somebody's live ones. Announcements are read by the sums alone."""
    return replace(
        world,
        policies=dict(world.policies),
        announcements={},
        observed=dict(world.observed),
        readings=dict(world.readings),
        measured=dict(world.measured),
        pools=dict(world.pools),
    )
