"""The end of an override is an instant like any other: what it holds up is done then, and nothing of it before."""

from __future__ import annotations

from collections.abc import Callable

from tidegate.planning.guardrails import Facts
from tidegate.planning.override import OverrideAction
from tidegate.planning.release import step_down

Option = tuple[float, int]
"""(when, level) of a write that may come next."""


def after_overrides(facts: Facts, level: int, options: list[Option], kept_at: Callable[[float], int]) -> list[Option]:
    """The writes that may come next, with what a hold or a pause does to them: none before its end.

    ``kept_at`` tells the level that the needs keep, or ask for, at an instant.
    """
    pause, hold = pause_end(facts), _end(facts, OverrideAction.HOLD)
    if pause is None and hold is None:
        return options
    down = max(end for end in (pause, hold) if end is not None)
    found = [one for one in options if one[0] >= (down if one[1] < level else pause or one[0])]
    for end in {down, pause if pause is not None else down}:
        wanted = kept_at(end)
        if wanted > level and end == pause:
            found.append((end, wanted))
        elif facts.observed.loan is not None and end == down and (wanted < level or wanted == facts.rest):
            step = step_down(facts.policy.release, facts.observed.loan.highest)
            found.append((end, max(wanted, level - step)))
    return found


def pause_end(facts: Facts) -> float | None:
    """When writes are allowed again; None while they are."""
    return _end(facts, OverrideAction.PAUSE)


def _end(facts: Facts, action: OverrideAction) -> float | None:
    """When the last override of a kind ends; None without one."""
    return max([one.until for one in facts.overrides if one.action is action], default=None)
