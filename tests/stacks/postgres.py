"""A real PostgreSQL as ``bench`` starts it, and a real PgBouncer that is configured as CloudNativePG does it.

Facts of CloudNativePG that ``Pooler`` stands in for (pkg/management/pgbouncer/config/config.go, 1.22 to 1.30):
``[databases]`` is the line ``* = host=<cluster>-rw``; ``auth_type`` is ``hba``; a pooler's ``pg_hba`` comes after the
rule of its console and before ``host all all``. Left out: TLS, and the look-up of passwords, which are in a file here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

import pgbench_writes
from postgres_server import SECONDS, Server, as_server, free_port, own_folder, program

__all__ = [
    "PASSWORD",
    "SECONDS",
    "Server",
    "as_server",
    "crowd",
    "own_folder",
    "pgbench_writes",
    "pooler",
    "program",
]

PASSWORD = "secret"


@contextmanager
def pooler(server: Server, spec: Mapping[str, object], users: Sequence[str]) -> Iterator[int]:
    """PgBouncer in front of a server, from the ``pgbouncer`` part of a Pooler; the port it listens at."""
    folder, port = own_folder(), free_port()
    rules = ["local pgbouncer pgbouncer peer", *spec["pg_hba"], "host all all 0.0.0.0/0 md5", "host all all ::/0 md5"]
    files = {
        "hba.conf": "".join(f"{rule}\n" for rule in rules),
        "users.txt": "".join(f'"{user}" "{PASSWORD}"\n' for user in users),
        "pgbouncer.ini": f"""\
[databases]
* = host=127.0.0.1 port={server.port}
[pgbouncer]
pool_mode = {spec["poolMode"]}
auth_type = hba
auth_hba_file = {folder}/hba.conf
auth_file = {folder}/users.txt
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir = {folder}
admin_users = pgbouncer
logfile = {folder}/log
"""
        + "".join(f"{name} = {value}\n" for name, value in spec["parameters"].items()),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    process = subprocess.Popen(
        as_server(["pgbouncer", "-q", str(folder / "pgbouncer.ini")]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(folder / "log", "process up", process)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + SECONDS
    while not (log.exists() and text in log.read_text(encoding="utf-8")):
        assert process.poll() is None, log.read_text(encoding="utf-8") if log.exists() else "no log"
        assert time.monotonic() < until, log.read_text(encoding="utf-8")
        time.sleep(0.05)


def crowd(port: int, user: str, database: str, clients: int, transactions: int, script: Path) -> subprocess.Popen[str]:
    """Clients of one user that run a script at the same time, each so many times, in one process."""
    command = [program("pgbench"), "-n", "-f", script, "-c", clients, "-t", transactions]
    where = ["-h", "127.0.0.1", "-p", port, "-U", user, database]
    return subprocess.Popen(
        list(map(str, [*command, *where])),
        env={**os.environ, "PGPASSWORD": PASSWORD},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
