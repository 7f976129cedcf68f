"""The live origin's pods start where a container begins with few open files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from tidegate_stacks import live, srs  # noqa: E402

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="needs bash on PATH, as SRS's image has it")

DOUBLE = """\
#!/bin/bash
# What SRS 6 does with its limit: one open file for each connection and 128 of its own must lie below the soft limit.
most=$(awk '$1 == "max_connections" { print int($2) }' "$2")
may=$(ulimit -S -n)
if [ $((most + 128)) -ge "$may" ]; then
  echo "max_connections=$most, system limit to $may, please run: ulimit -HSn" >&2
  exit 1
fi
echo "started $*"
"""
"""SRS: SrsConfig::check_normal_config, version 6."""


def started(folder: Path, part: str, limits: str) -> subprocess.CompletedProcess[str]:
    """The command of a part's pod, with ``folder`` in place of the pod's, after ``limits`` were set."""
    args = live.LiveOriginArgs(namespace="shop", publish=live.PublishArgs(open=True), normal_mbps=1, peak_mbps=9)
    workload, *_ = (live.origin_objects if part == "origin" else live.relay_objects)("live", args)
    for name, text in live.configs("live", args).items():
        (folder / name).write_text(text, encoding="utf-8")
    program = folder / "objs" / "srs"
    program.parent.mkdir(exist_ok=True)
    program.write_text(DOUBLE, encoding="utf-8")
    program.chmod(0o755)
    container = workload["spec"]["template"]["spec"]["containers"][0]
    command = [word.replace("/etc/live", str(folder)) for word in container["command"]]
    before = ["bash", "-c", f'{limits} && exec "$@"', "bash"]
    return subprocess.run([*before, *command], cwd=folder, check=False, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("part", ["origin", "relay"])
def test_a_pod_starts_where_a_container_begins_with_few_open_files(tmp_path: Path, part: str) -> None:
    done = started(tmp_path, part, "ulimit -S -n 256")
    assert (done.stdout, done.stderr) == (f"started -c {tmp_path}/{part}.conf\n", "")


def test_a_machine_that_allows_too_few_says_what_to_raise(tmp_path: Path) -> None:
    done = started(tmp_path, "origin", "ulimit -HS -n 1024")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"SRS needs {srs.NEEDS_FILES} open files, and this machine allows a container 1024: ")


def test_a_machine_that_allows_just_enough_is_enough(tmp_path: Path) -> None:
    assert started(tmp_path, "origin", f"ulimit -S -n 256; ulimit -H -n {srs.NEEDS_FILES}").stdout.startswith("started")


def test_a_changed_start_script_replaces_the_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    def checksums() -> list[str]:
        args = live.LiveOriginArgs(namespace="shop", publish=live.PublishArgs(open=True), normal_mbps=1, peak_mbps=9)
        parts = [live.origin_objects("live", args)[0], live.relay_objects("live", args)[0]]
        return [one["spec"]["template"]["metadata"]["annotations"]["tidegate.dev/config"] for one in parts]

    before = checksums()
    monkeypatch.setattr(live, "script", lambda name: f"another {name}")
    assert not set(before) & set(checksums())
