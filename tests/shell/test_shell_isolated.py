"""Of an object that cannot be shown all others are shown, and it is logged once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from test_shell_reporter import READY, SHOW, T0, Noon, Wall
from test_shell_showing import Board, show
from test_shell_store import CORE, live_event, scaling_policy

from tidegate.control.loop import Beat
from tidegate.control.wishes import Applied
from tidegate.planning.decision import Action, Outcome, Plan, Verdict
from tidegate.planning.model import Key, Observed, Ref
from tidegate.planning.plan import make_plan
from tidegate.planning.reasons import Reason
from tidegate.planning.world import World
from tidegate.ports import Json, StatusPatch
from tidegate.shell import isolated as module
from tidegate.shell.isolated import Isolated
from tidegate.shell.own_metrics import OwnMetrics
from tidegate.shell.reporter import Reporter
from tidegate.shell.showing import Showing
from tidegate.shell.store import WatchedStore

NOW = T0 - 600.0
BEYOND = Verdict(Outcome.LATE, Reason.LATE, "order: 1 of 2 ready", T0, ready_at=1e18)
"""No calendar has the instant at which all is ready."""


def evening(board: Wall, status: Json | None = None) -> tuple[Reporter, WatchedStore]:
    """Three events, of which the middle one shows ``status``."""
    store = WatchedStore(lambda: NOW)
    reporter = Reporter(store, board, board, Noon())
    for at in range(3):
        store.put_event(live_event(f"show{at}"))
        reporter.arrived(show(at), status if at == 1 else None)
    return reporter, store


def beat(store: WatchedStore, middle: Verdict, **world: Any) -> Beat:
    plan = Plan(NOW, {}, {show(0): READY, show(1): middle, show(2): READY}, (), None)
    return Beat(NOW, World(world.pop("policies", {}), store.announcements(), **world), plan, (), (), True, 0, None)


def test_an_event_that_cannot_be_shown_leaves_the_others_shown_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    board = Board()
    reporter, store = evening(board)
    for _ in range(3):
        reporter.report(beat(store, BEYOND))
    assert set(board.shown) == {show(0), show(2)}
    reporter.arrived(show(1))
    (told,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert "the status of LiveEvent shop/show1" in told.getMessage()


async def test_the_sweep_goes_on_past_an_event_that_cannot_be_shown() -> None:
    board = Board()
    reporter, store = evening(board)
    for _ in range(2):
        reporter.report(beat(store, BEYOND))
    for at in range(3):
        reporter.forget(show(at))
    board.shown.clear()
    sweeping = asyncio.create_task(reporter.sweep_for_ever())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert board.shown == [show(0), show(2)]
    sweeping.cancel()


async def test_an_event_that_could_not_be_shown_is_tried_again_by_the_next_sweep() -> None:
    class Shy(Board):
        """Takes nothing of one event."""

        shy = False

        def publish(self, patches: Iterable[StatusPatch]) -> None:
            told = list(patches)
            if self.shy and any(patch.key == show(1) for patch in told):
                raise ValueError("not now")
            super().publish(told)

    board = Shy()
    reporter, store = evening(board)
    reporter.report(beat(store, READY))
    board.shy = True
    reporter.arrived(show(1))
    board.shown.clear()
    board.shy = False
    await reporter._sweep()
    await reporter._sweep()
    assert board.shown == [show(1)]


def test_a_policy_that_cannot_be_shown_leaves_others_and_events_shown() -> None:
    board = Board()
    reporter, store = evening(board)
    store.put_policy(scaling_policy())
    policy = store.policy(CORE)
    assert policy is not None
    lone = replace(policy, key=Key("shop", "lone"), targets=())
    reporter.report(beat(store, READY, policies={CORE: policy, lone.key: lone}))  # the plan has no target of core
    assert set(board.shown) == {lone.key, show(0), show(1), show(2)}


@pytest.mark.parametrize("ready", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_on_record_that_no_calendar_has_is_none(ready: str) -> None:
    """Whoever may write statuses may write that. It is worked out anew, and all others are shown."""
    status = {"readyTime": ready, "nextOccurrence": {"start": "2026-11-09T16:00:00Z"}}
    wall, board = Wall(), Board()
    for told in (wall, board):
        reporter, store = evening(told, status)
        reporter.report(beat(store, READY))
    assert set(board.shown) == {show(0), show(1), show(2)}
    assert wall.status["readyTime"] == "2026-11-09T15:50:00Z"


async def test_a_target_whose_numbers_cannot_be_told_leaves_the_others_told() -> None:
    board, metrics = Board(), OwnMetrics()
    reporter, store = evening(board)
    store.put_policy(scaling_policy())
    policy = store.policy(CORE)
    assert policy is not None
    other = replace(policy, key=Key("shop", "other"))
    there = Observed(level=5, ready=4, desired=5)
    world = World({CORE: policy, other.key: other}, {}, {(of, "order"): there for of in (CORE, other.key)})
    plan = make_plan(world, T0)
    broken: Any = replace(plan.targets[CORE, "order"], overridden=None)
    plan = replace(plan, targets={**plan.targets, (CORE, "order"): broken})
    showing = Showing(reporter, metrics, on_beat=lambda beat: None)
    showing.take(Beat(T0, world, plan, (), (), True, 0, None))
    await showing.show_waiting()

    def level(policy: Key) -> float | None:
        labels = {"namespace": "shop", "policy": policy.name, "target": "order"}
        return metrics.registry.get_sample_value("tidegate_target_level", labels)

    assert level(other.key) == 5.0


async def test_statuses_are_shown_though_what_else_hangs_on_a_decision_fails() -> None:
    board = Board()
    reporter, store = evening(board)

    def watch(_: Beat) -> None:
        raise ValueError("no watch")

    showing = Showing(reporter, OwnMetrics(), on_beat=watch)
    showing.take(beat(store, READY))
    await showing.show_waiting()
    assert set(board.shown) == {show(0), show(1), show(2)}


def test_a_step_that_cannot_be_told_leaves_all_statuses_shown() -> None:
    class Deaf(Board):
        def emit(self, *_: object, **__: object) -> None:
            raise ValueError("no word")

    board = Deaf()
    reporter, store = evening(board)
    order = Ref("apps/v1", "Deployment", "shop", "order")
    did = Applied(CORE, "order", order, Action.RAISE, 2, 12, T0, Reason.READY, "for the show")
    reporter.report(replace(beat(store, READY), applied=(did,)))
    assert {show(0), show(1), show(2)} <= set(board.shown)


def test_what_failed_is_logged_again_once_it_worked_or_fails_in_another_way(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolated, error = Isolated(), list[Exception]()

    def job() -> None:
        if error:
            raise error[0]

    def logged(*now: Exception) -> int:
        caplog.clear()
        error[:] = now
        isolated.run("the status of LiveEvent", SHOW, job)
        return len(caplog.records)

    assert [logged(ValueError("a")), logged(ValueError("b")), logged(KeyError("b"))] == [1, 0, 1]
    assert [logged(), logged(KeyError("b"))] == [0, 1]
    monkeypatch.setattr(module, "REMEMBERED", 3)
    error[:] = [ValueError("c")]
    for at in range(10):
        isolated.run("the status of LiveEvent", at, job)
    assert len(isolated._failed) <= 3


def test_whoever_ends_the_task_is_heard() -> None:
    def job() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        Isolated().run("the status of LiveEvent", SHOW, job)
