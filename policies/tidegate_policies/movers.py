"""Who moves which workload: what policies and pools name, and what autoscalers stand in front of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from tidegate_policies.resources import Kind, Object
from tidegate_policies.seams import AUTOSCALERS, GROUP, canonical
from tidegate_policies.values import UNKNOWN, items, look

POLICY = (GROUP, "ScalingPolicy")
POOL = (GROUP, "CapacityPool")


@dataclass(frozen=True, slots=True)
class Mover:
    """One reference to a workload, and who makes it."""

    by: Object
    kind: Kind
    """("", "") where the reference is not known yet."""
    namespace: Any
    """UNKNOWN, or None where nobody says one."""
    name: Any
    found: bool = False
    """Whether what it names stands among the same objects, by a name that is known."""

    @property
    def unknown(self) -> bool:
        """Whether it is not known yet what is moved."""
        return self.kind == ("", "")

    def moves(self, one: Object) -> bool:
        """Whether it may be this object."""
        return self.kind == one.kind and self._may_be_named(one.name) and self.may_reach(one)

    def _may_be_named(self, name: Any) -> bool:
        """Whether this name may be meant. One that is not known yet is none that was found elsewhere."""
        if name is UNKNOWN:
            return self.name is UNKNOWN or not self.found
        return self.name is UNKNOWN or bool(self.name == name)

    def may_reach(self, one: Object) -> bool:
        """Whether the object may stand where the reference points: a namespace that nobody says may be any."""
        vague = (None, UNKNOWN)
        here = self.namespace in vague or one.namespace in vague or self.namespace == one.namespace
        return here and self.by.of.cluster.may_be(one.of.cluster)

    def certain(self, one: Object) -> bool:
        """Whether all names are known."""
        return UNKNOWN not in (self.name, one.name, self.namespace, one.namespace)


def movers_of(objects: Iterable[Object], kinds: Iterable[Kind]) -> list[Mover]:
    """Everything that objects of some kinds move."""
    wanted, everything = frozenset(kinds), tuple(objects)
    named = {(one.kind, one.name) for one in everything if isinstance(one.name, str)}
    movers = [mover for one in everything if one.kind in wanted for mover in _named(one)]
    return [replace(mover, found=_key(mover) in named) for mover in movers]


def _key(mover: Mover) -> tuple[Kind, str]:
    return mover.kind, mover.name if isinstance(mover.name, str) else ""


def policies_and_pools(objects: Iterable[Object]) -> list[Mover]:
    """Everything that the operator moves."""
    return movers_of(objects, (POLICY, POOL))


def autoscaled(objects: Iterable[Object]) -> list[Mover]:
    """Everything that an autoscaler moves."""
    return movers_of(objects, AUTOSCALERS)


def _named(one: Object) -> Iterator[Mover]:
    if one.props is UNKNOWN or look(one.props, "spec") is UNKNOWN:
        refs = [UNKNOWN]
    elif one.kind == POLICY:
        refs = list(_inside(look(one.props, "spec.targets"), "ref"))
    elif one.kind == POOL:
        members = (member for lane in _inside(look(one.props, "spec.lanes"), "members") for member in _each(lane))
        refs = [ref for member in members for ref in _inside([member], "ref")]
    else:
        refs = [look(one.props, "spec.scaleTargetRef")]
    for ref in refs:
        if ref is UNKNOWN:
            yield Mover(one, ("", ""), UNKNOWN, UNKNOWN)
        elif isinstance(ref, dict):
            yield _mover(one, ref)


def _each(value: Any) -> list[Any]:
    return [UNKNOWN] if value is UNKNOWN else items(value)


def _inside(value: Any, key: str) -> Iterator[Any]:
    """A key's value of each item; UNKNOWN for what is not known."""
    for item in _each(value):
        yield look(item, key)


def _mover(one: Object, ref: dict[str, Any]) -> Mover:
    """A reference, within a namespace where it says none. KEDA's default is a Deployment."""
    version, kind = ref.get("apiVersion") or "apps/v1", ref.get("kind") or "Deployment"
    if UNKNOWN in (version, kind):
        return Mover(one, ("", ""), UNKNOWN, UNKNOWN)
    named = canonical(str(version).rpartition("/")[0], str(kind))
    return Mover(one, named, ref.get("namespace") or one.namespace, ref.get("name"))
