"""What was borrowed is returned, whatever happens in between."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import FakeCluster, FakeStore, Faults, HandClock, Killed, Leader, Thing, operator, run_until
from worlds import CORE, NS, T0, event, policy, target

from tidegate.control.loop import Beat, Loop
from tidegate.planning.decision import Outcome
from tidegate.planning.model import MANAGER, Key, Mode, Trouble
from tidegate.planning.reasons import Reason


def scene(**thing: object) -> tuple[FakeCluster, FakeStore]:
    """One workload of 2, an event of ten minutes that needs 10."""
    clock = HandClock(T0 - 300.0)
    cluster = FakeCluster(clock, {"order": Thing(**thing)})  # type: ignore[arg-type]
    core = policy(target(), hold=30.0, rate=0.4)
    show = event(duration=600.0)
    return cluster, FakeStore({CORE: core}, {show.key: show})


def returned(cluster: FakeCluster, original: int = 2, manager: str = "helm") -> None:
    thing = cluster.things["order"]
    assert (thing.level, thing.manager, cluster.loans) == (original, manager, {})


async def test_a_level_is_ready_before_t0_held_and_returned() -> None:
    cluster, store = scene()
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 - 5.0)
    assert cluster.things["order"].level == 10
    cluster.things["order"].advance(T0)
    assert cluster.things["order"].ready == 10
    (loan,) = cluster.loans.values()
    assert (loan.original, loan.verified, loan.pending, loan.wanted_by) == (2, 10, 10, ("LiveEvent/show",))
    assert loan.former is not None
    assert loan.former.name == "helm"
    await run_until(loop, cluster.clock, T0 + 1200.0)
    returned(cluster)


CALLS = 23
"""Calls that one whole evening of one target makes: ``test_every_call_is_a_kill_point`` holds it."""


async def test_every_call_is_a_kill_point() -> None:
    cluster, store = scene()
    await run_until(operator(cluster, store), cluster.clock, T0 + 1500.0)
    assert cluster.faults.calls == CALLS


@pytest.mark.parametrize("kill_at", range(2, 2 * CALLS + 2))
async def test_killed_at_any_call_and_restarted_it_returns_everything_and_never_dips(kill_at: int) -> None:
    """A process that dies before or after any single call leaves nothing that the next one cannot finish."""
    cluster, store = scene()
    cluster.faults = Faults(kill_at)
    low = {"level": 10}

    def watch(_: object) -> None:
        if T0 - 20.0 <= cluster.clock.at <= T0 + 600.0:
            low["level"] = min(low["level"], cluster.things["order"].level)

    loop: Loop = operator(cluster, store)
    for _ in range(2):
        try:
            await run_until(loop, cluster.clock, T0 + 1500.0, each=watch)
            break
        except Killed:
            loop = operator(cluster, store)
    returned(cluster)
    assert low["level"] == 10
    booked = [(before, after) for _, _, before, after in cluster.level_writes]
    assert all(after != before for before, after in booked)


async def test_the_event_deleted_while_live_steps_down_and_returns() -> None:
    cluster, store = scene()
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    (show,) = store.events
    store.delete(show)
    await run_until(loop, cluster.clock, T0 + 400.0)
    returned(cluster)


async def test_the_policy_deleted_while_live_steps_down_and_returns() -> None:
    cluster, store = scene()
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    store.policy_map.clear()
    levels = []
    await run_until(loop, cluster.clock, T0 + 900.0, each=lambda _: levels.append(cluster.things["order"].level))
    returned(cluster)
    assert len(set(levels)) > 3, "in steps, not at once"


async def test_switched_to_observe_while_live_it_returns_and_writes_no_more() -> None:
    cluster, store = scene()
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    store.policy_map[CORE] = replace(store.policy_map[CORE], mode=Mode.OBSERVE)
    await run_until(loop, cluster.clock, T0 + 500.0)
    returned(cluster)
    cluster.level_writes.clear()
    await run_until(loop, cluster.clock, T0 + 550.0)
    assert cluster.level_writes == []


async def test_observe_writes_nothing_and_says_what_it_would_do() -> None:
    cluster, store = scene()
    store.policy_map[CORE] = replace(store.policy_map[CORE], mode=Mode.OBSERVE)
    messages: set[str] = set()
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 10.0, each=lambda b: messages.add(b.plan.targets[CORE, "order"].message))
    assert cluster.level_writes == []
    assert any(m.startswith("would be set to 10") for m in messages)


async def test_a_reapplied_original_is_overruled_at_once_and_returned_in_the_end() -> None:
    """A forced upgrade inside the loan: the original value comes back and is asserted again."""
    cluster, store = scene()
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    cluster.things["order"].write(2, "helm", cluster.clock.now())
    await loop.turn()
    assert cluster.things["order"].level == 10
    await run_until(loop, cluster.clock, T0 + 1200.0)
    returned(cluster)


async def test_a_tool_that_insists_wins_after_five_times_and_is_named() -> None:
    cluster, store = scene()
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    for _ in range(8):
        cluster.things["order"].write(2, "argocd", cluster.clock.now())
        beat = await loop.turn()
        cluster.clock.at += 1.0
    assert beat is not None
    seen = beat.plan.targets[CORE, "order"]
    assert seen.reason.value == Trouble.MANAGER_CONFLICT.value
    assert "argocd keeps setting" in seen.message
    assert sum(after == 10 for _, _, _, after in cluster.level_writes) == 6
    assert len(cluster.loans) == 1, "the loan stays"


async def test_a_users_own_new_value_becomes_the_original() -> None:
    cluster, store = scene()
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    cluster.things["order"].write(5, "kubectl-edit", cluster.clock.now())
    await loop.turn()
    assert cluster.things["order"].level == 10, "max(ours, theirs) while the loan runs"
    await run_until(loop, cluster.clock, T0 + 1200.0)
    returned(cluster, original=5, manager="kubectl-edit")


async def test_a_users_higher_value_is_kept() -> None:
    cluster, store = scene()
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    cluster.things["order"].write(40, "kubectl-edit", cluster.clock.now())
    await run_until(loop, cluster.clock, T0 + 1200.0)
    returned(cluster, original=40, manager="kubectl-edit")


async def test_a_target_deleted_and_made_again_is_another_one() -> None:
    """The loan of the old one ends, the new one is borrowed afresh."""
    cluster, store = scene()
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    cluster.things["order"] = Thing(level=3, uid="u2", ready=3)
    await run_until(loop, cluster.clock, T0 + 120.0)
    (loan,) = cluster.loans.values()
    assert (loan.place.uid, loan.original) == ("u2", 3)
    await run_until(loop, cluster.clock, T0 + 1200.0)
    returned(cluster, original=3)


async def test_without_the_lease_nothing_is_written() -> None:
    cluster, store = scene()
    leader = Leader(leads=False)
    loop = operator(cluster, store, leader=leader)
    await run_until(loop, cluster.clock, T0)
    assert cluster.level_writes == []
    assert cluster.loans == {}
    leader.leads, leader.epoch = True, 2
    await loop.turn()
    assert cluster.things["order"].level == 10


async def test_the_durable_stop_is_obeyed_and_lifted() -> None:
    cluster, store = scene()
    store.is_stopped = True
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0)
    assert cluster.level_writes == []
    store.is_stopped = False
    await loop.turn()
    assert cluster.things["order"].level == 10


async def test_one_unreadable_target_does_not_stop_the_rest() -> None:
    cluster, store = scene()
    cluster.things["pay"] = Thing()
    cluster.unreadable.add("order")
    store.policy_map[CORE] = policy(target(), target("pay"), hold=30.0)
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0)
    assert (cluster.things["order"].level, cluster.things["pay"].level) == (2, 10)


async def test_a_target_that_is_deleted_blocks_its_event_ends_its_loan_and_stops_no_other() -> None:
    cluster, store = scene()
    cluster.things["pay"] = Thing()
    store.policy_map[CORE] = policy(target(), target("pay"), hold=30.0, rate=0.4)
    loop, beats = operator(cluster, store), []
    await run_until(loop, cluster.clock, T0 - 200.0)
    await run_until(loop, cluster.clock, T0 + 60.0)
    assert {loan.place.ref.name for loan in cluster.loans.values()} == {"order", "pay"}
    del cluster.things["order"]
    await run_until(loop, cluster.clock, T0 + 120.0, each=beats.append)
    (verdict,) = beats[-1].plan.verdicts.values()
    assert (verdict.outcome, verdict.reason) == (Outcome.BLOCKED, Reason.TARGET_MISSING)
    assert [loan.place.ref.name for loan in cluster.loans.values()] == ["pay"]
    assert cluster.things["pay"].level == 10
    await run_until(loop, cluster.clock, T0 + 1200.0)
    assert (cluster.things["pay"].level, cluster.loans) == (2, {})


async def test_a_loan_of_a_workload_that_was_switched_off_ends_when_it_was_meant_to() -> None:
    """An HPA whose workload somebody scaled to 0 in the middle still gets its minimum back."""
    cluster, store = scene(maximum=100)
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    cluster.things["order"].trouble = Trouble.SCALING_DISABLED
    await run_until(loop, cluster.clock, T0 + 2400.0)
    returned(cluster)


async def test_idle_hours_write_nothing() -> None:
    cluster, store = scene()
    (show,) = store.events.values()
    store.put(replace(show, occurrences=(show.occurrences[0]._replace(start=T0 + 40_000.0),)))
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 3600.0)
    assert cluster.level_writes == []
    assert cluster.things["order"].manager != MANAGER


@pytest.mark.parametrize("named", [CORE, Key(NS, "")])
async def test_an_event_that_is_edited_into_an_invalid_one_keeps_its_level_through_a_restart(named: Key) -> None:
    """The new life cannot know what it said; the loan says until when it was to last."""
    cluster, store = scene()
    await run_until(operator(cluster, store), cluster.clock, T0 + 60.0)
    (loan,) = cluster.loans.values()
    store.events.clear()
    store.unread_map = {named: "LiveEvent show cannot be understood"}
    second, told = operator(cluster, store, leader=Leader(epoch=2)), []
    await run_until(second, cluster.clock, loan.until - 1.0, each=lambda beat: told.append(beat.plan.targets))
    assert cluster.things["order"].level == 10
    assert told[-1][CORE, "order"].reason is Reason.EVENT_LEFT_OUT
    assert "LiveEvent show cannot be understood" in told[-1][CORE, "order"].message
    await run_until(second, cluster.clock, loan.until + 1800.0)
    returned(cluster)


async def test_an_invalid_event_keeps_nobody_elses_level_and_does_not_stop_a_rise() -> None:
    cluster, store = scene()
    store.unread_map = {Key(NS, "other"): "LiveEvent slip cannot be understood"}
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    store.unread_map = {CORE: "LiveEvent slip cannot be understood"}
    store.put(event("second", level=1500.0, start=T0 + 120.0, duration=60.0))
    (before,) = cluster.loans.values()
    await run_until(loop, cluster.clock, T0 + 150.0)
    assert cluster.things["order"].level == 25
    (after,) = cluster.loans.values()
    assert after.until >= before.until, "what cannot be read may have asked for that long"
    await run_until(loop, cluster.clock, after.until + 1800.0)
    returned(cluster)


async def test_while_we_are_down_for_an_hour_levels_stand_and_then_go_on_from_there() -> None:
    """Nobody lowers what is lent, nobody raises what falls due: the next life does both at once."""
    cluster, store = scene()
    store.put(event("second", level=2000.0, start=T0 + 3000.0, duration=1800.0))
    await run_until(operator(cluster, store), cluster.clock, T0 + 60.0)
    cluster.clock.at = T0 + 3660.0
    assert cluster.things["order"].level == 10
    loop, lowest, verdicts = operator(cluster, store, leader=Leader(epoch=2)), [], []

    def watch(beat: Beat) -> None:
        lowest.append(cluster.things["order"].level)
        verdicts.append(beat.plan.verdicts[Key(NS, "second")].outcome)

    await run_until(loop, cluster.clock, T0 + 4700.0, each=watch)
    assert (min(lowest), lowest[-1]) == (20, 20), "raised by the first decision"
    assert (verdicts[0], verdicts[-1]) == (Outcome.LATE, Outcome.READY)
    await run_until(loop, cluster.clock, T0 + 9000.0)
    returned(cluster)
