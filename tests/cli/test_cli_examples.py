"""Every example says something on any day: what it does next, or why it does nothing. The clock is handed in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from tidegate.api.parse import parse_live_event
from tidegate.cli import explain, plan, validate
from tidegate.cli.main import app
from tidegate.cli.occurrences import MOST_REASONS, last_of

EXAMPLES = Path(__file__).parents[2] / "examples"
EVENTS = sorted(path.stem for path in EXAMPLES.glob("*.yaml") if path.stem != "on-call-override")
DAYS = ["2026-11-29T10:00:00Z", "2027-11-29T10:00:00Z", "2031-02-28T23:59:59Z"]
"""A day on which nine of the examples lay in the past, the same a year later, and one that nobody thought of."""
YEAR = 366 * 86_400.0


def run(*args: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(args))
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(params=DAYS)
def today(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """The instant that each command takes for now."""
    now = datetime.fromisoformat(request.param).timestamp()
    for module in (plan, explain, validate):
        monkeypatch.setattr(module, "_now", lambda: now)
    return now


def events(name: str) -> list[str]:
    return [str(EXAMPLES / f"{name}.yaml")]


@pytest.mark.parametrize("name", EVENTS)
def test_an_example_is_never_over(name: str, today: float) -> None:
    code, out, said = run("validate", *events(name))
    assert (code, out) == (0, ""), said
    for document in yaml.safe_load_all((EXAMPLES / f"{name}.yaml").read_text()):
        if document["kind"] == "LiveEvent":
            coming = parse_live_event(document).next_occurrence(today)
            assert coming is not None
            assert coming.start < today + YEAR


@pytest.mark.parametrize("name", EVENTS)
def test_the_plan_of_an_example_is_that_of_its_next_occurrence(name: str, today: float) -> None:
    code, out, _ = run("plan", *events(name))
    assert code == 0
    assert "Nothing will be done" not in out
    told = json.loads(run("plan", *events(name), "--output", "json")[1])
    assert told["steps"]
    assert told["steps"][0]["action"] == "Raise"
    assert told["whyNothing"] == []
    asked = datetime.fromtimestamp(today, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert told["askedAt"] == asked
    if told["now"] == asked:
        assert told["nextOccurrence"] is None
    else:
        assert asked < told["now"] < told["nextOccurrence"]["start"]
        assert f"The next occurrence is {told['nextOccurrence']['event']} at {told['nextOccurrence']['start']}" in out


@pytest.mark.parametrize("name", EVENTS)
def test_every_target_of_an_example_is_explained(name: str, today: float) -> None:
    for document in yaml.safe_load_all((EXAMPLES / f"{name}.yaml").read_text()):
        for target in document["spec"]["targets"] if document["kind"] == "ScalingPolicy" else ():
            code, out, _ = run("explain", document["metadata"]["name"], target["name"], *events(name))
            assert code == 0
            assert "units alone" in out or "takes place next at 20" in out or "\nnext       " in out
            if "nobody: " in out and "no change is known" in out:
                assert "takes place next at 20" in out


def test_an_override_is_over_and_says_since_when(today: float) -> None:
    files = [*events("night-of-double-11"), *events("on-call-override")]
    code, out, said = run("validate", *files)
    assert code == 0
    assert "spec.until: the override is over" in out + said
    code, out, said = run("plan", *files)
    assert (code, "The next occurrence is shop/night-of-double-11" in out) == (0, True)
    assert "the override is over" in said


def test_the_override_of_the_examples_does_something_on_its_night() -> None:
    files = [*events("night-of-double-11"), *events("on-call-override"), "--at", "2026-11-10T23:50:00+08:00"]
    raised = [s["to"] for s in json.loads(run("plan", *files, "-o", "json")[1])["steps"] if s["action"] == "Raise"]
    alone = [files[0], *files[2:]]
    usual = [s["to"] for s in json.loads(run("plan", *alone, "-o", "json")[1])["steps"] if s["action"] == "Raise"]
    assert max(raised) > 1.25 * max(usual)


# ---- why nothing is done

POLICY = """
{apiVersion: tidegate.dev/v1alpha1, kind: ScalingPolicy, metadata: {name: core, namespace: shop}, spec: {
  targets: [{name: order, ref: {apiVersion: apps/v1, kind: Deployment, name: order}, capacity: {orders: 100},
             min: 2, max: 50}]}}
