"""No change in a peak: what a live event stands on is not changed while it runs or is about to begin.

Ground of an event is what its policy names, the autoscaler in front of that, and everything else in the component of
either. Two rules, for the engine shows a pack two things. ``no-step-in-a-peak`` sees one resource before it is changed,
and what the cluster holds. ``no-change-in-a-peak`` sees the whole stack, with its own events and its components, once
all of it is planned, and what the cluster holds too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from tidegate_policies import cluster
from tidegate_policies.compare import changes
from tidegate_policies.events import NotKnownYetError, window_near
from tidegate_policies.judging import Finding, World
from tidegate_policies.movers import POLICY, Mover, autoscaled, movers_of
from tidegate_policies.resources import Object, Seen
from tidegate_policies.seams import GROUP
from tidegate_policies.values import UNKNOWN, look, look_at

MINUTES = 60
"""How long before an event its ground is left alone: by then the operator raises floors (lead times are minutes)."""
NAMED = 5
"""As many changed fields are named as one reads."""
_PART = ("metadata", "labels", "app.kubernetes.io/part-of")
"""The label by which an object says of what it is a part."""
_STACK = "pulumi:pulumi:Stack"


@dataclass(frozen=True, slots=True)
class Peak:
    """An event that runs or is about to begin, and what its policy names."""

    event: str
    """namespace/name, as far as it says."""
    told: str
    """When, for people."""
    targets: tuple[Mover, ...]
    components: frozenset[tuple[str, str]] = frozenset()
    """(namespace, component) of those, as far as labels in the cluster tell."""


@dataclass(frozen=True)
class Ground:
    """What stands under which event, and what is known of the cluster."""

    peaks: dict[str, Peak]
    """URN → the event that the resource carries."""
    live: cluster.Known


def no_step_in_a_peak(seen: Seen, world: World) -> Iterator[Finding]:
    """A rolling restart at T-0 takes away what was made ready for it."""
    for one in seen.objects:
        if peak := _carried(one, world):
            yield from _judged(one, peak, cluster.live([one.kind]))


def no_change_in_a_peak(seen: Seen, world: World) -> Iterator[Finding]:
    """The same for what only the whole stack tells."""
    ground = world.once(_ground_of)
    peak = ground.peaks.get(seen.urn)
    if peak is None:
        return
    for one in seen.objects:
        yield from _judged(one, peak, ground.live)
    if not seen.objects:
        yield Finding(f"{_stands(seen, peak)}: whether this changes it cannot be told: wait, or allow it with a reason")


def _stands(seen: Seen, peak: Peak) -> str:
    return f"{seen.name}: the event {peak.event} stands on it and {peak.told}"


def _judged(one: Object, peak: Peak, live: cluster.Known) -> Iterator[Finding]:
    there = live.find(one)
    if there is not None:
        changed = changes(one, there)
        if changed:
            more = "" if len(changed) <= NAMED else f" and {len(changed) - NAMED} more"
            told = f"change {', '.join(changed[:NAMED])}{more} after it"
            yield Finding(f"{_stands(one.of, peak)}: {told}", one)
    elif one.kind not in live.asked:
        yield Finding(f"{_stands(one.of, peak)}: whether this changes it cannot be told: {_how()}", one)


def _how() -> str:
    if cluster.is_configured():
        return "wait, have its kind in what is known of the cluster, or allow it with a reason"
    return f"wait, set {cluster.ASK}=yes or {cluster.FILE}, or allow it with a reason"


def why_not(world: World) -> str:
    """Why the rule says nothing of a stack at all."""
    if cluster.is_configured() or any(cluster.is_event(one) for one in world.objects):
        return ""
    return f"no LiveEvent in the stack, and nobody says how to see the cluster's: set {cluster.ASK} or {cluster.FILE}"


def peaks_can_be_seen(seen: Seen, world: World) -> Iterator[Finding]:
    """What cannot be read refuses nothing, and is said: once, with the stack, or with the event itself."""
    if seen is _root(world) and cluster.is_configured():
        known = cluster.announced()
        if known.wrong:
            yield Finding(f"{seen.name}: nobody can tell which events run: {known.wrong}")
        for one in known.objects:
            yield from _unreadable(one, seen)
    for one in seen.objects:
        yield from _unreadable(one, seen)


def _root(world: World) -> Seen | None:
    stacks = [seen for seen in world.resources if seen.type == _STACK]
    return next(iter([*stacks, *world.resources]), None)


def _unreadable(one: Object, seen: Seen) -> Iterator[Finding]:
    if cluster.is_event(one):
        try:
            window_near(one.props, _now(), timedelta())
        except ValueError as error:
            yield Finding(f"{seen.name}: nobody can tell when the event {one.name} runs: {error}", one)


def _now() -> datetime:
    return datetime.now(UTC)


# ---- which resources are ground


def _carried(one: Object, world: World) -> Peak | None:
    """The event that an object carries, by what the cluster alone tells: its events, its policies and its labels."""
    if one.kind[0] == GROUP or not cluster.is_configured():
        return None
    peaks = world.once(_peaks_of_the_cluster)
    return next((peak for peak in peaks if _moved(one, peak) or _part_of(one) in peak.components), None)


def _peaks_of_the_cluster(world: World) -> list[Peak]:
    known = cluster.announced().objects
    peaks = [peak for one in known if cluster.is_event(one) for peak in _peaks(one, known, world)]
    kinds = {target.kind for peak in peaks for target in peak.targets} - {("", "")}
    targets = cluster.live(kinds).objects if kinds else ()
    return [replace(peak, components=_components(peak, targets)) for peak in peaks]


def _components(peak: Peak, objects: tuple[Object, ...]) -> frozenset[tuple[str, str]]:
    """Components of an event's targets, by their labels."""
    found = (_part_of(one) for one in objects if _moved(one, peak))
    return frozenset(part for part in found if part is not None)


