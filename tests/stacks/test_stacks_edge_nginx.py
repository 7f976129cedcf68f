"""The edge's configuration in a real nginx on loopback: one request per object to an origin, whatever the crowd."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import requests  # noqa: E402

from tidegate_stacks.edge import nginx_conf  # noqa: E402

pytestmark = pytest.mark.skipif(not shutil.which("nginx"), reason="needs nginx on PATH (Debian: nginx)")


class Origin(ThreadingHTTPServer):
    """Has some streams; remembers what it was asked for."""

    def __init__(self, *streams: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.streams = streams
        self.asked: list[str] = []
        self.down = False
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Origin

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        time.sleep(0.2)  # long enough for a crowd to arrive meanwhile
        has = self.path.startswith(tuple(f"/live/{stream}" for stream in self.server.streams))
        body = b"segment" if has else b""
        self.send_response(503 if self.server.down else 200 if has else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def origins() -> Iterator[tuple[Origin, Origin]]:
    made = Origin("alice"), Origin("bob")
    yield made
    for one in made:
        one.close()


@pytest.fixture
def edge(origins: tuple[Origin, Origin], tmp_path: Path) -> Iterator[str]:
    """URL of an nginx as a pod runs it, with other ports and folders."""
    port, status = free_port(), free_port()
    text = nginx_conf([one.address for one in origins], disk="1Gi")
    for old, new in {
        "/tmp/": f"{tmp_path}/",
        "listen 8080": f"listen 127.0.0.1:{port}",
        "listen 8081": f"listen 127.0.0.1:{status}",
        "/var/cache/edge": str(tmp_path / "cache"),
    }.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "cache").mkdir()
    (tmp_path / "nginx.conf").write_text(text)
    # An unprivileged image's workers run as its user; as root nginx would change to another that owns no folder here.
    alone = f"daemon off; user {Path(tmp_path).owner()};"
    process = subprocess.Popen(["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-g", alone])
    try:
        for _ in range(100):
            try:
                if requests.get(f"http://127.0.0.1:{status}/ready", timeout=1).text == "ready\n":
                    break
            except requests.ConnectionError:
                time.sleep(0.05)
        else:
            pytest.fail("nginx did not come up")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def test_a_crowd_that_asks_for_one_segment_costs_the_origin_one_request(
    edge: str, origins: tuple[Origin, Origin]
) -> None:
    with ThreadPoolExecutor(50) as crowd:
        answers = list(crowd.map(lambda _: requests.get(f"{edge}/live/alice-1.ts", timeout=5).text, range(50)))
    assert answers == ["segment"] * 50
    assert origins[0].asked == ["/live/alice-1.ts"]


@pytest.mark.parametrize("stream", ["alice", "bob"])
def test_a_stream_is_found_on_the_origin_that_has_it(edge: str, origins: tuple[Origin, Origin], stream: str) -> None:
    answer = requests.get(f"{edge}/live/{stream}.m3u8", timeout=5)
    assert (answer.status_code, answer.text) == (200, "segment")


def test_a_stream_that_nobody_has_is_not_found(edge: str) -> None:
    assert requests.get(f"{edge}/live/carol.m3u8", timeout=5).status_code == 404


def test_a_playlist_that_is_a_little_old_is_better_than_an_error(edge: str, origins: tuple[Origin, Origin]) -> None:
    assert requests.get(f"{edge}/live/alice.m3u8", timeout=5).headers["X-Cache"] == "MISS"
    for one in origins:
        one.down = True
    time.sleep(1.1)  # a playlist is fresh for a second
    stale = requests.get(f"{edge}/live/alice.m3u8", timeout=5)
    assert (stale.status_code, stale.text) == (200, "segment")
