"""The database's settings as a real PostgreSQL reads them: each is known to it, and within its bounds."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tidegate_stacks import sizing

FOUND = shutil.which("postgres") or max(map(str, Path("/usr/lib/postgresql").glob("*/bin/postgres")), default=None)

pytestmark = pytest.mark.skipif(not FOUND, reason="needs postgres, on PATH or where Debian puts it (postgresql)")

KIB_OF_UNIT = {"shared_buffers": 8, "effective_cache_size": 8, "maintenance_work_mem": 1, "work_mem": 1}
"""What the server counts each in."""


def read(folder: Path, settings: dict[str, str], name: str) -> subprocess.CompletedProcess[str]:
    """What the server makes of one setting, after it has read all of them; it starts nothing."""
    lines = [f"{key} = '{value}'\n" for key, value in settings.items()]
    (folder / "postgresql.conf").write_text("".join(lines))
    (folder / "postgresql.auto.conf").touch()
    command = [str(FOUND), "-C", name, "-D", str(folder)]  # -C first: else the server refuses root before all
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize(("memory", "connections"), [("1Gi", 60), ("8Gi", 253), ("512Gi", 5000)])
def test_the_server_takes_every_setting_as_it_is_meant(tmp_path: Path, memory: str, connections: int) -> None:
    settings = sizing.postgres_parameters(memory, connections=connections)
    for name, written in settings.items():
        seen = read(tmp_path, settings, name)
        assert (seen.returncode, seen.stderr) == (0, ""), name
        if name in KIB_OF_UNIT:
            assert int(seen.stdout) * KIB_OF_UNIT[name] == int(written.removesuffix("MB")) * 1024, name
        else:
            assert seen.stdout.strip() == written, name


def test_a_setting_that_does_not_exist_would_have_been_refused(tmp_path: Path) -> None:
    """The claim above can fail."""
    settings = sizing.postgres_parameters("8Gi", connections=100)
    refused = read(tmp_path, {**settings, "shared_bufers": "1MB"}, "work_mem")
    assert refused.returncode != 0
    assert "shared_bufers" in refused.stderr
