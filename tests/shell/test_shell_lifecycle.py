"""A start waits for what is not there yet, and one that fails or is cut short leaves nothing behind."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import resource
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from builders_embedded import deployment

from tidegate.api.crd import all_crds
from tidegate.control import memory
from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running
from tidegate.planning import withheld
from tidegate.ports import Json, RefusedError, TidegateError, UnavailableError
from tidegate.shell import kinds, lifecycle
from tidegate.shell import runtime as runtimes
from tidegate.shell.lifecycle import Opened, persistently
from tidegate.shell.runtime import Runtime
from tidegate.shell.settings import Settings
from tidegate.targets.client import KubeClient

# ---- what was opened is closed


async def test_what_was_opened_last_is_closed_first_and_one_that_fails_or_hangs_stops_none() -> None:
    opened, closed = Opened(), []

    def part(name: str, *, fails: bool = False, hangs: bool = False) -> Callable[[], Any]:
        async def close() -> None:
            if hangs:
                await asyncio.Event().wait()
            closed.append(name)
            if fails:
                raise RuntimeError(name)

        return close

    opened.add("ports", part("ports"), patience=60.0)
    opened.add("clients", part("clients", hangs=True), patience=0.0)
    opened.add("tasks", part("tasks", fails=True), patience=60.0)
    opened.add("loop", part("loop"), patience=60.0)
    await opened.close()
    assert closed == ["loop", "tasks", "ports"]
    await opened.close()
    assert closed == ["loop", "tasks", "ports"]


async def test_a_cancellation_cuts_one_part_short_and_the_others_are_closed_all_the_same() -> None:
    opened, closed, begun = Opened(), [], asyncio.Event()

    async def ports() -> None:
        closed.append("ports")

    async def loop() -> None:
        begun.set()
        await asyncio.Event().wait()

    opened.add("ports", ports, patience=60.0)
    opened.add("loop", loop, patience=60.0)
    closing = asyncio.create_task(opened.close())
    await begun.wait()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert closed == ["ports"]


async def test_what_comes_from_outside_is_tried_again_and_a_bug_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "FIRST_PAUSE", 0.001)
    troubles: list[Exception] = [UnavailableError("503"), RefusedError("401"), OSError("refused"), TimeoutError()]
    told: list[str] = []

    async def attempt() -> str:
        if troubles:
            raise troubles.pop(0)
        return "there"

    assert await persistently(attempt, on_failure=told.append) == "there"
    assert told == ["503", "401", "refused", "TimeoutError"]
    troubles = [KeyError("a bug")]
    with pytest.raises(KeyError):
        await persistently(attempt, on_failure=told.append)


# ---- the process


@dataclass
class Stage:
    settings: Settings
    cluster: EmbeddedCluster
    port: int

    def holder(self) -> str | None:
        lease = self.cluster.get("coordination.k8s.io/v1", "Lease", "tidegate", "tidegate")
        return None if lease is None else str(lease["spec"]["holderIdentity"])

    async def ask(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}{path}") as answer:
            return answer.status, await answer.text()

    def port_is_free(self) -> bool:
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("0.0.0.0", self.port))
            except OSError:
                return False
        return True


@pytest.fixture
async def stage(unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(lifecycle, "FIRST_PAUSE", 0.01)
    cluster = EmbeddedCluster()
    for crd in all_crds():
        cluster.create(crd)
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tidegate"}})
    async with running(cluster) as url:
        port = unused_tcp_port
        settings = Settings(api_url=url, identity="me", listen_probes=port, listen_metrics=port, log_level="warning")
        before = asyncio.all_tasks(), threading.active_count()
        yield Stage(settings, cluster, port)
        left = [task for task in asyncio.all_tasks() - before[0] if "tidegate" in repr(task.get_coro())]
        assert left == []
        assert not any(thread.name == "lease" for thread in threading.enumerate())


def replicas(cluster: EmbeddedCluster) -> int:
    return int((cluster.get("apps/v1", "Deployment", "web") or {})["spec"]["replicas"])


def scaling_policy() -> Json:
    target = {
        "name": "web",
        "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "capacity": {"orders_per_second": 100},
        "max": 50,
        "headroomPercent": 0,
    }
    spec = {"mode": "Enforce", "targets": [target]}
    metadata = {"name": "core", "namespace": "default"}
    return {"apiVersion": "tidegate.dev/v1alpha1", "kind": "ScalingPolicy", "metadata": metadata, "spec": spec}


def live_event(start: float) -> Json:
    """It needs ten units."""
    at = datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    schedule = {"startTime": at, "timeZone": "Etc/UTC", "durationSeconds": 600}
    spec = {"schedule": schedule, "expected": {"orders_per_second": 1000}, "policyRef": {"name": "core"}}
    metadata = {"name": "show", "namespace": "default"}
    return {"apiVersion": "tidegate.dev/v1alpha1", "kind": "LiveEvent", "metadata": metadata, "spec": spec}


async def until(holds: Callable[[], object]) -> None:
    while not holds():  # noqa: ASYNC110  the test's own limit ends it
        await asyncio.sleep(0.005)


async def test_a_process_leads_beats_and_gives_all_up_when_it_stops(stage: Stage) -> None:
    runtime = Runtime(stage.settings)
    await runtime.start()
    await until(lambda: runtime.store.synced and (stage.holder() or "").startswith("me"))
    await until(lambda: runtime.showing._reporter.last is not None and runtime.store.unheard() is None)
    assert (await stage.ask("/healthz"))[0] == 200
    assert (await stage.ask("/readyz"))[0] == 200
    code, text = await stage.ask("/metrics")
    assert code == 200
    assert "tidegate_loop_stand_still_seconds" in text
    assert "tidegate_task_restarts_total{" not in text
    assert runtime.trouble() == {}
    await runtime.stop()
    assert stage.holder() == ""
    assert stage.port_is_free()


async def test_a_process_may_have_as_many_connections_open_as_its_node_lets_it(stage: Stage) -> None:
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before, most - 1), most))
    runtime = Runtime(stage.settings)
    try:
        await runtime.start()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
    finally:
        await runtime.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


def test_a_system_that_lets_nothing_be_changed_stops_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuses)
    lifecycle.allow_open_files()


async def test_after_a_watch_broke_nothing_is_written_before_what_on_call_said_is_listed_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell what the watches that are not ours missed; the probe says what is waited for."""
    refusing, real = False, KubeClient.pages

    async def pages(self: KubeClient, path: str, **how_many: Any) -> AsyncIterator[Json]:
        if refusing and path.endswith("overrides"):
            raise UnavailableError("503")
        async for page in real(self, path, **how_many):
            yield page

    monkeypatch.setattr(KubeClient, "pages", pages)
    for module in (runtimes, kinds):
        monkeypatch.setattr(module, "UNHEARD", 0.02)
    monkeypatch.setattr(kinds, "GRACE", 0.0)
    runtime = Runtime(stage.settings)
    await runtime.start()
    await until(
        lambda: runtime.store.synced and (stage.holder() or "").startswith("me") and runtime.store.unheard() is None
    )
    refusing = True
    runtime._informers["liveevents"].broke_at = time.monotonic()
    await until(lambda: runtime.store.unheard() is not None)
    await asyncio.sleep(0.1)
    code, text = await stage.ask("/readyz")
    unheard = runtime.store.unheard()
    assert unheard is not None
    assert (code, unheard.raises) == (503, False)
    assert re.fullmatch(r"overrides could not be listed since \d{4}-.*Z \(503\)", unheard.message), unheard.message
    assert "overrides were not listed for 0 s: nothing is written" in text
    refusing = False
    await until(lambda: runtime.store.unheard() is None)
    await runtime.stop()


