"""Pods of a cache on loopback: the shipped configuration, scripts and environment, on real servers.

Each pod has an address of its own, 127.X.SHARD.NUMBER, as it has in a cluster. X differs between test processes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidegate_stacks import cache, sizing

SHARDS = 3
PORT = 7479
NET = 20 + os.getpid() % 200
SERVICE = "cache-nodes.shop.svc"
FIELDS = ("POD", "NAMESPACE", "POD_IP", "MACHINE")
"""What Kubernetes fills in from the pod itself."""
ARGS = cache.CacheArgs(namespace="shop", data_gib=1, memory="1Gi", normal=1, peak=1)

PROGRAMS = {
    # Prints what the file of names says, as DNS would.
    "getent": """awk -v name="$2" '$2 == name { print; found = 1 } END { exit !found }' "$NAMES" """,
    # Within a pod, 127.0.0.1 is the pod itself; here it is the pod's own address.
    "valkey-cli": """for word; do
  shift
  [ "$word" != 127.0.0.1 ] || word=$POD_IP
  set -- "$@" "$word"
done
exec redis-cli "$@" """,
    "valkey-server": 'exec redis-server "$@"',
}


@dataclass
class Pod:
    """A server and the script beside it, as the two containers of a pod."""

    site: Site
    shard: int
    ordinal: int
    address: str
    machine: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"cache-{self.shard}-{self.ordinal}"

    @property
    def host(self) -> str:
        return f"{self.name}.{SERVICE}"

    @property
    def folder(self) -> Path:
        return self.site.folder / self.name

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def prepare(self) -> None:
        """What is mounted; the volume is empty unless it was there."""
        self.data.mkdir(parents=True, exist_ok=True)
        only_here = (
            f"\nbind {self.address}\nbind-source-addr {self.address}\ncluster-node-timeout {self.site.node_timeout}\n"
        )
        for file, text in {"server.conf": cache.server_conf(self.site.args) + only_here, **cache.scripts()}.items():
            replaced = text.replace("/data", str(self.data)).replace(f"port {cache.PORT}", f"port {PORT}")
            (self.folder / file).write_text(replaced.replace("/etc/cache-tls", str(self.site.folder / "tls")))

    def start(self) -> None:
        self.prepare()
        self.site.names[self.host] = self.address
        self.site.write_names()
        self._begin("serve.sh")
        self._begin("join.sh")

    def restart_script(self) -> None:
        """As the kubelet restarts a container: with the environment that the site has now."""
        script = self.processes.pop()
        script.terminate()
        script.wait(15)
        self._begin("join.sh")

    def _begin(self, script: str) -> None:
        with (self.folder / "log").open("ab") as log:
            command = ["sh", script]
            self.processes.append(
                subprocess.Popen(command, cwd=self.folder, env=self.environment(), stdout=log, stderr=log)
            )

    def kill(self) -> None:
        """As a machine that is lost: at once, and the name stays."""
        for process in reversed(self.processes):
            process.kill()
            process.wait(10)
        self.processes.clear()

    def stop(self) -> None:
        """SIGTERM to both, as the kubelet does; the pod's name goes."""
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(15)
        self.processes.clear()
        self.vanish()

    def vanish(self) -> None:
        self.site.names.pop(self.host, None)
        self.site.write_names()

    def signal(self, number: int) -> None:
        for process in self.processes:
            process.send_signal(number)

    def script(self, name: str, *words: str) -> int:
        """Run a hook or a probe; its exit code."""
        command = ["sh", name, *words]
        return subprocess.run(command, cwd=self.folder, env=self.environment(), timeout=60, check=False).returncode

    def ready(self) -> bool:
        return self.script("ready.sh") == 0

    def ask(self, *words: str) -> str:
        """One command to this server, as a pod asks."""
        env = self.environment()
        options = ["--user", env["CACHE_USER"]] if "CACHE_USER" in env else []
        if folder := env.get("TLS"):
            options += ["--tls", "--cacert", f"{folder}/ca.crt"]
        command = ["redis-cli", "-h", self.address, "-p", str(PORT), *options, *words]
        found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, env=env)
        return found.stdout.strip()

    def role(self) -> str:
        return self.ask("ROLE").partition("\n")[0]

    def id(self) -> str:
        return self.ask("CLUSTER", "MYID")

    def nodes(self) -> dict[str, list[str]]:
        """Its view: the fields of CLUSTER NODES by id."""
        return {line.split()[0]: line.split() for line in self.ask("CLUSTER", "NODES").splitlines()}

    def slots(self) -> int:
        return int(dict(line.split(":") for line in self.ask("CLUSTER", "INFO").split())["cluster_slots_assigned"])

    def environment(self) -> dict[str, str]:
        """What the pod template says, with what Kubernetes fills in and what this machine needs."""
        own = {"POD": self.name, "NAMESPACE": "shop", "POD_IP": self.address, "MACHINE": self.machine}
        env = {one["name"]: self._value(one, own) for one in self.site.env[self.shard]}
        here = {
            "PATH": f"{self.site.folder / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "NAMES": str(self.site.folder / "names"),
            "PORT": str(PORT),
            "BEAT": str(self.folder / "beat"),
            "SETTINGS": str(self.folder / "server.conf"),
            "STATE": str(self.data / "nodes.conf"),
        }
        moved = {"TLS": str(self.site.folder / "tls"), "USERS": str(self.site.folder / "users.acl")}
        return env | here | {name: value for name, value in moved.items() if name in env} | self.site.pace

    def _value(self, one: dict[str, Any], own: dict[str, str]) -> str:
        if "value" in one:
            return str(one["value"]).replace("$(NAMESPACE)", own["NAMESPACE"])
        if "secretKeyRef" in one["valueFrom"]:
            return self.site.secret[one["valueFrom"]["secretKeyRef"]["key"]]
        return own[one["name"]]


