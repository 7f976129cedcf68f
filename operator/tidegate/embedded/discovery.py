"""What is served, as clients ask for it: versions, groups, resources."""

from __future__ import annotations

from tidegate.embedded.errors import Json, no_such_path
from tidegate.embedded.resources import VERBS, Registry, Resource

VERSION: Json = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.0+tidegate-embedded",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}

_REVIEWS = ("selfsubjectaccessreviews", "subjectaccessreviews")


def core_versions() -> Json:
    """``/api``."""
    everywhere = [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": everywhere}


def groups(registry: Registry) -> Json:
    """``/apis``."""
    found = [_group(name, versions) for name, versions in registry.versions().items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}


def group(registry: Registry, name: str) -> Json:
    """``/apis/{group}``."""
    versions = registry.versions().get(name)
    if not name or not versions:
        raise no_such_path()
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def _group(name: str, versions: list[str]) -> Json:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def resources(registry: Registry, group_name: str, version: str) -> Json:
    """``/api/v1`` and ``/apis/{group}/{version}``."""
    served = [r for r in registry if (r.group, r.version) == (group_name, version)]
    if not served:
        raise no_such_path()
    listed = [entry for resource in served for entry in _entries(resource)]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": served[0].api_version, "resources": listed}


def _entries(resource: Resource) -> list[Json]:
    main: Json = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(VERBS),
    }
    if resource.short_names:
        main["shortNames"] = list(resource.short_names)
    if resource.categories:
        main["categories"] = list(resource.categories)
    return [main, *(_subresource(resource, name) for name in sorted(resource.subresources))]


def _subresource(resource: Resource, name: str) -> Json:
    entry: Json = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": ["get", "patch", "update"],
    }
    if name == "scale":
        entry.update(group="autoscaling", version="v1", kind="Scale")
    return entry
