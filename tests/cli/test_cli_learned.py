"""``tidegate explain --learned``: what the operator has learned, read from the cluster and said in words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from test_cli_pools import Site, run, tenant

from tidegate.api.learned import learned_to_object
from tidegate.cli.learned import lines, told
from tidegate.planning.growth import STEP, Growth
from tidegate.planning.model import Key, Live, Measured, Policy, Ref, SignalSpec, TargetSpec
from tidegate.ports import Grown, Learned
from tidegate.targets.learned import learned_name

CORE = Key("shop", "core")
DAY = 86_400.0


def grown() -> Grown:
    """Two days with an event at noon, that brings a half within five minutes."""
    growth, noons = Growth(180.0, 1.0), (DAY / 2, 3 * DAY / 2)
    for step in range(round(2 * DAY / STEP)):
        at = step * STEP
        since = max((at - noon for noon in noons if at >= noon), default=-1.0)
        more = 0.5 * min(1.0, since / 300.0) * max(0.0, 1.0 - since / 20_000.0) if since >= 0.0 else 0.0
        growth.take(at, 100.0 * (1.0 + more) + step % 3, starts=noons)
    return Grown(growth.packed(), 4.0, 0.6, 0.01)


@pytest.mark.parametrize(
    ("past", "words"),
    [
        (13.9 * DAY, "13.9 days of Prometheus, and what was read since 2026-03-02T00:00:00Z"),
        (0.0, "what was read since 2026-03-02T00:00:00Z alone"),
    ],
)
def test_it_is_told_what_it_was_learned_from(past: float, words: str) -> None:
    one = Grown(grown().packed, since=1_772_409_600.0, past=past)
    known = told(policy(), policy().targets[0], replace(learned(), growth={"orders": one}))
    assert f"  learned from      {words}" in list(lines(known))
    older = told(policy(), policy().targets[0], learned())
    assert "learned from" not in "\n".join(lines(older)), "a record of before does not tell"


def learned() -> Learned:
    return Learned(CORE, starts={"orders": tuple(Measured(5, 20.0 + n) for n in range(30))}, growth={"orders": grown()})


def policy() -> Policy:
    target = TargetSpec("orders", Ref("apps/v1", "Deployment", "shop", "orders"), (("orders", 50.0),))
    return Policy(CORE, (target,), (SignalSpec("orders", "sum(orders)"),), live=Live())


def test_what_was_learned_is_told_with_the_phase_in_which_events_bring_most() -> None:
    known = told(policy(), policy().targets[0], learned())
    orders = known["signals"]["orders"]
    assert known["start"]["samples"] == 30
    assert (orders["announcedSteps"], orders["cameInTheMean"]) == (4, 0.6)
    assert 0.8 <= orders["preparedFor"] <= 1.1
    largest = max(orders["phases"], key=lambda phase: phase["growsAtMostPercent"])
    assert -5 <= largest["minutes"] <= 0
    assert largest["growsAtMostPercent"] >= 3 * orders["growsAtMostPercent"]
    text = "\n".join(lines(known))
    assert "4 seen, 60 % of them came in the mean; the next one is prepared for at" in text
    assert "min before T-0" in text


def test_hosts_are_told_with_what_their_next_event_is_prepared_for_and_those_to_be_forgotten_are_not() -> None:
    hosts = (("tier", "head", 8.0, 0.8, 0.04), ("host", "otto", 6.0, 0.5, 0.0), ("host", "lena", 6.0, 1.0, 0.0))
    one = replace(learned(), growth={"orders": replace(grown(), hosts=hosts)})
    known = told(policy(), policy().targets[0], one)
    assert [each["name"] for each in known["signals"]["orders"]["hosts"]] == ["lena", "otto", "head"]
    said = [line.split() for line in lines(known) if line.startswith("    host otto")]
    assert [words[:6] for words in said] == [["host", "otto", "6", "seen,", "50", "%"]]
    assert known["signals"]["orders"]["hosts"][1]["preparedFor"] < 0.7
    forgetful = replace(policy(), live=Live(forgotten=frozenset({"otto"})))
    assert [each["name"] for each in told(forgetful, policy().targets[0], one)["signals"]["orders"]["hosts"]] == [
        "lena",
        "head",
    ]


def test_where_nothing_was_learned_that_is_said() -> None:
    text = "\n".join(lines(told(policy(), policy().targets[0], None)))
    assert "not measured yet: the policy's guess of 60 s" in text
    assert "nothing is learned of them" in text


def test_it_is_read_from_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tenant("shop"), tmp_path / "kubeconfig")
    try:
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        site.cluster.create(learned_to_object(learned(), Key("shop", learned_name(CORE))))
        code, out, _ = run("explain", "core", "orders", "--learned", "-o", "json")
        assert (code, json.loads(out)["signals"]["orders"]["announcedSteps"]) == (0, 4)
        code, out, _ = run("explain", "core", "orders", "--learned")
        assert out.startswith(
            "shop/core orders: what was learned\nstart      20 to 49 s in 30 steps; 95 % within 49 s\n"
        )
    finally:
        site.close()


def test_of_files_nothing_is_learned(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump_all(tenant("shop")[2:]))
    code, _, err = run("explain", "core", "orders", str(path), "--learned")
    assert code == 2
    assert "--learned is asked of the cluster: leave the files out" in err


def test_a_plan_says_that_floors_which_follow_demand_are_not_shown(tmp_path: Path) -> None:
    documents = tenant("shop")[2:]
    documents[0]["spec"] |= {"live": {}, "signals": [{"name": "orders", "query": "sum(orders)"}]}
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    _, _, err = run("plan", str(path), "--at", "2026-12-01T09:00:00Z")
    assert "ScalingPolicy shop/core: its floors follow what is measured (spec.live)" in err