async def test_an_event_whose_write_waits_for_what_on_call_says_tells_whoever_lists_events(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may not list overrides any more says so in the event's status, until it may again, and then writes."""
    answer, refusing, real = "GET overrides: the API server answered 403: no", False, KubeClient.pages

    async def pages(self: KubeClient, path: str, **how_many: Any) -> AsyncIterator[Json]:
        if refusing and path.endswith("overrides"):
            raise RefusedError(answer)
        async for page in real(self, path, **how_many):
            yield page

    def on_time() -> Json:
        status = (stage.cluster.get("tidegate.dev/v1alpha1", "LiveEvent", "show") or {}).get("status", {})
        return {one["type"]: one for one in status.get("conditions", ())}.get("OnTime", {})

    monkeypatch.setattr(KubeClient, "pages", pages)
    monkeypatch.setattr(withheld, "TOLD_AFTER", 0.2)
    monkeypatch.setattr(kinds, "GRACE", 0.0)
    for module in (runtimes, kinds):
        monkeypatch.setattr(module, "UNHEARD", 0.02)
    stage.cluster.create(deployment(replicas=2))
    stage.cluster.create(scaling_policy())
    runtime = Runtime(dataclasses.replace(stage.settings, beat_seconds=0.1))
    await runtime.start()
    await until(lambda: runtime.store.synced and (stage.holder() or "").startswith("me"))
    await until(lambda: runtime.store.unheard() is None)
    refusing = True
    runtime._informers["liveevents"].broke_at = time.monotonic()
    await until(lambda: runtime.store.unheard() is not None)
    stage.cluster.create(live_event(time.time() + 20.0))
    await until(lambda: on_time().get("reason") == "NotHeard")
    assert "nobody raises them: overrides could not be listed since " in on_time()["message"]
    assert answer in on_time()["message"]
    assert replicas(stage.cluster) == 2
    refusing = False
    await until(lambda: replicas(stage.cluster) == 10)
    await until(lambda: on_time().get("reason") != "NotHeard")
    await runtime.stop()


async def test_at_the_first_start_statuses_say_that_nothing_is_written_before_overrides_were_listed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it takes: nobody knows of a pause that stands. Then it is written."""
    answer, refusing, real = "GET overrides: the API server answered 403: no", True, KubeClient.pages

    async def pages(self: KubeClient, path: str, **how_many: Any) -> AsyncIterator[Json]:
        if refusing and path.endswith("overrides"):
            raise RefusedError(answer)
        async for page in real(self, path, **how_many):
            yield page

    def said(kind: str, name: str, condition: str) -> Json:
        status = (stage.cluster.get("tidegate.dev/v1alpha1", kind, name) or {}).get("status", {})
        return {one["type"]: one for one in status.get("conditions", ())}.get(condition, {})

    monkeypatch.setattr(KubeClient, "pages", pages)
    monkeypatch.setattr(withheld, "TOLD_AFTER", 0.2)
    monkeypatch.setattr(kinds, "HELD_FOR", 0.1)
    monkeypatch.setattr(memory, "PATIENCE", 0.2)
    for module in (runtimes, kinds):
        monkeypatch.setattr(module, "UNHEARD", 0.02)
    stage.cluster.create(deployment(replicas=2))
    stage.cluster.create(scaling_policy())
    stage.cluster.create(live_event(time.time() + 20.0))
    runtime = Runtime(dataclasses.replace(stage.settings, beat_seconds=0.1))
    await runtime.start()
    await until(lambda: said("ScalingPolicy", "core", "Ready").get("reason") == "NotHeard")
    await until(lambda: said("LiveEvent", "show", "OnTime").get("reason") == "NotHeard")
    assert answer in said("ScalingPolicy", "core", "Ready")["message"]
    assert said("ScalingPolicy", "core", "Ready")["message"].startswith("Nothing is written: overrides could not be")
    assert answer in said("LiveEvent", "show", "OnTime")["message"]
    await asyncio.sleep(0.5)
    code, text = await stage.ask("/readyz")
    assert (code, "overrides were not listed" in text, runtime.store.synced) == (503, True, False)
    assert replicas(stage.cluster) == 2
    refusing = False
    await until(lambda: replicas(stage.cluster) == 10)
    await until(lambda: said("ScalingPolicy", "core", "Ready").get("reason") == "Enforcing")
    await runtime.stop()


@pytest.mark.parametrize("answer", [UnavailableError("503"), RefusedError("403"), UnavailableError("no connection")])
async def test_a_server_that_refuses_is_waited_for_and_meanwhile_the_process_is_alive_and_not_ready(
    answer: TidegateError, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing, asked, real = True, 0, KubeClient.pages

    async def pages(self: KubeClient, path: str, **how_many: Any) -> AsyncIterator[Json]:
        nonlocal asked
        asked += 1
        if refusing:
            raise answer
        async for page in real(self, path, **how_many):
            yield page

    monkeypatch.setattr(KubeClient, "pages", pages)
    runtime = Runtime(stage.settings)
    starting = asyncio.create_task(runtime.start())
    await until(lambda: asked > 9)
    assert (await stage.ask("/healthz"))[0] == 200
    code, text = await stage.ask("/readyz")
    assert (code, str(answer) in text) == (503, True)
    assert stage.holder() is None
    refusing = False
    await starting
    await until(lambda: runtime.store.synced)
    assert (await stage.ask("/readyz"))[0] == 200
    await runtime.stop()
    assert stage.port_is_free()


@pytest.mark.parametrize("how", ["stopped by a signal", "ended by a bug"])
async def test_a_start_that_does_not_come_to_its_end_leaves_nothing_behind(
    how: str, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Today's second try must not find the port of the first one taken."""
    asked = 0

    async def pages(self: KubeClient, path: str, **how_many: Any) -> AsyncIterator[Json]:
        nonlocal asked
        asked += 1
        if how == "ended by a bug":
            raise KeyError("a bug")
        for page in list[Json]():
            yield page
        raise UnavailableError("503")

    monkeypatch.setattr(KubeClient, "pages", pages)
    for _ in range(2):
        starting = asyncio.create_task(Runtime(stage.settings).start())
        if how == "stopped by a signal":
            await until(lambda: asked > 3)  # noqa: B023
            starting.cancel()
        with pytest.raises((KeyError, asyncio.CancelledError)):
            await starting
        assert stage.port_is_free()
        asked = 0


async def test_a_port_that_is_taken_is_waited_for(stage: Stage) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("0.0.0.0", stage.port))
        other.listen()
        runtime = Runtime(stage.settings)
        starting = asyncio.create_task(runtime.start())
        await until(lambda: "address already in use" in runtime._waits_for)
    await starting
    assert (await stage.ask("/healthz"))[0] == 200
    await runtime.stop()


