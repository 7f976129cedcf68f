"""A cluster on this machine for the quick start, started and ended by one command: `make cluster`, `make cluster-down`.

python tests/cluster/local_cluster.py up   [--dir build/cluster] [--nodes 3] [--with kind|k3d|programs]
python tests/cluster/local_cluster.py load [--dir build/cluster] --image tidegate:0.1.0
python tests/cluster/local_cluster.py account [--dir build/cluster]
python tests/cluster/local_cluster.py down [--dir build/cluster]

Where Docker answers, kind or k3d makes the cluster. Else its programs are started as plain processes: etcd,
kube-apiserver, kube-controller-manager, kube-scheduler, and kwok in the place of kubelets, found in the folder
KUBEBUILDER_ASSETS or on PATH. Its nodes then run no container: pods become ready, and do nothing. All of it
listens on 127.0.0.1 alone.
CONTRIBUTING.md says where the programs are to be had. Needs nothing but Python's standard library, and openssl.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "kubectl", "openssl")
NAME = "tidegate"
"""Of the kind or k3d cluster; and the chart's release in the quick start, its namespace and its account."""
START_SECONDS = 120.0
END_SECONDS = 15.0
RATES = ("--kube-api-qps=200", "--kube-api-burst=300")
"""What controllers and scheduler may ask in a second: at the stock 20, a trial's pods come one after the other."""


class LocalClusterError(Exception):
    """Why there is no cluster, in words."""


def find(program: str) -> str | None:
    """A program in KUBEBUILDER_ASSETS, as envtest has it, or on PATH."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    return (shutil.which(program, path=assets) if assets else None) or shutil.which(program)


def missing() -> list[str]:
    """Programs of a plain control plane that are not there."""
    return [program for program in PROGRAMS if find(program) is None]


def choose() -> str:
    """The way a cluster is made here."""
    if shutil.which("docker") and _answers("docker", "info"):
        for way in ("kind", "k3d"):
            if shutil.which(way):
                return way
    lacking = missing()
    if lacking:
        raise LocalClusterError(
            "no Docker with kind or k3d, and of the programs of a control plane these are neither in "
            f"KUBEBUILDER_ASSETS nor on PATH: {', '.join(lacking)}. CONTRIBUTING.md says how to get them"
        )
    return "programs"


def up(folder: Path, nodes: int, way: str | None) -> None:
    """A cluster, with its kubeconfig in the folder; nothing where it is up already."""
    kubeconfig = folder / "kubeconfig"
    if kubeconfig.exists():
        raise LocalClusterError(f"{folder} holds a cluster already; make cluster-down ends it")
    way = way or choose()
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    if way == "kind":
        _run("kind", "create", "cluster", "--name", NAME, "--kubeconfig", str(kubeconfig), "--wait", "120s")
    elif way == "k3d":
        _run("k3d", "cluster", "create", NAME, "--kubeconfig-update-default=false", "--wait")
        kubeconfig.write_text(_run("k3d", "kubeconfig", "get", NAME), encoding="utf-8")
    else:
        with _ended_on_failure(folder):
            Plane(folder).up(nodes)
    (folder / "way").write_text(way, encoding="utf-8")
    _say(f"up in {time.monotonic() - started:.0f} s, by {way}. Next:\n  export KUBECONFIG={kubeconfig}")


def load(folder: Path, image: str) -> None:
    """Make an image of this machine's Docker known to the cluster."""
    way = (folder / "way").read_text(encoding="utf-8") if (folder / "way").exists() else "none"
    if way == "kind":
        _run("kind", "load", "docker-image", image, "--name", NAME)
    elif way == "k3d":
        _run("k3d", "image", "import", image, "--cluster", NAME)
    else:
        raise LocalClusterError(
            f"the cluster in {folder} ({way}) runs no containers: make run starts the operator here"
        )


def account(folder: Path) -> None:
    """A kubeconfig of the account that the chart made for the operator, on the cluster of KUBECONFIG. `make run`
    starts the operator with it: by the chart's admission policies an administrator may not write Loans.
    """
    kubectl = str(find("kubectl"))
    seen = json.loads(_run(kubectl, "config", "view", "--minify", "--flatten", "-o", "json"))
    token = _run(kubectl, "create", "token", NAME, "--namespace", NAME, "--duration=24h").strip()
    seen["users"] = [{"name": NAME, "user": {"token": token}}]
    seen["contexts"] = [{"name": NAME, "context": {"cluster": seen["clusters"][0]["name"], "user": NAME}}]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "operator.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps({**seen, "current-context": NAME}, indent=2), encoding="utf-8")


def down(folder: Path) -> None:
    """End what ``up`` started, and nothing else; logs remain."""
    way = (folder / "way").read_text(encoding="utf-8") if (folder / "way").exists() else "programs"
    if way == "kind":
        _run("kind", "delete", "cluster", "--name", NAME)
    elif way == "k3d":
        _run("k3d", "cluster", "delete", NAME)
    else:
        Plane(folder).down()
    for name in ("kubeconfig", "operator.kubeconfig", "way"):
        (folder / name).unlink(missing_ok=True)


