"""What lies between an operator and the API server: here requests are lost, held up, answered wrongly, or too late.

``Wire.request`` stands in for the HTTP client below ``KubeClient``: what it raises is what aiohttp raises. A server
serves each request in a task of its own: whoever sent it may die meanwhile.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote
from zlib import crc32

import aiohttp
import orjson
from aiohttp.client_reqrep import ConnectionKey
from api_in_memory import Answer, Api, Stream, frames
from virtual_time import outside

Json = dict[str, Any]

_PATH = re.compile(
    r"/apis?(?:/[^/]+)?/v[^/]+/(?:namespaces/(?P<ns>[^/]+)/)?(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?$"
)
_ABOUT_NAMESPACE = re.compile(r"/api/v1/namespaces(?:/[^/]+)?$")


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, as far as faults and the judge look at it."""

    slot: str
    """Which replica of the operator sent it."""
    identity: str
    """Which life of it."""
    deed: str
    """What it does, in a word: ``get``, ``list``, ``watch``, ``discover``, ``loan-create``, ``level``, …"""
    plural: str
    namespace: str
    name: str
    method: str
    path: str
    body: Any = None

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    def __str__(self) -> str:
        where = "/".join(part for part in (self.plural, self.namespace, self.name) if part)
        return f"{self.identity} {self.deed} {where}"


