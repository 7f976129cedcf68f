"""The informer against a server that forgets, repeats itself and falls silent."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from test_targets_client import QUICK, serving

from tidegate.ports import RefusedError, UnavailableError
from tidegate.shell import informer as module
from tidegate.shell import watches
from tidegate.shell.informer import Informer
from tidegate.shell.store import WatchedStore
from tidegate.targets.errors import ExpiredError, WatchFailedError

Json = dict[str, Any]


def item(name: str, version: int, uid: str | None = None) -> Json:
    return {"metadata": {"namespace": "shop", "name": name, "uid": uid or f"u-{name}", "resourceVersion": str(version)}}


class FakeServer:
    """A collection with a history, as an API server keeps it; forgets on demand. Behaves as ``KubeClient`` does."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.history: list[tuple[int, str, Json]] = []
        self.version = 1
        self.oldest = 0
        self.lists = 0
        self.fail_lists: list[Exception] = []
        self.silent = False
        self.connections = 0
        self.died = 0
        """Connections, the first ones, on which nothing comes any more."""
        self.stuck: set[int] = set()
        """Versions that a watch cannot tell: it ends with an ERROR event there, each time."""
        self._changed = asyncio.Event()

    def put(self, name: str, uid: str | None = None) -> None:
        self.version += 1
        kind = "MODIFIED" if name in self.objects else "ADDED"
        self.objects[name] = item(name, self.version, uid)
        self._tell(kind, self.objects[name])

    def drop(self, name: str) -> None:
        self.version += 1
        del self.objects[name]
        self._tell("DELETED", item(name, self.version))

    def bookmark(self) -> None:
        self._tell("BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}})

    def forget(self) -> None:
        """Compact: every running watch and every old version ends with 410."""
        self.oldest = self.version + 1
        self._changed.set()

    def _tell(self, kind: str, document: Json) -> None:
        self.history.append((self.version, kind, document))
        self._changed.set()

    async def pages(self, path: str, *, size: int, params: Mapping[str, str]) -> AsyncGenerator[Json, None]:
        self.lists += 1
        if self.fail_lists:
            raise self.fail_lists.pop(0)
        self.oldest = min(self.oldest, self.version)
        everything, version = list(self.objects.values()), self.version
        for start in range(0, max(1, len(everything)), size):
            yield {
                "apiVersion": "v1",
                "kind": "ShowList",
                "metadata": {"resourceVersion": str(version)},
                "items": [dict(one) for one in everything[start : start + size]],
            }
            await asyncio.sleep(0)

    async def watch(
        self, path: str, *, resource_version: str, lasting: float, silence: float, params: Mapping[str, str]
    ) -> AsyncGenerator[tuple[str, Json], None]:
        at = int(resource_version)
        told = next((i for i, (version, _, _) in enumerate(self.history) if version > at), len(self.history))
        self.connections += 1
        connection = self.connections
        yield "OPEN", {}
        while True:
            if at < self.oldest:
                raise ExpiredError("too old")
            if told < len(self.history) and not self.silent and connection > self.died:
                if self.history[told][0] in self.stuck:
                    raise WatchFailedError("etcd event received with PrevKv=nil")
                at, kind, document = self.history[told]
                told += 1
                yield kind, document
                continue
            self._changed.clear()
            try:
                async with asyncio.timeout(silence):
                    await self._changed.wait()
            except TimeoutError:
                raise UnavailableError("silence") from None


class Ear:
    def __init__(self, server: FakeServer, *, silence: float = 30.0, proof: float | None = None) -> None:
        self.told: list[tuple[str, str]] = []
        self.broken: set[str] = set()
        self.syncs = 0
        self.informer = Informer(
            server,  # type: ignore[arg-type]
            "/shows",
            on_object=self._hear,
            on_sync=self._synced,
            page=2,
            silence=silence,
            proof=proof,
        )

    def _hear(self, kind: str, document: Json) -> None:
        name = document["metadata"]["name"]
        if name in self.broken:
            raise ValueError(name)
        self.told.append((kind, name))

    def _synced(self) -> None:
        self.syncs += 1

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not done():  # noqa: ASYNC110  what is waited for is no event of ours
                await asyncio.sleep(0.001)


@pytest.fixture
async def ear(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[FakeServer, Ear]]:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.002)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.01)
    server = FakeServer()
    for name in ("a", "b", "c"):
        server.put(name)
    made = Ear(server)
    yield server, made
    await made.informer.stop()


