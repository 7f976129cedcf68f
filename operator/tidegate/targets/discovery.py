"""Which path a kind lives at, and whether it can be scaled: the server's discovery, refreshed on a miss."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from tidegate.planning.model import Ref
from tidegate.ports import Json, NotFoundError
from tidegate.targets.client import KubeClient
from tidegate.targets.read import child, maps, text

MISS_LIFETIME = 10.0
"""Seconds that "no such kind" is believed: short, since a CRD may arrive at any time, yet not one request a look."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as the server serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    scale: bool
    """It has a ``/scale`` subresource."""

    @property
    def group(self) -> str:
        """Empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def root(self) -> str:
        """``/api/v1`` or ``/apis/group/version``."""
        return group_path(self.api_version)

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """Path of a collection (no name), of an object or of its subresource; all namespaces when ``namespace`` is
        empty. The namespace is left out for kinds of the cluster.
        """
        parts = [self.root]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [self.plural, name, subresource]
        return "/".join(part for part in parts if part)


def group_path(api_version: str) -> str:
    """Where a group and version is served."""
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


class Discovery:
    """Resources by (apiVersion, kind). Known ones are kept for good, unknown ones asked for again."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._known: dict[tuple[str, str], Resource] = {}
        self._asked: dict[str, float] = {}
        self._versions: dict[str, tuple[str, ...]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def find(self, api_version: str, kind: str) -> Resource | None:
        """The resource, or None when the server knows no such kind (at most 10 s ago). Raises UnavailableError and
        RefusedError.
        """
        if found := self._known.get((api_version, kind)):
            return found
        async with self._locks.setdefault(api_version, asyncio.Lock()):
            asked = self._asked.get(api_version)
            fresh = asked is not None and time.monotonic() - asked < MISS_LIFETIME
            if (api_version, kind) not in self._known and not fresh:
                await self._ask(api_version)
        return self._known.get((api_version, kind))

    async def locate(self, api_version: str, kind: str) -> Resource | None:
        """The resource, in another version of its group where this one is not served (any more); None when the server
        knows no such kind. Raises UnavailableError and RefusedError.
        """
        if found := await self.find(api_version, kind):
            return found
        for version in await self._versions_of(Ref(api_version, kind, "", "").identity.group):
            if found := await self.find(version, kind):
                return found
        return None

    def forget(self, resource: Resource) -> None:
        """The server answered that it does not serve this: what is known of its group is to be asked again."""
        self._known.pop((resource.api_version, resource.kind), None)
        self._versions.pop(resource.group, None)

    async def _versions_of(self, group: str) -> tuple[str, ...]:
        """API versions of a group, the preferred one first; the core group has one alone."""
        if not group:
            return ()
        async with self._locks.setdefault(f"{group}/", asyncio.Lock()):
            if group not in self._versions:
                try:
                    document = await self._client.get(f"/apis/{group}")
                except NotFoundError:
                    return ()
                self._versions[group] = versions_of(document)
            return self._versions[group]

    async def _ask(self, api_version: str) -> None:
        try:
            document = await self._client.get(group_path(api_version))
        except NotFoundError:
            document = {}
        self._asked[api_version] = time.monotonic()
        for resource in resources_of(api_version, document):
            self._known[api_version, resource.kind] = resource


def resources_of(api_version: str, document: Json) -> list[Resource]:
    """Read an APIResourceList. A subresource is an entry named ``plural/name``."""
    entries = {name: entry for entry in maps(document.get("resources")) if (name := text(entry.get("name")))}
    return [
        Resource(api_version, kind, name, bool(entry.get("namespaced")), f"{name}/scale" in entries)
        for name, entry in entries.items()
        if "/" not in name and (kind := text(entry.get("kind")))
    ]


def versions_of(document: Json) -> tuple[str, ...]:
    """Read an APIGroup: its API versions, the preferred one first."""
    preferred = text(child(document, "preferredVersion").get("groupVersion"))
    served = [text(entry.get("groupVersion")) for entry in maps(document.get("versions"))]
    return tuple(dict.fromkeys(version for version in (preferred, *served) if version))
