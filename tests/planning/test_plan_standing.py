"""Decisions that stand while nothing that they rest on changes, against plans that decide everything anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from test_planner_slices import Hours
from worlds import T0, event, policy, target, world

from tidegate.planning.book import WATCH
from tidegate.planning.decision import Action, Plan
from tidegate.planning.model import Freshness, Key, LoanState, Measured, Mode, Occurrence, Reading, SignalSpec
from tidegate.planning.override import Override, OverrideAction
from tidegate.planning.plan import Planner, make_plan
from tidegate.planning.reasons import Reason
from tidegate.planning.resources import Resources
from tidegate.planning.shift.model import Lane, Pool
from tidegate.planning.standing import PARTS, QUEUES, SHARE, SOON, STANDS
from tidegate.planning.world import PoolWorld, World

EVERY = 1_000_000
DOWN = {Action.LOWER, Action.RETURN}


@dataclass
class Lasting:
    """A planner whose decisions stand, as the process drives it."""

    planner: Planner = field(default_factory=Planner)
    queues: object = None
    queues_at: float = -1e18
    """When the shared queues changed last."""
    before: dict[Key, object] = field(default_factory=dict)
    anew: frozenset[Key] = frozenset()
    """Policies that the last plan decided anew."""

    def plan(
        self, w: World, now: float, changed: frozenset[Key] | None = None, only: frozenset[str] | None = None
    ) -> Plan:
        planning = self.planner.begin(w, now, changed=changed, stands=STANDS, only=only)
        while not planning.step(EVERY):
            pass
        assert planning._making is not None
        if planning._making.lag.state != self.queues:
            self.queues, self.queues_at = planning._making.lag.state, now
        decided = {key: planning._making.decisions[key] for key in w.policies}
        self.anew = frozenset(key for key, one in decided.items() if self.before.get(key) is not one)
        self.before = dict(decided)
        return planning.plan


@pytest.mark.parametrize("seed", range(24))
def test_what_stands_is_what_would_be_decided_anew(seed: int) -> None:
    """Whatever changed, and however little time passed: the same action, and the same level of whatever is acted on.

    But for what the shared queues changed less than their time ago; and a fall may come later by a beat, never sooner.
    """
    hours, lasting, stood_once = Hours(5000 + seed), Lasting(), False
    for step in range(60):
        hours.edit()
        for _ in range(4):
            stood = lasting.plan(hours.world, hours.now, hours.changed)
            hours.changed = frozenset()
            stood_once |= len(lasting.anew) < len(hours.world.policies)
            if abs(hours.now - lasting.queues_at) > QUEUES + 1.0:
                for key, one in make_plan(hours.world, hours.now).targets.items():
                    if one.action in DOWN and stood.targets[key].action is Action.NOTHING:
                        continue  # what keeps it may have ended within the beat: a fall may come as much later
                    assert stood.targets[key].action is one.action, (step, key)
                    acts = not hours.world.stopped and hours.world.policies[key[0]].mode is Mode.ENFORCE
                    assert stood.targets[key].level == one.level or not acts, (step, key)
            hours.obey(stood)
            hours.now += hours.dice.choice((0.1, 0.5, 3.0, 7.0))
    assert stood_once


# ---- namespaces


def shops(count: int, *, targets: int = 2, namespace: str = "") -> World:
    """So many shops, each with a show that is on tomorrow; all in one namespace if it is named."""
    policies, events = [], []
    for number in range(count):
        of = Key(namespace or f"shop-{number}", f"core-{number}")
        names = [f"w{number}-{n}" for n in range(targets)]
        policies.append(policy(*(target(name) for name in names), key=of))
        show = event(f"show-{number}", start=T0 + 80_000.0)
        events.append(replace(show, key=Key(of.namespace, show.key.name), policy=of.name))
    return world(*events, policies=tuple(policies))


def louder(w: World, *names: Key) -> World:
    """These events expect more."""
    more = {key: replace(w.announcements[key], expected=(("orders", 900.0),)) for key in names}
    return replace(w, announcements={**w.announcements, **more})


def settled(lasting: Lasting, w: World, now: float) -> float:
    """Plan until everything is decided and nothing waits; the instant."""
    for _ in range(50):
        lasting.plan(w, now)
        now += QUEUES + 0.1
        lasting.plan(w, now)
        if not lasting.anew:
            return now
    raise AssertionError("it never settles")


def test_a_namespace_in_which_nothing_changed_is_not_decided_anew() -> None:
    w, lasting = shops(4), Lasting()
    now = settled(lasting, w, T0)
    key = Key("shop-2", "show-2")
    lasting.plan(louder(w, key), now + 0.1, frozenset([key]))
    assert lasting.anew == {Key("shop-2", "core-2")}


def test_a_plan_for_one_namespace_decides_nothing_else_that_changed_and_renews_nothing() -> None:
    """Neither what was seen of others' workloads nor what is over: the next plan on everything does."""
    w, lasting = shops(4), Lasting()
    now, key, mine = settled(lasting, w, T0), Key("shop-2", "show-2"), frozenset({"shop-2"})
    moved = {of: replace(one, ready=1) if of[0].namespace == "shop-1" else one for of, one in w.observed.items()}
    w = louder(replace(w, observed=moved), key)
    plan = lasting.plan(w, now + 0.1, frozenset([key]), mine)
    assert lasting.anew == {Key("shop-2", "core-2")}
    assert plan.next_at is not None
    assert plan.next_at > now + 0.1
    lasting.plan(w, now + 0.2, frozenset())
    assert lasting.anew == {Key("shop-1", "core-1")}
    late = now + 0.2 + STANDS
    assert late < (lasting.plan(w, late, frozenset(), mine).next_at or 0.0) <= late + SOON
    assert lasting.anew == frozenset()
    lasting.plan(w, late + SOON, frozenset())
    assert lasting.anew == w.policies.keys()


