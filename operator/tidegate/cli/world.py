"""The world for commands that plan: from files alone, or from the cluster as it stands."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import typer

from tidegate.api.parse import parse_live_event, parse_override, parse_policy
from tidegate.api.parsed import ParsedEvent
from tidegate.api.problems import InvalidObject, shown
from tidegate.api.together import (
    event_that_is_over,
    needs_beyond_max,
    override_that_is_over,
    signals_that_nobody_carries,
)
from tidegate.api.walltime import EARLIEST, LATEST
from tidegate.cli.manifests import Document, UnreadableError, read_documents
from tidegate.cli.output import Output, failed
from tidegate.planning.model import Announcement, Key, Observed, PlanSettings, Policy
from tidegate.planning.override import Override
from tidegate.planning.world import World
from tidegate.ports import Learned, TidegateError

WINDOW = 86_400.0 * 3
FOLLOWS = (
    "ScalingPolicy {}: its floors follow what is measured (spec.live), which is not asked for here: what is shown is"
    " what is announced, as it was announced"
)
PLANNED = ("LiveEvent", "Override", "ScalingPolicy")
"""Kinds that a plan is made from."""


@dataclass(slots=True)
class Given:
    """A world and where its parts come from."""

    world: World
    assumed: bool
    """Levels are assumed: every target stands at its policy's min."""
    problems: list[str] = field(default_factory=list)
    """What is wrong with objects that were left out."""
    notes: list[str] = field(default_factory=list)
    """What was not read, and what follows from that."""
    events: tuple[ParsedEvent, ...] = ()
    """The events with all their dates; ``world`` holds the occurrences of some days alone."""
    learned: Mapping[Key, Learned] = field(default_factory=dict)
    """What the operator has learned, by policy or pool; of a cluster alone."""
    zone_data: frozenset[str] = frozenset()
    """Time zone databases that the operator names in the policies' status."""

    @property
    def lacking(self) -> bool:
        """Whether files were given of which not all is planned: what is shown is not what they would do. What is wrong
        with an object of a cluster is somebody else's finding.
        """
        return self.assumed and bool(self.problems or not self.world.policies)


def instant(text: str | None, *, default: float) -> float:
    """An RFC 3339 instant as epoch seconds; BadParameter in words."""
    if text is None:
        return default
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no instant; give one like 2026-11-10T19:00:00+08:00") from error
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no offset; add Z or one like +08:00")
    if not EARLIEST <= moment.timestamp() <= LATEST:
        raise typer.BadParameter(f"{text!r} is out of reach; give an instant from 1907 to 2476")
    return moment.timestamp()


def from_files(files: Iterable[Path], now: float, output: Output = Output.TEXT) -> Given:
    """Policies and events of files; each target stands at its min, and no pool is looked at."""
    from tidegate.cli.validate import check_kind

    documents, problems, given_times = [], [], Counter[str]()
    try:
        for document in read_documents(files):
            if not document.kind:
                problems.append(f"{document.file}: {document.name}: kind is missing; give apiVersion, kind, metadata")
                continue
            documents.append(document.content)
            try:
                check_kind(document)
            except InvalidObject as error:
                problems += [f"{document.kind}/{document.name}: {problem}" for problem in error.problems]
            if document.kind in PLANNED:
                given_times[_identity(document)] += 1
    except UnreadableError as error:
        raise failed(str(error), output, 2) from error
    given = given_of(documents, now, observed=None)
    notes = [f"{name} is given {count} times: the last one counts" for name, count in given_times.items() if count > 1]
    return _without_pools(replace(given, problems=problems + given.problems, notes=notes + given.notes))


def _identity(document: Document) -> str:
    metadata = document.content.get("metadata")
    namespace = metadata.get("namespace", "default") if isinstance(metadata, dict) else ""
    return f"{document.kind} {shown(namespace)}/{document.name}"


def from_cluster(namespace: str | None, now: float, output: Output = Output.TEXT) -> Given:
    """Policies, events, targets and pools as they are in the cluster that KUBECONFIG names."""
    from tidegate.cli.cluster import read_cluster

    try:
        return asyncio.run(read_cluster(namespace, now))
    except TidegateError as error:
        raise failed(f"the cluster could not be read: {error}", output, 2) from error


def load(files: list[Path] | None, namespace: str | None, now: float, output: Output) -> Given:
    """From files where there are any, else from the cluster; what is not valid is told on stderr and left out."""
    given = gather(files, namespace, now, output)
    tell(given)
    return given


def gather(files: list[Path] | None, namespace: str | None, now: float, output: Output) -> Given:
    """As ``load``, without a word."""
    return from_files(files, now, output) if files else from_cluster(namespace, now, output)


def regather(given: Given, namespace: str | None, now: float, output: Output) -> Given:
    """The same as of another instant. Files are not read again: standard input can be read once. A cluster is, since
    what was seen of it is too old by then.
    """
    if not given.assumed:
        return from_cluster(namespace, now, output)
    announcements = {event.key: event.announcement(now - WINDOW, now + WINDOW) for event in given.events}
    return replace(given, world=replace(given.world, announcements=announcements))


