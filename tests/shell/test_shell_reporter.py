"""Verdicts as people are told of them: in status, in one Event a change, and in the log."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import pytest
from test_shell_store import BAD, SHOW, hold, live_event, pool_object, scaling_policy

from tidegate.control.loop import Beat
from tidegate.control.wishes import Applied
from tidegate.planning.decision import Action, Outcome, Plan, Verdict
from tidegate.planning.model import Key, Ref
from tidegate.planning.plan import make_plan
from tidegate.planning.reasons import Reason
from tidegate.planning.world import PoolWorld, World
from tidegate.ports import Json, StatusPatch
from tidegate.shell.reporter import API_VERSION, Reporter
from tidegate.shell.store import WatchedStore

T0 = 1_794_240_000.0
QUOTA = Ref("v1", "ResourceQuota", "shop", "team")
POD = Ref("v1", "Pod", "shop", "order-1")
READY = Verdict(Outcome.READY, Reason.READY, "order: 2 of 2 ready", T0, whole=True)
FULL = Verdict(Outcome.BLOCKED, Reason.QUOTA_EXCEEDED, "order: 8 more, 5 left", T0, object=QUOTA)
FULLER = Verdict(Outcome.BLOCKED, Reason.QUOTA_EXCEEDED, "order: 8 more, 4 left", T0, object=QUOTA)
CRASH = Verdict(Outcome.BLOCKED, Reason.CONTAINERS_FAIL, "order: crashes", T0, object=POD)


@dataclass
class Wall:
    """Hangs up what is published, and hears what is said."""

    status: Json = field(default_factory=dict)
    urgent: list[bool] = field(default_factory=list)
    """Of each of an event's, whether it goes before others."""
    looked: list[bool] = field(default_factory=list)
    """The same of what says only that it was looked at again."""
    texts: list[str] = field(default_factory=list)
    """Every verdict that was published."""
    said: list[tuple[str, str, bool]] = field(default_factory=list)
    about: list[Ref] = field(default_factory=list)
    """What each of these was said of."""
    shown: dict[str, Json] = field(default_factory=dict)
    """The last status of each kind."""

    def publish(self, patches: Iterable[StatusPatch]) -> None:
        for patch in patches:
            self.shown[patch.kind] = patch.status
            if patch.kind == "LiveEvent":
                if {**patch.status, "lookedAt": None} == {**self.status, "lookedAt": None}:
                    self.status = patch.status
                    self.looked.append(patch.urgent)
                    continue
                self.status = patch.status
                self.urgent.append(patch.urgent)
                self.texts.append(str(patch.status.get("verdict")))

    def emit(
        self,
        subject: Ref,
        *,
        reason: str,
        message: str,
        warning: bool = False,
        about: str = "",
        until: float | None = None,
    ) -> None:
        self.said.append((reason, message, warning))
        self.about.append(subject)


class Noon:
    """An instant ten minutes before the show."""

    def now(self) -> float:
        return T0 - 600.0

    async def wait(self, until: float, wake: asyncio.Event) -> None:
        raise AssertionError("nobody waits here")


def told(*verdicts: Verdict, every: float = 0.0, beside: int = 0) -> Wall:
    """What hangs on the wall after beats with these verdicts, so many seconds apart; ``beside``: other events that have
    one.
    """
    others = {Key("shop", f"other-{number}"): READY for number in range(beside)}
    store, wall, clock = WatchedStore(lambda: T0 - 600.0), Wall(), Noon()
    store.put_policy(scaling_policy())
    store.put_event(live_event())
    reporter = Reporter(store, wall, wall, clock)
    for number, verdict in enumerate(verdicts):
        now = T0 - 600.0 + every * number
        plan = Plan(now, {}, {**others, SHOW: verdict}, (), None)
        world = World({}, store.announcements())
        reporter.report(Beat(now, world, plan, (), (), True, 0, None))
    return wall


def test_what_blocks_is_shown_with_its_object_once_it_was_seen_twice() -> None:
    assert told(READY, FULL).status["blockedBy"] is None
    shown = told(READY, FULL, FULL).status
    assert (shown["outcome"], shown["blockedBy"]) == ("Blocked", "ResourceQuota/team")
    (on_time,) = (c for c in shown["conditions"] if c["type"] == "OnTime")
    assert (on_time["status"], on_time["reason"]) == ("False", "QuotaExceeded")
    assert shown["verdict"] == "Blocked: order: 8 more, 5 left"


def test_a_verdict_goes_before_statuses_that_can_wait_and_the_news_that_an_event_was_accepted_does_not() -> None:
    assert set(told(READY, FULL, FULL).urgent) == {True}
    store, wall = WatchedStore(lambda: T0 - 600.0), Wall()
    store.put_event(live_event())
    reporter = Reporter(store, wall, wall, Noon())
    reporter.report(Beat(T0 - 600.0, World({}, {}), Plan(T0 - 600.0, {}, {}, (), None), (), (), True, 0, None))
    reporter.arrived(SHOW)
    assert wall.urgent == [False]


