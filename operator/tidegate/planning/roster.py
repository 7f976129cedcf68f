"""Who drives what: every target in a fixed order, with the one that drives its workload if that is another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from tidegate.planning.isolation import Failure, NotPlannableError, attempt
from tidegate.planning.model import Identity, Key, Mode, Policy, TargetKey, TargetSpec
from tidegate.planning.timeline import stage_shift

LONGEST_REACH = 7 * 86_400.0
"""Seconds of the past that a policy's hold and settle times may reach back together. Judgment: the API allows a day
each; the book of all policies is as long as the longest of them."""


@dataclass(frozen=True, slots=True)
class Roster:
    """All targets, as the policies of one instant name them."""

    policies: Mapping[Key, Policy]
    """By key, sorted."""
    driven: Mapping[TargetKey, TargetSpec]
    """Targets that drive their workload, in the order of their keys."""
    winners: Mapping[TargetKey, TargetKey]
    """Of the others the target that drives their workload instead."""
    reach: float
    """Seconds of the past in which the end of a need still counts for somebody."""
    unusable: Mapping[TargetKey, str]
    """Targets that cannot be planned, and why: not driven, but none of them loses its workload to another."""
    reaches: Mapping[Key, float]
    """``reach`` of each policy alone."""

    def of(self, policies: Mapping[Key, Policy]) -> bool:
        """Whether it was made from these very policies."""
        mine = self.policies
        return len(policies) == len(mine) and all(mine.get(key) is policy for key, policy in policies.items())


def roster_of(policies: Mapping[Key, Policy], before: Roster | None = None) -> Roster:
    """Tell who drives what. Workloads are told apart by identity: two served versions name one object. Of policies that
    are in the roster ``before`` the numbers are not checked again.

    What only observes drives nothing, so it stands behind what acts; then the older policy comes first.
    """
    owner: dict[Identity, TargetKey] = {}
    names: dict[TargetKey, Identity] = {}
    for policy in sorted(policies.values(), key=lambda p: (p.mode is Mode.OBSERVE, p.created, p.key)):
        for target in policy.targets:
            names[policy.key, target.name] = workload = target.ref.identity
            owner.setdefault(workload, (policy.key, target.name))
    every = {(key, t.name): t for key in sorted(policies) for t in policies[key].targets}
    reaches, unusable = dict[Key, float](), dict[TargetKey, str]()
    for key, policy in policies.items():
        if before is not None and before.policies.get(key) is policy:
            reaches[key] = before.reaches[key]
            mine = [(key, t.name) for t in policy.targets] if before.unusable else []
            unusable.update({of: before.unusable[of] for of in mine if of in before.unusable})
            continue
        reaches[key] = 0.0
        for target in policy.targets:
            reach = attempt(partial(_reach, policy, target))
            if isinstance(reach, Failure):
                unusable[policy.key, target.name] = reach.message
            else:
                reaches[key] = max(reaches[key], reach)
    winners = {key: owner[names[key]] for key in every if owner[names[key]] != key}
    driven = {key: t for key, t in every.items() if key not in winners and key not in unusable}
    longest = max(reaches.values(), default=0.0)
    return Roster({key: policies[key] for key in sorted(policies)}, driven, winners, longest, unusable, reaches)


def _reach(policy: Policy, target: TargetSpec) -> float:
    """Seconds of the past in which the end of a need still counts for a target, once all its numbers are checked.

    The API lets no others in; whether a target can be planned must not depend on the events that there are.
    """
    reach = policy.release.hold + stage_shift(policy, target)
    if not 0.0 <= reach <= LONGEST_REACH:
        raise NotPlannableError(f"hold and settle times together reach back further than {LONGEST_REACH:g} s")
    numbers = {
        "quantile": (policy.quantile, 0.0 < policy.quantile < 1.0),
        "correlation": (policy.correlation, 0.0 <= policy.correlation <= 1.0),
        "release step": (policy.release.step_per_minute, 0.0 < policy.release.step_per_minute < math.inf),
        "headroom": (target.headroom, 0.0 <= target.headroom < math.inf),
        "lead time": (target.lead.seconds, 0.0 <= target.lead.seconds + target.lead.machine_seconds < math.inf),
        **{f"capacity for {signal}": (value, 0.0 < value < math.inf) for signal, value in target.capacity},
        **{f"background of {signal}": (value, 0.0 <= value < math.inf) for signal, value in target.background},
    }
    for name, (value, sound) in numbers.items():
        if not sound:
            raise NotPlannableError(f"{name} {value} is not plannable")
    return reach
