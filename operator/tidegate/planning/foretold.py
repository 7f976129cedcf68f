"""What is wrong with an event long before its verdict is due: told from acceptance on, while there is time to mend it.

An event alone is looked at, at its own peak, with its policy as it is now. What it needs together with others, and what
stands in the cluster's way, is the verdict's business from an hour before T-0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tidegate.planning.causes import over_maximum, over_scalers_maximum, policy_ref
from tidegate.planning.decision import Outcome, Verdict
from tidegate.planning.model import Announcement, Observed, Policy, Ref, TargetSpec
from tidegate.planning.reasons import Reason

_NAMED = 3
"""Signals that a sentence names."""

Shares = Iterable[tuple[str, int]]
"""Units that an event alone needs of each target at its peak, as ``explain.own_share`` tells."""


def beyond_maximum(shares: Shares, policy: Policy) -> Iterator[tuple[int, TargetSpec, int]]:
    """Targets of which an event alone needs more than the policy's max: (number, target, units)."""
    needed = dict(shares)
    for number, target in enumerate(policy.targets):
        if (units := needed.get(target.name, 0)) > target.maximum:
            yield number, target, units


def uncarried(event: Announcement, policy: Policy) -> list[str]:
    """Signals of an event that no target carries, and that no other signal follows: nothing prepares them."""
    return sorted(_asked(event) - _carried(policy) - {one.source for one in event.derived})


def _asked(event: Announcement) -> set[str]:
    followed = {one.signal for one in event.derived} | {one.signal for one in event.moments}
    return {name for name, _ in event.expected} | followed


def _carried(policy: Policy) -> set[str]:
    return {signal for target in policy.targets for signal, _ in target.capacity}


def nobody_prepares(names: list[str], policy: Policy) -> str:
    """That signals are carried by no target, in words."""
    some = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return f"nothing prepares {some}: no target of {policy.key.name} carries it"


def foretold(
    event: Announcement, policy: Policy, shares: Shares, observed: Mapping[str, Observed], starts_at: float
) -> Verdict | None:
    """What blocks an event whatever the cluster does until then; None: nothing that is known by now. ``observed`` are
    the policy's targets, as far as they were seen.
    """
    needed = dict(shares)
    if _carried(policy).isdisjoint(_asked(event)):
        message = f"no target of {policy.key.name} carries {', '.join(sorted(_asked(event))) or 'any of its signals'}"
        return Verdict(Outcome.BLOCKED, Reason.NO_TARGET, message, starts_at, object=policy_ref(policy.key))
    for number, target in enumerate(policy.targets):
        seen = observed.get(target.name, Observed())
        found = _limit(needed.get(target.name, 0), seen, target, policy, f"spec.targets[{number}].max")
        if found is not None:
            reason, message, about, field = found
            said = f"{target.name}: {message} ({about})"
            return Verdict(Outcome.BLOCKED, reason, said, starts_at, target=target.name, object=about, field=field)
    return None


def _limit(
    units: int, seen: Observed, target: TargetSpec, policy: Policy, field: str
) -> tuple[Reason, str, Ref, str] | None:
    """The lower one of the two maxima, where a need is above it and above what is there anyway."""
    there = max((seen.loan.original if seen.loan else seen.level) or 0, 0)
    if seen.maximum is not None and seen.maximum < target.maximum and units > max(seen.maximum, there):
        about = seen.scaler or target.ref
        return Reason.SCALER_MAXIMUM, over_scalers_maximum(units, seen.maximum), about, "spec.maxReplicas"
    if units > max(target.maximum, there):
        return Reason.POLICY_MAXIMUM, over_maximum(units, target.maximum), policy_ref(policy.key), field
    return None