Pair = tuple[FakeServer, Ear]


async def test_the_first_list_comes_in_pages_and_then_every_change_once(ear: Pair) -> None:
    server, heard = ear
    heard.informer.start()
    await heard.until(lambda: heard.informer.synced)
    assert heard.told == [("ADDED", name) for name in "abc"]
    server.put("d")
    server.put("a")
    server.drop("b")
    await heard.until(lambda: len(heard.told) == 6)
    assert heard.told[3:] == [("ADDED", "d"), ("MODIFIED", "a"), ("DELETED", "b")]
    assert (len(heard.informer), heard.syncs, server.lists) == (3, 1, 1)


async def test_a_version_too_old_means_a_new_list_that_tells_only_what_changed(ear: Pair) -> None:
    server, heard = ear
    heard.informer.start()
    await heard.until(lambda: heard.informer.synced)
    heard.told.clear()
    server.forget()
    server.history.clear()
    server.version += 1
    server.objects["a"] = item("a", server.version)
    del server.objects["b"]
    server.objects["c"] = item("c", server.version, uid="another")
    server.objects["d"] = item("d", server.version)
    await heard.until(lambda: heard.syncs == 2)
    assert sorted(heard.told) == sorted(
        [("MODIFIED", "a"), ("DELETED", "b"), ("DELETED", "c"), ("ADDED", "c"), ("ADDED", "d")]
    )
    assert heard.told.index(("DELETED", "c")) < heard.told.index(("ADDED", "c"))


async def test_a_watch_that_falls_silent_is_resumed_without_a_list(ear: Pair) -> None:
    server, _ = ear
    heard = Ear(server, silence=0.02)
    heard.informer.start()
    await heard.until(lambda: heard.informer.synced)
    server.silent = True
    server.put("late")
    await asyncio.sleep(0.05)
    assert ("ADDED", "late") not in heard.told
    server.silent = False
    await heard.until(lambda: ("ADDED", "late") in heard.told)
    assert server.lists == 1
    await heard.informer.stop()


async def test_a_change_that_the_server_cannot_tell_hides_no_later_one(ear: Pair) -> None:
    """A watch that fails twice at the same version never goes on from there; once may be a hiccup."""
    server, heard = ear
    heard.informer.start()
    await heard.until(lambda: heard.informer.synced)
    server.stuck.add(server.version + 1)
    server.drop("b")
    server.put("d")
    await heard.until(lambda: len(heard.told) == 5)
    assert set(heard.told[3:]) == {("DELETED", "b"), ("ADDED", "d")}
    server.put("e")
    await heard.until(lambda: len(heard.told) == 6)
    assert (server.lists, server.connections, heard.informer.trouble) == (2, 3, "")


async def test_a_connection_that_died_is_noticed_within_the_proof_and_nothing_is_missed(ear: Pair) -> None:
    server, _ = ear
    heard = Ear(server, proof=0.02)
    heard.informer.start()
    await heard.until(lambda: server.connections == 1)
    server.died = 1
    server.put("late")
    await heard.until(lambda: ("ADDED", "late") in heard.told)
    assert (server.lists, heard.informer.trouble) == (1, "")
    await heard.informer.stop()


