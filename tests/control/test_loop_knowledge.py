"""What the loop believes, how long and in which order: Loans, sights, what it knew before it read the Loans anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from fakes import UNHEARD, FakeCluster, FakeStore, HandClock, Leader, Thing, key_of, operator, run_until
from scenes import cluster_of, scene
from sites import ORDER, Site, place
from worlds import CORE, NS, T0, event, policy, target

from tidegate.control.loaner import CHECKED_EVERY, LoanLoader
from tidegate.control.looker import ACTIVE_BOUND, IDLE_INTERVALS, Looker
from tidegate.control.loop import Beat
from tidegate.control.rounds import Job, run_once
from tidegate.planning.decision import Outcome
from tidegate.planning.model import Key, Ref
from tidegate.planning.reasons import Reason
from tidegate.planning.withheld import TOLD_AFTER, Unheard
from tidegate.ports import ConflictError, Held, Loan, OverwrittenError, Place, Sight, UnreadableLoan

# ---- loans


async def test_loans_are_not_read_while_a_write_is_under_way_or_another_gives_them_back(site: Site) -> None:
    idle = False
    loader = LoanLoader(site.ledger, site.clock, site.leader, lambda: idle)
    site.ledger.unload()
    assert loader.due(T0) == []
    idle = True
    assert [job.key for job in loader.due(T0)] == ["loans"]
    site.leader.leads = False
    assert loader.due(T0) == []


async def test_while_a_namespace_may_not_be_read_it_is_looked_whether_it_may_though_nothing_is_lent(site: Site) -> None:
    loader = LoanLoader(site.ledger, site.clock, site.leader, lambda: True)
    for _ in range(2):
        site.clock.at += CHECKED_EVERY
        for job in loader.due(site.clock.at):
            await loader.do(job)
    site.clock.at += CHECKED_EVERY
    assert loader.due(site.clock.at) == []
    site.cluster.closed_to_us = frozenset({"elsewhere"})
    assert [job.key for job in loader.due(site.clock.at)] == ["check"]


async def test_the_loop_reads_no_loans_while_a_write_of_its_own_is_under_way_or_a_stop_stands() -> None:
    cluster = FakeCluster(HandClock(T0), {"order": Thing()})
    store = FakeStore({}, {})
    loop = operator(cluster, store)
    assert len(loop.loader.due(T0)) == 1
    loop.writer._busy.add(place().id)
    assert loop.loader.due(T0) == []
    loop.writer._busy.clear()
    store.is_stopped = True
    assert [job.key for job in loop.loader.due(T0)] == ["watch"]  # looked at, and not taken
    await run_once(loop.loader, T0)
    assert not loop.ledger.loaded


async def test_nothing_is_written_before_what_on_call_said_was_heard() -> None:
    """After an outage the Lease may be there again before a stop, an override or a policy of meanwhile is known."""
    cluster = FakeCluster(HandClock(T0 - 60.0), {"order": Thing()})
    show = event(duration=600.0)
    store = FakeStore({CORE: policy(target(), hold=30.0)}, {show.key: show}, on_call_heard=False)
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    assert (cluster.loans, cluster.level_writes) == ({}, [])
    store.on_call_heard = True
    await run_until(loop, cluster.clock, T0 + 120.0)
    assert cluster.loans


async def test_a_write_that_waits_for_what_on_call_says_is_told_after_ten_seconds_and_not_of_an_outage_of_few() -> None:
    cluster = FakeCluster(HandClock(T0 - 20.0), {"order": Thing()})
    show = event(duration=600.0)
    store = FakeStore({CORE: policy(target(), hold=30.0)}, {show.key: show}, on_call_heard=False)
    store.unheard_since = T0 - 20.0
    loop, beats = operator(cluster, store), list[Beat]()
    await run_until(loop, cluster.clock, T0, each=beats.append)
    said = [beat.plan.verdicts[show.key] for beat in beats]
    waits = [beat.now - (T0 - 20.0) for beat, one in zip(beats, said, strict=True) if one.reason is Reason.NOT_HEARD]
    assert min(waits) >= TOLD_AFTER
    assert (said[-1].outcome, UNHEARD in said[-1].message) == (Outcome.BLOCKED, True)
    store.on_call_heard = True
    await run_until(loop, cluster.clock, T0 + 5.0, each=beats.append)
    assert beats[-1].plan.verdicts[show.key].reason is not Reason.NOT_HEARD
    assert cluster.level_writes


async def test_what_is_not_heard_for_long_holds_no_level_down_and_lowers_none() -> None:
    """A floor that never comes because an override cannot be listed is an outage of our own making."""
    cluster = FakeCluster(HandClock(T0 - 60.0), {"order": Thing()})
    show = event(duration=600.0)
    store = FakeStore({CORE: policy(target(), hold=30.0)}, {show.key: show}, on_call_heard=False, raises_unheard=True)
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 3600.0)
    assert [(before, after) for _, _, before, after in cluster.level_writes] == [(2, 10)]
    assert cluster.loans
    store.on_call_heard = True
    await run_until(loop, cluster.clock, T0 + 5400.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


@pytest.mark.parametrize("raises", [False, True])
async def test_what_is_not_heard_in_one_namespace_holds_back_what_is_written_there_and_nothing_else(
    raises: bool,
) -> None:
    cluster = FakeCluster(HandClock(T0 - 60.0), {"order": Thing(), "web": Thing(namespace="elsewhere")})
    elsewhere = Key("elsewhere", CORE.name)
    mine, other = target(), replace(target(), name="web", ref=Ref("apps/v1", "Deployment", "elsewhere", "web"))
    show = event(duration=600.0)
    shows = {show.key: show, Key("elsewhere", "show"): replace(show, key=Key("elsewhere", "show"))}
    policies = {CORE: policy(mine, hold=30.0), elsewhere: replace(policy(other, hold=30.0), key=elsewhere)}
    store = FakeStore(policies, shows)
    store.unheard_map = {"elsewhere": Unheard("overrides could not be listed (403)", T0 - 90.0, T0, raises)}
    loop, beats = operator(cluster, store), list[Beat]()
    await run_until(loop, cluster.clock, T0, each=beats.append)
    assert cluster.things["order"].level == 10
    assert cluster.things["web"].level == (10 if raises else 2)
    told = {key.namespace: one.reason for key, one in beats[-1].plan.verdicts.items()}
    assert (told["elsewhere"] is Reason.NOT_HEARD) is not raises
    assert told[CORE.namespace] is not Reason.NOT_HEARD
    await run_until(loop, cluster.clock, T0 + 3600.0)
    assert cluster.things["order"].level == 2
    assert cluster.things["web"].level == (10 if raises else 2), "nothing is lowered there"
    store.unheard_map = {}
    await run_until(loop, cluster.clock, T0 + 5400.0)
    assert (cluster.things["web"].level, cluster.loans) == (2, {})


async def test_what_was_decided_while_a_namespace_was_not_heard_is_not_written_before_it_is_decided_anew() -> None:
    """An override that was listed only now may forbid it."""
    cluster = FakeCluster(HandClock(T0 - 60.0), {"order": Thing()})
    show = event(duration=600.0)
    store = FakeStore({CORE: policy(target(), hold=30.0)}, {show.key: show})
    store.unheard_map = {NS: Unheard("overrides could not be listed (403)", T0 - 90.0, T0, raises=False)}
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0)
    store.unheard_map = {}
    assert loop.writer.due(cluster.clock.at + 60.0) == []
    await run_until(loop, cluster.clock, T0 + 5.0)
    assert cluster.things["order"].level == 10


async def test_a_field_whose_loan_cannot_be_understood_is_not_borrowed_anew(site: Site) -> None:
    """Also where its name differs: it tells which object it is of."""
    for bad in (UnreadableLoan(key_of(place()), "torn"), UnreadableLoan(Key(NS, "old-name"), "torn", place().ref)):
        site.ledger.unreadable = {bad.key: bad}
        with pytest.raises(Exception, match="cannot be understood: torn"):
            await site.lend(4)
    assert (site.cluster.loans, site.cluster.level_writes) == ({}, [])


@pytest.mark.parametrize("called_off", [False, True])
async def test_a_loan_that_is_removed_while_in_use_is_written_anew(called_off: bool) -> None:
    """By a person, or by a finalizer that let a former deletion end."""
    cluster = FakeCluster(HandClock(T0 - 60.0), {"order": Thing()})
    show = event(duration=600.0)
    store = FakeStore({CORE: policy(target(), hold=30.0)}, {show.key: show})
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    (before,) = cluster.loans.values()
    cluster.loans.clear()
    await run_until(loop, cluster.clock, T0 + 95.0)
    (after,) = cluster.loans.values()
    assert (after.original, after.verified, after.former) == (before.original, before.verified, before.former)
    assert cluster.things["order"].level == 10
    if called_off:
        store.delete(show.key)
    await run_until(loop, cluster.clock, T0 + 3600.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


async def test_a_loan_that_was_written_while_names_were_asked_for_is_not_missed(site: Site) -> None:
    await site.lend(4)
    real = site.cluster.names

    async def slow() -> frozenset[Key]:
        names = await real() - {key_of(place())}  # as it was a moment before the write
        await site.lend(5)
        return names

    site.cluster.names = slow  # type: ignore[method-assign]
    assert await site.ledger.miss() == []
    site.cluster.names = real  # type: ignore[method-assign]
    site.cluster.loans.clear()
    assert [loan.place for loan in await site.ledger.miss()] == [place()]
    assert [loan.place for loan in site.ledger.unsaved()] == [place()]


async def test_nothing_is_asked_for_while_nothing_is_borrowed_or_loans_are_not_read(site: Site) -> None:
    loader = LoanLoader(site.ledger, site.clock, site.leader, lambda: True)
    assert (loader.due(T0), loader.next_at(T0)) == ([], None)
    await site.lend(4)
    assert [job.key for job in loader.due(T0)] == ["check"]
    await run_once(loader, T0)
    assert (loader.due(T0), loader.next_at(T0)) == ([], T0 + CHECKED_EVERY)
    site.ledger.unload()
    assert [job.key for job in loader.due(T0)] == ["loans"]


async def test_a_loan_that_nobody_speaks_for_is_left_alone_for_its_grace_and_then_led_back() -> None:
    cluster = FakeCluster(HandClock(T0 - 60.0), {"order": Thing()})
    show = event(duration=600.0)
    store = FakeStore({CORE: policy(target(), hold=30.0)}, {show.key: show})
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 200.0)
    level = cluster.things["order"].level
    del store.policy_map[CORE]
    gone = cluster.clock.at
    while cluster.clock.at < gone + 4.0:  # a tool that replaces an object needs a second or two
        await loop.turn()
        assert cluster.things["order"].level == level
        cluster.clock.at += 0.5
    await run_until(loop, cluster.clock, gone + 1800.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


# ---- age and order


async def test_a_sight_is_believed_for_its_bound_and_no_longer(site: Site) -> None:
    for active, bound in ((frozenset({ORDER}), ACTIVE_BOUND), (frozenset(), IDLE_INTERVALS * 60.0)):
        looker = Looker(site.cluster, site.ledger, site.clock, 60.0)
        looker.want({CORE: policy(target())}, active=active, near=frozenset())
        begun = site.clock.at
        await looker.do(Job(ORDER, NS, begun))
        assert looker.observed(begun + bound)[ORDER].seen
        assert not looker.observed(begun + bound + 1.0)[ORDER].seen


@dataclass
class QuietWatch(FakeCluster):
    """Answers out of a watch that gave its last sign of life so long ago."""

    silent: float = 0.0

    async def see(self, ref: Ref) -> Sight:
        return replace(await super().see(ref), watched_at=self.clock.at - self.silent)


@pytest.mark.parametrize("silent", [0.0, 14.0, 15.0, 20.0])
async def test_a_target_that_was_just_looked_at_is_not_due_again_however_quiet_its_watch(silent: float) -> None:
    site = Site(QuietWatch(HandClock(T0), {"order": Thing()}, silent=silent))
    looker = Looker(site.cluster, site.ledger, site.clock, 60.0)
    looker.want({CORE: policy(target())}, active=frozenset({ORDER}), near=frozenset())
    assert await run_once(looker, T0) == 1
    assert looker.due(T0 + 1.0) == []
    again = looker.next_at(T0 + 1.0)
    assert again is not None
    assert again - (T0 - silent) < ACTIVE_BOUND, "before what was seen counts as unseen"
    assert [job.key for job in looker.due(again)] == [ORDER]
    looker.touch(place().ref)
    assert [job.key for job in looker.due(T0 + 1.0)] == [ORDER]


async def test_what_was_known_before_the_loans_were_read_anew_tells_nothing_of_a_field_that_was_ours(
    site: Site,
) -> None:
    """Somebody returned it in between: its level and its original are what is seen from now on."""
    await site.lend(4)
    await site.look()
    before = site.looker.looks["p"]
    site.ledger.unload()
    site.cluster.loans.clear()
    site.cluster.things["order"].write(10, "helm", site.clock.at)
    await site.ledger.load()
    assert site.ledger.latest(place()) is None
    assert not site.ledger.is_current(place(), asked=before.asked, version=0)
    await site.look()
    assert site.ledger.is_current(place(), asked=site.looker.looks["p"].asked, version=0)


async def test_what_we_read_back_before_the_loans_were_read_anew_is_no_belief_where_the_loan_stands(site: Site) -> None:
    await site.lend(4)
    site.ledger.unload()
    site.cluster.things["order"].level = 7  # moved by another leader, under the same Loan
    await site.ledger.load()
    assert site.ledger.of(place()) is not None
    assert site.ledger.latest(place()) is None


async def test_after_a_release_the_original_is_what_the_release_left() -> None:
    cluster = FakeCluster(HandClock(T0 - 300.0), {"order": Thing()})
    show = event(duration=600.0)
    store = FakeStore({CORE: policy(target(), hold=30.0)}, {show.key: show})
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0)
    store.is_stopped = True
    await loop.turn()
    cluster.loans.clear()
    cluster.things["order"].write(3, "helm", cluster.clock.at)
    store.is_stopped = False
    assert loop.looker.due(cluster.clock.at) == []
    await run_once(loop.loader, cluster.clock.at)
    loop.decide()
    assert loop.writer.due(cluster.clock.at) == [], "nobody knows what the field holds"
    assert [job.key for job in loop.looker.due(cluster.clock.at)] == [ORDER], "it is asked for at once"
    await run_until(loop, cluster.clock, T0 + 60.0)
    assert [loan.original for loan in cluster.loans.values()] == [3]
    assert cluster.things["order"].level == 10


async def test_a_sight_that_was_asked_before_a_write_was_read_back_is_not_believed(site: Site) -> None:
    asked = site.ledger.tick()
    await site.lend(4)
    assert not site.ledger.is_current(place(), asked=asked, version=0)
    assert site.ledger.latest(place()) == Held(4, site.cluster._held(site.cluster.things["order"]).manager)
    assert site.ledger.is_current(place(), asked=site.ledger.tick(), version=0)


async def test_nothing_is_told_before_the_loans_are_read_and_every_target_was_asked_for() -> None:
    """A process that starts in mid-event would rewrite every status, and take it back a second later."""
    cluster = FakeCluster(HandClock(T0 - 60.0), {"order": Thing()})
    show = event()
    loop = operator(cluster, FakeStore({CORE: policy(target())}, {show.key: show}))
    told = [loop.decide()]
    await run_once(loop.loader, T0 - 60.0)
    told.append(loop.decide())
    await run_once(loop.looker, T0 - 60.0)
    told.append(loop.decide())
    assert [beat is not None and beat.leading for beat in told] == [False, False, True]


@pytest.mark.parametrize("follows", [False, True], ids=["started in mid-event", "takes over"])
async def test_nothing_is_told_of_what_was_seen_before_the_loans_were_read(follows: bool) -> None:
    """It would be told that a write got no answer, which was never so, and be taken back a look later."""
    cluster = FakeCluster(HandClock(T0 - 60.0), {"order": Thing()})
    show = event()
    store = FakeStore({CORE: policy(target())}, {show.key: show})
    await run_until(operator(cluster, store), cluster.clock, T0)
    assert cluster.loans
    leader = Leader(leads=not follows, epoch=2)
    loop = operator(cluster, store, leader=leader)
    await run_once(loop.looker, T0)
    if follows:
        for _ in range(2):
            loop.decide()
            await run_once(loop.looker, T0)
        leader.leads, leader.epoch = True, 3
    loop.focus()
    told = []
    for work in (loop.loader, None, loop.looker, None):
        if work is not None:
            await run_once(work, T0)
        told.append(loop.decide())
    assert [beat is not None and beat.leading for beat in told] == [False, False, True, True]
    last = told[-1]
    assert last is not None
    assert [one.seen for one in last.world.observed.values()] == [True]


async def test_a_target_that_hangs_keeps_nobodys_status_back_for_longer_than_a_beat() -> None:
    cluster = FakeCluster(HandClock(T0 - 60.0), {"order": Thing()})
    show = event()
    loop = operator(cluster, FakeStore({CORE: policy(target(), target("hangs"))}, {show.key: show}))
    await run_once(loop.loader, cluster.clock.at)
    told: dict[float, bool] = {}
    for _ in range(20):
        beat = loop.decide()
        told[cluster.clock.at - T0 + 60.0] = beat is not None and beat.leading
        cluster.clock.at += 1.0
    assert [at for at, leading in told.items() if leading] == [15.0, 16.0, 17.0, 18.0, 19.0]


async def test_a_level_that_did_not_stand_when_it_was_read_back_is_not_called_verified(site: Site) -> None:
    real = site.cluster.held

    async def overwritten(of: Place) -> Held:
        site.cluster.things["order"].write(3, "argocd", site.clock.at)
        return await real(of)

    site.cluster.held = overwritten  # type: ignore[method-assign]
    with pytest.raises(OverwrittenError, match="shows 3 right after 4 was written"):
        await site.lend(4)
    loan = site.ledger.of(place())
    assert loan is not None
    assert (loan.pending, loan.verified) == (4, None)
    assert [one.verified for one in site.cluster.loans.values()] == [None]


async def test_the_loan_of_a_target_that_is_renamed_is_not_led_back_before_its_new_name_was_seen() -> None:
    cluster = FakeCluster(HandClock(T0 - 60.0), {"order": Thing()})
    show = event(duration=7200.0)
    core = policy(target(), hold=30.0)
    store = FakeStore({CORE: core}, {show.key: show})
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 60.0)
    renamed = replace(target(), name="orders")
    store.policy_map[CORE] = replace(core, targets=(renamed,))
    cluster.unreadable.add("order")
    await run_until(loop, cluster.clock, T0 + 1800.0)
    assert cluster.things["order"].level == 10
    cluster.unreadable.clear()
    await run_until(loop, cluster.clock, T0 + 7000.0)
    assert cluster.things["order"].level == 10
    await run_until(loop, cluster.clock, T0 + 3 * 3600.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


@pytest.mark.parametrize("kept", [1, 3, 10**6], ids=["once", "three times", "for ever, by a finalizer"])
async def test_a_loan_whose_deletion_was_accepted_and_not_done_is_ended_again(kept: int) -> None:
    @dataclass
    class Keeps(FakeCluster):
        left: int = kept
        lists: int = 0

        async def list(self) -> Sequence[Loan]:
            self.lists += 1
            return await super().list()

        async def remove(self, loan: Loan) -> None:
            if self.left:
                self.left -= 1
            else:
                await super().remove(loan)

    cluster = cluster_of(Keeps)
    assert isinstance(cluster, Keeps)
    loop, _ = scene(cluster)
    await run_until(loop, cluster.clock, T0 + 3600.0)
    assert (cluster.things["order"].level, cluster.things["order"].manager) == (2, "helm")
    assert bool(cluster.loans) == (kept > 3)
    assert cluster.lists <= 8, "all loans are read anew less and less often"


async def test_a_return_that_was_decided_on_another_level_of_ours_is_not_made(site: Site) -> None:
    await site.lend(4)
    loan = site.ledger.loans[place().id]
    with pytest.raises(ConflictError, match="decided on 10"):
        await site.ledger.give_back(loan, believed=10)
    assert (site.held().value, site.cluster.loans[loan.key].original) == (4, 10)
    await site.ledger.give_back(loan, believed=4)
    assert (site.held().value, site.cluster.loans) == (10, {})
