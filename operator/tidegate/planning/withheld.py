"""Levels that nobody writes because somebody wants it so: the durable stop, a policy that only observes, a pause."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.planning.instants import rfc3339
from tidegate.planning.model import OURS, Mode, Policy, Ref, TargetKey, TargetSpec
from tidegate.planning.override import Override, OverrideAction
from tidegate.planning.reasons import Reason


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why nothing is written for a target, whatever it needs."""

    reason: Reason
    message: str
    object: Ref
    """Where it is said; of the durable stop the target."""
    field: str = ""
    until: float = math.inf
    """When levels are written again, epoch seconds."""


def outranked(policy: Policy, target: TargetSpec, winner: TargetKey) -> Withheld:
    """Why a target is left to another that drives the same workload and comes first."""
    by = f"ScalingPolicy {winner[0].name}" if winner[0] != policy.key else f"target {winner[1]} of this policy"
    about = Ref(OURS, "ScalingPolicy", winner[0].namespace, winner[0].name)
    return Withheld(Reason.SHARED_WORKLOAD, f"{target.ref} is driven by {by}, which comes first", about, "spec.targets")


def withheld(policy: Policy, target: TargetSpec, overrides: Iterable[Override], *, stopped: bool) -> Withheld | None:
    """Who wants that nothing is written for a target, of several the one that lasts longest; None while we act.

    ``overrides`` are those in force for the target.
    """
    key = policy.key
    if stopped:
        return Withheld(Reason.STOPPED, "the durable stop is set (tidegate resume lifts it)", target.ref)
    if policy.mode is Mode.OBSERVE:
        about = Ref(OURS, "ScalingPolicy", key.namespace, key.name)
        return Withheld(Reason.OBSERVE_ONLY, f"ScalingPolicy/{key.name} only observes", about, "spec.mode")
    pauses = [one for one in overrides if one.action is OverrideAction.PAUSE]
    if not pauses:
        return None
    last = max(pauses, key=lambda one: (one.until, one.key))
    about = Ref(OURS, "Override", last.key.namespace, last.key.name)
    said = f"paused until {rfc3339(last.until)} by {last.author}: {last.reason}"
    return Withheld(Reason.OVERRIDE_PAUSE, said, about, "spec.until", last.until)
