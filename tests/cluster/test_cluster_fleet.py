"""A backtest of many traces on a fleet: the Job of the examples, on a real API server with its Job controller.

No container runs there: what each pod would be started with is run here, as the kubelet would put it together.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from harness import ROOT, Cluster, Json, eventually, tool
from typer.testing import CliRunner

from tidegate.cli.main import app

MANIFEST = ROOT / "examples" / "fleet" / "backtest-job.yaml"
QUICK = ["--policies", "hpa,human", "--lags", "60", "--step", "60"]
"""In place of what the Job plays beside: what is asked here is who plays which trace."""

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not os.environ.get("KUBECONFIG"), reason="needs a real API server: set KUBECONFIG"),
    pytest.mark.skipif(tool("kubectl") is None, reason="needs kubectl, in $TIDEGATE_TOOLS/bin or on PATH"),
]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster(os.environ["KUBECONFIG"])
    made.open()
    yield made
    made.close()


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace that takes only pods of the standard ``restricted``."""
    name = cluster.namespace("fleet")
    strict = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    cluster.send("PATCH", f"api/v1/namespaces/{name}", strict, form="application/merge-patch+json")
    yield name
    cluster.drop_namespace(name)


def traces(folder: Path, count: int) -> Path:
    """So many traces, and the events of one of them."""
    for number in range(count):
        rows = [f"2020-05-04T{h:02}:{m:02}:00Z,{100 + 800 * (h == number)}" for h in range(5) for m in range(60)]
        (folder / f"shop{number}_orders.csv").write_text("timestamp,value\n" + "\n".join(rows) + "\n")
    (folder / "shop1_events.csv").write_text("start,end\n2020-05-04T01:00:00Z,2020-05-04T02:00:00Z\n")
    return folder


def started_with(pod: Json) -> list[str]:
    """The arguments of a pod's container, as the kubelet expands them."""
    (container,) = pod["spec"]["containers"]
    known: dict[str, str] = {}
    for one in container.get("env", []):
        field = one.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
        found = re.fullmatch(r"metadata\.(annotations|labels)\['(.+)'\]", field)
        known[one["name"]] = pod["metadata"][found[1]][found[2]] if found else one["value"]
    words = [*container["command"], *container["args"]]
    return [re.sub(r"\$\((\w+)\)", lambda found: known.get(found[1], found[0]), word) for word in words]


def rows_of(*arguments: str) -> list[str]:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return [json.dumps(row) for row in json.loads(done.stdout)]


def test_the_server_takes_the_job_to_the_letter(cluster: Cluster, namespace: str) -> None:
    taken = ["create", "--dry-run=server", "--validate=strict", "-n", namespace, "-f", str(MANIFEST)]
    done = cluster.run("kubectl", *taken)
    assert "job.batch/backtest created (server dry run)" in done.stdout
    assert "arning" not in done.stderr, done.stderr


def test_its_pods_play_every_row_once(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    job = yaml.safe_load(MANIFEST.read_text())
    count = job["spec"]["completions"]
    folder = traces(tmp_path, count)
    cluster.run("kubectl", "create", "configmap", "traces", "-n", namespace, f"--from-file={folder}")
    cluster.create({**job, "metadata": {**job["metadata"], "namespace": namespace}})

    def pods() -> list[Json]:
        found: list[Json] = cluster.list("Pod", namespace)["items"]
        return found if len(found) >= count else []

    made = eventually(pods, 60, f"the Job's {count} pods are made")
    commands = [started_with(pod) for pod in made]
    assert [command[:3] for command in commands] == [["tidegate", "backtest", "suite"]] * count
    shards = [one for command in commands for one in command if one.startswith("--shard=")]
    assert sorted(shards) == [f"--shard={index}/{count}" for index in range(count)]

    given = ["backtest", "suite", f"--traces={folder}", *QUICK]
    parts = [rows_of(*given, shard) for shard in shards]
    assert all(parts), "each pod has a trace"
    assert sorted(row for part in parts for row in part) == sorted(rows_of(*given))
