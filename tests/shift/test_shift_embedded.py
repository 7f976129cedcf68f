"""The shift on the embedded cluster: every write over HTTP, with the adapters that a real cluster gets."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from shift_stage import CORES, Deaths, Json, Killed, Leader, Sample, Stage, event, policy, pool

from tidegate.api.walltime import from_rfc3339
from tidegate.planning.decision import Outcome
from tidegate.planning.model import Key
from tidegate.planning.reasons import Reason

pytestmark = pytest.mark.timeout(600)

NODES, JOBS = 5, 16
LEAD, LENGTH = 420.0, 200
QUICK = {"drain": {"noticeSeconds": 60, "minimumRunSeconds": 120, "guessSeconds": 60}, "giveBackWithinSeconds": 300}
EVENT = Key("shop", "opening")


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = await Stage.open([pool(**QUICK), policy()], jobs=JOBS, nodes=NODES)
    yield made
    await made.close()


def opening(stage: Stage, units: int = 26, **how: Any) -> float:
    start = stage.clock.at + LEAD
    stage.put(event(start, units=units, seconds=LENGTH, **how))
    return start


async def alone(stage: Stage, until: float, step: float = 10.0) -> None:
    loop, client = await stage.operator()
    await stage.play(loop, until, step=step)
    await client.close()


def never_oversold(samples: list[Sample], cores: int = NODES * CORES) -> None:
    assert max(sum(s.used.values()) for s in samples) <= cores
    assert not any(s.pending for s in samples), "a pod was let in for which there was no machine"


async def test_data_is_gone_before_trading_is_let_in_and_is_back_by_the_promise(stage: Stage) -> None:
    before = stage.levels()
    start = opening(stage)
    await alone(stage, start + LENGTH + 400.0)
    never_oversold(stage.samples)
    ready = next(s for s in stage.samples if s.ready >= 26)
    assert ready.at <= start, f"all ready {ready.at - start:+.0f} s from T-0"
    lent = [s for s in stage.samples if s.suspended or s.loader < 10]
    written = next(s for s in stage.samples if s.web == 26)
    assert lent[0].at < written.at
    assert lent[-1].at <= start + LENGTH + 300.0, "given back within the promise"
    assert stage.levels() == before
    assert stage.loans() == []


async def test_work_is_told_before_it_is_stopped(stage: Stage) -> None:
    start = opening(stage)
    await alone(stage, start)
    assert stage.at(start).out
    told_in_time(stage)


async def test_a_notice_says_when_the_work_stops_for_which_event_and_when_it_runs_again(stage: Stage) -> None:
    start = opening(stage)
    await alone(stage, start + LENGTH + 400.0, step=5.0)
    names = {name for sample in stage.samples for name in sample.out}
    assert names
    for ref, message in stage.words.items():
        if ref.name not in names:
            continue
        said = re.fullmatch(
            r"will go from 1 to 0 at (\S+) for LiveEvent/opening \(CapacityPool hangzhou-a, lane data\),"
            r" planned back at (\S+)",
            message,
        )
        assert said is not None, message
        stops, returns = (from_rfc3339(said[n]) for n in (1, 2))
        out = [sample.at for sample in stage.samples if ref.name in sample.out]
        assert stops <= out[0] <= stops + 10.0, "two steps of the play"
        assert returns - 30.0 <= out[-1] <= returns


async def test_a_new_life_tells_the_notices_that_stand_again_and_once(stage: Stage) -> None:
    """The one before may have died over them."""
    start = opening(stage)
    first, client = await stage.operator()
    while not stage.told:
        await stage.play(first, stage.clock.at + 5.0)
        assert stage.clock.at < start
    await client.close()
    before, count = {ref for _, ref in stage.told}, len(stage.told)
    second, client = await stage.operator(leader=Leader(epoch=2))
    await stage.play(second, stage.clock.at + 20.0)
    await client.close()
    again = [ref for _, ref in stage.told[count:]]
    assert before <= set(again)
    assert len(again) == len(set(again))


def told_in_time(stage: Stage, notice: float = 60.0) -> None:
    """Whatever was stopped had its notice, by the Event that its object got, and in full."""
    told: dict[str, float] = {}
    for at, ref in stage.told:
        told.setdefault(ref.name, at)
    stopped: dict[str, float] = {}
    for sample in stage.samples:
        for name in sample.out:
            stopped.setdefault(name, sample.at)
    assert all(at - told[name] >= notice for name, at in stopped.items()), (told, stopped)


async def test_the_cheapest_work_stops_first(stage: Stage) -> None:
    """A loader loses nothing by a stop; a Job what it did since its last checkpoint."""
    start = opening(stage, units=20)
    await alone(stage, start + 30.0)
    peak = stage.at(start)
    assert (peak.loader, peak.suspended) == (4, 0)


async def test_a_need_beyond_the_pool_is_cut_named_and_leaves_the_guarantee(stage: Stage) -> None:
    start = opening(stage, units=60)
    await alone(stage, start + 60.0)
    never_oversold(stage.samples)
    verdict = next(b.plan.verdicts[EVENT] for b in reversed(stage.beats) if EVENT in b.plan.verdicts)
    assert verdict.outcome is Outcome.BLOCKED
    assert verdict.reason in (Reason.POOL_TOO_SMALL, Reason.LANE_GUARANTEE)
    assert str(verdict.object) == "CapacityPool/hangzhou-a"
    assert min(s.used["warehouse"] for s in stage.samples) >= NODES * CORES * 10 // 100
    assert stage.at(start).ready == NODES * CORES - NODES * CORES * 10 // 100


async def test_an_event_deleted_while_its_work_is_out_sends_the_work_back(stage: Stage) -> None:
    before, start = stage.levels(), opening(stage)
    loop, client = await stage.operator()
    await stage.play(loop, start + 30.0, step=10.0)
    assert stage.at(start).loader < 10
    stage.store.delete_event(EVENT)
    await stage.play(loop, start + 400.0, step=10.0)
    await client.close()
    never_oversold(stage.samples)
    assert stage.levels() == before
    assert stage.loans() == []


async def test_a_pool_that_is_deleted_gives_everything_back(stage: Stage) -> None:
    before, start = stage.levels(), opening(stage)
    loop, client = await stage.operator()
    await stage.play(loop, start + 20.0, step=10.0)
    stage.store.delete_pool("hangzhou-a")
    await stage.play(loop, start + 60.0, step=10.0)
    await client.close()
    after = stage.levels()
    assert {name: level for name, level in after.items() if name != "web"} == {
        name: level for name, level in before.items() if name != "web"
    }


# ---- deaths


DEATHS = [(share, after) for share in (0.02, 0.15, 0.3, 0.5, 0.7, 0.95) for after in (False, True)]


async def writes_of_one_life(objects: list[Json]) -> tuple[int, dict[str, Any]]:
    stage = await Stage.open(objects, jobs=JOBS, nodes=NODES)
    deaths, start = Deaths(), opening(stage)
    loop, client = await stage.operator(deaths)
    await stage.play(loop, start + LENGTH + 400.0, step=10.0)
    await client.close()
    await stage.close()
    return deaths.writes, stage.levels()


_known: dict[str, tuple[int, dict[str, Any]]] = {}


@pytest.mark.parametrize(("share", "after"), DEATHS)
async def test_a_leader_killed_between_any_two_writes_books_nothing_twice_and_forgets_nothing(
    stage: Stage, share: float, after: bool
) -> None:
    if "one" not in _known:
        _known["one"] = await writes_of_one_life([pool(**QUICK), policy()])
    writes, want = _known["one"]
    start = opening(stage)
    first, client = await stage.operator(Deaths(at=max(1, round(writes * share)), after=after))
    with pytest.raises(Killed):
        await stage.play(first, start + LENGTH + 400.0, step=10.0)
    await client.close()
    stage.clock.at += 20.0  # until another has the Lease
    stage.cluster.step()
    await alone(stage, start + LENGTH + 420.0)
    never_oversold(stage.samples)
    told_in_time(stage)
    assert stage.levels() == want
    assert stage.loans() == []


@pytest.mark.parametrize("at", [-150.0, 0.0, LENGTH + 60.0], ids=["while it drains", "at the peak", "giving back"])
async def test_a_change_of_leader_makes_no_difference(stage: Stage, at: float) -> None:
    """The deposed one goes on trying for a while; nothing of it is written."""
    if "one" not in _known:
        _known["one"] = await writes_of_one_life([pool(**QUICK), policy()])
    start = opening(stage)
    old = Leader(1)
    first, client = await stage.operator(leader=old)
    await stage.play(first, start + at, step=10.0)
    second, other = await stage.operator()
    await second.turn()
    await first.turn()  # it does not know yet
    old.leads = False
    for _ in range(3):
        await first.turn()
        await second.turn()
    await stage.play(second, start + LENGTH + 420.0, step=10.0)
    await client.close()
    await other.close()
    never_oversold(stage.samples)
    assert stage.levels() == _known["one"][1]
    assert stage.loans() == []


def promised(stage: Stage) -> dict[str, float]:
    """The last promise of each piece of work that is out."""
    found: dict[str, float] = {}
    for loan in stage.loans():
        for one in loan["spec"].get("handOver", {}).get("promises", []):
            name, at = loan["spec"]["target"]["name"], from_rfc3339(one["time"])
            found[name] = max(found.get(name, 0.0), at)
    return found


def was_back(stage: Stage, due: dict[str, float], since: float) -> None:
    """Every piece of work ran again by its promise: no loan ever shows one that has passed."""
    for beat in stage.beats:
        for member in beat.plan.pools["hangzhou-a"].facts.members:
            if member.mark is not None:
                assert member.mark.due_back >= beat.now - 10.0, f"{member.ref} at {beat.now - since:+.0f}"
    for name, at in due.items():
        if name != "loader":  # its replicas are alike: some come back while others go
            assert any(name not in s.out for s in stage.samples if since < s.at <= at), f"{name} by {at - since:+.0f}"


async def test_an_event_that_is_extended_keeps_every_promise_and_other_work_takes_its_turn(stage: Stage) -> None:
    start = opening(stage)
    loop, client = await stage.operator()
    await stage.play(loop, start + 60.0, step=10.0)
    due = promised(stage)
    stage.put(event(start, units=26, seconds=2400))
    await stage.play(loop, start + 1000.0, step=10.0)
    await client.close()
    assert max(due.values()) < start + 900.0
    never_oversold(stage.samples)
    told_in_time(stage)
    was_back(stage, due, start)
    assert min(s.ready for s in stage.samples if s.at >= start) == 26, "and trading keeps its own"


async def test_where_turns_leave_a_gap_trading_comes_down_for_the_promise_and_is_told_so() -> None:
    """All that is not lent is data's guarantee: nobody can leave before somebody is back."""
    stage = await Stage.open([pool(guaranteePercent=35, **QUICK), policy()], jobs=JOBS, nodes=NODES)
    before, start = stage.levels(), opening(stage)
    loop, client = await stage.operator()
    await stage.play(loop, start + 60.0, step=10.0)
    due = promised(stage)
    last = max(due.values())
    stage.put(event(start, units=26, seconds=2400))
    await stage.play(loop, last + 60.0, step=10.0)
    never_oversold(stage.samples)
    was_back(stage, due, start)
    assert min(s.used["warehouse"] for s in stage.samples) >= NODES * CORES * 35 // 100
    assert min(s.ready for s in stage.samples if start < s.at <= last) < 26
    said = [b.plan.verdicts[EVENT] for b in stage.beats if start < b.now < last - 60.0 and EVENT in b.plan.verdicts]
    short = [v for v in said if v.reason is Reason.GIVE_BACK_PROMISE]
    assert short
    assert {v.outcome for v in short} == {Outcome.LATE}, "others are stopped for it meanwhile: the gap has an end"
    assert all(v.ready_at is not None and v.ready_at < start + 2400.0 for v in short)
    stage.store.delete_event(EVENT)
    await stage.play(loop, last + 500.0, step=10.0)
    await client.close()
    await stage.close()
    assert stage.levels() == before


async def test_what_the_owner_of_lent_work_writes_is_what_it_returns_to(stage: Stage) -> None:
    """And until then it stays at our level: its machines are the borrower's."""
    start = opening(stage)
    loop, client = await stage.operator()
    await stage.play(loop, start + 30.0, step=10.0)
    lent = stage.at(start).loader
    assert lent < 10
    stage.cluster.patch("apps/v1", "Deployment", "loader", {"spec": {"replicas": 8}}, namespace="warehouse")
    await stage.play(loop, start + 60.0, step=5.0)
    assert stage.samples[-1].loader == lent
    await stage.play(loop, start + LENGTH + 400.0, step=10.0)
    await client.close()
    assert stage.samples[-1].loader == 8
    assert stage.loans() == []
