"""What the cache's scripts say to a server that answers from a file: for what the server at hand does not do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from cache_site import until  # noqa: E402

from tidegate_stacks import cache  # noqa: E402

pytestmark = pytest.mark.timeout(60)

ME, MASTER, OTHER = "a" * 40, "b" * 40, "c" * 40
NODES = f"""\
{ME} 10.0.0.1:6379@16379,cache-0-1.cache-nodes.shop.svc myself,slave {MASTER} 0 0 1 connected
{MASTER} 10.0.0.2:6379@16379,cache-0-0.cache-nodes.shop.svc master - 0 0 1 connected 0-5460
{OTHER} 10.0.0.3:6379@16379,cache-1-0.cache-nodes.shop.svc master - 0 0 2 connected 5461-10922
"""
STALE = "role:slave\nmaster_host:10.0.9.9\nmaster_link_status:down\n"
UP = "role:slave\nmaster_host:10.0.0.2\nmaster_link_status:up\n"
# A server that was told of a new master connects to it. valkey: being told of the same master again changes nothing,
# as in Valkey from 8.0 (valkey-io/valkey#884); redis: it connects anew.
SERVER = f"""#!/bin/sh
case "$*" in
*"CLUSTER NODES") cat nodes ;;
*"INFO replication") cat info ;;
*"CLUSTER REPLICATE {OTHER}") echo {OTHER} >>told; echo other >following ;;
*"CLUSTER REPLICATE {MASTER}")
  echo {MASTER} >>told
  if [ "$KIND" = redis ] || [ "$(cat following)" = other ]; then cat up >info; fi
  echo master >following ;;
esac
"""


@pytest.mark.parametrize(("kind", "told"), [("redis", [MASTER]), ("valkey", [MASTER, MASTER, OTHER, MASTER])])
def test_a_link_to_an_address_that_is_no_longer_true_is_mended(tmp_path: Path, kind: str, told: list[str]) -> None:
    files = {"nodes": NODES, "info": STALE, "up": UP, "following": "master", "told": "", **cache.scripts()}
    for name, text in {**files, "cli": SERVER, "getent": "#!/bin/sh\nexit 2\n"}.items():
        (tmp_path / name).write_text(text)
    for name in ("cli", "getent"):
        (tmp_path / name).chmod(0o755)
    env = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "CLI": "./cli",
        "KIND": kind,
        "POD": "cache-0-1",
        "PORT": "6379",
        "SEED": "cache-0-0.cache-nodes.shop.svc",
        "FIRST_SLOT": "0",
        "LAST_SLOT": "5460",
        "ROUND_SECONDS": "0.1",
        "BEAT": "beat",
    }
    script = subprocess.Popen(["sh", "join.sh"], cwd=tmp_path, env=env)
    try:
        until(lambda: (tmp_path / "info").read_text() == UP, "the link is up", 30)
    finally:
        script.terminate()
        script.wait(10)
    assert (tmp_path / "told").read_text().split() == told


@pytest.mark.parametrize("file", sorted(cache.scripts()))
def test_every_script_is_posix_shell(file: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(cache.scripts()[file])
    shell = shutil.which("dash") or "/bin/sh"
    assert subprocess.run([shell, "-n", file], cwd=tmp_path, check=False, capture_output=True).returncode == 0
