"""A world that does what the plan says, at once: levels are written and ready, work on pools leaves and comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tidegate.planning.decision import Action, Plan, Step, TargetPlan
from tidegate.planning.model import Key, LoanState, Observed, Policy, Ref, TargetKey
from tidegate.planning.pools import PoolTarget
from tidegate.planning.resources import Resources
from tidegate.planning.shift.facts import NO_PODS, Holder, MemberSeen, Occupancy
from tidegate.planning.shift.handover import Act, Do
from tidegate.planning.world import PoolWorld, World


def obeyed(world: World, plan: Plan, now: float) -> World:
    """The world once all that a plan asks for has been done. What was promised on pools stands for the next plan."""
    observed = dict(world.observed)
    for step in plan.steps:
        key = step.policy, step.target
        observed[key] = _stepped(observed[key], step, plan.targets[key], now)
    pools = dict(world.pools)
    for name, view in plan.pools.items():
        there = replace(pools[name], promises=view.plan.promises)
        pools[name] = _acted(there, view.step.acts, _levels(world.policies, name, observed, plan.steps), now)
    return replace(world, observed=observed, pools=pools)


def _stepped(seen: Observed, step: Step, target: TargetPlan, now: float) -> Observed:
    loan = seen.loan or LoanState(step.before, step.level, now, now)
    highest, until = max(loan.highest, step.level), target.until or now
    loan = replace(loan, highest=highest, stepped_at=now, until=until)
    there = replace(seen, level=step.level, ready=step.level, desired=step.level)
    return replace(there, loan=None if step.action is Action.RETURN else loan)


def _levels(
    policies: Mapping[Key, Policy], pool: str, observed: Mapping[TargetKey, Observed], steps: tuple[Step, ...]
) -> dict[Holder, Resources]:
    """What the pods of the targets that stepped take of a pool, by who controls them."""
    stepped, found = {(step.policy, step.target) for step in steps}, {}
    for policy in policies.values():
        for target in policy.targets if policy.pool == pool else ():
            one = PoolTarget(
                (policy.key, target.name), policy, target, observed.get((policy.key, target.name), Observed()), None
            )
            if one.key in stepped and one.unit is not None and target.lane is not None:
                found[_holder(target.ref)] = one.unit.times(one.observed.level or 0)
    return found


def _acted(one: PoolWorld, acts: tuple[Act, ...], used: Mapping[Holder, Resources], now: float) -> PoolWorld:
    """A pool whose work has done what it was told, and whose targets take what they were given."""
    if one.seen is None or not (acts or used):
        return one
    marks = dict(one.marks)
    for act in acts:
        if act.do is Do.CLOSE:
            marks.pop(act.ref, None)
        else:
            marks[act.ref] = act.mark
    moved = {act.ref: act.level for act in acts if act.do in (Do.STOP, Do.RESUME)}
    occupancy = dict(one.seen.occupancy)
    for holder, amount in used.items():
        before = occupancy.get(holder, Occupancy(amount, now))
        occupancy[holder] = replace(before, used=amount, pods=None)
    members = []
    for member in one.seen.members:
        if member.ref in moved:
            _move(member, moved[member.ref], occupancy, now)
            member = replace(member, level=moved[member.ref], started_at=_started(member, moved[member.ref], now))
        members.append(member)
    return replace(one, seen=replace(one.seen, occupancy=occupancy, members=tuple(members)), marks=marks)


def _move(member: MemberSeen, level: int, occupancy: dict[Holder, Occupancy], now: float) -> None:
    holder = _holder(member.ref)
    before = occupancy.get(holder, NO_PODS)
    pod = member.each.most(before.largest)
    youngest = now if level > member.level else before.youngest
    occupancy[holder] = replace(
        before, used=pod.times(member.many * level), youngest=youngest, pods=member.many * level, waiting=0
    )


def _started(member: MemberSeen, level: int, now: float) -> float:
    """Since when work runs as a whole, where that is told: a Job starts anew when it is started again."""
    return now if member.started_at and level > member.level else member.started_at


def _holder(ref: Ref) -> Holder:
    return Holder(ref.namespace, ref.kind, ref.name)
