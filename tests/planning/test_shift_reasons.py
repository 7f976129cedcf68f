"""Why a need is refused: one small pool for each reason, and the words a person reads."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from pools import CORE, NS, cores, facts, job, lane, loader, need, pool

from tidegate.planning.model import Ref
from tidegate.planning.reasons import SENTENCES, Reason
from tidegate.planning.resources import NOTHING, Resources
from tidegate.planning.shift.milp import Effort, Program
from tidegate.planning.shift.model import (
    MEMBERS_MOST,
    CannotStop,
    Drain,
    LaneUse,
    Mark,
    NeedStep,
    Notice,
    Pool,
    Promised,
    Work,
)
from tidegate.planning.shift.outcome import PoolPlan, Refusal
from tidegate.planning.shift.plan import NEEDS_MOST, plan_pool

T0 = 1_794_240_000.0
"""2026-11-09T16:00:00Z."""
QUICK = Drain(0.0, 0.0, 60.0)


def one(plan: PoolPlan, reason: Reason) -> Refusal:
    """The only refusal of a plan, with its reason's own sentence in the message."""
    assert [r.reason for r in plan.refusals] == [reason]
    if reason not in (Reason.LANE_UNKNOWN, Reason.NAMESPACE_NOT_ALLOWED, Reason.NAMESPACE_CAP):
        assert SENTENCES[reason] in plan.refusals[0].message
    assert plan.refusals[0].sure
    return plan.refusals[0]


def quick(**given: object) -> Pool:
    return pool(lane("trading"), lane("data", **({"drain": QUICK} | given)))


def test_a_need_within_what_is_free_is_granted_and_nothing_is_stopped() -> None:
    plan = plan_pool(quick(), facts(cores(5), job("a")), [need("t", T0, T0 + 600, cores(4))], T0)
    assert (plan.refusals, plan.lendings) == ((), {})
    assert plan.granted("trading", T0) == cores(4)


def test_work_stops_for_a_need_one_drain_before_it_and_is_promised_back_after_it() -> None:
    work = job("a")
    asked = need("t", T0 + 3600, T0 + 7200, cores(1))
    plan = plan_pool(quick(give_back_within=1800.0), facts(cores(1), work), [asked], T0)
    (lending,) = plan.lendings[work.ref]
    assert plan.refusals == ()
    assert lending.stop_at <= lending.free_by - 60.0
    assert lending.free_by == T0 + 3600
    assert (lending.until, lending.return_by) == (T0 + 7200, T0 + 9000)


def test_a_lane_that_does_not_exist_is_named_with_those_that_do() -> None:
    plan = plan_pool(quick(), facts(cores(5)), [need("t", T0, T0 + 600, cores(1), lane="games")], T0)
    assert one(plan, Reason.LANE_UNKNOWN).message == "hangzhou has no lane games; it has data, trading"


def test_a_namespace_that_the_lane_does_not_list_is_refused() -> None:
    plan = plan_pool(quick(), facts(cores(5)), [need("t", T0, T0 + 600, cores(1), ns="other")], T0)
    message = "lane trading of hangzhou does not list namespace other in allowedNamespaces"
    assert one(plan, Reason.NAMESPACE_NOT_ALLOWED).message == message


def test_a_namespace_gets_no_more_than_the_lanes_cap() -> None:
    the_pool = pool(lane("trading", cap=50), lane("data", drain=QUICK))
    plan = plan_pool(the_pool, facts(cores(10)), [need("t", T0, T0 + 600, cores(8))], T0)
    assert one(plan, Reason.NAMESPACE_CAP).message == (
        f"{NS} would take 8 cpu of hangzhou at 2026-11-09T16:00:00Z, lane trading caps a namespace at 5"
    )
    assert plan.granted("trading", T0) == cores(5)


def test_a_pool_that_is_too_small_says_how_much_it_could_give() -> None:
    plan = plan_pool(quick(), facts(cores(4), job("a")), [need("t", T0 + 600, T0 + 1200, cores(9))], T0)
    assert one(plan, Reason.POOL_TOO_SMALL).message == (
        "lane trading of hangzhou: 9 cpu needed at 2026-11-09T16:10:00Z, 4 can be there; of 9Gi memory 4Gi."
        " The pool would be too small even if all work that may stop were stopped."
    )


