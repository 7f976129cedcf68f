"""The scaler beneath a target in ``tidegate explain``: what it wishes by itself, and what a live floor adds to that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tidegate.cli import learned as learning
from tidegate.planning.beneath import MARGIN, advice, is_dead_weight, said, wish
from tidegate.planning.model import Observed, Policy, TargetSpec
from tidegate.ports import Learned


def told(policy: Policy, target: TargetSpec, seen: Observed, learned: Learned | None) -> dict[str, Any] | None:
    """What the scaler in front of a target holds, in units and percent; None without one, or where nobody can tell.

    ``deadWeight`` is None for a policy whose floors do not follow demand.
    """
    held = wish(seen.aims, target.capacity)
    if held is None or seen.scaler is None:
        return None
    found: dict[str, Any] = {
        "scaler": str(seen.scaler),
        "metric": held.aim.metric,
        "targetPercent": round(100.0 * held.share, 3),
        "wishesMorePercent": round(100.0 * held.more, 3),
        "floor": seen.level,
        "desired": seen.desired,
        "smallestFloorNow": _smallest(seen),
        "says": said(held, str(seen.scaler)),
        "deadWeight": None,
    }
    if policy.live is None:
        return found
    asks = _asks(policy, target, learned)
    dead = is_dead_weight(held, headroom=target.headroom, margin=asks)
    return found | {
        "liveAsksForPercent": round(100.0 * ((1.0 + target.headroom) * (1.0 + asks) - 1.0), 3),
        "deadWeight": dead,
        "advice": advice(held, target.capacity) if dead else None,
    }


def lines(told: dict[str, Any] | None) -> Iterator[str]:
    """The same for people."""
    if told is None:
        return
    yield f"beneath    {told['says']}"
    if told["smallestFloorNow"] is not None:
        yield (
            f"           it asks for {told['desired']} now and the floor is {told['floor']}:"
            f" {told['smallestFloorNow']} is the smallest that adds anything"
        )
    if told["deadWeight"] is None:
        return
    verdict = "dead weight" if told["deadWeight"] else "that matters"
    asks = f"{told['liveAsksForPercent']:.3g} % above demand at the most, nine minutes in ten"
    yield f"           without an event the live floor asks for {asks}: {verdict}"
    if told["deadWeight"]:
        yield f"           {told['advice']}"


def _smallest(seen: Observed) -> int | None:
    """The least floor that would lift the workload now; None where the floor that stands is what holds it."""
    if seen.desired is None or seen.level is None or seen.desired <= seen.level:
        return None
    return seen.desired + 1


def _asks(policy: Policy, target: TargetSpec, learned: Learned | None) -> float:
    """What a live floor asks for above demand, headroom apart, as a share. What was learned of a signal counts where it
    is more than is usual: of the trend of the hour it says nothing.
    """
    signals = learning.told(policy, target, learned)["signals"].values()
    known: list[float] = [one["growsAtMostPercent"] / 100.0 for one in signals if one["readings"] >= learning.FEW]
    return max([MARGIN, *known])
