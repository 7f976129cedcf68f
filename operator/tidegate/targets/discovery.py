"""Which path a kind lives at, and whether it can be scaled: the server's discovery, believed for a while.

What a server serves changes under a running process: a CRD comes, goes, gains ``/scale`` or ends a version. An answer
is believed for seconds; where the server gives none, what it said last stands.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from contextlib import suppress
from dataclasses import dataclass

from tidegate.planning.model import Ref
from tidegate.ports import Json, NotFoundError, RefusedError, TidegateError, UnavailableError
from tidegate.targets.client import KubeClient
from tidegate.targets.read import child, maps, text

LIFETIME = 30.0
"""Seconds that what is served is believed. Judgment: with the looks at idle targets a change is found in a minute."""
MISS_LIFETIME = 10.0
"""Seconds that "no such kind", or "it has no ``/scale``", is believed: short, since a CRD may arrive at any time, yet
not one request a look."""

KEPT = 1024
"""Names of versions and groups that are not served, of which that is remembered for as long as it is believed: policies
may name as many as their authors care to invent. Judgment: a megabyte at the most."""

_SEGMENT = re.compile(r"[^/%?#\\\s\x00-\x1f\x7f]*")
"""What may stand between two slashes of a path, as the API server has it for names, and no more."""
_ELSEWHERE = (".", "..")


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
        empty. The namespace is left out for kinds of the cluster. RefusedError for a name that no object can have: it
        would be the path of another one.
        """
        for part in (namespace, name, subresource):
            if part in _ELSEWHERE or not _SEGMENT.fullmatch(part):
                raise RefusedError(f"{part[:60]!r} is no name of an object or a namespace")
        parts = [self.root]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [self.plural, name, subresource]
        return "/".join(part for part in parts if part)


def group_path(api_version: str) -> str:
    """Where a group and version is served."""
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


class Discovery:
    """Resources by (apiVersion, kind), asked for anew when what is known of them is no longer believed."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._known: dict[tuple[str, str], Resource] = {}
        self._asked: dict[str, float] = {}
        """When each apiVersion, or group with a slash behind it, was asked for last, well or not."""
        self._versions: dict[str, tuple[str, ...]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._tidied = -math.inf

    async def find(self, api_version: str, kind: str) -> Resource | None:
        """The resource, or None when the server knows no such kind (at most 10 s ago). What was known stands while
        the server does not answer. Raises UnavailableError and RefusedError where nothing was.
        """
        key = (api_version, kind)
        if self._is_believed(key):
            return self._known.get(key)
        async with self._lock(api_version):
            if not self._is_believed(key):
                with suppress(*((TidegateError,) if key in self._known else ())):
                    await self._ask(api_version)
        return self._known.get(key)

    async def locate(self, api_version: str, kind: str) -> Resource | None:
        """The resource, in another version of its group where this one is not served (any more), in one with
        ``/scale`` before others; None when the server knows no such kind. Raises UnavailableError and RefusedError.
        """
        if found := await self.find(api_version, kind):
            return found
        other: Resource | None = None
        for version in await self._versions_of(Ref(api_version, kind, "", "").identity.group):
            if found := await self.find(version, kind):
                if found.scale:
                    return found
                other = other or found
        return other

    def forget(self, resource: Resource) -> None:
        """The server answered that it does not serve this: what is known of its group is to be asked again."""
        self._known.pop((resource.api_version, resource.kind), None)
        self._asked.pop(resource.api_version, None)
        self._versions.pop(resource.group, None)

    async def still_serves(self, resource: Resource) -> bool:
        """Whether the server serves a kind where it did, by an answer that is asked for from now on: a 404 speaks of
        an object only where it does. Raises UnavailableError and RefusedError.
        """
        since = time.monotonic()
        async with self._lock(resource.api_version):
            if self._asked.get(resource.api_version, -math.inf) <= since:
                await self._ask(resource.api_version)
        found = self._known.get((resource.api_version, resource.kind))
        return found is not None and found.plural == resource.plural

    def _is_believed(self, key: tuple[str, str]) -> bool:
        found = self._known.get(key)
        lifetime = LIFETIME if found is not None and found.scale else MISS_LIFETIME
        return time.monotonic() - self._asked.get(key[0], -math.inf) < lifetime

    def _lock(self, what: str) -> asyncio.Lock:
        self._tidy()
        return self._locks.setdefault(what, asyncio.Lock())

    def _tidy(self) -> None:
        """Forget, now and then, of what is not served whatever is believed no longer; and the oldest of too many."""
        now = time.monotonic()
        if now - self._tidied < MISS_LIFETIME and len(self._locks) < 2 * KEPT:
            return
        self._tidied = now
        served = {api_version for api_version, _ in self._known}
        fresh = [name for name, at in self._asked.items() if name not in served and now - at < MISS_LIFETIME]
        kept = served.union(sorted(fresh, key=self._asked.__getitem__)[-KEPT:])
        self._asked = {name: at for name, at in self._asked.items() if name in kept}
        self._versions = {group: found for group, found in self._versions.items() if f"{group}/" in kept}
        self._locks = {name: lock for name, lock in self._locks.items() if name in kept or lock.locked()}

    async def _versions_of(self, group: str) -> tuple[str, ...]:
        """API versions of a group, the preferred one first; the core group has one alone."""
        if not group:
            return ()
        async with self._lock(f"{group}/"):
            if time.monotonic() - self._asked.get(f"{group}/", -math.inf) >= MISS_LIFETIME:
                self._versions.pop(group, None)
            if group not in self._versions:
                try:
                    document = _told(await self._client.get(f"/apis/{group}"), "versions")
                except NotFoundError:
                    document = {}
                self._asked[f"{group}/"] = time.monotonic()
                self._versions[group] = versions_of(document)
            return self._versions[group]

    async def _ask(self, api_version: str) -> None:
        """Ask what an apiVersion holds; what it holds no more is forgotten. An error changes nothing that is known, and
        the next one asks after a pause.
        """
        asked = time.monotonic()
        try:
            document = _told(await self._client.get(group_path(api_version)), "resources")
        except NotFoundError:
            document = {}
        except TidegateError:
            if any(key[0] == api_version for key in self._known):
                self._asked[api_version] = asked
            raise
        self._asked[api_version] = asked
        self._known = {key: one for key, one in self._known.items() if key[0] != api_version}
        for resource in resources_of(api_version, document):
            self._known[api_version, resource.kind] = resource


def _told(document: Json, what: str) -> Json:
    """An answer of the server about what it serves; UnavailableError for another document: a proxy's, say, because of
    which nothing is served no more.
    """
    if what not in document:
        raise UnavailableError(f"what is served cannot be told: the answer holds no {what}: {str(document)[:80]}")
    return document


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
