"""The rules. Each says what is wrong with one resource; the table at the end is the whole pack."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate_policies import allow, peak
from tidegate_policies.databases import data_of
from tidegate_policies.judging import Finding, Rule, World
from tidegate_policies.movers import POOL, Mover, autoscaled, policies_and_pools
from tidegate_policies.releases import moved_by
from tidegate_policies.resources import RELEASE, Object, Seen, Sets
from tidegate_policies.seams import OPERATOR_OWNED, OPERATOR_OWNED_WHERE_MOVED, SCALED_PATH
from tidegate_policies.values import UNKNOWN, Path, look

_LATER = " (not all names are known yet)"


def _path(text: str) -> Path:
    return tuple(text.split("."))


def operator_owned_paths_are_ignored(seen: Seen, _: World) -> Iterator[Finding]:
    """What the operator moves is set once: an update that names it fails in mid-event, or undoes a floor."""
    if seen.type == RELEASE:
        for value in moved_by(look(seen.props, "values")):
            said = "makes what the operator moves, and each upgrade sets it back: use helm.v4.Chart"
            yield Finding(f"{seen.name}: {value} {said}")
    for one in seen.objects:
        if one.kind == ("", ""):
            yield Finding(f"{seen.name}: {one.where(())} is not known yet, so that nobody can tell what it sets", one)
        for text in OPERATOR_OWNED.get(one.kind, ()):
            sets = one.sets(_path(text))
            if sets is not Sets.NO and not one.ignores(_path(text)):
                yield Finding(_leave_to(one, text, sets), one)


def _leave_to(one: Object, text: str, sets: Sets) -> str:
    where = one.where(_path(text))
    tells = f"{where} is not known yet and" if sets is Sets.UNKNOWN else where
    return f"{one.of.name}: {tells} belongs to the operator: {_mend(one, where)}"


def _mend(one: Object, where: str) -> str:
    return "deploy the chart by helm.v4.Chart" if one.sealed else f'add ignore_changes=["{where}"]'


def databases_are_protected(seen: Seen, _: World) -> Iterator[Finding]:
    """``pulumi destroy`` must not take data along."""
    if not seen.protect:
        for noun, one in data_of(seen):
            yield Finding(f"{seen.name}: {noun} without protection: add protect=True", one)


def namespaces_of_databases_are_protected(seen: Seen, world: World) -> Iterator[Finding]:
    """A namespace takes everything along that is in it, whatever protection that has in Pulumi."""
    for space in seen.objects:
        if space.kind != ("", "Namespace") or seen.protect or space.patch:
            continue
        held = sorted(one.name for one in world.resources if one.protect and _holds_for(space, one))
        if held:
            yield Finding(f"{seen.name}: holds {held[0]}, which is protected, and is not: add protect=True", space)


def _holds_for(space: Object, seen: Seen) -> bool:
    return any(one is not None and _within(one, space) for _, one in data_of(seen))


def _within(one: Object, space: Object) -> bool:
    if not one.of.cluster.may_be(space.of.cluster):
        return False
    if one.namespace is UNKNOWN or space.name is UNKNOWN:
        return space.of.urn in one.of.dependencies or one.namespace is space.name
    return bool(one.namespace == space.name)


def moved_workloads_are_ignored(seen: Seen, world: World) -> Iterator[Finding]:
    """The replicas of what a policy names or a pool lends are the operator's, where no autoscaler stands in front."""
    movers = world.once(_moved_by_the_operator)
    for one in seen.objects:
        mover = next((mover for mover in movers if mover.moves(one)), None)
        for path in _level_paths(one) if mover else ():
            if mover and one.sets(path) is not Sets.NO and not one.ignores(path):
                by = "CapacityPool" if mover.by.kind == POOL else "ScalingPolicy"
                doubt = "" if mover.certain(one) else _LATER
                where = one.where(path)
                yield Finding(f"{seen.name}: a {by} moves {where}: {_mend(one, where)}{doubt}", one)
    yield from _unseen(seen, world, movers, "moves")


def _moved_by_the_operator(world: World) -> list[Mover]:
    return policies_and_pools(world.objects)


def _moved_by_autoscalers(world: World) -> list[Mover]:
    return autoscaled(world.objects)


def no_replicas_beside_an_autoscaler(seen: Seen, world: World) -> Iterator[Finding]:
    """Two writers of one number: each update would throw away what the autoscaler reached."""
    movers = world.once(_moved_by_autoscalers)
    for one in seen.objects:
        mover = next((mover for mover in movers if mover.moves(one)), None)
        if mover and one.sets(SCALED_PATH) is not Sets.NO and not one.ignores(SCALED_PATH):
            doubt = "" if mover.certain(one) else _LATER
            yield Finding(f"{seen.name}: replicas beside an autoscaler: leave replicas out{doubt}", one)
    yield from _unseen(seen, world, movers, "scales")


