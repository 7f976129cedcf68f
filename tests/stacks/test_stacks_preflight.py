"""What settings need of a cluster is asked before anything is registered, and all that is missing is said at once."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import pulumi  # noqa: E402
from test_stacks_checks import shipped  # noqa: E402
from test_stacks_projects import FILES, PROJECTS, STACKS, laid_in_order, outputs_of  # noqa: E402

from tidegate_stacks import checks, dry, preflight, together  # noqa: E402
from tidegate_stacks.cache import CacheArgs  # noqa: E402
from tidegate_stacks.database import DatabaseArgs  # noqa: E402
from tidegate_stacks.platform import AddonsArgs, ChartArgs  # noqa: E402
from tidegate_stacks.preflight import DEFAULT_CLASS, PreflightError, UnreachableError  # noqa: E402

BUILT_IN = ("apps", "autoscaling", "batch", "networking.k8s.io", "policy", "scheduling.k8s.io")


class Fake:
    """A cluster by its answers."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def get(self, path: str) -> Any:
        self.asked.append(path)
        return self.answers.get(path)


def node(name: str, *, ready: str = "True", labels: Any = None, taints: Any = (), closed: bool = False) -> Any:
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"taints": list(taints), "unschedulable": closed},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def nodes(*each: Any) -> Any:
    return {"/api/v1/nodes": {"items": list(each)}}


def storage(name: str, *, default: bool = False) -> Any:
    annotations = {DEFAULT_CLASS: "true"} if default else {}
    return {
        "/apis/storage.k8s.io/v1/storageclasses": {"items": [{"metadata": {"name": name, "annotations": annotations}}]}
    }


CNPG = {
    "/apis/postgresql.cnpg.io/v1": {"resources": [{"kind": kind} for kind in ("Cluster", "Pooler", "ScheduledBackup")]}
}
WHOLE = {**CNPG, **nodes(node("a"), node("b"), node("c")), **storage("standard", default=True)}


def database(**changed: Any) -> dict[str, Any]:
    given = {"namespace": "shop", "data_gib": 1, "normal": 1, "peak": 2, "policy": None, "backup": BACKUP, **changed}
    return {"database": checks.load(DatabaseArgs, given, "config.database")}


BACKUP = {"snapshot_class": "snapshots"}
SNAPSHOTS = {"/apis/snapshot.storage.k8s.io/v1": {"resources": [{"kind": "VolumeSnapshotClass"}]}}


def cache(**changed: Any) -> dict[str, Any]:
    given = {"namespace": "shop", "data_gib": 1, "normal": 1, "peak": 2, "policy": None, **changed}
    return {"cache": checks.load(CacheArgs, given, "config.cache")}


def findings(sections: Any, answers: Any, **more: Any) -> list[str]:
    return preflight.findings(preflight.needs(sections, **more), Fake(answers))


def test_a_cluster_that_has_all_of_it_is_told_nothing() -> None:
    assert findings(database(), {**WHOLE, **SNAPSHOTS}) == []
    preflight.check(None, database(), cluster=Fake({**WHOLE, **SNAPSHOTS}))


def test_everything_that_a_cluster_lacks_is_said_at_once() -> None:
    sections = {
        **database(storage_class="fast", priority="serving"),
        **cache(nodes={"pool": "hangzhou-a"}, image="registry.example/valkey:8"),
    }
    answers = {**nodes(node("a"), node("b", closed=True)), **storage("slow")}
    with pytest.raises(PreflightError) as refused:
        preflight.check(True, sections, cluster=Fake(answers))
    assert refused.value.findings == [
        "config.cache.image: registry.example/valkey:8 stands for an image of yours: name it",
        "config.database: the cluster does not serve Cluster of postgresql.cnpg.io/v1: install what brings it first",
        "config.database: the cluster does not serve Pooler of postgresql.cnpg.io/v1: install what brings it first",
        (
            "config.database.backup: the cluster does not serve ScheduledBackup of postgresql.cnpg.io/v1: install what"
            " brings it first"
        ),
        (
            "config.database.backup.snapshot_class: the cluster does not serve VolumeSnapshotClass of"
            " snapshot.storage.k8s.io/v1: install what brings it first"
        ),
        "config.cache.nodes: none of 1 nodes bears pool=hangzhou-a: kubectl label node NAME pool=hangzhou-a",
        "config.database.instances: 3 pods need a node each, and 1 nodes take pods: lower it or add nodes",
        "config.cache.apart: 2 pods need a node each, and 1 nodes take pods: lower it or add nodes",
        "config.database.storage_class: the cluster has no StorageClass fast (there: slow)",
        "config.cache.storage_class: the cluster has no default StorageClass: name one (there: slow)",
        "config.database.priority: the cluster has no PriorityClass serving",
    ]


