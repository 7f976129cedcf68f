"""Levels that nobody writes: because somebody wants it so (the durable stop, a policy that only observes, a pause), or
because nobody can tell what on-call wants.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.planning.instants import rfc3339
from tidegate.planning.model import OURS, Mode, Policy, Ref, TargetKey, TargetSpec
from tidegate.planning.override import Override, OverrideAction
from tidegate.planning.reasons import Reason

TOLD_AFTER = 10.0
"""Seconds for which what could not be listed says nothing: most lists are there again after two. Judgment."""


@dataclass(frozen=True, slots=True)
class Unheard:
    """What on-call says cannot be listed, and levels are held back for it."""

    message: str
    """What, since when, and who answers what; the same while the same is wrong."""
    since: float
    """Epoch seconds; infinite before we lead."""
    raises_at: float = math.inf
    """From when levels rise all the same, by what was known before; nothing is lowered by that. Epoch seconds."""
    raises: bool = False
    """It is so by now."""

    def withholds(self, now: float) -> bool:
        """Whether it keeps levels from rising, and has for long enough to be told."""
        return not self.raises and now - self.since >= TOLD_AFTER

    def lets(self, *, upwards: bool) -> bool:
        """Whether a level may be written all the same."""
        return self.raises and upwards


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why nothing is written for a target, whatever it needs."""

    reason: Reason
    message: str
    object: Ref
    """Where it is said; of the durable stop, and of what cannot be listed, the target."""
    field: str = ""
    until: float = math.inf
    """When levels are written again, epoch seconds."""


def outranked(policy: Policy, target: TargetSpec, winner: TargetKey) -> Withheld:
    """Why a target is left to another that drives the same workload and comes first."""
    by = f"ScalingPolicy {winner[0].name}" if winner[0] != policy.key else f"target {winner[1]} of this policy"
    about = Ref(OURS, "ScalingPolicy", winner[0].namespace, winner[0].name)
    return Withheld(Reason.SHARED_WORKLOAD, f"{target.ref} is driven by {by}, which comes first", about, "spec.targets")


def withheld(
    policy: Policy,
    target: TargetSpec,
    overrides: Iterable[Override],
    *,
    stopped: bool,
    unheard: Unheard | None = None,
    now: float = math.inf,
) -> Withheld | None:
    """Why nothing is written for a target, of several reasons the one that lasts longest; None while we act.

    ``overrides`` are those in force for the target, ``unheard`` is what cannot be listed at ``now``.
    """
    key = policy.key
    if stopped:
        return Withheld(Reason.STOPPED, "the durable stop is set (tidegate resume lifts it)", target.ref)
    if policy.mode is Mode.OBSERVE:
        about = Ref(OURS, "ScalingPolicy", key.namespace, key.name)
        return Withheld(Reason.OBSERVE_ONLY, f"ScalingPolicy/{key.name} only observes", about, "spec.mode")
    paused = _paused(overrides)
    deaf = _not_heard(target, unheard) if unheard is not None and unheard.withholds(now) else None
    return max((one for one in (paused, deaf) if one is not None), key=lambda one: one.until, default=None)


def _not_heard(target: TargetSpec, unheard: Unheard) -> Withheld:
    said = unheard.message
    if unheard.raises_at < math.inf:
        said += f"; from {rfc3339(unheard.raises_at)} on levels are raised by what was known before"
    return Withheld(Reason.NOT_HEARD, said, target.ref, until=unheard.raises_at)


def _paused(overrides: Iterable[Override]) -> Withheld | None:
    pauses = [one for one in overrides if one.action is OverrideAction.PAUSE]
    if not pauses:
        return None
    last = max(pauses, key=lambda one: (one.until, one.key))
    about = Ref(OURS, "Override", last.key.namespace, last.key.name)
    said = f"paused until {rfc3339(last.until)} by {last.author}: {last.reason}"
    return Withheld(Reason.OVERRIDE_PAUSE, said, about, "spec.until", last.until)
