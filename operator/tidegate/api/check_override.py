"""Checks of an Override across its fields, and its value for the core."""

from __future__ import annotations

import re

from tidegate.api.check_schedule import YEARS
from tidegate.api.override import OverrideSpec
from tidegate.api.problems import Problem, quoted
from tidegate.api.walltime import from_rfc3339
from tidegate.planning.model import Key
from tidegate.planning.override import Override, OverrideAction

_UNTIL = re.compile(r"(\d{4})-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
LONGEST = 31 * 86_400.0
"""Seconds from its making to its end. Judgment: longer is a change of the policy."""
_EXAMPLE = '"2026-11-11T02:00:00+08:00"'


def override_of(
    spec: OverrideSpec, key: Key, *, created: float, uid: str, generation: int, problems: list[Problem]
) -> Override:
    """The override as the core knows it; what is wrong with it is added to ``problems``."""
    check_percent(spec.action, spec.percent, problems)
    known = len(problems)
    until = check_until(spec.until, problems)
    if created and until - created > LONGEST and len(problems) == known:
        days = round(LONGEST / 86_400)
        wrong = f"{quoted(spec.until)} is more than {days} days after it was made"
        problems.append(Problem("spec.until", wrong, "nobody may forget an override: end it sooner and renew it"))
    return Override(
        key=key,
        policy=spec.policy_ref.name,
        target=spec.target,
        action=OverrideAction(spec.action),
        until=until,
        author=spec.author,
        reason=spec.reason,
        percent=spec.percent or 0,
        created=created,
        uid=uid,
        generation=generation,
    )


def check_percent(action: str, percent: int | None, problems: list[Problem]) -> None:
    """Percent belongs to Boost, and to nothing else."""
    if action == "Boost" and percent is None:
        problems.append(Problem("spec.percent", "is missing", "a Boost adds percent to the need: give it, e.g. 30"))
    elif action != "Boost" and percent is not None:
        problems.append(Problem("spec.percent", f"means nothing to {action}", "remove it, or use action Boost"))


def check_until(text: str, problems: list[Problem]) -> float:
    """Epoch seconds of the end; 0 when it is none."""
    found = _UNTIL.fullmatch(text)
    try:
        instant = from_rfc3339(text) if found else None
    except ValueError:
        instant = None
    if found is None and _UNTIL.fullmatch(f"{text}Z"):
        problems.append(Problem("spec.until", f"{quoted(text)} has no offset", f"end it with one, e.g. {_EXAMPLE}"))
    elif found is None:
        problems.append(Problem("spec.until", f"{quoted(text)} is no time with an offset", f"write it as {_EXAMPLE}"))
    elif instant is None:
        wrong = f"{quoted(text)} is no real date and time"
        problems.append(Problem("spec.until", wrong, "check month, day, hour and offset"))
    elif not YEARS[0] <= int(found[1]) <= YEARS[1]:
        wrong = f"the year {int(found[1])} is out of reach"
        problems.append(Problem("spec.until", wrong, f"a year from {YEARS[0]} to {YEARS[1]}: an override ends"))
    return instant or 0.0
