"""The world for commands that plan: from files alone, or from the cluster as it stands."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from tidegate.api.parse import parse_live_event, parse_override, parse_policy
from tidegate.api.problems import InvalidObject
from tidegate.cli.manifests import UnreadableError, read_documents
from tidegate.planning.model import Announcement, Key, Observed, PlanSettings, Policy
from tidegate.planning.override import Override
from tidegate.planning.world import World
from tidegate.ports import Loan, NotFoundError, TidegateError

WINDOW = 86_400.0 * 3


@dataclass(slots=True)
class Given:
    """A world and where its parts come from."""

    world: World
    assumed: bool
    """Levels are assumed: every target stands at its policy's min."""
    problems: list[str] = field(default_factory=list)
    zone_data: frozenset[str] = frozenset()
    """Time zone databases that the operator names in the policies' status."""


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
    return moment.timestamp()


def from_files(files: Iterable[Path], now: float) -> Given:
    """Policies and events of files; each target stands at its min."""
    try:
        documents = [document.content for document in read_documents(files)]
    except UnreadableError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    return _given([d for d in documents if isinstance(d, dict)], now, observed=None)


def from_cluster(namespace: str | None, now: float) -> Given:
    """Policies, events and targets as they are in the cluster that KUBECONFIG names."""
    try:
        return asyncio.run(_read(namespace, now))
    except TidegateError as error:
        typer.echo(f"the cluster could not be read: {error}", err=True)
        raise typer.Exit(2) from error


def load(files: list[Path] | None, namespace: str | None, now: float) -> Given:
    """From files where there are any, else from the cluster; what is not valid is told on stderr and left out."""
    given = from_files(files, now) if files else from_cluster(namespace, now)
    for problem in given.problems:
        typer.echo(f"left out: {problem}", err=True)
    if (other := _other_zone_data(given.zone_data)) is not None:
        typer.echo(other, err=True)
    return replace(given, world=_without_pools(given.world))


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


def _without_pools(world: World) -> World:
    """The world without poolRefs: no pool is looked at here, and on one that was not looked at nothing would rise."""
    named = sorted({policy.pool for policy in world.policies.values() if policy.pool is not None})
    if not named:
        return world
    typer.echo(f"not looked at: CapacityPool {', '.join(named)}; it is taken to have room for all", err=True)
    return replace(world, policies={key: replace(policy, pool=None) for key, policy in world.policies.items()})


async def _read(namespace: str | None, now: float) -> Given:
    from tidegate.api.loan import loan_from_object, loan_to_object
    from tidegate.control.drift import state_of
    from tidegate.targets.client import KubeClient
    from tidegate.targets.loans import KubeLoanBook
    from tidegate.targets.registry import KubeTargets

    client = await KubeClient.connect()
    try:
        scope = f"/namespaces/{namespace}" if namespace else ""
        documents = []
        kinds = (("scalingpolicies", "ScalingPolicy"), ("liveevents", "LiveEvent"), ("overrides", "Override"))
        for plural, kind in kinds:
            try:
                items = await client.items(f"/apis/tidegate.dev/v1alpha1{scope}/{plural}")
            except NotFoundError:
                if kind != "Override":  # a cluster whose CRDs are older has none
                    raise
                items = []
            documents += [{**item, "kind": kind} for item in items]
        given = _given(documents, now, observed={})
        told = frozenset(zones for d in documents if (zones := (d.get("status") or {}).get("zoneData")))
        book = KubeLoanBook(
            client, [namespace] if namespace else None, to_object=loan_to_object, from_object=loan_from_object
        )
        listed = [loan for loan in await book.list() if isinstance(loan, Loan)]
        loans = {(loan.policy, loan.target): state_of(loan, now) for loan in listed}
        targets, observed = KubeTargets(client), {}
        for key, policy in given.world.policies.items():
            for target in policy.targets:
                seen = (await targets.see(target.ref)).observed
                observed[key, target.name] = replace(seen, loan=loans.get((key, target.name)))
        return Given(replace(given.world, observed=observed), False, given.problems, told)
    finally:
        await client.close()


def _given(
    documents: Iterable[Mapping[str, Any]], now: float, *, observed: Mapping[tuple[Key, str], Observed] | None
) -> Given:
    policies: dict[Key, Policy] = {}
    events: dict[Key, Announcement] = {}
    overrides: list[Override] = []
    problems: list[str] = []
    for document in documents:
        kind = document.get("kind")
        try:
            if kind == "ScalingPolicy":
                policy = parse_policy(document)
                policies[policy.key] = policy
            elif kind == "LiveEvent":
                event = parse_live_event(document).announcement(now - WINDOW, now + WINDOW)
                events[event.key] = event
            elif kind == "Override":
                overrides.append(parse_override(document))
        except InvalidObject as error:
            name = (document.get("metadata") or {}).get("name", "?")
            problems += [f"{kind}/{name}: {problem}" for problem in error.problems]
    if observed is None:
        observed = {
            (p.key, t.name): Observed(level=t.minimum, ready=t.minimum, desired=t.minimum)
            for p in policies.values()
            for t in p.targets
        }
    world = World(policies, events, observed, settings=PlanSettings(), overrides=tuple(overrides))
    return Given(world, True, problems)
