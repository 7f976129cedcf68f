"""What one primary writes: pgbench against a real PostgreSQL with the parameters that the stacks generate.

    python bench/pgbench_writes.py [--memory 16Gi] [--synchronous] [--script order] [--clients 16] [--seconds 60]

Run it on the machine and the disk that the database will have: ``--folder`` names a folder of that disk. Printed is one
JSON object; its ``writes_per_second`` is what ``database.DatabaseArgs`` takes under that name. ``--synchronous`` adds a
streaming replica on the same machine that confirms each commit, as ``synchronous: required`` does: there the two share
CPU and disk, and no network lies between them.

Scripts: ``order`` is one order, a transaction of an order, three lines and a stock that falls; ``simple-update`` is
pgbench's own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from postgres_server import Server, own_folder, run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stacks"))

from tidegate_stacks import sizing

DATABASE = "bench"
TABLES = """
CREATE TABLE stock (item int PRIMARY KEY, remaining int NOT NULL);
INSERT INTO stock SELECT item, 1000000 FROM generate_series(1, 10000) AS item;
CREATE TABLE orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int NOT NULL, state text NOT NULL,
  placed timestamptz NOT NULL DEFAULT now(), total int NOT NULL
);
CREATE INDEX ON orders (customer);
CREATE TABLE order_lines (
  order_id bigint NOT NULL REFERENCES orders, line int NOT NULL, item int NOT NULL, amount int NOT NULL,
  PRIMARY KEY (order_id, line)
);
"""
ORDER = r"""
\set customer random(1, 1000000)
\set item random(1, 10000)
BEGIN;
INSERT INTO orders (customer, state, total) VALUES (:customer, 'paid', 3 * :item) RETURNING id \gset
INSERT INTO order_lines VALUES (:id, 1, :item, 1), (:id, 2, :item, 1), (:id, 3, :item, 1);
UPDATE stock SET remaining = remaining - 3 WHERE item = :item;
COMMIT;
"""
FOUND = {
    "tps": r"^tps = ([0-9.]+) \(without initial connection time\)$",
    "latency_ms": r"^latency average = ([0-9.]+) ms$",
    "transactions": r"^number of transactions actually processed: ([0-9]+)",
    "failed": r"^number of failed transactions: ([0-9]+) ",
}
"""Lines of pgbench's report."""


def settings(memory: str, wal_disk: str, connections: int) -> dict[str, str]:
    """Parameters as the component generates them; the rest is PostgreSQL's default, as it is CloudNativePG's."""
    return {
        **sizing.postgres_parameters(memory, connections=connections),
        **sizing.wal_parameters(wal_disk),
        "max_wal_senders": str(sizing.WAL_SENDERS),
    }


def fsyncs_per_second(inside: str | None, seconds: float = 1.0) -> int:
    """How often the disk confirms 8 KiB: what bounds commits of one connection. A file system in memory shows here."""
    path = own_folder(inside) / "probe"
    done, until = 0, time.monotonic() + seconds
    with path.open("wb", buffering=0) as probe:
        while time.monotonic() < until:
            probe.write(b"\0" * 8192)
            os.fdatasync(probe.fileno())
            done += 1
    path.unlink()
    path.parent.rmdir()
    return int(done / seconds)


def read_report(report: str) -> dict[str, float]:
    """Figures of pgbench's report. RuntimeError when one is missing."""
    figures = {}
    for name, pattern in FOUND.items():
        if not (found := re.search(pattern, report, re.MULTILINE)):
            raise RuntimeError(f"pgbench reported no {name}: {report}")
        figures[name] = float(found[1])
    return figures


def prepare(server: Server, script: str) -> list[str]:
    """Make database and tables; the arguments by which pgbench runs the script."""
    server.sql(f"CREATE DATABASE {DATABASE}")
    if script == "simple-update":
        run("pgbench", "-i", "-q", "-s", 10, "-h", server.folder, "-p", server.port, "-U", "postgres", DATABASE)
        return ["-b", "simple-update"]
    server.sql(TABLES, DATABASE)
    path = server.folder / "order.sql"
    path.write_text(ORDER, encoding="utf-8")
    return ["-n", "-f", str(path)]


def confirm_on_a_replica(server: Server, parameters: dict[str, str], inside: str | None, stack: ExitStack) -> str:
    """Start a replica and let every commit wait for it; how the primary says that it waits."""
    stack.enter_context(Server(parameters, inside=inside, copy_of=server))
    server.configure({**parameters, "synchronous_standby_names": 'ANY 1 ("standby")'})
    server.reload()
    until, state = time.monotonic() + 60, ""
    while time.monotonic() < until:
        if (state := server.sql("SELECT sync_state FROM pg_stat_replication")) == "quorum":
            return state
        time.sleep(0.1)
    raise RuntimeError(f"the replica does not confirm commits: {state!r}")


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """All that is printed."""
    parameters = settings(given.memory, given.wal_disk, given.clients + sizing.POSTGRES_RESERVED_CONNECTIONS)
    syncs = fsyncs_per_second(given.folder)  # before the load, whose pages the system writes out long after it
    with ExitStack() as stack:
        server = stack.enter_context(Server(parameters, inside=given.folder))
        script = prepare(server, given.script)
        confirmed = confirm_on_a_replica(server, parameters, given.folder, stack) if given.synchronous else None
        server.sql("CHECKPOINT")
        load = ["-c", given.clients, "-j", min(given.clients, os.cpu_count() or 1), "-T", given.seconds]
        where = ["-h", server.folder, "-p", server.port, "-U", "postgres", DATABASE]
        figures = read_report(run("pgbench", *script, *load, *where))
        orders = int(server.sql("SELECT count(*) FROM orders", DATABASE)) if given.script == "order" else None
        return {
            "writes_per_second": int(figures["tps"]),
            **figures,
            "orders": orders,
            "script": given.script,
            "clients": given.clients,
            "seconds": given.seconds,
            "synchronous": confirmed,
            "cpus": os.cpu_count(),
            "fsync": server.sql("SHOW fsync"),
            "fsyncs_per_second": syncs,
            "postgres": server.sql("SHOW server_version"),
            "parameters": parameters,
        }


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped on the way out
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", default="1Gi", help="memory of one instance, as in the settings")
    parser.add_argument("--wal-disk", default="2Gi")
    parser.add_argument("--clients", type=int, default=16, help="connections, as poolers hold them")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--script", choices=("order", "simple-update"), default="order")
    parser.add_argument("--synchronous", action="store_true", help="a replica on this machine confirms each commit")
    parser.add_argument("--folder", help="on the disk that shall be measured")
    print(json.dumps(measure(parser.parse_args()), indent=2))


if __name__ == "__main__":
    main()