async def test_a_version_that_was_forgotten_between_two_watches_of_ours_is_no_break(ear: Pair) -> None:
    """Others of the kind change all the time, and ours never: a list says what there is, and nobody is alarmed."""
    server, _ = ear
    heard = Ear(server, proof=0.02)
    heard.informer.start()
    await heard.until(lambda: server.connections == 1)
    server.objects.pop("a")
    server.version += 1
    server.oldest = server.version
    await heard.until(lambda: ("DELETED", "a") in heard.told)
    assert heard.informer.broke_at == -math.inf
    await heard.until(lambda: server.connections > 2)
    assert (heard.informer.trouble, server.lists) == ("", 2)
    await heard.informer.stop()


class Quiet:
    """Who is told of events, and tells nobody."""

    def seen(self, *_: object) -> None: ...

    def arrived(self, *_: object) -> None: ...


@pytest.mark.parametrize("what", ["the stop", "announcements"])
async def test_a_stop_is_heard_of_though_the_connection_of_its_watch_has_died(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "OBEYED_WITHIN", 0.02)
    monkeypatch.setattr(watches, "ANNOUNCED_WITHIN", 0.02)
    server, store = FakeServer(), WatchedStore(lambda: 0.0)
    there: Any = server
    if what == "the stop":
        informer = watches.stop_watch(there, "tidegate", store, on_sync=lambda: None)
    else:
        quiet: Any = Quiet()
        made = watches.event_watches(there, ("shop",), store, quiet, quiet, on_sync=lambda: None)
        (informer,) = made.values()
    informer.start()
    async with asyncio.timeout(5):
        while not server.connections:  # noqa: ASYNC110  what is waited for is no event of ours
            await asyncio.sleep(0.001)
        server.died = 1
        server.put("tidegate-stop")
        while not (store.stopped() or store.known("LiveEvent") or store.invalid):  # noqa: ASYNC110  as above
            await asyncio.sleep(0.001)
    await informer.stop()