@dataclass(frozen=True, slots=True)
class Treatment:
    """What becomes of a request."""

    how: str
    """``lost``, ``refused``, ``answer-lost``, ``delay``, ``late``, ``hang``, ``kill-before``, ``kill-after``, or a
    status code."""
    seconds: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A request that something happened to: from when it was sent until its sender knew of it."""

    ask: Ask
    how: str
    start: float
    end: float


class Faults(Protocol):
    """What the wire asks of the faults of a run."""

    def on(self, ask: Ask, now: float) -> Treatment | None:
        """What becomes of this request."""

    def holds_back(self, ask: Ask, now: float) -> bool:
        """Whether a watch that is open lets nothing through."""


class Sender(Protocol):
    """Who sends requests: a life of an operator."""

    slot: str
    identity: str
    dead: bool

    def kill(self) -> None: ...


@dataclass
class Wire:
    """All connections of a run."""

    api: Api
    faults: Faults
    seed: int
    on_sent: Callable[[Ask], None] = lambda ask: None
    """Told of each request when it is sent."""
    on_served: Callable[[Ask, int], None] = lambda ask, status: None
    """Told of each request when the server has answered it, whoever hears that."""
    hits: list[Hit] = field(default_factory=list)
    serving: Ask | None = None
    """Whose request the server is carrying out at this moment."""
    serving_how: str = ""
    """What a fault has done to it."""
    _counts: dict[str, int] = field(default_factory=dict)
    _watches: dict[Stream, Ask] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    # ---- for KubeClient

    async def request(
        self, sender: Sender, method: str, url: str, headers: Json, body: Any, limits: aiohttp.ClientTimeout
    ) -> Answer:
        """One request, or one watch that is open."""
        path, _, query = url.removeprefix("http://cluster").partition("?")
        watching = "watch=True" in query or "watch=true" in query
        sent = body if isinstance(body, bytes) else (orjson.dumps(body) if body is not None else b"")
        ask = _ask(sender, method, unquote(path), body, watching=watching)
        self.on_sent(ask)
        if sender.dead:
            await _never()
        now = _now()
        treatment = self.faults.on(ask, now)
        if treatment is not None and treatment.how == "kill-before":
            sender.kill()
            await _never()
        whole = limits.sock_read if watching else limits.total
        try:
            async with asyncio.timeout(whole):
                if watching:
                    return await self._open(ask, path + "?" + query, headers, limits.sock_read, treatment)
                return await self._exchange(
                    sender, ask, method, path + ("?" + query if query else ""), headers, sent, treatment
                )
        finally:
            if treatment is not None and not (treatment.how == "delay" and treatment.seconds < 1.0):
                self.hits.append(Hit(ask, treatment.how, now, _now()))

    async def _exchange(
        self, sender: Sender, ask: Ask, method: str, url: str, headers: Json, body: bytes, treatment: Treatment | None
    ) -> Answer:
        there, back = self._latency(ask)
        how = treatment.how if treatment is not None else ""
        seconds = treatment.seconds if treatment is not None else 0.0
        await asyncio.sleep(0)
        if how == "refused":
            raise _refused()
        if how == "lost":
            await asyncio.sleep(there)
            raise aiohttp.ClientOSError(104, "Connection reset by peer")
        if how == "hang":
            await _never()
        if how == "delay":
            there += seconds
        if how.isdigit():
            await asyncio.sleep(there + back)
            return _status(int(how), seconds)
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        wait = seconds if how == "late" else there
        task = asyncio.get_running_loop().create_task(
            self._serve(ask, how, method, url, dict(headers), body, wait, answered), context=outside()
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if how == "late":
            await _never()
        answer = await asyncio.shield(answered)
        if how == "kill-after":
            sender.kill()
            await _never()
        await asyncio.sleep(back)
        if how == "answer-lost":
            raise aiohttp.ServerDisconnectedError
        if how == "504-done":
            return _status(504, 0.0)
        return answer

    async def _serve(
        self,
        ask: Ask,
        how: str,
        method: str,
        url: str,
        headers: Json,
        body: bytes,
        wait: float,
        answered: asyncio.Future[Answer],
    ) -> None:
        await asyncio.sleep(wait)
        self.serving, self.serving_how = ask, how
        try:
            answer = await self.api.answer(method, url, headers, body)
        except Exception as error:  # noqa: BLE001 - a door that breaks is a 500, as on any server
            answer = _status(500, 0.0, repr(error))
        finally:
            self.serving, self.serving_how = None, ""
        self.on_served(ask, answer.status)
        if not answered.done():
            answered.set_result(answer)

    # ---- watches

    async def _open(
        self, ask: Ask, url: str, headers: Json, silence: float | None, treatment: Treatment | None
    ) -> Answer:
        there, back = self._latency(ask)
        how = treatment.how if treatment is not None else ""
        await asyncio.sleep(there + back + (treatment.seconds if treatment is not None and how == "delay" else 0.0))
        if how == "refused":
            raise _refused()
        if how in ("lost", "answer-lost"):
            raise aiohttp.ClientOSError(104, "Connection reset by peer")
        if how in ("hang", "late"):
            await _never()
        if how.isdigit():
            return _status(int(how), treatment.seconds if treatment is not None else 0.0)
        stream = Stream()
        feeding = asyncio.get_running_loop().create_task(self.api.watch(url, dict(headers), stream), context=outside())
        self._watches[stream] = ask
        content = _Content(stream, silence, lambda: self.faults.holds_back(ask, _now()))
        answer = Answer(200, {}, content=content)

        def closed() -> None:
            feeding.cancel()
            self._watches.pop(stream, None)

        answer.on_close = closed
        return answer

    def expire(self, plural: str) -> int:
        """Tell every open watch of a kind that its version is too old; how many there were."""
        status = orjson.dumps(
            {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
        )
        return self._end(plural, b'{"type":"ERROR","object":' + status + b"}\n")

    def cut(self, plural: str) -> int:
        """End every open watch of a kind without a word."""
        return self._end(plural, b"")

    def stir(self) -> None:
        """Let watches on which something waits look whether they are held back no longer."""
        for stream in self._watches:
            if stream.frames:
                stream.fresh.set()

    def _end(self, plural: str, last: bytes) -> int:
        streams = [stream for stream, ask in self._watches.items() if ask.plural == plural]
        for stream in streams:
            if last:
                stream.frames.append(last)
            stream.ended = True
            stream.fresh.set()
        return len(streams)

    # ---- beneath

    def _latency(self, ask: Ask) -> tuple[float, float]:
        """Seconds there and back; of the n-th request of a kind the same in each course of a run."""
        text = f"{self.seed} {ask.slot} {ask.method} {ask.path}"
        count = self._counts[text] = self._counts.get(text, 0) + 1
        drawn = crc32(f"{text} {count}".encode())
        return 0.001 + (drawn % 1000) / 1000 * 0.02, 0.001 + (drawn // 1000 % 1000) / 1000 * 0.02


class _Content:
    def __init__(self, stream: Stream, silence: float | None, held_back: Callable[[], bool]) -> None:
        self._all = (stream, silence, held_back)

    def iter_any(self) -> Any:
        return frames(*self._all)


def _ask(sender: Sender, method: str, path: str, body: Any, *, watching: bool) -> Ask:
    found = _PATH.fullmatch(path)
    if found is None or (found["plural"] == "namespaces" and not _ABOUT_NAMESPACE.fullmatch(path)):
        return Ask(sender.slot, sender.identity, "discover", "", "", "", method, path)
    plural, namespace, name, sub = found["plural"], found["ns"] or "", found["name"] or "", found["sub"] or ""
    deed = _deed(method, plural, name, sub, body, watching=watching)
    return Ask(sender.slot, sender.identity, deed, plural, namespace, name, method, path, body)


def _deed(method: str, plural: str, name: str, sub: str, body: Any, *, watching: bool) -> str:
    if method == "GET":
        return "watch" if watching else "get" if name else "list"
    verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[method]
    if plural in ("loans", "leases", "events", "configmaps"):
        return f"{plural.removesuffix('s')}-{verb}"
    if sub == "status":
        return "status"
    if isinstance(body, list) and any(one.get("path") == "/metadata/managedFields" for one in body):
        return "hand-back"
    return "level"


def _status(code: int, after: float, message: str = "made up by a fault") -> Answer:
    reasons = {409: "Conflict", 422: "Invalid", 429: "TooManyRequests", 403: "Forbidden"}
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reasons.get(code, ""), "message": message}
    if code == 422:
        body["details"] = {"causes": [{"reason": "FieldValueInvalid", "field": "spec", "message": message}]}
    headers = {"Retry-After": f"{after:.0f}"} if code == 429 and after else {}
    return Answer(code, headers, orjson.dumps(body))


def _refused() -> aiohttp.ClientConnectorError:
    key = ConnectionKey("cluster", 80, False, True, None, None, None)
    return aiohttp.ClientConnectorError(key, OSError(111, "Connection refused"))


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _never() -> None:
    await asyncio.get_running_loop().create_future()
