"""``make ground``: what it counts, what it writes, and what it says where something is missing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import yaml  # noqa: E402
from samples import EACH, as_it_is  # noqa: E402

from tidegate_stacks import dry, show  # noqa: E402
from tidegate_stacks.tally import GIB, Prices, Takes, rows, takes, total  # noqa: E402


def template(cpu: str, memory: str) -> Any:
    return {"spec": {"containers": [{"resources": {"requests": {"cpu": cpu, "memory": memory}}}] * 2}}


CLAIM = {"spec": {"resources": {"requests": {"storage": "5Gi"}}}}
DATABASE = {
    "instances": 3,
    "storage": {"size": "10Gi"},
    "walStorage": {"size": "2Gi"},
    "resources": {"requests": {"cpu": "1", "memory": "2Gi"}},
}


@pytest.mark.parametrize(
    ("given", "unit", "count"),
    [
        (
            {"kind": "Deployment", "spec": {"replicas": 4, "template": template("500m", "1Gi")}},
            Takes(1, 1000, 2 * GIB),
            4,
        ),
        ({"kind": "Deployment", "spec": {"template": template("1", "1Gi")}}, Takes(1, 2000, 2 * GIB), None),
        (
            {
                "kind": "StatefulSet",
                "spec": {"replicas": 2, "template": template("1", "1Gi"), "volumeClaimTemplates": [CLAIM]},
            },
            Takes(1, 2000, 2 * GIB, 5 * GIB),
            2,
        ),
        ({"kind": "Job", "spec": {"parallelism": 3, "template": template("1", "1Gi")}}, Takes(1, 2000, 2 * GIB), 3),
        ({"kind": "Cluster", "spec": DATABASE}, Takes(1, 1000, 2 * GIB, 12 * GIB), 3),
        ({"kind": "Service", "spec": {}}, Takes(), 0),
    ],
)
def test_what_one_pod_takes_and_how_many_there_are(given: Any, unit: Takes, count: int | None) -> None:
    assert takes(given) == (unit, count)


@pytest.mark.parametrize("name", ["batch", "cache", "database", "edge", "live"])
def test_a_row_counts_every_object_and_stands_where_the_objects_say(name: str) -> None:
    found = ground.lay(lambda: EACH[name]("one", as_it_is))[1]
    (row,) = rows(found)
    assert len(row.objects) == len(found.objects)
    targets = [one for obj in found.objects if obj.kind == "ScalingPolicy" for one in obj.inputs["spec"]["targets"]]
    assert row.targets == len(targets)
    if targets:
        fixed = row.most.pods - sum(one["max"] for one in targets)
        assert row.standing.pods == fixed + sum(one["min"] for one in targets)
        assert row.most.cpu_millis > row.standing.cpu_millis > 0
    else:
        assert row.most == row.standing


def test_prices_count_cores_memory_and_storage() -> None:
    takes_this = Takes(1, 2000, 4 * GIB, 730 * GIB)
    assert Prices(core_hour=0.03, gib_hour=0.01, storage_gib_month=0.1).an_hour(takes_this) == pytest.approx(0.2)
    assert not Prices().given


def test_the_total_is_the_sum_of_the_rows() -> None:
    each = rows(dry.run(show.STACKS / "all-in-one", "dev"))
    together = total(each)
    assert together.standing.pods == sum(row.standing.pods for row in each)
    assert len(together.objects) == sum(len(row.objects) for row in each)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command in an empty folder; gives what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        assert show.main(arguments) == 0
        return capsys.readouterr().out

    return run


def test_the_trial_settings_are_shown_and_every_object_lies_in_build_ground(told: Any, tmp_path: Path) -> None:
    said = told("--project", "all-in-one", "--settings", "dev")
    for component in ("database", "cache", "live", "cdn", "batch", "events"):
        assert f"\n {component} " in said, said
    files = sorted((tmp_path / "build/ground/all-in-one-dev").glob("*.yaml"))
    written = [one for path in files for one in yaml.safe_load_all(path.read_text(encoding="utf-8"))]
    registered = [one.inputs for one in dry.run(show.STACKS / "all-in-one", "dev").objects]
    assert [one for one in registered if one not in written] == []
    assert "an hour" not in said, "no price was given"


def test_a_project_that_reads_others_is_shown_and_priced(told: Any, tmp_path: Path) -> None:
    said = told("--project", "events", "--settings", "prod", "--core-hour", "0.03")
    assert "an hour" in said
    (path,) = (tmp_path / "build/ground/events-prod").glob("*.yaml")
    policy = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {target["stage"]["name"] for target in policy["spec"]["targets"]} >= {"cache", "database", "edge"}


def test_what_an_earlier_run_wrote_does_not_stay(told: Any, tmp_path: Path) -> None:
    old = tmp_path / "build/ground/platform-dev/gone.yaml"
    old.parent.mkdir(parents=True)
    old.write_text("kind: Gone\n")
    told("--project", "platform")
    assert not old.exists()


@pytest.mark.skipif(not shutil.which("helm"), reason="needs helm on PATH")
def test_the_operator_s_chart_is_counted_where_helm_is_there(told: Any) -> None:
    (line,) = [one for one in told("--project", "platform").splitlines() if one.startswith(" tidegate ")]
    assert "chart" not in line
    assert int(line.split()[1]) > 5


def test_settings_that_are_not_there_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert show.main(["--settings", "staging"]) == 2
    assert "Pulumi.staging.yaml is not there" in capsys.readouterr().err