def test_the_resource_that_is_short_is_named_where_the_other_lies_idle() -> None:
    """Pods are let in whole, so a refusal lacks CPU and memory by the same share: only one of them is the reason."""
    asked = need("t", T0 + 600, T0 + 1200, Resources(80_000, 5001))
    roomy = facts(Resources(40_500, 1_572_864), job("a"))
    refusal = one(plan_pool(quick(), roomy, [asked], T0), Reason.POOL_TOO_SMALL)
    assert refusal.resource == "cpu"
    assert "80 cpu needed at 2026-11-09T16:10:00Z, 40.5 can be there." in refusal.message


def test_the_resource_that_is_short_is_found_where_work_would_have_to_stop_for_it() -> None:
    """Beside work that holds all memory and hardly a core, memory is short; its guarantee keeps half of it."""
    holder = loader(units=4, size=Resources(100, 1024))
    seen = facts(Resources(100_000, 4096), holder)
    refusal = one(
        plan_pool(quick(guarantee=50), seen, [need("t", T0 + 600, T0 + 900, Resources(9_000, 3072))], T0),
        Reason.LANE_GUARANTEE,
    )
    assert refusal.resource == "memory"
    assert "3Gi memory needed at 2026-11-09T16:10:00Z, 2Gi can be there." in refusal.message


def test_two_resources_that_are_short_are_both_named_the_scarcer_one_first() -> None:
    asked = need("t", T0 + 600, T0 + 1200, Resources(8_000, 8192))
    refusal = one(plan_pool(quick(), facts(Resources(4_000, 1024)), [asked], T0), Reason.POOL_TOO_SMALL)
    assert refusal.resource == "memory"
    assert "8Gi memory needed at 2026-11-09T16:10:00Z, 1Gi can be there; of 8 cpu 4." in refusal.message


def test_a_refusal_says_how_much_work_may_not_be_stopped_and_where_its_names_stand() -> None:
    ours = [Ref("batch/v1", "Job", "warehouse", f"etl-{n}") for n in range(3)]
    why = (Reason.MANAGED_ELSEWHERE, Reason.NO_REQUESTS, Reason.PODS_ELSEWHERE)
    cannot = tuple(CannotStop(ref, "data", reason, "") for ref, reason in zip(ours, why, strict=True))
    seen = replace(facts(cores(4)), cannot=cannot)
    refusal = one(plan_pool(quick(), seen, [need("t", T0 + 600, T0 + 1200, cores(8))], T0), Reason.POOL_TOO_SMALL)
    assert "2 pieces of work lend nothing: status.cannotStop of the pool says why." in refusal.message


def test_what_was_granted_before_is_named_when_it_is_in_the_way() -> None:
    first, second = need("a", T0, T0 + 900, cores(4)), need("b", T0 + 300, T0 + 1200, cores(3))
    plan = plan_pool(quick(), facts(cores(5)), [first, second], T0)
    refusal = one(plan, Reason.OTHER_PROMISES)
    assert (refusal.key, refusal.at, refusal.earliest) == (second.key, T0 + 300, T0 + 900)
    assert "7 cpu needed at 2026-11-09T16:05:00Z, 5 can be there" in refusal.message
    assert refusal.message.endswith("Served in full from 2026-11-09T16:15:00Z.")


def test_a_guarantee_stands_against_a_need() -> None:
    plan = plan_pool(
        quick(guarantee=50), facts(cores(4), loader(units=4)), [need("t", T0 + 600, T0 + 900, cores(3))], T0
    )
    refusal = one(plan, Reason.LANE_GUARANTEE)
    assert (refusal.needed, refusal.available) == (cores(3), cores(2))


def test_a_notice_that_is_too_long_for_the_time_says_from_when_the_need_is_served() -> None:
    the_pool = quick(drain=Drain(600.0, 0.0, 60.0))
    plan = plan_pool(the_pool, facts(cores(1), job("a")), [need("t", T0 + 300, T0 + 1800, cores(1))], T0)
    refusal = one(plan, Reason.NOTICE_TOO_SHORT)
    assert refusal.earliest == T0 + 660
    assert refusal.message.endswith("Served in full from 2026-11-09T16:11:00Z.")


def test_the_next_plan_knows_as_well_from_when_on_a_need_is_served() -> None:
    """What the first plan granted from an instant on is asked for apart by the next one: the rest of the need is over
    then, and is served all the same.
    """
    the_pool, seen = quick(drain=Drain(600.0, 0.0, 60.0)), facts(cores(1), job("a"))
    asked = [need("t", T0 + 300, T0 + 1800, cores(1))]
    before = plan_pool(the_pool, seen, asked, T0)
    told = replace(job("a"), mark=Mark(1, 1, 0.0, (Notice(0, T0),), (), T0 + 660, T0 + 1800, (), (asked[0].owner,)))
    after = plan_pool(the_pool, facts(cores(1), told), asked, T0 + 2.0, promises=before.promises)
    assert [one.earliest for one in (*before.refusals, *after.refusals)] == [T0 + 660, T0 + 660]


