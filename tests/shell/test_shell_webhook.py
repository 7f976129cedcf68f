"""kopf's webhook server does no harm: whatever becomes of its certificate, and however often it is asked."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from certificate import make_certificate
from kopf._core.reactor.inventory import ResourceMemories

from tidegate.shell import webhook
from tidegate.shell.webhook import WebhookServer, without_uids

REVIEW: dict[str, Any] = {
    "request": {
        "object": {"kind": "LiveEvent", "metadata": {"name": "show", "uid": "1"}},
        "oldObject": {"kind": "LiveEvent", "metadata": {"name": "show", "uid": "1"}},
    }
}


@asynccontextmanager
async def moved(path: Path) -> AsyncIterator[None]:
    """Something is not where it should be, for a while."""
    away = path.with_name("away")
    path.rename(away)  # noqa: ASYNC240  an instant
    yield
    away.rename(path)


@asynccontextmanager
async def another_key(folder: Path) -> AsyncIterator[None]:
    """The key of another certificate lies there, for a while."""
    make_certificate(folder / "other")
    async with moved(folder / "tls.key"):
        (folder / "other" / "tls.key").rename(folder / "tls.key")
        yield
        (folder / "tls.key").unlink()


@asynccontextmanager
async def taken(port: int) -> AsyncIterator[None]:
    """Somebody else listens on the port, for a while."""
    async with await asyncio.start_server(lambda _reader, _writer: None, port=port):
        yield


@pytest.mark.parametrize("trouble", ["no certificate", "another key", "no key", "a port that is taken"])
async def test_whatever_keeps_it_from_listening_is_waited_for(
    trouble: str,
    tmp_path: Path,
    unused_tcp_port: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(webhook, "RETRY", 0.0)
    folder = tmp_path / "mounted"
    trusted = make_certificate(folder)
    troubles = {
        "no certificate": lambda: moved(folder),
        "another key": lambda: another_key(folder),
        "no key": lambda: moved(folder / "tls.key"),
        "a port that is taken": lambda: taken(unused_tcp_port),
    }
    reached = asyncio.Event()

    async def fn(request: Any, **_: Any) -> Any:
        return request

    async def serve() -> None:
        async for _ in WebhookServer(folder, unused_tcp_port)(fn):
            reached.set()

    async with troubles[trouble]():
        serving = asyncio.create_task(serve())
        while "admission: not listening" not in caplog.text:  # noqa: ASYNC110  the test's own limit ends it
            await asyncio.sleep(0.0)
        for _ in range(100):
            await asyncio.sleep(0.0)
        assert (reached.is_set(), serving.done()) == (False, False)
        assert caplog.text.count("admission: not listening") == 1, "said once, not at each try"
    await reached.wait()
    url = f"https://127.0.0.1:{unused_tcp_port}/liveevents"
    async with aiohttp.ClientSession() as session, session.post(url, json=REVIEW, ssl=trusted) as answer:
        assert answer.status == 200
    serving.cancel()
    await asyncio.wait([serving])


async def test_kopf_remembers_nothing_of_what_it_is_asked_about() -> None:
    memories = ResourceMemories()
    for number in range(100):
        review = copy.deepcopy(REVIEW)
        for part in ("object", "oldObject"):
            review["request"][part]["metadata"]["uid"] = str(number)
        asked = without_uids(review)["request"]
        assert asked["object"]["metadata"] == {"name": "show"}
        for part in ("object", "oldObject"):
            await memories.recall_memo(asked[part])
    assert len(list(memories.iter_all_memories())) == 1


@pytest.mark.parametrize(
    "review", [{}, {"request": None}, {"request": {"object": None}}, {"request": {"object": {"metadata": 1}}}]
)
def test_what_is_no_review_is_left_to_kopf(review: Any) -> None:
    assert without_uids(copy.deepcopy(review)) == review
