"""Wishes for statuses: the last one wins, whatever happens while a request is under way, and nobody is held up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tidegate.pauses import Pauses
from tidegate.planning.model import Key
from tidegate.ports import NotFoundError, StatusPatch, UnavailableError
from tidegate.shell.kinds import EVENTS
from tidegate.shell.publisher import AT_ONCE, StatusPublisher
from tidegate.shell.status_queue import FIRST_PAUSE, LONGEST_PAUSE, Name, StatusQueue

SURE = Pauses(first=FIRST_PAUSE, longest=LONGEST_PAUSE)
"""Nothing random."""

Json = dict[str, Any]


def show(namespace: str, name: str = "one") -> Name:
    return ("LiveEvent", Key(namespace, name))


# ---- the queue

names = st.builds(show, st.sampled_from("abc"), st.sampled_from(["one", "two"]))


class AnyOrder(RuleBasedStateMachine):
    """Wishes, deletions and answers in any order, against what must be true of them."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = StatusQueue(SURE)
        self.now = 0.0
        self.wished: dict[Name, Json] = {}
        self.under_way: dict[Name, Json] = {}

    @rule(name=names, value=st.integers(0, 3), urgent=st.booleans())
    def wish(self, name: Name, value: int, urgent: bool) -> None:
        self.wished[name] = {"floor": value}
        self.queue.put(name, self.wished[name], urgent=urgent)

    @rule(name=names)
    def goes(self, name: Name) -> None:
        self.wished.pop(name, None)
        self.queue.drop(name)

    @rule()
    def begin(self) -> None:
        taken = self.queue.take(self.now, slots=4)
        if taken is not None:
            name, status = taken
            assert name not in self.under_way
            assert self.wished[name] is status
            self.under_way[name] = status

    @rule(data=st.data(), answered=st.booleans())
    def end(self, data: st.DataObject, answered: bool) -> None:
        if not self.under_way:
            return
        name = data.draw(st.sampled_from(sorted(self.under_way)))
        status = self.under_way.pop(name)
        if not answered:
            self.queue.failed(name, self.now)
            return
        self.queue.done(name)
        if self.wished.get(name) is status:
            del self.wished[name]

    @rule(seconds=st.floats(0, 2 * LONGEST_PAUSE))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def as_many_wait_as_are_wished(self) -> None:
        assert len(self.queue) == len(self.wished)

    def teardown(self) -> None:
        """Whatever happened, with answers every wish is fulfilled in the end."""
        for name in list(self.under_way):
            self.queue.failed(name, self.now)
        for _ in range(100):
            self.now = max(self.now, self.queue.next_at() or 0.0)
            while (taken := self.queue.take(self.now, slots=4)) is not None:
                assert self.wished.pop(taken[0]) is taken[1]
                self.queue.done(taken[0])
        assert (self.wished, len(self.queue)) == ({}, 0)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def queue_of(*wished: Name) -> StatusQueue:
    queue = StatusQueue(SURE)
    for name in wished:
        queue.put(name, {})
    return queue


def taken(queue: StatusQueue, count: int) -> list[Name]:
    found = [queue.take(0.0, slots=1000) for _ in range(count)]
    return [one[0] for one in found if one is not None]


def test_what_matters_now_goes_before_thousands_that_can_wait_and_these_wait_not_for_ever() -> None:
    queue = StatusQueue(SURE)
    for number in range(100):
        queue.put(show("calm", f"far-{number}"), {})
    for number in range(10):
        queue.put(show("calm", f"near-{number}"), {}, urgent=True)
    first = [name[1].name.partition("-")[0] for name in taken(queue, 12)]
    assert first == ["near", "near", "near", "far"] * 3
    assert [name[1].name for name in taken(queue, 4)][:1] == ["near-9"]
    assert len(taken(queue, 1000)) == 110 - 16, "each once"


