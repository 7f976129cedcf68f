"""``tidegate sample``: what it prints can be planned and applied, and its T-0 is when it says."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tidegate.cli import sample, validate
from tidegate.cli.main import app
from tidegate.cli.sample import Sample, seconds_of

ROOT = Path(__file__).parents[2]
PRESETS = ROOT / "policies" / "scaling"
NOW = "2026-11-10T12:00:00Z"
NAMES = [one.value for one in Sample]


def run(*args: str, given: str | None = None) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(args), input=given)
    return done.exit_code, done.stdout, done.stderr


def printed(*args: str) -> str:
    code, out, said = run("sample", *args, "--at", NOW)
    assert (code, said) == (0, "")
    return out


def unwrapped(said: str) -> str:
    """An error as one line, without its box."""
    return re.sub(r"\s*│\n│ ", " ", said)


def documents(*args: str) -> dict[str, dict[str, Any]]:
    """By kind; of several of a kind the last."""
    return {one["kind"]: one for one in yaml.safe_load_all(printed(*args))}


def test_every_preset_has_a_sample() -> None:
    assert sorted(NAMES) == sorted(path.stem for path in PRESETS.glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_valid_and_moves_something_before_t0(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validate, "_now", lambda: datetime.fromisoformat(NOW).timestamp())
    text = printed(name, "--in", "15m")
    code, out, said = run("validate", "-", given=text)
    assert (code, out, said) == (0, "", "2 checked, 0 problems, 0 warnings\n")
    code, out, said = run("plan", "-f", "-", "--at", NOW, "--output", "json", given=text)
    steps = json.loads(out)["steps"]
    assert (code, said) == (0, "")
    assert NOW <= steps[0]["at"] < "2026-11-10T12:15:00Z"
    assert steps[0]["action"] == "Raise"
    last = {step["target"]: step["action"] for step in steps}
    assert set(last.values()) == {"Return"}, "a day holds all of it"


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_its_preset_but_for_mode_queries_and_live(name: str) -> None:
    preset = yaml.safe_load((PRESETS / f"{name}.yaml").read_text())
    policy = documents(name)["ScalingPolicy"]
    assert policy["spec"].pop("mode") == "Enforce"
    preset["spec"].pop("mode")
    preset["spec"].pop("signals")
    assert preset["spec"].pop("live") == {}
    assert {one.pop("headroomPercent") for one in policy["spec"]["targets"]} == {sample.UNSEEN[Sample(name)][0]}
    assert policy["spec"]["release"].pop("holdSeconds") == sample.UNSEEN[Sample(name)][1]
    preset["spec"]["release"].pop("holdSeconds")
    assert policy == preset
    assert documents(name, "--mode", "Observe")["ScalingPolicy"]["spec"]["mode"] == "Observe"


@pytest.mark.parametrize("name", NAMES)
def test_what_a_preset_says_of_its_own_mode_is_not_said_of_another(name: str) -> None:
    acting, dry = printed(name), printed(name, "--mode", "Observe")
    assert "Enforce once" not in acting
    assert "only observing" not in dry


def test_t0_is_that_far_ahead_in_the_zone_that_was_asked_for() -> None:
    spec = documents("flash-sale", "--in", "1h30m", "--zone", "Asia/Shanghai")["LiveEvent"]["spec"]
    assert spec["schedule"]["startTime"] == "2026-11-10T21:30:00"
    assert spec["schedule"]["timeZone"] == "Asia/Shanghai"
    out = run("plan", "-", "--at", NOW, "--output", "json", given=printed("flash-sale", "--in", "1h30m"))[1]
    assert max(s["at"] for s in json.loads(out)["steps"] if s["action"] == "Raise") < "2026-11-10T13:30:00Z"


def test_without_a_clock_given_it_counts_from_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a second is rounded up: never less time than was asked for."""
    monkeypatch.setattr(sample, "_now", lambda: datetime.fromisoformat(NOW).timestamp() + 0.25)
    code, out, _ = run("sample", "flash-sale", "--in", "90s")
    assert code == 0
    assert next(yaml.safe_load_all(out))["spec"]["schedule"]["startTime"] == "2026-11-10T12:01:31"


def test_a_namespace_is_that_of_all_of_it() -> None:
    found = yaml.safe_load_all(printed("flash-sale", "--namespace", "trial", "--workloads"))
    assert {one["metadata"].get("namespace", one["metadata"]["name"]) for one in found} == {"trial"}


@pytest.mark.parametrize("namespace", ["2024", "null", "on", "y", "1e3", "0x1f", "true", "a-1"])
def test_a_namespace_is_a_text_whatever_it_looks_like(namespace: str) -> None:
    text = printed("flash-sale", "--namespace", namespace, "--workloads")
    found = yaml.safe_load_all(text)
    assert {one["metadata"].get("namespace", one["metadata"]["name"]) for one in found} == {namespace}
    for written in re.findall(r"^  namespace: (.*)$", text, re.MULTILINE):
        assert written[0] in "\"'" or namespace == "a-1"


@pytest.mark.parametrize("namespace", ["", "Shop", "a b", "-a", "a_b", "a.b", "x\n", "a: {b", "x" * 64])
def test_a_namespace_that_is_none_is_refused(namespace: str) -> None:
    code, out, said = run("sample", "flash-sale", "--namespace", namespace)
    assert (code, out, "no name of a namespace" in unwrapped(said)) == (2, "", True), said


@pytest.mark.parametrize("name", NAMES)
def test_workloads_stand_for_every_target_at_its_min(name: str) -> None:
    text = printed(name, "--workloads")
    assert "&" not in text.partition("LiveEvent")[0], "no anchors: people read it"
    made = {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(text)}
    policy = next(one for (kind, _), one in made.items() if kind == "ScalingPolicy")
    for target in policy["spec"]["targets"]:
        workload = made[target["ref"]["kind"], target["ref"]["name"]]
        assert workload["spec"]["replicas"] == target["min"]
        assert workload["spec"]["selector"]["matchLabels"] == workload["spec"]["template"]["metadata"]["labels"]
    assert next(iter(made)) == ("Namespace", policy["metadata"]["namespace"]), "the namespace comes first"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), ("1d2h3m4s", 93_784)]
)
def test_a_length_of_time_is_read(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "5x", "-5m", "0s", "367d", "1m1h", "1.5h"])
def test_what_is_no_length_of_time_is_refused_in_words(text: str) -> None:
    code, _, said = run("sample", "flash-sale", f"--in={text}")
    assert code == 2
    assert "give one like 90s, 5m, 1h30m or" in unwrapped(said)


def test_a_zone_that_is_not_there_is_refused_in_words() -> None:
    code, _, said = run("sample", "flash-sale", "--zone", "Mars")
    assert code == 2
    assert "'Mars' is no time zone; give one like Asia/Shanghai or UTC" in unwrapped(said)


def test_a_time_that_comes_twice_is_refused_when_the_second_is_meant() -> None:
    berlin = ("sample", "flash-sale", "--zone", "Europe/Berlin", "--in", "5m")
    code, _, said = run(*berlin, "--at", "2026-10-25T01:30:00Z")
    assert code == 2
    assert "comes twice in Europe/Berlin" in unwrapped(said)
    assert run(*berlin, "--at", "2026-10-25T00:30:00Z")[0] == 0, "the first is what a start time means"


def test_the_wheel_and_the_image_hold_the_presets() -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert built["force-include"] == {"policies/scaling": "tidegate/presets"}
    assert "COPY policies/scaling policies/scaling\n" in (ROOT / "Dockerfile").read_text()
