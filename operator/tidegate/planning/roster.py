"""Who drives what: every target in a fixed order, with the one that drives its workload if that is another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from tidegate.planning.isolation import Failure, NotPlannableError, attempt
from tidegate.planning.model import Identity, Key, Mode, Policy, TargetSpec
from tidegate.planning.timeline import stage_shift

TargetKey = tuple[Key, str]

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
    unusable: Mapping[Key, str]
    """Policies that cannot be planned, and why; none of their targets is driven, and none loses its workload."""

    def of(self, policies: Mapping[Key, Policy]) -> bool:
        """Whether it was made from these very policies."""
        mine = self.policies
        return len(policies) == len(mine) and all(mine.get(key) is policy for key, policy in policies.items())


def roster_of(policies: Mapping[Key, Policy]) -> Roster:
    """Tell who drives what. Workloads are told apart by identity: two served versions name one object.

    What only observes drives nothing, so it stands behind what acts; then the older policy comes first.
    """
    owner: dict[Identity, TargetKey] = {}
    for policy in sorted(policies.values(), key=lambda p: (p.mode is Mode.OBSERVE, p.created, p.key)):
        for target in policy.targets:
            owner.setdefault(target.ref.identity, (policy.key, target.name))
    every = {(key, t.name): t for key in sorted(policies) for t in policies[key].targets}
    longest, unusable = 0.0, dict[Key, str]()
    for key, policy in policies.items():
        reach = attempt(partial(_reach, policy))
        if isinstance(reach, Failure):
            unusable[key] = reach.message
        else:
            longest = max(longest, reach)
    winners = {key: owner[t.ref.identity] for key, t in every.items() if owner[t.ref.identity] != key}
    driven = {key: t for key, t in every.items() if key not in winners and key[0] not in unusable}
    return Roster({key: policies[key] for key in sorted(policies)}, driven, winners, longest, unusable)


def _reach(policy: Policy) -> float:
    """Hold and longest stage shift of a policy."""
    reaches = [policy.release.hold, *(policy.release.hold + stage_shift(policy, t) for t in policy.targets)]
    if not all(0.0 <= reach <= LONGEST_REACH for reach in reaches):
        raise NotPlannableError(f"hold and settle times together reach back further than {LONGEST_REACH:g} s")
    return max(reaches)