@pytest.mark.parametrize(
    "unusable",
    [
        node("x", labels={"pool": "a"}, ready="False"),
        node("x", labels={"pool": "a"}, closed=True),
        node("x", labels={"pool": "a"}, taints=[{"effect": "NoSchedule"}]),
        node("x", labels={"pool": "b"}),
    ],
)
def test_a_node_that_takes_no_pods_does_not_count(unusable: Any) -> None:
    sections = cache(nodes={"pool": "a"}, apart=False)
    there = storage("standard", default=True)
    assert findings(sections, {**there, **nodes(node("good", labels={"pool": "a"}))}) == []
    assert len(findings(sections, {**there, **nodes(unusable)})) == 1


def test_what_the_program_brings_itself_is_not_asked_for() -> None:
    sections = {**database(), "addons": AddonsArgs(cloudnative_pg=ChartArgs(version="0.29.0"))}
    brings = preflight.brought(sections)
    answers = {name: answer for name, answer in {**WHOLE, **SNAPSHOTS}.items() if "cnpg" not in name}
    assert findings(sections, answers, brings=brings) == []
    assert findings(database(priority="mine"), {**WHOLE, **SNAPSHOTS}, makes=["mine"]) == []


def test_a_value_that_is_known_only_later_is_not_asked_for() -> None:
    def program() -> list[str]:
        return findings(cache(priority=pulumi.Output.from_input("later")), {**WHOLE})

    assert ground.lay(program)[0] == []


def test_what_lies_in_another_cluster_is_not_asked_of_this_one() -> None:
    site = {"name": "far", "normal_mbps": 1, "peak_mbps": 2, "nodes": {"site": "far"}}
    given = shipped()["cdn"] | {"namespace": "shop", "policy": None}
    near = checks.load(together.CdnArgs, {**given, "sites": [site]}, "config.cdn")
    assert len(findings({"cdn": near}, nodes(node("a")))) == 1
    far = {**site, "kubeconfig": "clusters: []"}
    tls, public = {"secret": "tls"}, {"source_ranges": ["10.0.0.0/8"]}
    way_in = {"kind": "load-balancer"}
    shield = {**given["shield"], "public": public}
    away = {**given, "sites": [far], "tls": tls, "shield": shield, "way_in": way_in}
    assert findings({"cdn": checks.load(together.CdnArgs, away, "config.cdn")}, nodes(node("a"))) == []


@pytest.mark.parametrize("settings", FILES)
def test_every_kind_that_a_project_makes_is_asked_for_or_brought(settings: str) -> None:
    """A new kind in a component is asked for too: the table cannot fall behind."""
    made = laid_in_order(settings)
    kinds = {
        f"{one.inputs['apiVersion']} {one.kind}"
        for found in made.values()
        for one in found.objects
        if "/" in one.inputs["apiVersion"] and one.inputs["apiVersion"].partition("/")[0] not in BUILT_IN
    }
    assert kinds
    assert kinds <= set(needed_kinds(settings))