@dataclass
class Site:
    """All pods, and the names that their DNS knows."""

    folder: Path
    args: cache.CacheArgs = ARGS
    secret: dict[str, str] = field(default_factory=dict)
    pace: dict[str, str] = field(default_factory=dict)
    """Environment that a test sets."""
    pods: dict[str, Pod] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    node_timeout: int = 2000
    """Milliseconds; shorter than what is shipped, so that tests wait less."""
    cut: bool = False
    """Nobody's name is found."""

    def __post_init__(self) -> None:
        (self.folder / "bin").mkdir()
        for name, body in PROGRAMS.items():
            program = self.folder / "bin" / name
            program.write_text(f"#!/bin/sh\n{body}\n")
            program.chmod(0o755)
        quick = {"ROUND_SECONDS": "0.7", "ANSWER_SECONDS": "2", "FORGET_SECONDS": "2", "TAKEOVER_SECONDS": "9"}
        # In effect never: a test that wants masters to move says so.
        self.pace = quick | {"TURN_SECONDS": "1000000000"} | self.pace
        self.env = [
            cache.shard_objects("cache", self.args, shard, slots)[0]["spec"]["template"]["spec"]["containers"][0]["env"]
            for shard, slots in enumerate(sizing.slot_ranges(SHARDS))
        ]
        self.write_names()

    def write_names(self) -> None:
        """The Service gives the addresses of all pods, and each pod has its name."""
        known = {} if self.cut else self.names
        lines = [f"{address} {host}\n{address} {SERVICE}\n" for host, address in known.items()]
        ready = self.folder / "names.new"
        ready.write_text("".join(lines))
        ready.replace(self.folder / "names")

    def add(self, shard: int, ordinal: int, *, start: bool = True) -> Pod:
        """A new pod of a shard; those of the same number stand on different machines."""
        address = f"127.{NET}.{shard + 1}.{ordinal + 1}"
        pod = Pod(self, shard, ordinal, address, f"machine-{(shard + ordinal) % SHARDS}")
        self.pods[pod.name] = pod
        pod.prepare()
        if start:
            pod.start()
        return pod

    def six(self) -> None:
        """Three shards of two pods, all started at the same time, none of them told anything else."""
        for ordinal in range(2):
            for shard in range(SHARDS):
                self.add(shard, ordinal)
        until(self.whole, "a cluster of six", 90)

    def running(self) -> list[Pod]:
        return [pod for pod in self.pods.values() if pod.processes]

    def whole(self) -> bool:
        """As the kubelet sees it; the cluster whole in every view; every view of the same nodes, all of them there."""
        running = self.running()
        return all(
            len(pod.nodes()) == len(running) and "cluster_state:ok" in pod.ask("CLUSTER", "INFO") and pod.ready()
            for pod in running
        )

    def master(self, shard: int) -> Pod:
        """The one that serves a shard's slots, as itself says."""
        (found,) = [pod for pod in self.running() if pod.shard == shard and pod.role() == "master"]
        return found

    def end(self) -> None:
        for pod in self.pods.values():
            pod.signal(signal.SIGCONT)
            pod.kill()


@contextlib.contextmanager
def site(folder: Path, **given: Any) -> Iterator[Site]:
    """A site whose processes end with it."""
    made = Site(folder, **given)
    try:
        yield made
    finally:
        made.end()


def until(look: Callable[[], bool], claim: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {claim}"
        time.sleep(0.4)


def rounds(pod: Pod, many: int) -> None:
    """Wait until its script has gone through so many rounds."""
    for _ in range(many):
        before = (pod.folder / "beat").stat().st_mtime_ns
        until(lambda: (pod.folder / "beat").stat().st_mtime_ns != before, f"{pod.name} goes on")  # noqa: B023


def missing_programs() -> str:
    """Why nothing of this can run here; empty if it can."""
    return "" if shutil.which("redis-server") else "needs redis-server 7 on PATH (Debian: redis-server)"