def tell(given: Given) -> None:
    """Say on stderr what was left out, and what was not read."""
    for problem in given.problems:
        typer.echo(f"left out: {problem}", err=True)
    for note in given.notes:
        typer.echo(note, err=True)
    if (other := _other_zone_data(given.zone_data)) is not None:
        typer.echo(other, err=True)


def _other_zone_data(operators: frozenset[str]) -> str | None:
    """That the operator reads wall-clock times with another database than this command, in words."""
    from tidegate.api.zonedata import zone_data

    others = sorted(one for one in operators if one.partition(" ")[0] != zone_data().version)
    if not others:
        return None
    return (
        f"time zones: the operator uses {', '.join(others)}, this command {zone_data()}; where a zone's rules differ"
        " between them, the operator prepares for another instant than is shown here"
    )


def _unheard(world: World, events: Iterable[ParsedEvent], namespace: str | None, now: float) -> Iterator[str]:
    """Events, signals of events, and overrides that nothing or less follows from, and why."""
    missing = "there is no ScalingPolicy {} here: nothing follows from it until there is"
    for event in sorted(events, key=lambda one: one.key):
        of = Key(event.key.namespace, event.policy)
        if namespace not in (None, of.namespace):
            continue
        if of not in world.policies:
            yield f"LiveEvent {event.key}: {missing.format(of)}"
            continue
        mine = world.policies[of]
        for problem in chain(signals_that_nobody_carries(event, mine), needs_beyond_max(event, mine, now)):
            yield f"LiveEvent {event.key}: {problem}"
    for override in world.overrides:
        of = Key(override.key.namespace, override.policy)
        if of not in world.policies and namespace in (None, of.namespace):
            yield f"Override {override.key}: {missing.format(of)}"


def _past(events: Iterable[ParsedEvent], overrides: Iterable[Override], now: float) -> Iterator[str]:
    """What is over in files that people are about to apply: of a cluster's past nobody asks."""
    for event in sorted(events, key=lambda one: one.key):
        yield from (f"LiveEvent {event.key}: {problem}" for problem in event_that_is_over(event, now))
    for override in overrides:
        yield from (f"Override {override.key}: {problem}" for problem in override_that_is_over(override, now))


def _without_pools(given: Given) -> Given:
    """Without poolRefs: what stands on a pool's machines is in no file, and on a pool that was not looked at nothing
    would rise.
    """
    policies = given.world.policies
    for name in sorted({policy.pool for policy in policies.values() if policy.pool is not None}):
        given.notes.append(unread_pool(name, "no file tells what stands on its machines"))
    roomy = {key: replace(policy, pool=None) for key, policy in policies.items()}
    return replace(given, world=replace(given.world, policies=roomy))


def unread_pool(name: str, why: str) -> str:
    """What follows from a pool that was not read."""
    return (
        f"CapacityPool {name} was not looked at ({why}): it is taken to have room for all; a raise that it refuses or"
        " delays, and work that it stops for one, are not shown"
    )


def given_of(
    documents: Collection[Mapping[str, Any]],
    now: float,
    *,
    observed: Mapping[tuple[Key, str], Observed] | None,
    namespace: str | None = None,
) -> Given:
    """Policies, events and overrides of documents; ``observed`` None: every target stands at its policy's min.

    What nothing follows from is noted of one ``namespace``; None: of all.
    """
    policies: dict[Key, Policy] = {}
    events: dict[Key, Announcement] = {}
    overrides: list[Override] = []
    problems, parsed = list[str](), list[ParsedEvent]()
    for document in documents:
        kind = document.get("kind")
        try:
            if kind == "ScalingPolicy":
                policy = parse_policy(document)
                policies[policy.key] = policy
            elif kind == "LiveEvent":
                parsed.append(parse_live_event(document))
                event = parsed[-1].announcement(now - WINDOW, now + WINDOW)
                events[event.key] = event
            elif kind == "Override":
                overrides.append(parse_override(document))
        except InvalidObject as error:
            problems += [f"{kind}/{name_of(document)}: {problem}" for problem in error.problems]
    notes = [] if observed is not None else list(_past(parsed, overrides, now))
    assumed = observed is None
    if observed is None:
        observed = {
            (p.key, t.name): Observed(level=t.minimum, ready=t.minimum, desired=t.minimum)
            for p in policies.values()
            for t in p.targets
        }
    world = World(policies, events, observed, settings=PlanSettings(), overrides=tuple(overrides))
    notes += _unheard(world, parsed, namespace, now)
    mine = [key for key, one in sorted(policies.items()) if one.live is not None and namespace in (None, key.namespace)]
    notes += [FOLLOWS.format(key) for key in mine]
    return Given(
        world,
        assumed=assumed,
        problems=problems,
        notes=notes,
        events=tuple(parsed),
        zone_data=frozenset(_zone_data_in(documents)),
    )


def name_of(document: Mapping[str, Any]) -> str:
    """The name of an object that may be malformed; a question mark when it has none."""
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return shown(name) if name is not None else "?"


def _zone_data_in(documents: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The databases that statuses name. A status in a file is whatever stands there."""
    for document in documents:
        status = document.get("status")
        named = status.get("zoneData") if isinstance(status, Mapping) else None
        if isinstance(named, str) and named:
            yield named
