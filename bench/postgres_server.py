"""A real PostgreSQL server in a folder of its own, with given settings, for measurements and tests.

PostgreSQL refuses to run as root: as root its programs are started as user postgres.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

DEBIAN = Path("/usr/lib/postgresql")
SECONDS = 180
"""Deadline of each command: generous, since machines are shared."""


def program(name: str) -> str | None:
    """Path of one of PostgreSQL's programs: beside others on PATH, or where Debian puts the newest version."""
    newest = max(DEBIAN.glob(f"*/bin/{name}"), default=None, key=lambda path: int(path.parts[-3]))
    return shutil.which(name) or (str(newest) if newest else None)


def as_server(command: Sequence[str]) -> list[str]:
    """The command as a user that PostgreSQL accepts."""
    if os.geteuid() != 0:
        return list(command)
    user = pwd.getpwnam("postgres")
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *command]


def run(name: str, *arguments: object, text: str | None = None) -> str:
    """Output of one of PostgreSQL's programs. RuntimeError with what it said when it failed."""
    command = as_server([program(name) or name, *map(str, arguments)])
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=tempfile.gettempdir()
    )
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def own_folder(inside: str | None = None) -> Path:
    """A new folder that the server's user owns."""
    folder = Path(tempfile.mkdtemp(prefix="tidegate-pg-", dir=inside))
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


@dataclass
class Server:
    """A server that runs as long as the ``with`` block; its folder goes with it."""

    parameters: Mapping[str, str]
    inside: str | None = None
    """Folder whose disk holds the data. None: the system's folder for temporary files."""
    copy_of: Server | None = None
    """A server that this one is a streaming replica of."""
    port: int = field(default_factory=free_port)

    def __enter__(self) -> Self:
        self.folder = own_folder(self.inside)
        self.data = self.folder / "data"
        try:
            self._lay()
            self.configure(self.parameters)
            run("pg_ctl", "-D", self.data, "-w", "-t", SECONDS, "-l", self.folder / "log", "start")
        except BaseException:
            self._say_why()
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        """Stop the server if it runs, also one that is only starting, and remove its folder."""
        try:
            if (self.data / "postmaster.pid").exists():
                run("pg_ctl", "-D", self.data, "-m", "immediate", "stop")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _lay(self) -> None:
        if self.copy_of is None:
            run("initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "--no-sync")
            return
        source = self.copy_of
        connection = f"host={source.folder} port={source.port} user=postgres application_name=standby"
        run("pg_basebackup", "-D", self.data, "-R", "--checkpoint=fast", "--no-sync", "-d", connection)

    def _say_why(self) -> None:
        if (log := self.folder / "log").exists():
            print(log.read_text(encoding="utf-8"), file=sys.stderr)

    def configure(self, parameters: Mapping[str, str]) -> None:
        """Write the settings; a running server reads them at ``reload``."""
        here = {"port": str(self.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": str(self.folder)}
        lines = [f"{name} = '{value}'\n" for name, value in {**parameters, **here}.items()]
        (self.data / "postgresql.conf").write_text("".join(lines), encoding="utf-8")

    def reload(self) -> None:
        run("pg_ctl", "-D", self.data, "reload")

    def sql(self, statements: str, database: str = "postgres") -> str:
        """What psql prints, bare."""
        where = ("-h", self.folder, "-p", self.port, "-U", "postgres", "-d", database)
        return run("psql", *where, "-v", "ON_ERROR_STOP=1", "-qAt", "-f", "-", text=statements).strip()
