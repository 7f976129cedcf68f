"""Work of a pool whose owner, or another controller, has a word to say while it is told, lent or given back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import key_of
from sites import POOL, Site, place, terms
from worlds import T0

from tidegate.control.drift import Drift, drift, learned
from tidegate.control.poolwork import mark_of
from tidegate.control.refusals import FAR
from tidegate.control.wishes import Applied, Kind, Wish
from tidegate.control.writer import Writer
from tidegate.planning.decision import Action, Plan, PoolView
from tidegate.planning.model import MANAGER, Key
from tidegate.planning.reasons import Reason
from tidegate.planning.resources import Resources
from tidegate.planning.shift.handover import Do, advance
from tidegate.planning.shift.inputs import TimetableInputs
from tidegate.planning.shift.model import CannotStop, Drain, Lane, Member, MemberKind, PoolFacts
from tidegate.planning.shift.outcome import Lending
from tidegate.planning.shift.plan import timetable
from tidegate.planning.shift.step import step
from tidegate.ports import HandOverNote, Held, Loan, Manager, RefusedError

CORE = Resources(1000, 1024)
LANE = Lane("data", drain=Drain(notice=30.0), give_back_within=600.0)


def told(original: int = 14, pending: int | None = None, **more: object) -> Loan:
    """A loan of lent work; only told as it comes."""
    where = place()
    asked = original if pending is None else pending
    loan = Loan(
        key_of(where), where, Key("", "p"), "data", original, None, original, asked, original, T0, T0, T0 + 900.0, 1,
        hand_over=HandOverNote("p", "data", until=T0 + 600.0), levels=() if asked == original else (asked,),
    )  # fmt: skip
    return replace(loan, **more)  # type: ignore[arg-type]


def by(name: str, operation: str = "Update", *, value: int) -> Held:
    return Held(value, Manager(name, operation))


# ---- between notice and stop


@pytest.mark.parametrize("wish", [0, 10, 16])
def test_what_the_owner_sets_while_work_was_only_told_is_both_his_level_and_what_we_let_it_have(wish: int) -> None:
    loan, found = learned(told(14), by("ops", value=wish))
    assert found is Drift.NEW_INTENT
    assert (loan.original, loan.pending) == (wish, wish)
    again, _ = learned(loan, by("ops", value=14))
    assert (again.original, again.pending) == (14, 14), "and he may change his mind"


@pytest.mark.parametrize("wish", [0, 10, 16])
def test_told_work_that_its_owner_moves_is_neither_started_nor_cut_by_us(wish: int) -> None:
    loan, _ = learned(told(14), by("ops", value=wish))
    member = Member(place().ref, "data", MemberKind.SCALE, CORE, wish, CORE.times(wish), 0.0, mark=mark_of(loan))
    lendings = [Lending(T0 - 5.0, T0 + 60.0, T0 + 90.0, T0 + 600.0, T0 + 900.0, ())] * 6
    hand_over, acts = advance(member, LANE, lendings, T0, room=CORE.times(99), spare=CORE.times(99))
    assert hand_over.asked == wish
    done = {act.do for act in acts}
    assert not done & {Do.STOP, Do.RESUME}
    assert wish or done == {Do.CLOSE}, "of none there is nothing to tell: the loan ends"


# ---- while it is lent


def test_an_apply_of_the_very_level_to_which_work_was_lent_is_its_owners_wish() -> None:
    lent = told(1, 0)
    assert drift(lent, by(MANAGER, value=0)) is Drift.OURS
    assert drift(lent, by("kubectl", value=0)) is Drift.OURS, "an update that changes nothing leaves no trace"
    loan, found = learned(lent, by("kubectl", "Apply", value=0))
    assert found is Drift.NEW_INTENT
    assert (loan.original, loan.pending) == (0, 0)
    assert drift(loan, by("kubectl", "Apply", value=0)) is Drift.OURS, "it is his once"


# ---- somebody else drives it


def plan() -> Plan:
    inputs = TimetableInputs(POOL, PoolFacts(Resources(8000, 8192), {}, ()), (), (), T0, 0.0)
    made = timetable(inputs).plan
    return Plan(
        T0, {}, {}, (), None, {"p": PoolView(inputs, made, step(POOL, inputs.facts, made, T0), None, None, False)}
    )


def wishes(site: Site) -> list[Wish]:
    return list(site.work.wishes(plan(), {"p": POOL}, frozenset(), T0))


@pytest.mark.parametrize("reason", [Reason.MANAGED_ELSEWHERE, Reason.OWNED_BY_OTHER_SCALER])
async def test_lent_work_that_another_controller_drives_by_now_is_left_to_it(site: Site, reason: Reason) -> None:
    await site.look()
    await site.lend(4)
    look = site.looker.looks["p"]
    cannot = CannotStop(place().ref, "data", reason, "order is started and stopped by Kueue (queue night)")
    seen = replace(look.sight.seen, members=(), cannot=(cannot,))
    site.looker.looks["p"] = replace(look, sight=replace(look.sight, seen=seen, places={}))
    (wish,) = wishes(site)
    assert (wish.kind, wish.said.reason) == (Kind.LET_GO, reason)
    assert "Kueue (queue night)" in wish.said.message


async def test_work_that_was_lent_down_to_nothing_is_given_back_on_time_whatever_autoscaler_came(site: Site) -> None:
    """At 0 an autoscaler is switched off: left to it, the work would never run again."""
    await site.look()
    await site.lend(0)
    look = site.looker.looks["p"]
    cannot = CannotStop(place().ref, "data", Reason.OWNED_BY_OTHER_SCALER, "HorizontalPodAutoscaler/order scales it")
    seen = replace(look.sight.seen, members=(), cannot=(cannot,))
    site.looker.looks["p"] = replace(look, sight=replace(look.sight, seen=seen, places={}))
    planned = terms().hand_over.until
    assert list(site.work.wishes(plan(), {"p": POOL}, frozenset(), planned - 1.0)) == []
    site.looker.looks["p"] = replace(site.looker.looks["p"], at=planned)
    (wish,) = site.work.wishes(plan(), {"p": POOL}, frozenset(), planned)
    assert (wish.kind, wish.said.level) == (Kind.RETURN, 10)


async def test_lent_work_that_is_no_member_any_more_is_given_back(site: Site) -> None:
    await site.look()
    await site.lend(4)
    look = site.looker.looks["p"]
    site.looker.looks["p"] = replace(
        look, sight=replace(look.sight, seen=replace(look.sight.seen, members=()), places={})
    )
    assert [wish.kind for wish in wishes(site)] == [Kind.RETURN]


async def test_work_that_is_back_and_that_somebody_keeps_stopping_is_left_to_him(site: Site) -> None:
    await site.look()
    await site.lend(4)
    site.conflicts.give_way(place().id, "argocd keeps setting it", about=place().ref, now=T0)
    assert wishes(site) == [], "what is out waits"
    await site.lend(10)
    (wish,) = wishes(site)
    assert (wish.kind, wish.said.reason) == (Kind.LET_GO, Reason.FIELD_MANAGER_CONFLICT)


class Rival:
    """Sets a level again as soon as it was moved."""

    def __init__(self, site: Site, level: int) -> None:
        self.site, self.level, self.swaps = site, level, 0
        self.swap, site.cluster.swap = site.cluster.swap, self._swap  # type: ignore[method-assign]

    async def _swap(self, where: object, *, believed: int, wanted: int) -> None:
        await self.swap(where, believed=believed, wanted=wanted)  # type: ignore[arg-type]
        self.swaps += 1
        self.site.cluster.things["order"].write(self.level, "kueue", self.site.clock.at)


async def test_a_return_that_is_undone_each_time_ends_after_a_few_writes(site: Site) -> None:
    """A queue that suspends what we start: each of both would write for ever, and pods would start and be killed."""
    await site.ledger.load()
    await site.lend(4)
    (loan,) = site.ledger.loans.values()
    done: list[Applied] = []
    writer = Writer(site.ledger, site.clock, site.conflicts, site.work.events, lambda: True, on_done=done.append)
    rival = Rival(site, 4)
    said = Applied(loan.policy, "data", place().ref, Action.RETURN, 4, 10, T0, Reason.RETURNED, "")
    for _ in range(60):
        if site.ledger.loans:
            writer.post([Wish(Kind.RETURN, place().id, "shop", said, loan=loan)], site.clock.at)
        for job in writer.due(site.clock.at):
            await writer.do(job)
        site.clock.at += 10.0
    assert rival.swaps <= 8
    assert not site.ledger.loans
    assert done[-1].reason is Reason.FIELD_MANAGER_CONFLICT
    assert site.cluster.things["order"].level == 4, "it is left as he wants it"


# ---- a namespace that is being deleted


async def test_in_a_namespace_that_is_being_deleted_nothing_new_is_tried_for_minutes(site: Site) -> None:
    await site.ledger.load()
    asked = 0

    async def refuse(loan: Loan, *, fresh: bool) -> None:
        nonlocal asked
        asked += 1
        error = RefusedError("shop is being terminated")
        error.ending = True
        raise error

    site.cluster.save = refuse  # type: ignore[method-assign]
    writer = Writer(site.ledger, site.clock, site.conflicts, site.work.events, lambda: True)
    said = Applied(Key("", "p"), "data", place().ref, Action.LOWER, 10, 4, T0, Reason.DRAINING, "")
    for number in range(100):
        held = Held(10, None)
        where = place("order" if number % 2 else f"job-{number}")
        wish = Wish(Kind.MOVE, where.id, "shop", said, where, held, 4, terms(), must_by=None)
        writer.post([wish], site.clock.at)
        for job in writer.due(site.clock.at):
            await writer.do(job)
        site.clock.at += 2.0
    assert asked == 1
    assert not writer.refusals.is_ending("shop", site.clock.at + FAR.longest)
