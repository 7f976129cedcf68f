"""A real Prometheus on blocks that promtool makes of samples."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from real_prometheus import free_port

START = 1_772_409_600.0
"""2026-03-02T00:00:00Z."""
COUNT = 6000
"""Samples of 15 s: 25 hours, more than a page."""
GAP = range(3000, 3080)
"""Twenty minutes without a sample; of the first five Prometheus still shows the last one."""
NOT_A_NUMBER = 4000
RESTARTS = (1000, 2500, 2503)
"""Samples at which the counter begins anew at 0."""


def demand(place: int) -> float:
    """Of both shops together."""
    return 900.0 if 1920 <= place < 2400 else 100.0 + place % 7


def open_metrics() -> str:
    """A gauge in two shops, and a counter of orders that is lost now and then."""
    lines = ["# TYPE orders gauge"]
    for shop in ("north", "south"):
        for place in (place for place in range(COUNT) if place not in GAP):
            value = "NaN" if place == NOT_A_NUMBER else f"{demand(place) / 2:g}"
            lines.append(f'orders{{shop="{shop}"}} {value} {START + 15 * place:.0f}')
    lines.append("# TYPE taken counter")
    count = 0.0
    for place in range(COUNT):
        count = 0.0 if place in RESTARTS else count + 15.0 * demand(place)
        lines.append(f"taken_total {count:g} {START + 15 * place:.0f}")
    return "\n".join([*lines, "# EOF", ""])


def make_blocks(folder: Path) -> Path:
    """The folder of blocks. Skips the test where promtool is not installed."""
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("no promtool on PATH (Debian: apt-get install prometheus)")
    samples, blocks = folder / "orders.txt", folder / "blocks"
    samples.write_text(open_metrics())
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", samples, blocks]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    return blocks


@contextmanager
def serving(blocks: Path, folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """(URL, process) of a Prometheus on a copy of them."""
    program = shutil.which("prometheus")
    assert program is not None, "promtool is there and prometheus is not"
    shutil.copytree(blocks, folder / "data")
    (folder / "prometheus.yml").write_text("global: {}\n")
    port = free_port()
    options = [
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(f"http://127.0.0.1:{port}/-/ready")
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait(60)


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError("prometheus was not ready within two minutes")
