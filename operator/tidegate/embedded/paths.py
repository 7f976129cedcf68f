"""What a request is about, from its method, path and query."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.embedded.errors import method_not_allowed, no_such_path
from tidegate.embedded.resources import Registry, Resource

_ON_ONE = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_ON_MANY = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}


@dataclass(frozen=True, slots=True)
class Subject:
    """One resource, some namespace, one object or all, whole or in part."""

    resource: Resource
    verb: str
    namespace: str | None
    """None: all namespaces (or the kind has none)."""
    name: str
    """"" for requests on many."""
    subresource: str

    @property
    def key(self) -> tuple[str, str]:
        """Of the one object."""
        return (self.namespace or "", self.name)

    @property
    def label(self) -> str:
        """Plural name, with the subresource."""
        return self.resource.plural + (f"/{self.subresource}" if self.subresource else "")


def parse(registry: Registry, method: str, steps: list[str], *, watch: bool) -> Subject:
    """Find the subject of ``/api/v1/...`` or ``/apis/group/version/...``; ApiError 404 or 405 when there is none."""
    if steps[0] == "api":
        group, version, rest = "", steps[1], steps[2:]
    else:
        group, version, rest = steps[1], steps[2], steps[3:]
    watch = watch or rest[:1] == ["watch"]
    rest = rest[1:] if rest[:1] == ["watch"] else rest
    namespace: str | None = None
    if len(rest) > 2 and rest[0] == "namespaces" and registry.find(group, version, rest[2]):
        namespace, rest = rest[1], rest[2:]
    resource = registry.find(group, version, rest[0]) if rest else None
    if resource is None or len(rest) > 3 or (namespace is not None and not resource.namespaced):
        raise no_such_path()
    name, subresource = (*rest[1:], "", "")[:2]
    if name and resource.namespaced and namespace is None:
        raise no_such_path()
    if subresource and subresource not in resource.subresources:
        raise no_such_path()
    if watch and method == "GET":
        verb: str | None = "watch"
    else:
        verb = (_ON_ONE if name else _ON_MANY).get(method)
    if verb is None or (subresource and verb == "delete"):
        raise method_not_allowed()
    return Subject(resource, verb, namespace, name, subresource)
