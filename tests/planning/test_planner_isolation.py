"""What one announcement, policy or target raises leaves all others planned, and says so in its own place."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from worlds import CORE, NS, T0, Obedient, derived, event, moment, policy, target, world

from tidegate.planning import curves, making
from tidegate.planning.book import Book
from tidegate.planning.decision import Action, Outcome
from tidegate.planning.explain import own_share
from tidegate.planning.isolation import Failure, attempt
from tidegate.planning.model import (
    Announcement,
    Key,
    LoanState,
    Observed,
    Policy,
    Ref,
)
from tidegate.planning.plan import Planner, make_plan
from tidegate.planning.reasons import Reason
from tidegate.planning.world import World

KEY = (CORE, "order")
BAD = Key(NS, "bad")
OTHER = Key("elsewhere", "core")


@pytest.fixture(autouse=True)
def no_warning_is_overlooked() -> Iterator[None]:
    """A number beyond a float64 that is only warned of stays in the sums."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def chain(links: int, factor: float, *, spread: float = 0.0) -> Announcement:
    """An event of which each signal is a multiple of the one before."""
    links_ = tuple(derived(f"s{n}", f"s{n - 1}" if n > 1 else "orders", factor) for n in range(1, links + 1))
    return event("bad", derived=links_, spread=spread)


BAD_EVENTS = {
    "a chain of derived signals beyond all numbers": chain(26, 999_999_999_999.0),
    "a chain whose squares are beyond all numbers": chain(13, 999_999_999_999.0, spread=0.3),
    "the longest chain of small factors": chain(31, 1e6, spread=0.3),
    "a moment beyond all numbers": event("bad", level=1e300, moments=(moment(factor=1e300),)),
    "a moment's level that is no number": event("bad", moments=(moment(factor=None, level=math.nan),)),
    "a demand that is no number": event("bad", level=math.nan),
    "an infinite demand": event("bad", level=math.inf),
    "a profile that nobody knows": event("bad", profile="no-such-profile"),
    "a start that is no number": event("bad", start=math.nan),
    "an infinite duration": event("bad", duration=math.inf),
    "a schedule that is none": replace(event("bad"), occurrences=None),
}


@pytest.mark.parametrize("bad", BAD_EVENTS.values(), ids=BAD_EVENTS)
def test_an_announcement_that_cannot_be_summed_leaves_its_neighbours_as_planned_without_it(bad: Announcement) -> None:
    good = world(event(), policies=(policy(), policy(key=OTHER)))
    plan, want = make_plan(replace(good, announcements={**good.announcements, BAD: bad}), T0), make_plan(good, T0)
    assert plan.targets == want.targets
    assert plan.steps == want.steps
    assert plan.verdicts[Key(NS, "show")] == want.verdicts[Key(NS, "show")]


def test_an_announcement_that_cannot_be_summed_is_blocked_with_the_reason_and_its_own_name() -> None:
    bad = chain(26, 999_999_999_999.0)
    verdict = make_plan(world(event(), bad), T0 - 40_000.0).verdicts[BAD]
    assert (verdict.outcome, verdict.reason) == (Outcome.BLOCKED, Reason.CANNOT_BE_PLANNED)
    assert verdict.object == Ref("tidegate.dev/v1alpha1", "LiveEvent", NS, "bad")
    assert "concurrent demand of more than 1e+30 is not plannable" in verdict.message
    assert own_share(bad, policy(), cell=15.0) == ()


def test_the_largest_factors_of_the_api_alone_are_still_planned() -> None:
    """Expected and a moment's factor of 10^12 each: cut at the policy's max, as ever."""
    huge = event(level=1e12, moments=(moment(offset=0.0, factor=1e12),), spread=3.0)
    plan = make_plan(world(huge), T0)
    assert plan.targets[KEY].level == 10_000
    assert plan.verdicts[huge.key].reason is not Reason.CANNOT_BE_PLANNED


def test_an_event_that_turns_bad_while_it_is_on_lowers_nothing_and_returns_nothing() -> None:
    """What it needs is not known any more. When it is over, or mended, or deleted, the way down goes on."""
    obedient = Obedient(world(event(), policies=(policy(hold=0.0, rate=1.0),)))
    obedient.at(T0)
    obedient.world = replace(obedient.world, announcements={Key(NS, "show"): replace(event(), profile="nonsense")})
    for minute in range(1, 60):
        obedient.at(T0 + 60.0 * minute)
        assert obedient.level() == 10
    plan = obedient.at(T0 + 3599.0)
    assert plan.targets[KEY].reason is Reason.EVENT_LEFT_OUT
    assert "LiveEvent show cannot be planned: KeyError: 'nonsense'" in plan.targets[KEY].message
    for minute in range(61, 120):
        obedient.at(T0 + 60.0 * minute)
    assert obedient.world.observed[KEY].loan is None


