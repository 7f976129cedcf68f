"""Every answer that a write may get, and every write: when it is tried again, what is said, and what it costs."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import pytest
from fakes import FakeCluster, FakeStore, HandClock, Thing, operator
from fakes import run_until as turn_until
from worlds import CORE, NS, T0, event, policy, target

from tidegate.control.loop import Beat
from tidegate.control.refusals import FAR, NEAR, SHARE, Refusals
from tidegate.planning.decision import Outcome
from tidegate.planning.model import Key, Ref
from tidegate.planning.reasons import Reason
from tidegate.ports import FieldId, Held, Loan, Manager, Place, TidegateError
from tidegate.targets.errors import LaterError, from_answer

SHOW = Key(NS, "show")
BEGIN = T0 - 3600.0
TEN_MINUTES = 600.0
MOST_REQUESTS = 12
"""Of one target and its Loan in ten minutes, all reads for a write included."""
SENTENCE = "no floors on this object: ask the platform team"


def answer(code: int, *, retry_after: str | None = None, details: bool = True) -> TidegateError:
    """What the border makes of a Status document."""
    status = {"kind": "Status", "message": SENTENCE, **({"details": {"name": "order"}} if details else {})}
    return from_answer("PATCH order", code, json.dumps(status).encode(), retry_after=retry_after)


REFUSALS = {
    "400": answer(400),
    "401": answer(401),
    "403 by RBAC": answer(403),
    "403 by admission": answer(403),
    "403 by quota": answer(403),
    "405": answer(405),
    "413": answer(413),
    "422": answer(422),
    "422 by a webhook": answer(422, details=False),
}
LATER = {
    "404": answer(404),
    "409": answer(409),
    "429": answer(429),
    "429 with Retry-After": answer(429, retry_after="9"),
    "500": answer(500),
    "503": answer(503),
    "timeout": LaterError("PATCH order: no answer within 5 s"),
    "connection refused": LaterError("PATCH order: connection refused", untouched=True),
}
WRITES = ("save", "swap", "remove")
"""What a Loan says; a floor or a scale; the end of a Loan."""


@dataclass
class Answering(FakeCluster):
    """One kind of write gets the same answer each time; every request for the target's field and Loan is counted."""

    write: str = ""
    answers: TidegateError | None = None
    tries: list[float] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)
    before: int = 0
    """Requests that had been made when the first one was answered so."""

    def asked(self, write: str) -> None:
        self.requests.append(self.clock.now())
        if write == self.write:
            self.before = self.before if self.tries else len(self.requests) - 1
            self.tries.append(self.clock.now())
            if self.answers is not None:
                raise self.answers

    async def save(self, loan: Loan, *, fresh: bool) -> None:
        self.asked("save")
        await super().save(loan, fresh=fresh)

    async def swap(self, place: Place, *, believed: int, wanted: int) -> None:
        self.asked("swap")
        await super().swap(place, believed=believed, wanted=wanted)

    async def remove(self, loan: Loan) -> None:
        self.asked("remove")
        await super().remove(loan)

    async def held(self, place: Place) -> Held:
        self.asked("read")
        return await super().held(place)

    async def hand_back(self, place: Place, manager: Manager | None) -> None:
        self.asked("hand back")
        await super().hand_back(place, manager)


def scene(write: str, answers: TidegateError, *, announced: float = 100.0) -> tuple[Answering, FakeStore]:
    """A show of one unit on a target of which the policy wants eight: no need that is announced waits for them."""
    cluster = Answering(HandClock(BEGIN), {"order": Thing()}, write=write, answers=answers)
    short = write == "remove"
    show = event(level=announced, start=BEGIN + 60.0, duration=60.0 if short else 7200.0)
    return cluster, FakeStore({CORE: policy(target(minimum=8), hold=1.0, rate=1.0)}, {show.key: show})


run_until = partial(turn_until, every=5.0, writes=True)
"""A beat every five seconds, and one at each instant at which the writer has something to do."""


async def ten_minutes(cluster: Answering, store: FakeStore) -> list[Beat]:
    """Ten minutes from the first try."""
    beats: list[Beat] = []
    loop = operator(cluster, store)
    while not cluster.tries:
        await run_until(loop, cluster.clock, cluster.clock.at + 5.0, each=beats.append)
    await run_until(loop, cluster.clock, cluster.tries[0] + TEN_MINUTES, each=beats.append)
    return beats


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("write", WRITES)
async def test_a_refusal_is_tried_again_in_growing_pauses_and_costs_a_dozen_requests(write: str, name: str) -> None:
    cluster, store = scene(write, REFUSALS[name])
    beats = await ten_minutes(cluster, store)
    pauses = [b - a for a, b in pairwise(cluster.tries)]
    assert pauses == pytest.approx([30.0, 60.0, 120.0, 240.0], abs=1.0), cluster.tries
    assert len(cluster.requests) - cluster.before <= MOST_REQUESTS, cluster.requests
    said = [one.error for beat in beats for one in beat.applied if one.error]
    assert all(SENTENCE in one for one in said), said
    assert len(said) == len(cluster.tries), "each try is told once"


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("write", ["save", "swap"])
async def test_what_was_refused_twice_blocks_in_the_servers_words_with_the_objects_name(write: str, name: str) -> None:
    cluster, store = scene(write, REFUSALS[name])
    beats = await ten_minutes(cluster, store)
    blocked = [b for b in beats if b.plan.verdicts[SHOW].reason is Reason.WRITE_REFUSED]
    assert blocked, [b.plan.verdicts[SHOW] for b in beats[-3:]]
    assert cluster.tries[1] <= blocked[0].now <= cluster.tries[1] + 30.0
    verdict = blocked[-1].plan.verdicts[SHOW]
    assert (verdict.outcome, str(verdict.object)) == (Outcome.BLOCKED, "Deployment/order")
    assert SENTENCE in verdict.message
    assert "2 of 8 ready" in verdict.message
    assert {b.plan.verdicts[SHOW].message for b in blocked} == {verdict.message}, "one meaning has one text"