async def test_a_bookmark_is_a_sign_of_life_and_moves_the_version(ear: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    server, heard = ear
    heard.informer.start()
    await heard.until(lambda: heard.informer.synced)
    await asyncio.sleep(0.03)
    before = heard.informer.age_seconds()
    server.version += 50
    server.bookmark()
    await heard.until(lambda: heard.informer.age_seconds() < before)
    await heard.informer.stop()
    heard.told.clear()
    server.oldest = server.version  # everything before the bookmark is forgotten
    heard.informer.start()
    server.put("new")
    await heard.until(lambda: heard.told == [("ADDED", "new")])
    assert server.lists == 1


async def test_one_object_that_its_handler_cannot_digest_leaves_the_others(ear: Pair) -> None:
    server, heard = ear
    heard.broken = {"b"}
    heard.informer.start()
    await heard.until(lambda: heard.informer.synced)
    server.put("d")
    await heard.until(lambda: ("ADDED", "d") in heard.told)
    assert heard.informer.handler_errors == 1
    assert [name for _, name in heard.told] == ["a", "c", "d"]


@pytest.mark.parametrize(
    "error", [UnavailableError("down"), RefusedError("forbidden"), ExpiredError("slow"), KeyError("x")]
)
async def test_a_list_that_fails_is_tried_again_and_its_trouble_is_told(ear: Pair, error: Exception) -> None:
    server, heard = ear
    server.fail_lists = [error] * 3
    seen: list[str] = []
    heard.informer.start()

    def done() -> bool:
        seen.append(heard.informer.trouble)
        return heard.informer.synced

    await heard.until(done)
    assert any(str(error) in trouble for trouble in seen if trouble)
    await heard.until(lambda: heard.informer.trouble == "")
    assert server.lists == 4


async def test_after_stop_nothing_is_told(ear: Pair) -> None:
    server, heard = ear
    heard.informer.start()
    await heard.until(lambda: heard.informer.synced)
    await heard.informer.stop()
    server.put("z")
    await asyncio.sleep(0.01)
    assert ("ADDED", "z") not in heard.told


async def test_a_long_list_gives_the_loop_back_while_it_is_handled(ear: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE", 0.0)
    server, _ = ear
    for number in range(200):
        server.put(f"n{number}")
    heard = Ear(server)
    heard.informer._page = 1000
    rounds = 0
    heard.informer.start()
    while not heard.informer.synced:
        rounds += 1
        await asyncio.sleep(0)
    assert rounds > 100, "one turn for others between two objects"
    await heard.informer.stop()


async def test_what_a_handler_did_not_take_is_told_again_by_the_next_list(ear: Pair) -> None:
    """A change must not be lost because whoever heard of it failed once."""
    server, heard = ear
    heard.informer.start()
    await heard.until(lambda: heard.informer.synced)
    heard.broken = {"a", "b"}
    server.put("a")
    server.drop("b")
    await heard.until(lambda: heard.informer.handler_errors == 2)
    heard.broken, heard.told = set(), []
    server.forget()
    await heard.until(lambda: len(heard.told) == 2)
    assert sorted(heard.told) == [("DELETED", "b"), ("MODIFIED", "a")]


async def test_a_list_that_fails_is_owed_on(ear: Pair) -> None:
    """Whoever was not told, or has asked, would wait for the next list otherwise: hours, where nothing breaks."""
    server, heard = ear
    heard.informer.start()
    await heard.until(lambda: heard.informer.synced)
    heard.broken = {"a"}
    server.put("a")
    await heard.until(lambda: heard.informer.handler_errors == 1)
    heard.broken, heard.told, server.fail_lists = set(), [], [UnavailableError("503")]
    heard.informer.again()
    await heard.until(lambda: heard.told == [("MODIFIED", "a")])
    assert server.lists == 3
    asked, server.fail_lists = time.monotonic(), [UnavailableError("503")]
    heard.informer.again(list_all=True)
    await heard.until(lambda: heard.informer.listed_at >= asked)
    assert server.lists == 5


async def test_who_asks_gets_a_list_that_is_no_older_and_what_a_dead_connection_kept_from_us(ear: Pair) -> None:
    server, heard = ear
    heard.informer.start()
    await heard.until(lambda: heard.informer.synced)
    server.silent = True
    server.put("late")
    server.silent = False  # the watch that is open now was never told
    asked = time.monotonic()
    heard.informer.again(list_all=True)
    heard.informer.again(list_all=True)
    await heard.until(lambda: heard.informer.listed_at >= asked)
    assert heard.told[-1] == ("ADDED", "late")
    server.put("later")
    await heard.until(lambda: heard.told[-1] == ("ADDED", "later"))
    assert server.lists == 2


async def test_a_watch_that_is_begun_anew_goes_on_where_it_left_off(ear: Pair) -> None:
    server, heard = ear
    heard.informer.start()
    await heard.until(lambda: heard.informer.synced and heard.informer._watching is not None)
    await asyncio.sleep(0.01)
    server.history.append((server.version + 1, "ADDED", item("late", server.version + 1)))  # and nobody is woken
    await asyncio.sleep(0.02)
    assert ("ADDED", "late") not in heard.told
    heard.informer.again()
    await heard.until(lambda: ("ADDED", "late") in heard.told)
    assert server.lists == 1


async def test_who_asks_need_not_wait_until_a_pause_after_failures_is_over(
    ear: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 600.0)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 600.0)
    server, heard = ear
    server.fail_lists = [UnavailableError("503")]
    heard.informer.start()
    await heard.until(lambda: heard.informer.trouble != "")
    heard.informer.again(list_all=True)
    await heard.until(lambda: heard.informer.synced)


async def test_a_watch_that_is_never_accepted_takes_no_longer_than_any_request() -> None:
    """It is silence that may last: a request that hangs on its way is no watch yet."""
    async with serving(lambda _: web.Response(), replace(QUICK, accepted=0.3)) as (server, client):
        server.hang = 5.0
        begun = time.monotonic()
        with pytest.raises(UnavailableError, match="not accepted within"):
            async for _ in client.watch("/shows", resource_version="1", lasting=290, silence=5.0):
                pass
    assert time.monotonic() - begun < 4.0
