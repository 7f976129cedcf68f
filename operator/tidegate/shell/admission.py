"""What is refused when it is applied, and why: objects that the operator could not use, in its status' own words.

A courtesy: the operator is as safe without it, and an object that came past it says the same in its conditions. So an
answer rests on the object and on what this process has read, asks nobody, and waits for nothing; what is not known is
no reason to refuse. Any replica answers, whether it leads or not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tidegate.api.parse import parse_live_event, parse_override, parse_policy, parse_pool
from tidegate.api.problems import InvalidObject, Problem, shown
from tidegate.api.together import (
    event_that_is_over,
    lanes_that_refuse,
    needs_beyond_max,
    occurrences_at_once,
    override_beyond,
    override_that_is_over,
    shared_workloads,
    signals_that_nobody_carries,
    target_that_is_not_there,
    targets_beyond,
)
from tidegate.api.walltime import to_rfc3339
from tidegate.planning.model import Identity, Key, Mode, Policy
from tidegate.ports import Json
from tidegate.shell.confine import confined
from tidegate.shell.store import MOST_TARGETS, WatchedStore

log = logging.getLogger("tidegate.admission")

GROUP, VERSION = "tidegate.dev", "v1alpha1"
NAMESPACED = ("liveevents", "overrides", "scalingpolicies")
OF_THE_CLUSTER = ("capacitypools",)
"""Resources that are judged. kopf serves each at a path of its own, ``/`` and this name: the chart's webhooks ask
there."""

INVALID = 422
"""What an API server itself answers about an object that its schema refuses."""

MOST_WARNINGS = 10
LONGEST_WARNING = 250
"""Characters: an API server cuts off what is longer than 256, and drops all beyond 4,096."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The answer about one object."""

    refusal: str = ""
    """Why it is refused; empty when it is not."""
    warnings: tuple[str, ...] = ()
    """What its author should know all the same."""


def judge(kind: str, new: Json, old: Json | None, store: WatchedStore) -> Judgement:
    """Judge an object as it would be stored; ``old`` is what it replaces, None when it is new.

    A write that leaves the spec as it is passes, whatever the spec says: labels and finalizers of an object that is
    invalid already can be changed. So does each write of an object that is being deleted: it must be able to go.
    """
    if old is not None and (old.get("spec") == new.get("spec") or _is_leaving(new)):
        return Judgement()
    try:
        return Judgement(warnings=_told(tuple(_KINDS[kind](new, old, store))))
    except InvalidObject as error:
        return Judgement(refusal=error.message())
    except Exception as error:  # a bug of ours is nobody's fault: the object is stored, and its status says the rest
        log.exception("%s could not be judged", kind)
        return Judgement(warnings=(shown(f"not checked: {type(error).__name__}: {error}", LONGEST_WARNING),))


def _is_leaving(obj: Json) -> bool:
    """Whether an object waits for its finalizers alone."""
    metadata = obj.get("metadata")
    return isinstance(metadata, Mapping) and bool(metadata.get("deletionTimestamp"))


def _told(problems: tuple[Problem, ...]) -> tuple[str, ...]:
    told = tuple(shown(str(problem), LONGEST_WARNING) for problem in problems[:MOST_WARNINGS])
    return told if len(problems) <= MOST_WARNINGS else (*told, f"and {len(problems) - MOST_WARNINGS} more")


# ---- by kind: warnings; InvalidObject for a refusal


def _live_event(new: Json, old: Json | None, store: WatchedStore) -> Iterator[Problem]:
    event = parse_live_event(new)
    yield from event_that_is_over(event, store.now())
    yield from occurrences_at_once(event)
    key = Key(event.key.namespace, event.policy)
    policy = store.policy(key)
    if policy is not None:
        yield from signals_that_nobody_carries(event, policy)
        yield from needs_beyond_max(event, policy, store.now())
    else:
        yield from _policy_missing(key, store, "the event waits until it exists")