def test_a_change_of_the_shared_queues_counts_for_all_within_the_reaction_time() -> None:
    w, lasting = shops(4), Lasting()
    now, key = settled(lasting, w, T0), Key("shop-2", "show-2")
    lasting.plan(w, now + STANDS)
    louder_now = now + STANDS + 1.0
    w = louder(w, key)
    plan = lasting.plan(w, louder_now, frozenset([key]))
    assert lasting.anew == {Key("shop-2", "core-2")}
    assert plan.next_at == louder_now + QUEUES
    plan = lasting.plan(w, louder_now + QUEUES, frozenset())
    assert plan.targets == make_plan(w, louder_now + QUEUES).targets


def test_nothing_stands_longer_than_a_beat() -> None:
    w, lasting = shops(3), Lasting()
    now, key = settled(lasting, w, T0), Key("shop-2", "core-2")
    w = replace(w, readings={(key, "orders"): Reading(Freshness.FRESH, 1.0, now)})
    w = replace(w, policies={**w.policies, key: replace(w.policies[key], signals=(SignalSpec("orders", "q"),))})
    plan = lasting.plan(w, now + 5.0, frozenset())
    assert lasting.anew == {key}
    assert plan.next_at == now + STANDS - QUEUES - 0.1
    lasting.plan(w, now + STANDS, frozenset())
    assert lasting.anew == w.policies.keys() - {key}
    lasting.plan(w, now + 5.0 + STANDS, frozenset())
    assert key in lasting.anew


