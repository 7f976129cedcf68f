"""What a cache's server is told, in a real server: memory that clients take, and a password that nobody could send."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from cache_site import ARGS  # noqa: E402
from web import PATIENCE, free_port, wait_for  # noqa: E402

from tidegate_stacks import cache  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not shutil.which("redis-server"), reason="needs redis-server 7 on PATH (Debian: redis-server)"),
    pytest.mark.timeout(180),
]

MIB = 1024 * 1024
HELD = 30_000
"""Keys of a kilobyte: half of what the server holds here."""


class Server:
    """One server by the shipped settings, alone and with less memory."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        text = re.sub(r"maxmemory \d+", f"maxmemory {64 * MIB}", cache.server_conf(ARGS))
        text = text.replace(f"port {cache.PORT}", f"port {self.port}").replace("/data", str(folder))
        alone = [line for line in text.splitlines() if not line.startswith("cluster-")]
        self.process = subprocess.Popen(["redis-server", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert self.process.stdin
        self.process.stdin.write("\n".join([*alone, "bind 127.0.0.1", ""]).encode())
        self.process.stdin.close()
        wait_for(lambda: self.ask("PING") == "PONG", "the server does not answer")

    def ask(self, *words: str, given: str | None = None) -> str:
        command = ["redis-cli", "-h", "127.0.0.1", "-p", str(self.port), *words]
        found = subprocess.run(command, input=given, capture_output=True, text=True, timeout=PATIENCE, check=False)
        return found.stdout.strip()

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.close()


def test_clients_that_do_not_read_their_answers_drive_no_key_out(server: Server) -> None:
    server.ask("--pipe", given="".join(f"SET key{number} {'v' * 1000}\n" for number in range(HELD)))
    server.ask("-x", "SET", "large", given="v" * 100_000)
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
    try:
        for client in idle:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET large\r\n" * 500)
        wait_for(lambda: heard(server), "the clients are not heard")
        for number in range(20):
            server.ask("SET", f"other{number}", "x")
        assert server.ask("DBSIZE") == str(HELD + 21)
    finally:
        for client in idle:
            client.close()


def heard(server: Server) -> bool:
    """All that was asked is answered, or who asked is cut off."""
    return "get:calls=1500," in server.ask("INFO", "commandstats") or "ed_clients:1\n" in server.ask("INFO", "clients")


@pytest.mark.parametrize("password", ["secret\n", "se\ncret"])
def test_a_password_that_nobody_could_send_is_said_at_the_start(password: str, tmp_path: Path) -> None:
    for name, text in cache.scripts().items():
        (tmp_path / name).write_text(text)
    told = {"POD": "cache-0-0", "SEED": "cache-0-0.cache-nodes.shop.svc", "PORT": "1", "STATE": str(tmp_path / "none")}
    found = subprocess.run(
        ["sh", str(tmp_path / "serve.sh")],
        env={**os.environ, **told, "REDISCLI_AUTH": password, "SERVER": "true"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert found.returncode == 1
    assert "password holds a line break, at its end perhaps: make it without one" in found.stderr
    assert "cret" not in found.stderr.replace("Secret", "")
