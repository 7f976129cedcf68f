"""``plan``, ``explain``, ``version`` without a cluster; ``release`` and ``resume`` on the embedded one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tidegate import __version__
from tidegate.api.zonedata import zone_data
from tidegate.cli.main import app
from tidegate.cli.world import _other_zone_data

runner = CliRunner()


def run(*args: str) -> tuple[int, str, str]:
    done = runner.invoke(app, list(args))
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def evening(tmp_path: Path) -> str:
    """A policy and an event of 1,000 orders at midnight in Shanghai."""
    target = {"name": "order", "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "order"}}
    documents: list[dict[str, Any]] = [
        {
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "ScalingPolicy",
            "metadata": {"name": "core", "namespace": "shop"},
            "spec": {
                "targets": [{**target, "capacity": {"orders": 100}, "min": 2, "max": 50, "headroomPercent": 0}],
                "release": {"holdSeconds": 60, "maxStepPercentPerMinute": 100},
            },
        },
        {
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "LiveEvent",
            "metadata": {"name": "show", "namespace": "shop"},
            "spec": {
                "schedule": {"startTime": "2026-11-10T00:00:00", "timeZone": "Asia/Shanghai", "durationSeconds": 3600},
                "expected": {"orders": 1000},
                "policyRef": {"name": "core"},
            },
        },
    ]
    path = tmp_path / "evening.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return str(path)


def test_plan_shows_every_step_until_everything_is_returned(evening: str) -> None:
    code, out, _ = run("plan", evening, "--at", "2026-11-09T23:00:00+08:00", "--output", "json")
    steps = json.loads(out)["steps"]
    assert code == 0
    assert [(s["action"], s["from"], s["to"]) for s in steps] == [
        ("Raise", 2, 10),
        ("Lower", 10, 5),
        ("Return", 5, 2),
    ]
    assert "2026-11-09T15:58:00Z" < steps[0]["at"] < "2026-11-09T16:00:00Z"


def test_plan_for_people_says_what_it_assumed(evening: str) -> None:
    code, out, _ = run("plan", evening, "--at", "2026-11-09T23:00:00+08:00")
    assert code == 0
    assert "1 policy, 1 event, as of 2026-11-09T15:00:00Z" in out
    assert "every target is taken to stand at its policy's min" in out


def test_explain_says_who_asked_for_how_much(evening: str) -> None:
    code, out, _ = run("explain", "core", "order", evening, "--at", "2026-11-10T00:10:00+08:00", "-o", "json")
    told = json.loads(out)
    assert code == 0
    assert told["askedBy"] == [{"event": "shop/show", "signal": "orders", "demand": 1000.0, "units": 10}]
    assert (told["need"], told["level"], told["reason"]) == (10, 10, "ObserveOnly")
    assert told["leadTime"]["seconds"] == sum(told["leadTime"]["parts"].values())


def test_explain_says_that_what_is_planned_is_not_written_and_what_stands(evening: str) -> None:
    args = ("explain", "core", "order", evening, "--at", "2026-11-10T00:10:00+08:00")
    told, text = json.loads(run(*args, "-o", "json")[1]), run(*args)[1]
    assert (told["level"], told["stands"], told["withheld"]) == (10, 2, "ScalingPolicy/core only observes")
    assert "not written  ScalingPolicy/core only observes; 2 stands" in text
    Path(evening).write_text(Path(evening).read_text().replace("targets:", "mode: Enforce\n  targets:"))
    told, text = json.loads(run(*args, "-o", "json")[1]), run(*args)[1]
    assert told["withheld"] is None
    assert "not written" not in text


def test_explain_of_what_is_not_there_names_what_is(evening: str) -> None:
    code, _, err = run("explain", "core", "ordre", evening)
    assert code == 1
    assert "target ordre of policy core is not there; there are: shop/core: order" in err


def test_an_instant_without_an_offset_is_refused_in_words(evening: str) -> None:
    code, _, err = run("plan", evening, "--at", "2026-11-09T23:00:00")
    assert code == 2
    assert "has no offset" in err


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    code, _, err = run("plan", str(tmp_path / "nothing.yaml"))
    assert code == 2
    assert "nothing.yaml" in err


def test_version() -> None:
    assert run("version")[1] == f"tidegate {__version__}\ntime zones {zone_data()}\n"
    told = json.loads(run("version", "-o", "json")[1])
    assert told["tidegate"] == __version__
    assert told["zoneData"] == {"version": zone_data().version, "source": zone_data().source}


def test_release_without_all_does_nothing() -> None:
    code, _, err = run("release")
    assert code == 1
    assert "--all" in err


@pytest.mark.parametrize("command", ["plan", "explain", "release", "resume"])
def test_a_cluster_that_does_not_answer_is_an_error_in_words(command: str, tmp_path: Path, monkeypatch: Any) -> None:
    """No traceback, exit code 2."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    args = {"explain": ["core", "order"], "release": ["--all"]}.get(command, [])
    code, _, err = run(command, *args)
    assert code == 2
    assert "no cluster: KUBECONFIG names" in err
    assert "Traceback" not in err


