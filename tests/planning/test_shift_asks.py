"""The order in which needs are served: the guarantee first, and who was let in before keeps its place."""

from __future__ import annotations

from dataclasses import replace

from pools import cores, facts, job, lane, need, pool

from tidegate.planning.resources import Resources
from tidegate.planning.shift.asks import Ask, asks_of
from tidegate.planning.shift.model import LaneUse, Mark
from tidegate.planning.shift.outcome import Promise

T0 = 1_794_240_000.0
FIRST = need("first", T0, T0 + 3600.0, cores(6))
LATER = need("later", T0 + 60.0, T0 + 3600.0, cores(6))
BARE = pool(lane("trading"), lane("data"))
"""A pool whose lanes are guaranteed nothing."""


def told(asks: list[Ask]) -> list[tuple[str, bool, Resources]]:
    """Whose each is, whether it was granted before, and its amount."""
    return [(ask.need.owner, ask.promised, ask.steps[-1].amount) for ask in asks]


def test_among_needs_that_nobody_was_promised_the_one_that_begins_first_is_served_first() -> None:
    asks = asks_of(BARE, facts(cores(10)), [LATER, FIRST], (), T0)
    assert told(asks) == [(FIRST.owner, False, cores(6)), (LATER.owner, False, cores(6))]


def test_what_was_promised_keeps_its_place_before_what_begins_sooner() -> None:
    promise = Promise(LATER.owner, T0, T0 + 3600.0, cores(4))
    asks = asks_of(BARE, facts(cores(10)), [FIRST, LATER], (promise,), T0)
    assert told(asks) == [
        (LATER.owner, True, cores(4)),
        (FIRST.owner, False, cores(6)),
        (LATER.owner, False, cores(2)),
    ]


def test_after_a_restart_what_a_target_was_let_in_with_is_its_promise() -> None:
    """No plan is there to tell who was granted what: the levels that were written are."""
    use = LaneUse(asked={LATER.owner: cores(4)})
    asks = asks_of(BARE, facts(cores(10), trading=use), [FIRST, LATER], (), T0)
    assert told(asks)[0] == (LATER.owner, True, cores(4))
    promise = Promise(LATER.owner, T0, T0 + 3600.0, cores(1))
    asks = asks_of(BARE, facts(cores(10), trading=use), [FIRST, LATER], (promise,), T0)
    assert told(asks)[0] == (LATER.owner, True, cores(1)), "the plan's word counts where there is one"


def test_after_a_restart_whom_work_was_stopped_for_is_served_in_full() -> None:
    """The mark of the work that was stopped says for whom, and not how much."""
    mark = Mark(1, 0, T0 - 60.0, free_by=T0, until=T0 + 3600.0, needs=(LATER.owner,))
    stopped = replace(job("a", mark=mark), level=0)
    asks = asks_of(BARE, facts(cores(10), stopped), [FIRST, LATER], (), T0)
    assert told(asks)[0] == (LATER.owner, True, cores(6))


def test_a_guarantee_is_served_before_any_promise_beyond_one() -> None:
    shared = pool(lane("trading", guarantee=30), lane("data"))
    promise = Promise(LATER.owner, T0, T0 + 3600.0, cores(6))
    asks = asks_of(shared, facts(cores(10)), [FIRST, LATER], (promise,), T0)
    assert [(ask.guaranteed, ask.promised) for ask in asks] == [
        (True, True), (True, False), (False, True), (False, False),
    ]  # fmt: skip
