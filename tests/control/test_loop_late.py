"""A write that gets no answer may be carried out minutes later: also what comes late is returned."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from fakes import FakeCluster, FakeStore, HandClock, Leader, Thing, operator, run_until
from worlds import CORE, T0, event, policy, target

from tidegate.control.late import LATE_SECONDS
from tidegate.planning.model import Key
from tidegate.ports import ConflictError, Place, UnavailableError


@dataclass
class LateCluster(FakeCluster):
    """Once, the first raise is not answered, and carried out so many seconds later, if it still fits then."""

    lateness: float | None = 60.0
    """None: never."""
    begun: bool = True
    """False: the write was not even sent."""
    under_way: list[tuple[float, Place, int, int]] = field(default_factory=list)
    refused_late: int = 0

    async def swap(self, place: Place, *, believed: int, wanted: int) -> None:
        if self.lateness is None or wanted < believed:
            await super().swap(place, believed=believed, wanted=wanted)
            return
        self.under_way.append((self.clock.now() + self.lateness, place, believed, wanted))
        self.lateness = None
        error = UnavailableError("no answer within 4 s; it may have been done all the same")
        error.in_doubt = self.begun
        raise error

    def arrive(self) -> None:
        for one in [one for one in self.under_way if one[0] <= self.clock.now()]:
            self.under_way.remove(one)
            try:
                self._swap(*one[1:])
            except ConflictError:
                self.refused_late += 1


def scene(lateness: float) -> tuple[LateCluster, FakeStore, Key]:
    show = event(duration=600.0)
    cluster = LateCluster(HandClock(T0 - 90.0), {"order": Thing(start_seconds=30.0)}, lateness=lateness)
    return cluster, FakeStore({CORE: policy(target(), hold=30.0)}, {show.key: show}), show.key


@pytest.mark.parametrize("policy_goes", [False, True], ids=["the event is called off", "its policy is deleted"])
@pytest.mark.parametrize("killed", [False, True], ids=["", "and the process dies"])
@pytest.mark.parametrize("lateness", [5.0, 16.0, 120.0, 280.0])
async def test_a_raise_that_is_carried_out_after_its_event_was_called_off_is_returned(
    lateness: float, killed: bool, policy_goes: bool
) -> None:
    cluster, store, show = scene(lateness)
    loop = operator(cluster, store)
    while not cluster.under_way:
        await run_until(loop, cluster.clock, cluster.clock.at + 1.0)
    store.delete(show)
    if policy_goes:
        store.policy_map.clear()
    if killed:
        loop = operator(cluster, store, leader=Leader(epoch=2))
    until = cluster.clock.at + LATE_SECONDS + 600.0
    while cluster.clock.at < until:
        await run_until(loop, cluster.clock, cluster.clock.at + 1.0)
        cluster.arrive()
    thing = cluster.things["order"]
    assert (thing.level, thing.manager, cluster.loans) == (2, "helm", {})
    assert not cluster.under_way
    assert cluster.level_writes[0][2:] == (2, 10), "it did come"


async def test_of_a_raise_that_never_comes_the_loan_stays_five_minutes_and_its_return_is_told_once() -> None:
    cluster, store, show = scene(1e9)
    loop = operator(cluster, store)
    while not cluster.under_way:
        await run_until(loop, cluster.clock, cluster.clock.at + 1.0)
    sent = cluster.clock.at
    store.delete(show)
    told, loans = [], []

    def each(beat: object) -> None:
        told.extend(one for one in beat.applied if one.told)  # type: ignore[attr-defined]
        loans.append((cluster.clock.at, bool(cluster.loans)))

    await run_until(loop, cluster.clock, sent + 2 * LATE_SECONDS, each=each)
    gone = min(at for at, there in loans if not there)
    assert LATE_SECONDS <= gone - sent <= LATE_SECONDS + 60.0 + 15.0
    assert [one.level for one in told if one.error is None] == [2]


@pytest.mark.parametrize("begun", [False, None], ids=["it was not sent", "it was answered"])
async def test_a_write_that_cannot_come_later_keeps_no_loan(begun: bool | None) -> None:
    cluster, store, show = scene(1e9)
    if begun is None:
        cluster.lateness = None
    else:
        cluster.begun = begun
    loop = operator(cluster, store)
    while not (cluster.level_writes or cluster.under_way):
        await run_until(loop, cluster.clock, cluster.clock.at + 1.0)
    store.delete(show)
    await run_until(loop, cluster.clock, cluster.clock.at + 240.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


async def test_who_needs_the_level_again_meanwhile_gets_it_at_once() -> None:
    cluster, store, show = scene(1e9)
    before = store.events[show]
    loop = operator(cluster, store)
    while not cluster.under_way:
        await run_until(loop, cluster.clock, cluster.clock.at + 1.0)
    store.delete(show)
    await run_until(loop, cluster.clock, cluster.clock.at + 30.0)
    assert (cluster.things["order"].level, len(cluster.loans)) == (2, 1)
    store.put(before)
    await run_until(loop, cluster.clock, cluster.clock.at + 16.0)
    assert cluster.things["order"].level == 10
    (loan,) = cluster.loans.values()
    assert (loan.original, loan.former and loan.former.name) == (2, "helm")