def test_a_cause_that_is_gone_is_gone_at_once() -> None:
    shown = told(FULL, FULL, READY).status
    assert (shown["outcome"], shown["blockedBy"]) == ("Ready", None)


def test_an_event_is_emitted_once_a_change_of_the_cause_and_not_of_its_numbers() -> None:
    said = told(READY, FULL, FULL, FULLER, FULLER, CRASH, CRASH, READY).said
    assert said == [
        ("OnTime", "order: 2 of 2 ready", False),
        ("Blocked", "order: 8 more, 5 left", True),
        ("Blocked", "order: crashes", True),
        ("OnTime", "order: 2 of 2 ready", False),
    ]


def test_the_log_has_the_first_look_and_the_verdict(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tidegate.decisions"):
        told(READY, FULL, FULL, FULLER)
    assert caplog.messages == [
        "shop/show: Ready: order: 2 of 2 ready",
        "shop/show: Blocked, seen once: order: 8 more, 5 left",
        "shop/show: Blocked: order: 8 more, 5 left",
    ]


def test_a_pod_more_that_is_ready_rewrites_no_verdict_but_now_and_then() -> None:
    starting = [
        Verdict(Outcome.READY, Reason.ON_PLAN, f"order: {n} of 40 ready, the rest is expected in time", T0)
        for n in range(40)
    ]
    done = Verdict(Outcome.READY, Reason.READY, "order: 40 of 40 ready", T0, whole=True)
    texts = told(*starting, done, every=2.0).texts
    assert [text.split()[2] for text in texts] == ["0", "30", "40"]


def test_of_a_thousand_events_that_wait_for_the_same_pods_five_are_told_anew_a_second() -> None:
    starting = [
        Verdict(Outcome.READY, Reason.ON_PLAN, f"order: {n} of 400 ready, the rest is expected in time", T0)
        for n in range(250)
    ]
    texts = told(*starting, every=2.0, beside=999).texts
    assert [text.split()[2] for text in texts] == ["0", "100", "200"]


def test_worse_numbers_of_the_same_trouble_are_told_within_a_minute() -> None:
    assert told(FULL, FULL, FULLER, every=30.0).status["verdict"] == "Blocked: order: 8 more, 5 left"
    assert told(FULL, FULL, FULLER, FULLER, every=30.0).status["verdict"] == "Blocked: order: 8 more, 4 left"


def test_that_a_target_was_not_looked_at_yet_is_told_only_when_the_first_look_takes_long() -> None:
    """A decision may fall between a policy and the first look at its targets."""
    unseen = Verdict(Outcome.UNKNOWN, Reason.NOT_SEEN_YET, "order: not looked at yet", T0)
    assert told(unseen, unseen, READY, every=1.0).texts == ["Ready: order: 2 of 2 ready"]
    assert told(READY, unseen, READY, every=1.0).texts == ["Ready: order: 2 of 2 ready"]
    assert told(unseen, unseen, unseen, every=3.0).texts == ["Unknown: order: not looked at yet"]


@pytest.mark.parametrize("namespace", ["shop", ""], ids=["of a policy", "of a pool"])
def test_a_write_that_failed_is_an_event_of_its_policy(namespace: str) -> None:
    """Or, of a hand-over, of the work itself; also of what nobody wants to hear of while it succeeds."""
    order = Ref("apps/v1", "Deployment", "shop", "order")
    failed = Applied(
        Key(namespace, "core"),
        "order",
        order,
        Action.RAISE,
        2,
        10,
        T0 - 600.0,
        Reason.EVENT_DEMAND,
        "for a peak",
        error="quota team: forbidden",
        told=False,
    )
    store, wall = WatchedStore(lambda: T0 - 600.0), Wall()
    plan = Plan(T0 - 600.0, {}, {}, (), None)
    beat = Beat(T0 - 600.0, World({}, {}), plan, (failed, replace(failed, error=None)), (), True, 0, None)
    Reporter(store, wall, wall, Noon()).report(beat)
    ((reason, message, warning),) = wall.said
    assert (reason, warning) == ("WriteFailed", True)
    assert "quota team: forbidden" in message
    assert wall.about == [Ref(API_VERSION, "ScalingPolicy", "shop", "core") if namespace else order]


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [("ScalingPolicy", "spec.targets"), ("CapacityPool", "lanes"), ("Override", "spec.until"), ("LiveEvent", "orders")],
)
def test_an_object_that_keeps_its_last_valid_version_says_why_the_new_one_does_not_count(kind: str, wrong: str) -> None:
    """Of an event the plan goes on by the version before, too."""
    store, wall = WatchedStore(lambda: T0 - 600.0), Wall()
    reporter = Reporter(store, wall, wall, Noon())
    override = hold()
    put: dict[str, tuple[Callable[[Json], object], Json, Json]] = {
        "ScalingPolicy": (store.put_policy, scaling_policy(), {"targets": []}),
        "CapacityPool": (store.put_pool, pool_object(), {"lanes": []}),
        "Override": (store.put_override, override, {"until": "soon"}),
        "LiveEvent": (store.put_event, live_event(), BAD),
    }
    for put_it, obj, _ in put.values():
        put_it(obj)
    said = []
    for change in ({}, put[kind][2]):
        put_it, obj, _ = put[kind]
        put_it({**obj, "spec": {**obj["spec"], **change}})
        pools = {name: PoolWorld(pool) for name, pool in store.pools().items()}
        world = World(store.policies(), store.announcements(), overrides=tuple(store.overrides()), pools=pools)
        reporter.report(Beat(T0 - 600.0, world, make_plan(world, T0 - 600.0), (), (), True, 0, None))
        reporter.arrived(SHOW)
        said.append(json.dumps(wall.shown[kind]["conditions"]))
    assert len(world.policies) == len(world.pools) == len(world.overrides) == len(world.announcements) == 1
    assert (wrong in said[0], wrong in said[1]) == (False, True)
    assert "KeepsLastValid" in said[1] or kind in ("LiveEvent", "CapacityPool")


