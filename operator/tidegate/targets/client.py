"""The one module that talks to the API server: raw JSON in and out, by path.

Beneath it is ``kubernetes.aio`` (configuration, credentials, TLS, connections); its typed models are never used, since
building them costs more than everything else together and what we read is a handful of fields. Here stand, once for
all adapters: the field manager's name, the timeouts, the retries and the translation of errors. A caller sees dicts
and the errors of ``ports``.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson
import tenacity
from kubernetes.aio import config as kube_config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from tidegate.pauses import Pauses
from tidegate.planning.model import MANAGER
from tidegate.ports import Json, RefusedError
from tidegate.targets.errors import LaterError, TooLargeError, WatchFailedError, from_answer, from_event
from tidegate.targets.nesting import loaded
from tidegate.targets.read import child, mapping, text

Params = Mapping[str, str | int | bool]

PAGE = 500
"""Objects of one page of a list: what client-go asks for too."""

CUT_AT_ONCE = 256 << 10
"""Bytes of a page in which something is nested too deep: of a larger one smaller pages are asked for."""

SERVICE_HOST = "KUBERNETES_SERVICE_HOST"


class Form(Enum):
    """How a patch is written down."""

    JSON = "application/json-patch+json"
    """RFC 6902: a list of operations; its tests make a compare-and-swap."""
    MERGE = "application/merge-patch+json"
    """RFC 7386: idempotent."""
    APPLY = "application/apply-patch+yaml"
    """Server-side apply."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long we wait, and how often we ask again."""

    connect: float = 5.0
    """Seconds until a connection stands."""
    total: float = 15.0
    """Seconds for one request with its answer; one beat, so that a hanging server costs no more than that."""
    attempts: int = 4
    """Of one request, the first included."""
    budget: float = 20.0
    """Seconds that all attempts together may have begun within; a pause that would end later is not begun."""
    first_pause: float = 0.2
    """Seconds, upper end of the first random pause; it doubles each time."""
    longest_pause: float = 5.0
    """Seconds, the end of that doubling. A server's own Retry-After is never cut short."""
    parallel: int = 16
    """Requests under way at a time, watches apart: five hundred looks at once must not starve anybody else."""
    write: float = 4.0
    """Seconds for one write, all attempts, pauses and the wait for a turn included. The Lease may be taken 5 s after
    its holder may no longer write: a write that was begun as its holder has ended by then."""
    accepted: float = 15.0
    """Seconds until a watch is accepted: a request that hangs on its way looks like a watch where nothing happens."""
    answer: int = 8 << 20
    """Bytes of one answer. A page of ordinary pods has 5 MB, and takes 40 MB as values; the objects of one page may
    have 1.5 MB each, which is more than the process may take."""


LOOKS = Limits(total=5.0, attempts=2)
"""For a client that only looks: what hangs is looked at again at a later round, and must not hold the others up."""


