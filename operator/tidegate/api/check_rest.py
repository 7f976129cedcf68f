"""What else is wrong with an object whose fields are not all well-formed: all problems at once, not one layer at a
time.

Only parts that are well-formed by themselves are looked at, so that one mistake is never reported twice in other words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from tidegate.api.capacitypool import PoolCapacity, PoolLane, PoolMember
from tidegate.api.check_event import check_moments, check_signals
from tidegate.api.check_override import check_percent, check_until
from tidegate.api.check_policy import check_target
from tidegate.api.check_pool import check_capacity, check_lane, check_member, check_shares
from tidegate.api.check_schedule import check_schedule, check_zone, parse_local
from tidegate.api.liveevent import LiveEventSpec, Schedule
from tidegate.api.problems import Problem
from tidegate.api.recurrence import RuleError, parse_rule
from tidegate.api.scalingpolicy import Target

_DEMAND = ("expected", "derived", "moments")
_NO_SCHEDULE = {"startTime": "2000-01-01T00:00:00", "timeZone": "UTC", "durationSeconds": 86_400}


def rest_of_event(spec: Mapping[str, Any], error: ValidationError) -> list[Problem]:
    """Problems across the well-formed fields of a LiveEvent's spec beside those in ``error``."""
    places = [detail["loc"] for detail in error.errors(include_url=False, include_input=False, include_context=False)]
    broken = {place[0] for place in places if place}
    problems: list[Problem] = []
    schedule = spec.get("schedule")
    if "schedule" not in broken:
        check_schedule(Schedule.model_validate(schedule), problems)
    elif isinstance(schedule, Mapping):
        _schedule_parts(schedule, {place[1] for place in places if place[0] == "schedule" and len(place) > 1}, problems)
    if not broken & set(_DEMAND):
        demand = {name: spec[name] for name in _DEMAND if name in spec}
        usable = schedule if "schedule" not in broken else _NO_SCHEDULE
        rest = LiveEventSpec.model_validate({**demand, "schedule": usable, "policyRef": {"name": "any"}})
        check_signals(rest, problems)
        if "schedule" not in broken:
            check_moments(rest, problems)
    return problems


def _schedule_parts(schedule: Mapping[str, Any], broken: Collection[Any], problems: list[Problem]) -> None:
    """Zone, start and rule each by itself; what needs two of them waits until all are well-formed."""
    if "timeZone" not in broken and isinstance(schedule.get("timeZone"), str):
        check_zone(schedule["timeZone"], problems)
    if "startTime" not in broken and isinstance(schedule.get("startTime"), str):
        parse_local(schedule["startTime"], "spec.schedule.startTime", problems)
    recurrence = schedule.get("recurrence")
    if "recurrence" not in broken and isinstance(recurrence, Mapping):
        try:
            parse_rule(recurrence["rrule"])
        except RuleError as bad:
            problems.append(Problem("spec.schedule.recurrence.rrule", bad.wrong, bad.right))


def rest_of_policy(spec: Mapping[str, Any]) -> list[Problem]:
    """Problems across the fields of each well-formed target of a ScalingPolicy's spec that has others."""
    problems: list[Problem] = []
    targets = spec.get("targets")
    for index, raw in enumerate(targets if isinstance(targets, list) else ()):
        try:
            target = Target.model_validate(raw)
        except ValidationError:
            continue
        check_target(target, f"spec.targets[{index}]", problems)
    return problems


def rest_of_pool(spec: Mapping[str, Any]) -> list[Problem]:
    """Problems across the fields of each well-formed lane, or else member, of a CapacityPool's spec."""
    problems: list[Problem] = []
    with suppress(ValidationError):
        check_capacity(PoolCapacity.model_validate(spec.get("capacity")), problems)
    lanes = spec.get("lanes")
    good: list[PoolLane] = []
    for index, raw in enumerate(lanes if isinstance(lanes, list) else ()):
        try:
            good.append(PoolLane.model_validate(raw))
        except ValidationError:
            members = raw.get("members") if isinstance(raw, Mapping) else None
            for place, one in enumerate(members if isinstance(members, list) else ()):
                with suppress(ValidationError):
                    check_member(PoolMember.model_validate(one), f"spec.lanes[{index}].members[{place}]", problems)
        else:
            check_lane(good[-1], f"spec.lanes[{index}]", problems)
    check_shares(good, problems)
    return problems


def rest_of_override(spec: Mapping[str, Any], error: ValidationError) -> list[Problem]:
    """Problems across the well-formed fields of an Override's spec beside those in ``error``."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    broken = {detail["loc"][0] for detail in details if detail["loc"]}
    problems: list[Problem] = []
    if not broken & {"action", "percent"}:
        check_percent(spec["action"], spec.get("percent"), problems)
    if "until" not in broken:
        check_until(spec["until"], problems)
    return problems
