"""``no-change-in-a-peak``: what a live event stands on is not changed while it runs or is about to begin.

Ground of an event is what its policy names, the autoscaler in front of that, and everything else in the component of
either. Events and policies are those of the stack and those of the cluster, where somebody says how to see it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tidegate_policies import cluster
from tidegate_policies.compare import changes
from tidegate_policies.events import NotKnownYetError, window_near
from tidegate_policies.judging import Finding, World
from tidegate_policies.movers import POLICY, Mover, autoscaled, movers_of
from tidegate_policies.resources import Object, Seen
from tidegate_policies.seams import AUTOSCALERS, GROUP
from tidegate_policies.values import UNKNOWN, look

MINUTES = 60
"""How long before an event its ground is left alone: by then the operator raises floors (lead times are minutes)."""
NAMED = 5
"""As many changed fields are named as one reads."""
_STACK = "pulumi:pulumi:Stack"


@dataclass(frozen=True, slots=True)
class Peak:
    """An event that runs or is about to begin, and what its policy names."""

    event: str
    """namespace/name, as far as it says."""
    told: str
    """When, for people."""
    targets: tuple[Mover, ...]


@dataclass(frozen=True)
class Ground:
    """What stands under which event, and what is known of the cluster."""

    peaks: dict[str, Peak]
    """URN → the event that the resource carries."""
    live: cluster.Known


def no_change_in_a_peak(seen: Seen, world: World) -> Iterator[Finding]:
    """A rolling restart at T-0 takes away what was made ready for it."""
    ground = world.once(_ground_of)
    peak = ground.peaks.get(seen.urn)
    if peak is None:
        return
    stands = f"{seen.name}: the event {peak.event} stands on it and {peak.told}"
    for one in seen.objects:
        there = ground.live.find(one)
        if there is not None:
            changed = changes(one, there)
            if changed:
                more = "" if len(changed) <= NAMED else f" and {len(changed) - NAMED} more"
                yield Finding(f"{stands}: change {', '.join(changed[:NAMED])}{more} after it", one)
        elif one.kind not in ground.live.asked:
            yield Finding(f"{stands}: whether this changes it cannot be told: {_how()}", one)
    if not seen.objects:
        yield Finding(f"{stands}: whether this changes it cannot be told: wait, or allow it with a reason")


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
    policies = [one for one in everything if one.kind == POLICY and _follows(event, one)]
    targets = tuple(mover for policy in policies for mover in movers_of([policy], [POLICY]))
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
    direct = {one.of.urn for one in world.objects if any(target.moves(one) for target in peak.targets)}
    for scaler in autoscaled(world.objects):
        if scaler.by.kind in AUTOSCALERS and any(_same(scaler, target) for target in peak.targets):
            direct.add(scaler.by.of.urn)
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
