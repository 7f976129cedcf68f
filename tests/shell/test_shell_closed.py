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
from tidegate.ports import Json, RefusedError, UnavailableError
from tidegate.shell import hearing, informer, kinds, watches
from tidegate.shell import runtime as runtimes
from tidegate.shell.probes import watch_check
from tidegate.shell.runtime import Runtime
from tidegate.shell.store import WatchedStore
from tidegate.targets.client import KubeClient
from tidegate.targets.errors import ForbiddenError

LIMIT = 2.0
"""Seconds of silence that this test takes for minutes."""


def put(stage: Stage, namespace: str, *objects: Json) -> None:  # noqa: F811
    """Create objects in a namespace."""
    for made in objects:
        stage.cluster.create({**made, "metadata": {**made["metadata"], "namespace": namespace}})


def level(stage: Stage, namespace: str) -> int:  # noqa: F811
    """Of the workload that is driven there."""
    return int((stage.cluster.get("apps/v1", "Deployment", "web", namespace) or {})["spec"]["replicas"])


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

    monkeypatch.setattr(KubeClient, "_open", opened)
    for module, name in ((kinds, "ASKED_EVERY"), (runtimes, "UNHEARD"), (kinds, "UNHEARD")):
        monkeypatch.setattr(module, name, 0.05)
    monkeypatch.setattr(kinds, "GRACE", 0.0)
    monkeypatch.setattr(loaner, "CHECKED_EVERY", 0.2)
    monkeypatch.setattr(informer, "LONGEST_PAUSE", 0.2)
    for namespace in ("live", "shop"):
        stage.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        put(stage, namespace, deployment(replicas=2), scaling_policy())
    runtime = Runtime(dataclasses.replace(stage.settings, beat_seconds=0.1, namespaces=("live", "shop")))
    await runtime.start()
    if closed_at == "later":
        put(stage, "shop", live_event(time.time() + 20.0))
        await until(lambda: level(stage, "shop") == 10)
        closed.add("shop")
        await until(lambda: runtime.store.unheard_in())
    put(stage, "live", live_event(time.time() + 20.0))
    await until(lambda: level(stage, "live") == 10)
    await asyncio.sleep(0.7)
    assert (await stage.ask("/healthz"))[0] == 200
    assert (await stage.ask("/readyz"))[0] == 200
    assert 'tidegate_unheard{namespace="shop"} 1.0' in (await stage.ask("/metrics"))[1]
    assert 'tidegate_unheard{namespace="live"}' not in (await stage.ask("/metrics"))[1]
    (unheard,) = runtime.store.unheard_in().values()
    assert "could not be listed" in unheard.message
    assert level(stage, "shop") == (2 if closed_at == "start" else 10)
    closed.clear()
    if closed_at == "start":
        put(stage, "shop", live_event(time.time() + 20.0))
    await until(lambda: not runtime.store.unheard_in())
    await until(lambda: level(stage, "shop") == 10)
    await runtime.stop()


async def test_a_namespace_that_gives_no_answer_for_long_ends_no_process_and_all_of_them_do(
    stage: Stage,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A start would wait for it, and so would everybody else: the kubelet must not make one."""
    silent, real = set[str](), KubeClient._open

    async def opened(self: KubeClient, method: str, path: str, *arguments: Any, **more: Any) -> Any:
        if any(f"/namespaces/{name}/liveevents" in path for name in silent):
            raise UnavailableError(f"{method} {path}: the API server answered 503")
        return await real(self, method, path, *arguments, **more)

    monkeypatch.setattr(KubeClient, "_open", opened)
    monkeypatch.setattr(runtimes, "SILENT", LIMIT)
    monkeypatch.setattr(hearing, "EVENTS_LOST", LIMIT / 4)
    monkeypatch.setattr(informer, "LONGEST_PAUSE", 0.2)
    for name in ("ANNOUNCED_WITHIN", "OBEYED_WITHIN"):
        monkeypatch.setattr(watches, name, LIMIT / 8)
    for namespace in ("live", "shop"):
        stage.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        put(stage, namespace, deployment(replicas=2), scaling_policy())
    runtime = Runtime(dataclasses.replace(stage.settings, beat_seconds=0.1, namespaces=("live", "shop")))
    await runtime.start()
    await until(lambda: runtime.store.synced and (stage.holder() or "").startswith("me"))
    silent.add("shop")
    runtime._informers["liveevents shop"].again()
    await until(lambda: runtime._informers["liveevents shop"].age_seconds() > LIMIT)
    assert (await stage.ask("/healthz"))[0] == 200
    assert (await stage.ask("/readyz"))[0] == 200
    assert 'tidegate_unheard{namespace="shop"} 1.0' in (await stage.ask("/metrics"))[1]
    put(stage, "live", live_event(time.time() + 20.0))
    await until(lambda: level(stage, "live") == 10)
    silent.add("live")
    runtime._informers["liveevents live"].again()
    await until(lambda: runtime._informers["liveevents live"].age_seconds() > LIMIT)
    code, text = await stage.ask("/healthz")
    assert (code, "liveevents: no sign of life" in text, "stop: ok" in text) == (503, True, True)
    silent.clear()
    put(stage, "shop", live_event(time.time() + 20.0))
    await until(lambda: level(stage, "shop") == 10)
    assert (await stage.ask("/healthz"))[0] == 200
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