def test_a_need_that_is_served_because_it_has_fallen_was_not_late() -> None:
    steps = NeedStep(T0 + 600, T0 + 1200, cores(9)), NeedStep(T0 + 1200, T0 + 1800, cores(3))
    asked = replace(need("t", T0 + 600, T0 + 1800, cores(9)), steps=steps)
    refusal = one(plan_pool(quick(), facts(cores(4), job("a")), [asked], T0), Reason.POOL_TOO_SMALL)
    assert (refusal.at, refusal.earliest, refusal.until) == (T0 + 600, None, T0 + 1200)
    assert refusal.message.endswith("Less is needed from 2026-11-09T16:20:00Z on, and that is served.")


def waiting(drain_ends: float, *, grace: float, steps: tuple[NeedStep, ...] | None = None) -> PoolPlan:
    """A need from ten minutes after T0 on, whose machine is being freed until an instant."""
    stop = T0 + drain_ends - 60.0
    asked = need("t", T0 + 600, T0 + 1800, cores(1))
    asked = asked if steps is None else replace(asked, steps=steps)
    mark = Mark(1, 0, stop, (), (Notice(0, stop),), T0 + 600, T0 + 1800, (Promised(T0 + 5400, 1),), (asked.owner,))
    out = job("a", level=0, mark=mark)
    return plan_pool(quick(), facts(cores(2), out), [asked], T0 + 580, grace=grace)


def test_a_need_is_not_refused_for_machines_that_come_within_the_grace_of_its_rise() -> None:
    rising = NeedStep(T0, T0 + 600, cores(1)), NeedStep(T0 + 600, T0 + 1800, cores(2))
    steady = (NeedStep(T0, T0 + 1800, cores(2)),)
    assert waiting(618.0, grace=18.0, steps=rising).refusals == ()
    assert [r.earliest for r in waiting(618.5, grace=18.0, steps=rising).refusals] == [T0 + 618.5]
    assert [r.earliest for r in waiting(601.0, grace=0.0, steps=rising).refusals] == [T0 + 601]
    assert waiting(618.0, grace=18.0, steps=steady).refusals, "it has been short all the time"


def test_work_that_has_just_started_is_left_its_minimum_run() -> None:
    the_pool, young = quick(drain=Drain(0.0, 900.0, 60.0)), job("a", running_since=T0)
    plan = plan_pool(the_pool, facts(cores(1), young), [need("t", T0 + 300, T0 + 1800, cores(1))], T0)
    assert one(plan, Reason.MINIMUM_RUN).earliest == T0 + 960


def test_what_is_promised_back_is_not_kept_for_a_need_that_was_extended() -> None:
    mark = Mark(1, 0, T0 - 600, (), (), T0 - 500, T0, (Promised(T0 + 900, 1),), (f"{NS}/core/t",))
    out = job("a", level=0, used=NOTHING, mark=mark)
    the_pool = quick(drain=Drain(0.0, 900.0, 60.0))
    plan = plan_pool(the_pool, facts(cores(1), out), [need("t", T0 - 500, T0 + 1800, cores(1))], T0)
    assert one(plan, Reason.GIVE_BACK_PROMISE).at == T0 + 900
    assert plan.lendings[out.ref][0].until <= T0 + 900


def test_work_that_would_miss_its_deadline_is_not_stopped() -> None:
    seen = replace(facts(cores(1), job("a", work="night")), works={"night": Work(3000.0, T0 + 3600)})
    plan = plan_pool(quick(), seen, [need("t", T0 + 600, T0 + 1800, cores(1))], T0)
    refusal = one(plan, Reason.WORK_DEADLINE)
    # Ten minutes can be lost: one of them is the drain, nine are left to the need.
    served = sum(step.end - step.start for grant in plan.grants for step in grant.steps)
    assert 500.0 <= served <= 540.0
    assert refusal.at <= T0 + 1260


def test_work_whose_remainder_nobody_knows_is_not_stopped() -> None:
    seen = replace(facts(cores(1), job("a", work="night")), works={"night": Work(None, T0 + 36000)})
    plan = plan_pool(quick(), seen, [need("t", T0 + 600, T0 + 1800, cores(1))], T0)
    one(plan, Reason.WORK_UNKNOWN)
    assert plan.lendings == {}


