"""The Dockerfile, as far as it can be judged without a container engine: what it copies is there, its command runs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from helm_chart import CHART, ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def instruction(name: str) -> list[str]:
    """The words of an instruction in its JSON form; of the last one."""
    words: list[str] = json.loads(re.findall(rf"^{name} (\[.*\])$", DOCKERFILE, flags=re.MULTILINE)[-1])
    return words


def test_what_is_copied_is_there_and_not_ignored() -> None:
    copied = [
        word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE) for word in line.split()
    ]
    assert "operator" in copied
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"
    }
    assert set(copied) == allowed
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_it_runs_as_a_number_that_is_not_root() -> None:
    user = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert user == [("10001", "10001")]
    helpers = (CHART / "templates" / "_helpers.tpl").read_text(encoding="utf-8")
    assert "runAsUser: 10001" in helpers
    assert "runAsGroup: 10001" in helpers


def test_the_chart_starts_what_the_image_starts() -> None:
    deployment = (CHART / "templates" / "deployment.yaml").read_text(encoding="utf-8")
    assert f"command: [{', '.join(instruction('ENTRYPOINT'))}]" in deployment


def start(folder: Path, **environment: str) -> subprocess.Popen[str]:
    """The image's entrypoint, with the variables that the image sets and no others."""
    program, *words = [*instruction("ENTRYPOINT"), *instruction("CMD")]
    assert program == "kopf"
    image = {name: value for name, value in re.findall(r"([A-Z_]+)=([\w/]+)", DOCKERFILE) if name in _IMAGE_SETS}
    assert set(image) == _IMAGE_SETS
    environ = {**image, "PYTHONPATH": str(ROOT / "operator"), **environment}
    command = [sys.executable, "-m", "kopf", *words]
    return subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


_IMAGE_SETS = {"HOME", "LOGNAME", "MALLOC_ARENA_MAX", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}


def end(process: subprocess.Popen[str]) -> str:
    """SIGTERM; what it said. It must end by itself."""
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    return said


def test_without_a_cluster_it_says_so(tmp_path: Path) -> None:
    process = start(tmp_path, HOME=str(tmp_path))
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "no cluster: " in line:
            break
    end(process)
    assert "no cluster: " in lines[-1], lines


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    """An API server in memory, with our kinds."""
    path = tmp_path / "kubeconfig"
    command = [sys.executable, "-m", "tidegate.cli.main", "embedded", "--port", "0", "--kubeconfig", str(path)]
    for file in sorted((CHART / "files" / "crds").glob("*.yaml")):
        command += ["--apply", str(file)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    server = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not (path.exists() and path.stat().st_size):
        assert server.poll() is None
        assert time.monotonic() < deadline, "no kubeconfig within 30 s"
        time.sleep(0.05)
    yield path
    server.terminate()
    server.wait(10)


def test_with_a_cluster_it_becomes_ready_and_ends_when_told(kubeconfig: Path, tmp_path: Path) -> None:
    probes, metrics = free_ports()
    ports = {"TIDEGATE_LISTEN_PROBES": str(probes), "TIDEGATE_LISTEN_METRICS": str(metrics)}
    process = start(tmp_path, KUBECONFIG=str(kubeconfig), **ports)
    try:
        deadline = time.monotonic() + 40
        while answer(probes, "/readyz") != 200:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "not ready within 40 s"
            time.sleep(0.1)
        assert (answer(probes, "/healthz"), answer(metrics, "/metrics")) == (200, 200)
        assert answer(probes, "/metrics") == 404, "a port of their own for probes"
    finally:
        said = end(process)
    assert process.returncode == 0, said
    assert all(line.startswith("{") for line in said.splitlines()), "one JSON object a line"


def answer(port: int, path: str) -> int:
    """Status of an answer; 0 when nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def free_ports() -> tuple[int, int]:
    """Two ports that nobody listens on."""
    import socket

    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]