@pytest.mark.parametrize("write", ["save", "swap"])
async def test_it_is_written_at_the_next_try_once_the_refusal_has_ended(write: str) -> None:
    cluster, store = scene(write, REFUSALS["403 by admission"])
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, BEGIN + 200.0)
    last = cluster.tries[-1]
    cluster.answers = None
    beats: list[Beat] = []
    await run_until(loop, cluster.clock, last + 200.0, each=beats.append)
    assert cluster.level_writes[0][0] <= last + FAR.after(len([at for at in cluster.tries if at <= last])) + 1.0
    assert cluster.things["order"].level == 8
    assert beats[-1].plan.verdicts[SHOW].outcome is Outcome.READY


async def test_a_loan_of_a_refused_write_stays_for_the_next_try_and_ends_with_the_need() -> None:
    cluster, store = scene("swap", REFUSALS["403 by admission"])
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, BEGIN + 300.0)
    assert [(one.original, one.verified, one.pending) for one in cluster.loans.values()] == [(2, None, 8)]
    store.delete(SHOW)
    await run_until(loop, cluster.clock, BEGIN + 900.0)
    assert (cluster.loans, cluster.level_writes, cluster.things["order"].manager) == ({}, [], "helm")


async def test_a_new_life_tries_at_once_and_counts_from_one() -> None:
    cluster, store = scene("swap", REFUSALS["422"])
    await run_until(operator(cluster, store), cluster.clock, BEGIN + 500.0)
    born, known = cluster.clock.at, len(cluster.tries)
    beats: list[Beat] = []
    await run_until(operator(cluster, store), cluster.clock, born + 29.0, each=beats.append)
    assert len(cluster.tries) == known + 1
    assert cluster.tries[-1] <= born + 1.0
    assert {b.plan.verdicts[SHOW].reason for b in beats}.isdisjoint({Reason.WRITE_REFUSED})


@pytest.mark.parametrize("name", LATER)
@pytest.mark.parametrize("write", WRITES)
async def test_what_may_be_answered_later_is_tried_again_within_15_s_and_blocks_nothing(write: str, name: str) -> None:
    cluster, store = scene(write, LATER[name])
    beats = await ten_minutes(cluster, store)
    pauses = [b - a for a, b in pairwise(cluster.tries)]
    assert max(pauses) <= 16.0, pauses
    assert min(pauses[4:]) >= 5.0, "and not all the time"
    assert {b.plan.verdicts[SHOW].reason for b in beats if SHOW in b.plan.verdicts}.isdisjoint({Reason.WRITE_REFUSED})


async def test_who_asks_for_a_pause_gets_it() -> None:
    cluster, store = scene("swap", LATER["429 with Retry-After"])
    await run_until(operator(cluster, store), cluster.clock, BEGIN + 60.0)
    assert cluster.tries[1] - cluster.tries[0] == pytest.approx(9.0, abs=1.0)


async def test_a_refused_level_that_is_needed_soon_is_tried_again_soon() -> None:
    """Ten units by T-0: written 30 s before at the latest, refused until then, and never for longer than a quarter of
    what is left; afterwards every few seconds.
    """
    cluster, store = scene("swap", REFUSALS["403 by admission"], announced=1000.0)
    await run_until(operator(cluster, store), cluster.clock, BEGIN + 300.0)
    assert max(b - a for a, b in pairwise(cluster.tries)) <= NEAR.longest + 1.0
    assert len(cluster.requests) <= 30, "and each try is one request"


ONE = FieldId(Ref("apps/v1", "Deployment", NS, "order").identity, "u1", "/spec/replicas", "scale")


@pytest.mark.parametrize(("left", "first"), [(math.inf, 30.0), (1000.0, 30.0), (80.0, 20.0), (4.0, 5.0), (-60.0, 5.0)])
def test_a_pause_takes_no_more_than_a_quarter_of_what_is_left(left: float, first: float) -> None:
    refusals = Refusals()
    refusals.refused(ONE, Ref("apps/v1", "Deployment", NS, "order"), "no", T0)
    assert refusals.until(ONE, T0, must_by=T0 + left) == T0 + first
    for _ in range(9):
        refusals.refused(ONE, Ref("apps/v1", "Deployment", NS, "order"), "no", T0)
    longest = max(NEAR.longest, min(FAR.longest, SHARE * left))
    assert refusals.until(ONE, T0, must_by=T0 + left) == T0 + longest


def test_a_clock_that_is_stepped_back_ends_a_pause() -> None:
    refusals = Refusals()
    refusals.refused(ONE, Ref("apps/v1", "Deployment", NS, "order"), "no", T0)
    assert refusals.until(ONE, T0 - 3600.0, must_by=math.inf) == -math.inf