"""
EVENT = """---
{apiVersion: tidegate.dev/v1alpha1, kind: LiveEvent, metadata: {name: NAME, namespace: shop}, spec: {
  schedule: {startTime: "STARTT10:00:00", timeZone: UTC, durationSeconds: 600RULE},
  expected: {orders: DEMAND}, policyRef: {name: core}}}
"""
AT = ("--at", "2026-11-29T10:00:00Z")


def write(folder: Path, *shows: tuple[str, str, str]) -> str:
    """A policy with shows of (name, day, recurrence)."""
    path = folder / "shows.yaml"
    text = POLICY
    for name, day, rule in shows:
        demand = "10" if name == "small" else "1000"
        text += EVENT.replace("NAME", name).replace("START", day).replace("RULE", rule).replace("DEMAND", demand)
    path.write_text(text)
    return str(path)


def test_an_event_of_the_past_says_when_it_ended(tmp_path: Path) -> None:
    file = write(tmp_path, ("old", "2026-11-01", ""))
    for at in (AT, ()):
        out = run("plan", file, *at)[1]
        assert (
            "Nothing will be done.\n  shop/old: the last occurrence ended 2026-11-01T10:10:00Z, and none follows" in out
        )


def test_an_event_that_is_further_ahead_says_when_it_begins(tmp_path: Path) -> None:
    out = run("plan", write(tmp_path, ("new", "2026-12-24", "")), *AT)[1]
    assert "Nothing will be done.\n  shop/new: the next occurrence begins 2026-12-24T10:00:00Z" in out


def test_a_series_that_ended_says_when(tmp_path: Path) -> None:
    rule = ", recurrence: {rrule: FREQ=WEEKLY;UNTIL=20260401}"
    out = run("plan", write(tmp_path, ("spring", "2026-03-04", rule)), *AT)[1]
    assert "shop/spring: the last occurrence ended 2026-04-01T10:10:00Z, and none follows" in out


def test_an_event_that_needs_nothing_says_so(tmp_path: Path) -> None:
    out = run("plan", write(tmp_path, ("small", "2026-11-29", "")), "--at", "2026-11-29T09:00:00Z")[1]
    assert "shop/small: it asks for no more than its targets have anyway" in out


def test_a_policy_without_events_says_so(tmp_path: Path) -> None:
    out = run("plan", write(tmp_path), *AT)[1]
    assert "Nothing will be done.\n  there is no LiveEvent\n" in out


def test_of_many_events_those_that_come_soonest_are_named(tmp_path: Path) -> None:
    shows = [(f"show-{day}", f"2026-12-{day}", "") for day in range(10, 20)]
    out = run("plan", write(tmp_path, *shows), *AT)[1]
    said = out.partition("Nothing will be done.\n")[2].splitlines()
    assert [line.split(":")[0].strip() for line in said[:-1]] == [f"shop/show-{day}" for day in range(10, 15)]
    assert said[-1].strip() == f"and {10 - MOST_REASONS} more events, which come later or are over"


def test_the_earliest_of_several_events_is_shown(tmp_path: Path, today: float) -> None:
    later, sooner = ("later", "2039-01-02", ""), ("sooner", "2039-01-01", "")
    told = json.loads(run("plan", write(tmp_path, later, sooner), "-o", "json")[1])
    assert told["nextOccurrence"] == {"event": "shop/sooner", "start": "2039-01-01T10:00:00Z"}
    assert told["steps"][0]["action"] == "Raise"


def test_a_cancelled_event_never_takes_place(tmp_path: Path) -> None:
    rule = ', changes: [{occurrence: "2026-12-24T10:00:00", cancelled: true}]'
    file = write(tmp_path, ("gone", "2026-12-24", rule))
    assert "shop/gone: it never takes place" in run("plan", file, *AT)[1]
    document = list(yaml.safe_load_all(Path(file).read_text()))[1]
    assert last_of(parse_live_event(document), 2e9) is None