def needed_kinds(settings: str) -> dict[str, str]:
    config = dry.config_of(STACKS / "all-in-one", settings)
    given = {key.partition(":")[2]: value for key, value in config.items()}
    sections = {name: json.loads(given[name]) for name in together.SECTIONS if name in given}
    read = together.read(sections, namespace="shop", protect=True)
    return preflight.needs(together.sections_of(read)).kinds


@pytest.mark.parametrize("project", PROJECTS)
def test_every_program_asks_before_it_registers_anything(project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any, **_more: Any) -> None:
        raise PreflightError(["config.x: nothing is there"])

    stacks = outputs_of(laid_in_order("dev"))
    monkeypatch.setattr(preflight, "check", refuse)
    registered: list[Any] = []
    monkeypatch.setattr(dry, "Registered", lambda **facts: registered.append(facts))
    with pytest.raises(PreflightError, match="nothing is there"):
        dry.run(STACKS / project, "dev", stacks=stacks)
    assert registered == []


# ---- how the cluster is asked


def test_without_an_engine_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("asked")

    monkeypatch.setattr(preflight, "_configured", never)
    ground.lay(lambda: preflight.check(True, database()))


def test_a_stack_may_say_that_nothing_is_asked() -> None:
    cluster = Fake({})
    preflight.check(False, database(), cluster=cluster)
    assert cluster.asked == []


def test_a_cluster_that_does_not_answer_is_a_warning() -> None:
    class Silent:
        def get(self, path: str) -> Any:
            raise UnreachableError("connection refused")

    said: list[str] = []
    preflight.check(True, database(), cluster=Silent(), warn=said.append)
    assert said == ["preflight: nothing was checked, the cluster cannot be asked: connection refused"]


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kubectl that keeps its arguments and answers by the path that it is asked for."""
    program = tmp_path / "kubectl"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nfor path; do :; done\n'
        f'case "$*" in *--kubeconfig=*) f=${{1#--kubeconfig=}}; cat "$f" > {tmp_path}/seen;; esac\n'
        'case "$path" in /there) echo "{\\"kind\\": \\"Yes\\"}";;\n'
        '/gone) echo "Error from server (NotFound): nothing" >&2; exit 1;;\n'
        '*) echo "The connection was refused" >&2; exit 1;; esac\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path


def test_kubectl_is_asked_with_a_bound_and_its_answers_are_told_apart(kubectl: Path) -> None:
    cluster = preflight.Kubectl(["--context=blue"])
    assert cluster.get("/there") == {"kind": "Yes"}
    assert cluster.get("/gone") is None
    with pytest.raises(UnreachableError, match="refused"):
        cluster.get("/else")
    assert (kubectl / "asked").read_text().splitlines()[0] == "--context=blue get --request-timeout=5s --raw /there"


def test_the_provider_s_kubeconfig_and_context_are_used_and_its_contents_leave_no_file(kubectl: Path) -> None:
    from contextlib import ExitStack

    contents = "clusters: [{name: one}]"

    def program() -> Any:
        pulumi.runtime.set_all_config({"kubernetes:kubeconfig": contents, "kubernetes:context": "blue"})
        with ExitStack() as stack:
            return preflight._configured(stack).get("/there")

    assert ground.lay(program)[0] == {"kind": "Yes"}
    command = (kubectl / "asked").read_text().split()
    assert command[1] == "--context=blue"
    assert (kubectl / "seen").read_text() == contents
    assert not Path(command[0].removeprefix("--kubeconfig=")).exists()


def test_a_kubeconfig_that_is_cut_short_is_not_taken_for_a_path(kubectl: Path) -> None:
    from contextlib import ExitStack

    with ExitStack() as stack:
        assert "token" not in preflight._file("users:\n- user: {token: abc}\n", stack)


def test_without_kubectl_nothing_is_checked_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "mocked", lambda: False)
    monkeypatch.setenv("PATH", "/nowhere")
    said: list[str] = []
    preflight.check(True, database(), warn=said.append)
    assert said == ["preflight: nothing was checked, the cluster cannot be asked: there is no kubectl on PATH"]
