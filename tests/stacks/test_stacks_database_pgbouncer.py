"""The database's settings in a real PostgreSQL behind a real PgBouncer: what they bound stays bounded."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pulumi", reason="needs the extra [stacks]: make test-ground")

from postgres import Server, as_server, crowd, own_folder, pooler, program

from tidegate_stacks import database, sizing
from tidegate_stacks.database import DatabaseArgs

pytestmark = [
    pytest.mark.skipif(not program("initdb"), reason="needs PostgreSQL, on PATH or where Debian puts it (postgresql)"),
    pytest.mark.skipif(not shutil.which("pgbouncer"), reason="needs pgbouncer"),
    pytest.mark.timeout(300),
]

CONNECTIONS = 4
DATABASES = ("app", "reports", "audit")
USERS = ("app", "clerk")
CLIENTS = 6
EACH = 2
"""Transactions of a client."""


def args(**changed: Any) -> DatabaseArgs:
    given = {"normal": 1, "peak": 9000, "memory": "256Mi", "wal_disk": "1Gi", "connections_per_pooler": CONNECTIONS}
    return DatabaseArgs(namespace="shop", data_gib=1, **{**given, **changed})


def settings(**changed: Any) -> dict[str, str]:
    """What PostgreSQL is given; a test needs no disk that confirms."""
    return {**database.cluster("db", args(**changed))["spec"]["postgresql"]["parameters"], "fsync": "off"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(settings()) as one:
        for user in USERS:
            one.sql(f"CREATE ROLE {user} LOGIN")
        for name in DATABASES:
            one.sql(f"CREATE DATABASE {name}")
        yield one


def asked(
    server: Server, spec: dict[str, Any], script: Path, users: tuple[str, ...] = USERS
) -> tuple[int, dict[tuple[str, str], str]]:
    """Most server connections seen at once while each user asks for every database, and what each crowd was told."""
    script.write_text("SELECT pg_sleep(0.3);\n", encoding="utf-8")
    counted = "SELECT count(*) FROM pg_stat_activity WHERE usename IN ('app', 'clerk')"
    with pooler(server, spec, USERS) as port:
        crowds = {
            (user, name): crowd(port, user, name, CLIENTS, transactions=EACH, script=script)
            for user in users
            for name in DATABASES
        }
        most = 0
        while any(one.poll() is None for one in crowds.values()):
            most = max(most, int(server.sql(counted)))
            time.sleep(0.05)
        return most, {who: one.communicate()[0] for who, one in crowds.items()}


def test_one_pooler_opens_no_more_connections_than_are_counted_whatever_is_asked(
    server: Server, tmp_path: Path
) -> None:
    spec = database.pooler("db", args())["spec"]["pgbouncer"]
    most, told = asked(server, spec, tmp_path / "sleep.sql")
    assert most == CONNECTIONS
    for (user, name), said in told.items():
        processed = f"number of transactions actually processed: {CLIENTS * EACH}/{CLIENTS * EACH}"
        assert (processed in said) == (name == "app"), (user, name, said)


def test_where_other_databases_are_let_in_one_user_is_bounded_over_all_of_them(server: Server, tmp_path: Path) -> None:
    """So are the look-ups of passwords, which are one user's."""
    spec = database.pooler("db", args())["spec"]["pgbouncer"]
    most, _told = asked(server, {**spec, "pg_hba": []}, tmp_path / "sleep.sql", users=("app",))
    assert most == CONNECTIONS


def test_without_the_rules_and_the_bounds_it_would_open_more(server: Server, tmp_path: Path) -> None:
    """The claim above can fail: it did, with the bound per database alone."""
    spec = database.pooler("db", args())["spec"]["pgbouncer"]
    bounds = {name: value for name, value in spec["parameters"].items() if name != "max_user_connections"}
    most, _told = asked(server, {**spec, "pg_hba": [], "parameters": bounds}, tmp_path / "sleep.sql")
    assert most > CONNECTIONS


@pytest.mark.parametrize(("changed", "waits"), [({"peak": 100_000}, []), ({"most_poolers": 33}, ["max_connections"])])
def test_a_changed_peak_is_reloaded_and_restarts_nothing(
    server: Server, changed: dict[str, Any], waits: list[str]
) -> None:
    reload(server, settings(**changed))
    try:
        assert server.sql("SELECT name FROM pg_settings WHERE pending_restart ORDER BY name").split() == waits
    finally:
        reload(server, settings())


def reload(server: Server, parameters: dict[str, str]) -> None:
    """Give the server settings, and wait until it has read them."""
    loaded = "SELECT pg_conf_load_time()"
    before = server.sql(loaded)
    server.configure(parameters)
    server.reload()
    until(lambda: server.sql(loaded) != before, "the settings are not read")


def test_the_settings_that_follow_the_peak_are_reloadable(server: Server) -> None:
    """PostgreSQL's own word on which settings need a restart, for a peak that changes every setting it can."""
    small, large = settings(memory="16Gi", peak=9000), settings(memory="16Gi", peak=100_000)
    follow = {name for name in small if small[name] != large[name]}
    assert follow == {"work_mem"}
    names = ", ".join(f"'{name}'" for name in sorted(follow))
    assert server.sql(f"SELECT DISTINCT context FROM pg_settings WHERE name IN ({names})") == "user"


def test_a_lost_replica_gives_its_slot_up_before_the_disk_is_full(server: Server) -> None:
    wal_disk = sizing.memory_bytes("1Gi")
    server.sql("SELECT pg_create_physical_replication_slot('lost', true)")
    held = 0
    for _ in range(8):  # 16 MiB a segment: 1.25 GiB in all, more than the volume
        switches = "SELECT pg_logical_emit_message(false, 'a', 'b'); SELECT pg_switch_wal();\n"
        server.sql(switches * 10 + "CHECKPOINT;")
        held = max(held, int(server.sql("SELECT sum(size) FROM pg_ls_waldir()")))
    state = server.sql("SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'lost'")
    assert state == "lost"
    assert held < wal_disk
    server.sql("SELECT pg_drop_replication_slot('lost')")


def test_every_replica_that_a_plan_may_order_is_fed(server: Server) -> None:
    replicas = sizing.MOST_INSTANCES - 1
    folder = own_folder()
    receive = [str(program("pg_receivewal")), "-h", str(server.folder), "-p", str(server.port), "-U", "postgres"]
    fed: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(replicas):
            (place := folder / str(number)).mkdir()
            place.chmod(0o777)
            fed.append(subprocess.Popen(as_server([*receive, "-D", str(place)]), stderr=subprocess.DEVNULL))
        counted = "SELECT count(*) FROM pg_stat_replication"
        until(lambda: int(server.sql(counted)) == replicas, "not every replica is fed")
    finally:
        for one in fed:
            one.kill()
            one.wait()
        shutil.rmtree(folder, ignore_errors=True)


def until(holds: Callable[[], bool], otherwise: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)