def test_a_wish_that_becomes_urgent_while_it_waits_goes_first_and_once() -> None:
    queue = StatusQueue(SURE)
    for number in range(5):
        queue.put(show("calm", f"{number}"), {})
    queue.put(show("calm", "4"), {"blocked": True}, urgent=True)
    assert [name[1].name for name in taken(queue, 9)] == ["4", "0", "1", "2", "3"]


def test_what_rests_is_taken_by_no_other_line_before_its_time() -> None:
    queue = StatusQueue(SURE)
    one = show("calm")
    queue.put(one, {})
    queue.put(one, {}, urgent=True)
    assert taken(queue, 1) == [one]
    queue.failed(one, 0.0)
    assert queue.take(0.5, slots=4) is None
    assert queue.take(LONGEST_PAUSE, slots=4) is not None


def test_namespaces_take_turns_however_much_one_of_them_wants() -> None:
    queue = queue_of(*(show("busy", f"n{at}") for at in range(1000)), show("quiet"))
    taken = [queue.take(0.0, slots=4) for _ in range(2)]
    assert {one[0][1].namespace for one in taken if one} == {"busy", "quiet"}


def test_a_namespace_without_an_answer_tries_one_object_at_a_time_and_leaves_half_to_the_others() -> None:
    ill, well = [show(f"ill{at}", f"n{n}") for at in range(4) for n in range(3)], [show(f"well{at}") for at in range(9)]
    queue = queue_of(*ill)
    for name in [one[0] for _ in range(4) if (one := queue.take(0.0, slots=4))]:
        queue.failed(name, 0.0)
    for name in well:
        queue.put(name, {})
    taken = [one[0] for _ in range(4) if (one := queue.take(LONGEST_PAUSE, slots=4))]
    assert sum(name in ill for name in taken) == 2
    assert sum(name in well for name in taken) == 2


def test_the_pause_of_an_object_grows_and_an_answer_ends_it() -> None:
    queue, now, pauses = queue_of(show("a")), 0.0, []
    for _ in range(7):
        assert queue.take(now, slots=4) is not None
        queue.failed(show("a"), now)
        assert queue.take(now, slots=4) is None
        at = queue.next_at()
        assert at is not None
        pauses.append(at - now)
        now = at
    assert pauses == [1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE]
    assert queue.take(now, slots=4) is not None
    queue.done(show("a"))
    queue.put(show("a"), {"floor": 1})
    assert queue.take(now, slots=4) is not None


# ---- the worker


def _answered(name: str, status: Json) -> Json:
    return {"metadata": {"name": name, "uid": f"uid of {name}"}, "status": dict(status)}


@dataclass
class Server:
    """Answers when it is let; objects in ``hanging`` never, and of those in ``lost`` the next answer is lost."""

    shown: dict[str, Json] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)

    async def find(self, path: str, name: str) -> Json:
        assert path.endswith(f"/{name}")
        self.asked.append(name)
        if name in self.hanging:
            await asyncio.Event().wait()
        await self.gate.wait()
        if name in self.lost:
            self.lost.discard(name)
            raise UnavailableError("no answer: Server disconnected")
        if name.startswith("gone"):
            raise NotFoundError(path)
        return _answered(name, self.shown.get(name, {}))

    async def patch(self, path: str, body: Json, form: object) -> Json:
        name = path.split("/")[-2]
        self.shown.setdefault(name, {}).update(body["status"])
        return _answered(name, self.shown[name])


