"""What objects show."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_shell_store import live_event, scaling_policy

from tidegate.api.parse import parse_live_event, parse_policy
from tidegate.planning.decision import Outcome, Verdict
from tidegate.planning.model import Freshness, Key, Mode, Observed, PlanSettings, Reading, SignalSpec, Trouble
from tidegate.planning.override import Override, OverrideAction
from tidegate.planning.plan import make_plan
from tidegate.planning.reasons import Reason
from tidegate.planning.world import World
from tidegate.ports import Json
from tidegate.shell.pool_status import override_status
from tidegate.shell.status import event_status, invalid_status, policy_status
from tidegate.shell.store import Invalid

T0 = 1_794_240_000.0
CORE = Key("shop", "core")


def conditions(status: Json) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}


def shown(seen: Observed, now: float = T0 - 600.0, **policy: object) -> Json:
    chosen = replace(parse_policy(scaling_policy()), **policy)  # type: ignore[arg-type]
    event = parse_live_event(live_event()).announcement(T0 - 86_400, T0 + 86_400)
    world = World({CORE: chosen}, {event.key: event}, {(CORE, "order"): seen}, settings=PlanSettings())
    return policy_status(chosen, make_plan(world, now), world.observed)


def test_an_event_that_waits_for_next_friday_is_ready() -> None:
    """Or every ``helm --wait`` hangs."""
    event = parse_live_event(live_event())
    status = event_status(event, None, live=False, share=[("order", 12)], now=T0 - 3 * 86_400.0)
    assert conditions(status) == {
        "Accepted": ("True", "Valid"),
        "Ready": ("True", "Armed"),
        "OnTime": ("Unknown", "NotDueYet"),
        "Live": ("False", "NothingBorrowed"),
    }
    assert status["nextOccurrence"]["start"] == "2026-11-09T16:00:00Z"
    assert status["nextOccurrence"]["startLocal"] == "2026-11-10T00:00:00+08:00"
    assert status["share"] == [{"target": "order", "units": 12}]


def test_late_keeps_ready_true_and_gives_the_new_time() -> None:
    verdict = Verdict(Outcome.LATE, Reason.LATE, "order: 2 of 10 ready", T0, ready_at=T0 + 30.0)
    status = event_status(parse_live_event(live_event()), verdict, live=True, share=(), now=T0)
    assert conditions(status)["Ready"][0] == "True"
    assert conditions(status)["OnTime"] == ("False", "Late")
    (late,) = (c for c in status["conditions"] if c["type"] == "OnTime")
    assert late["message"] == "order: 2 of 10 ready; ready at 2026-11-09T16:00:30Z"


def test_what_cannot_be_used_is_stalled_and_says_why() -> None:
    status = invalid_status(Invalid("LiveEvent", Key("shop", "show"), 3, "spec.expected: wrong"))
    assert conditions(status) == {
        "Accepted": ("False", "Invalid"),
        "Ready": ("False", "Invalid"),
        "Stalled": ("True", "Invalid"),
    }
    assert status["observedGeneration"] == 3


def test_a_policy_shows_each_target_now_and_ahead() -> None:
    status = shown(Observed(level=2, ready=2, desired=2))
    (order,) = status["targets"]
    assert (order["floor"], order["peakFloor"], order["peakTime"]) == (2, 12, "2026-11-09T16:00:00Z")
    assert (order["nextStepFloor"], order["nextStepTime"]) == (12, "2026-11-09T15:58:41Z")
    assert order["leadTimeSeconds"] == sum(v for k, v in order["leadTimeParts"].items() if k != "measured")
    assert status["nextStepTime"] == order["nextStepTime"]
    assert status["summary"] == "order 2→12"


def test_nothing_inside_a_list_is_null() -> None:
    """A merge patch cannot drop it there, and a real API server refuses it."""
    status = shown(Observed(trouble=Trouble.MISSING, note="order does not exist"))
    assert all(value is not None for target in status["targets"] for value in target.values())


def test_a_target_in_trouble_is_named_in_the_condition() -> None:
    status = shown(Observed(trouble=Trouble.MISSING, note="order does not exist"))
    assert conditions(status)["Ready"] == ("True", "TargetMissing")


def test_blind_names_each_signal_once_with_what_became_of_asking_for_it() -> None:
    """Two targets that carry one signal; the time that passes is no news."""
    base = parse_policy(scaling_policy())
    order = base.targets[0]
    carried = order.capacity[0][0]
    signals = (SignalSpec(carried, "sum(orders)"),)
    chosen = replace(
        base, signals=signals, targets=(order, replace(order, name="pay", ref=order.ref._replace(name="pay")))
    )
    event = parse_live_event(live_event()).announcement(T0 - 86_400, T0 + 86_400)
    seen = {(CORE, name): Observed(level=2, ready=2, desired=2) for name in ("order", "pay")}
    messages = set()
    for late in (0.0, 60.0):
        gone = Reading(Freshness.UNREACHABLE, None, T0, "Prometheus answers 404 Not Found", blind_since=T0)
        world = World(
            {CORE: chosen}, {event.key: event}, seen, settings=PlanSettings(), readings={(CORE, carried): gone}
        )
        status = policy_status(chosen, make_plan(world, T0 + late), world.observed)
        assert conditions(status)["Blind"] == ("True", "Blind")
        messages |= {c["message"] for c in status["conditions"] if c["type"] == "Blind"}
    (message,) = messages
    assert message.endswith(f"Targets: order, pay. {carried}: Unreachable (Prometheus answers 404 Not Found)")


def test_observe_says_so() -> None:
    assert conditions(shown(Observed(level=2, ready=2), mode=Mode.OBSERVE))["Ready"] == ("True", "Observing")


@pytest.mark.parametrize("mode", [Mode.ENFORCE, Mode.OBSERVE])
def test_a_policy_says_that_the_durable_stop_is_set_also_while_nothing_is_due(mode: Mode) -> None:
    chosen = replace(parse_policy(scaling_policy()), mode=mode)
    missing = Observed(trouble=Trouble.MISSING, note="Deployment/order does not exist")
    for seen, more in ((Observed(level=2, ready=2), ""), (missing, " order: Deployment/order does not exist")):
        world = World({CORE: chosen}, {}, {(CORE, "order"): seen}, settings=PlanSettings(), stopped=True)
        status = policy_status(chosen, make_plan(world, T0), world.observed)
        (ready,) = (c for c in status["conditions"] if c["type"] == "Ready")
        assert (ready["status"], ready["reason"]) == ("True", "Stopped")
        assert ready["message"] == (f"Nothing is written: the durable stop is set (tidegate resume lifts it).{more}")


def test_how_many_units_are_ready_is_left_out_while_nobody_can_tell() -> None:
    seen = Observed(level=2, ready=2, desired=2)
    assert shown(seen)["targets"][0]["ready"] == 2
    assert "ready" not in shown(replace(seen, seen=False, note="not seen for 40 s"))["targets"][0]
    assert "ready" not in shown(replace(seen, ready=None))["targets"][0]
    assert shown(replace(seen, ready=0))["targets"][0]["ready"] == 0


def test_pods_that_come_and_go_at_rest_change_no_status() -> None:
    """Between events the reactive scaler moves replicas all day: that is none of our status's business."""
    assert shown(Observed(level=2, ready=7)) == shown(Observed(level=2, ready=9))


@pytest.mark.parametrize(
    ("changes", "now", "want", "words"),
    [
        ({}, 0.0, ("True", "InForce"), "by oncall"),
        ({}, 600.0, ("False", "Expired"), "over since 2026-11-09T16:10:00Z"),
        ({"policy": "shoes"}, 0.0, ("False", "PolicyMissing"), "ScalingPolicy shoes does not exist in namespace shop"),
        ({"target": "ordr"}, 0.0, ("False", "TargetMissing"), "core has no target ordr; it has order"),
    ],
    ids=["in force", "over", "a policy that is not there", "a target that is not there"],
)
def test_an_override_that_does_nothing_says_why(
    changes: dict[str, str], now: float, want: tuple[str, str], words: str
) -> None:
    chosen = parse_policy(scaling_policy())
    world = World({CORE: chosen}, {}, {(CORE, "order"): Observed(level=2, ready=2)}, settings=PlanSettings())
    hold = Override(Key("shop", "x"), "core", None, OverrideAction.HOLD, T0 + 600.0, "oncall", "a look", created=T0)
    status = override_status(replace(hold, **changes), {CORE: chosen}, make_plan(world, T0), now=T0 + now)
    assert conditions(status)["Active"] == want
    assert words in status["summary"]