def test_a_loan_at_its_original_is_not_returned_while_an_event_is_left_out() -> None:
    there = Observed(level=2, ready=2, desired=2, loan=LoanState(2, 10, T0 - 900.0, T0 - 900.0))
    bad = replace(event(), profile="nonsense")
    assert make_plan(world(bad, observed={KEY: there}), T0).targets[KEY].action is Action.NOTHING
    assert make_plan(world(observed={KEY: there}), T0).targets[KEY].action is Action.RETURN


def test_an_event_left_out_today_stops_no_release_of_yesterdays() -> None:
    """Only what is near can be in need."""
    there = Observed(level=2, ready=2, desired=2, loan=LoanState(2, 10, T0 - 900.0, T0 - 900.0))
    bad = replace(event(start=T0 + 40_000.0), profile="nonsense")
    assert make_plan(world(bad, observed={KEY: there}), T0).targets[KEY].action is Action.RETURN


# ---- policies and targets

BAD_TARGETS = {
    "a headroom that is no number": target(headroom=math.nan),
    "a capacity of nothing": target(capacity=(("orders", 0.0),)),
    "a capacity below nothing": target(capacity=(("orders", -0.5),)),
    "a background beyond all numbers": target(background=(("orders", math.inf),)),
    "a stage that nobody knows": target(stage="moon"),
}
BAD_POLICIES = {
    **{name: policy(spec) for name, spec in BAD_TARGETS.items()},
    "a quantile of one": policy(quantile=1.0),
    "a quantile that is no number": policy(quantile=math.nan),
    "a hold of a century": policy(hold=3.2e9),
    "an infinite settle time": policy(target(), target("edge", settle=math.inf, stage="edge")),
    "an infinite hold": policy(hold=math.inf),
    "no release at all": policy(rate=0.0),
}


@pytest.mark.parametrize("bad", BAD_POLICIES.values(), ids=BAD_POLICIES)
def test_a_policy_that_cannot_be_planned_leaves_all_others_planned(bad: Policy) -> None:
    """Also in the same plan when it was planned before, and when it is mended."""
    other = Key("elsewhere", "show")
    twin = policy(replace(target(), ref=Ref("apps/v1", "Deployment", "elsewhere", "order")), key=OTHER)
    spread = event(spread=0.3)
    good = world(spread, replace(spread, key=other), policies=(policy(), twin))
    lent = replace(good.observed[KEY], level=10, loan=LoanState(2, 10, T0 - 100.0, T0 - 100.0))
    good = replace(good, observed={**good.observed, KEY: lent})
    broken = replace(good, policies={**good.policies, CORE: bad})
    planner = Planner(good.settings)
    want = planner.plan(good, T0)
    for plan in (planner.plan(broken, T0 + 1.0), make_plan(broken, T0 + 1.0)):
        alone, neighbour = plan.targets[KEY], plan.targets[OTHER, "order"]
        assert neighbour.level == want.targets[OTHER, "order"].level
        assert plan.verdicts[other].reason is want.verdicts[other].reason
        assert (alone.action, alone.current) == (Action.NOTHING, 10)
        assert alone.reason is plan.verdicts[spread.key].reason is Reason.CANNOT_BE_PLANNED
    assert planner.plan(good, T0 + 2.0) == make_plan(good, T0 + 2.0)