@dataclass
class Stage:
    server: Server
    publisher: StatusPublisher
    worker: asyncio.Task[None]
    leads: bool = True

    def wish(self, name: str, floor: int = 1, namespace: str = "shop") -> None:
        self.publisher.publish([StatusPatch("LiveEvent", Key(namespace, name), {"floor": floor})])

    def lose(self, name: str, namespace: str = "shop") -> None:
        self.publisher.forget("LiveEvent", Key(namespace, name))

    async def until(self, holds: object) -> None:
        while not holds():  # type: ignore[operator]
            assert not self.worker.done(), f"the worker has died: {self.worker.exception()!r}"
            await asyncio.sleep(0.001)


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr("tidegate.shell.status_queue.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("tidegate.shell.publisher.STANDBY_NAP", 0.001)
    made = Stage(Server(), None, None)  # type: ignore[arg-type]
    made.publisher = StatusPublisher(
        made.server,  # type: ignore[arg-type]
        {"LiveEvent": EVENTS},
        now=lambda: 0.0,
        may_write=lambda: made.leads,
        per_second=1000.0,
    )
    made.worker = asyncio.create_task(made.publisher.run())
    yield made
    assert not made.worker.done()
    made.worker.cancel()
    await asyncio.wait({made.worker})


@pytest.mark.parametrize("answer", ["lost", "good"])
@pytest.mark.parametrize("how", ["deleted", "shown already", "wished anew"])
async def test_the_worker_outlives_whatever_becomes_of_an_object_while_its_request_is_under_way(
    how: str, answer: str, stage: Stage
) -> None:
    stage.server.lost = {"show-1"} if answer == "lost" else set()
    stage.wish("show-1")
    await stage.until(lambda: stage.server.asked == ["show-1"])
    if how == "deleted":
        stage.lose("show-1")
    elif how == "shown already":
        stage.publisher.seen("LiveEvent", Key("shop", "show-1"), {"floor": 1})
        stage.wish("show-1")
    else:
        stage.wish("show-1", 2)
    stage.server.gate.set()
    stage.wish("show-2")
    await stage.publisher.flushed()
    await stage.until(lambda: stage.server.shown["show-2"] == {"floor": 1})
    if how != "deleted":
        assert stage.server.shown["show-1"] == {"floor": 2 if how == "wished anew" else 1}


async def test_the_worker_outlives_an_event_that_goes_while_the_lease_is_lost(stage: Stage) -> None:
    stage.leads = False
    stage.server.gate.set()
    stage.wish("show-1")
    await asyncio.sleep(0.01)
    stage.lose("show-1")
    stage.leads = True
    stage.wish("show-2")
    await stage.publisher.flushed()
    assert stage.server.asked == ["show-2"]


async def test_objects_that_hang_hold_nobody_up(stage: Stage) -> None:
    stage.server.gate.set()
    stage.server.hanging = {f"ill{at}" for at in range(AT_ONCE - 1)}
    for name in sorted(stage.server.hanging):
        stage.wish(name)
    for at in range(20):
        stage.wish(f"well{at}")
    await stage.until(lambda: sum(name.startswith("well") for name in stage.server.shown) == 20)


async def test_one_object_is_written_by_one_at_a_time(stage: Stage) -> None:
    for floor in range(5):
        stage.wish("show-1", floor)
        await asyncio.sleep(0.001)
    assert stage.server.asked == ["show-1"]
    stage.server.gate.set()
    await stage.publisher.flushed()
    assert (stage.server.asked, stage.server.shown["show-1"]) == (["show-1", "show-1"], {"floor": 4})


async def test_a_status_that_was_on_show_is_brought_back_also_over_a_write_that_is_under_way(stage: Stage) -> None:
    stage.publisher.seen("LiveEvent", Key("shop", "show-1"), {"floor": 1})
    stage.wish("show-1", 2)
    await stage.until(lambda: stage.server.asked == ["show-1"])
    stage.wish("show-1", 1)
    stage.server.gate.set()
    await stage.publisher.flushed()
    assert stage.server.shown["show-1"] == {"floor": 1}


async def test_a_status_that_cannot_be_compared_counts_as_not_seen(stage: Stage) -> None:
    stage.publisher.seen("LiveEvent", Key("shop", "show-1"), {"floor": 10**30})
    stage.server.gate.set()
    stage.wish("show-1")
    await stage.publisher.flushed()
    assert stage.server.shown["show-1"] == {"floor": 1}


async def test_a_flush_ends_with_its_patience(stage: Stage) -> None:
    stage.wish("show-1")
    assert not await stage.publisher.flush(patience=0.0)
    stage.server.gate.set()
    assert await stage.publisher.flush(patience=60.0)
