"""What a rule may ask of a resource, whoever hands it over: the policy runtime's own types are only described here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

Report = Callable[[str], None]
"""Says what is wrong with a resource."""
ReportAt = Callable[[str, str | None], None]
"""Says what is wrong, and with which resource (URN)."""

PULUMI_MANAGERS = ("pulumi-kubernetes", "pulumi-resource-kubernetes")


class Options(Protocol):
    """Options that a resource was declared with."""

    @property
    def protect(self) -> bool:
        """Whether it may not be deleted."""

    @property
    def ignore_changes(self) -> Sequence[str]:
        """Paths that updates leave alone."""


class Resource(Protocol):
    """One resource: its inputs while it is declared, its outputs when a whole stack is looked at."""

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


Kind = tuple[str, str]
"""(group, kind)."""


def kind_of(resource: Resource) -> Kind | None:
    """``kubernetes:apps/v1:Deployment`` → ("apps", "Deployment"); None for what is no object of a cluster."""
    package, _, rest = resource.resource_type.partition(":")
    version, _, kind = rest.rpartition(":")
    if package != "kubernetes" or not version:
        return None
    group = version.rpartition("/")[0]
    return ("" if group == "core" else group), kind


def look(props: Any, path: str) -> Any:
    """The value at ``spec.replicas``, or None."""
    for key in path.split("."):
        if not isinstance(props, Mapping) or key not in props:
            return None
        props = props[key]
    return props


def declares(resource: Resource, path: str) -> bool:
    """Whether the program itself sets a path.

    A stack's rule sees outputs, and those of an update are the live object, in which an autoscaler has written. There
    the managed fields tell who applied what.
    """
    if look(resource.props, path) is None:
        return False
    entries = look(resource.props, "metadata.managedFields")
    if not isinstance(entries, Sequence):
        return True
    return any(_applied(entry, path) for entry in entries)


def _applied(entry: Any, path: str) -> bool:
    if look(entry, "manager") not in PULUMI_MANAGERS:
        return False
    fields = look(entry, "fieldsV1")
    for key in path.split("."):
        fields = fields.get(f"f:{key}") if isinstance(fields, Mapping) else None
    return fields is not None


def ignores(resource: Resource, path: str) -> bool:
    """Whether updates leave a path alone: by itself, or as part of something that they leave alone."""
    return any(path == one or path.startswith(one + ".") for one in resource.opts.ignore_changes)


def place_of(resource: Resource) -> tuple[str, str]:
    """(namespace, name) in the cluster."""
    metadata = look(resource.props, "metadata") or {}
    return str(metadata.get("namespace", "default")), str(metadata.get("name", resource.name))