async def test_a_loop_that_does_not_end_keeps_the_lease_for_its_duration(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write of ours may still arrive: nobody else may write before that is over."""
    monkeypatch.setattr("tidegate.shell.runtime.LOOP_ENDS", 1.0)
    runtime = Runtime(stage.settings)
    await runtime.start()
    await until(lambda: (stage.holder() or "").startswith("me"))
    assert runtime._works is not None

    begun = asyncio.Event()

    async def hangs(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("tidegate.shell.driver.Driver._decide", hangs)
    runtime._works.wake()
    await begun.wait()
    await runtime.stop()
    assert (stage.holder() or "").startswith("me")


async def test_whatever_task_ends_once_is_started_anew_and_the_stop_is_clean(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.shell.tasks.FIRST_PAUSE", 0.01)
    runtime = Runtime(stage.settings)
    await runtime.start()
    await until(lambda: runtime.store.synced)
    names = [name for name in runtime.group._kept if name != "loop"]
    assert len(names) > 8
    for name in names:
        first = runtime.group._kept[name].task
        assert first is not None
        first.cancel()
        await until(lambda: runtime.group._kept[name].task not in (None, first))  # noqa: B023
    assert runtime.trouble().keys() == set(names)
    await until(lambda: (stage.holder() or "").startswith("me"))
    assert (await stage.ask("/healthz"))[0] == 200
    assert 'tidegate_task_restarts_total{task="status"} 1.0' in (await stage.ask("/metrics"))[1]
    await runtime.stop()
    assert stage.holder() == ""
