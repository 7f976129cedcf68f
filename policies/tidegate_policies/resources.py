"""What a rule may ask of a resource, whoever hands it over: the policy runtime's own types are only described here.

``see`` makes plain values of it. One resource may stand for several objects of a cluster: a ``List``, a kind's own
``…List``, or a Helm release, which says in its outputs what Helm made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from tidegate_policies import fields, paths
from tidegate_policies.seams import canonical
from tidegate_policies.values import UNKNOWN, Path, items, look, look_at, plain

Report = Callable[[str], None]
"""Says what is wrong with a resource."""
ReportAt = Callable[[str, str | None], None]
"""Says what is wrong, and with which resource (URN)."""
Kind = tuple[str, str]
"""(group, kind)."""

RELEASE = "kubernetes:helm.sh/v3:Release"
_CONNECTION = ("kubeconfig", "context", "cluster")


class Options(Protocol):
    """Options that a resource was declared with."""

    @property
    def protect(self) -> bool:
        """Whether it may not be deleted."""

    @property
    def ignore_changes(self) -> Sequence[str]:
        """Paths that updates leave alone."""


class Resource(Protocol):
    """One resource: its inputs while it is declared, its outputs when a whole stack is looked at.

    The runtime's also have ``provider``, ``parent`` and ``dependencies``, and their options ``parent``.
    """

    @property
    def resource_type(self) -> str:
        """Type token."""

    @property
    def props(self) -> Mapping[str, Any]:
        """Properties."""

    @property
    def urn(self) -> str:
        """Name over all stacks."""

    @property
    def name(self) -> str:
        """Name in the program."""

    @property
    def opts(self) -> Options:
        """Options."""


class Stack(Protocol):
    """All resources of a stack."""

    @property
    def resources(self) -> Sequence[Resource]:
        """In any order."""


class Sets(Enum):
    """Whether a program sets a field."""

    NO = 0
    YES = 1
    UNKNOWN = 2


@dataclass(frozen=True, slots=True)
class Cluster:
    """Which cluster a resource goes to, as far as its provider says."""

    provider: str = ""
    """URN; empty when nothing is said."""
    connection: tuple[Any, ...] = ()
    namespace: Any = None
    """Namespace of what says none."""

    def may_be(self, other: Cluster) -> bool:
        """Whether two resources may stand in one cluster."""
        if not self.provider or not other.provider or self.provider == other.provider:
            return True
        pairs = zip(self.connection, other.connection, strict=False)
        return all(one == two for one, two in pairs if isinstance(one, str) and isinstance(two, str))


@dataclass(frozen=True, slots=True)
class Seen:
    """A resource in plain values."""

    type: str
    name: str
    urn: str
    props: Any
    protect: bool = False
    ignores: tuple[Path, ...] = ()
    parent: str = ""
    """URN of the component that it is a part of, or of the stack."""
    dependencies: frozenset[str] = frozenset()
    cluster: Cluster = field(default_factory=Cluster)

    @property
    def objects(self) -> tuple[Object, ...]:
        """Objects of a cluster that it stands for."""
        return tuple(_objects(self))


@dataclass(frozen=True, slots=True)
class Object:
    """An object of a cluster, within the resource that declares it."""

    of: Seen
    kind: Kind
    """("", "") where what it is cannot be told yet."""
    props: Any
    at: Path = ()
    """Where it stands in the resource's properties."""
    patch: bool = False
    """Whether the resource only changes an object that somebody else made."""
    sealed: bool = False
    """Whether ``ignore_changes`` cannot reach it: it is Helm's."""

    @property
    def name(self) -> Any:
        """Its name in the cluster, or UNKNOWN."""
        found = look(self.props, "metadata.name")
        return found or (self.of.name if not self.at else "")

    @property
    def namespace(self) -> Any:
        """Its namespace: UNKNOWN, or None where neither the object nor its provider says one."""
        return look(self.props, "metadata.namespace") or self.of.cluster.namespace or None

    def sets(self, path: Path) -> Sets:
        """Whether the program sets a field."""
        value = look_at(self.props, path)
        if value is UNKNOWN:
            return Sets.UNKNOWN
        if value is None:
            return Sets.NO
        if fields.known(self.props) and not fields.applied_by_pulumi(self.props, path):
            return Sets.NO
        return Sets.YES

    def ignores(self, path: Path) -> bool:
        """Whether updates leave a field alone: by itself, or as part of something that they leave alone."""
        whole = (*self.at, *path)
        return not self.sealed and any(paths.covers(one, whole) for one in self.of.ignores)

    def where(self, path: Path) -> str:
        """A field as ``ignore_changes`` names it."""
        return paths.written((*self.at, *path))


