"""A server that answers range queries as no Prometheus should, page by page."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Samples = list[tuple[float, Any]]


@dataclass(frozen=True)
class Asked:
    """One request."""

    start: float
    end: float
    step: float
    headers: dict[str, str]
    params: dict[str, str]

    def samples(self, value: Any = "5", *, later: float = 0.0) -> Samples:
        """One sample a step, ``later`` than it was asked for."""
        steps = round((self.end - self.start) / self.step)
        return [(self.start + place * self.step + later, value) for place in range(steps + 1)]


@dataclass(frozen=True)
class Told:
    """One answer, and what happens to it on its way."""

    body: Any
    status: int = 200
    encoding: str = "identity"
    how: str = "whole"
    """``whole``; ``hang``: nothing comes; ``drip``: a byte a second; ``cut``: half of it, and the connection ends."""


def matrix(*series: Any, kind: str = "matrix", **more: Any) -> Told:
    """A range of samples."""
    return Told({"status": "success", "data": {"resultType": kind, "result": list(series)}, **more})


def one(samples: Samples, **labels: str) -> dict[str, Any]:
    """One series."""
    return {"metric": labels, "values": samples}


@dataclass
class Faulty:
    """A server that runs, and what it was asked."""

    answer: Callable[[Asked, int], Told]
    """What is told, by the request and its number from 0 on."""
    url: str = ""
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def faulty(answer: Callable[[Asked, int], Told], tls: ssl.SSLContext | None = None) -> Iterator[Faulty]:
    """Such a server, on a port of its own."""
    told = Faulty(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            given = {name: values[0] for name, values in parse_qs(parts.query).items()}
            times = (float(given[name]) for name in ("start", "end", "step"))
            asked = Asked(*times, headers=dict(self.headers), params=given)
            told.asked.append(asked)
            _send(self, told.answer(asked, len(told.asked) - 1))

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    told.url = f"{'https' if tls else 'http'}://localhost:{server.server_address[1]}"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()


def _send(to: BaseHTTPRequestHandler, told: Told) -> None:
    body = told.body if isinstance(told.body, bytes) else json.dumps(told.body).encode()
    if told.how == "hang":
        time.sleep(10.0)
        return
    to.send_response(told.status)
    to.send_header("Content-Length", str(len(body)))
    to.send_header("Content-Encoding", told.encoding)
    to.end_headers()
    try:
        if told.how == "whole":
            to.wfile.write(body)
        elif told.how == "cut":
            to.wfile.write(body[: len(body) // 2])
        for place in range(len(body) if told.how == "drip" else 0):
            to.wfile.write(body[place : place + 1])
            to.wfile.flush()
            time.sleep(0.2)
    except OSError:
        return
