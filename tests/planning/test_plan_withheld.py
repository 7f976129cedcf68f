"""No event is called ready while nobody writes what it needs: Observe, a pause, the durable stop, another policy, and
what on-call says that cannot be listed.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from worlds import CORE, NS, T0, derived, event, policy, world

from tidegate.planning.causes import NOBODYS_FAULT
from tidegate.planning.decision import Outcome, Verdict
from tidegate.planning.model import OURS, Key, LoanState, Mode, Observed, PlanSettings, Ref
from tidegate.planning.override import Override, OverrideAction
from tidegate.planning.plan import Planner, make_plan
from tidegate.planning.reasons import Reason
from tidegate.planning.withheld import Unheard
from tidegate.planning.world import World

KEY, SHOW = (CORE, "order"), Key(NS, "show")
BEFORE, SOON = T0 - 3000.0, T0 - 10.0


def told(w: World, at: float) -> Verdict:
    return make_plan(w, at).verdicts[SHOW]


def observing(*, there: int = 2) -> World:
    core = policy(mode=Mode.OBSERVE)
    return world(event(), policies=(core,), observed={KEY: Observed(level=there, ready=there, desired=there)})


def paused(until: float, *, author: str = "ann") -> World:
    one = Override(Key(NS, "quiet"), CORE.name, None, OverrideAction.PAUSE, until, author, "a migration")
    return replace(world(event()), overrides=(one,))


@pytest.mark.parametrize("at", [BEFORE, SOON, T0 + 30.0])
def test_a_policy_that_only_observes_leaves_its_event_blocked(at: float) -> None:
    said = told(observing(), at)
    assert (said.outcome, said.reason) == (Outcome.BLOCKED, Reason.OBSERVE_ONLY)
    assert (said.object, said.field) == (Ref(OURS, "ScalingPolicy", NS, CORE.name), "spec.mode")
    assert said.message == (
        "order: 10 units are needed, 2 are there, and nobody raises them: ScalingPolicy/core only observes"
    )


@pytest.mark.parametrize("at", [BEFORE, SOON, T0 + 30.0])
def test_what_somebody_else_has_raised_is_enough(at: float) -> None:
    assert told(observing(there=10), at).outcome is Outcome.READY


def test_units_that_an_autoscaler_has_asked_for_are_on_their_way() -> None:
    on_the_way = Observed(level=2, ready=2, desired=10, maximum=50)
    assert told(replace(observing(), observed={KEY: on_the_way}), T0 - 60.0).reason is not Reason.OBSERVE_ONLY


@pytest.mark.parametrize("at", [BEFORE, SOON, T0 + 30.0])
def test_the_durable_stop_blocks_what_is_not_there_yet(at: float) -> None:
    said = told(replace(world(event()), stopped=True), at)
    assert (said.outcome, said.reason) == (Outcome.BLOCKED, Reason.STOPPED)
    assert "tidegate resume" in said.message


def test_the_durable_stop_blocks_nothing_that_is_there() -> None:
    """On the way down, too, where the stop keeps what is no longer needed."""
    loan = LoanState(2, 10, T0 - 400.0, T0 - 400.0, T0 + 9000.0)
    lent = Observed(level=10, ready=10, desired=10, loan=loan)
    w = replace(world(event(), observed={KEY: lent}), stopped=True)
    assert told(w, T0 + 60.0).outcome is Outcome.READY


def test_a_pause_that_ends_before_anything_is_due_blocks_nothing() -> None:
    """Written half a minute before T-0, when the pause is over."""
    due = make_plan(world(event()), BEFORE).targets[KEY].next_at
    assert due is not None
    assert told(paused(due), BEFORE).outcome is Outcome.READY
    said = told(paused(due + 1.0), BEFORE)
    assert (said.outcome, said.reason) == (Outcome.BLOCKED, Reason.OVERRIDE_PAUSE)


def test_a_pause_says_until_when_and_by_whom() -> None:
    said = told(paused(T0 + 600.0), SOON)
    assert said.object == Ref(OURS, "Override", NS, "quiet")
    assert "nobody raises them: paused until 2026-11-09T16:10:00Z by ann: a migration" in said.message


def test_of_two_pauses_the_longer_one_is_named() -> None:
    short, long = paused(T0 + 60.0).overrides[0], paused(T0 + 600.0, author="bob").overrides[0]
    w = replace(world(event()), overrides=(short, replace(long, key=Key(NS, "later"))))
    assert "by bob" in told(w, SOON).message


def unheard(since: float, *, raises: bool = False, ends: float | None = None) -> World:
    one = Unheard("overrides could not be listed (403)", since, since + 60.0 if ends is None else ends, raises)
    return replace(world(event()), unheard=one)


def test_a_write_that_is_due_and_held_because_on_call_is_not_heard_blocks_with_who_answers_what() -> None:
    said = told(unheard(SOON - 10.0), SOON)
    assert (said.outcome, said.reason, str(said.object)) == (Outcome.BLOCKED, Reason.NOT_HEARD, "Deployment/order")
    assert said.message == (
        "order: 10 units are needed, 2 are there, and nobody raises them: overrides could not be listed (403); "
        "from 2026-11-09T16:00:40Z on levels are raised by what was known before (Deployment/order)"
    )
    assert said.reason not in NOBODYS_FAULT, "nobody wants it so"


@pytest.mark.parametrize(
    ("w", "at"),
    [
        (unheard(SOON - 9.0), SOON),
        (unheard(SOON - 70.0, raises=True), SOON),
        (unheard(BEFORE - 10.0), BEFORE),
        (unheard(math.inf), SOON),
        (replace(unheard(SOON - 10.0), observed={KEY: Observed(level=10, ready=10, desired=10)}), SOON),
    ],
    ids=["for seconds", "levels rise again", "over before anything is due", "before we lead", "enough is there"],
)
def test_what_on_call_says_and_nobody_hears_is_told_of_no_event_that_does_not_wait_for_it(w: World, at: float) -> None:
    assert told(w, at).reason is not Reason.NOT_HEARD


def test_a_durable_stop_that_cannot_be_listed_has_no_end_and_blocks_what_is_due_later() -> None:
    assert told(unheard(BEFORE - 10.0, ends=math.inf), BEFORE).reason is Reason.NOT_HEARD


@pytest.mark.parametrize(("until", "reason"), [(20.0, Reason.NOT_HEARD), (600.0, Reason.OVERRIDE_PAUSE)])
def test_of_a_pause_and_what_is_not_heard_the_longer_one_is_named(until: float, reason: Reason) -> None:
    w = replace(unheard(SOON - 10.0), overrides=paused(SOON + until).overrides)
    assert told(w, SOON).reason is reason


@pytest.mark.parametrize("where", ["everywhere", "in its namespace"])
def test_a_decision_that_stands_is_made_anew_when_what_is_not_heard_is_to_be_told(where: str) -> None:
    planner, w = Planner(PlanSettings()), unheard(SOON)
    if where == "in its namespace":
        assert w.unheard is not None
        w = replace(w, unheard=None, unheard_in={NS: w.unheard})

    def planned(at: float) -> Verdict:
        planning = planner.begin(w, at, changed=None if at == SOON else frozenset(), stands=60.0)
        while not planning.step(50):
            pass
        return planning.plan.verdicts[SHOW]

    assert [planned(SOON + after).reason is Reason.NOT_HEARD for after in (0.0, 5.0, 10.0)] == [False, False, True]


def test_of_what_is_not_heard_anywhere_and_in_the_namespace_the_longer_one_is_named_and_of_another_none_is() -> None:
    w = unheard(SOON - 10.0)
    assert w.unheard is not None
    longer = replace(w.unheard, message="liveevents could not be listed", raises_at=math.inf)
    assert "liveevents" in told(replace(w, unheard_in={NS: longer}), SOON).message
    assert "overrides" in told(replace(w, unheard_in={NS: replace(longer, raises_at=SOON + 1.0)}), SOON).message
    assert told(replace(w, unheard=None, unheard_in={"other": longer}), SOON).reason is not Reason.NOT_HEARD


def test_a_policy_that_another_outranks_blocks_its_events() -> None:
    older = policy(key=Key(NS, "older"), mode=Mode.ENFORCE)
    core = replace(policy(), created=5.0)
    said = told(world(event(), policies=(core, older)), SOON)
    assert (said.outcome, said.reason) == (Outcome.BLOCKED, Reason.SHARED_WORKLOAD)


def test_only_what_an_event_needs_itself_counts_against_it() -> None:
    """A larger one comes in the evening; the one at noon needs what is there."""
    small = event(level=10.0)
    large = replace(event("large", level=5000.0, start=T0 + 20_000.0), policy=CORE.name)
    w = world(small, large, policies=(policy(mode=Mode.OBSERVE),))
    assert told(w, SOON).outcome is Outcome.READY
    assert told(replace(w, announcements={SHOW: event(level=900.0)}), SOON).outcome is Outcome.BLOCKED


def test_two_events_of_one_policy_are_judged_each_by_its_own_time() -> None:
    small, large = event(level=10.0, duration=300.0), event("large", level=5000.0, start=T0 + 1200.0)
    verdicts = make_plan(world(small, large, policies=(policy(mode=Mode.OBSERVE),)), SOON).verdicts
    assert verdicts[SHOW].outcome is Outcome.READY
    assert verdicts[Key(NS, "large")].outcome is Outcome.BLOCKED


def test_what_is_not_seen_is_told_as_last_seen() -> None:
    dim = Observed(level=2, ready=2, desired=2, seen=False)
    said = told(replace(observing(), observed={KEY: dim}), SOON)
    assert "10 units are needed, 2 were last seen there" in said.message


def test_what_somebody_wants_so_alarms_nobody() -> None:
    for w in (observing(), paused(T0 + 600.0), replace(world(event()), stopped=True)):
        assert told(w, SOON).reason in NOBODYS_FAULT


# ---- a part of an event that nobody prepares


@pytest.mark.parametrize("at", [BEFORE, SOON, T0 + 30.0])
def test_a_signal_that_no_target_carries_is_named_beside_those_that_are_ready(at: float) -> None:
    """``order`` is misspelt: what is ready is another signal's."""
    show = event(expected=(("order", 5000.0), ("orders", 1000.0)))
    ready = Observed(level=10, ready=10, desired=10)
    said = told(world(show, observed={KEY: ready}), at)
    assert (said.outcome, said.reason) == (Outcome.READY, Reason.READY)
    assert said.message.endswith("; nothing prepares order: no target of core carries it")


