"""The quick start as the pages say it, typed on a cluster that `make cluster` makes of plain programs.

It needs no KUBECONFIG, but etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok, kubectl and openssl in
KUBEBUILDER_ASSETS or on PATH, and helm; it makes its cluster, and ends it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import local_cluster
import pytest

ROOT = Path(__file__).parents[2]
LACKING = [*local_cluster.missing(), *(() if shutil.which("helm") else ("helm",))]

pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=f"not found, CONTRIBUTING.md says how to get them: {', '.join(LACKING)}"),
    pytest.mark.timeout(900),
]

LEVELS = {"order-service": (4, 12), "storefront": (6, 15)}
"""Deployment: its own level, and what the sample's first minute needs, by hand: (3 x 500 + 120) x 1.3 / 250 and (5000 +
3000) x 1.3 / 900, a little more for the quantile."""


def commands(page: str) -> list[str]:
    """The lines of the page's quick start, without what is said beside them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    block = re.search(r"^```sh\n(make cluster.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert block is not None, page
    return [re.sub(r"\s+#.*$", "", line) for line in block[1].splitlines()]


@dataclass
class Trial:
    """A cluster of this test's own, with the operator of this clone."""

    folder: Path
    operator: subprocess.Popen[bytes] | None = None
    environ: dict[str, str] = field(default_factory=dict)

    def run(self, command: str) -> str:
        """One line as a shell takes it, from the root of the clone."""
        done = subprocess.run(["bash", "-ec", command], cwd=ROOT, env=self.environ, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def get(self, what: str) -> Any:
        return json.loads(self.run(f"kubectl get {what} --namespace shop -o json"))

    def until(self, seconds: float, holds: Any, what: str) -> float:
        """Seconds until something holds."""
        began = time.monotonic()
        while not holds():
            assert time.monotonic() - began < seconds, f"{what}: not within {seconds:.0f} s\n{self.log()}"
            time.sleep(1)
        return time.monotonic() - began

    def log(self) -> str:
        path = self.folder / "operator.log"
        return path.read_text(encoding="utf-8")[-3000:] if path.exists() else ""

    def levels(self) -> dict[str, tuple[int, int]]:
        """Deployment: (replicas asked for, ready)."""
        found = self.get("deployments")["items"]
        return {d["metadata"]["name"]: (d["spec"]["replicas"], d["status"].get("readyReplicas", 0)) for d in found}

    def verdict(self) -> tuple[str, str]:
        """(verdict, message) of the sale."""
        conditions = self.get("liveevent flash-sale").get("status", {}).get("conditions", [])
        found = next((c for c in conditions if c["type"] == "OnTime"), {"reason": "", "message": ""})
        told = self.run("kubectl get liveevents --all-namespaces").splitlines()
        return (told[1].split()[3] if len(told) > 1 else "", found["message"])


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """Up to the operator that runs; ended whatever happens."""
    folder = tmp_path_factory.mktemp("cluster")
    path = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("KUBEBUILDER_ASSETS", ""), os.environ["PATH"]]
    )
    environ = {
        **os.environ,
        "PATH": path,
        "KUBECONFIG": str(folder / "kubeconfig"),
        "PYTHONPATH": str(ROOT / "operator"),
    }
    made = Trial(folder, environ=environ)
    local_cluster.up(folder, 3, "programs")
    try:
        made.run(next(line for line in commands("README.md") if line.startswith("helm install")))
        local = f"{sys.executable} tests/cluster/local_cluster.py"
        made.run(f"{local} account --dir {folder}")
        with (folder / "operator.log").open("wb") as log:
            made.operator = subprocess.Popen(
                [sys.executable, "-m", "kopf", "run", "-m", "tidegate.shell.app", "--standalone", "--all-namespaces"],
                cwd=folder,
                env={**environ, "KUBECONFIG": str(folder / "operator.kubeconfig")},
                stdout=log,
                stderr=log,
            )
        yield made
    finally:
        if made.operator is not None:
            made.operator.send_signal(signal.SIGTERM)
            made.operator.wait(60)
        local_cluster.down(folder)


def test_readme_and_quick_start_type_the_same() -> None:
    def essence(page: str) -> list[str]:
        return [line for line in commands(page) if line.startswith(("helm", "tidegate", "kubectl"))]

    assert len(essence("README.md")) == 3
    assert essence("README.md") == essence("docs/quick-start.md")


def test_a_sale_in_minutes_is_ready_before_it_begins_and_everything_is_returned(trial: Trial) -> None:
    sample = next(line for line in commands("README.md") if line.startswith("tidegate sample"))
    assert "--in 5m " in sample
    trial.run(f'tidegate() {{ {sys.executable} -m tidegate.cli.main "$@"; }}; {sample.replace("5m", "150s")}')
    began = time.monotonic()
    took = trial.until(150, lambda: trial.verdict()[0] == "Ready", "the verdict")
    assert {name: level for name, (level, _) in trial.levels().items()} == {n: high for n, (_, high) in LEVELS.items()}
    trial.until(
        150 - (time.monotonic() - began), lambda: trial.levels() == {n: (h, h) for n, (_, h) in LEVELS.items()}, "pods"
    )
    loans = {one["spec"]["target"]["name"]: one["spec"] for one in trial.get("loans")["items"]}
    assert {name: loan["original"] for name, loan in loans.items()} == {n: own for n, (own, _) in LEVELS.items()}
    sys.stdout.write(f"Ready after {took:.0f} s, all pods {time.monotonic() - began:.0f} s after the sample\n")

    trial.run(f"{sys.executable} -m tidegate.cli.main release --all --now")
    assert {name: level for name, (level, _) in trial.levels().items()} == {n: own for n, (own, _) in LEVELS.items()}
    assert trial.get("loans")["items"] == []


def test_the_clusters_files_are_nobody_elses(trial: Trial) -> None:
    for name in ("kubeconfig", "operator.kubeconfig", "accounts.csv"):
        assert (trial.folder / name).stat().st_mode & 0o077 == 0, name


def test_a_second_cluster_in_the_same_place_is_refused(trial: Trial) -> None:
    with pytest.raises(local_cluster.LocalClusterError, match="holds a cluster already"):
        local_cluster.up(trial.folder, 1, "programs")


def test_what_is_started_is_ended(tmp_path: Path) -> None:
    local_cluster.up(tmp_path, 1, "programs")
    processes = json.loads((tmp_path / "processes.json").read_text())
    assert set(processes) == {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"}
    local_cluster.down(tmp_path)
    assert [pid for name, pid in processes.items() if local_cluster._runs(name, pid)] == []
    assert not (tmp_path / "kubeconfig").exists()