class Plane:
    """A control plane of plain processes, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes = folder / "processes.json"
        self.kubeconfig = folder / "kubeconfig"

    def up(self, nodes: int) -> None:
        """Start all of it, in the order in which one needs the other."""
        for old in ("etcd", "certificates"):
            shutil.rmtree(self.folder / old, ignore_errors=True)
        store, server = self._etcd(), _free_port()
        self._server(store, server)
        self._write_kubeconfig(server)
        self._until(lambda: self._kubectl("get", "--raw", "/readyz") == "ok", "the API server")
        self._controllers()
        self._kwok(nodes)
        self._until(lambda: self._ready_nodes() == nodes, f"{nodes} nodes")

    def _etcd(self) -> str:
        client, peer = (f"http://127.0.0.1:{_free_port()}" for _ in range(2))
        self._start(
            "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",  # what is lost with the machine was a trial
        )
        return client

    def _server(self, store: str, port: int) -> None:
        key, accounts = self.folder / "accounts.key", self.folder / "accounts.csv"
        _run("openssl", "genrsa", "-out", str(key), "2048")
        accounts.touch(mode=0o600)
        accounts.write_text(f"{secrets.token_urlsafe(32)},admin,admin,system:masters\n", encoding="utf-8")
        self._start(
            "kube-apiserver",
            f"--etcd-servers={store}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={self.folder / 'certificates'}",
            f"--token-auth-file={accounts}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
        )

    def _controllers(self) -> None:
        common = (f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--bind-address=127.0.0.1", *RATES)
        self._start(
            "kube-controller-manager",
            *common,
            f"--secure-port={_free_port()}",
            f"--service-account-private-key-file={self.folder / 'accounts.key'}",
        )
        self._start("kube-scheduler", *common, f"--secure-port={_free_port()}")

    def _kwok(self, nodes: int) -> None:
        self._start(
            "kwok",
            f"--kubeconfig={self.kubeconfig}",
            f"--config={Path(__file__).with_name('local_nodes.yaml').resolve()}",
            "--manage-all-nodes=true",
            "--node-lease-duration-seconds=40",
            f"--server-address=127.0.0.1:{_free_port()}",
        )
        made = {"apiVersion": "v1", "kind": "List", "items": [_node(index) for index in range(nodes)]}
        self._kubectl("apply", "-f", "-", given=json.dumps(made))

    def _write_kubeconfig(self, port: int) -> None:
        token = (self.folder / "accounts.csv").read_text(encoding="utf-8").partition(",")[0]
        authority = self.folder / "certificates" / "apiserver.crt"
        self._until(authority.exists, "the API server's certificate")
        cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(authority)}
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": NAME, "cluster": cluster}],
                    "users": [{"name": NAME, "user": {"token": token}}],
                    "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
                    "current-context": NAME,
                },
                indent=2,
            ),
            encoding="utf-8",
        )

    def _ready_nodes(self) -> int:
        path = "{range .items[*]}{.status.conditions[?(@.type=='Ready')].status}{' '}{end}"
        return self._kubectl("get", "nodes", "-o", f"jsonpath={path}").split().count("True")

    def _kubectl(self, *words: str, given: str | None = None) -> str:
        """What kubectl prints; nothing while the server does not answer."""
        command = [str(find("kubectl")), f"--kubeconfig={self.kubeconfig}", *words]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        if given is not None and done.returncode:
            raise LocalClusterError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout if done.returncode == 0 else ""

    def _start(self, program: str, *words: str) -> None:
        """A process in a session of its own, its output in a log."""
        with (self.folder / f"{program}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(find(program)), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        self.processes.write_text(json.dumps({**self._started(), program: process.pid}), encoding="utf-8")

    def _started(self) -> dict[str, int]:
        known: dict[str, int] = (
            json.loads(self.processes.read_text(encoding="utf-8")) if self.processes.exists() else {}
        )
        return known

    def _until(self, holds: Any, what: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not holds():
            ended = [name for name, pid in self._started().items() if not _runs(name, pid)]
            if ended or time.monotonic() > deadline:
                why = f"{ended[0]} ended" if ended else f"{what} did not come within {START_SECONDS:.0f} s"
                raise LocalClusterError(f"{why}; see {self.folder / (ended[0] if ended else 'kube-apiserver')}.log")
            time.sleep(0.2)

    def down(self) -> None:
        """End the processes, the last one first: each by its number, if it is still the program that was started."""
        for name, pid in reversed(self._started().items()):
            if _runs(name, pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS
        for name, pid in self._started().items():
            while _runs(name, pid) and time.monotonic() < deadline:
                time.sleep(0.1)
            if _runs(name, pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.processes.unlink(missing_ok=True)


@contextmanager
def _ended_on_failure(folder: Path) -> Iterator[None]:
    """Leave no process behind when the start fails or is interrupted."""
    try:
        yield
    except BaseException:
        down(folder)
        raise


def _runs(program: str, pid: int) -> bool:
    """Whether a process of that number is there, and still the program that was started."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # our own child that has ended
    try:
        command = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return Path(f"/proc/{pid}").exists()
    return program in command.stdout and "<defunct>" not in command.stdout


def _node(index: int) -> dict[str, Any]:
    name, amounts = f"node-{index}", {"cpu": "16", "memory": "64Gi", "pods": "500"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": name, "type": "kwok"},
        },
        "status": {"allocatable": amounts, "capacity": amounts},
    }


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _answers(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalClusterError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _say(words: str) -> None:
    sys.stdout.write(words + "\n")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["up", "load", "account", "down"])
    parser.add_argument("--dir", type=Path, default=Path("build/cluster"), help="kubeconfig, logs and data lie there")
    parser.add_argument("--nodes", type=int, default=3, help="of a control plane of plain processes")
    parser.add_argument("--with", dest="way", choices=["kind", "k3d", "programs"], help="default: what is there")
    parser.add_argument("--image", default="tidegate:0.1.0")
    given = parser.parse_args()
    folder = given.dir.resolve()
    try:
        if given.what == "up":
            up(folder, given.nodes, given.way)
        elif given.what == "load":
            load(folder, given.image)
        elif given.what == "account":
            account(folder)
        else:
            down(folder)
    except LocalClusterError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
