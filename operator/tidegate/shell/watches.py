"""The informers that the process always has: LiveEvents, by namespace or of the whole cluster, and the durable stop."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from typing import Any

from tidegate.control.stop import NAME as STOP
from tidegate.control.stop import stop_path
from tidegate.shell.bodies import key_of
from tidegate.shell.informer import Informer
from tidegate.shell.kinds import EVENTS
from tidegate.shell.publisher import StatusPublisher
from tidegate.shell.reporter import Reporter
from tidegate.shell.store import WatchedStore
from tidegate.targets.client import KubeClient

OBEYED_WITHIN = 10.0
"""Seconds after which a durable stop is heard of, or that it was lifted, when the connection of its watch has died."""
ANNOUNCED_WITHIN = 30.0
"""The same of what is announced, in up to ten namespaces; of more of them each is asked for more seldom."""
FROZEN_EVERY = 5000
"""Events of the first list after which what there is leaves the garbage collector's sight. Tens of thousands of events
stay for good; looking through all of them again and again costs a quarter of the listing, and each look through them
holds the event loop up for longer than the last."""


def event_watches(
    client: KubeClient,
    namespaces: tuple[str, ...] | None,
    store: WatchedStore,
    reporter: Reporter,
    publisher: StatusPublisher,
    *,
    on_sync: Callable[[], None],
) -> dict[str, Informer]:
    """An informer a namespace, by its name; ``on_sync`` is called when the first list of each is complete. A namespace
    of several that the server refuses is not waited for, once another was listed.
    """
    scopes = namespaces or ("",)
    proof = ANNOUNCED_WITHIN * max(1.0, len(scopes) / 10)
    waiting, refused = set(scopes), set[str]()
    arrived = 0

    def seen(kind: str, obj: Mapping[str, Any]) -> None:
        nonlocal arrived
        key = key_of(obj)
        if kind == "DELETED":
            store.delete_event(key)
            reporter.forget(key)
            publisher.forget("LiveEvent", key)
            return
        store.put_event(obj)
        publisher.seen("LiveEvent", key, obj.get("status"))
        reporter.arrived(key, obj.get("status"))
        arrived += 1
        if waiting and arrived % FROZEN_EVERY == 0:
            gc.freeze()

    def settle() -> None:
        if waiting <= refused and len(waiting) < len(scopes) and not store.events_synced:
            gc.freeze()
            store.events_synced = True
            on_sync()

    def complete(scope: str) -> None:
        waiting.discard(scope)
        settle()

    def refuse(scope: str) -> None:
        refused.add(scope)
        settle()

    def informer(scope: str) -> Informer:
        return Informer(
            client,
            EVENTS.path(scope),
            on_object=seen,
            on_sync=lambda: complete(scope),
            on_refusal=lambda: refuse(scope),
            proof=proof,
        )

    return {scope: informer(scope) for scope in scopes}


def stop_watch(
    client: KubeClient, operator_namespace: str, store: WatchedStore, *, on_sync: Callable[[], None]
) -> Informer:
    """The informer of the durable stop."""

    def listed() -> None:
        store.stop_synced = True
        on_sync()

    return Informer(
        client,
        stop_path(operator_namespace),
        on_object=lambda kind, _: store.set_stopped(kind != "DELETED"),
        on_sync=listed,
        proof=OBEYED_WITHIN,
        selectors={"fieldSelector": f"metadata.name={STOP}"},
    )