# ---- long before a verdict is due


FAR = T0 - 40 * 86_400.0


@dataclass
class Month:
    """An instant some weeks before the show."""

    at: float = FAR

    def now(self) -> float:
        return self.at

    async def wait(self, until: float, wake: asyncio.Event) -> None:
        raise AssertionError("nobody waits here")


def accepted(event: Json, *policies: Json) -> tuple[Reporter, WatchedStore, Wall]:
    """An event that was announced weeks ahead, and a first beat."""
    store, wall = WatchedStore(lambda: FAR), Wall()
    for one in policies:
        store.put_policy(one)
    store.put_event(event)
    reporter = Reporter(store, wall, wall, Month())
    beat(reporter, store)
    reporter.arrived(SHOW)
    return reporter, store, wall


def beat(reporter: Reporter, store: WatchedStore) -> None:
    world = World(store.policies(), store.announcements())
    reporter.report(Beat(FAR, world, make_plan(world, FAR), (), (), True, 0, None))


def on_time(status: Json) -> tuple[str, str]:
    (found,) = (c for c in status["conditions"] if c["type"] == "OnTime")
    return found["status"], found["reason"]


def test_a_max_below_the_event_is_shown_from_acceptance_on() -> None:
    _, _, wall = accepted(live_event(expected={"orders": 10_000}), scaling_policy())
    assert (wall.status["outcome"], on_time(wall.status)) == ("Blocked", ("False", "PolicyMaximum"))
    assert wall.status["verdict"] == (
        "Blocked: order: 120 units will be needed, but the policy's max is 50 (ScalingPolicy/core)"
    )
    assert wall.status["blockedBy"] == "ScalingPolicy/core"
    assert wall.said == []


def test_an_event_that_nobody_carries_is_blocked_from_acceptance_on() -> None:
    _, _, wall = accepted(live_event(expected={"chats": 9}), scaling_policy())
    assert (wall.status["outcome"], on_time(wall.status)) == ("Blocked", ("False", "NoTarget"))
    assert "chats" in wall.status["verdict"]


def test_one_signal_of_several_that_nobody_carries_is_named_from_acceptance_on() -> None:
    _, _, wall = accepted(live_event(expected={"orders": 100, "chats": 9}), scaling_policy())
    assert (wall.status["outcome"], on_time(wall.status)) == ("Armed", ("Unknown", "NotDueYet"))
    told = [c["message"] for c in wall.status["conditions"] if c["type"] in ("Ready", "OnTime")]
    assert all("nothing prepares chats: no target of core carries it" in message for message in told)


def test_an_event_that_is_well_is_armed_without_a_word_more() -> None:
    _, _, wall = accepted(live_event(), scaling_policy())
    assert (wall.status["outcome"], wall.status["verdict"]) == ("Armed", None)


def test_a_max_that_was_raised_takes_the_finding_back_with_the_next_look() -> None:
    reporter, store, wall = accepted(live_event(expected={"orders": 10_000}), scaling_policy())

    async def raised() -> None:
        sweep = asyncio.create_task(reporter.sweep_for_ever())
        await asyncio.sleep(0.05)
        target = {**scaling_policy()["spec"]["targets"][0], "max": 120}
        store.put_policy(scaling_policy(2, targets=[target]))
        beat(reporter, store)
        for _ in range(40):
            await asyncio.sleep(0.05)
            if wall.status["outcome"] == "Armed":
                break
        sweep.cancel()

    asyncio.run(raised())
    assert wall.status["outcome"] == "Armed"
