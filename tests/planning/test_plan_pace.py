"""Units at their own pace: those that start one after the other, a scaler that cannot, a write that is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import CORE, NS, T0, event, policy, target, world

from tidegate.planning.decision import Outcome, TargetPlan, Verdict
from tidegate.planning.leadtime import start_time
from tidegate.planning.model import Evidence, Key, LeadTimeGuess, LoanState, Measured, Observed, Ref
from tidegate.planning.plan import make_plan
from tidegate.planning.reasons import Reason

KEY = (CORE, "order")
SHOW = Key(NS, "show")
POD = Ref("v1", "Pod", NS, "order-4")
HPA = Ref("autoscaling/v2", "HorizontalPodAutoscaler", NS, "order")
EACH = 30.0


def planned(observed: Observed, at: float) -> tuple[TargetPlan, Verdict]:
    """Of an event that needs 10 units at T-0, of which each takes 30 s to start."""
    core = policy(target(lead=LeadTimeGuess(EACH)))
    plan = make_plan(world(event(), policies=(core,), observed={KEY: observed}), at)
    return plan.targets[KEY], plan.verdicts[SHOW]


def written(ready: int, *, since: float, at: float = T0 - 100.0, reason: Reason = Reason.PODS_NEVER_READY) -> Observed:
    """Ten were asked for at an instant; the unit whose turn it is has been starting ``since``."""
    starting = Evidence(reason, POD, "status", "is starting", since, since)
    loan = LoanState(2, 10, at, at)
    return Observed(level=10, ready=ready, desired=10, loan=loan, ordered=True, evidence=(starting,))


@pytest.mark.parametrize(("ordered", "lead"), [(False, EACH), (True, 8 * EACH)])
def test_the_lead_time_of_units_in_a_row_grows_with_the_step(ordered: bool, lead: float) -> None:
    plan, _ = planned(Observed(level=2, ready=2, desired=2, ordered=ordered), T0 - 3000.0)
    assert plan.next_at == pytest.approx(T0 - lead, abs=2.0)
    assert plan.next_level == 10


def test_units_in_a_row_are_told_by_their_own_pace_from_the_first_one_on() -> None:
    for ready in range(2, 10):
        begun = T0 - 100.0 + (ready - 2) * EACH
        _, verdict = planned(written(ready, since=begun), begun + 10.0)
        assert (verdict.outcome, verdict.ready_at) == (Outcome.LATE, T0 - 100.0 + 8 * EACH), ready


def test_a_row_of_units_that_will_be_there_is_not_late() -> None:
    begun = T0 - 300.0
    _, verdict = planned(written(2, since=begun, at=begun), begun + 10.0)
    assert (verdict.outcome, verdict.reason) == (Outcome.READY, Reason.ON_PLAN)


def test_a_unit_that_takes_longer_than_expected_blocks_or_pushes_the_instant() -> None:
    """What its pod says counts as evidence once its time is over; while it says nothing, the instant moves on."""
    stuck = written(2, since=T0 - 100.0)
    _, verdict = planned(stuck, T0)
    assert (verdict.outcome, verdict.reason, verdict.object) == (Outcome.BLOCKED, Reason.PODS_NEVER_READY, POD)
    told = [planned(replace(stuck, evidence=()), at)[1].ready_at for at in (T0, T0 + 60.0)]
    assert told == [T0 + 8 * EACH, T0 + 60.0 + 8 * EACH]


def test_a_start_in_a_row_is_learned_of_one_unit() -> None:
    samples, guess = [Measured(8, 8 * 20.0)] * 30, LeadTimeGuess(EACH)
    assert start_time(samples, guess, q=0.9, rate=20.0, ordered=True).seconds == 20.0
    assert start_time(samples, guess, q=0.9, rate=20.0).seconds == pytest.approx(159.6)


@pytest.mark.parametrize("ordered", [False, True])
def test_what_was_learned_of_units_that_started_the_other_way_tells_nothing(ordered: bool) -> None:
    """Eight that started together in 20 s would have told 2.5 s of each: a row of eight takes minutes."""
    guess, other = LeadTimeGuess(EACH), [Measured(8, 20.0, ordered=not ordered)] * 30
    start = start_time(other, guess, q=0.9, rate=20.0, ordered=ordered)
    assert (start.seconds, start.learned) == (EACH, False)
    mixed = [*other, *[Measured(1, 12.0, ordered=ordered)] * 30]
    assert start_time(mixed, guess, q=0.9, rate=20.0, ordered=ordered).seconds == pytest.approx(12.0, abs=0.1)


@pytest.mark.parametrize("ordered", [False, True])
def test_the_lead_follows_a_stateful_set_that_was_made_again_with_another_policy(ordered: bool) -> None:
    core = policy(target(lead=LeadTimeGuess(EACH)))
    samples = {KEY: (Measured(8, 8 * 20.0 if not ordered else 20.0, ordered=not ordered),) * 30}
    there = Observed(level=2, ready=2, desired=2, ordered=ordered)
    w = world(event(), policies=(core,), observed={KEY: there}, measured=samples)
    lead = 8 * EACH if ordered else EACH
    assert make_plan(w, T0 - 3000.0).targets[KEY].next_at == pytest.approx(T0 - lead, abs=2.0)


@pytest.mark.parametrize(("ready", "outcome"), [(2, Outcome.BLOCKED), (10, Outcome.READY)])
def test_a_scaler_that_cannot_scale_blocks_only_where_units_are_missing(ready: int, outcome: Outcome) -> None:
    words = "HorizontalPodAutoscaler/order cannot scale, FailedUpdateScale: forbidden"
    unable = Evidence(Reason.SCALER_UNABLE, HPA, "status.conditions[AbleToScale]", words, T0 - 60.0, T0 - 60.0)
    loan = LoanState(2, 10, T0 - 100.0, T0 - 100.0)
    seen = Observed(level=10, ready=ready, desired=2, maximum=40, scaler=HPA, loan=loan, evidence=(unable,))
    _, verdict = planned(seen, T0 - 10.0)
    assert verdict.outcome is outcome
    if outcome is Outcome.BLOCKED:
        assert (verdict.reason, verdict.object) == (Reason.SCALER_UNABLE, HPA)
        assert words in verdict.message


def test_what_a_scaler_may_not_add_is_told_with_bad_news_and_is_none_itself() -> None:
    """No floor waits for it: an HPA brings its workload to its minimum in one step, whatever it may add otherwise."""
    words = "HorizontalPodAutoscaler/order wants more by its metrics than it may have (ScaleUpLimit: too fast)"
    late = Observed(level=10, ready=2, desired=10, maximum=40, scaler=HPA, limited=words)
    _, verdict = planned(replace(late, loan=LoanState(2, 10, T0 - 5.0, T0 - 5.0)), T0 - 5.0)
    assert (verdict.outcome, verdict.message.endswith(f"; {words}")) == (Outcome.LATE, True), verdict
    unable = Evidence(Reason.SCALER_UNABLE, HPA, "", "forbidden", T0 - 60.0, T0 - 60.0)
    blocked = replace(late, evidence=(unable,), loan=LoanState(2, 10, T0 - 100.0, T0 - 100.0))
    _, verdict = planned(blocked, T0 - 10.0)
    assert (verdict.reason, verdict.message.endswith(f"; {words}")) == (Reason.SCALER_UNABLE, True), verdict
    _, verdict = planned(replace(late, ready=10), T0 - 10.0)
    assert (verdict.outcome, words in verdict.message) == (Outcome.READY, False), verdict


def test_what_a_scaler_said_before_its_floor_was_written_is_no_answer_to_that() -> None:
    unable = Evidence(Reason.SCALER_UNABLE, HPA, "", "no metrics", T0 - 9000.0, T0 - 9000.0)
    seen = Observed(level=10, ready=2, maximum=40, scaler=HPA, evidence=(unable,), loan=LoanState(2, 10, T0 - 60.0, T0))
    outcomes = [planned(seen, T0 - 60.0 + seconds)[1].reason for seconds in (5.0, 30.0, 45.0)]
    assert Reason.SCALER_UNABLE not in outcomes[:2]
    assert outcomes[2] is Reason.SCALER_UNABLE


@pytest.mark.parametrize(("ready", "outcome"), [(2, Outcome.BLOCKED), (10, Outcome.READY)])
def test_a_refused_write_blocks_only_where_units_are_missing(ready: int, outcome: Outcome) -> None:
    refused = Evidence(Reason.WRITE_REFUSED, HPA, "", "the API server answered 403: no", T0 - 60.0, T0 - 60.0)
    seen = Observed(level=2, ready=ready, desired=ready, maximum=40, scaler=HPA, refused=refused)
    assert planned(seen, T0 - 10.0)[1].outcome is outcome


def test_the_text_of_a_late_verdict_does_not_run_with_the_clock() -> None:
    seen = Observed(level=2, ready=2, desired=2)
    texts = [planned(seen, T0 + second)[1].message for second in range(300)]
    assert len(set(texts)) <= 20, sorted(set(texts))
    assert all(" late" in one for one in texts)