def test_a_signal_that_others_only_follow_needs_no_target() -> None:
    show = event(expected=(("viewers", 50_000.0),), derived=(derived("orders", "viewers", 0.02),))
    ready = Observed(level=10, ready=10, desired=10)
    assert "nothing prepares" not in told(world(show, observed={KEY: ready}), SOON).message


def test_two_events_that_differ_in_a_signal_that_nobody_carries_have_a_sentence_each() -> None:
    shows = (event(), event("other", expected=(("order", 1.0), ("orders", 1.0))))
    verdicts = make_plan(world(*shows), SOON).verdicts
    assert ["nothing prepares" in verdicts[one.key].message for one in shows] == [False, True]


@pytest.mark.parametrize(
    ("since", "ends", "reason"),
    [
        (SOON - 9.0, None, Reason.POLICY_MISSING),
        (SOON - 10.0, None, Reason.NOT_HEARD),
        (SOON - 1.0, math.inf, Reason.NOT_HEARD),
        (math.inf, math.inf, Reason.NOT_HEARD),
    ],
    ids=["for seconds", "for longer", "never", "before we lead"],
)
def test_that_a_policy_does_not_exist_is_said_where_policies_were_listed_alone(
    since: float, ends: float | None, reason: Reason
) -> None:
    """Policies of a namespace that answers again are listed after its events: they are not missing until then."""
    where = unheard(since, ends=ends).unheard
    assert where is not None
    w = replace(world(replace(event(), policy="gone")), unheard_in={NS: where})
    said = told(w, SOON)
    assert (said.outcome, said.reason) == (Outcome.BLOCKED, reason)
    assert str(said.object) == "ScalingPolicy/gone"
    if reason is Reason.NOT_HEARD:
        assert said.message == (
            "nothing is written, and whether there is a ScalingPolicy gone is not known: "
            "overrides could not be listed (403)"
        )
    elsewhere = replace(w, unheard_in={"elsewhere": where})
    assert told(elsewhere, SOON).reason is Reason.POLICY_MISSING
