"""Blocks of docs/backtest.md that need a Prometheus: what their commands print, one after the other in one folder.

python tests/backtest/transcripts.py            writes them

``docs/generate.py`` sees to the others. Output is shown under the last line of its command; what is started with ``&``
is waited for, and ended with the block.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "backtest.md"
BLOCK = re.compile(r"^```console\n(\$ (?!tidegate)[^\n]+\n.*?)^```$", re.DOTALL | re.MULTILINE)
PORT = "9090"
"""Of the page's Prometheus; here a free one takes its place."""
STARTS_WITHIN = 60.0


def with_transcripts(text: str, port: int) -> str:
    """The page with what its commands print now."""
    return BLOCK.sub(lambda found: f"```console\n{_played(found[1], port)}```", text)


def commands_of(block: str) -> Iterator[str]:
    """The commands of a block, as they are typed."""
    lines = iter(block.splitlines())
    for line in lines:
        if line.startswith("$ "):
            typed = [line]
            while typed[-1].endswith("\\"):
                typed.append(next(lines))
            yield "\n".join(typed)


def _played(block: str, port: int) -> str:
    told = ""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "examples").symlink_to(ROOT / "examples")
        started: list[subprocess.Popen[bytes]] = []
        try:
            for typed in commands_of(block):
                command = typed.removeprefix("$ ").replace(PORT, str(port))
                told += f"{typed}\n"
                if command.endswith("&"):
                    started.append(_start(command.removesuffix("&"), place, port))
                else:
                    told += _said(command, place)
        finally:
            for process in started:
                process.terminate()
                process.wait(60)
    return told


def _said(command: str, place: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=place,
        env=_environment(place),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.strip("\n").splitlines())


def _start(command: str, place: Path, port: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(["bash", "-c", f"exec {command}"], cwd=place, env=_environment(place))
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5):
                return process
        except OSError:
            time.sleep(0.2)
    process.kill()
    raise TimeoutError(f"{command} was not ready within {STARTS_WITHIN:g} s: {(place / 'prometheus.log').read_text()}")


def _environment(place: Path) -> dict[str, str]:
    """As a reader's shell, with ``tidegate`` on PATH."""
    program = place / "bin" / "tidegate"
    if not program.exists():
        program.parent.mkdir()
        start = "from tidegate.cli.main import app; app(prog_name='tidegate')"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{start}" "$@"\n')
        program.chmod(0o755)
    plain = {"TYPER_USE_RICH": "0", "COLUMNS": "120", "NO_COLOR": "1", "PYTHONPATH": str(ROOT / "operator")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "KUBECONFIG"))}
    return kept | plain | {"PATH": f"{program.parent}:{kept['PATH']}"}


if __name__ == "__main__":
    sys.path.append(str(ROOT / "tests" / "metrics"))
    from real_prometheus import free_port

    PAGE.write_text(with_transcripts(PAGE.read_text(encoding="utf-8"), free_port()), encoding="utf-8")
