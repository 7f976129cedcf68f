"""A notice is told before the work is stopped, whatever the server answers at first and whatever else is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tidegate.control.telling import tell
from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running
from tidegate.planning.model import Ref
from tidegate.planning.shift.model import Notice
from tidegate.ports import HandOverNote, Json, RefusedError, UnavailableError
from tidegate.shell import events as sink
from tidegate.shell import notices
from tidegate.shell.events import KubeEventSink
from tidegate.targets.client import KubeClient
from tidegate.targets.discovery import Discovery

BEGIN = 1_700_000_000.0
STOP, BACK = BEGIN + 120.0, BEGIN + 3600.0


class Server(KubeClient):
    """An API server that answers the first Events of a namespace as it is told, by namespace."""

    troubles: dict[str, list[Exception]]
    asked: Counter[str]
    under_way: int

    async def create(self, collection: str, document: Json) -> Json:
        namespace = document["metadata"]["namespace"]
        self.asked[namespace] += 1
        if self.troubles.get(namespace):
            raise self.troubles[namespace].pop(0)
        return await self._counted(super().create(collection, document))

    async def find(self, path: str, name: str) -> Json:
        return await self._counted(super().find(path, name))

    async def _counted(self, request: Awaitable[Json]) -> Json:
        self.under_way += 1
        try:
            return await request
        finally:
            self.under_way -= 1


@dataclass
class Desk:
    cluster: EmbeddedCluster
    server: Server
    clock: float = BEGIN
    passed: float = 0.0
    events: KubeEventSink = field(init=False)

    def lend(self, name: str, *, level: int = 0, namespace: str = "default", until: float = BACK) -> None:
        ref = Ref("batch/v1", "Job", namespace, name)
        tell(self.events, ref, HandOverNote("p", "data", until=until), Notice(level, BEGIN), f"will go to {level}")

    def told(self, reason: str = "NoticeGiven") -> list[tuple[str, str]]:
        found: list[dict[str, Any]] = [dict(event) for event in self.cluster.list("v1", "Event")]
        return [(one["involvedObject"]["name"], one["message"]) for one in found if one["reason"] == reason]

    async def settle(self, *, until: float = STOP) -> None:
        """Let the clock run to an instant, a second at a time, and only while the server owes no answer."""
        while self.clock < until and self.events.notices.waiting:
            for _ in range(20):
                await asyncio.sleep(0.0005)
                if self.server.under_way:
                    break
            else:
                self.clock += 1.0
                self.passed += 1.0


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(sink, "PAUSE", 0.001)
    monkeypatch.setattr(notices, "PAUSE", 0.001)
    cluster = EmbeddedCluster(namespaces=("default", "bad", "good"))
    async with running(cluster) as url:
        server = await Server.connect(url=url)
        assert isinstance(server, Server)
        server.troubles, server.asked, server.under_way = {}, Counter(), 0
        made = Desk(cluster, server)
        made.events = KubeEventSink(
            server, Discovery(server), instance="me", now=lambda: made.clock, passed=lambda: made.passed
        )
        worker = asyncio.create_task(made.events.run())
        yield made
        worker.cancel()
        await asyncio.wait({worker})
        await server.close()


@pytest.mark.parametrize("trouble", [UnavailableError("503"), UnavailableError("timeout"), RefusedError("429")])
async def test_a_notice_that_was_not_taken_at_first_is_on_record_before_the_stop(
    desk: Desk, trouble: Exception
) -> None:
    desk.server.troubles["default"] = [trouble] * 3
    desk.lend("train")
    await desk.settle()
    assert desk.told() == [("train", "will go to 0")]
    assert desk.clock < STOP


async def test_a_thousand_events_of_others_keep_no_notice_waiting(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "PAUSE", 3600.0)
    for number in range(sink.QUEUE + 5):
        desk.events.emit(Ref("v1", "ConfigMap", "bad", f"c{number}"), reason="Many", message="m")
    desk.server.troubles["default"] = [UnavailableError("503")]
    desk.lend("train")
    await desk.settle()
    assert desk.told() == [("train", "will go to 0")]
    assert len(desk.told("Many")) <= 1, "they wait on"


async def test_each_level_that_work_is_told_of_is_an_event_of_its_own(desk: Desk) -> None:
    for level in (2, 0):
        desk.lend("train", level=level)
    await desk.settle()
    assert sorted(desk.told()) == [("train", "will go to 0"), ("train", "will go to 2")]


async def test_a_notice_that_is_told_again_because_it_could_not_be_recorded_is_one_event(desk: Desk) -> None:
    for _ in range(3):
        desk.lend("train")
        desk.lend("train")
        await desk.settle()
    (event,) = desk.cluster.list("v1", "Event")
    assert event["count"] == 6


async def test_a_namespace_that_takes_no_events_keeps_nobody_elses_notice_waiting(desk: Desk) -> None:
    desk.server.troubles["bad"] = [UnavailableError("its webhook hangs")] * 10_000
    for number in range(notices.MOST + 5):
        desk.lend(f"bad{number}", namespace="bad")
    desk.lend("train", namespace="good")
    await desk.settle(until=BEGIN + 20.0)
    assert desk.told() == [("train", "will go to 0")]
    assert desk.events.notices.waiting == notices.MOST, "and it holds no more than its share of memory"
    assert desk.server.asked["bad"] <= 5 + 10, "nor of requests: those beyond its share are news like all others"


async def test_what_nobody_needs_any_more_is_tried_once_and_let_go(desk: Desk) -> None:
    desk.server.troubles["default"] = [UnavailableError("503")] * 10_000
    desk.lend("late", until=BEGIN - 1.0)
    desk.lend("soon", until=BEGIN + 40.0)
    await desk.settle(until=BEGIN + 200.0)
    assert (desk.events.notices.waiting, desk.events.notices.lost, desk.told()) == (0, 2, [])


async def test_a_namespace_that_is_being_deleted_gets_no_second_try(desk: Desk) -> None:
    ending = RefusedError("it is being terminated")
    ending.ending = True
    desk.server.troubles["default"] = [ending] * 10
    desk.lend("train")
    await desk.settle()
    assert (desk.server.asked["default"], desk.events.notices.lost) == (1, 1)
