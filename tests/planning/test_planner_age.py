"""What is too old to be known, and what another clock has dated."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from worlds import CORE, NS, T0, event, policy, signal, target, world

from tidegate.planning.decision import Action, Outcome, TargetPlan
from tidegate.planning.evidence import cramped
from tidegate.planning.instants import SKEW, elapsed
from tidegate.planning.model import (
    Evidence,
    Freshness,
    Key,
    LeadTimeGuess,
    LoanState,
    Mode,
    Observed,
    Reading,
    Ref,
    Release,
    Room,
    Trouble,
)
from tidegate.planning.override import Override, OverrideAction
from tidegate.planning.plan import make_plan
from tidegate.planning.reasons import Reason
from tidegate.planning.targets import release_step
from tidegate.planning.world import World

KEY = (CORE, "order")
SHOW = Key(NS, "show")
DAY = 86_400.0
NOTE = "last seen 3 min ago: the API server gives no answer"


def unseen(level: int, ready: int | None = None, *, loan: LoanState | None = None, **given: object) -> Observed:
    known: dict[str, object] = {"seen": False, "note": NOTE, **given}
    return Observed(level=level, ready=level if ready is None else ready, desired=level, loan=loan, **known)  # type: ignore[arg-type]


def lent(level: int, *, since: float = T0 - 900.0) -> LoanState:
    return LoanState(2, max(level, 10), since, since)


def plan_of(w: World, now: float = T0) -> TargetPlan:
    return make_plan(w, now).targets[KEY]


# ---- not seen lately


def test_what_was_not_seen_lately_may_rise() -> None:
    plan = plan_of(world(event(), observed={KEY: unseen(2)}))
    assert (plan.action, plan.level, plan.reason, plan.seen) == (Action.RAISE, 10, Reason.EVENT_DEMAND, False)


@pytest.mark.parametrize("mode", Mode)
def test_what_was_not_seen_lately_is_not_lowered_and_says_since_when(mode: Mode) -> None:
    w = world(policies=(policy(mode=mode),), observed={KEY: unseen(10, loan=lent(10))})
    plan = plan_of(w)
    assert (plan.action, plan.level, plan.reason, plan.message) == (Action.NOTHING, 10, Reason.NOT_SEEN_LATELY, NOTE)
    assert plan.next_at is None, "nobody knows when it is seen again"
    seen = replace(w, observed={KEY: replace(w.observed[KEY], seen=True)})
    assert plan_of(seen).action is Action.LOWER


def test_what_was_not_seen_lately_is_not_returned() -> None:
    """Also where its level is the original already."""
    there = unseen(2, loan=lent(2))
    assert plan_of(world(observed={KEY: there})).action is Action.NOTHING
    assert plan_of(world(observed={KEY: replace(there, seen=True)})).action is Action.RETURN


def test_a_loan_that_nobody_speaks_for_is_left_as_it_is_while_it_is_not_seen() -> None:
    for level in (2, 10):
        there = unseen(level, loan=lent(level))
        assert release_step(there, Release(), now=T0) == (Action.NOTHING, level)
        assert release_step(replace(there, seen=True), Release(), now=T0)[0] is not Action.NOTHING


def test_on_call_still_has_the_last_word() -> None:
    held = Override(Key(NS, "o"), "core", None, OverrideAction.PAUSE, T0 + 600.0, "a", "r")
    w = world(event(), observed={KEY: unseen(2)}, overrides=(held,))
    assert plan_of(w).action is Action.NOTHING


def test_nothing_is_ready_that_was_not_seen_lately() -> None:
    w = world(event(), observed={KEY: unseen(10, loan=lent(10))})
    verdict = make_plan(w, T0).verdicts[SHOW]
    assert (verdict.outcome, verdict.reason) == (Outcome.UNKNOWN, Reason.NOT_SEEN_LATELY)
    assert NOTE in verdict.message


@pytest.mark.parametrize(
    "stale",
    [
        {"maximum": 5},
        {"trouble": Trouble.MISSING},
        {"evidence": (Evidence(Reason.PODS_REFUSED, Ref("v1", "Pod", NS, "p"), "", "refused", T0 - 900.0),)},
        {"rooms": (Room(Ref("v1", "ResourceQuota", NS, "q"), "spec.hard", "pods", 0.0, 1.0, 2),)},
    ],
    ids=lambda stale: next(iter(stale)),
)
def test_nothing_is_blocked_or_late_by_what_was_seen_too_long_ago(stale: dict[str, object]) -> None:
    blocked = unseen(10, 2, loan=lent(10), **stale)
    assert make_plan(world(event(), observed={KEY: blocked}), T0).verdicts[SHOW].outcome is Outcome.UNKNOWN
    fresh = replace(blocked, seen=True)
    assert make_plan(world(event(), observed={KEY: fresh}), T0).verdicts[SHOW].outcome is Outcome.BLOCKED


def test_what_does_not_rest_on_seeing_blocks_all_the_same() -> None:
    w = replace(world(event(), observed={KEY: unseen(2)}), stopped=True)
    verdict = make_plan(w, T0).verdicts[SHOW]
    assert (verdict.outcome, verdict.reason) == (Outcome.BLOCKED, Reason.STOPPED)
    on_pool = policy(target(lane="trading"), pool="gone")
    verdict = make_plan(world(event(), policies=(on_pool,), observed={KEY: unseen(2)}), T0).verdicts[SHOW]
    assert (verdict.outcome, verdict.reason) == (Outcome.BLOCKED, Reason.POOL_MISSING)


def test_a_shared_bound_as_it_was_takes_no_part_with_the_neighbours() -> None:
    quota = Ref("v1", "ResourceQuota", NS, "team")
    here = Room(quota, "spec.hard", "pods", 8.0, 1.0, 2)
    core = policy(target(), target("pay"))
    both = {(CORE, t.name): Observed(level=2, ready=2, desired=2, rooms=(here,)) for t in core.targets}
    plan = make_plan(world(event(), policies=(core,), observed=both), T0)
    pairs = [(plan.targets[key], seen) for key, seen in both.items()]
    assert cramped(pairs), "8 + 8 more do not fit under 8"
    assert not cramped([pairs[0], (pairs[1][0], replace(pairs[1][1], seen=False))])


def test_a_quota_named_by_two_versions_is_one_bound() -> None:
    rooms = [Room(Ref(v, "ResourceQuota", NS, "team"), "spec.hard", "pods", 8.0, 1.0, 2) for v in ("g/v1", "g/v2")]
    core = policy(target(), target("pay"))
    both = {
        (CORE, t.name): Observed(level=2, ready=2, desired=2, rooms=(room,))
        for t, room in zip(core.targets, rooms, strict=True)
    }
    plan = make_plan(world(event(), policies=(core,), observed=both), T0)
    assert plan.verdicts[SHOW].reason is Reason.QUOTA_EXCEEDED


def test_a_reading_older_than_its_bound_is_not_fresh_whatever_it_is_called() -> None:
    core = policy(signals=(signal(stale_after=120.0),))

    def level(age: float) -> tuple[int | None, bool]:
        readings = {(CORE, "orders"): Reading(Freshness.FRESH, 5000.0, T0 - age, confirmed=5000.0)}
        plan = plan_of(world(event(), policies=(core,), readings=readings))
        return plan.level, plan.blind

    assert level(120.0) == (50, False)
    assert level(121.0) == (10, True)


# ---- clocks that were ahead


@pytest.mark.parametrize(
    ("since", "want"),
    [(-50.0, 50.0), (0.0, 0.0), (SKEW, 0.0), (SKEW + 1.0, math.inf), (math.nan, math.inf)],
)
def test_an_instant_somewhat_ahead_is_now_and_one_far_ahead_says_nothing(since: float, want: float) -> None:
    assert elapsed(T0, T0 + since, wait=30.0) == want


def test_a_long_wait_makes_a_long_way_ahead_believable() -> None:
    assert elapsed(T0, T0 + 3000.0, wait=3600.0) == 0.0


@pytest.mark.parametrize("ahead", [60.0, SKEW, 3600.0, DAY, 30 * DAY])
def test_a_step_dated_by_a_clock_that_was_ahead_delays_the_way_down_by_no_more_than_the_skew(ahead: float) -> None:
    there = Observed(level=10, ready=10, desired=10, loan=lent(10, since=T0 + ahead))
    assert plan_of(world(observed={KEY: there}), T0 + SKEW + 31.0).action is Action.LOWER
    assert release_step(there, Release(), now=T0 + SKEW + 31.0)[0] is Action.LOWER


def test_a_write_dated_by_a_clock_that_was_ahead_makes_no_event_later_than_one_written_now() -> None:
    there = Observed(level=10, ready=2, desired=10, loan=lent(10, since=T0 + DAY))
    now = replace(there, loan=lent(10, since=T0 - 10.0))
    odd, want = (make_plan(world(event(), observed={KEY: o}), T0 - 10.0).verdicts[SHOW] for o in (there, now))
    assert odd == want


@pytest.mark.parametrize("freshness", [f for f in Freshness if f is not Freshness.FRESH])
def test_blindness_dated_by_a_clock_that_was_ahead_keeps_a_level_for_a_bounded_time(freshness: Freshness) -> None:
    core = policy(hold=0.0, signals=(signal(),), blind_max=600.0)
    there = Observed(level=40, ready=40, desired=40, loan=lent(40, since=T0 - 900.0))
    readings = {(CORE, "orders"): Reading(freshness, 1.0, T0 + DAY)}
    plan = plan_of(world(event(), policies=(core,), observed={KEY: there}, readings=readings), T0 + 1000.0)
    assert plan.action is Action.LOWER


def test_a_reading_from_tomorrow_is_not_fresh() -> None:
    core = policy(signals=(signal(),))
    readings = {(CORE, "orders"): Reading(Freshness.FRESH, 5000.0, T0 + DAY)}
    plan = plan_of(world(event(), policies=(core,), readings=readings))
    assert (plan.level, plan.blind) == (10, True)


@pytest.mark.parametrize("reason", [Reason.PODS_UNSCHEDULABLE, Reason.PODS_NEVER_READY])
def test_pods_dated_by_a_clock_that_was_ahead_are_not_waited_for_until_tomorrow(reason: Reason) -> None:
    pod = Evidence(reason, Ref("v1", "Pod", NS, "order-1"), "", "not well", T0 + DAY, T0 + DAY, 8)
    core = policy(target(lead=LeadTimeGuess(30.0)))
    there = Observed(level=10, ready=2, desired=10, loan=lent(10, since=T0 - 100.0), evidence=(pod,))
    verdict = make_plan(world(event(), policies=(core,), observed={KEY: there}), T0).verdicts[SHOW]
    assert verdict.outcome is Outcome.BLOCKED
    slightly = replace(pod, since=T0 + 10.0, latest=T0 + 10.0)
    late = make_plan(
        world(event(), policies=(core,), observed={KEY: replace(there, evidence=(slightly,))}), T0
    ).verdicts[SHOW]
    assert late.ready_at is not None
    assert late.ready_at <= T0 + 60.0


def test_a_boost_dated_by_a_clock_that_was_ahead_counts_from_now() -> None:
    boost = Override(
        Key(NS, "o"), "core", None, OverrideAction.BOOST, T0 + 3000.0, "a", "r", percent=50, created=T0 + 2000.0
    )
    assert plan_of(world(event(), overrides=(boost,))).level == 15
