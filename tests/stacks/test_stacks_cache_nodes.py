"""The cache's pods find their place by themselves: its own configuration and scripts, on real servers on loopback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from tidegate_stacks import cache, sizing  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not shutil.which("redis-server"), reason="needs redis-server 7 on PATH (Debian: redis-server)"),
    pytest.mark.timeout(120),
]

SHARDS = 3
GETENT = "#!/bin/sh\necho 127.0.0.1 $2\n"


def free_port() -> int:
    """A port that is free together with the cluster bus's, 10,000 above it."""
    while True:
        with socket.socket() as one, socket.socket() as bus:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            try:
                bus.bind(("127.0.0.1", port + 10_000))
            except (OSError, OverflowError):
                continue
            return port


@dataclass
class Pod:
    """A server and the script beside it, as the two containers of a pod."""

    name: str
    folder: Path
    environment: dict[str, str]
    port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        (self.folder / "data").mkdir(exist_ok=True)
        overrides = ["--port", str(self.port), "--bind", "127.0.0.1", "--cluster-node-timeout", "1500"]
        for command in (["redis-server", "server.conf", *overrides], ["sh", "join.sh"]):
            with (self.folder / "log").open("ab") as log:
                self.processes.append(
                    subprocess.Popen(command, cwd=self.folder, env=self._environment(), stdout=log, stderr=log)
                )

    def stop(self) -> None:
        """SIGTERM to both, as the kubelet does."""
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(10)
        self.processes.clear()

    def script(self, name: str) -> int:
        """Run a hook or a probe; its exit code."""
        return subprocess.run(
            ["sh", name], cwd=self.folder, env=self._environment(), timeout=40, check=False
        ).returncode

    def ask(self, *words: str) -> str:
        command = ["redis-cli", "-p", str(self.port), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()

    def _environment(self) -> dict[str, str]:
        return {**self.environment, "POD": self.name, "PORT": str(self.port)}


@dataclass
class Site:
    """All pods."""

    folder: Path
    pods: dict[str, Pod] = field(default_factory=dict)
    seed: str = ""

    def add(self, shard: int, ordinal: int) -> Pod:
        """A new pod of a shard, started."""
        name = f"cache-{shard}-{ordinal}"
        folder = self.folder / name
        folder.mkdir()
        for file, text in {"server.conf": cache.server_conf(ARGS), **cache.scripts()}.items():
            (folder / file).write_text(text.replace("/data", str(folder / "data")))
        slots = sizing.slot_ranges(SHARDS)[shard]
        pod = Pod(name, folder, {})
        self.seed = self.seed or f"{name}.nodes:{pod.port}"
        pod.environment |= {
            "PATH": f"{self.folder / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "CLI": "redis-cli",
            "FIRST_SLOT": str(slots.first),
            "LAST_SLOT": str(slots.last),
            "SEED": self.seed,
            "ROUND_SECONDS": "0.2",
        }
        self.pods[name] = pod
        pod.start()
        return pod

    def all_ready(self) -> bool:
        """As the kubelet sees it, and the cluster whole."""
        return all(
            pod.script("ready.sh") == 0 and "cluster_state:ok" in pod.ask("CLUSTER", "INFO")
            for pod in self.pods.values()
        )


ARGS = cache.CacheArgs(namespace="shop", data_gib=1, memory="1Gi", normal=1, peak=1)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Three shards of two pods, all started at the same time, none of them told anything else."""
    (tmp_path / "bin").mkdir()
    getent = tmp_path / "bin" / "getent"
    getent.write_text(GETENT)
    getent.chmod(0o755)
    made = Site(tmp_path)
    for ordinal in range(2):
        for shard in range(SHARDS):
            made.add(shard, ordinal)
    try:
        until(made.all_ready, "a cluster of six")
        yield made
    finally:
        for pod in made.pods.values():
            pod.stop()


def until(look: Callable[[], bool], claim: str, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {claim}"
        time.sleep(0.2)


def role(pod: Pod) -> str:
    return pod.ask("ROLE").partition("\n")[0]


def test_pods_form_a_cluster_grow_it_and_leave_it_without_losing_a_write(site: Site) -> None:
    first = site.pods["cache-0-0"]
    assert "cluster_slots_assigned:16384" in first.ask("CLUSTER", "INFO")
    assert sorted(role(pod) for pod in site.pods.values()) == ["master"] * 3 + ["slave"] * 3
    for number in range(50):
        assert first.ask("-c", "SET", f"key-{number}", str(number)) == "OK"

    # More readers: what the operator asks for before a peak.
    reader = site.add(1, 2)
    assert reader.script("ready.sh") != 0, "a pod is not ready before it has copied its shard"
    until(site.all_ready, "the new replica has its shard")
    assert role(reader) == "slave"
    assert int(reader.ask("DBSIZE")) == int(site.pods["cache-1-0"].ask("DBSIZE")) > 0

    # A pod that serves writes is drained: its hook hands over first.
    leaving = site.pods["cache-2-0"]
    assert leaving.script("leave.sh") == 0
    assert role(leaving) == "slave"
    leaving.stop()
    survivor = site.pods["cache-2-1"]
    assert role(survivor) == "master"
    assert all(first.ask("-c", "GET", f"key-{number}") == str(number) for number in range(50))

    # It comes back with its volume, and follows.
    leaving.start()
    until(site.all_ready, "the pod that was drained is back")
    assert role(leaving) == "slave"
    assert len(first.ask("CLUSTER", "NODES").splitlines()) == 7, "it came back as itself"
