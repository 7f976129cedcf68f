"""The parts of the loop one by one: who is asked how often, what is believed how long, who writes when."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from fakes import HandClock, Sink, Thing
from sites import POOL, UNIT, Site, nobody, place, terms
from worlds import CORE, NS, T0, policy, target

from tidegate.control.age import Age
from tidegate.control.conflicts import ASSERTIONS, WINDOW
from tidegate.control.drift import Terms
from tidegate.control.poollooker import LOOK_AGAIN, OLD
from tidegate.control.rounds import SUSPECT_SHARE, TENANT_SHARE, Job, chosen
from tidegate.control.timetabler import FEW, GIVES_WAY, Timetabler
from tidegate.control.wishes import Applied, Kind, Wish
from tidegate.control.writer import DOWN_LATER, Writer
from tidegate.planning.decision import Action, PoolView
from tidegate.planning.model import Key
from tidegate.planning.reasons import Reason
from tidegate.planning.shift.facts import Holder
from tidegate.planning.shift.inputs import Timetabled, TimetableInputs
from tidegate.planning.shift.model import Need, NeedStep, PoolFacts
from tidegate.planning.shift.plan import timetable
from tidegate.planning.shift.step import step
from tidegate.ports import Held, Place, UnavailableError

# ---- looks at pools


async def test_what_was_written_since_a_look_claims_nothing_as_free(site: Site) -> None:
    """The look was asked before the write, whenever its answer comes: as many units as ever may still be there."""
    await site.look()
    await site.lend(4)
    holder = Holder(NS, "Deployment", "order")
    assert site.seen().occupancy[holder].used == UNIT.times(10)
    await site.look()
    assert holder not in site.seen().occupancy, "asked after it: the look tells"


async def test_what_was_raised_and_lowered_between_two_looks_counts_at_its_highest(site: Site) -> None:
    await site.look()
    await site.lend(14)
    await site.lend(3)
    assert site.seen().occupancy[Holder(NS, "Deployment", "order")].used == UNIT.times(14)


async def test_what_a_borrower_was_raised_to_since_a_look_is_not_there_for_others(site: Site) -> None:
    """It was let in, and its pods are on their way: also after it was lowered again."""
    site.cluster.things["pay"] = Thing()
    borrower = policy(target("pay", lane="trading", unit=UNIT), pool="p")
    site.work.targets.want({CORE: borrower}, active=frozenset(), near=frozenset())
    await site.work.targets.do(Job((CORE, "pay"), NS, T0))
    await site.look()
    for before, level in ((2, 14), (14, 5)):
        await site.ledger.move(place("pay"), held=Held(before, None), level=level, terms=terms())
    world = site.work.worlds({"p": POOL}, {CORE: borrower}, {}, None, T0, measured={}, places=nobody)["p"]
    assert world.seen is not None
    assert world.seen.occupancy[Holder(NS, "Deployment", "pay")].used == UNIT.times(14)


async def test_a_write_without_an_answer_makes_its_member_unseen_until_the_next_look(site: Site) -> None:
    await site.look()
    real = site.cluster.held

    async def lost(_: Place) -> Held:
        raise UnavailableError("no answer")

    site.cluster.held = lost  # type: ignore[method-assign]
    with pytest.raises(UnavailableError):
        await site.lend(4)
    site.cluster.held = real  # type: ignore[method-assign]
    (member,) = site.seen().members
    assert not member.seen
    await site.look()
    (member,) = site.seen().members
    assert (member.seen, member.level) == (True, 4)


async def test_a_member_whose_field_is_left_to_somebody_else_counts_as_unseen(site: Site) -> None:
    await site.lend(4)
    await site.look()
    assert [one.seen for one in site.seen().members] == [True]
    site.conflicts.give_way(place().id, "argocd keeps setting it", about=place().ref, now=T0)
    assert [one.seen for one in site.seen().members] == [False]
    site.clock.at += WINDOW + 1.0
    assert [one.seen for one in site.seen().members] == [True]


async def test_a_pool_that_does_not_answer_keeps_what_was_seen_and_grows_old_and_is_asked_less_often(
    site: Site,
) -> None:
    await site.look()
    site.machines.answers = False
    asked = []
    while site.clock.at < T0 + OLD:
        site.clock.at += 1.0
        site.looker.hasten("p")
        for job in site.looker.due(site.clock.at):
            await site.looker.do(job)
            asked.append(site.clock.at - T0)
    assert len(asked) < OLD / LOOK_AGAIN / 4, "however much somebody wants it at once"
    assert site.looker.looks["p"].sight.seen.allocatable == UNIT.times(30)
    assert site.looker.looks["p"].note == "nodes: no answer"
    assert not site.looker.is_old("p", T0 + OLD)
    assert site.looker.is_old("p", T0 + OLD + 1.0)


async def test_a_pool_that_nobody_names_any_more_is_forgotten_and_later_looked_at_anew(site: Site) -> None:
    await site.look()
    assert site.looker.next_at(T0) == T0 + LOOK_AGAIN
    site.looker.want({}, busy=frozenset())
    assert (site.looker.looks, site.looker.notes) == ({}, {})
    site.looker.want({"p": POOL}, busy=frozenset({"p"}))
    assert [job.key for job in site.looker.due(T0)] == ["p"]


async def test_pools_are_as_old_as_the_look_that_is_longest_ago(site: Site) -> None:
    assert site.looker.age(T0) == Age()
    site.looker.want({"p": POOL, "q": replace(POOL, name="q")}, busy=frozenset())
    await site.look()
    site.clock.at += 20.0
    await site.looker.do(Job("q", "q", site.clock.at))
    assert site.looker.age(T0 + 50.0) == Age(30.0, 50.0)


async def test_an_object_made_anew_under_the_same_name_is_not_the_one_that_was_lent(site: Site) -> None:
    await site.lend(4)
    await site.look()
    (loan,) = site.ledger.loans.values()
    look = site.looker.looks["p"]
    assert look.of(loan) is not None
    assert look.of(replace(loan, place=replace(loan.place, uid="u0"))) is None


# ---- timetables


@dataclass
class Counting:
    """Solves at once, or fails; counts."""

    asked: list[str] = field(default_factory=list)
    fails: bool = False

    async def solve(self, inputs: TimetableInputs) -> Timetabled:
        self.asked.append(inputs.pool.name)
        if self.fails:
            raise MemoryError("too large")
        return timetable(inputs)


def view(name: str = "p", *, now: float = T0, is_due: bool = True) -> PoolView:
    pool = replace(POOL, name=name)
    inputs = TimetableInputs(pool, PoolFacts(UNIT.times(30), {}, ()), (), (), now, 0.0)
    plan = timetable(inputs).plan
    return PoolView(inputs, plan, step(pool, inputs.facts, plan, now), None, None, is_due)


async def pursue(work: Timetabler, now: float) -> None:
    for job in work.due(now):
        await work.do(job)


async def test_a_timetable_is_asked_for_once_a_decision_and_only_where_one_is_due() -> None:
    solver = Counting()
    work = Timetabler(solver, HandClock(T0))
    work.want({"p": view(), "q": view("q", is_due=False)})
    for _ in range(3):
        await pursue(work, T0)
    assert solver.asked == ["p"]
    work.want({"p": view()})
    await pursue(work, T0)
    assert solver.asked == ["p", "p"]


async def test_a_solver_that_fails_leaves_the_last_timetable_says_why_and_is_asked_again_with_pauses() -> None:
    solver, clock = Counting(), HandClock(T0)
    work = Timetabler(solver, clock)
    work.want({"p": view()})
    await pursue(work, T0)
    last, solver.fails = work.timetables["p"], True
    for _ in range(120):
        clock.at += 1.0
        work.want({"p": view(now=clock.at)})
        await pursue(work, clock.at)
    assert work.timetables["p"] is last
    assert "too large" in work.notes["p"]
    assert 3 <= len(solver.asked) < 10
    solver.fails = False
    clock.at += 60.0
    await pursue(work, clock.at)
    assert work.notes == {}
    assert work.timetables["p"] is not last


async def test_timetables_are_as_old_as_the_oldest_that_is_not_good_any_more() -> None:
    work = Timetabler(Counting(), HandClock(T0))
    work.want({"p": view(), "q": view("q", now=T0 + 60.0)})
    assert work.age(T0 + 100.0) == Age(), "none was made yet"
    await pursue(work, T0)
    assert work.age(T0 + 100.0) == Age(), "all are good"
    work.want({"p": view(now=T0 + 90.0), "q": view("q", now=T0 + 90.0)})
    assert work.age(T0 + 100.0) == Age(40.0, 100.0)


def needed(name: str, *owners: str, standing: Timetabled | None = None) -> PoolView:
    """A pool with needs of policies in namespaces of these names."""
    steps = (NeedStep(T0 + 60.0, T0 + 600.0, UNIT),)
    one = view(name)
    needs = tuple(Need(f"{owner}/core/web@1", "trading", owner, steps) for owner in owners)
    return replace(one, inputs=replace(one.inputs, needs=needs, standing=standing))


async def test_whoever_waits_for_a_timetable_hears_of_it_out_of_turn() -> None:
    told: list[str] = []
    work = Timetabler(Counting(), HandClock(T0), told.append)
    work.want({"p": needed("p", "shop", "live")})
    await pursue(work, T0)
    assert told == ["", "live", "shop"]


async def test_many_who_wait_for_one_timetable_hear_of_it_in_their_turn() -> None:
    told: list[str] = []
    work = Timetabler(Counting(), HandClock(T0), told.append)
    work.want({"p": needed("p", *(f"shop-{number}" for number in range(FEW + 1)))})
    await pursue(work, T0)
    assert told == [""]


def test_a_pool_with_a_new_need_is_planned_before_those_that_are_planned_anew_and_not_for_ever() -> None:
    work = Timetabler(Counting(), HandClock(T0))
    known = timetable(needed("a", "shop").inputs)
    work.want({"a": needed("a", "shop", standing=known), "b": needed("b", "shop", "live", standing=known)})
    first, second = sorted(work.due(T0), key=lambda job: job.due_at)
    assert (first.key, second.key) == ("b", "a")
    assert second.due_at == first.due_at + GIVES_WAY


async def test_a_pool_that_went_while_its_timetable_was_made_has_none() -> None:
    work = Timetabler(Counting(), HandClock(T0))
    work.want({"p": view()})
    (job,) = work.due(T0)
    work._pools = frozenset()
    await work.do(job)
    assert work.timetables == {}


# ---- writes


def wish(name: str = "order", level: int = 10, held: int = 2) -> Wish:
    said = Applied(CORE, name, place(name).ref, Action.RAISE, held, level, T0, Reason.EVENT_DEMAND, "")
    what = Terms(CORE, name, T0 + 600.0, ())
    return Wish(Kind.MOVE, place(name).id, NS, said, place=place(name), held=Held(held, None), level=level, terms=what)


def writer_of(site: Site) -> Writer:
    return Writer(site.ledger, site.clock, site.conflicts, Sink(), lambda: True)


async def test_the_last_wish_of_a_field_wins_and_it_has_waited_since_the_first(site: Site) -> None:
    site.cluster.things["order"] = Thing()
    writer = writer_of(site)
    writer.post([wish(level=10)], T0)
    writer.post([wish(level=20)], T0 + 5.0)
    (job,) = writer.due(T0 + 5.0)
    assert job.due_at == T0
    await writer.do(job)
    await writer.do(job)
    assert site.cluster.level_writes == [(T0, "order", 2, 20)]


async def test_what_is_not_wanted_any_more_is_not_written(site: Site) -> None:
    writer = writer_of(site)
    writer.post([wish()], T0)
    (job,) = writer.due(T0)
    writer.post([], T0)
    await writer.do(job)
    assert site.cluster.level_writes == []


def test_what_is_decided_for_a_few_takes_no_raise_of_others_back(site: Site) -> None:
    """A storm of floors goes on being written though a neighbour tells something. What was to fall is decided anew."""
    writer = writer_of(site)
    writer.post([wish("up"), wish("down", level=2, held=10)], T0)
    writer.post([wish("mine")], T0 + 0.1, aside=frozenset({CORE}))
    assert {job.key for job in writer.due(T0 + 60.0)} == {place("up").id, place("mine").id}
    assert {job.due_at for job in writer.due(T0 + 60.0) if job.key == place("up").id} == {T0}
    writer.post([wish("mine")], T0 + 0.2, aside=frozenset({Key("other", "core")}))
    assert [job.key for job in writer.due(T0 + 60.0)] == [place("mine").id]


async def test_what_a_namespace_may_not_have_any_more_is_neither_begun_nor_done(site: Site) -> None:
    """Between a decision and its writes it was found that on-call cannot be heard there."""
    site.cluster.things["order"] = Thing()
    held = set[str]()
    writer = Writer(
        site.ledger, site.clock, site.conflicts, Sink(), lambda: True, lambda: lambda one: one.tenant not in held
    )
    writer.post([wish()], T0)
    (job,) = writer.due(T0)
    held.add(NS)
    assert writer.due(T0) == []
    await writer.do(job)
    assert site.cluster.level_writes == []


def test_what_raises_goes_before_what_lowers(site: Site) -> None:
    writer = writer_of(site)
    writer.post([wish("down", level=2, held=10), wish("up")], T0)
    jobs = {job.key: job for job in writer.due(T0)}
    assert jobs[place("up").id].due_at < jobs[place("down").id].due_at


@pytest.mark.parametrize(("seconds", "want"), [(1e-9, 32.0), (1.0, 32.0), (1.1, 16.0), (3.0, 8.0), (60.0, 1.0)])
def test_the_writes_of_a_second_are_rounded_down_so_that_plans_do_not_flicker(
    site: Site, seconds: float, want: float
) -> None:
    writer = writer_of(site)
    writer.rate._seconds = seconds
    assert writer.rate.per_second() == want


async def test_a_tool_that_reapplies_is_overruled_five_times_and_then_left_alone(site: Site) -> None:
    """Whatever its field is for: counted where the write is made."""
    site.cluster.things["order"] = Thing()
    writer = writer_of(site)
    for _ in range(ASSERTIONS + 1):
        assert site.conflicts.may_assert(place().id, site.clock.at)
        site.cluster.things["order"].write(2, "argocd", site.clock.at)
        writer.post([wish()], site.clock.at)
        for job in writer.due(site.clock.at):
            await writer.do(job)
        site.clock.at += 20.0
    assert not site.conflicts.may_assert(place().id, site.clock.at)
    site.clock.at += WINDOW
    assert site.conflicts.may_assert(place().id, site.clock.at)


@pytest.mark.parametrize("returned", [False, True])
async def test_a_tool_is_overruled_no_oftener_where_a_pool_lets_a_level_in_step_by_step(
    site: Site, *, returned: bool
) -> None:
    """Each time it re-applies, what is free lies below the level that was there, down to what the tool has set: then
    nothing is borrowed for a moment.
    """
    site.cluster.things["order"] = Thing()
    writer = writer_of(site)
    for round_ in range(ASSERTIONS + 1):
        assert site.conflicts.may_assert(place().id, site.clock.at), round_
        site.cluster.things["order"].write(2, "argocd", site.clock.at)
        for level in (2, 6, 10):
            held, loan = site.cluster.things["order"].level, site.ledger.of(place())
            one = wish(level=level, held=held)
            back = returned and level == held and loan is not None
            writer.post([replace(one, kind=Kind.RETURN, loan=loan) if back else one], site.clock.at)
            for job in writer.due(site.clock.at + DOWN_LATER):
                await writer.do(job)
            site.clock.at += 1.0
        assert site.cluster.things["order"].level == 10
        site.clock.at += 17.0
    assert not site.conflicts.may_assert(place().id, site.clock.at)


# ---- a fair choice


def jobs(tenant: str, count: int, *, at: float = 0.0, suspect: bool = False) -> list[Job]:
    return [Job(f"{tenant}{n}", tenant, at, suspect) for n in range(count)]


@pytest.mark.parametrize("slots", [8, 16, 32, 64])
def test_suspects_that_have_waited_longest_leave_half_the_slots_to_the_healthy(slots: int) -> None:
    hanging = [job for n in range(40) for job in jobs(f"bad{n}-", 3, at=-1e6, suspect=True)]
    healthy = [job for n in range(40) for job in jobs(f"good{n}-", 3)]
    begun = chosen([*hanging, *healthy], (), slots)
    assert len(begun) == slots
    assert sum(job.suspect for job in begun) == slots // SUSPECT_SHARE


def test_suspects_under_way_count_and_their_slots_are_not_given_to_more_of_them() -> None:
    running = [Job(f"r{n}", f"t{n}", 0.0, suspect=True) for n in range(8)]
    begun = chosen([*jobs("bad", 1, at=-1.0, suspect=True), *jobs("good", 1)], running, 16)
    assert [job.tenant for job in begun] == ["good"]


@pytest.mark.parametrize("slots", [2, 4, TENANT_SHARE - 1])
def test_a_gate_of_fewer_slots_than_shares_leaves_each_tenant_one(slots: int) -> None:
    begun = chosen([*jobs("one", 3), *jobs("other", 3, at=1.0)], (), slots)
    assert [job.tenant for job in begun] == ["one", "other"]


def test_a_gate_of_one_slot_asks_a_suspect_too() -> None:
    assert len(chosen(jobs("bad", 1, suspect=True), (), 1)) == 1


def test_a_tenant_with_ten_thousand_jobs_holds_its_share_and_no_more() -> None:
    begun = chosen([*jobs("loud", 10_000, at=-1.0), *jobs("quiet", 1)], (), 32)
    assert [job.tenant for job in begun].count("loud") == 32 // TENANT_SHARE
    assert begun[-1].tenant == "quiet"
