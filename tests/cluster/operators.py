"""Operator processes as a cluster would run them: started by module, killed without warning, started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from harness import ROOT


class Operator:
    """One process for one namespace, which is also where its Lease and its durable stop stand."""

    def __init__(
        self,
        namespace: str,
        name: str,
        kubeconfig: Path,
        folder: Path,
        *,
        whole_cluster: bool = False,
        also: tuple[str, ...] = (),
        **settings: str,
    ) -> None:
        """``also`` are namespaces beside its own. ``settings`` are more ``TIDEGATE_*`` variables, without the prefix.
        ``whole_cluster``: it watches all namespaces; its Lease stands in this one all the same.
        """
        self.whole_cluster = whole_cluster
        self._namespaces = (namespace, *also)
        self.namespace = namespace
        self.name = name
        self.log = folder / f"{namespace}-{name}.log"
        self.lives = 0
        self._kubeconfig = kubeconfig
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin a life; the log goes on."""
        assert not self.alive, f"{self.name} is running"
        self.lives += 1
        command = [sys.executable, "-m", "kopf", "run", "-m", "tidegate.shell.app"]
        command += ["--standalone"]
        ours = [f"--namespace={one}" for one in self._namespaces]
        command += ["--all-namespaces"] if self.whole_cluster else ours
        with self.log.open("ab") as log:
            log.write(f"==== life {self.lives}\n".encode())
            log.flush()
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment(), cwd=ROOT
            )

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL: nothing is cleaned up, the Lease stays taken."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, as a rollout does; killed when it does not end within 30 s."""
        try:
            self._end(signal.SIGTERM)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within 30 s of SIGTERM; {self.tail()}") from None

    def make_sure_it_ended(self) -> None:
        """For clean-up: whatever the scenario came to, no process outlives it."""
        if self.alive:
            self.kill()

    def tail(self, lines: int = 40) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([f"-- last of {self.log}:", *text[-lines:]])

    @property
    def identity(self) -> str:
        """What the holder of the Lease begins with while it is this one."""
        return f"{self.namespace}-{self.name}"

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(30)

    def _environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TIDEGATE_", "KUBERNETES_"))}
        return {
            **inherited,
            "PYTHONPATH": str(ROOT / "operator"),
            "PYTHONUNBUFFERED": "1",
            "KUBECONFIG": str(self._kubeconfig),
            "TIDEGATE_NAMESPACES": "" if self.whole_cluster else ",".join(self._namespaces),
            "TIDEGATE_OPERATOR_NAMESPACE": self.namespace,
            "TIDEGATE_IDENTITY": self.identity,
            "TIDEGATE_LISTEN_PROBES": "0",
            "TIDEGATE_LISTEN_METRICS": "0",
            **{f"TIDEGATE_{name}": value for name, value in self._settings.items()},
        }
