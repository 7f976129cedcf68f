"""``tidegate validate``: what is wrong in files, without a cluster; and all presets and examples are valid."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer import Typer
from typer.testing import CliRunner, Result

from tidegate.api.crd import KINDS
from tidegate.api.parse import parse_policy
from tidegate.cli import validate as module
from tidegate.cli.validate import validate

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
PRESETS = sorted((ROOT / "policies/scaling").glob("*.yaml"))
APP = Typer()
APP.command()(validate)

EVENT = """
apiVersion: tidegate.dev/v1alpha1
kind: LiveEvent
metadata: {name: show, namespace: live}
spec:
  schedule: {startTime: 2026-11-10T20:00:00, timeZone: Asia/Shanghai, durationSeconds: 7200}
  expected: {concurrent_viewers: 1000}
  policyRef: {name: core}
"""
POLICY = """
apiVersion: tidegate.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: core, namespace: live}
spec:
  targets:
  - name: gateway
    ref: {apiVersion: apps/v1, kind: Deployment, name: gateway}
    capacity: {concurrent_viewers: 100}
    max: 50
"""


JANUARY = 1_767_225_600.0
"""2026-01-01: the examples, and what is written here, are of that year."""


@pytest.fixture(autouse=True)
def _in_january(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_now", lambda: JANUARY)


def run(tmp_path: Path, *texts: str, output: str = "text") -> Result:
    """Validate each text as a file of its own."""
    files = []
    for index, text in enumerate(texts):
        files.append(tmp_path / f"{index}.yaml")
        files[-1].write_text(text)
    return CliRunner().invoke(APP, [*map(str, files), "--output", output])


@pytest.mark.parametrize("path", EXAMPLES, ids=[p.stem for p in EXAMPLES])
def test_every_example_is_complete_and_valid(path: Path) -> None:
    result = CliRunner().invoke(APP, [str(path), "--output", "json"])
    report = json.loads(result.stdout)

    assert result.exit_code == 0
    assert report["problems"] == report["warnings"] == []
    kinds = {d["kind"] for d in yaml.safe_load_all(path.read_text())}
    assert kinds >= {"LiveEvent", "ScalingPolicy"} or kinds == {"Override"}


def test_the_examples_show_every_kind_that_people_write() -> None:
    shown = {d["kind"] for path in EXAMPLES for d in yaml.safe_load_all(path.read_text())}

    assert shown == {kind.KIND for kind in KINDS} - {"Learned", "Loan"}


@pytest.mark.parametrize("path", PRESETS, ids=[p.stem for p in PRESETS])
def test_every_preset_is_valid_and_gives_its_reasons(path: Path) -> None:
    assert CliRunner().invoke(APP, [str(path)]).exit_code == 0
    assert sum(line.strip().startswith("#") for line in path.read_text().splitlines()) >= 5


def test_the_double_11_preset_has_little_headroom_and_a_short_hold() -> None:
    policy = parse_policy(yaml.safe_load((ROOT / "policies/scaling/double-11.yaml").read_text()))

    assert all(target.headroom <= 0.10 for target in policy.targets)
    assert policy.release.hold <= 60.0


def test_valid_files_pass_and_unquoted_times_are_texts(tmp_path: Path) -> None:
    result = run(tmp_path, f"{EVENT}---{POLICY}")

    assert result.exit_code == 0
    assert result.stdout == ""


def test_a_problem_is_told_with_file_object_path_and_cure(tmp_path: Path) -> None:
    result = run(tmp_path, EVENT.replace("Asia/Shanghai", "Asia/Shangai"))

    assert result.exit_code == 1
    assert result.stdout == (
        f'{tmp_path}/0.yaml: LiveEvent/show: spec.schedule.timeZone: "Asia/Shangai" is not an IANA time zone;'
        " did you mean Asia/Shanghai?\n"
    )


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("sum(viewers)", None),
        ("sum(rate(viewers_total[1m])) or sum(old_viewers)", None),
        ("sum(viewers) or vector(0)", "puts a number in the place of missing series"),
        ("hour() * 100", "reads no series, so that it has no age"),
        ("sum(viewers", "the age of its samples is not checked: it cannot be taken apart"),
        ("sum({job='rooms'})", "has a selector of several metrics: where two of them bear the same labels"),
    ],
)
def test_a_query_that_hides_what_is_missing_or_has_no_age_is_a_warning(
    query: str, wrong: str | None, tmp_path: Path
) -> None:
    signals = f'spec:\n  signals: [{{name: concurrent_viewers, query: "{query}"}}]'
    result = run(tmp_path, POLICY.replace("spec:", signals), output="json")
    warnings = json.loads(result.stdout)["warnings"]

    assert result.exit_code == 0
    assert [w["path"] for w in warnings] == ([] if wrong is None else ["spec.signals[0].query"])
    assert all(w["wrong"].startswith(wrong) and w["right"] for w in warnings)


def test_json_holds_problems_and_warnings(tmp_path: Path) -> None:
    result = run(tmp_path, EVENT, POLICY.replace("capacity: {concurrent_viewers: 100}", "capacity: {}"), output="json")
    report = json.loads(result.stdout)

    assert result.exit_code == 1
    assert report["checked"] == 2
    assert [(p["kind"], p["name"], p["path"]) for p in report["problems"]] == [
        ("ScalingPolicy", "core", "spec.targets[0].capacity")
    ]
    assert [w["path"] for w in report["warnings"]] == ["spec.policyRef.name"]


def test_an_event_that_needs_more_than_the_policys_max_is_a_warning(tmp_path: Path) -> None:
    above = run(tmp_path, EVENT.replace("1000", "50000"), POLICY)
    assert above.exit_code == 0
    assert "spec.expected: needs 600 units of gateway at its peak, and the max of core is 50; raise" in above.stdout
    assert "spec.targets[0].max" in above.stdout
    assert "at its peak" not in run(tmp_path, EVENT, POLICY).stdout


def test_a_missing_policy_and_a_signal_that_nobody_carries_are_warnings(tmp_path: Path) -> None:
    alone = run(tmp_path, EVENT)
    uncarried = run(tmp_path, EVENT.replace("concurrent_viewers", "orders_per_second"), POLICY)

    assert (alone.exit_code, uncarried.exit_code) == (0, 0)
    assert 'no ScalingPolicy "core" in namespace live' in alone.stdout
    assert 'no target of core carries "orders_per_second"' in uncarried.stdout


def test_two_objects_of_one_name_are_a_problem_and_two_policies_of_one_workload_a_warning(tmp_path: Path) -> None:
    twice = run(tmp_path, POLICY, POLICY)
    shared = run(tmp_path, POLICY, POLICY.replace("name: core", "name: other"))

    assert twice.exit_code == 1
    assert "is used in" in twice.stdout
    assert shared.exit_code == 0
    assert "Deployment/gateway is a target of live/core too" in shared.stdout
    otherwise = POLICY.replace("name: core", "name: other").replace("apps/v1", "apps/v1beta2")
    assert "Deployment/gateway is a target of live/core too" in run(tmp_path, POLICY, otherwise).stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("spec: {a: [}", "line 1, column 12"),
        ("metadata: {name: a}\nmetadata: {name: b}\n", "the field metadata is given twice"),
        ("a: \x01", "special characters"),
    ],
)
def test_what_is_no_yaml_is_unreadable_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    result = run(tmp_path, text)

    assert result.exit_code == 2
    assert words in result.stderr


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    result = CliRunner().invoke(APP, [str(tmp_path / "none.yaml")])

    assert result.exit_code == 2
    assert "No such file" in result.stderr


def test_other_kinds_are_skipped_and_lists_are_taken_apart(tmp_path: Path) -> None:
    items = [yaml.safe_load(POLICY), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}]
    result = run(tmp_path, yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items}), output="json")
    report = json.loads(result.stdout)

    assert (report["checked"], report["skipped"]) == (1, 1)


def test_documents_that_are_no_objects_are_problems(tmp_path: Path) -> None:
    result = run(tmp_path, "- 1\n---\njust text\n---\n{}\n")

    assert result.exit_code == 1
    assert result.stdout.count("is missing") == 3


def test_a_file_that_unfolds_without_end_is_refused_in_a_short_sentence(tmp_path: Path) -> None:
    """Ten lines of YAML that would print as ten billion words."""
    lines = ["a0: &a0 [word]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 11)]
    result = run(tmp_path, EVENT.replace("durationSeconds: 7200", "durationSeconds: *a10") + "\n".join(lines))
    moved = "\n".join([*lines, EVENT.strip().replace("durationSeconds: 7200", "durationSeconds: *a10")])

    assert result.exit_code == 2, "an alias before its anchor"
    assert "durationSeconds: a list is not a whole number" in run(tmp_path, moved).stdout


POOL = """
apiVersion: tidegate.dev/v1alpha1
kind: CapacityPool
metadata: {name: hangzhou-a}
spec:
  capacity: {given: {cpu: 64, memory: 128Gi}}
  lanes:
  - {name: trading, allowedNamespaces: [live]}
  - {name: data}
