"""The measurement of what one primary writes, as it is run for the settings: with a real PostgreSQL and pgbench."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pytest.importorskip("pulumi", reason="needs the extra [stacks]: make test-ground")

from postgres import SECONDS, pgbench_writes, program

from tidegate_stacks import database, sizing

SCRIPT = Path(pgbench_writes.__file__)

pytestmark = [
    pytest.mark.skipif(not program("pgbench"), reason="needs PostgreSQL, on PATH or where Debian puts it (postgresql)"),
    pytest.mark.timeout(300),
]


def test_the_measurement_counts_orders_that_a_replica_has_confirmed() -> None:
    given = ["--seconds", "2", "--clients", "4", "--memory", "256Mi", "--wal-disk", "1Gi", "--synchronous"]
    seen = json.loads(measured(given))
    assert seen["orders"] == seen["transactions"] > 0
    assert seen["failed"] == 0
    assert seen["writes_per_second"] == int(seen["tps"]) > 0
    assert (seen["synchronous"], seen["fsync"]) == ("quorum", "on")
    assert seen["cpus"] > 0
    assert seen["fsyncs_per_second"] > 0


def measured(given: list[str]) -> str:
    """What the script prints. One that takes too long is asked to end, so that it stops its servers."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, str(SCRIPT), *given], **pipes) as process:
        try:
            said, wrong = process.communicate(timeout=SECONDS)
        finally:
            process.terminate()
    assert process.returncode == 0, wrong
    return said


def test_a_measurement_that_is_ended_leaves_no_server_behind() -> None:
    command = [sys.executable, str(SCRIPT), "--seconds", "600", "--memory", "256Mi", "--wal-disk", "1Gi"]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        process = subprocess.Popen([*command, "--folder", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        server = first_line(Path(folder), "*/data/postmaster.pid")
        process.terminate()
        process.wait(timeout=SECONDS)
        assert not Path(f"/proc/{server}").exists()
        assert list(Path(folder).iterdir()) == []


def first_line(folder: Path, pattern: str) -> str:
    """Of the first file of that name that has one."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for found in folder.glob(pattern):
            if lines := found.read_text(encoding="utf-8").splitlines():
                return lines[0]
        time.sleep(0.1)
    raise AssertionError(f"no {pattern} in {folder}")


def test_what_is_measured_runs_with_the_settings_of_the_component() -> None:
    args = database.DatabaseArgs(namespace="shop", data_gib=1, normal=1, peak=1, memory="1Gi", wal_disk="2Gi")
    generated = database.cluster("orders", args)["spec"]["postgresql"]["parameters"]
    measured = pgbench_writes.settings("1Gi", "2Gi", connections=36)
    of_connections = {"max_connections", "work_mem"}
    assert measured.keys() == generated.keys()
    assert {name for name in generated if measured[name] != generated[name]} <= of_connections
    assert measured["max_wal_senders"] == str(sizing.WAL_SENDERS)


def test_a_report_without_its_figures_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="pgbench reported no tps"):
        pgbench_writes.read_report("pgbench (15.18)\nlatency average = 1.5 ms\n")