def see(resource: Resource) -> Seen:
    """A resource in plain values. What it lacks is as if it said nothing of it."""
    opts = getattr(resource, "opts", None)
    parent = getattr(opts, "parent", None) or getattr(getattr(resource, "parent", None), "urn", None)
    depends = (getattr(one, "urn", "") for one in getattr(resource, "dependencies", None) or ())
    return Seen(
        type=str(resource.resource_type),
        name=str(resource.name),
        urn=str(resource.urn),
        props=plain(resource.props),
        protect=bool(getattr(opts, "protect", False)),
        ignores=paths.parse_all(tuple(map(str, getattr(opts, "ignore_changes", None) or ()))),
        parent=str(parent or ""),
        dependencies=frozenset(depends),
        cluster=_cluster(getattr(resource, "provider", None)),
    )


def _cluster(provider: Any) -> Cluster:
    if provider is None:
        return Cluster()
    props = plain(getattr(provider, "props", {}))
    connection = tuple(look(props, key) for key in _CONNECTION)
    return Cluster(str(getattr(provider, "urn", "")), connection, look(props, "namespace"))


def kind_of(resource: Any) -> Kind | None:
    """``kubernetes:apps/v1:Deployment`` → ("apps", "Deployment"); None for what is no object of a cluster."""
    return kind_of_type(str(resource.resource_type))


def kind_of_type(token: str) -> Kind | None:
    """The same of a type token."""
    package, _, rest = token.partition(":")
    version, _, kind = rest.rpartition(":")
    if package != "kubernetes" or not version:
        return None
    group = version.rpartition("/")[0]
    return canonical("" if group == "core" else group, kind)


def _objects(seen: Seen) -> Iterator[Object]:
    if seen.type == RELEASE:
        yield from _released(seen)
        return
    kind = kind_of_type(seen.type)
    if kind is None:
        return
    group, name = kind
    if name.endswith("List") and (name == "List" or look(seen.props, "items") is not None):
        yield from _listed(seen, group, name.removesuffix("List"), seen.props, ())
        return
    patch = name.endswith("Patch") and name != "Patch"
    yield Object(seen, canonical(group, name.removesuffix("Patch") if patch else name), seen.props, patch=patch)


def _listed(seen: Seen, group: str, kind: str, props: Any, at: Path) -> Iterator[Object]:
    """Items of a list; each says its own kind, or is of the list's."""
    found = look(props, "items")
    if found is UNKNOWN:
        yield Object(seen, (group, kind) if kind else ("", ""), UNKNOWN, (*at, "items"))
    for place, item in enumerate(items(found)):
        here = (*at, "items", place)
        version, name = look(item, "apiVersion"), look(item, "kind")
        own = (
            canonical(version.rpartition("/")[0], name) if isinstance(version, str) and isinstance(name, str) else None
        )
        if own and own[1].endswith("List") and look(item, "items") is not None:
            yield from _listed(seen, own[0], own[1].removesuffix("List"), item, here)
        else:
            yield Object(seen, own or ((group, kind) if kind else ("", "")), item, here)


def _released(seen: Seen) -> Iterator[Object]:
    """What Helm made of a release: known once it is there."""
    made = look(seen.props, "manifest")
    for key, item in made.items() if isinstance(made, Mapping) else ():
        version, name = look(item, "apiVersion"), look(item, "kind")
        if isinstance(version, str) and isinstance(name, str):
            yield Object(seen, canonical(version.rpartition("/")[0], name), item, ("manifest", key), sealed=True)