def test_a_plan_of_files_says_that_pools_are_not_looked_at_and_shows_what_is_needed() -> None:
    code, out, said = run("plan", "examples/night-of-double-11.yaml", "--at", "2026-11-10T15:00:00Z", "-o", "json")
    assert code == 0
    assert "CapacityPool hangzhou-a was not looked at (no file tells what stands on its machines)" in said
    assert [step["to"] for step in json.loads(out)["steps"]][:2] == [158, 100]


SEAM = """
{apiVersion: tidegate.dev/v1alpha1, kind: LiveEvent, metadata: {name: NAME, namespace: shop}, spec: {
  schedule: {startTime: "2026-12-01TSTART", timeZone: UTC, durationSeconds: 600},
  expected: {orders: 1000}, policyRef: {name: core}}}
"""


@pytest.fixture
def seam(evening: str, tmp_path: Path) -> str:
    """Two drops that are two minutes apart, on the evening's policy without a hold and with a lead of a minute."""
    target, *_ = yaml.safe_load_all(Path(evening).read_text())
    target["spec"]["release"]["holdSeconds"] = 0
    shows = [SEAM.replace("NAME", n).replace("START", at) for n, at in (("one", "10:00:00"), ("two", "10:12:00"))]
    path = tmp_path / "seam.yaml"
    path.write_text(yaml.safe_dump_all([target, *map(yaml.safe_load, shows)]))
    return str(path)


def test_explain_answers_for_the_need_that_the_level_stands_for(seam: str) -> None:
    """Between two shows a level is kept for the second one: it is asked for, though nothing is needed now."""
    told = json.loads(run("explain", "core", "order", seam, "--at", "2026-12-01T10:11:00Z", "-o", "json")[1])
    assert (told["need"], told["due"], told["dueFor"]) == (0, 10, "2026-12-01T10:12:00Z")
    assert [share["event"] for share in told["askedBy"]] == ["shop/two"]
    text = run("explain", "core", "order", seam, "--at", "2026-12-01T10:11:00Z")[1]
    assert "asked by (for 2026-12-01T10:12:00Z: 10 units are needed then" in text
    assert "nobody" not in text


def test_what_explain_tells_as_next_is_what_plan_shows_next(seam: str) -> None:
    steps = json.loads(run("plan", seam, "--at", "2026-12-01T10:05:00Z", "-o", "json")[1])["steps"]
    enforced = seam.replace("seam", "enforced")
    Path(enforced).write_text(Path(seam).read_text().replace("targets:", "mode: Enforce\n  targets:", 1))
    told = json.loads(run("explain", "core", "order", enforced, "--at", "2026-12-01T10:05:00Z", "-o", "json")[1])
    assert told["next"] == {"at": steps[1]["at"], "level": steps[1]["to"]}


def test_what_cannot_be_known_is_said_and_no_none() -> None:
    cases = Path(__file__).parents[2] / "examples" / "night-of-double-11.yaml"
    for document in yaml.safe_load_all(cases.read_text()):
        if document["kind"] != "ScalingPolicy":
            continue
        for target in document["spec"]["targets"]:
            answer = run(
                "explain", document["metadata"]["name"], target["name"], str(cases), "--at", "2030-01-01T00:00:00Z"
            )
            assert answer[0] == 0
            assert "None" not in answer[1]
            assert "next       no change is known: nothing that is announced asks for another level" in answer[1]


def test_the_hours_that_are_shown_do_not_change_what_is_planned(seam: str) -> None:
    def shown(hours: str) -> list[dict[str, Any]]:
        steps = json.loads(run("plan", seam, "--at", "2026-12-01T09:59:00Z", "--hours", hours, "-o", "json")[1])[
            "steps"
        ]
        return [step for step in steps if step["at"] < "2026-12-01T10:05:00Z"]

    assert shown("0.1") == shown("24")
    long = json.loads(run("plan", seam, "--at", "2026-12-01T09:50:00Z", "-o", "json")[1])["steps"]
    assert [s["action"] for s in long] == ["Raise", "Lower", "Return"]


def test_a_difference_of_time_zone_data_between_operator_and_command_is_said() -> None:
    """By the release alone: the same one from the system and from the package has the same rules."""
    same = f"{zone_data().version} (somewhere)"
    assert _other_zone_data(frozenset({same})) is None
    assert _other_zone_data(frozenset()) is None
    said = _other_zone_data(frozenset({same, "2020a (system)"}))
    assert said is not None
    assert f"the operator uses 2020a (system), this command {zone_data()}" in said


