"""A small network on loopback: nginx from generated configuration, an origin that counts what it is asked, and ports.

What a pod has by its volumes and its image is made here: folders, ports, the resolver. Nothing of the configuration is
changed but places and ports; a place that is not there any more fails the test.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

from tidegate_stacks import nginx_pod
from tidegate_stacks.nginx import start_script

PATIENCE = 30.0
"""Seconds that anything may take to come up on a loaded machine."""


def free_ports(many: int) -> list[int]:
    """Ports that nobody listens on."""
    held = [socket.socket() for _ in range(many)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports


def wait_until(done: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait for a condition; AssertionError names it when it does not come."""
    deadline = time.monotonic() + patience
    while not done():
        assert time.monotonic() < deadline, f"{what}: not within {patience:.0f} s"
        time.sleep(0.02)


# ---- an origin

Answer = tuple[int, dict[str, str], bytes]


class Origin(ThreadingHTTPServer):
    """Answers by a function of the path, after ``delay`` seconds, and counts."""

    request_queue_size = 1024
    daemon_threads = True

    def __init__(self, answer: Callable[[str], Answer], *, delay: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.delay = delay
        self.asked: Counter[str] = Counter()
        self.hosts: set[str] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Origin

    def do_GET(self) -> None:
        self.server.asked[self.path] += 1
        self.server.hosts.add(self.headers.get("Host", ""))
        time.sleep(self.server.delay)
        status, headers, body = self.server.answer(self.path)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


# ---- nginx as a cache pod


class CachePod:
    """An nginx that runs as a pod runs it."""

    def __init__(self, text: str, *, certificate: tuple[Path, Path] | None = None) -> None:
        """``certificate``: chain and key."""
        self.folder = Path(tempfile.mkdtemp(prefix="tg-"))  # short: a socket's path holds 107 characters
        self.http, self.status, self.refresh, self.https = free_ports(4)
        for name in ("cache", "tls", "tmp"):
            (self.folder / name).mkdir()
        if certificate:
            self.certify(*certificate)
        (self.folder / "start.sh").write_text(start_script())
        (self.folder / "nginx.conf").write_text(self._moved(text))
        (self.folder / "resolv.conf").write_text("")
        self._process: subprocess.Popen[bytes] | None = None

    def certify(self, chain: Path, key: Path) -> None:
        """Put a certificate where the Secret is mounted."""
        shutil.copy(chain, self.folder / "tls/tls.crt")
        shutil.copy(key, self.folder / "tls/tls.key")

    def _moved(self, text: str) -> str:
        places = {
            "/tmp/": f"{self.folder}/tmp/",
            "/var/cache/edge": f"{self.folder}/cache",
            f"listen {nginx_pod.HTTP} reuseport": f"listen 127.0.0.1:{self.http}",
            f"listen {nginx_pod.STATUS}": f"listen 127.0.0.1:{self.status}",
            f"listen {nginx_pod.REFRESH}": f"listen 127.0.0.1:{self.refresh}",
            "worker_processes auto": "worker_processes 1",
        }
        if nginx_pod.CERTIFICATES in text:
            places |= {
                nginx_pod.CERTIFICATES: f"{self.folder}/tls",
                f"listen {nginx_pod.HTTPS}": f"listen 127.0.0.1:{self.https}",
            }
        for old, new in places.items():
            assert old in text, f"{old} is not in the configuration"
            text = text.replace(old, new)
        # An unprivileged image's workers run as its user; as root nginx would take another that owns no folder here.
        return text if os.getuid() else f"user root;\n{text}"

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        folder = self.folder
        command = ["sh", str(folder / "start.sh"), str(folder / "nginx.conf"), str(folder / "resolv.conf")]
        command += [str(folder / "tmp/runs.conf"), str(folder / "cache")]
        with (folder / "stderr").open("ab") as errors:
            self._process = subprocess.Popen(command, stderr=errors)
        wait_until(self._is_ready, f"nginx: {self.log()}")

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            return requests.get(f"http://127.0.0.1:{self.status}/ready", timeout=5).text == "ready\n"
        except requests.ConnectionError:
            return False

    def log(self) -> str:
        """What it said."""
        place = self.folder / "stderr"
        return place.read_text() if place.exists() else ""

    def kill(self) -> None:
        """Gone at once, as when a machine fails."""
        if self._process is not None:
            kill_with_workers(self._process)
            self._process = None

    def close(self) -> None:
        """Stop it and remove what it left."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.http}"

    @property
    def refresh_address(self) -> str:
        return f"127.0.0.1:{self.refresh}"

    def get(self, path: str, host: str, *, refresh: bool = False) -> requests.Response:
        """Ask as a player does; ``refresh``: as a purge does."""
        where = self.refresh_address if refresh else self.address
        return requests.get(f"http://{where}{path}", headers={"Host": host}, timeout=PATIENCE)


def kill_with_workers(process: subprocess.Popen[bytes]) -> None:
    """End an nginx without a goodbye. The master first: it would replace its workers."""
    command = ["ps", "-o", "pid=", "--ppid", str(process.pid)]
    workers = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    process.kill()
    process.wait(PATIENCE)
    for pid in workers:
        os.kill(int(pid), signal.SIGKILL)


@contextmanager
def running(pods: Sequence[CachePod]) -> Iterator[None]:
    """Pods that run until the end of the block."""
    try:
        for one in pods:
            one.start()
        yield
    finally:
        for one in pods:
            one.close()