@pytest.mark.parametrize("error", [MemoryError(), KeyError("x"), FloatingPointError("x"), OverflowError("x")], ids=repr)
@pytest.mark.parametrize("where", [(curves, "need"), (making, "decide"), (making, "start_time")], ids=lambda w: w[1])
def test_a_target_whose_decision_raises_keeps_its_level_and_is_decided_again(
    monkeypatch: pytest.MonkeyPatch, where: tuple[object, str], error: Exception
) -> None:
    core = policy(target("order"), target("pay"))
    w = world(event(), policies=(core,))
    planner, real = Planner(w.settings), getattr(*where)
    calls = iter([error])

    def raises_once(*args: object, **given: object) -> object:
        if (found := next(calls, None)) is not None:
            raise found
        return real(*args, **given)

    monkeypatch.setattr(where[0], where[1], raises_once)
    plan = planner.plan(w, T0)
    failed = plan.targets[KEY]
    assert (failed.level, failed.action, failed.reason) == (2, Action.NOTHING, Reason.CANNOT_BE_PLANNED)
    assert type(error).__name__ in failed.message
    assert plan.targets[CORE, "pay"].level == 10
    assert plan.verdicts[Key(NS, "show")].outcome is Outcome.BLOCKED
    assert planner.plan(w, T0 + 1.0, changed=frozenset()) == make_plan(w, T0 + 1.0)


def test_events_whose_verdict_raises_have_an_unknown_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.planning.verdict.cramped", lambda _: 1 / 0)
    plan = make_plan(world(event()), T0)
    assert plan.targets[KEY].level == 10
    verdict = plan.verdicts[Key(NS, "show")]
    assert (verdict.outcome, verdict.reason) == (Outcome.UNKNOWN, Reason.CANNOT_BE_PLANNED)


def test_two_names_of_one_object_within_a_policy_drive_it_once() -> None:
    twin = replace(target("again"), ref=Ref("apps/v1beta1", "Deployment", NS, "order"))
    plan = make_plan(world(event(), policies=(policy(target(), twin),)), T0)
    assert plan.targets[CORE, "again"].reason is Reason.SHARED_WORKLOAD
    assert "target order of this policy" in plan.targets[CORE, "again"].message
    assert len(plan.steps) == 1


def test_one_object_named_by_two_of_its_served_versions_has_one_policy() -> None:
    old = policy(replace(target(), ref=Ref("apps/v1beta1", "Deployment", NS, "order")), created=1.0)
    new = policy(target("later"), key=Key(NS, "new"), created=2.0)
    new = replace(new, targets=(replace(new.targets[0], ref=target().ref),))
    plan = make_plan(world(event(), policies=(new, old)), T0)
    assert plan.targets[KEY].level == 10
    assert plan.targets[Key(NS, "new"), "later"].reason is Reason.SHARED_WORKLOAD


# ---- the book


def crowd() -> World:
    """Four events on two targets, with spread: three sums each."""
    pay = target("pay", capacity=(("payments", 40.0), ("orders", 90.0)))
    link = (derived("payments", "orders", 0.8, 120.0),)
    events = [event(f"e{n}", 900.0 * (n + 1), T0 + 300.0 * n, spread=0.3, derived=link) for n in range(4)]
    return world(*events, policies=(policy(target(), pay),))


class Raising:
    """Lets the n-th call raise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, at: int, error: type[Exception]) -> None:
        self.left, real = at, getattr(Book, name)

        def call(book: Book, *args: object) -> object:
            self.left -= 1
            if self.left == 0:
                real(book, *args)  # the sums have moved when it raises
                raise error
            return real(book, *args)

        monkeypatch.setattr(Book, name, call)


@pytest.mark.parametrize("at", range(1, 12))
@pytest.mark.parametrize("name", ["_add", "_entry", "_sum"])
@pytest.mark.parametrize("edit", ["added", "changed", "deleted"])
def test_an_announcement_is_in_or_out_whenever_booking_it_raises(
    monkeypatch: pytest.MonkeyPatch, edit: str, name: str, at: int
) -> None:
    """The plan after that is the one made from nothing, and nobody was lowered in between."""
    before, more = crowd(), event("e9", 5000.0, spread=0.2)
    key = {"added": more.key, "changed": Key(NS, "e1"), "deleted": Key(NS, "e2")}[edit]
    after = {k: v for k, v in before.announcements.items() if k != key}
    if edit != "deleted":
        after[key] = replace(more, key=key)
    planner = Planner(before.settings)
    planner.plan(before, T0)
    with monkeypatch.context() as patch:
        Raising(patch, name, at, MemoryError)
        plan = planner.plan(replace(before, announcements=after), T0 + 1.0, changed=frozenset([key]))
    left_out = {k: v for k, v in after.items() if k not in planner.book.left_out}
    for owner, decided in plan.targets.items():
        if decided.reason is not Reason.CANNOT_BE_PLANNED:
            want = make_plan(replace(before, announcements=left_out), T0 + 1.0).targets[owner]
            assert (decided.level, decided.need) == (want.level, want.need)
    want = make_plan(replace(before, announcements=after), T0 + 2.0)
    assert planner.plan(replace(before, announcements=after), T0 + 2.0, changed=frozenset()) == want


@pytest.mark.parametrize("at", range(1, 14))
def test_a_book_that_is_built_while_memory_runs_out_is_whole_at_the_next_plan(
    monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    w, planner = crowd(), Planner()
    with monkeypatch.context() as patch:
        Raising(patch, "_add", at, MemoryError)
        planner.plan(w, T0)
    assert planner.plan(w, T0 + 1.0, changed=frozenset()) == make_plan(w, T0 + 1.0)


@pytest.mark.parametrize("first", [True, False], ids=["while the book is built", "while it is brought up"])
def test_changes_that_a_plan_took_which_then_raised_are_taken_by_the_next(
    monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """Also what is not isolated, because it is nobody's fault."""
    w, planner = crowd(), Planner()
    if not first:
        planner.plan(w, T0)
    edited = {key: replace(one, expected=(("orders", 7.0),)) for key, one in w.announcements.items()}
    after = replace(w, announcements=edited)
    with monkeypatch.context() as patch:
        Raising(patch, "_replace", 3, MemoryError)
        with pytest.raises(MemoryError):
            planner.plan(after, T0 + 1.0, changed=frozenset(edited))
    assert planner.plan(after, T0 + 2.0, changed=frozenset()) == make_plan(after, T0 + 2.0)