class KubeClient:
    """A thin asynchronous client of one API server; it belongs to the event loop it is first used in."""

    def __init__(self, configuration: Any, *, limits: Limits = Limits(), refresher: Any = None) -> None:
        """``configuration`` is a ``kubernetes.aio`` Configuration. Use ``connect`` unless you have one."""
        configuration.retries = None  # retries stand in one place, and that is here
        configuration.client_go_retries = False
        # No limit: each watch keeps a connection for minutes. Of all other requests the turns bound how many there are.
        configuration.connection_pool_maxsize = 0
        # The environment is read once: aiohttp would look for a proxy and a .netrc at each request.
        configuration.proxy = configuration.proxy or _proxy_to(configuration.host)
        configuration.client_session_kwargs = {"trust_env": False}
        self._api = ApiClient(configuration)
        self._api.user_agent = MANAGER
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.parallel)
        self._skews: deque[float] = deque(maxlen=9)
        self._refresh = asyncio.create_task(refresher) if refresher is not None else None

    @classmethod
    async def connect(
        cls, *, url: str | None = None, kubeconfig: str | None = None, limits: Limits = Limits()
    ) -> KubeClient:
        """Find the cluster: a plain URL, else a kubeconfig (given, or by ``KUBECONFIG``), else the pod's own
        account, else ``~/.kube/config``. Raises RefusedError with what was looked for; sends nothing.
        """
        configuration = Configuration()
        path = kubeconfig or os.environ.get("KUBECONFIG")
        if url:
            configuration.host = url.rstrip("/")
            return cls(configuration, limits=limits)
        try:
            if not path and os.environ.get(SERVICE_HOST):
                kube_config.load_incluster_config(client_configuration=configuration)
                return cls(configuration, limits=limits)
            path = _existing(path)
            loader = await kube_config.load_kube_config(config_file=path, client_configuration=configuration)
        except RefusedError:
            raise
        except Exception as error:  # the loader raises whatever a broken file makes it stumble over
            raise RefusedError(f"no usable cluster configuration in {path or 'the pod'}: {error}") from error
        refresher = kube_config.refresh_token(loader, configuration) if getattr(loader, "_user", None) else None
        return cls(configuration, limits=limits, refresher=refresher)

    async def close(self) -> None:
        """Drop the connections."""
        if self._refresh is not None:
            self._refresh.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._refresh
        await self._api.close()

    @property
    def clock_skew_seconds(self) -> float | None:
        """The server's clock minus ours by the ``Date`` of its last answers, to half a second; None before any."""
        return statistics.median(self._skews) if self._skews else None

    # ---- requests

    async def get(self, path: str, params: Params | None = None) -> Json:
        """One document by its path, whatever it is."""
        return await self._send("GET", path, params=params)

    async def find(self, path: str, name: str) -> Json:
        """The object of that name, or a view of it. UnavailableError for a document that is none of it, as a proxy or a
        login page may answer with 200: nothing is gone, and no field is left out, because of it.
        """
        return the_object(await self.get(path), f"GET {path}", name)

    async def pages(self, path: str, *, size: int = PAGE, params: Params | None = None) -> AsyncGenerator[Json, None]:
        """A list, page by page, each as the server's List document; of large objects in smaller pages. ExpiredError
        when it took so long that the token ran out: begin again. TooLargeError for an object that alone is too large.
        UnavailableError for a document that is no list: nothing is absent because of it.
        """
        token, before, most = "", "", size
        while True:
            try:
                page = await self.get(path, {**(params or {}), "limit": size, **({"continue": token} if token else {})})
            except TooLargeError:
                if size <= 1:
                    raise
                size = max(1, size // 4)
                continue
            before, token = token, _rest_of(page, path)
            if token and token == before:
                raise LaterError(f"GET {path}: the list does not end: a page leads to itself")
            yield page
            size = min(most, 2 * size)
            if not token:
                return

    async def items(self, path: str, params: Params | None = None) -> list[Json]:
        """Every item of a list, whole. For objects that nobody but us writes; others are read by ``pages``: whoever may
        annotate an object makes it 256 KiB large.
        """
        found: list[Json] = []
        async for page in self.pages(path, params=params):
            found.extend(page.get("items") or [])
        return found

    async def create(self, path: str, body: Json) -> Json:
        """POST to a collection. ExistsError when the name is taken. Not sent twice unless the first never arrived."""
        return await self._send("POST", path, params={"fieldManager": MANAGER}, body=body, idempotent=False)

    async def replace(self, path: str, body: Json) -> Json:
        """PUT; ConflictError when ``body`` bears an old resourceVersion."""
        return await self._send("PUT", path, params={"fieldManager": MANAGER}, body=body)

    async def patch(
        self, path: str, body: Json | list[Json], form: Form, *, manager: str = MANAGER, force: bool = False
    ) -> Json:
        """PATCH in one of the forms. A JSON patch is not sent again once it may have arrived: its own tests would
        fail on its own work.
        """
        params: dict[str, str | int | bool] = {"fieldManager": manager}
        if form is Form.APPLY:
            params["force"] = force
        idempotent = form is not Form.JSON
        return await self._send("PATCH", path, params=params, body=body, form=form.value, idempotent=idempotent)

    async def delete(self, path: str, *, uid: str | None = None, version: str | None = None) -> None:
        """DELETE; with ``uid`` only that very object, with ``version`` only that resourceVersion of it (ConflictError
        else). NotFoundError when it is gone.
        """
        given = {"uid": uid, "resourceVersion": version}
        conditions = {name: value for name, value in given.items() if value}
        await self._send("DELETE", path, body={"preconditions": conditions} if conditions else None)

    @asynccontextmanager
    async def one_write(self, what: str) -> AsyncGenerator[None, None]:
        """Bound everything inside, reads and writes, by the time of one write. LaterError when it is over: the
        request's connection is closed by then, and the server may have done it all the same.
        """
        try:
            async with asyncio.timeout(self._limits.write):
                yield
        except TimeoutError as error:
            words = f"{what}: no answer within {self._limits.write:g} s; it may have been done all the same"
            raise LaterError(words) from error

    async def watch(
        self, path: str, *, resource_version: str, lasting: float, silence: float, params: Params | None = None
    ) -> AsyncGenerator[tuple[str, Json], None]:
        """One watch request from ``resource_version``: (type, object), bookmarks included, until the server ends it.

        The first pair is ``("OPEN", {})``: the server has accepted. The server ends it after about ``lasting`` seconds.
        ExpiredError when the version is too old; UnavailableError when nothing at all came for ``silence`` seconds or
        the connection broke. Never sent again here: that is the informer's part.
        """
        query: dict[str, str | int | bool] = {**(params or {}), "watch": True, "allowWatchBookmarks": True}
        query |= {"resourceVersion": resource_version, "timeoutSeconds": max(1, int(lasting))}
        limits = aiohttp.ClientTimeout(total=None, sock_connect=self._limits.connect, sock_read=silence)
        request = f"WATCH {path}"
        try:
            async with asyncio.timeout(self._limits.accepted):  # silence counts from when it is accepted
                response = await self._open("GET", path, query, limits=limits)
        except TimeoutError as error:
            raise LaterError(f"{request}: not accepted within {self._limits.accepted:g} s") from error
        try:
            yield "OPEN", {}
            async for line in _lines(response, request):
                event = loaded(line)
                if event["type"] == "ERROR":
                    raise from_event(path, mapping(event["object"]))
                yield event["type"], event["object"]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LaterError(f"{request}: broken off: {_words(error)}") from error
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise WatchFailedError(f"{request}: not a watch event") from error
        finally:
            response.close()

    # ---- beneath

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Json | list[Json] | None = None,
        form: str = "application/json",
        idempotent: bool = True,
    ) -> Json:
        limits = self._limits
        reads = method == "GET"
        budget = limits.budget if reads else min(limits.budget, limits.write)
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(lambda error: _worth_another(error, idempotent=idempotent)),
            stop=tenacity.stop_after_attempt(limits.attempts) | tenacity.stop_before_delay(budget),
            wait=self._pause,
            reraise=True,
        )
        async with nullcontext() if reads else self.one_write(f"{method} {path}"):
            answer: Any = await attempts(self._once, method, path, params, body, form)
        return cast("Json", answer)

    def _pause(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        limits = self._limits
        jitter = Pauses(first=limits.first_pause, longest=limits.longest_pause, least=0.0)(state)
        asked = error.after if isinstance(error, LaterError) and error.after is not None else None
        return jitter if asked is None else asked + jitter

    async def _once(
        self, method: str, path: str, params: Params | None, body: Json | list[Json] | None, form: str
    ) -> Json:
        limits = aiohttp.ClientTimeout(total=self._limits.total, sock_connect=self._limits.connect)
        async with self._turns:
            sent = time.time()
            response = await self._open(method, path, params, body=body, form=form, limits=limits)
            try:
                data = await _body(response, self._limits.answer, f"{method} {path}")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise LaterError(f"{method} {path}: the answer broke off: {_words(error)}") from error
        self._note_date(response.headers.get("Date"), sent, time.time())
        try:
            value = _parsed(data, most=CUT_AT_ONCE if params and "limit" in params else None) if data else {}
        except orjson.JSONDecodeError as error:
            raise LaterError(f"{method} {path}: the answer is not JSON: {data[:80]!r}") from error
        if method != "DELETE" and not (data and isinstance(value, dict)):
            raise LaterError(f"{method} {path}: the answer is no object: {data[:80]!r}")
        if method in ("POST", "PUT", "PATCH") and value.get("kind") == "Status":
            raise LaterError(f"{method} {path}: the answer is not the object: {data[:80]!r}")
        return value if isinstance(value, dict) else {"value": value}

    async def _open(
        self,
        method: str,
        path: str,
        params: Params | None,
        *,
        limits: aiohttp.ClientTimeout,
        body: Json | list[Json] | None = None,
        form: str = "application/json",
    ) -> aiohttp.ClientResponse:
        """Send one request; return the response with its body unread, or raise our error for its status."""
        request = f"{method} {path}"
        serialized = await self._api.param_serialize(
            method,
            path,
            query_params=list((params or {}).items()),
            header_params={"Accept": "application/json", "Content-Type": form},
            body=body,
            auth_settings=["BearerToken"],
        )
        method, url, headers, body, _post = serialized
        try:
            wrapped = await self._api.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=limits
            )
            response = cast("aiohttp.ClientResponse", wrapped.response)
            if response.status < 400:
                return response
            data = await response.read()
        except aiohttp.ClientConnectorError as error:
            raise LaterError(f"{request}: no connection: {_words(error)}", untouched=True) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LaterError(f"{request}: no answer: {_words(error)}") from error
        raise from_answer(request, response.status, data, retry_after=response.headers.get("Retry-After"))

    def _note_date(self, date: str | None, sent: float, received: float) -> None:
        """``Date`` is cut to whole seconds, so half a second is added; slow answers say too little to be kept."""
        if date is None or received - sent > 1.0:
            return
        with suppress(ValueError):
            theirs = parsedate_to_datetime(date).timestamp() + 0.5
            self._skews.append(theirs - (sent + received) / 2)


