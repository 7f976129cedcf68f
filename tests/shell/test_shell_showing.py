"""Showing thousands of objects holds nobody up, and how long anything did is measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace

import pytest
from test_shell_reporter import READY, T0, Noon, Wall
from test_shell_store import CORE, live_event, scaling_policy

from tidegate.control.loop import Beat
from tidegate.control.wishes import Applied
from tidegate.planning.decision import Action, Plan
from tidegate.planning.model import Key, Observed, PlanSettings, Ref
from tidegate.planning.plan import make_plan
from tidegate.planning.reasons import Reason
from tidegate.planning.world import World
from tidegate.ports import StatusPatch
from tidegate.shell import pace
from tidegate.shell.own_metrics import OwnMetrics
from tidegate.shell.reporter import Reporter
from tidegate.shell.showing import Showing
from tidegate.shell.stillness import BUCKET, KEPT, Stillness
from tidegate.shell.store import WatchedStore


class Board(Wall):
    """Counts what is hung up, and when others had their turn."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Key] = []

    def publish(self, patches: Iterable[StatusPatch]) -> None:
        self.shown += [patch.key for patch in patches]


def show(at: int) -> Key:
    return Key("shop", f"show{at}")


def stage(events: int) -> tuple[Showing, Board, WatchedStore, OwnMetrics]:
    store, board, metrics = WatchedStore(lambda: T0 - 600.0), Board(), OwnMetrics()
    store.put_policy(scaling_policy())
    for at in range(events):
        store.put_event(live_event(f"show{at}"))
    reporter = Reporter(store, board, board, Noon())
    return Showing(reporter, metrics, on_beat=lambda beat: None), board, store, metrics


def beat(store: WatchedStore, events: int, *applied: Applied) -> Beat:
    plan = Plan(T0 - 600.0, {}, {show(at): READY for at in range(events)}, (), None)
    return Beat(T0 - 600.0, World({}, store.announcements()), plan, applied, (), True, 0, None)


async def test_others_get_their_turn_between_any_two_objects_and_may_change_the_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "SLICE", 0.0)
    showing, board, store, _ = stage(50)
    showing.take(beat(store, 50))
    turns: list[int] = []

    async def others() -> None:
        while True:
            turns.append(len(board.shown))
            at = len(turns)
            store.delete_event(show(at))
            store.put_event(live_event(f"other{at}", schedule={}))
            store.put_policy({**scaling_policy(targets=[]), "metadata": {"namespace": "x", "name": f"p{at}"}})
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await showing.show_waiting()
    task.cancel()
    assert len(set(turns)) > 40
    assert {show(at) for at in range(50)} <= set(board.shown)


async def test_of_beats_that_come_faster_than_they_are_shown_the_last_is_shown_and_all_deeds_are_told() -> None:
    showing, board, store, metrics = stage(1)
    order = Ref("apps/v1", "Deployment", "shop", "order")
    did = Applied(CORE, "order", order, Action.RAISE, 2, 12, T0, Reason.READY, "for the show")
    for _ in range(3):
        showing.take(beat(store, 1, did))
    await showing.show_waiting()
    assert [reason for reason, *_ in board.said if reason == "FloorRaised"] == ["FloorRaised"] * 3
    assert board.shown.count(show(0)) == 1
    counted = [s.value for m in metrics.registry.collect() for s in m.samples if s.name == "tidegate_writes_total"]
    assert counted == [3.0]


def test_the_longest_stand_still_is_remembered_for_minutes_and_then_forgotten() -> None:
    stillness = Stillness()
    assert stillness.longest() == 0.0
    stillness.note(0.3, 1000.0)
    stillness.note(0.1, 1000.0 + BUCKET)
    assert stillness.longest() == 0.3
    stillness.note(0.05, 1000.0 + KEPT + BUCKET)
    assert stillness.longest() == 0.1


async def test_a_loop_that_is_held_up_is_noticed() -> None:
    stillness = Stillness()
    measuring = asyncio.create_task(stillness.measure_for_ever())
    await asyncio.sleep(0)
    time.sleep(0.12)  # noqa: ASYNC251  the fault that is looked for
    while not stillness.longest():  # noqa: ASYNC110  the test's own limit ends it
        await asyncio.sleep(0.001)
    assert stillness.longest() >= 0.06
    measuring.cancel()


async def test_how_many_units_are_ready_has_no_series_while_nobody_can_tell() -> None:
    showing, _, store, metrics = stage(0)
    policy = store.policy(CORE)
    assert policy is not None
    labels = {"namespace": "shop", "policy": "core", "target": "order"}

    async def counted(seen: Observed) -> list[float | None]:
        world = World({CORE: policy}, {}, {(CORE, "order"): seen}, settings=PlanSettings())
        showing.take(Beat(T0, world, make_plan(world, T0), (), (), True, 0, None))
        await showing.show_waiting()
        return [metrics.registry.get_sample_value(f"tidegate_target_{name}", labels) for name in ("level", "ready")]

    seen = Observed(level=5, ready=4, desired=5)
    assert await counted(seen) == [5.0, 4.0]
    assert await counted(replace(seen, seen=False, note="not seen for 40 s")) == [5.0, None]
    assert await counted(seen) == [5.0, 4.0]
