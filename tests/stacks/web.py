"""Real nginx on loopback from generated text, and origins that behave as people report."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from tidegate_stacks.nginx import nginx_conf

PATIENCE = 60.0
"""Seconds after which a test gives up waiting: only a machine that stands still needs more."""


@dataclass(frozen=True)
class Reply:
    """What an origin says to one request."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    after: float = 0.0
    """Seconds that it takes."""
    cut: bool = False
    """Whether the connection ends in the middle of the body."""


class Origin(ThreadingHTTPServer):
    """Answers by a function of the path; remembers what it was asked, with which headers."""

    request_queue_size = 1024
    daemon_threads = True

    def __init__(self, answer: Callable[[str], Reply | bytes], *, ip: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__((ip, port), _Handler)
        self.answer = answer
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: Any) -> None:
        """A client that left is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Origin

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.headers.append(dict(self.headers))
        given = self.server.answer(self.path)
        reply = Reply(given) if isinstance(given, bytes) else given
        time.sleep(reply.after)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body[: len(reply.body) // 2] if reply.cut else reply.body)
        self.close_connection = reply.cut

    do_POST = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def has(*streams: str) -> Callable[[str], Reply]:
    """An origin on which these streams lie; it knows no others."""

    def answer(path: str) -> Reply:
        here = path.startswith(tuple(f"/live/{stream}" for stream in streams))
        return Reply(b"segment", after=0.05) if here else Reply(status=404, after=0.05)

    return answer


@contextlib.contextmanager
def origin(answer: Callable[[str], Reply | bytes], *, ip: str = "127.0.0.1", port: int = 0) -> Iterator[Origin]:
    made = Origin(answer, ip=ip, port=port)
    try:
        yield made
    finally:
        made.close()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Edge:
    """An nginx as a pod runs it, with other ports and folders."""

    folder: Path
    origins: Sequence[str]
    options: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, str] = field(default_factory=dict)
    """Texts that a test replaces, e.g. a time that would take too long."""
    port: int = field(default_factory=free_port)
    status: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        text = nginx_conf(self.origins, disk="1Gi", **self.options)
        places = {
            "/tmp/": f"{self.folder}/",
            "listen 8080": f"listen 127.0.0.1:{self.port}",
            "listen 8081": f"listen 127.0.0.1:{self.status}",
            "/var/cache/edge": str(self.folder / "cache"),
            "worker_processes auto": "worker_processes 2",
            **self.changes,
        }
        for old, new in places.items():
            assert old in text, f"nginx.conf holds no {old!r}"
            text = text.replace(old, new)
        (self.folder / "cache").mkdir(parents=True)
        # An unprivileged image's workers run as its user; as root nginx would change to one that owns no folder here.
        (self.folder / "nginx.conf").write_text(f"user {self.folder.owner()};\n{text}")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, *command: str) -> None:
        """``command``: what starts it, in place of nginx itself."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command or ["nginx", "-g", "daemon off;", "-c", str(self.folder / "nginx.conf")], stdout=log, stderr=log
            )
        wait_for(self._ready, f"nginx is not ready: {self.folder / 'log'}")

    def _ready(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            return requests.get(f"http://127.0.0.1:{self.status}/ready", timeout=5).text == "ready\n"
        except requests.ConnectionError:
            return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)

    def get(self, path: str, **rest: Any) -> requests.Response:
        return requests.get(f"http://{self.address}{path}", timeout=PATIENCE, **rest)

    def crowd(self, path: str, many: int) -> Counter[int]:
        """Statuses that so many get who ask at the same time."""
        with ThreadPoolExecutor(many) as players:
            return Counter(one.status_code for one in players.map(lambda _: self.get(path), range(many)))


@contextlib.contextmanager
def edge(folder: Path, *origins: str, changes: dict[str, str] | None = None, **options: Any) -> Iterator[Edge]:
    """``options``: those of ``nginx_conf``."""
    made = Edge(folder / f"edge-{free_port()}", origins, options, changes or {})
    made.start()
    try:
        yield made
    finally:
        made.stop()


def wait_for(holds: Callable[[], bool], otherwise: str, *, seconds: float = PATIENCE) -> float:
    """Seconds until something holds; AssertionError when it does not in time."""
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() - begin < seconds, otherwise
        time.sleep(0.05)
    return time.monotonic() - begin


def next_second() -> None:
    """Waits for the clock's next whole second, with which a playlist is asked for anew."""
    time.sleep(1.02 - time.time() % 1)
