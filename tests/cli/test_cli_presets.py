"""What each preset does to an event of its kind, by the planner: the numbers behind the reasons in its comments."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tidegate.api.parse import parse_policy
from tidegate.cli.main import app

PRESETS = Path(__file__).parents[2] / "policies" / "scaling"
T0 = datetime.fromisoformat("2026-11-10T20:00:00+00:00")


@dataclass(frozen=True)
class Written:
    """One write, seconds from T-0."""

    at: float
    before: int
    level: int


class Plan:
    """The writes of a preset for one event, by target."""

    def __init__(self, preset: str, folder: Path, **event: Any) -> None:
        text = (PRESETS / f"{preset}.yaml").read_text()
        self.targets = {target.name: target for target in parse_policy(yaml.safe_load(text)).targets}
        self.release = parse_policy(yaml.safe_load(text)).release
        schedule = {"startTime": "2026-11-10T20:00:00", "timeZone": "UTC", "durationSeconds": event.pop("seconds")}
        namespace = yaml.safe_load(text)["metadata"]["namespace"]
        announced = {
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "LiveEvent",
            "metadata": {"name": "it", "namespace": namespace},
            "spec": {"schedule": schedule, "profile": "flat", "policyRef": {"name": preset}, **event},
        }
        path = folder / "event.yaml"
        path.write_text(yaml.safe_dump(announced))
        asked = ["plan", str(PRESETS / f"{preset}.yaml"), str(path), "--at", "2026-11-10T18:00:00Z", "--output", "json"]
        done = CliRunner().invoke(app, asked)
        said = ("at its peak, and the max of", "its floors follow what is measured (spec.live)")  # asked for here
        known = [line for line in done.stderr.splitlines() if any(words in line for words in said)]
        assert (done.exit_code, done.stderr.splitlines()) == (0, known)
        self.writes: dict[str, list[Written]] = {name: [] for name in self.targets}
        for step in json.loads(done.stdout)["steps"]:
            at = (datetime.fromisoformat(step["at"]) - T0).total_seconds()
            self.writes[step["target"]].append(Written(at, step["from"], step["to"]))

    def at(self, target: str, second: float) -> int:
        """The floor at a second from T-0."""
        done = [one.level for one in self.writes[target] if one.at <= second]
        return done[-1] if done else self.targets[target].minimum

    def units(self, target: str, **demand: float) -> int:
        """What a demand needs, its background and headroom added, by hand."""
        spec = self.targets[target]
        background, capacity = dict(spec.background), dict(spec.capacity)
        loads = [(asked + background.get(s, 0)) * (1 + spec.headroom) / capacity[s] for s, asked in demand.items()]
        return max(spec.minimum, math.ceil(max(loads) - 1e-9))

    def first(self, target: str) -> Written:
        return self.writes[target][0]

    def falls(self, target: str) -> list[Written]:
        return [one for one in self.writes[target] if one.level < one.before]


SALE = {"orders_per_second": 20000, "page_views_per_second": 200000}


def test_a_flash_sale_stands_before_it_opens_new_machines_included(tmp_path: Path) -> None:
    plan = Plan("flash-sale", tmp_path, seconds=600, expected=SALE)
    for name, demand in {
        "order-service": {"orders_per_second": 20000},
        "storefront": {"page_views_per_second": 200000},
        "stock-cache": {"page_views_per_second": 200000},
    }.items():
        lead = plan.targets[name].lead
        assert plan.at(name, 0) == plan.units(name, **demand)
        assert plan.first(name).level == plan.units(name, **demand), "in one step: everybody comes at once"
        assert plan.first(name).at <= -(lead.seconds + lead.machine_seconds)


def test_a_flash_sale_is_held_for_a_minute_and_let_go_by_a_fifth_a_minute(tmp_path: Path) -> None:
    plan = Plan("flash-sale", tmp_path, seconds=600, expected=SALE)
    for name in plan.targets:
        peak, falls = plan.at(name, 0), plan.falls(name)
        # What is up a minute before the others comes down a minute after them.
        assert falls[0].at == 600 + 60 + (60 if name == "stock-cache" else 0)
        for one in falls:
            assert plan.at(name, one.at - 60) - one.level <= max(math.ceil(0.2 * peak), 1)
        assert falls[-1].level == plan.targets[name].minimum
        assert falls[-1].at - falls[0].at >= 240


def test_a_flash_sale_prepares_for_more_when_the_announcement_is_a_guess(tmp_path: Path) -> None:
    sure = Plan("flash-sale", tmp_path, seconds=600, expected={"orders_per_second": 20000})
    guess = Plan("flash-sale", tmp_path, seconds=600, expected={"orders_per_second": 20000}, spreadPercent=20)
    ratio = guess.at("order-service", 0) / sure.at("order-service", 0)
    assert 1.3 < ratio < 1.5, "97 of a hundred find it ready: 1.88 standard deviations of 20 %"


WHISTLE = {
    "name": "final-whistle",
    "signal": "home_page_requests_per_second",
    "offsetSeconds": 5400,
    "durationSeconds": 300,
    "level": 120000,
}


def test_on_match_day_the_home_page_stands_for_the_whistle_and_not_for_the_match(tmp_path: Path) -> None:
    plan = Plan("match-day", tmp_path, seconds=5400, expected={"concurrent_viewers": 2000000}, moments=[WHISTLE])
    full = plan.units("home-page", home_page_requests_per_second=120000)
    assert plan.at("home-page", 3600) < full / 4, "an hour in, nobody presses back yet"
    assert plan.at("home-page", 5400 - 45 - 240) == full
    assert plan.at("playlist-service", 0) == plan.units("playlist-service", concurrent_viewers=2000000)


def test_after_a_match_nothing_is_given_back_for_twenty_minutes(tmp_path: Path) -> None:
    """Extra time and a shoot-out come unannounced."""
    plan = Plan("match-day", tmp_path, seconds=5400, expected={"concurrent_viewers": 2000000}, moments=[WHISTLE])
    assert all(one.at >= 5400 + 1200 for name in plan.targets for one in plan.falls(name))
    home = plan.falls("home-page")
    assert home[0].at == 5700 + 1200
    peak = plan.at("home-page", 5400)
    assert all(plan.at("home-page", one.at - 60) - one.level <= math.ceil(0.15 * peak) for one in home)


def test_between_two_link_drops_of_a_show_nothing_is_let_go(tmp_path: Path) -> None:
    drops = [
        {
            "name": f"link-{at}",
            "signal": "orders_per_second",
            "offsetSeconds": at,
            "durationSeconds": 90,
            "factor": "5.0",
        }
        for at in (3600, 4200)
    ]
    plan = Plan("weekly-show", tmp_path, seconds=7200, expected={"orders_per_second": 3000}, moments=drops)
    full = plan.units("order-service", orders_per_second=15000)
    assert plan.at("order-service", 1800) < full / 2
    assert {plan.at("order-service", at) for at in range(3600, 4290 + 900, 10)} == {full}
    assert plan.falls("order-service")[0].at == 4290 + 900


def test_a_show_s_chat_follows_its_viewers(tmp_path: Path) -> None:
    derived = [{"signal": "chat_messages_per_second", "from": "concurrent_viewers", "factor": "0.1"}]
    plan = Plan("weekly-show", tmp_path, seconds=7200, expected={"concurrent_viewers": 400000}, derived=derived)
    assert plan.at("chat", 0) == plan.units("chat", chat_messages_per_second=40000)
    assert plan.at("room-gateway", 0) == plan.units("room-gateway", concurrent_viewers=400000)


def test_the_largest_sale_gets_what_was_announced_and_no_headroom(tmp_path: Path) -> None:
    opening = {
        "name": "opening",
        "signal": "orders_per_second",
        "offsetSeconds": 0,
        "durationSeconds": 96,
        "factor": "3.0",
    }
    plan = Plan("double-11", tmp_path, seconds=3600, expected={"orders_per_second": 180000}, moments=[opening])
    assert plan.at("order-service", 0) == plan.units("order-service", orders_per_second=540000)
    assert plan.at("order-service", 0) <= 545000 / 400 + 1
    assert plan.first("order-service").at <= -60
    assert plan.at("order-service", 96 + 29) == plan.at("order-service", 0), "half a minute of hold"
    assert plan.at("order-service", 96 + 30 + 60) == plan.units("order-service", orders_per_second=180000), "then down"


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_every_level_that_a_preset_raised_is_returned(preset: str, tmp_path: Path) -> None:
    text = yaml.safe_load((PRESETS / f"{preset}.yaml").read_text())
    signals = {signal for target in text["spec"]["targets"] for signal in target["capacity"]}
    plan = Plan(preset, tmp_path, seconds=1800, expected=dict.fromkeys(sorted(signals), 10**6))
    for name, target in plan.targets.items():
        assert plan.at(name, 0) > target.minimum, "an event of a million moves every target"
        assert plan.at(name, 0) <= target.maximum
        assert plan.writes[name][-1].level == target.minimum


@pytest.mark.parametrize(
    ("preset", "early", "rest"), [("flash-sale", "stock-cache", 60), ("match-day", "session-store", 120)]
)
def test_what_others_build_on_is_ready_and_has_rested_at_t0(preset: str, early: str, rest: int, tmp_path: Path) -> None:
    text = yaml.safe_load((PRESETS / f"{preset}.yaml").read_text())
    signals = {signal for target in text["spec"]["targets"] for signal in target["capacity"]}
    plan = Plan(preset, tmp_path, seconds=1800, expected=dict.fromkeys(sorted(signals), 10**6))
    lead = plan.targets[early].lead
    assert plan.first(early).at <= -(lead.seconds + lead.machine_seconds + rest)
