"""The kinds of which there are few: policies, overrides and pools. kopf watches them; here they are listed and kept.

Listed once before the loop begins, because a policy or a pool that was not read yet looks like one that was deleted,
and its loans would be returned; and again now and then, as the cure for a watch that lost one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.planning.model import Key
from tidegate.ports import NotFoundError, TidegateError
from tidegate.shell.publisher import StatusPublisher
from tidegate.shell.store import WatchedStore, key_of
from tidegate.targets.client import KubeClient
from tidegate.targets.discovery import Resource

log = logging.getLogger("tidegate")

API_VERSION = "tidegate.dev/v1alpha1"
EVENTS = Resource(API_VERSION, "LiveEvent", "liveevents", namespaced=True, scale=False)
POLICIES = Resource(API_VERSION, "ScalingPolicy", "scalingpolicies", namespaced=True, scale=False)
OVERRIDES = Resource(API_VERSION, "Override", "overrides", namespaced=True, scale=False)
POOLS = Resource(API_VERSION, "CapacityPool", "capacitypools", namespaced=False, scale=False)

RELIST = 300.0
"""Seconds after which they are listed again."""


@dataclass(slots=True)
class FewKind:
    """One kind: where it is listed and whom its objects go to."""

    resource: Resource
    scopes: tuple[str, ...]
    put: Callable[[Mapping[str, Any]], object]
    delete: Callable[[Key], None]
    known: Callable[[], Iterable[Key]]
    newer: set[Key] = field(default_factory=set)
    """What the watch told while a list was under way: it is newer than the list."""


class FewKinds:
    """All of them, for one store."""

    def __init__(
        self, client: KubeClient, store: WatchedStore, publisher: StatusPublisher, namespaces: tuple[str, ...] | None
    ) -> None:
        """``namespaces`` None: the whole cluster, and with it pools."""
        self._client, self._publisher = client, publisher
        scopes = namespaces or ("",)
        kinds = [
            FewKind(POLICIES, scopes, store.put_policy, store.delete_policy, lambda: store.policies().keys()),
            FewKind(
                OVERRIDES, scopes, store.put_override, store.delete_override, lambda: [o.key for o in store.overrides()]
            ),
        ]
        if namespaces is None:
            kinds.append(
                FewKind(
                    POOLS,
                    ("",),
                    store.put_pool,
                    lambda key: store.delete_pool(key.name),
                    lambda: [Key("", name) for name in store.pools()],
                )
            )
        self._kinds = {kind.resource.kind: kind for kind in kinds}

    def seen(self, kind: str, what: str, body: Mapping[str, Any]) -> None:
        """The watch saw an object: ``ADDED``, ``MODIFIED``, ``DELETED``, or ``None`` in the first listing."""
        one = self._kinds.get(kind)
        if one is None:
            return
        key = key_of(body)
        one.newer.add(key)
        if what == "DELETED":
            one.delete(key)
            self._publisher.forget(kind, key)
        else:
            self._publisher.seen(kind, key, body.get("status"))
            one.put(body)

    async def list_all(self) -> None:
        """All objects of all kinds. A kind that the server does not serve yet has none."""
        for one in self._kinds.values():
            await self._list(one)

    async def list_for_ever(self) -> None:
        """Again now and then."""
        while True:
            await asyncio.sleep(RELIST)
            try:
                await self.list_all()
            except TidegateError as error:  # the watch goes on; the next round tries again
                log.warning("policies, overrides and pools could not be listed again: %s", error)

    async def _list(self, one: FewKind) -> None:
        one.newer = set()
        listed: dict[Key, Mapping[str, Any]] = {}
        for scope in one.scopes:
            try:
                for found in await self._client.items(one.resource.path(scope)):
                    listed[key_of(found)] = found
            except NotFoundError:
                if one.resource is POLICIES:
                    raise
                log.warning("the cluster does not serve %s: its CRD is missing", one.resource.plural)
        newer, one.newer = one.newer, set()
        for key, obj in listed.items():
            if key not in newer:
                self._publisher.seen(one.resource.kind, key, obj.get("status"))
                one.put(obj)
        for key in set(one.known()) - listed.keys() - newer:
            one.delete(key)