def test_what_nothing_follows_from_is_said_with_the_reason(evening: str, tmp_path: Path) -> None:
    """An event of a policy that is not there, a signal that nobody carries, a kind that does not exist."""
    policy, show = yaml.safe_load_all(Path(evening).read_text())
    lost = {**show, "metadata": {"name": "lost", "namespace": "shop"}}
    lost["spec"] = {**show["spec"], "policyRef": {"name": "gone"}}
    typo = {**show, "metadata": {"name": "typo", "namespace": "shop"}}
    typo["spec"] = {**show["spec"], "expected": {"order": 1000}}
    unknown = {**show, "kind": "LiveEvents"}
    path = tmp_path / "lost.yaml"
    path.write_text(yaml.safe_dump_all([policy, lost, typo, unknown]))
    _, out, said = run("plan", str(path), "--at", "2026-11-09T23:00:00+08:00")
    assert "LiveEvent shop/lost: there is no ScalingPolicy shop/gone here" in said
    assert 'LiveEvent shop/typo: spec: no target of core carries "order"' in said
    assert 'left out: LiveEvents/show: kind: "LiveEvents" is no kind of tidegate.dev; did you mean LiveEvent?' in said
    assert "Nothing will be done." in out


def test_a_need_above_the_policys_max_is_said_by_plan_and_explain(evening: str, tmp_path: Path) -> None:
    """Whatever the instant, and in the plan where it is cut."""
    policy, show = yaml.safe_load_all(Path(evening).read_text())
    show["spec"]["expected"] = {"orders": 9000}
    path = tmp_path / "huge.yaml"
    path.write_text(yaml.safe_dump_all([policy, show]))
    above = "LiveEvent shop/show: spec.expected: needs 90 units of order at its peak, and the max of core is 50"
    _, out, said = run("plan", str(path), "--at", "2026-11-01T00:00:00Z")
    assert above in said
    _, out, said = run("plan", str(path), "--at", "2026-11-09T23:00:00+08:00")
    assert above in said
    assert "order needs 90, stays at 50. PolicyMaximum: 90 units needed, cut to the policy's max 50" in out
    said = run("explain", "core", "order", str(path), "-n", "shop", "--at", "2026-11-09T23:00:00+08:00")[2]
    assert above in said
    assert above not in run("plan", evening, "--at", "2026-11-09T23:00:00+08:00")[2]


def test_an_event_that_is_over_or_further_ahead_is_said_to_be(evening: str) -> None:
    out = run("plan", evening, "--at", "2026-11-12T00:00:00Z")[1]
    assert "No occurrence between now and 11-13 00:00:00: shop/show." in out


def test_what_is_over_in_a_file_is_said_with_since_when(evening: str, tmp_path: Path) -> None:
    """Last year's file, and the override of another evening."""
    override = {"policyRef": {"name": "core"}, "action": "Hold", "until": "2026-11-11T02:00:00Z", "author": "me"}
    made = {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "Override",
        "metadata": {"namespace": "shop", "name": "hold"},
    }
    path = tmp_path / "hold.yaml"
    path.write_text(yaml.safe_dump({**made, "spec": {**override, "reason": "why not"}}))
    code, _, said = run("plan", evening, str(path), "--at", "2027-11-12T00:00:00Z")
    assert code == 0
    assert "LiveEvent shop/show: spec.schedule.startTime: the event is over, 36" in said
    assert "Override shop/hold: spec.until: the override is over, 366 days ago" in said
    assert "is over" not in run("plan", evening, str(path), "--at", "2026-11-09T23:00:00+08:00")[2]


def test_a_plan_of_files_of_which_something_was_left_out_is_a_finding(evening: str, tmp_path: Path) -> None:
    path = tmp_path / "typo.yaml"
    path.write_text(Path(evening).read_text().replace("kind: LiveEvent", "kind: LiveEvents"))
    for output in ("text", "json"):
        code, _, said = run("plan", str(path), "--at", "2026-11-09T23:00:00+08:00", "--output", output)
        assert (code, "left out: LiveEvents/show" in said) == (1, True)


def test_a_policy_that_only_observes_is_said_to_write_nothing(evening: str) -> None:
    out = run("plan", evening, "--at", "2026-11-09T23:00:00+08:00")[1]
    assert "In mode Observe, so that this is what would be done, and nothing is written: shop/core." in out


def test_a_long_reason_takes_no_column_away(evening: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = run("plan", evening, "--at", "2026-11-09T23:00:00+08:00")[1]
    assert "when (UTC)      target  from  to  why" in out
    assert "   2  10  would be" in out or "   2  10  announced events need 10 units" in out


def test_explain_writes_numbers_as_people_do(evening: str, tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    text = Path(evening).read_text().replace("orders: 1000", "orders: 12345678")
    path.write_text(text.replace("max: 50", "max: 9000"))
    out = run("explain", "core", "order", str(path), "--at", "2026-11-10T00:10:00+08:00")[1]
    assert "12345678 orders" in out
    assert "e+0" not in out