def _part_of(one: Object) -> tuple[str, str] | None:
    """(namespace, component) as labels tell it."""
    part, namespace = look_at(one.props, _PART), one.namespace
    return (namespace, part) if isinstance(part, str) and isinstance(namespace, str) else None


def _moved(one: Object, peak: Peak) -> bool:
    """Whether an event's policy names the object, or what the object scales."""
    if any(target.moves(one) for target in peak.targets):
        return True
    return any(_same(scaler, target) for scaler in autoscaled([one]) for target in peak.targets)


def _ground_of(world: World) -> Ground:
    known = cluster.announced()
    everything = (*world.objects, *known.objects)
    peaks = [peak for one in everything if cluster.is_event(one) for peak in _peaks(one, everything, world)]
    under: dict[str, Peak] = {}
    for peak in peaks:
        for seen in _under(peak, world):
            under.setdefault(seen.urn, peak)
    kinds = {one.kind for seen in world.resources if seen.urn in under for one in seen.objects} - {("", "")}
    return Ground(under, cluster.live(kinds) if kinds else cluster.Known())


def _peaks(event: Object, everything: tuple[Object, ...], world: World) -> Iterator[Peak]:
    minutes = timedelta(minutes=float(world.config.get("minutes", MINUTES)))
    try:
        window = window_near(event.props, _now(), minutes)
        told = window.told(_now()) if window else ""
    except NotKnownYetError:
        told = "nobody can tell yet when it runs"
    except ValueError:
        told = ""  # the server refuses such an event; said as an advisory
    if not told:
        return
    targets = tuple(mover for mover in movers_of(everything, [POLICY]) if _follows(event, mover.by))
    if targets:
        known = (part for part in (event.namespace, event.name) if isinstance(part, str))
        yield Peak("/".join(known), told, targets)


def _follows(event: Object, policy: Object) -> bool:
    name = look(event.props, "spec.policyRef.name")
    places = (event.namespace, policy.namespace)
    near = None in places or UNKNOWN in places or places[0] == places[1]
    return near and (name == policy.name or (name is UNKNOWN and policy.name is UNKNOWN))


def _under(peak: Peak, world: World) -> Iterator[Seen]:
    """Resources that carry an event: targets, their autoscalers, and all that is in the components of both."""
    direct = {one.of.urn for one in world.objects if _moved(one, peak)}
    components = {world.by_urn[urn].parent for urn in direct}
    components = {urn for urn in components if urn and f"::{_STACK}::" not in urn}
    for seen in world.resources:
        if _may_be_ground(seen, world) and (seen.urn in direct or components.intersection(_ancestors(seen, world))):
            yield seen


def _may_be_ground(seen: Seen, world: World) -> bool:
    """Not what announces and plans events, which is changed in mid-event, and no mere component."""
    if seen.type.startswith("pulumi:") or any(one.kind[0] == GROUP for one in seen.objects):
        return False
    return bool(seen.objects) or seen.urn not in world.parents


def _same(scaler: Mover, target: Mover) -> bool:
    places = (scaler.namespace, target.namespace)
    near = None in places or UNKNOWN in places or places[0] == places[1]
    return near and (scaler.kind, scaler.name) == (target.kind, target.name) and not scaler.unknown


def _ancestors(seen: Seen, world: World) -> list[str]:
    found: list[str] = []
    urn = seen.parent
    while urn and urn not in found:
        found.append(urn)
        urn = world.by_urn[urn].parent if urn in world.by_urn else ""
    return found
