"""What objects say of one another: an event of its policy, two policies of one workload, a policy of its pool.

None of it makes an object invalid: the other one may come later, or change. ``tidegate validate`` tells it of files,
the operator's admission of what is on the cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from tidegate.api.parsed import ParsedEvent
from tidegate.api.problems import Problem
from tidegate.api.walltime import to_local
from tidegate.planning.beneath import Aims, advice, is_dead_weight, said, wish
from tidegate.planning.model import Identity, Key, PlanSettings, Policy, TargetSpec
from tidegate.planning.override import MOST_COUNTED, Override, counted
from tidegate.planning.shift.model import Pool


def event_that_is_over(event: ParsedEvent, now: float) -> Iterator[Problem]:
    """An event of the past: last year's file, applied again."""
    if event.base.occurrences and event.next_occurrence(now) is None:
        last = max(one.start + one.duration for one in event.base.occurrences)
        right = "change schedule.startTime: nothing will be prepared for it"
        yield Problem("spec.schedule.startTime", f"the event is over, {_ago(now - last)}", right)


def override_that_is_over(override: Override, now: float) -> Iterator[Problem]:
    """An override whose end has passed: the file of another evening, applied again."""
    if override.until <= now:
        right = "it does nothing: give an instant to come"
        yield Problem("spec.until", f"the override is over, {_ago(now - override.until)}", right)


def _ago(seconds: float) -> str:
    days, hours = seconds / 86_400, seconds / 3600
    return f"{days:.0f} days ago" if days >= 2 else f"{hours:.0f} h ago" if hours >= 1 else "just now"


def occurrences_at_once(event: ParsedEvent) -> Iterator[Problem]:
    """Occurrences that were postponed to where another one is: at the same instant they are one, else they add up."""
    changed = event.series.changed if event.series is not None else ()
    told = set[float]()
    for one in changed:
        assert event.series is not None  # noqa: S101 - there are changed ones
        beside = [o.start for o in event.series.every(one.start, one.start + one.duration)]
        beside.remove(one.start)
        if one.start in told or not beside:
            continue
        told |= {one.start, *beside}
        at = to_local(one.start, event.zone).isoformat(timespec="seconds")
        if one.start in beside:
            wrong, right = (
                f"two occurrences begin at {at}",
                "they count as one: cancel one, or postpone it to another time",
            )
        else:
            wrong, right = f"the occurrence at {at} overlaps another", "what they need adds up: postpone it further"
        yield Problem("spec.schedule.changes", wrong, right)


def signals_that_nobody_carries(event: ParsedEvent, policy: Policy) -> Iterator[Problem]:
    """Signals of an event that are in no target's capacity, and that no other signal follows."""
    # Here, because it brings numpy: whoever only parses starts without it.
    from tidegate.planning.foretold import uncarried

    for signal in uncarried(event.base, policy):
        wrong = f'no target of {event.policy} carries "{signal}"'
        yield Problem("spec", wrong, "add it to a target's capacity: nothing prepares it")


def needs_beyond_max(event: ParsedEvent, policy: Policy, now: float) -> Iterator[Problem]:
    """Targets of which the event alone needs more than the policy's max, at the next occurrence."""
    # Here, because they bring numpy: whoever only parses starts without it.
    from tidegate.planning.explain import own_share
    from tidegate.planning.foretold import beyond_maximum

    occurrence = event.next_occurrence(now)
    if occurrence is None:
        return
    shares = own_share(replace(event.base, occurrences=(occurrence,)), policy, cell=PlanSettings().cell)
    for number, target, units in beyond_maximum(shares, policy):
        wrong = f"needs {units} units of {target.name} at its peak, and the max of {event.policy} is {target.maximum}"
        right = f"raise spec.targets[{number}].max of the policy, or expect that so much is missing"
        yield Problem("spec.expected", wrong, right)


def shared_workloads(policy: Policy, taken: Mapping[Identity, Key]) -> Iterator[tuple[TargetSpec, Problem]]:
    """Targets whose workload is another policy's too; ``taken`` tells whose."""
    for index, target in enumerate(policy.targets):
        other = taken.get(target.ref.identity, policy.key)
        if other != policy.key:
            wrong = f"{target.ref} is a target of {other} too"
            right = "one workload, one policy: on the cluster the oldest wins and this one stands back"
            yield target, Problem(f"spec.targets[{index}].ref", wrong, right)


def lanes_that_refuse(policy: Policy, pool: Pool) -> Iterator[Problem]:
    """Lanes that the policy's pool does not have, or that do not allow its namespace."""
    for index, target in enumerate(policy.targets):
        if target.lane is None:
            continue
        lane = pool.lane(target.lane)
        if lane is None:
            wrong = f'CapacityPool {pool.name} has no lane "{target.lane}"'
            right = f"use one of {', '.join(one.name for one in pool.lanes)}"
        elif policy.key.namespace not in lane.allowed_namespaces:
            wrong = f"lane {lane.name} of CapacityPool {pool.name} does not allow namespace {policy.key.namespace}"
            right = "add it to the lane's allowedNamespaces: until then every need is refused"
        else:
            continue
        yield Problem(f"spec.targets[{index}].lane", wrong, right)


def target_that_is_not_there(override: Override, policy: Policy) -> Iterator[Problem]:
    """The target of an override that its policy does not have."""
    names = [target.name for target in policy.targets]
    if override.target is not None and override.target not in names:
        wrong = f'{override.policy} has no target "{override.target}"'
        yield Problem("spec.target", wrong, f"use one of {', '.join(names)}")


def floors_that_weigh_nothing(policy: Policy, scalers: Mapping[Identity, tuple[str, Aims | None]]) -> Iterator[Problem]:
    """Targets whose live floor lies below what the scaler in front of them wishes anyway; ``scalers`` tells which, by
    workload.
    """
    for target in policy.targets if policy.live is not None else ():
        scaler, aims = scalers.get(target.ref.identity, ("", None))
        held = wish(aims, target.capacity)
        if held is not None and is_dead_weight(held, headroom=target.headroom):
            wrong = f"the floor of {target.name} is dead weight nearly always: {said(held, scaler)}"
            yield Problem("spec.live", wrong, advice(held, target.capacity))


def targets_beyond(policy: Policy, beside: Iterable[Policy], most: int) -> Iterator[Problem]:
    """More targets than the policies of one namespace may have together. ``beside`` may hold the policy itself, as it
    was before.
    """
    others = (one for one in beside if one.key.namespace == policy.key.namespace and one.key != policy.key)
    total = len(policy.targets) + sum(len(one.targets) for one in others)
    if total > most:
        wrong = f"the policies of namespace {policy.key.namespace} have {total} targets together"
        yield Problem("spec.targets", wrong, f"at most {most} in one namespace")


def override_beyond(override: Override, beside: Iterable[Override], now: float) -> Iterator[Problem]:
    """One override more than count for the same; ``beside`` are those that are there."""
    last = replace(override, created=max(override.created, now))
    if override.key not in {one.key for one in counted((*beside, last), now)}:
        what = f"target {override.target} of {override.policy}" if override.target else f"all of {override.policy}"
        wrong = f"{MOST_COUNTED} overrides of {what} are in force already"
        yield Problem("spec", wrong, "end one of them first: move its until into the past")
