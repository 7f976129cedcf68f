"""A real Prometheus, a target that it scrapes each second, and a proxy in front of it that spoils answers."""

from __future__ import annotations

import json
import math
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: shop
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
  - job_name: slow
    scrape_interval: {slow}s
    metrics_path: /slow
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""

JOBS = ("shop", "slow")
SLOW = 6
"""Seconds between two scrapes of what is scraped slowly."""

Lines = Callable[[float], str]
"""What a metric is exposed as, lines of text, so many seconds from the beginning: asked once a scrape."""
Spoil = Callable[[str, float], str]
"""How a query is answered badly, so many seconds from the beginning: ``drip``, ``partial``, or well (empty)."""


@dataclass
class Ground:
    """What runs, and since when its scenes play."""

    exposed: dict[str, Lines] = field(default_factory=dict)
    slowly: dict[str, Lines] = field(default_factory=dict)
    """What is scraped every ``SLOW`` seconds only: longer than a signal is left alone, so that each scrape is seen."""
    spoil: Spoil = lambda query, at: ""
    token: str = ""
    """What the proxy wants as a bearer token below /guarded."""
    begun: float = field(default_factory=time.time)
    direct: str = ""
    """Prometheus itself."""
    proxy: str = ""

    @property
    def at(self) -> float:
        return time.time() - self.begun


def _handler(answer: Callable[[BaseHTTPRequestHandler], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _reply(to: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    to.send_response(status)
    to.send_header("Content-Length", str(len(body)))
    to.end_headers()
    to.wfile.write(body)


@contextmanager
def _serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(answer))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _expose(ground: Ground, to: BaseHTTPRequestHandler) -> None:
    exposed = ground.slowly if to.path.startswith("/slow") else ground.exposed
    _reply(to, 200, ("\n".join(lines(ground.at) for lines in list(exposed.values())) + "\n").encode())


def _pass_on(ground: Ground, to: BaseHTTPRequestHandler) -> None:
    """Prometheus' answer, or what is made of it."""
    path = to.path.removeprefix("/guarded")
    query = parse_qs(urlsplit(path).query).get("query", [""])[0]
    if path != to.path and to.headers.get("Authorization") != f"Bearer {ground.token}":
        return _reply(to, 401, b"Unauthorized")
    how = ground.spoil(query, ground.at)
    if how == "drip":
        return _drip(to)
    try:
        with urllib.request.urlopen(ground.direct + path, timeout=5) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    if how == "partial":
        document = json.loads(body)
        document["warnings"] = ["receive store-1: connection refused"]
        for series in document["data"]["result"]:
            if "tidegate_part" not in series["metric"]:
                series["value"][1] = str(float(series["value"][1]) / 2)
        body = json.dumps(document).encode()
    return _reply(to, status, body)


def _drip(to: BaseHTTPRequestHandler) -> None:
    """A byte a second, until nobody listens."""
    to.send_response(200)
    to.send_header("Content-Length", "1000")
    to.end_headers()
    try:
        for _ in range(60):
            to.wfile.write(b" ")
            to.wfile.flush()
            time.sleep(1.0)
    except OSError:
        return


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def prometheus(folder: Path, ground: Ground) -> Iterator[Ground]:
    """All of it, once Prometheus answers. Skips the test where Prometheus is not installed."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus on PATH (Debian: apt-get install prometheus)")
    with _serving(lambda to: _expose(ground, to)) as exporter, _serving(lambda to: _pass_on(ground, to)) as proxy:
        config, port = folder / "prometheus.yml", free_port()
        config.write_text(CONFIG.format(port=exporter, slow=SLOW))
        arguments = [f"--config.file={config}", f"--storage.tsdb.path={folder}/data", "--log.level=error"]
        process = subprocess.Popen(
            [program, *arguments, f"--web.listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ground.direct, ground.proxy = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{proxy}"
        try:
            _wait_for(ground.direct)
            yield ground
        finally:
            process.terminate()
            process.wait(20)


def _wait_for(url: str) -> None:
    """Until the first scrape of both jobs can be asked for: they begin at instants of their own, seconds apart."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/api/v1/query?query=up", timeout=2) as answer:
                if len(json.load(answer)["data"]["result"]) == len(JOBS):
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise TimeoutError("prometheus did not scrape both jobs within 30 s")


def every_scrape_was_taken(ground: Ground) -> bool:
    """Whether Prometheus has what it scraped since the scenes began: a busy machine makes it give up a scrape, and what
    was exposed to that one alone is never seen.
    """
    query = urlencode({"query": f"min_over_time(up[{math.ceil(ground.at)}s])"})
    with urllib.request.urlopen(f"{ground.direct}/api/v1/query?{query}", timeout=10) as answer:
        found = json.load(answer)["data"]["result"]
    return len(found) == len(JOBS) and all(float(series["value"][1]) == 1.0 for series in found)


class Watch:
    """How long a thread that only sleeps came back too late: what the machine, not the product, did to the scenes."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            before = time.monotonic()
            if self._over.wait(0.1):
                return
            self.worst = max(self.worst, time.monotonic() - before - 0.1)
