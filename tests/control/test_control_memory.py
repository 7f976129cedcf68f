"""What was learned counts once it is on record, and the next life decides by the same."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from fakes import FakeCluster, FakeStore, HandClock, Leader, Shelf, Thing, operator
from worlds import CORE, NS, T0, event, policy, target

from tidegate.control.drains import Drains
from tidegate.control.ledger import Ledger
from tidegate.control.memory import GROWTH_BYTES, LAST_VALID_BYTES, OPERATOR, PATIENCE, SAVED_EVERY, Memory
from tidegate.control.rounds import run_once
from tidegate.control.stopwatch import KEPT, KEPT_TOGETHER, Stopwatch
from tidegate.control.writerate import FASTEST, WriteRate
from tidegate.planning.model import Key, Measured
from tidegate.planning.withheld import Unheard
from tidegate.ports import ConflictError, Grown, LastValid, Learned, NotFoundError, RefusedError, UnavailableError

SHORT = Key(NS, "other")


@dataclass
class Site:
    shelf: Shelf = field(default_factory=Shelf)
    clock: HandClock = field(default_factory=lambda: HandClock(T0))
    leader: Leader = field(default_factory=Leader)
    store: FakeStore = field(default_factory=lambda: FakeStore({CORE: policy(target()), SHORT: policy(target())}, {}))

    def __post_init__(self) -> None:
        self.live()

    def live(self) -> None:
        """A new life: nothing but the cluster is remembered."""
        cluster = FakeCluster(self.clock, {"order": Thing()})
        self.watch, self.drains = Stopwatch(), Drains()
        self.ledger = Ledger(cluster, cluster, self.clock, self.leader, lambda place: CORE)
        self.rate = WriteRate(32)
        parts = (self.shelf, self.store, self.ledger, self.watch, self.drains, self.clock, self.leader, self.rate)
        self.memory = Memory(*parts)

    def measure(self, seconds: float, *, of: Key = CORE, name: str = "order") -> None:
        self.watch.written((of, name), level=10, there=2, now=0.0)
        for at in range(0, int(seconds), 60):
            self.watch.seen((of, name), ready=2, now=float(at))
        self.watch.seen((of, name), ready=10, now=seconds)

    async def round(self) -> int:
        return await run_once(self.memory, self.clock.at)

    def told(self, of: Key = CORE, name: str = "order") -> tuple[float, ...]:
        return tuple(one.seconds for one in self.memory.starts().get((of, name), ()))


async def test_a_start_time_counts_when_it_is_on_record_and_for_the_next_life_too() -> None:
    site = Site()
    await site.round()
    site.measure(31.5)
    assert site.told() == ()
    await site.round()
    assert site.told() == (31.5,)
    site.live()
    assert site.told() == ()
    assert not site.memory.known(T0)
    await site.round()
    assert (site.memory.known(T0), site.told()) == (True, (31.5,))
    site.measure(40.0)
    site.clock.at += SAVED_EVERY
    await site.round()
    assert site.told() == (31.5, 40.0)


async def test_an_object_is_written_only_when_it_says_something_new_and_not_more_often_than_every_few_seconds() -> None:
    site = Site()
    await site.round()
    site.measure(30.0)
    for _ in range(20):
        await site.round()
    assert site.shelf.saves == 1
    site.measure(31.0)
    assert (await site.round(), site.memory.next_at(T0)) == (0, T0 + SAVED_EVERY)
    site.clock.at = T0 + SAVED_EVERY
    await site.round()
    assert (site.shelf.saves, site.memory.next_at(site.clock.at)) == (2, None)


@pytest.mark.parametrize("trouble", [RefusedError("403"), NotFoundError("not served")])
async def test_where_nothing_can_be_recorded_what_this_life_knows_counts_at_once(trouble: Exception) -> None:
    """An operator that is newer than its chart."""
    site = Site(Shelf(list_trouble=trouble))
    await site.round()
    assert site.memory.known(T0)
    site.measure(600.0)
    assert site.told() == (600.0,)


async def test_a_kind_that_is_installed_later_takes_what_this_life_knows_by_then() -> None:
    site = Site(Shelf(list_trouble=NotFoundError("not served")))
    await site.round()
    site.measure(600.0)
    site.shelf.list_trouble = None
    site.shelf.objects[SHORT] = Learned(SHORT, starts={"order": (Measured(8, 50.0),)})
    site.clock.at += 60.0
    await site.round()
    await site.round()
    assert site.shelf.objects[CORE].starts == {"order": (Measured(8, 600.0, ordered=False),)}
    assert (site.told(), site.told(SHORT)) == ((600.0,), (50.0,))


async def test_a_record_that_does_not_answer_is_waited_for_and_then_done_without_and_read_when_it_does() -> None:
    former = Learned(CORE, starts={"order": (Measured(8, 50.0),)})
    site = Site(Shelf({CORE: former}, list_trouble=UnavailableError("503")))
    await site.round()
    assert not site.memory.known(T0)
    assert site.memory.known(T0 + PATIENCE)
    site.shelf.list_trouble = None
    site.clock.at = T0 + PATIENCE
    await site.round()
    assert site.told() == (50.0,)


async def test_one_object_that_may_not_be_written_stops_no_other_and_counts_by_itself() -> None:
    site = Site(Shelf(save_trouble={CORE: RefusedError("the namespace is ending")}))
    await site.round()
    site.measure(30.0)
    site.measure(40.0, of=SHORT)
    await site.round()
    assert (site.told(), site.told(SHORT)) == ((30.0,), (40.0,))
    assert set(site.shelf.objects) == {SHORT}


async def test_what_was_learned_in_a_namespace_that_refuses_us_is_kept_there_and_read_when_it_is_open_again() -> None:
    """The others lose nothing by it meanwhile."""
    far = Key("elsewhere", "core")
    former = {one: Learned(one, starts={"order": (Measured(8, 600.0),)}) for one in (CORE, far)}
    site = Site(Shelf(dict(former), refusing={"elsewhere"}))
    site.store.policy_map[far] = replace(site.store.policy_map[CORE], key=far)
    site.store.unheard_map = {"elsewhere": Unheard("scalingpolicies could not be listed (403)", T0)}
    await site.round()
    assert (site.told(), site.told(far)) == ((600.0,), ())
    site.measure(30.0, of=far)
    site.measure(40.0)
    for _ in range(3):
        site.clock.at += SAVED_EVERY
        await site.round()
    assert site.told() == (600.0, 40.0)
    assert (site.shelf.objects[far], site.shelf.lists) == (former[far], 1)
    site.store.unheard_map, site.shelf.refusing = {}, set()
    await site.round()
    assert site.told(far) == (600.0,)
    assert site.told() == (600.0, 40.0)
    site.measure(50.0, of=far)
    site.clock.at += SAVED_EVERY
    await site.round()
    assert (site.told(far), site.shelf.lists) == ((600.0, 50.0), 2)


async def test_what_was_learned_of_policies_that_may_not_be_listed_is_not_deleted_and_counts_when_they_are() -> None:
    """They look like policies that are gone."""
    far = Key("elsewhere", "core")
    former = Learned(far, starts={"order": (Measured(8, 600.0),)})
    site = Site(Shelf({far: former}))
    site.store.unheard_map = {"elsewhere": Unheard("scalingpolicies could not be listed (403)", T0)}
    for _ in range(3):
        await site.round()
        site.watch.forget({(CORE, "order")})
        site.clock.at += SAVED_EVERY
    assert (site.shelf.objects, site.shelf.lists) == ({far: former}, 1)
    site.store.unheard_map = {}
    site.store.policy_map[far] = replace(site.store.policy_map[CORE], key=far)
    await site.round()
    site.measure(30.0, of=far)
    site.clock.at += SAVED_EVERY
    await site.round()
    assert (site.told(far), site.shelf.lists) == ((600.0, 30.0), 2)


async def test_where_only_the_record_of_a_namespace_may_not_be_read_it_is_asked_for_ever_more_seldom() -> None:
    site = Site(Shelf(refusing={"elsewhere"}))
    for _ in range(600):
        await site.round()
        site.clock.at += 1.0
    assert 5 < site.shelf.lists < 15
    site.measure(30.0)
    await site.round()
    assert site.told() == (30.0,), "nobody else waits for it"


async def test_a_write_that_somebody_was_quicker_than_is_made_again() -> None:
    site = Site(Shelf(save_trouble={CORE: ConflictError("written since")}))
    await site.round()
    site.measure(30.0)
    await site.round()
    site.shelf.save_trouble.clear()
    site.clock.at += SAVED_EVERY
    await site.round()
    assert site.told() == (30.0,)


async def test_another_leaders_record_replaces_what_this_life_knew() -> None:
    site = Site()
    await site.round()
    site.measure(30.0)
    await site.round()
    site.shelf.objects[CORE] = Learned(CORE, starts={"order": (Measured(8, 90.0),)})
    site.leader.epoch += 2
    assert not site.memory.known(T0)
    await site.round()
    assert site.told() == (90.0,)
    site.leader.leads = False
    site.measure(10.0)
    site.clock.at += SAVED_EVERY
    assert await site.round() == 0, "who does not lead records nothing"


async def test_what_was_learned_of_a_policy_that_is_gone_goes_too() -> None:
    site = Site()
    await site.round()
    site.measure(30.0)
    await site.round()
    del site.store.policy_map[CORE]
    site.clock.at += 60.0
    await site.round()
    assert site.shelf.objects == {}


async def test_last_valid_versions_are_recorded_and_told_to_the_next_life() -> None:
    site = Site()
    await site.round()
    version = LastValid("LiveEvent", Key(NS, "show"), "u", '{"spec": 1}')
    site.store.last_valid_map = {CORE: (version,)}
    site.clock.at += 1.0
    await site.round()
    site.store.last_valid_map = {}
    site.live()
    await site.round()
    assert site.store.recalled == [version]


async def test_of_last_valid_versions_as_many_are_kept_as_fit() -> None:
    site = Site()
    await site.round()
    many = tuple(LastValid("LiveEvent", Key(NS, f"show-{n}"), "u", "x" * 4000) for n in range(50))
    site.store.last_valid_map = {CORE: many}
    await site.round()
    kept = site.shelf.objects[CORE].last_valid
    assert kept == many[: len(kept)]
    assert LAST_VALID_BYTES - 4400 < sum(len(one.document) for one in kept) <= LAST_VALID_BYTES


async def test_of_signals_whose_growth_does_not_fit_what_came_of_announcements_is_kept_and_their_fall() -> None:
    site = Site()
    await site.round()
    whole = Grown(
        "x" * GROWTH_BYTES, events=3.0, mean=0.5, high=7.0, high_at=T0, hosts=(("host", "otto", 3.0, 0.5, 0.0),)
    )
    large = replace(whole, packed="x" * (GROWTH_BYTES + 1))
    known = {"a": whole, "b": large, "c": whole, "d": whole, "e": whole}
    site.memory.forecaster.recall({(CORE, name): one for name, one in known.items()})
    await site.round()
    bare = replace(whole, packed="")
    assert site.shelf.objects[CORE].growth == {"a": whole, "b": bare, "c": whole, "d": bare}


def test_the_targets_of_a_policy_share_what_is_kept_of_it() -> None:
    watch = Stopwatch()
    for number in range(64):
        for _ in range(KEPT):
            watch.written((CORE, f"t{number}"), level=4, there=2, now=0.0)
            watch.seen((CORE, f"t{number}"), ready=4, now=30.0)
    assert {len(one) for one in watch.measured.values()} == {KEPT_TOGETHER // 64}


async def test_what_somebody_else_had_started_is_no_start_of_ours() -> None:
    """An HPA drives the workload to 8 already: a floor of 8 starts nothing, a floor of 10 starts two."""
    for level, units in ((8, None), (10, 2)):
        watch = Stopwatch()
        watch.written((CORE, "order"), level=level, there=8, now=0.0)
        done = watch.seen((CORE, "order"), ready=level, now=5.0)
        assert (done.units if done is not None else None) == units


@pytest.mark.parametrize("learned", [True, False])
async def test_a_loop_waits_for_the_record_before_it_writes(learned: bool) -> None:
    cluster = FakeCluster(HandClock(T0 - 20.0), {"order": Thing()})
    show = event(duration=600.0)
    store = FakeStore({CORE: policy(target(), hold=30.0)}, {show.key: show})
    loop = operator(cluster, store)
    loop.memory.book = Shelf(list_trouble=None if learned else UnavailableError("503"))
    await loop.turn()
    assert bool(cluster.loans) is learned
    cluster.clock.at += PATIENCE
    await loop.turn()
    assert cluster.loans


# ---- how quick the API server is


def slow(site: Site, seconds: float) -> None:
    for _ in range(100):
        site.rate.took(seconds)


async def test_how_many_levels_can_be_written_a_second_counts_once_on_record_and_for_the_next_leader() -> None:
    site = Site()
    await site.round()
    slow(site, 3.0)
    assert site.memory.writes_per_second() == FASTEST
    await site.round()
    assert site.memory.writes_per_second() == 8.0
    site.live()
    await site.round()
    assert (site.memory.writes_per_second(), site.rate.per_second()) == (8.0, 8.0)
    assert await site.round() == 0, "what was read is not written again"
    site.rate.took(3.0)
    assert site.rate.per_second() == 8.0, "one write changes no plan"


async def test_of_a_quick_server_nothing_is_on_record() -> None:
    site = Site()
    await site.round()
    slow(site, 0.01)
    await site.round()
    assert site.shelf.objects == {}
    slow(site, 3.0)
    await site.round()
    slow(site, 0.01)
    site.clock.at += SAVED_EVERY
    await site.round()
    assert (site.shelf.objects, site.memory.writes_per_second()) == ({}, FASTEST)


async def test_where_the_rate_cannot_be_recorded_it_counts_by_itself() -> None:
    for site in (
        Site(Shelf(list_trouble=NotFoundError("not served"))),
        Site(Shelf(save_trouble={OPERATOR: RefusedError("403")})),
    ):
        await site.round()
        slow(site, 3.0)
        await site.round()
        assert site.memory.writes_per_second() == 8.0
