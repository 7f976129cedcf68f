"""``tidegate embedded`` as a process: says where it is, and stops when asked."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
import yaml
from builders_embedded import API_VERSION, definition, deployment, show
from typer.testing import CliRunner

from tidegate.cli.main import app

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


def test_it_shows_pods_on_labelled_machines_when_asked(tmp_path: Path) -> None:
    manifests = tmp_path / "manifests.yaml"
    manifests.write_text(yaml.safe_dump_all([deployment(replicas=3, start=0.0, cpu="3")]))
    machines = ["--nodes", "2", "--node-cpu", "4", "--node-memory", "8Gi", "--node-label", "pool=a", "--show-pods"]
    command = [*COMMAND, "--port", "0", "--apply", str(manifests), *machines]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        pods, phases = [], []
        for _ in range(100):
            pods = requests.get(f"{url}/api/v1/pods", timeout=10).json()["items"]
            phases = sorted(pod["status"]["phase"] for pod in pods)
            if len(phases) == 3:
                break
            time.sleep(0.05)
        assert phases == ["Pending", "Running", "Running"]
        nodes = requests.get(f"{url}/api/v1/nodes?labelSelector=pool=a", timeout=10).json()["items"]
        assert [node["status"]["allocatable"]["memory"] for node in nodes] == ["8Gi"] * 2
        assert {pod["spec"]["nodeName"] for pod in pods if "nodeName" in pod["spec"]} == {
            node["metadata"]["name"] for node in nodes
        }
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--show-pods"], "needs --nodes"),
        (["--nodes", "1", "--node-label", "pool"], "must be name=value"),
        (["--nodes", "1", "--node-memory", "plenty"], "must be a quantity such as 128Gi"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_words(options: list[str], told: str) -> None:
    refused = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=20, check=False)
    assert refused.returncode == 2
    assert told in refused.stderr


BAD: dict[str, tuple[str, str]] = {
    "no YAML": ("a: [", "--apply: FILE: line 1, column"),
    "no object": ("just words", "--apply: FILE: document 1: is no object; give apiVersion, kind and metadata.name"),
    "no name": ("{apiVersion: v1, kind: ConfigMap}", "--apply: FILE: document 1: is no object"),
    "a kind that is not served": (
        "{apiVersion: v1, kind: Moon, metadata: {name: x}}",
        '--apply: FILE: document 1, Moon x: no matches for kind "Moon" in version "v1"',
    ),
    "a list for a map": (
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: [a]}}",
        "--apply: FILE: document 1, ConfigMap x: is not built as its kind is",
    ),
}


def refused(*options: str) -> str:
    """What it says on standard error and ends with 2."""
    done = CliRunner().invoke(app, ["embedded", "--port", "0", *options])
    assert done.exit_code == 2, (done.exception, done.output)
    return done.stderr


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD)
def test_a_file_that_cannot_be_applied_is_told_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    assert refused("--apply", str(file)).startswith(says.replace("FILE", str(file)))
    assert (
        refused("--apply", str(tmp_path / "none.yaml")) == f"--apply: {tmp_path}/none.yaml: No such file or directory\n"
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--port", "99999"),
        ("--nodes", "-3"),
        ("--node-cpu", "0"),
        ("--machine-seconds", "-1"),
        ("--creation-rate", "0"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(tmp_path: Path, option: str, value: str) -> None:
    """Whoever takes it serves for no longer than until the kubeconfig cannot be written."""
    assert f"'{option}'" in refused(option, value, "--kubeconfig", str(tmp_path / "none" / "config"))


def test_a_kubeconfig_that_cannot_be_written_ends_it_in_words(tmp_path: Path) -> None:
    place = tmp_path / "none" / "config"
    assert refused("--kubeconfig", str(place)) == (
        f"--kubeconfig: {place}: No such file or directory; give a file that may be written\n"
    )
