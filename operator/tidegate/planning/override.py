"""Overrides: what on-call says at 23:58, with an author, a reason and an end.

Three actions. Boost multiplies the need, before min and max. Hold forbids every step down. Pause forbids every write.
An override that is over, or that has not begun to exist, says nothing; nobody has to take it away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from tidegate.planning.instants import rfc3339
from tidegate.planning.model import Key
from tidegate.planning.reasons import Reason

MOST = 2**53
"""A boosted level stops here: it is cut by max all the same."""
MOST_COUNTED = 16
"""Overrides in force that name one target, or that name all targets of a policy. Judgment: a night has three. A plan
costs their number x the policy's targets."""
_OVER_FOR_GOOD = 2 * 86_400.0
"""Seconds after its end from which a boost counts nowhere: a hold and the stages behind take a day each at the most."""


class OverrideAction(Enum):
    """What an override does."""

    BOOST = "Boost"
    HOLD = "Hold"
    PAUSE = "Pause"


@dataclass(frozen=True, slots=True)
class Override:
    """An Override, parsed."""

    key: Key
    policy: str
    """Name of a policy of the same namespace."""
    target: str | None
    """Name of a target of the policy; None: all of them."""
    action: OverrideAction
    until: float
    author: str
    reason: str
    percent: int = 0
    """Of BOOST: added to the need."""
    created: float = 0.0
    """When it was written: what lies before is not boosted."""
    uid: str = ""
    generation: int = 0

    def reaches(self, policy: Key, target: str, now: float) -> bool:
        """Whether it speaks about a target, and is not over."""
        same = (self.key.namespace, self.policy) == policy and self.target in (None, target)
        return same and now < self.until


@dataclass(frozen=True, slots=True)
class Overruling:
    """What an override made of a level: as a guardrail's judgement, with the override behind it."""

    reason: Reason
    level: int
    message: str
    override: Key
    until: float


def counted(overrides: Iterable[Override], now: float) -> tuple[Override, ...]:
    """The overrides that a plan of ``now`` takes into account, in a fixed order.

    Of those in force for the same the ``MOST_COUNTED`` that were made first count: one more, whoever makes it, lets no
    level fall. Of the boosts that are over, as many of the largest.
    """
    groups: dict[tuple[str, str, str | None, bool], list[Override]] = {}
    for one in overrides:
        runs = now < one.until
        if runs or (one.action is OverrideAction.BOOST and now - _OVER_FOR_GOOD < one.until):
            groups.setdefault((one.key.namespace, one.policy, one.target, runs), []).append(one)
    found: list[Override] = []
    for (*_, runs), mine in groups.items():
        if len(mine) > MOST_COUNTED:
            mine.sort(key=lambda o: (o.created, o.key) if runs else (-o.percent, -o.until, o.key))
        found += mine[:MOST_COUNTED]
    return tuple(sorted(found, key=lambda o: o.key))


def counts_for_another(override: Override, now: float) -> float:
    """When time alone changes next whether, or as what, an override counts, epoch seconds; infinite: never."""
    ends = (override.until, override.until + _OVER_FOR_GOOD)
    return min((at for at in ends if at > now), default=math.inf)


def in_force(overrides: Iterable[Override], policy: Key, target: str, now: float) -> tuple[Override, ...]:
    """The overrides that speak about a target now, in a fixed order."""
    return tuple(sorted((o for o in overrides if o.reaches(policy, target, now)), key=lambda o: o.key))


def boosted(level: int, overrides: Iterable[Override], *, now: float) -> Overruling | None:
    """The need with the largest boost in force; several do not multiply. Before min and max. No need, no boost."""
    boosts = [o for o in overrides if o.action is OverrideAction.BOOST and now < o.until]
    if level <= 0 or not boosts:
        return None
    most = max(boosts, key=lambda o: (o.percent, o.key))
    raised = min(math.ceil(level * (100 + most.percent) / 100), MOST)
    return _say(most, Reason.OVERRIDE_BOOST, raised, f"{level} units x {100 + most.percent} % = {raised}")


def held(level: int, overrides: Iterable[Override], *, current: int, now: float) -> Overruling | None:
    """The level now, when a hold is in force and the level would fall. Upwards a hold stops nothing."""
    holds = [o for o in overrides if o.action is OverrideAction.HOLD and now < o.until]
    if level >= current or not holds:
        return None
    return _say(_last(holds), Reason.OVERRIDE_HOLD, current, f"{level} would do, {current} is held")


def paused(level: int, overrides: Iterable[Override], *, current: int, now: float) -> Overruling | None:
    """The level now, when a pause is in force and any other level would be written."""
    pauses = [o for o in overrides if o.action is OverrideAction.PAUSE and now < o.until]
    if level == current or not pauses:
        return None
    return _say(_last(pauses), Reason.OVERRIDE_PAUSE, current, f"{level} is planned, {current} is left alone")


def told(override: Override) -> str:
    """An override in force, in one line."""
    what = f"{override.action.value} {override.percent} %" if override.percent else override.action.value
    until = rfc3339(override.until)
    return f"{what} until {until} by {override.author}: {override.reason} (Override {override.key.name})"


def _last(overrides: list[Override]) -> Override:
    """The one that speaks longest."""
    return max(overrides, key=lambda o: (o.until, o.key))


def _say(override: Override, reason: Reason, level: int, what: str) -> Overruling:
    message = f"{what}: Override {override.key.name} by {override.author} ({override.reason})"
    return Overruling(reason, level, message, override.key, override.until)
