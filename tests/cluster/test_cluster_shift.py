"""The shift on a real control plane: real scheduler, Jobs, HPAs, and the operator under the chart's own rules.

Run with ``-s`` to see the seconds. On a control plane of its own, because it counts every core.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import shift_scene as play
from audited import lines_of
from shift_plane import AUDIT, on_the_shifts_plane, opened
from shift_scene import PoolScene, Sample

from tidegate.api.walltime import from_rfc3339

pytestmark = on_the_shifts_plane

T0_SLACK = 1.0


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoolScene]:
    with opened() as cluster:
        made = PoolScene(cluster, tmp_path_factory.mktemp("shift"))
        try:
            made.prepare()
            made.play()
            print(f"\n{made.story()}")  # noqa: T201  the measurement
            yield made
        finally:
            made.close()


def at(scene: PoolScene, instant: float) -> Sample:
    return max((s for s in scene.samples if s.at <= instant), key=lambda s: s.at)


def test_it_was_looked_at_every_second(scene: PoolScene) -> None:
    gaps = [b.at - a.at for a, b in zip(scene.samples, scene.samples[1:], strict=False)]
    assert sorted(gaps)[len(gaps) // 2] < 1.5
    assert len(scene.samples) > play.AHEAD


def test_the_pool_is_never_oversold(scene: PoolScene) -> None:
    assert max(sum(s.milli.values()) for s in scene.samples) <= play.NODES * play.CORES * 1000
    shown = {c["status"] for s in scene.samples for c in s.pool.get("conditions", []) if c["type"] == "Oversold"}
    assert shown == {"False"}


def test_no_trading_pod_ever_waits_for_a_machine(scene: PoolScene) -> None:
    """Floors rise only as far as machines were seen free."""
    assert max(s.waiting for s in scene.samples) == 0, scene.story()


def test_both_shops_are_ready_before_t0(scene: PoolScene) -> None:
    full = next((s for s in scene.samples if s.ready >= (play.WEB_PEAK, play.PAY_PEAK)), None)
    assert full is not None, scene.story()
    print(f"\nready {scene.t0 - full.at:.0f} s before T-0")  # noqa: T201
    assert full.at <= scene.t0, scene.story()
    held = [s.ready for s in scene.samples if full.at <= s.at <= scene.t0 + play.LENGTH]
    assert min(web for web, _ in held) >= play.WEB_PEAK
    assert min(pay for _, pay in held) >= play.PAY_PEAK


def test_data_keeps_its_guarantee(scene: PoolScene) -> None:
    assert min(s.milli["data"] for s in scene.samples) >= play.NODES * play.CORES * 1000 * 20 // 100


def test_work_is_told_half_a_minute_before_it_is_stopped(scene: PoolScene) -> None:
    """The Loan with the notice stands before the level moves, by the server's own word."""
    told: dict[str, float] = {}
    stopped: dict[str, float] = {}
    for s in scene.samples:
        for loan in s.loans:
            spec = loan["spec"]
            if "handOver" not in spec:
                continue
            name = spec["target"]["name"]
            told.setdefault(name, s.at)
            if spec["pending"] != spec["original"]:
                stopped.setdefault(name, s.at)
    assert len(stopped) > 50, scene.story()
    assert all(stopped[name] - told[name] >= play.NOTICE - 2.5 for name in stopped), scene.story()


def test_everything_is_returned_by_the_promise(scene: PoolScene) -> None:
    lent = [s for s in scene.samples if s.suspended or s.milli["data"] < scene.samples[0].milli["data"]]
    notes = [loan["spec"].get("handOver", {}) for s in scene.samples for loan in s.loans]
    promised = max(one["time"] for note in notes for one in note.get("promises", []))
    print(f"\nback {lent[-1].at - scene.t0:+.0f} s, promised {from_rfc3339(promised) - scene.t0:+.0f} s from T-0")  # noqa: T201
    assert lent[-1].at <= from_rfc3339(promised), scene.story()
    assert scene.after == scene.before
    assert scene.samples[-1].loans == []


def test_an_event_that_the_pool_is_too_small_for_is_named_within_half_a_minute(scene: PoolScene) -> None:
    asked = next(at for at, what in scene.marks if "twice" in what)
    told = next(((at, s) for at, s in scene.greedy if (play.named(s) or ("", ""))[0] == "False"), None)
    assert told is not None, scene.greedy[-1:]
    print(f"\nBlocked {told[0] - asked:.1f} s after it was asked for: {play.named(told[1])}")  # noqa: T201
    assert play.named(told[1]) == ("False", "PoolTooSmall")
    assert told[1]["blockedBy"] == "CapacityPool/hangzhou-a"
    assert told[0] - asked <= 60.0


def test_the_operator_asked_for_nothing_that_it_may_not_do(scene: PoolScene) -> None:
    if not AUDIT:
        pytest.skip("needs the audit log of that control plane, named by TIDEGATE_TEST_SHIFT_AUDIT_LOG")
    account = f"system:serviceaccount:{scene.home}:operator"
    lines = [json.loads(line) for line in lines_of(AUDIT) if account in line]
    mine = [one for one in lines if one["user"]["username"] == account]
    assert len(mine) > 100
    refused = {(o["verb"], o["requestURI"]) for o in mine if (o.get("responseStatus") or {}).get("code") == 403}
    assert refused == set()
