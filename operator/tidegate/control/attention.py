"""What matters now, as the last plan says: which targets are looked at closely, whose signals are read, which pools are
busy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tidegate.control.poollooker import PoolLooker
from tidegate.planning.decision import Plan
from tidegate.planning.model import Announcement, Key, Policy, TargetKey
from tidegate.ports import Loan


def active(plan: Plan | None, *, until: float) -> frozenset[TargetKey]:
    """Targets that hold a loan or have a step due until then."""
    planned = plan.targets.items() if plan else ()
    return frozenset({key for key, p in planned if p.next_at is not None and p.next_at <= until})


def following(policies: Mapping[Key, Policy]) -> frozenset[TargetKey]:
    """Targets of policies that follow measured demand at all times."""
    return frozenset({(key, one.name) for key, p in policies.items() if p.live is not None for one in p.targets})


def near(plan: Plan | None, loans: Iterable[Loan], events: Mapping[Key, Announcement]) -> frozenset[TargetKey]:
    """Targets that hold a loan, or that an event with a verdict will need: why they are not ready is looked for."""
    held = {(loan.policy, loan.target) for loan in loans}
    if plan is None:
        return frozenset(held)
    judged = [events[key] for key in plan.verdicts if key in events]
    policies = {Key(event.key.namespace, event.policy) for event in judged}
    needed = {key for key, p in plan.targets.items() if key[0] in policies and p.peak_at is not None}
    return frozenset(held | needed)


def reading(plan: Plan | None, loans: Iterable[Loan], *, until: float) -> frozenset[Key]:
    """Policies whose signals are read: they hold a loan, need something, or have a step due until then."""
    planned = plan.targets.items() if plan else ()
    wanted = {key[0] for key, p in planned if p.need > 0 or (p.next_at is not None and p.next_at <= until)}
    return frozenset({loan.policy for loan in loans} | wanted)


def busy_pools(plan: Plan | None, looker: PoolLooker, pools: Iterable[str]) -> Iterator[str]:
    """Pools that have loans, or that somebody asks something of."""
    for name in pools:
        view = plan.pools.get(name) if plan is not None else None
        if looker.loans_of(name) or (view is not None and (view.plan.grants or view.plan.refusals)):
            yield name