def the_object(document: Json, request: str, name: str) -> Json:
    """The document that answered a request, if it is the object of that name as a server has it. Else UnavailableError:
    whoever answered has not read the object, and may not have written it.
    """
    metadata = child(document, "metadata")
    if metadata.get("name") == name and text(metadata.get("uid")):
        return document
    raise LaterError(f"{request}: the answer is not the object: {str(document)[:80]}")


def _rest_of(page: Json, path: str) -> str:
    """The token for what follows a page of a list; empty after the last one. LaterError for what is no such page, as a
    proxy or a login page may answer: read as an empty list it would mean that everything was deleted.
    """
    items, metadata = page.get("items", ...), page.get("metadata")
    whole = isinstance(metadata, dict) and (
        items is None or (isinstance(items, list) and all(isinstance(item, dict) for item in items))
    )
    if not whole:
        raise LaterError(f"GET {path}: the answer is no list of objects")
    return str(metadata.get("continue") or "") if isinstance(metadata, dict) else ""


async def _body(response: aiohttp.ClientResponse, most: int, request: str) -> bytes:
    """The whole body; TooLargeError, with the connection closed, for more than ``most`` bytes, unpacked."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > most:
            response.close()
            raise TooLargeError(f"{request}: the answer is larger than {most >> 20} MiB")
    return bytes(body)


def _parsed(data: bytes, *, most: int | None) -> Any:
    """JSON as values. The collector rests meanwhile: it would walk the answer over and over while it grows (of a page
    of pods that is two thirds of the time), and nothing in it can be a cycle.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return loaded(data, most=most)
    finally:
        if collects:
            gc.enable()


def _proxy_to(url: str) -> str | None:
    """The proxy to an address by the environment (``HTTPS_PROXY``, ``NO_PROXY``); None: it is reached directly."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


def _existing(named: str | None) -> str:
    """The kubeconfig to read (of a list of files, any that is there will do); RefusedError where there is none."""
    path = named or str(Path.home() / ".kube" / "config")
    if any(Path(one).expanduser().exists() for one in path.split(os.pathsep) if one):
        return path
    if named:
        raise RefusedError(f"no cluster: KUBECONFIG names {named}, which does not exist")
    raise RefusedError(f"no cluster: KUBECONFIG is not set, this is no pod, and {path} does not exist")


def _worth_another(error: BaseException, *, idempotent: bool) -> bool:
    """Whether the same request may be sent again: only when it was not refused, and cannot have been done already."""
    return isinstance(error, LaterError) and (idempotent or error.untouched)


async def _lines(response: aiohttp.ClientResponse, request: str) -> AsyncIterator[bytes]:
    """Whole lines, however long: aiohttp's own line reader gives up on an object larger than its buffer."""
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
    if rest.strip():
        raise WatchFailedError(f"{request}: the stream ended inside an event")


def _words(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip()[:200]
