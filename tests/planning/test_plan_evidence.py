"""What blocks an event, and what only makes it late: evidence from the cluster, judged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import CORE, NS, T0, event, policy, target, world

from tidegate.planning.causes import CAUSES
from tidegate.planning.decision import Outcome, Verdict
from tidegate.planning.evidence import DIRECT, SYNC, slipped
from tidegate.planning.model import Evidence, Key, LeadTimeGuess, LoanState, Observed, Ref, Room, Trouble
from tidegate.planning.plan import Planner, make_plan
from tidegate.planning.reasons import Reason
from tidegate.planning.verdict import settled

KEY = (CORE, "order")
SHOW = Key(NS, "show")
POD = Ref("v1", "Pod", NS, "order-1")
HPA = Ref("autoscaling/v2", "HorizontalPodAutoscaler", NS, "order")
QUOTA = Ref("v1", "ResourceQuota", NS, "team")


def seen(reason: Reason, since: float, *, latest: float | None = None, units: int = 8) -> Evidence:
    about = QUOTA if reason is Reason.QUOTA_EXCEEDED else POD
    return Evidence(reason, about, "status", f"{about} is not well", since, since if latest is None else latest, units)


def room(left: float, *, each: float = 1.0, units: int = 2, resource: str = "requests.cpu") -> Room:
    return Room(QUOTA, f'spec.hard["{resource}"]', resource, left, each, units)


def verdict(*evidence: Evidence, at: float, written_at: float = T0 - 100.0, machines: float = 0.0) -> Verdict:
    """Of an event that needs 10 units at T-0; 10 were asked for, 2 are ready, starting takes 30 s."""
    loan = LoanState(2, 10, written_at, written_at)
    waiting = Observed(level=10, ready=2, desired=10, loan=loan, evidence=evidence)
    core = policy(target(lead=LeadTimeGuess(30.0, machines)))
    return make_plan(world(event(), policies=(core,), observed={KEY: waiting}), at).verdicts[SHOW]


# ---- pods


def test_what_may_block_is_looked_at_in_this_order() -> None:
    """What is certain before what is foreseen, and that before what was tried."""
    assert [cause.__name__ for cause in CAUSES] == [
        "in_trouble",
        "left_to_nobody",
        "under_the_scalers_maximum",
        "under_the_policys_maximum",
        "under_a_quota",
        "in_the_pool",
        "refused_by_the_server",
        "in_the_cluster",
    ]


def test_a_pod_that_no_machine_takes_blocks_after_a_short_grace() -> None:
    lacking = seen(Reason.PODS_UNSCHEDULABLE, T0 - 95.0)
    assert verdict(lacking, at=T0 - 90.0).outcome is Outcome.READY
    told = verdict(lacking, at=T0 - 85.0)
    assert (told.outcome, told.reason, told.object) == (Outcome.BLOCKED, Reason.PODS_UNSCHEDULABLE, POD)
    assert told.message == "order: 2 of 10 ready: Pod/order-1 is not well"


def test_where_machines_come_the_policys_machine_time_is_waited_for_first() -> None:
    lacking = seen(Reason.PODS_UNSCHEDULABLE, T0 - 290.0)
    for at, want in ((T0 - 200.0, Outcome.READY), (T0 - 105.0, Outcome.BLOCKED)):
        assert verdict(lacking, at=at, written_at=T0 - 300.0, machines=180.0).outcome is want


def test_a_pod_on_its_machine_blocks_once_starting_takes_longer_than_the_quantile() -> None:
    silent = seen(Reason.PODS_NEVER_READY, T0 - 90.0)
    assert verdict(silent, at=T0 - 65.0).outcome is Outcome.READY
    told = verdict(silent, at=T0 - 60.0)
    assert (told.outcome, told.reason, told.object) == (Outcome.BLOCKED, Reason.PODS_NEVER_READY, POD)


def test_units_that_are_all_ready_need_no_evidence() -> None:
    well = Observed(level=10, ready=10, desired=12, evidence=(seen(Reason.PODS_NEVER_READY, T0 - 900.0, units=2),))
    assert make_plan(world(event(), observed={KEY: well}), T0).verdicts[SHOW].outcome is Outcome.READY


def test_what_keeps_pods_from_being_made_is_named_before_what_keeps_them_from_starting() -> None:
    both = seen(Reason.CONTAINERS_FAIL, T0 - 300.0), seen(Reason.QUOTA_EXCEEDED, T0 - 61.0)
    for evidence in (both, both[::-1]):
        told = verdict(*evidence, at=T0 - 60.0)
        assert (told.reason, told.object) == (Reason.QUOTA_EXCEEDED, QUOTA)


@pytest.mark.parametrize("reason", [Reason.POOL_TOO_SMALL, Reason.PODS_REFUSED])
def test_a_cause_of_any_kind_blocks_with_its_object(reason: Reason) -> None:
    pool = Ref("tidegate.dev/v1alpha1", "CapacityPool", "", "hangzhou-a")
    told = verdict(Evidence(reason, pool, "", "too little"), at=T0 - 60.0)
    assert (told.outcome, told.reason, told.object) == (Outcome.BLOCKED, reason, pool)
    assert told.message == "order: 2 of 10 ready: too little (CapacityPool/hangzhou-a)"


# ---- slow is late, not blocked


def test_pods_that_came_late_to_their_machines_make_the_event_late_with_the_time_they_will_be_ready() -> None:
    """Written at T-100, on machines at T-10: thirty seconds later they are ready."""
    slow = seen(Reason.PODS_NEVER_READY, T0 - 20.0, latest=T0 - 10.0)
    told = verdict(slow, at=T0 - 5.0)
    assert (told.outcome, told.ready_at) == (Outcome.LATE, T0 + 20.0)
    assert told.message == "order: 2 of 10 ready, the rest is expected about 20 s late"


def test_units_whose_pods_are_not_to_be_seen_yet_start_now() -> None:
    slow = seen(Reason.PODS_NEVER_READY, T0 - 20.0, latest=T0 - 10.0, units=5)
    assert verdict(slow, at=T0 - 5.0).ready_at == T0 + 25.0


def test_pods_that_still_wait_for_a_machine_are_ready_a_start_from_now_at_the_earliest() -> None:
    """Machines take three minutes, of which one and a half are over at T-10."""
    waiting = seen(Reason.PODS_UNSCHEDULABLE, T0 - 100.0)
    told = verdict(waiting, at=T0 - 10.0, written_at=T0 - 110.0, machines=180.0)
    assert told.outcome is Outcome.LATE
    assert told.ready_at is not None
    assert T0 + 80.0 <= told.ready_at <= T0 + 110.0


def test_pods_that_start_as_the_lead_time_reckons_are_not_called_late() -> None:
    """An autoscaler's sync passes before its pods are made; the lead time holds that too."""
    for since in (T0 - 98.0, T0 - 85.0):
        started = seen(Reason.PODS_NEVER_READY, since)
        assert verdict(started, at=since + 20.0).outcome is Outcome.READY


