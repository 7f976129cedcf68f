"""The process tells the truth about itself."""

from __future__ import annotations

import time
from dataclasses import dataclass

import aiohttp
import pytest
from prometheus_client import generate_latest

from tidegate.control.age import Age
from tidegate.planning.model import Key
from tidegate.planning.resources import NOTHING, Resources
from tidegate.shell.own_metrics import OwnMetrics
from tidegate.shell.probes import Heart, Probes, age_check, knowledge_check, watches_check

SHOP = Key("shop", "core")


async def ask(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("same", [True, False])
async def test_a_watch_that_fell_silent_is_not_alive_although_it_answers(same: bool, unused_tcp_port: int) -> None:
    age = 10.0
    metrics = OwnMetrics()
    heart = Heart()
    metrics.watch_age("liveevents", lambda: age)
    probes = Probes(
        alive={"liveevents": age_check(lambda: age, limit=180), "loop": heart.check(limit=60)},
        ready={"synced": lambda: "the first list is not complete"},
        registry=metrics.registry,
        probe_port=unused_tcp_port if same else 0,
        metrics_port=unused_tcp_port if same else 0,
        host="127.0.0.1",
    )
    await probes.start()
    try:
        assert (probes.probe_port == probes.metrics_port) is same
        assert await ask(probes.probe_port, "/healthz") == (200, "liveevents: ok\nloop: ok\n")
        code, text = await ask(probes.probe_port, "/readyz")
        assert (code, text) == (503, "synced: the first list is not complete\n")
        age = 181.0
        code, text = await ask(probes.probe_port, "/healthz")
        assert code == 503
        assert "no sign of life for 181 s" in text
        code, text = await ask(probes.metrics_port, "/metrics")
        assert 'tidegate_watch_age_seconds{watch="liveevents"} 181.0' in text
    finally:
        await probes.stop()


def test_a_loop_that_does_not_come_round_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    heart = Heart()
    check = heart.check(limit=60)
    assert check() is None
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert check() is not None
    heart.beat()
    assert check() is None


@dataclass
class Watch:
    """Of one namespace."""

    age: float
    refused: bool = False

    def age_seconds(self) -> float:
        return self.age


def test_one_namespace_that_gives_no_answer_ends_no_process_and_all_of_them_do() -> None:
    """A new start would wait for it, and everybody else with it."""
    watches = {"live": Watch(10.0), "shop": Watch(1000.0)}
    check = watches_check(watches, limit=300.0)  # type: ignore[arg-type]
    assert check() is None
    watches["live"].age = 301.0
    assert check() == "no sign of life for 301 s (limit 300 s)"
    watches["shop"].refused = True
    assert check() is not None, "the one that is left is silent"
    watches["live"].refused = True
    assert check() is None, "a new start would be refused as well"


def test_what_is_not_seen_of_one_tenant_makes_nobody_unready_and_what_is_not_seen_at_all_does() -> None:
    ages = {"targets": Age(youngest=2.0, oldest=4000.0), "pools": Age(), "loans": Age(900.0, 900.0)}
    check = knowledge_check(lambda: ages, limits={"targets": 300.0, "pools": 600.0})
    assert check() is None
    ages["targets"] = Age(youngest=301.0, oldest=4000.0)
    assert check() == "targets as of 301 s ago (limit 300 s)"
    ages["pools"] = Age(700.0, 700.0)
    assert check() == "pools as of 700 s ago (limit 600 s); targets as of 301 s ago (limit 300 s)"


def test_the_oldest_knowledge_of_each_kind_is_a_metric() -> None:
    metrics = OwnMetrics()
    metrics.oldest_knowledge(lambda: {"targets": Age(2.0, 4000.0), "pools": Age()})
    assert series(metrics, "tidegate_oldest_knowledge_seconds") == {("targets",): 4000.0, ("pools",): 0.0}


def series(metrics: OwnMetrics, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def test_what_is_not_known_and_what_is_gone_have_no_series() -> None:
    clock = [1000.0]
    metrics = OwnMetrics(lambda: clock[0])
    metrics.target(SHOP, "order", floor=12, level=12, ready=3, next_step_at=1060.0, overrides=0)
    metrics.target(SHOP, "cache", floor=2, level=2, ready=2, next_step_at=None, overrides=0)
    metrics.blind(SHOP, blind=True)
    assert series(metrics, "tidegate_target_floor") == {("shop", "core", "order"): 12, ("shop", "core", "cache"): 2}
    assert series(metrics, "tidegate_next_step_seconds") == {("shop", "core", "order"): 60}
    clock[0] += 15.0
    assert series(metrics, "tidegate_next_step_seconds") == {("shop", "core", "order"): 45}, "it shrinks by itself"
    metrics.target(SHOP, "order", floor=12, level=None, ready=None, next_step_at=None, overrides=0)
    assert series(metrics, "tidegate_target_ready") == {("shop", "core", "cache"): 2}
    metrics.keep({(SHOP, "cache")})
    assert series(metrics, "tidegate_target_floor") == {("shop", "core", "cache"): 2}
    assert series(metrics, "tidegate_blind") == {("shop", "core"): 1}
    metrics.keep(set())
    assert series(metrics, "tidegate_blind") == {}


def test_writes_and_leadership_are_counted() -> None:
    metrics = OwnMetrics()
    leading = False
    metrics.leader(lambda: leading)
    metrics.clock_skew(lambda: None)
    metrics.wrote("floor", "ok")
    metrics.wrote("floor", "ok")
    assert series(metrics, "tidegate_writes_total") == {("floor", "ok"): 2}
    assert series(metrics, "tidegate_leader") == {(): 0}
    leading = True
    assert series(metrics, "tidegate_leader") == {(): 1}


def test_a_pool_shows_what_is_lent_in_base_units_and_nothing_once_it_is_gone() -> None:
    metrics = OwnMetrics()
    lent = {"data": (Resources(16_000, 2048), Resources(500, 0)), "trading": (NOTHING, NOTHING)}
    metrics.pool("hangzhou-a", lent, oversold=NOTHING, refused=1)
    metrics.keep_pools(["hangzhou-a"])
    shown = generate_latest(metrics.registry).decode()
    assert 'tidegate_lane_lent{lane="data",pool="hangzhou-a",resource="cpu"} 16.0' in shown
    assert 'tidegate_lane_lent{lane="data",pool="hangzhou-a",resource="memory"} 2.147483648e+09' in shown
    assert 'tidegate_lane_draining{lane="data",pool="hangzhou-a",resource="cpu"} 0.5' in shown
    assert 'tidegate_pool_refusals{pool="hangzhou-a"} 1.0' in shown
    metrics.pool("hangzhou-a", {"data": lent["data"]}, oversold=NOTHING, refused=0)
    assert 'lane="trading"' not in generate_latest(metrics.registry).decode()
    metrics.keep_pools([])
    assert "hangzhou-a" not in generate_latest(metrics.registry).decode()