def _level_paths(one: Object) -> list[Path]:
    """What is moved of a workload that is named: what is known of its kind, else its replicas."""
    if one.kind in OPERATOR_OWNED:
        return []  # another rule's, wherever such an object is
    texts = OPERATOR_OWNED_WHERE_MOVED.get(one.kind)
    return [_path(text) for text in texts] if texts else [SCALED_PATH]


def _unseen(seen: Seen, world: World, movers: list[Mover], verb: str) -> Iterator[Finding]:
    """A mover whose references are not known yet, beside a workload that it may move and that sets its replicas."""
    for mover in movers:
        if mover.unknown and mover.by.of is seen:
            for one in world.objects:
                levelled = one.kind not in OPERATOR_OWNED and one.sets(SCALED_PATH) is Sets.YES
                if levelled and mover.may_reach(one) and not one.ignores(SCALED_PATH):
                    where = one.where(SCALED_PATH)
                    said = f"what it {verb} is not known yet, and {one.of.name} sets {where}"
                    yield Finding(f'{seen.name}: {said}: write the reference down, or add ignore_changes=["{where}"]')
                    return


def suppressions_have_reasons(seen: Seen, _: World) -> Iterator[Finding]:
    """Who reads a suppression later has to know why it is there, and of what."""
    for rule, reason in _suppressions(seen):
        if rule not in BY_NAME:
            known = ", ".join(BY_NAME)
            yield Finding(f"{seen.name}: {allow.ANNOTATION} names no rule: {rule!r} is none of {known}")
        elif not reason:
            yield Finding(f'{seen.name}: {allow.ANNOTATION} gives no reason: write "{rule}: why"')


def suppressions_are_needed(seen: Seen, world: World) -> Iterator[Finding]:
    """What suppresses nothing would suppress tomorrow's mistake."""
    for name, reason in _suppressions(seen):
        rule = BY_NAME.get(name)
        if reason and rule and rule.lasting and not rule.look(seen, world):
            yield Finding(f"{seen.name}: {allow.ANNOTATION} suppresses nothing: {name} finds nothing here: remove it")


def _suppressions(seen: Seen) -> list[tuple[str, str]]:
    found = allow.written_on(seen.props)
    for one in seen.objects:
        found |= allow.written_on(one.props)
    return list(found.items())


MINUTES = {"minutes": {"type": "integer", "minimum": 0, "maximum": 10080, "default": peak.MINUTES}}

RULES = (
    Rule(
        "operator-owned-paths-are-ignored",
        "Fields that the operator moves must be under ignore_changes, where a program sets them.",
        operator_owned_paths_are_ignored,
    ),
    Rule("databases-are-protected", "What holds data must be protected from deletion.", databases_are_protected),
    Rule(
        "namespaces-of-databases-are-protected",
        "A namespace that holds a protected database must be protected too.",
        namespaces_of_databases_are_protected,
        whole=True,
    ),
    Rule(
        "moved-workloads-are-ignored",
        "Replicas of a workload that a ScalingPolicy or a CapacityPool names must be under ignore_changes.",
        moved_workloads_are_ignored,
        whole=True,
    ),
    Rule(
        "no-replicas-beside-an-autoscaler",
        "A workload behind an autoscaler must not set replicas.",
        no_replicas_beside_an_autoscaler,
        whole=True,
    ),
    Rule(
        "no-step-in-a-peak",
        "What a live event of the cluster stands on must not be changed while it runs or is about to begin.",
        peak.no_step_in_a_peak,
        lasting=False,
        also="no-change-in-a-peak",
        settings=MINUTES,
    ),
    Rule(
        "no-change-in-a-peak",
        "What a live event stands on must not be changed while the event runs or is about to begin.",
        peak.no_change_in_a_peak,
        whole=True,
        applies=peak.why_not,
        lasting=False,
        also="no-step-in-a-peak",
        settings=MINUTES,
    ),
    Rule(
        "peaks-can-be-seen",
        "The events that no-change-in-a-peak asks for must be readable.",
        peak.peaks_can_be_seen,
        whole=True,
        advisory=True,
        lasting=False,
    ),
    Rule(
        "suppressions-have-reasons",
        "A suppression must name a rule and say why.",
        suppressions_have_reasons,
        lasting=False,
    ),
    Rule(
        "suppressions-are-needed",
        "A suppression must suppress something.",
        suppressions_are_needed,
        whole=True,
        advisory=True,
        lasting=False,
    ),
)
"""All but two are mandatory: each guards something that fails at the peak, not before."""

BY_NAME = {rule.name: rule for rule in RULES}
