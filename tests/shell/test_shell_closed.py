"""A namespace of several that is closed to us is nothing to the others: the whole process, on the embedded API."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import Any

import pytest
from builders_embedded import deployment
from test_shell_informer import Ear, FakeServer, Pair, Quiet, ear  # noqa: F401
from test_shell_lifecycle import Stage, live_event, scaling_policy, stage, until  # noqa: F401

from tidegate.control import loaner
from tidegate.ports import RefusedError, UnavailableError
from tidegate.shell import informer, kinds, watches
from tidegate.shell import runtime as runtimes
from tidegate.shell.probes import watch_check
from tidegate.shell.runtime import Runtime
from tidegate.shell.store import WatchedStore
from tidegate.targets.client import KubeClient
from tidegate.targets.errors import ForbiddenError


@pytest.mark.parametrize("closed_at", ["start", "later"])
async def test_a_namespace_that_is_closed_to_us_holds_no_other_up_and_is_served_when_it_opens(
    closed_at: str,
    stage: Stage,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever owns one may delete it, and our Role with it: all that we ask of it is refused."""
    closed, real = {"shop"} if closed_at == "start" else set[str](), KubeClient._open

    async def opened(self: KubeClient, method: str, path: str, *arguments: Any, **more: Any) -> Any:
        if any(f"/namespaces/{name}/" in path for name in closed):
            raise ForbiddenError(f"{method} {path}: the API server answered 403")
        return await real(self, method, path, *arguments, **more)

    def there(namespace: str, replicas: int) -> None:
        for made in (deployment(replicas=replicas), scaling_policy()):
            made["metadata"] |= {"namespace": namespace}
            stage.cluster.create(made)

    def level(namespace: str) -> int:
        return int((stage.cluster.get("apps/v1", "Deployment", "web", namespace) or {})["spec"]["replicas"])

    def announce(namespace: str) -> None:
        made = live_event(time.time() + 20.0)
        stage.cluster.create({**made, "metadata": {**made["metadata"], "namespace": namespace}})

    monkeypatch.setattr(KubeClient, "_open", opened)
    for module, name in ((kinds, "ASKED_EVERY"), (runtimes, "UNHEARD"), (kinds, "UNHEARD")):
        monkeypatch.setattr(module, name, 0.05)
    monkeypatch.setattr(kinds, "GRACE", 0.0)
    monkeypatch.setattr(loaner, "CHECKED_EVERY", 0.2)
    monkeypatch.setattr(informer, "LONGEST_PAUSE", 0.2)
    for namespace in ("live", "shop"):
        stage.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        there(namespace, 2)
    runtime = Runtime(dataclasses.replace(stage.settings, beat_seconds=0.1, namespaces=("live", "shop")))
    await runtime.start()
    if closed_at == "later":
        announce("shop")
        await until(lambda: level("shop") == 10)
        closed.add("shop")
        await until(lambda: runtime.store.unheard_in())
    announce("live")
    await until(lambda: level("live") == 10)
    await asyncio.sleep(0.7)
    assert (await stage.ask("/healthz"))[0] == 200
    assert (await stage.ask("/readyz"))[0] == 200
    assert 'tidegate_unheard{namespace="shop"} 1.0' in (await stage.ask("/metrics"))[1]
    assert 'tidegate_unheard{namespace="live"}' not in (await stage.ask("/metrics"))[1]
    (unheard,) = runtime.store.unheard_in().values()
    assert "could not be listed" in unheard.message
    assert level("shop") == (2 if closed_at == "start" else 10)
    closed.clear()
    if closed_at == "start":
        announce("shop")
    await until(lambda: not runtime.store.unheard_in())
    await until(lambda: level("shop") == 10)
    await runtime.stop()


async def test_a_namespace_that_refuses_us_is_waited_for_only_where_no_other_was_listed() -> None:
    """At a start: one was deleted, and our rights there with it. Nothing of it is known then."""
    store, synced = WatchedStore(lambda: 0.0), list[bool]()
    quiet: Any = Quiet()
    servers = {"live": FakeServer(), "shop": FakeServer()}

    class Both:
        def pages(self, path: str, **more: Any) -> Any:
            return servers[path.split("/")[5]].pages(path, **more)

        def watch(self, path: str, **more: Any) -> Any:
            return servers[path.split("/")[5]].watch(path, **more)

    there: Any = Both()
    made = watches.event_watches(there, ("live", "shop"), store, quiet, quiet, on_sync=lambda: synced.append(True))
    servers["shop"].fail_lists = [RefusedError("403")] * 1000
    made["shop"].start()
    async with asyncio.timeout(5):
        while not made["shop"].refused:  # noqa: ASYNC110  what is waited for is no event of ours
            await asyncio.sleep(0.001)
        assert (store.events_synced, synced) == (False, [])
        made["live"].start()
        while not store.events_synced:  # noqa: ASYNC110  as above
            await asyncio.sleep(0.001)
    assert (synced, made["shop"].synced, made["shop"].trouble) == ([True], False, "403")
    servers["shop"].fail_lists.clear()
    made["shop"].again()
    async with asyncio.timeout(5):
        while not made["shop"].synced:  # noqa: ASYNC110  as above
            await asyncio.sleep(0.001)
    assert not made["shop"].refused
    for one in made.values():
        await one.stop()


async def test_a_refusal_that_lasts_is_an_error_once(ear: Pair, caplog: pytest.LogCaptureFixture) -> None:  # noqa: F811
    server, heard = ear
    server.fail_lists = [RefusedError("403")] * 5
    with caplog.at_level("INFO", logger=informer.__name__):
        heard.informer.start()
        await heard.until(lambda: heard.informer.synced)
    told = [record.levelname for record in caplog.records if record.name == informer.__name__]
    assert told == ["ERROR", "INFO", "INFO", "INFO", "INFO"]


async def test_a_watch_that_the_server_refuses_is_not_dead(ear: Pair) -> None:  # noqa: F811
    """A new start of the process would be refused as well: one that is silent is another matter."""
    server, _ = ear
    server.fail_lists = [RefusedError("403")] * 1000
    heard = Ear(server)
    alive = watch_check(heard.informer, limit=0.02)
    heard.informer.start()
    await heard.until(lambda: heard.informer.refused)
    await asyncio.sleep(0.05)
    assert alive() is None
    server.fail_lists[:] = [UnavailableError("503")] * 1000
    heard.informer.again()
    await heard.until(lambda: not heard.informer.refused)
    await asyncio.sleep(0.05)
    assert "no sign of life" in str(alive())
    await heard.informer.stop()
