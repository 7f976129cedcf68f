"""Pools among the plans of targets: what the lanes' targets will need of them, and how far their floors may rise now.

Between the timelines of targets and the shift, which knows neither events nor policies.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from tidegate.planning.coming import bar
from tidegate.planning.decision import PoolLimit, PoolRefusal, PoolView
from tidegate.planning.model import Mode, Observed, PlanSettings, Policy, TargetKey, TargetSpec
from tidegate.planning.reasons import SENTENCES, Reason
from tidegate.planning.release import seconds_down
from tidegate.planning.resources import NOTHING, Resources
from tidegate.planning.shift.facts import NO_PODS, Occupancy, PoolSeen, Standing, facts_of, holder_of
from tidegate.planning.shift.handover import State
from tidegate.planning.shift.inputs import Timetabled, TimetableInputs, due
from tidegate.planning.shift.model import Need, amount_at
from tidegate.planning.shift.needs import LEAVING, Level, levels_of, needs_of
from tidegate.planning.shift.outcome import PoolPlan, Refusal
from tidegate.planning.shift.present import present
from tidegate.planning.shift.step import step
from tidegate.planning.timeline import TOLERANCE, Timeline
from tidegate.planning.world import PoolWorld, World

WATCHING = 3.0
"""Seconds until a hand-over that waits for machines is looked at again."""
WAY_BACK = 45.0
"""Seconds before its promise that work is planned back: for the look at which its machines are seen free, the write,
and the others' drain when they take its turn. Judgment: three beats."""
MEASURED_FOR = 300.0
"""Seconds for which measured demand is asked for at the least, twice that at the most: timetables do not change with
each reading. Judgment: longer than a floor takes to start, and work is not kept waiting for much longer than needed."""
_WAITING = {State.DRAIN, State.HOLD, State.GIVE_BACK}


@dataclass(frozen=True, slots=True)
class PoolTarget:
    """A target that plans on a pool, with all that its need follows from."""

    key: TargetKey
    policy: Policy
    target: TargetSpec
    observed: Observed
    line: Timeline | None
    """None: no event needs it."""
    measured: int = 0
    """Units that measured demand asks for now, as far as it is believed; 0: it asks for none."""
    there: Occupancy = NO_PODS
    """Its pods."""

    @property
    def owner(self) -> str:
        """As in ``Need.owner``."""
        return f"{self.policy.key}/{self.target.name}"

    @property
    def unit(self) -> Resources | None:
        """What one unit takes."""
        return unit_of(self.target.unit, self.observed.unit, self.there)

    @property
    def rest(self) -> int:
        """Units that it has anyway: its owner's level, or what of it stands on other machines where that is more."""
        loan = self.observed.loan
        return max(loan.original if loan else (self.observed.level or 0), self.elsewhere)

    @property
    def elsewhere(self) -> int:
        """Units that stand on other machines, as far as it is asked to have as many."""
        return min(self.there.elsewhere, self.observed.level or 0)


@dataclass(frozen=True, slots=True)
class PoolOutcome:
    """What the pools make of the targets on them."""

    views: dict[str, PoolView]
    limits: dict[TargetKey, PoolLimit]
    refusals: dict[TargetKey, tuple[PoolRefusal, ...]]


def unit_of(said: Resources | None, requested: Resources | None, there: Occupancy) -> Resources | None:
    """What one unit of a target takes: as its policy says, and no less than its pods request, or were admitted with.
    None when neither the policy nor the template tells.
    """
    known = [one for one in (said, requested) if one is not None]
    return reduce(Resources.most, known, there.largest) if known else None


