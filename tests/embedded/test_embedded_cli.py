"""``tidegate embedded`` as a process: says where it is, and stops when asked."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import yaml
from builders_embedded import API_VERSION, definition, show

COMMAND = [sys.executable, "-c", "import typer; from tidegate.cli.embedded import embedded; typer.run(embedded)"]


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_url_serves_what_was_applied_and_stops_cleanly(tmp_path: Path, asked: signal.Signals) -> None:
    manifests, kubeconfig = tmp_path / "manifests.yaml", tmp_path / "kubeconfig"
    manifests.write_text(yaml.safe_dump_all([definition(), show()]))
    options = ["--port", "0", "--apply", str(manifests), "--kubeconfig", str(kubeconfig)]
    process = subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        assert f"kubectl --server {url}" in process.stdout.readline()
        assert yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"] == url
        path = f"/apis/{API_VERSION}/namespaces/default/shows/friday"
        assert requests.get(url + path, timeout=10).json()["spec"]["phase"] == "Planned"
        process.send_signal(asked)
        out, err = process.communicate(timeout=10)
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        process.kill()
        process.communicate()


def test_a_port_that_is_taken_is_told_in_a_sentence() -> None:
    first = subprocess.Popen([*COMMAND, "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        port = first.stdout.readline().strip().rpartition(":")[2]
        second = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, timeout=20, check=False)
        assert second.returncode == 1
        assert f"cannot listen on port {port}" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        first.terminate()
        first.communicate(timeout=10)
