"""Events are few, find their object, and never get in the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running
from tidegate.planning.model import Ref
from tidegate.ports import UnavailableError
from tidegate.shell import events as sink
from tidegate.shell.events import KubeEventSink
from tidegate.targets.client import KubeClient, Limits
from tidegate.targets.discovery import Discovery

SUBJECT = Ref("v1", "ConfigMap", "default", "show")


@dataclass
class Desk:
    cluster: EmbeddedCluster
    events: KubeEventSink
    clock: float = 1_700_000_000.0

    def posted(self) -> list[dict[str, Any]]:
        return [dict(event) for event in self.cluster.list("v1", "Event")]


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(sink, "PAUSE", 0.001)
    cluster = EmbeddedCluster()
    cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "show"}})
    async with running(cluster) as url:
        client = await KubeClient.connect(url=url)
        made = Desk(cluster, None)  # type: ignore[arg-type]
        made.events = KubeEventSink(client, Discovery(client), instance="me", now=lambda: made.clock)
        worker = asyncio.create_task(made.events.run())
        yield made
        worker.cancel()
        await asyncio.wait({worker})
        await client.close()


async def test_what_is_said_again_soon_is_counted_and_later_is_news(desk: Desk) -> None:
    desk.events.emit(SUBJECT, reason="Late", message="one", warning=True)
    await desk.events.flushed()
    for minute in (1, 2):
        desk.clock += 60
        desk.events.emit(SUBJECT, reason="Late", message=f"again {minute}", warning=True)
    await desk.events.flushed()
    (event,) = desk.posted()
    assert (event["count"], event["message"], event["type"]) == (3, "again 2", "Warning")
    assert event["involvedObject"]["uid"] == desk.cluster.get("v1", "ConfigMap", "show")["metadata"]["uid"]  # type: ignore[index]
    assert event["firstTimestamp"] < event["lastTimestamp"]
    desk.events.emit(SUBJECT, reason="Ready", message="other reason")
    desk.clock += sink.TOGETHER
    desk.events.emit(SUBJECT, reason="Late", message="much later")
    await desk.events.flushed()
    assert len(desk.posted()) == 3


async def test_sixteen_targets_that_were_raised_are_sixteen_events(desk: Desk) -> None:
    """Not the last one sixteen times."""
    for number in range(16):
        desk.events.emit(SUBJECT, reason="FloorRaised", message=f"w{number}: 2 to 9", about=f"w{number}")
    desk.events.emit(SUBJECT, reason="FloorRaised", message="w3: 9 to 12", about="w3")
    await desk.events.flushed()
    posted = {event["message"]: event["count"] for event in desk.posted()}
    assert len(posted) == 16
    assert posted["w3: 9 to 12"] == 2


async def test_an_event_that_expired_on_the_server_is_said_anew(desk: Desk) -> None:
    desk.events.emit(SUBJECT, reason="Late", message="one")
    await desk.events.flushed()
    desk.cluster.delete("v1", "Event", desk.posted()[0]["metadata"]["name"])
    desk.events.emit(SUBJECT, reason="Late", message="two")
    await desk.events.flushed()
    assert [event["count"] for event in desk.posted()] == [2]


async def test_an_event_about_something_unknown_is_posted_without_uid(desk: Desk) -> None:
    desk.events.emit(Ref("nobody.example/v1", "Thing", "default", "x"), reason="Odd", message="m")
    await desk.events.flushed()
    (event,) = desk.posted()
    assert "uid" not in event["involvedObject"]


async def test_events_of_a_namespace_that_gives_no_answer_wait_and_those_of_others_do_not(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each that is tried there costs everybody seconds."""
    monkeypatch.setattr(sink, "FIRST_PAUSE", 0.4)
    silent, tried, real = {"shop"}, list[str](), KubeClient._open

    async def opened(self: KubeClient, method: str, path: str, *arguments: Any, **more: Any) -> Any:
        if any(f"/namespaces/{name}/" in path for name in silent):
            tried.append(f"{method} {path}")
            raise UnavailableError(f"{method} {path}: no answer")
        return await real(self, method, path, *arguments, **more)

    monkeypatch.setattr(KubeClient, "_open", opened)
    desk.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    events = KubeEventSink(desk.events._client, desk.events._discovery, instance="me", now=lambda: desk.clock)
    worker = asyncio.create_task(events.run())
    for number in range(9):
        events.emit(Ref("v1", "ConfigMap", "shop", f"c{number}"), reason="Late", message=f"{number}")
    events.emit(SUBJECT, reason="Late", message="ours")
    while not desk.posted():  # noqa: ASYNC110  what is waited for is no event of ours
        await asyncio.sleep(0.005)
    assert len([one for one in tried if one.startswith("POST")]) == 1
    silent.clear()
    await events.flushed()
    assert [event["message"] for event in desk.posted()] == ["ours", *"12345678"]
    worker.cancel()
    await asyncio.wait({worker})


async def test_a_server_that_is_gone_and_a_full_queue_cost_events_and_nothing_else() -> None:
    client = await KubeClient.connect(url="http://127.0.0.1:9", limits=Limits(attempts=1))
    events = KubeEventSink(client, Discovery(client), instance="me", now=lambda: 0.0)
    for number in range(sink.QUEUE + 5):
        events.emit(Ref("v1", "ConfigMap", "default", f"c{number}"), reason="Many", message="m")
    assert events.dropped == 5
    worker = asyncio.create_task(events.run())
    await events.flush(patience=0.3)
    worker.cancel()
    await asyncio.wait({worker})
    assert events.dropped > 5
    await client.close()