def test_a_planner_with_a_memory_says_the_same_while_pods_wait() -> None:
    loan = LoanState(2, 10, T0 - 40.0, T0 - 40.0)
    waiting = Observed(level=10, ready=2, desired=10, loan=loan, evidence=(seen(Reason.PODS_UNSCHEDULABLE, T0 - 39.0),))
    core = policy(target(lead=LeadTimeGuess(30.0, 60.0)))
    w = world(event(), policies=(core,), observed={KEY: waiting})
    planner = Planner(w.settings)
    for at in (T0 - 38.0, T0 - 31.0, T0 - 17.0, T0 - 3.0, T0 + 30.0):
        assert planner.plan(w, at) == make_plan(w, at)


def test_two_causes_seen_once_each_are_not_one_seen_twice() -> None:
    """A policy that is read a moment after its event is no cause of anything."""
    good = Verdict(Outcome.READY, Reason.READY, "", T0)
    missing, full = (Verdict(Outcome.BLOCKED, r, "", T0) for r in (Reason.POLICY_MISSING, Reason.QUOTA_EXCEEDED))
    assert settled(good, missing, full) is good
    assert settled(good, full, full) is full
    assert settled(missing, missing, full) is full, "what blocks may change at once"


# ---- bounds that are foreseen


def test_a_quota_without_room_for_the_peak_blocks_an_hour_ahead() -> None:
    w = world(event(), observed={KEY: Observed(level=2, ready=2, desired=2, rooms=(room(5.0),))})
    assert SHOW not in make_plan(w, T0 - 3700.0).verdicts
    told = make_plan(w, T0 - 3590.0).verdicts[SHOW]
    assert (told.outcome, told.reason, told.object) == (Outcome.BLOCKED, Reason.QUOTA_EXCEEDED, QUOTA)
    assert told.field == 'spec.hard["requests.cpu"]'
    assert told.message == "order: 8 more units are needed: 8 requests.cpu, but ResourceQuota/team has 5 left"


