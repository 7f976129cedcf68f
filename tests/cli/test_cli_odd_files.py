"""``plan`` and ``explain`` on odd files: what was left out is never passed over with "nothing will be done"."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from tidegate.cli.main import app
from tidegate.cli.manifests import read_documents

POLICY = """\
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: core, namespace: shop}
spec:
  targets:
    - name: orders
      ref: {apiVersion: apps/v1, kind: Deployment, name: orders}
      capacity: {orders: 100}
      min: 2
      max: 50
"""
EVENT = """\
apiVersion: tidegate.dev/v1alpha1
kind: LiveEvent
metadata: {name: show, namespace: shop}
spec:
  schedule: {startTime: "2026-11-10T00:00:00", timeZone: UTC, durationSeconds: 3600}
  expected: {orders: 1000}
  policyRef: {name: core}
"""
NOW = ("--at", "2026-11-09T12:00:00Z")


def run(command: str, path: Path, *more: str) -> Result:
    words = ("explain", "core", "orders") if command == "explain" else (command,)
    return CliRunner().invoke(app, [*words, str(path), *(() if command == "validate" else NOW), *more])


def written(folder: Path, text: str) -> Path:
    path = folder / "objects.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n---\n", "hello\n", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n", EVENT],
    ids=["empty", "comments", "a word", "another kind", "no policy"],
)
def test_a_plan_of_no_policy_does_not_say_that_nothing_will_be_done(tmp_path: Path, text: str) -> None:
    result = run("plan", written(tmp_path, text))
    assert result.exit_code == 1
    assert "Nothing will be done" not in result.stdout
    assert "There is no ScalingPolicy that can be planned" in result.stdout


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (EVENT.replace("UTC", "Mars/Olympus"), 'LiveEvent/show: spec.schedule.timeZone: "Mars/Olympus"'),
        (EVENT.replace("kind: LiveEvent", "kind: LiveEvents"), 'LiveEvents/show: kind: "LiveEvents" is no kind'),
        (EVENT.replace("kind: LiveEvent\n", ""), "kind is missing"),
        (EVENT.replace("{name: show, namespace: shop}", "[show]"), "LiveEvent/?: metadata: is missing"),
    ],
    ids=["an invalid field", "a kind that is misspelt", "no kind", "metadata that is a list"],
)
@pytest.mark.parametrize("command", ["plan", "explain"])
def test_an_object_that_was_left_out_is_told_in_each_format_and_by_the_exit_code(
    tmp_path: Path, command: str, wrong: str, says: str
) -> None:
    path = written(tmp_path, f"{POLICY}---\n{wrong}")
    people, machine = run(command, path), run(command, path, "-o", "json")
    assert (people.exit_code, machine.exit_code) == (1, 1)
    assert f"{says}" in people.stderr
    assert says in " ".join(json.loads(machine.stdout)["leftOut"])


@pytest.mark.parametrize("status", ["7", "{zoneData: [1]}", "{zoneData: 5}", "[1]"])
def test_a_status_that_is_anything_at_all_costs_no_plan(tmp_path: Path, status: str) -> None:
    path = written(tmp_path, f"{POLICY}status: {status}\n---\n{EVENT}")
    assert [run(command, path).exit_code for command in ("plan", "explain")] == [0, 0]


def test_an_object_that_is_given_twice_is_said(tmp_path: Path) -> None:
    result = run("plan", written(tmp_path, f"{POLICY}---\n{EVENT}---\n{EVENT}"))
    assert "LiveEvent shop/show is given 2 times: the last one counts" in result.stderr


def test_a_name_that_cannot_be_printed_is_shown_all_the_same(tmp_path: Path) -> None:
    result = run("validate", written(tmp_path, EVENT.replace("{name: show,", '{name: "a\\ud800",')))
    assert (result.exit_code, "LiveEvent/a\\ud800" in result.stdout) == (1, True)


@pytest.mark.parametrize(
    ("metadata", "path"),
    [
        ("{name: Show, namespace: shop}", "metadata.name"),
        ("{name: show 1, namespace: shop}", "metadata.name"),
        ("{name: show, namespace: my.shop}", "metadata.namespace"),
        (f"{{name: {'a' * 254}, namespace: shop}}", "metadata.name"),
    ],
)
def test_a_name_that_no_api_server_stores_is_refused(tmp_path: Path, metadata: str, path: str) -> None:
    result = run("validate", written(tmp_path, EVENT.replace("{name: show, namespace: shop}", metadata)))
    assert (result.exit_code, f"{path}: " in result.stdout, "is not a valid name" in result.stdout) == (1, True, True)


def test_lists_within_lists_are_taken_apart(tmp_path: Path) -> None:
    inner = {"apiVersion": "v1", "kind": "List", "items": [yaml.safe_load(POLICY), yaml.safe_load(EVENT)]}
    path = written(tmp_path, json.dumps({"apiVersion": "v1", "kind": "List", "items": [inner]}))
    assert [document.kind for document in read_documents([path])] == ["ScalingPolicy", "LiveEvent"]


def test_a_list_that_holds_itself_is_refused_in_words(tmp_path: Path) -> None:
    result = run(
        "validate", written(tmp_path, "apiVersion: v1\nkind: List\nitems: &all\n- kind: List\n  items: *all\n")
    )
    assert (result.exit_code, "is not YAML that can be read" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:00:00", "1:00:00"),
        ("190:20:30.15", "190:20:30.15"),
        ("2026-11-10T00:00:00", "2026-11-10T00:00:00"),
        ("1e3", 1000),
        ("1.5e3", 1500),
        ("2.5", 2.5),
        ("0777", 511),
        ("0o777", 511),
        ("5_000", 5000),
        ("08", "08"),
    ],
)
def test_numbers_are_read_as_kubectl_reads_them(tmp_path: Path, text: str, value: object) -> None:
    found = next(read_documents([written(tmp_path, f"value: {text}\n")])).content["value"]
    assert (found, type(found)) == (value, type(value))


UNFOLDED = "\n".join(["a0: &a0 [word]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 11)])
LISTS = "\n".join(
    ["a0: &a0 {kind: List, items: [{}]}"]
    + [f"a{i}: &a{i} {{kind: List, items: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 10)]
)
MERGED = "\n".join(
    ["a0: &a0 {k: 1}"] + [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}], k{i}: 1}}" for i in range(1, 10)]
)


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        (f"{UNFOLDED}\n{EVENT.replace('LiveEvent', '*a10')}", 1, "kind: is missing"),
        (
            f"{UNFOLDED}\n{EVENT.replace('LiveEvent', 'Live').replace('tidegate.dev/v1alpha1', '*a10')}",
            1,
            "nothing was",
        ),
        (f"{LISTS}\nkind: List\nitems: [*a9]\n", 2, "holds more than 20000 objects"),
        (f"{MERGED}\nkind: Other\n", 2, "more than 10000 fields are merged"),
    ],
    ids=["kind", "apiVersion", "lists", "merges"],
)
def test_what_unfolds_without_end_is_told_at_once_wherever_it_stands(
    tmp_path: Path, text: str, code: int, says: str
) -> None:
    result = run("validate", written(tmp_path, text))
    assert (result.exit_code, says in result.output) == (code, True), result.output


@pytest.mark.parametrize(
    "value", ["!!bool x", '!!int ""', '!!float ""', "!!timestamp x", "!!timestamp 2026-99-01", "!!int x"]
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_value_that_is_not_what_its_tag_says_is_told_in_each_format(tmp_path: Path, value: str, form: str) -> None:
    result = run("validate", written(tmp_path, EVENT.replace("3600", value)), "--output", form)
    assert (result.exit_code, "is not YAML that can be read" in result.output) == (2, True), result.output
    assert form == "text" or json.loads(result.stdout)


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("kind", ['"Live\\ud800"', '"a\\e[31mb"'])
def test_a_kind_that_cannot_be_printed_is_shown_all_the_same(tmp_path: Path, kind: str, form: str) -> None:
    result = run("validate", written(tmp_path, EVENT.replace("LiveEvent", kind)), "--output", form)
    assert (result.exit_code, "is no kind of tidegate.dev" in result.output) == (1, True), result.output
    assert form == "text" or json.loads(result.stdout)["problems"]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "text", [EVENT, EVENT.replace("orders: 1000", "orders: -1"), "a: [", '{"\\ud800": 1, "\\ud800": 2}']
)
def test_a_file_whose_name_is_no_unicode_is_named_all_the_same(tmp_path: Path, text: str, form: str) -> None:
    path = tmp_path / os.fsdecode("活动.yaml".encode("gbk"))
    path.write_text(text, encoding="utf-8")
    result = run("validate", path, "--output", form)
    assert "\\udcbb" in result.output, result.output
    assert form == "text" or json.loads(result.stdout)


def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refused)
    result = run("validate", tmp_path)
    assert (result.exit_code, result.stderr) == (2, f"{tmp_path}: Permission denied\n")


def test_characters_that_json_writes_in_two_halves_are_one(tmp_path: Path) -> None:
    (document,) = read_documents([written(tmp_path, json.dumps({"kind": "X", "text": "直播😀", "📺": 1}))])
    assert document.content == {"kind": "X", "text": "直播😀", "📺": 1}


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["plan", "objects.yaml"], 2, "line 1, column 5"),
        (["explain", "core", "orders", "objects.yaml"], 2, "line 1, column 5"),
        (["explain", "core", "chat", "valid.yaml"], 1, "target chat of policy core is not there"),
        (["explain", "core", "orders", "valid.yaml", "--learned"], 2, "leave the files out"),
        (["plan"], 2, "the cluster could not be read"),
        (["explain", "core", "orders"], 2, "the cluster could not be read"),
        (["release"], 1, "say --all"),
        (["release", "--all"], 2, "not done: no cluster"),
        (["resume"], 2, "not done: no cluster"),
        (["backtest", "--demand", "objects.yaml"], 2, "line 1: has the columns"),
        (["backtest", "--builtin", "none"], 2, "there is no 'none'"),
    ],
)
def test_whoever_asks_for_json_gets_json_of_what_went_wrong_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, says: str
) -> None:
    written(tmp_path, "a: [")
    (tmp_path / "valid.yaml").write_text(f"{POLICY}---\n{EVENT}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(app, [*words, "--output", "json"])
    assert (result.exit_code, says in json.loads(result.stdout)["error"]) == (code, True), result.output
    assert says in result.stderr


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
@pytest.mark.parametrize("command", ["plan", "explain"])
def test_an_instant_beyond_the_calendar_is_refused_in_words(tmp_path: Path, command: str, at: str) -> None:
    words = ["explain", "core", "orders"] if command == "explain" else [command]
    result = CliRunner().invoke(app, [*words, str(written(tmp_path, f"{POLICY}---\n{EVENT}")), "--at", at])
    assert (result.exit_code, "out of reach" in result.stderr) == (2, True), result.output


def test_a_report_that_cannot_be_written_loses_nothing_of_what_was_played(tmp_path: Path) -> None:
    (tmp_path / "demand.csv").write_text("offset_s,value\n0,100\n60,300\n120,100\n")
    given = ["--demand", str(tmp_path / "demand.csv"), "--report", str(tmp_path / "none" / "report.html")]
    result = CliRunner().invoke(app, ["backtest", *given, "--policies", "always-on", "--output", "json"])
    assert (result.exit_code, "--report: " in result.stderr) == (2, True), result.output
    assert json.loads(result.stdout)