"""
OVERRIDE = """
apiVersion: tidegate.dev/v1alpha1
kind: Override
metadata: {name: calm, namespace: live}
spec: {policyRef: {name: core}, target: gateway, action: Hold, until: 2026-11-11T02:00:00Z, author: me, reason: why not}
"""
ASKING = POLICY.replace("spec:", "spec:\n  poolRef: {name: hangzhou-a}").replace(
    "max: 50", "max: 50\n    lane: trading"
)


def test_a_pool_a_policy_on_it_and_an_override_pass_together(tmp_path: Path) -> None:
    result = run(tmp_path, POOL, ASKING, EVENT, OVERRIDE, output="json")
    report = json.loads(result.stdout)

    assert (result.exit_code, report["checked"], report["problems"], report["warnings"]) == (0, 4, [], [])


def test_objects_of_which_the_others_are_elsewhere_pass_alone(tmp_path: Path) -> None:
    for text in (POOL, ASKING, OVERRIDE):
        assert json.loads(run(tmp_path, text, output="json").stdout)["warnings"] == []


@pytest.mark.parametrize(
    ("texts", "want"),
    [
        ((POOL, ASKING.replace("lane: trading", "lane: live")), "use one of trading, data"),
        ((POOL, ASKING.replace("lane: trading", "lane: data")), "add it to the lane's allowedNamespaces"),
        ((POLICY, OVERRIDE.replace("target: gateway", "target: gate")), "use one of gateway"),
    ],
)
def test_what_objects_say_of_one_another_is_a_warning(texts: tuple[str, ...], want: str, tmp_path: Path) -> None:
    result = run(tmp_path, *texts, output="json")
    (warning,) = json.loads(result.stdout)["warnings"]

    assert result.exit_code == 0
    assert want in warning["right"]


def test_a_pool_or_an_override_that_is_there_twice_is_a_problem(tmp_path: Path) -> None:
    for text in (POOL, OVERRIDE):
        result = run(tmp_path, text, text, output="json")
        assert result.exit_code == 1
        assert [p["path"] for p in json.loads(result.stdout)["problems"]] == ["metadata.name"]


@pytest.mark.parametrize(
    ("kind", "right"),
    [
        ("LiveEvents", "did you mean LiveEvent?"),
        ("Override2", "did you mean Override?"),
        ("Zebra", "one of CapacityPool"),
    ],
)
def test_a_kind_of_our_group_that_there_is_not_is_a_problem(kind: str, right: str, tmp_path: Path) -> None:
    result = run(tmp_path, EVENT.replace("kind: LiveEvent", f"kind: {kind}"), POLICY)
    assert result.exit_code == 1
    assert f'kind: "{kind}" is no kind of tidegate.dev; {right}' in result.stdout


def test_kinds_of_others_and_what_the_operator_writes_are_skipped(tmp_path: Path) -> None:
    other = "apiVersion: apps/v1\nkind: LiveEvents\nmetadata: {name: x}\n"
    loan = "apiVersion: tidegate.dev/v1alpha1\nkind: Loan\nmetadata: {name: x}\n"
    result = run(tmp_path, other, loan, EVENT, POLICY)
    assert (result.exit_code, result.stdout) == (0, "")


@pytest.mark.parametrize("text", ["", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"])
def test_where_nothing_was_checked_nothing_is_right(text: str, tmp_path: Path) -> None:
    for output in ("text", "json"):
        result = run(tmp_path, text, output=output)
        assert result.exit_code == 1
        assert "nothing was checked: no object here is a CapacityPool or LiveEvent" in result.stderr


@pytest.mark.parametrize(("days", "ago"), [(0.01, "just now"), (0.1, "2 h ago"), (359, "359 days ago")])
def test_an_event_that_is_over_is_warned_of(
    days: float, ago: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = 1_794_319_200.0  # 2026-11-10 22:00 in Shanghai
    monkeypatch.setattr(module, "_now", lambda: over - 1.0)
    assert run(tmp_path, EVENT, POLICY).stdout == ""
    monkeypatch.setattr(module, "_now", lambda: over + days * 86_400)
    result = run(tmp_path, EVENT, POLICY)
    assert (result.exit_code, f"the event is over, {ago}; change schedule.startTime" in result.stdout) == (0, True)
    weekly = EVENT.replace("durationSeconds: 7200}", "durationSeconds: 7200, recurrence: {rrule: FREQ=WEEKLY}}")
    assert run(tmp_path, weekly, POLICY).stdout == ""


def test_an_override_that_is_over_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    until = 1_794_362_400.0  # 2026-11-11 02:00 UTC
    monkeypatch.setattr(module, "_now", lambda: until - 1.0)
    assert run(tmp_path, OVERRIDE).stdout == ""
    monkeypatch.setattr(module, "_now", lambda: until + 7200.0)
    result = run(tmp_path, OVERRIDE)
    assert (result.exit_code, "spec.until: the override is over, 2 h ago; it does nothing" in result.stdout) == (
        0,
        True,
    )


@pytest.mark.parametrize("name", ["evening-Show", "show_1", "-show", "show..1", "s" * 254])
def test_a_name_that_the_api_server_refuses_is_a_problem(name: str, tmp_path: Path) -> None:
    event = EVENT.replace("{name: show,", f"{{name: {name},")
    assert event != EVENT
    result = run(tmp_path, event, POLICY)
    assert result.exit_code == 1
    assert "is not a valid name; at most 253 lower-case letters" in result.stdout
