"""The process tells the truth about itself."""

from __future__ import annotations

import time

import aiohttp
import pytest

from tidegate.planning.model import Key
from tidegate.shell.probes import Heart, OwnMetrics, Probes, watch_check

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
        alive={"liveevents": watch_check(lambda: age, limit=180), "loop": heart.check(limit=60)},
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


def series(metrics: OwnMetrics, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def test_what_is_not_known_and_what_is_gone_have_no_series() -> None:
    metrics = OwnMetrics()
    metrics.target(SHOP, "order", floor=12, level=12, ready=3, next_step_seconds=60.0)
    metrics.target(SHOP, "cache", floor=2, level=2, ready=2, next_step_seconds=None)
    metrics.blind(SHOP, blind=True)
    assert series(metrics, "tidegate_target_floor") == {("shop", "core", "order"): 12, ("shop", "core", "cache"): 2}
    assert series(metrics, "tidegate_next_step_seconds") == {("shop", "core", "order"): 60}
    metrics.target(SHOP, "order", floor=12, level=None, ready=None, next_step_seconds=None)
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