def test_of_a_large_namespace_a_share_is_decided_at_a_time_and_the_others_first_of_all() -> None:
    """Whoever changes a thousand objects makes nobody late but himself."""
    large, small = shops(10, targets=SHARE // 2, namespace="large"), shops(1)
    both = World(
        {**large.policies, **small.policies},
        {**large.announcements, **small.announcements},
        {**large.observed, **small.observed},
        settings=large.settings,
    )
    lasting = Lasting()
    now = settled(lasting, both, T0)
    changed = frozenset(both.announcements)
    both, decided = louder(both, *changed), []
    for _ in range(6):
        plan = lasting.plan(both, now, changed)
        decided.append(lasting.anew)
        changed = frozenset()
        assert plan.next_at is not None
        if len(decided) < 5:
            assert plan.next_at <= now + SOON
        now += SOON
    assert Key("shop-0", "core-0") in decided[0]
    assert [len([key for key in one if key.namespace == "large"]) for one in decided] == [2, 2, 2, 2, 2, 0]


def test_what_a_large_namespace_changes_waits_for_its_turn_however_often_its_neighbours_are_decided() -> None:
    """A plan that is made for a neighbour costs the neighbour's change alone; all of it has its turn all the same,
    though it goes on changing."""
    large, small = shops(10, targets=SHARE // 2, namespace="large"), shops(1)
    both = replace(
        large,
        policies={**large.policies, **small.policies},
        announcements={**large.announcements, **small.announcements},
        observed={**large.observed, **small.observed},
    )
    lasting, mine = Lasting(), Key("shop-0", "core-0")
    now, orders = settled(lasting, both, T0), 900.0
    begun, decided = now, dict[Key, float]()
    while now < begun + 5 * SOON:
        orders += 1.0
        more = {key: replace(one, expected=(("orders", orders),)) for key, one in both.announcements.items()}
        both = replace(both, announcements=more)
        lasting.plan(both, now, frozenset(more))
        assert mine in lasting.anew
        assert now == begun or len(lasting.anew) <= 1 or (now - begun) % SOON < 0.1 + 1e-6
        decided.update(dict.fromkeys(lasting.anew, now))
        now = round(now + 0.1, 3)
    assert decided.keys() == both.policies.keys()


def test_a_decision_that_had_to_wait_writes_nothing() -> None:
    """A level that was to fall is not lowered on what is known no more: an event may have come since."""
    w = shops(3, targets=SHARE, namespace="large")
    now = T0 + 80_000.0
    raised, lasting = {key: replace(seen, level=1, ready=1) for key, seen in w.observed.items()}, Lasting()
    w = replace(w, observed=raised)
    assert {step.action for step in lasting.plan(w, now).steps} == {Action.RAISE}
    w = replace(w, announcements={})
    plan = lasting.plan(w, now + 0.1)
    assert {key.name for key in lasting.anew} == {"core-0"}
    assert plan.steps == ()
    assert plan.verdicts == {}


def test_what_time_makes_due_never_waits() -> None:
    w, lasting = shops(12, targets=SHARE // 2, namespace="large"), Lasting()
    due = make_plan(w, T0).next_at
    assert due is not None
    settled(lasting, w, due - 200.0)
    assert len(lasting.plan(w, due, frozenset()).steps) == 12 * SHARE // 2


def test_what_is_over_is_renewed_in_parts() -> None:
    w, lasting = shops(40, targets=32), Lasting()
    now, parts = settled(lasting, w, T0) + STANDS, []
    while len(parts) < 20:
        lasting.plan(w, now, frozenset())
        if not lasting.anew:
            break
        parts.append(len(lasting.anew))
        now += SOON
    assert sum(parts) >= 40
    assert max(parts) <= 40 // PARTS


def test_a_target_that_is_new_is_decided_at_once_however_much_waits() -> None:
    w, lasting = shops(3, targets=SHARE, namespace="large"), Lasting()
    now = settled(lasting, w, T0)
    key = Key("large", "core-2")
    longer = replace(w.policies[key], targets=(*w.policies[key].targets, target("new")))
    w = louder(replace(w, policies={**w.policies, key: longer}), *w.announcements)
    assert (key, "new") in lasting.plan(w, now).targets


def test_an_override_is_heard_at_once_and_its_end_too() -> None:
    w, lasting = shops(2), Lasting()
    now, of = settled(lasting, w, T0), next(iter(w.policies))
    pause = Override(Key(of.namespace, "o"), of.name, None, OverrideAction.PAUSE, now + 5.0, "ann", "x")
    w = replace(w, overrides=(pause,))
    assert lasting.plan(w, now, frozenset()).targets[of, "w0-0"].overridden
    assert not lasting.plan(w, now + 5.0, frozenset()).targets[of, "w0-0"].overridden


def test_the_clock_set_back_lets_nothing_stand() -> None:
    w, lasting = shops(2), Lasting()
    now = settled(lasting, w, T0)
    lasting.plan(w, now - 600.0, frozenset())
    assert lasting.anew == w.policies.keys()


CORE = Key("shop-0", "core-0")
MINE = (CORE, "w0-0")


def _seen(w: World, **other: object) -> World:
    return replace(w, observed={**w.observed, MINE: replace(w.observed[MINE], **other)})  # type: ignore[arg-type]


def _with_policy(w: World, **other: object) -> World:
    return replace(w, policies={**w.policies, CORE: replace(w.policies[CORE], **other)})  # type: ignore[arg-type]


HEARD: dict[str, Callable[[World], World]] = {
    "its own policy": lambda w: _with_policy(w, quantile=0.5),
    "another policy on its workload": lambda w: replace(
        w,
        policies={
            **w.policies,
            Key("shop-0", "older"): replace(w.policies[CORE], key=Key("shop-0", "older"), created=-1.0),
        },
    ),
    "the durable stop": lambda w: replace(w, stopped=True),
    "what cannot be understood": lambda w: replace(w, unread={CORE: "LiveEvent odd cannot be understood"}),
    "what names no policy and cannot be understood": lambda w: replace(w, unread={Key("shop-0", ""): "odd"}),
    "a reading": lambda w: replace(w, readings={(CORE, "orders"): Reading(Freshness.FRESH, 4000.0, T0)}),
    "a start that was measured": lambda w: replace(w, measured={MINE: (Measured(5, 500.0),) * 40}),
    "its level": lambda w: _seen(w, level=7),
    "its ready units": lambda w: _seen(w, ready=0),
    "its loan": lambda w: _seen(w, loan=LoanState(1, 2, T0, T0)),
    "its pool": lambda w: replace(w, pools={"hangzhou": PoolWorld(Pool("hangzhou", (Lane("trading", 20),)))}),
}


@pytest.mark.parametrize("what", HEARD)
def test_each_thing_that_a_decision_rests_on_is_heard_by_the_next_plan(what: str) -> None:
    w, lasting = shops(2), Lasting()
    lane = replace(w.policies[CORE].targets[0], lane="trading", unit=Resources(1000, 1024))
    signals = (SignalSpec("orders", "sum(orders)"),)
    w = _with_policy(w, pool="hangzhou", targets=(lane, *w.policies[CORE].targets[1:]), signals=signals)
    held = LoanState(1, 2, T0, T0, until=T0 + 9000.0)
    w = replace(_seen(w, loan=held), readings={(CORE, "orders"): Reading(Freshness.FRESH, 1.0, T0)})
    now = settled(lasting, w, T0)
    w = HEARD[what](w)
    stood, fresh = lasting.plan(w, now, frozenset()), make_plan(w, now)
    assert CORE in lasting.anew
    assert stood.targets[MINE] == fresh.targets[MINE]
    assert (Key("shop-1", "core-1") in lasting.anew) == (what == "the durable stop")


def test_an_event_that_cannot_be_summed_is_heard_when_it_comes_near() -> None:
    w, lasting = shops(1), Lasting()
    odd = replace(w.announcements[Key("shop-0", "show-0")], key=Key("shop-0", "odd"), expected=(("orders", 1e31),))
    odd = replace(odd, occurrences=(Occurrence(T0 + WATCH, 600.0),))
    held = LoanState(1, 5, T0 - 9000.0, T0 - 9000.0)
    w = replace(_seen(w, level=5, ready=5, loan=held), announcements={**w.announcements, odd.key: odd})
    assert lasting.plan(w, T0 - 1.0).targets[MINE].action is Action.LOWER
    plan = lasting.plan(w, T0, frozenset())
    assert plan.targets[MINE].reason is Reason.EVENT_LEFT_OUT
    assert plan.steps == ()