def test_where_only_a_part_of_a_job_could_stop_it_is_said_that_no_choice_of_whole_ones_will_do() -> None:
    # Of b a fifth would do, which its deadline and the guarantee would bear; a whole b neither of them bears.
    members = job("a", cores(3)), job("b", cores(5), work="night")
    seen = replace(facts(cores(8), *members), works={"night": Work(3000.0, T0 + 3600)})
    plan = plan_pool(quick(guarantee=50), seen, [need("t", T0 + 600, T0 + 1800, cores(4))], T0)
    refusal = one(plan, Reason.WORK_INDIVISIBLE)
    assert (refusal.needed, refusal.available) == (cores(4), cores(3))


def test_several_limits_together_are_said_to_be_several() -> None:
    the_pool, young = quick(drain=Drain(900.0, 900.0, 60.0)), job("a", running_since=T0)
    plan = plan_pool(the_pool, facts(cores(1), young), [need("t", T0 + 300, T0 + 1800, cores(1))], T0)
    one(plan, Reason.SEVERAL_LIMITS)


def test_a_shrunken_pool_refuses_only_what_it_cannot_carry() -> None:
    shrunk = facts(Resources(1000, 4096), job("a"), trading=LaneUse(standing=cores(1)))
    plan = plan_pool(quick(), shrunk, [need("t", T0 + 60, T0 + 600, cores(1))], T0)
    one(plan, Reason.POOL_TOO_SMALL)
    assert plan.lendings == {}


def test_a_solved_program_prints_nothing() -> None:
    code = (
        "from tidegate.planning.shift.milp import Effort, Program\n"
        "program = Program(Effort(1e9))\n"
        "x = program.variable(0, 5, cost=-1.0)\n"
        "program.row([(x, 2.0)], most=7.0)\n"
        "assert program.solve(gap=1e-6, nodes=10).values[0] == 3.0\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_a_program_without_an_answer_has_none() -> None:
    program = Program(Effort(1e9))
    x = program.variable(0, 5)
    program.row([(x, 1.0)], least=6.0)
    assert program.solve(gap=1e-6, nodes=10) is None


def test_work_that_is_made_safe_now_and_then_loses_no_more_than_that_by_a_stop_hours_ahead() -> None:
    """Two hours before the need nobody knows the last checkpoint before it, only that there will be one."""
    asked = need("t", T0 + 7200, T0 + 9000, cores(1))
    seen = replace(facts(cores(1)), works={"nightly": Work(10_000.0, T0 + 14_400)})
    unknown = job("a", work="nightly", saved_at=T0)
    plan = plan_pool(quick(), replace(seen, members=(unknown,)), [asked], T0)
    one(plan, Reason.WORK_DEADLINE)
    known = replace(unknown, saved_every=300.0)
    plan = plan_pool(quick(), replace(seen, members=(known,)), [asked], T0)
    assert plan.refusals == ()
    assert plan.granted("trading", T0 + 7200) == cores(1)


def test_work_that_its_owner_has_scaled_to_none_stops_no_planning() -> None:
    """It has no piece that could stop, and the pool's other work stops as ever."""
    idle, work = loader("idle", units=0, size=cores(2)), job("a")
    plan = plan_pool(quick(), facts(cores(1), idle, work), [need("t", T0 + 600, T0 + 1200, cores(1))], T0)
    assert plan.refusals == ()
    assert plan.lendings.keys() == {work.ref}


def test_a_pool_with_more_work_than_is_planned_stops_none_of_it_and_names_the_bound() -> None:
    works = loader(units=MEMBERS_MOST + 1)
    seen = facts(cores(MEMBERS_MOST + 3), works)
    plan = plan_pool(pool(), seen, [need("t", T0 + 3600.0, T0 + 7200.0, cores(5))], T0)
    assert plan.lendings == {}
    assert [step.amount for grant in plan.grants for step in grant.steps] == [cores(2)]
    (refusal,) = plan.refusals
    assert refusal.reason is Reason.POOL_TOO_LARGE
    assert "The pool has 5001 pieces of work; of more than 5000 none is stopped." in refusal.message


def test_of_more_needs_than_are_planned_those_that_begin_first_are_and_the_rest_says_so() -> None:
    asked = [need(f"t{n}", T0 + n, T0 + 7200.0, CORE) for n in range(NEEDS_MOST + 2)]
    plan = plan_pool(pool(), facts(cores(2000)), asked, T0)
    assert {g.owner for g in plan.grants} == {n.owner for n in asked[:NEEDS_MOST]}
    assert [r.reason for r in plan.refusals] == [Reason.POOL_TOO_LARGE] * 2
    assert "has 1002 needs; the first 1000 are planned" in plan.refusals[0].message