def _scaling_policy(new: Json, old: Json | None, store: WatchedStore) -> Iterator[Problem]:
    policy = parse_policy(new)
    if store.confine:
        confined(policy, new)
    if not store.synced:
        return
    before = _before(policy.key, old, store)
    grown = before is None or len(policy.targets) > len(before.targets)
    too_many = tuple(targets_beyond(policy, store.policies().values(), MOST_TARGETS))
    if too_many and grown:
        raise InvalidObject(too_many)
    yield from too_many
    yield from _workloads(policy, before, store)
    pool = None if policy.pool is None else store.pools().get(policy.pool)
    if pool is not None:
        yield from lanes_that_refuse(policy, pool)


def _capacity_pool(new: Json, old: Json | None, store: WatchedStore) -> Iterator[Problem]:
    parse_pool(new, now=store.now())
    yield from ()


def _override(new: Json, old: Json | None, store: WatchedStore) -> Iterator[Problem]:
    override = parse_override(new if old is not None else _made_now(new, store.now()))
    yield from override_that_is_over(override, store.now())
    counts = old is None and override.until > store.now()
    if counts and (beyond := tuple(override_beyond(override, store.overrides(), store.now()))):
        raise InvalidObject(beyond)
    key = Key(override.key.namespace, override.policy)
    policy = store.policy(key)
    if policy is not None:
        yield from target_that_is_not_there(override, policy)
    else:
        yield from _policy_missing(key, store, "the override does nothing until it exists")


_KINDS: Mapping[str, Callable[[Json, Json | None, WatchedStore], Iterator[Problem]]] = {
    "CapacityPool": _capacity_pool,
    "LiveEvent": _live_event,
    "Override": _override,
    "ScalingPolicy": _scaling_policy,
}


# ---- beneath


def _policy_missing(key: Key, store: WatchedStore, until_then: str) -> Iterator[Problem]:
    if store.synced and key not in store.known("ScalingPolicy"):
        wrong = f'there is no ScalingPolicy "{key.name}" in namespace {key.namespace}'
        yield Problem("spec.policyRef.name", wrong, f"check the name: {until_then}")


def _workloads(policy: Policy, before: Policy | None, store: WatchedStore) -> Iterator[Problem]:
    """Refuse a second policy on one workload: one that begins to act on what another acts on.

    What both name already passes, or neither of the two could be changed any more; and one that only observes drives
    nothing. A policy that was deleted a moment ago holds nobody up.
    """
    others = [
        one
        for key, one in store.policies().items()
        if key.namespace == policy.key.namespace and key != policy.key and not store.leaving("ScalingPolicy", key)
    ]
    begins = _acts_on(policy) - (_acts_on(before) if before is not None else set())
    drivers = {workload: one.key for one in others for workload in _acts_on(one)}
    refused = [
        replace(problem, right=f"one workload, one policy: take it out of {drivers[target.ref.identity]} first")
        for target, problem in shared_workloads(policy, drivers)
        if target.ref.identity in begins
    ]
    if refused:
        raise InvalidObject(refused)
    named = {target.ref.identity: one.key for one in others for target in one.targets}
    yield from (problem for _, problem in shared_workloads(policy, named))


def _acts_on(policy: Policy) -> set[Identity]:
    return set() if policy.mode is Mode.OBSERVE else {target.ref.identity for target in policy.targets}


def _before(key: Key, old: Json | None, store: WatchedStore) -> Policy | None:
    """The policy that is replaced, as it counts: its last valid version when it is invalid."""
    if old is None:
        return None
    try:
        return parse_policy(old)
    except InvalidObject:
        return store.policy(key)


def _made_now(obj: Json, now: float) -> Json:
    """A new object, with the instant of its making: its age bounds its end."""
    metadata: dict[str, Any] = {"creationTimestamp": to_rfc3339(now), **(obj.get("metadata") or {})}
    return {**obj, "metadata": metadata}
