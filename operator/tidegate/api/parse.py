"""Objects of the API, as JSON, to the plain values of the core; or all that is wrong with them, in words.

The one door for the operator, the command line and the benchmarks: what one of them accepts all accept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from sys import intern
from typing import Any

from pydantic import BaseModel, ValidationError

from tidegate.api.base import API_VERSION
from tidegate.api.capacitypool import CapacityPoolSpec
from tidegate.api.check_event import check_moments, check_signals
from tidegate.api.check_override import override_of
from tidegate.api.check_policy import policy_of
from tidegate.api.check_pool import pool_of
from tidegate.api.check_rest import rest_of_event, rest_of_override, rest_of_policy, rest_of_pool
from tidegate.api.check_schedule import check_schedule
from tidegate.api.liveevent import LiveEventSpec
from tidegate.api.override import OverrideSpec
from tidegate.api.parsed import ParsedEvent
from tidegate.api.price import check_price
from tidegate.api.problems import LABEL_PATTERN, SUBDOMAIN_PATTERN, InvalidObject, Problem, explain, quoted
from tidegate.api.scalingpolicy import ScalingPolicySpec
from tidegate.api.walltime import from_rfc3339
from tidegate.panics import contained
from tidegate.planning.model import Announcement, Key, Moment, Policy
from tidegate.planning.override import Override
from tidegate.planning.shift.model import Pool

_NAMES = {
    "name": re.compile(rf"(?=.{{1,253}}\Z)(?!.*(\.\.|\.-|-\.)){SUBDOMAIN_PATTERN}"),
    "namespace": re.compile(rf"(?=.{{1,63}}\Z){LABEL_PATTERN}"),
}
_NAME_HINTS = {
    "name": "at most 253 lower-case letters, digits, - and ., with a letter or digit at both ends, e.g. spring-sale",
    "namespace": "at most 63 lower-case letters, digits and -, with a letter or digit at both ends, e.g. shop",
}


@contained
def parse_live_event(obj: Mapping[str, Any]) -> ParsedEvent:
    """A LiveEvent object as read from the API server or a file. InvalidObject carries every problem it has.

    ``apiVersion`` and ``kind`` may be missing (items of a list have none). A policy that does not exist is no problem
    here: it may come later.
    """
    key, metadata = _identity(obj, "LiveEvent")
    raw = _spec_of(obj, LiveEventSpec)
    try:
        spec = LiveEventSpec.model_validate(raw)
    except ValidationError as error:
        raise InvalidObject([*explain(error, LiveEventSpec), *rest_of_event(raw, error)]) from None
    problems: list[Problem] = []
    dates = check_schedule(spec.schedule, problems)
    derived = check_signals(spec, problems)
    moments = check_moments(spec, problems)
    if problems or dates is None:
        raise InvalidObject(problems)
    base = Announcement(
        key=key,
        policy=intern(spec.policy_ref.name),
        occurrences=dates.occurrences,
        expected=tuple((intern(signal), level) for signal, level in sorted(spec.expected.items())),
        profile=intern(spec.profile),
        spread=spec.spread_percent / 100,
        moments=_shared(moments),
        derived=derived,
        host=intern(spec.host or ""),
        tier=intern(spec.tier or ""),
    )
    check_price(base, dates.series, problems)
    if problems:
        raise InvalidObject(problems)
    return ParsedEvent(
        base=base,
        zone=dates.zone,
        start=dates.start,
        series=dates.series,
        moved=dates.moved,
        uid=_text(metadata.get("uid")),
        generation=_whole(metadata.get("generation")),
    )


@contained
def parse_policy(obj: Mapping[str, Any]) -> Policy:
    """A ScalingPolicy object as the core knows it. InvalidObject carries every problem it has."""
    key, metadata = _identity(obj, "ScalingPolicy")
    raw = _spec_of(obj, ScalingPolicySpec)
    try:
        spec = ScalingPolicySpec.model_validate(raw)
    except ValidationError as error:
        raise InvalidObject([*explain(error, ScalingPolicySpec), *rest_of_policy(raw)]) from None
    problems: list[Problem] = []
    policy = policy_of(
        spec,
        key,
        created=_instant(metadata.get("creationTimestamp")),
        uid=_text(metadata.get("uid")),
        generation=_whole(metadata.get("generation")),
        problems=problems,
    )
    if problems:
        raise InvalidObject(problems)
    return policy


@contained
def parse_pool(obj: Mapping[str, Any], *, now: float) -> Pool:
    """A CapacityPool object as the core knows it. InvalidObject carries every problem it has.

    Deadlines of its work are times of day: each is the first instant of it after ``now`` (epoch seconds), so that a
    pool is parsed again when one has passed.
    """
    key, metadata = _identity(obj, "CapacityPool", namespaced=False)
    raw = _spec_of(obj, CapacityPoolSpec)
    try:
        spec = CapacityPoolSpec.model_validate(raw)
    except ValidationError as error:
        raise InvalidObject([*explain(error, CapacityPoolSpec), *rest_of_pool(raw)]) from None
    problems: list[Problem] = []
    uid, generation = _text(metadata.get("uid")), _whole(metadata.get("generation"))
    pool = pool_of(spec, key.name, now=now, uid=uid, generation=generation, problems=problems)
    if problems:
        raise InvalidObject(problems)
    return pool


@contained
def parse_override(obj: Mapping[str, Any]) -> Override:
    """An Override object as the core knows it, also one that is over. InvalidObject carries every problem it has."""
    key, metadata = _identity(obj, "Override")
    raw = _spec_of(obj, OverrideSpec)
    try:
        spec = OverrideSpec.model_validate(raw)
    except ValidationError as error:
        raise InvalidObject([*explain(error, OverrideSpec), *rest_of_override(raw, error)]) from None
    problems: list[Problem] = []
    override = override_of(
        spec,
        key,
        created=_instant(metadata.get("creationTimestamp")),
        uid=_text(metadata.get("uid")),
        generation=_whole(metadata.get("generation")),
        problems=problems,
    )
    if problems:
        raise InvalidObject(problems)
    return override


def _identity(obj: Mapping[str, Any], kind: str, *, namespaced: bool = True) -> tuple[Key, Mapping[str, Any]]:
    """The object's key and metadata, or InvalidObject. An object of a file without namespace is in ``default``; one of
    the whole cluster has an empty one.
    """
    if not isinstance(obj, Mapping):
        raise InvalidObject([Problem("", f"{quoted(obj)} is not an object", f"give a {kind} with metadata and spec")])
    problems: list[Problem] = []
    if obj.get("apiVersion") not in (None, API_VERSION):
        problems.append(Problem("apiVersion", f"{quoted(obj.get('apiVersion'))} is not known", f"use {API_VERSION}"))
    if obj.get("kind") not in (None, kind):
        problems.append(Problem("kind", f"{quoted(obj.get('kind'))} is not {kind}", f"use {kind}"))
    metadata = obj.get("metadata")
    if not isinstance(metadata, Mapping):
        raise InvalidObject([*problems, Problem("metadata", "is missing", "give metadata with a name")])
    name, namespace = metadata.get("name"), metadata.get("namespace", "default" if namespaced else "")
    for field, value in (("name", name), ("namespace", namespace)) if namespaced else (("name", name),):
        if not isinstance(value, str) or not value:
            problems.append(Problem(f"metadata.{field}", "is missing or no text", "give a name, e.g. spring-sale"))
        elif not _NAMES[field].fullmatch(value):  # no API server stores it
            problems.append(Problem(f"metadata.{field}", f"{quoted(value)} is not a valid name", _NAME_HINTS[field]))
    if not namespaced and namespace != "":
        problems.append(Problem("metadata.namespace", f"a {kind} is of the whole cluster", "leave it out"))
    if problems:
        raise InvalidObject(problems)
    return Key(intern(str(namespace)), str(name)), metadata


def _spec_of(obj: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    spec = obj.get("spec")
    if isinstance(spec, Mapping):
        return spec if type(spec) is dict else dict(spec)
    wrong = "is missing" if spec is None else f"{quoted(spec)} is not a map of fields"
    raise InvalidObject([Problem("spec", wrong, f"give a spec with at least {', '.join(_required(model))}")])


def _required(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items() if field.is_required()]


@lru_cache(maxsize=4096)
def _shared(moments: tuple[Moment, ...]) -> tuple[Moment, ...]:
    """The same object for equal moments: shows of one kind have the same ones, and there are tens of thousands."""
    return moments


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _instant(value: object) -> float:
    """Epoch seconds of a metadata time; 0 for an object that no server has seen."""
    if not isinstance(value, str):
        return 0.0
    try:
        return from_rfc3339(value)
    except ValueError:
        return 0.0
