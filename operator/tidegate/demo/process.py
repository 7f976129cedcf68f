"""The real operator as a process of its own, with the settings of the demonstration."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType


class OperatorDiedError(RuntimeError):
    """The operator ended by itself; the message holds the end of its log."""


class Operator:
    """``with Operator(...)``: started, watched, and ended by SIGTERM."""

    def __init__(
        self,
        folder: Path,
        *,
        url: str,
        kubeconfig: Path,
        namespace: str | None,
        settings: dict[str, str],
        module: str = "tidegate.shell.app",
    ) -> None:
        """For one namespace, or for the whole cluster (None). ``settings`` are TIDEGATE_* variables without their
        prefix; nothing else of that prefix is passed on.
        """
        self._log = folder / "operator.log"
        scope = ("--all-namespaces",) if namespace is None else ("--namespace", namespace)
        self._command = [sys.executable, "-m", "kopf", "run", "-m", module, "--standalone", *scope]
        usual = {"API_URL": url, "NAMESPACES": namespace or "", "LISTEN_PROBES": "0", "LISTEN_METRICS": "0"}
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")},
            **{f"TIDEGATE_{name}": value for name, value in {**usual, **settings}.items()},
            "KUBECONFIG": str(kubeconfig),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Operator:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own arguments
                self._command, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def check(self) -> None:
        """Raise OperatorDiedError when it is no longer there."""
        if self._process is not None and self._process.poll() is not None:
            raise OperatorDiedError(f"the operator ended with code {self._process.returncode}:\n{self.last_words()}")

    def last_words(self, lines: int = 30) -> str:
        """The end of its log."""
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