def test_a_quota_that_just_holds_the_peak_blocks_nothing() -> None:
    w = world(event(), observed={KEY: Observed(level=2, ready=2, desired=2, rooms=(room(8.0),))})
    assert make_plan(w, T0 - 3590.0).verdicts[SHOW].outcome is Outcome.READY


def test_two_targets_that_fit_alone_may_not_fit_together() -> None:
    core = policy(target("order"), target("pay"))
    fits = Observed(level=2, ready=2, desired=2, rooms=(room(2048.0**3, each=2.0**30, resource="requests.memory"),))
    w = world(event(), policies=(core,), observed={(CORE, name): fits for name in ("order", "pay")})
    told = make_plan(w, T0 - 3590.0).verdicts[SHOW]
    assert told.reason is Reason.QUOTA_EXCEEDED
    assert "8 of order and 8 of pay more are needed: 16Gi requests.memory" in told.message
    alone = replace(fits, rooms=())
    w = replace(w, observed={(CORE, "order"): fits, (CORE, "pay"): alone})
    assert make_plan(w, T0 - 3590.0).verdicts[SHOW].outcome is Outcome.READY


def test_a_scaler_that_will_not_ask_for_more_takes_no_more_of_a_quota() -> None:
    """The maximum is what is wrong then, and not the quota."""
    cut = Observed(level=2, ready=2, desired=2, maximum=6, scaler=HPA, rooms=(room(4.0),))
    told = make_plan(world(event(), observed={KEY: cut}), T0 - 3590.0).verdicts[SHOW]
    assert (told.reason, told.object, told.field) == (Reason.SCALER_MAXIMUM, HPA, "spec.maxReplicas")
    assert told.message.endswith("the autoscaler's maxReplicas is 6 (HorizontalPodAutoscaler/order)")


# ---- who is named


def test_a_trouble_names_the_object_that_it_is_with() -> None:
    conflict = Observed(level=2, ready=2, trouble=Trouble.MANAGER_CONFLICT, note="argocd keeps setting it", about=HPA)
    told = make_plan(world(event(), observed={KEY: conflict}), T0).verdicts[SHOW]
    assert (told.reason, told.object) == (Reason.FIELD_MANAGER_CONFLICT, HPA)
    gone = Observed(trouble=Trouble.MISSING, note="Deployment/order does not exist")
    told = make_plan(world(event(), observed={KEY: gone}), T0).verdicts[SHOW]
    assert (told.reason, str(told.object)) == (Reason.TARGET_MISSING, "Deployment/order")


def test_an_event_whose_policy_is_missing_names_that_policy() -> None:
    told = make_plan(world(replace(event(), policy="gone")), T0).verdicts[SHOW]
    assert str(told.object) == "ScalingPolicy/gone"


@pytest.mark.parametrize(("maximum", "usual"), [(None, DIRECT), (50, SYNC)])
def test_a_pod_is_slow_once_it_came_later_than_its_way_to_a_machine_usually_takes(
    maximum: int | None, usual: float
) -> None:
    """Behind an autoscaler that way is a sync longer."""
    written_at, queue = T0 - 100.0, 3.0
    for late in (-2.0, 0.0, 7.0):
        placed = seen(Reason.CONTAINERS_FAIL, T0 - 99.0, latest=written_at + queue + usual + late)
        there = Observed(level=10, ready=2, desired=10, maximum=maximum, evidence=(placed,))
        found = slipped(there, 0.0, written_at=written_at, usual=queue, now=T0)
        assert found == max(0.0, late)