def pools_of(world: World, targets: Iterable[PoolTarget], now: float) -> PoolOutcome:
    """What all pools make of the targets on them, with the timetables that the world has: nothing is solved here.

    ``targets`` are those whose policy names a pool and that name a lane.
    """
    by_pool: dict[str, list[PoolTarget]] = defaultdict(list)
    for target in targets:
        if target.policy.pool is not None:
            by_pool[target.policy.pool].append(target)
    outcome = PoolOutcome({}, {}, {})
    for name, asking in by_pool.items():
        one = world.pools.get(name)
        if one is None:
            message = f"CapacityPool {name} does not exist or cannot be used"
            _nothing_new(outcome, name, asking, Reason.POOL_MISSING, message, world.settings, now)
        elif one.seen is None:
            reason = Reason.POOL_UNSEEN if one.note else Reason.NOT_SEEN_YET
            _nothing_new(outcome, name, asking, reason, _unseen(one), world.settings, now)
    for name, one in world.pools.items():
        if one.seen is not None:
            _planned(outcome, one, one.seen, by_pool[name], world, now)
    return outcome


def with_timetables(
    world: World, views: Mapping[str, PoolView], make: Callable[[TimetableInputs], Timetabled]
) -> World:
    """The world with a timetable for each pool that is due for one, and none of pools that are gone."""
    made = {name: one for name, one in world.timetables.items() if name in views}
    for name, view in views.items():
        if view.due:
            made[name] = make(view.inputs)
    return replace(world, timetables=made)


def _planned(
    outcome: PoolOutcome, one: PoolWorld, seen: PoolSeen, targets: list[PoolTarget], world: World, now: float
) -> None:
    targets = [replace(t, there=seen.of(t.target.ref)) for t in targets]
    view, needs = _view(one, seen, targets, world, now)
    outcome.views[one.pool.name] = view
    for target in targets:
        refusals = _refusals(one.pool.name, target, view.plan, needs, now, world.settings)
        if one.stale and target.policy.mode is Mode.ENFORCE:
            refusals += _out_of_sight(one, target, view, needs)
        outcome.refusals[target.key] = refusals
        if (limit := _limit(target, view, needs, refusals)) is not None:
            outcome.limits[target.key] = limit


def _view(
    one: PoolWorld, seen: PoolSeen, targets: list[PoolTarget], world: World, now: float
) -> tuple[PoolView, list[Need]]:
    acting = [t for t in targets if t.policy.mode is Mode.ENFORCE and t.unit is not None]
    needs = [need for target in acting for need in _needs(target, world.settings, now)]
    facts = facts_of(one.pool, seen, map(_standing, acting), one.marks, one.remaining)
    if one.stale:
        facts = replace(facts, current=False, members=tuple(replace(m, seen=False) for m in facts.members))
    standing = world.timetables.get(one.pool.name)
    grace = world.settings.reserve
    inputs = TimetableInputs(one.pool, facts, tuple(needs), one.promises, now, WAY_BACK, standing, grace)
    plan = present(inputs)
    todo = step(one.pool, facts, plan, now)
    waiting = any(h.state in _WAITING for h in todo.hand_overs)
    times = [t for t in (todo.next_at, now + WATCHING if waiting else None) if t is not None]
    made_for = standing.made_for if standing is not None else None
    return PoolView(inputs, plan, todo, min(times, default=None), made_for, due(inputs)), needs


def _out_of_sight(one: PoolWorld, target: PoolTarget, view: PoolView, needs: Iterable[Need]) -> tuple[PoolRefusal, ...]:
    """Needs, also those to come, of which more is asked for than was let in before the pool went out of sight."""
    name, allowed = one.pool.name, view.step.balance.allowed
    message = f"CapacityPool {name} was not seen for two minutes: nothing new is let in"
    message += f" ({one.note})" if one.note else ""
    return tuple(
        PoolRefusal(name, need.start, need.end, Reason.POOL_UNSEEN, message)
        for need in needs
        if need.owner == target.owner
        and not all(step.amount.fits(allowed.get(need.key, NOTHING)) for step in need.steps)
    )