def test_what_fails_by_what_it_says_is_not_tried_again_until_it_says_something_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad, tries = chain(26, 1e12), 0
    real = Book._entry

    def counted(book: Book, announcement: Announcement) -> object:
        nonlocal tries
        tries += 1
        return real(book, announcement)

    monkeypatch.setattr(Book, "_entry", counted)
    w, planner = world(event(), bad), Planner()
    for beat in range(5):
        planner.plan(w, T0 + beat)
    assert tries == 2, "each event once"
    mended = replace(w, announcements={**w.announcements, BAD: event("bad")})
    assert planner.plan(mended, T0 + 9.0, changed=frozenset([BAD])) == make_plan(mended, T0 + 9.0)


def test_sums_without_the_bad_one_are_exact_to_the_last_bit() -> None:
    """Hundreds of edits between good and bad leave no trace."""
    w, planner = crowd(), Planner()
    planner.plan(w, T0)
    key = Key(NS, "e1")
    for number in range(200):
        bad = replace(w.announcements[key], expected=(("orders", (1e29, math.inf, 3.0)[number % 3]),))
        planner.plan(replace(w, announcements={**w.announcements, key: bad}), T0, changed=frozenset([key]))
    planner.plan(w, T0, changed=frozenset([key]))
    fresh = Planner()
    fresh.plan(w, T0)
    for row, sums in fresh.book.rows.items():
        assert np.array_equal(planner.book.rows[row].cells, sums.cells)


# ---- pools


def test_a_pool_that_raises_lets_its_targets_rise_no_further_and_leaves_all_others_planned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """How many machines are free is not known, so nobody takes one of them."""
    on_pool = policy(target(lane="trading"), pool="night")
    twin = policy(replace(target(), ref=Ref("apps/v1", "Deployment", "elsewhere", "order")), key=OTHER)
    w = world(event(), replace(event(), key=Key("elsewhere", "show")), policies=(on_pool, twin))
    monkeypatch.setattr("tidegate.planning.making.pools_of", _raises)
    plan = make_plan(w, T0)
    assert (plan.targets[KEY].level, plan.targets[KEY].reason) == (2, Reason.ALREADY_ENOUGH)
    assert Reason.CANNOT_BE_PLANNED in [j.reason for j in plan.targets[KEY].trail]
    assert plan.targets[OTHER, "order"].level == 10


def _raises(*_: object) -> object:
    raise ValueError("min() of nothing")


class PanicException(BaseException):
    """What a library written in Rust raises when it breaks off."""


def raising(error: BaseException) -> object:
    raise error


def test_a_library_that_breaks_off_stops_nobody_else_and_what_ends_the_process_does() -> None:
    assert attempt(lambda: raising(PanicException("overflow"))) == Failure("PanicException: overflow", False)
    with pytest.raises(KeyboardInterrupt):
        attempt(lambda: raising(KeyboardInterrupt()))