def _unseen(one: PoolWorld) -> str:
    name = one.pool.name
    return f"CapacityPool {name} cannot be looked at: {one.note}" if one.note else f"{name} has not been looked at yet"


def _needs(target: PoolTarget, settings: PlanSettings, now: float) -> tuple[Need, ...]:
    if target.line is None or target.unit is None or target.target.lane is None:
        return ()
    levels = levels_of(target.line, target.policy, target.target, settings, now, most=target.observed.maximum)
    return needs_of(
        target.owner,
        (*levels, *_measured(target, levels, now)),
        lane=target.target.lane,
        namespace=target.policy.key.namespace,
        unit=target.unit,
        standing=target.rest,
    )


def _measured(target: PoolTarget, levels: Iterable[Level], now: float) -> Iterator[Level]:
    """Measured demand as a level: from now on for a while, within the stretch of announced levels that is on."""
    end = now
    for level in levels:
        if level.start <= end < level.end:
            end = level.end
    end = min(end, (now // MEASURED_FOR + 2.0) * MEASURED_FOR)
    bounds = (target.measured, target.target.maximum, target.observed.maximum)
    units = min(one for one in bounds if one is not None)
    if units > 0 and end > now:
        yield Level(now, end, units)


def _standing(target: PoolTarget) -> Standing:
    ref, observed = target.target.ref, target.observed
    asked = observed.level if observed.loan and observed.level is not None else target.rest
    return Standing(
        lane=target.target.lane or "",
        owner=target.owner,
        holder=holder_of(ref),
        unit=target.unit or NOTHING,
        rest=target.rest,
        asked=asked,
        elsewhere=target.elsewhere,
    )


def _nothing_new(
    outcome: PoolOutcome,
    pool: str,
    targets: Iterable[PoolTarget],
    reason: Reason,
    message: str,
    settings: PlanSettings,
    now: float,
) -> None:
    """Let nothing new in on a pool of which nothing is known. What was let in before stands."""
    for target in targets:
        outcome.refusals[target.key] = (_refusal_of_all(pool, reason, message, settings, now),)
        if target.policy.mode is Mode.ENFORCE:
            outcome.limits[target.key] = PoolLimit(target.rest, reason, message)


def _refusal_of_all(pool: str, reason: Reason, message: str, settings: PlanSettings, now: float) -> PoolRefusal:
    """All that a target will need from the present cell on; the same one as long as the cell lasts."""
    start = now // settings.cell * settings.cell
    return PoolRefusal(pool, start, start + settings.cell + settings.horizon, reason, message)


def _refusals(
    pool: str, target: PoolTarget, plan: PoolPlan, needs: Iterable[Need], now: float, settings: PlanSettings
) -> tuple[PoolRefusal, ...]:
    """What of the target's needs the pool does not carry, one refusal a need."""
    if target.unit is None:
        return (_refusal_of_all(pool, Reason.UNIT_UNKNOWN, SENTENCES[Reason.UNIT_UNKNOWN], settings, now),)
    spans = {need.key: need for need in needs if need.owner == target.owner}
    parts: dict[str, list[Refusal]] = defaultdict(list)
    for one in plan.refusals:
        if one.key in spans and not _stands(target, spans[one.key], one):
            parts[one.key].append(one)
    return tuple(_refusal(pool, target, spans[key], parts[key], plan, now, settings) for key in sorted(parts))


def _stands(target: PoolTarget, need: Need, refused: Refusal) -> bool:
    """Whether all that is refused of a need stands on machines already, and goes on standing: nobody takes a machine
    from a pod but for a promise that work was given.
    """
    if refused.reason is Reason.GIVE_BACK_PROMISE or target.unit is None or target.there.pods is None:
        return False
    end = need.end if refused.until is None else refused.until
    wanted = (step.amount for step in need.steps if step.start < end and refused.at < step.end)
    most = reduce(Resources.most, wanted, NOTHING)
    return target.rest + target.unit.units_in(most) <= target.there.pods + target.elsewhere


def _refusal(
    pool: str,
    target: PoolTarget,
    need: Need,
    parts: Sequence[Refusal],
    plan: PoolPlan,
    now: float,
    settings: PlanSettings,
) -> PoolRefusal:
    """The refusals of a need's parts as one: the part that waits longest is told, of equal ones the first."""
    last = max(parts, key=lambda one: math.inf if one.earliest is None else one.earliest)
    start = min(max(one.at, need.start) for one in parts)
    end = max(need.end if one.until is None else one.until for one in parts)
    late = _lateness(target, plan, last.earliest, start, now, settings)
    if late is not None:
        end = max(end, late[1])
    in_time = late is None or late[1] - late[0] <= TOLERANCE
    return PoolRefusal(pool, start, end, last.reason, last.message, last.earliest, None if in_time else late)


def _lateness(
    target: PoolTarget, plan: PoolPlan, earliest: float | None, start: float, now: float, settings: PlanSettings
) -> tuple[float, float] | None:
    """``Timeline.supplied`` of what a target lacks from ``start`` to ``earliest``; None where nothing comes."""
    if earliest is None or target.line is None or target.unit is None:
        return None
    granted = amount_at((step for one in plan.grants if one.owner == target.owner for step in one.steps), start)
    units = target.rest + (0 if granted.nothing else target.unit.units_in(granted))
    since = max(start, now // settings.cell * settings.cell)
    return target.line.supplied(since, above=bar(target.target, units), at=earliest, reserve=settings.reserve)


def _limit(
    target: PoolTarget, view: PoolView, needs: Iterable[Need], refusals: Iterable[PoolRefusal]
) -> PoolLimit | None:
    """Units that the target may have now; None where the pool says nothing about it."""
    if target.policy.mode is not Mode.ENFORCE:
        return None
    if target.unit is None:  # nobody knows how much of the pool it would take
        return PoolLimit(target.rest, Reason.UNIT_UNKNOWN, SENTENCES[Reason.UNIT_UNKNOWN])
    mine = [need.key for need in needs if need.owner == target.owner]
    if not mine:
        return None
    allowed = [view.step.balance.allowed.get(key, NOTHING) for key in mine]
    units = target.rest + sum(target.unit.units_in(amount) for amount in allowed if not amount.nothing)
    if not view.inputs.facts.current:
        return PoolLimit(units, Reason.POOL_UNSEEN, SENTENCES[Reason.POOL_UNSEEN])
    cut = _cut(target, view, needs) if any(r.reason is Reason.GIVE_BACK_PROMISE for r in refusals) else None
    for refusal in refusals:
        if refusal.start <= view.plan.now < refusal.end:
            return PoolLimit(units, refusal.reason, refusal.message, cut)
    return PoolLimit(units, Reason.POOL_LIMIT, f"{units} units is what the pool has free now; more follows")


def _cut(target: PoolTarget, view: PoolView, needs: Iterable[Need]) -> int | None:
    """Units that the floor has to come down to by now, so that its pods are gone when their machines are promised back.

    Where less is granted than needed, the fall counts from as long before as the steps down and the pods' leaving take.
    """
    loan, level, unit = target.observed.loan, target.observed.level, target.unit
    if loan is None or level is None or unit is None:
        return None
    granted = [step for grant in view.plan.grants if grant.owner == target.owner for step in grant.steps]
    wanted = [step for need in needs if need.owner == target.owner for step in need.steps]
    release = target.policy.release
    cut: int | None = None
    for at in {view.plan.now, *(one.end for one in granted)}:
        left = amount_at(granted, at)
        units = target.rest + (0 if left.nothing else unit.units_in(left))
        early = seconds_down(release, loan.highest, max(loan.highest, level) - units) + LEAVING
        if not amount_at(wanted, at).fits(left) and view.plan.now >= at - early:
            cut = units if cut is None else min(cut, units)
    return cut
