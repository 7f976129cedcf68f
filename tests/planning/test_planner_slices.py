"""A planner that remembers sums, driven in one go and in slices, against ``make_plan`` that remembers nothing."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from worlds import CORE, NS, T0, event, policy, target, world

from tidegate.planning.decision import Action, Plan
from tidegate.planning.making import VERDICTS
from tidegate.planning.model import (
    STAGES,
    Announcement,
    Freshness,
    Key,
    LeadTimeGuess,
    LoanState,
    Measured,
    Mode,
    Moment,
    Observed,
    Occurrence,
    PlanSettings,
    Policy,
    Reading,
    Ref,
    Release,
    SignalSpec,
    TargetSpec,
    Trouble,
)
from tidegate.planning.override import Override, OverrideAction
from tidegate.planning.plan import Planner, make_plan
from tidegate.planning.shape import PROFILES
from tidegate.planning.world import World

KEY = (CORE, "order")
SIGNALS = ("chat", "orders", "views")


def in_slices(planner: Planner, w: World, now: float, changed: frozenset[Key] | None, count: int) -> Plan:
    planning = planner.begin(w, now, changed=changed)
    while not planning.step(count):
        pass
    return planning.plan


class Hours:
    """Random hours of a cluster in which everything is edited: by people, by other tools and by the plan itself."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.now = T0 + self.dice.random() * 1000.0
        settings = PlanSettings(creation_rate=self.dice.choice((2.0, 20.0)))
        policies = {Key(NS, name): self.policy(name) for name in "abc"}
        events = {e.key: e for e in (self.event(n) for n in range(self.dice.randint(1, 4)))}
        self.world = self.looked_at(World(policies, events, settings=settings))
        self.changed: frozenset[Key] = frozenset(events)

    def target(self, number: int) -> TargetSpec:
        dice = self.dice
        signals = sorted(dice.sample(SIGNALS, dice.randint(1, 2)))
        version = dice.choice(("apps/v1", "apps/v1beta1"))
        return TargetSpec(
            f"t{number}",
            Ref(version, "Deployment", NS, f"w{dice.randint(0, 11)}"),
            tuple((s, dice.choice((10.0, 100.0, 333.0))) for s in signals),
            tuple((s, dice.choice((0.0, 500.0))) for s in signals if dice.random() < 0.5),
            headroom=dice.choice((0.0, 0.2)),
            stage=dice.choice(STAGES),
            settle=dice.choice((0.0, 0.0, 90.0)),
            minimum=dice.choice((0, 1, 4)),
            maximum=dice.choice((20, 200, 5000)),
            lead=LeadTimeGuess(dice.choice((10.0, 60.0, 300.0)), dice.choice((0.0, 0.0, 120.0))),
        )

    def policy(self, name: str) -> Policy:
        dice = self.dice
        return Policy(
            Key(NS, name),
            tuple(self.target(n) for n in range(dice.randint(1, 3))),
            tuple(SignalSpec(s, f"q{s}") for s in SIGNALS if dice.random() < 0.7),
            dice.choice((Mode.ENFORCE, Mode.ENFORCE, Mode.OBSERVE)),
            dice.choice((*[0.95] * 8, 0.5, 1.0)),  # the last cannot be planned
            dice.choice((0.0, 1.0)),
            Release(dice.choice((0.0, 60.0, 900.0)), dice.choice((0.2, 1.0))),
            dice.choice((0.0, 600.0)),
            created=float(dice.randint(0, 3)),
        )

    def event(self, number: int) -> Announcement:
        dice = self.dice
        start = self.now + dice.choice(
            (*[-3000.0, -100.0, 30.0, 200.0, 900.0] * 3, 4000.0, 30_000.0, 86_000.0, 90_000.0)
        )
        level = dice.choice((10.0, 1000.0, 5000.0, 50_000.0))
        signals = sorted(dice.sample(SIGNALS, dice.randint(1, 2)))
        peaks = tuple(
            Moment(f"m{n}", signals[0], dice.choice((-300.0, 0.0, 600.0)), 90.0, factor=3.0)
            for n in range(dice.randint(0, 2))
        )
        return Announcement(
            Key(NS, f"e{number}"),
            dice.choice((*"abcabcabc", "gone")),
            (Occurrence(start + dice.random() * 50.0, dice.choice((60.0, 600.0, 3600.0))),),
            tuple((s, level) for s in signals),
            dice.choice(list(PROFILES)),
            dice.choice((0.0, 0.3)),
            peaks,
        )

    def looked_at(self, w: World) -> World:
        keys = [(p.key, t.name) for p in w.policies.values() for t in p.targets]
        maximum = self.dice.choice((None, 50))
        fresh = Observed(level=2, ready=2, desired=2, maximum=maximum)
        return replace(w, observed={key: w.observed.get(key, fresh) for key in keys})

    def edit(self) -> None:
        """One thing changes."""
        often = (self.pass_time, self.pass_time, self.announce, self.announce, self.spoil, self.look)
        rare = (self.step_back, self.cancel, self.replace_policy, self.override, self.measure, self.read, self.stop)
        edits = (*often, *often, *rare, self.write_slower)
        self.dice.choice(edits)()

    def pass_time(self) -> None:
        self.now += self.dice.choice((0.1, 1.0, 15.0, 40.0, 60.0, 60.0, 300.0, 600.0, 3000.0, 9000.0))

    def step_back(self) -> None:
        self.now -= self.dice.choice((1.0, 1.0, 20.0, 20.0, 600.0, 10_000.0))

    def announce(self) -> None:
        new = self.event(self.dice.randint(0, 5))
        self.world = replace(self.world, announcements={**self.world.announcements, new.key: new})
        self.changed |= {new.key}

    def cancel(self) -> None:
        left = dict(self.world.announcements)
        if left:
            key = self.dice.choice(list(left))
            del left[key]
            self.changed |= {key}
        self.world = replace(self.world, announcements=left)

    def spoil(self) -> None:
        """An event is edited into one that cannot be summed."""
        left = dict(self.world.announcements)
        if left:
            old = self.dice.choice(list(left.values()))
            left[old.key] = replace(old, expected=((old.expected[0][0], 1e31),))
            self.changed |= {old.key}
        self.world = replace(self.world, announcements=left)

    def replace_policy(self) -> None:
        new = self.policy(self.dice.choice("abc"))
        self.world = self.looked_at(replace(self.world, policies={**self.world.policies, new.key: new}))

    def override(self) -> None:
        dice, action = self.dice, self.dice.choice(list(OverrideAction))
        percent = dice.choice((10, 50)) if action is OverrideAction.BOOST else 0
        until, created = self.now + dice.choice((-100.0, 5.0, 600.0)), self.now - dice.choice((0.0, 600.0))
        name, of = f"o{dice.randint(0, 2)}", dice.choice((None, "t0", "t1"))
        new = Override(Key(NS, name), dice.choice("abc"), of, action, until, "x", "y", percent, created)
        self.world = replace(self.world, overrides=(*(o for o in self.world.overrides if o.key != new.key), new))

    def measure(self) -> None:
        key = self.dice.choice(list(self.world.observed))
        sample = Measured(self.dice.randint(1, 50), self.dice.choice((20.0, 90.0, 400.0)))
        samples = (*self.world.measured.get(key, ()), sample)[-40:]
        self.world = replace(self.world, measured={**self.world.measured, key: samples})

    def read(self) -> None:
        dice, readings = self.dice, dict(self.world.readings)
        chosen = dice.choice(list(self.world.policies.values()))
        for spec in chosen.signals:
            since = self.now - dice.choice((0.0, 100.0, 1000.0, -90_000.0))
            readings[chosen.key, spec.name] = Reading(
                dice.choice(list(Freshness)), dice.choice((None, 0.0, 9000.0)), since
            )
        self.world = replace(self.world, readings=readings)

    def look(self) -> None:
        dice, key = self.dice, self.dice.choice(list(self.world.observed))
        seen = replace(
            self.world.observed[key],
            level=dice.choice((0, 1, 3, 40)),
            ready=dice.choice((None, 0, 3, 40)),
            trouble=dice.choice((None, None, None, Trouble.UNREADABLE)),
            spare_units=dice.choice((None, 0, 10)),
            seen=dice.random() < 0.8,
        )
        self.world = replace(self.world, observed={**self.world.observed, key: seen})

    def stop(self) -> None:
        self.world = replace(self.world, stopped=self.dice.random() < 0.3)

    def write_slower(self) -> None:
        self.world = replace(self.world, writes_per_second=self.dice.choice((0.0, 0.5, 2.0, 100.0, float("nan"))))

    def obey(self, plan: Plan) -> None:
        observed = dict(self.world.observed)
        for step in plan.steps:
            if self.dice.random() < 0.8:
                seen = observed[step.policy, step.target]
                loan = seen.loan or LoanState(step.before, step.level, self.now, self.now)
                loan = replace(loan, highest=max(loan.highest, step.level), stepped_at=self.now)
                ready = self.dice.choice((seen.ready, step.level))
                back = step.action is Action.RETURN
                observed[step.policy, step.target] = replace(
                    seen, level=step.level, ready=ready, loan=None if back else loan
                )
        self.world = replace(self.world, observed=observed)


@pytest.mark.parametrize("seed", range(24))
def test_a_planner_that_remembers_plans_as_one_that_remembers_nothing(seed: int) -> None:
    remembering_changes_nothing(Hours(seed), steps=40)


def remembering_changes_nothing(hours: Hours, *, steps: int) -> None:
    """Whatever changed in between, in one go and in slices of any size, with and without being told what changed."""
    whole, sliced = Planner(hours.world.settings), Planner(hours.world.settings)
    for step in range(steps):
        hours.edit()
        want = make_plan(hours.world, hours.now)
        told = hours.changed if step % 5 else None
        assert whole.plan(hours.world, hours.now, changed=told) == want, step
        assert in_slices(sliced, hours.world, hours.now, told, hours.dice.choice((1, 2, 50))) == want, step
        hours.changed = frozenset()
        hours.obey(want)


@pytest.mark.parametrize("seed", range(6))
def test_plans_that_are_dropped_half_way_leave_no_trace(seed: int) -> None:
    """Another change comes while targets are being decided; what had changed before is not forgotten."""
    hours = Hours(1000 + seed)
    planner = Planner(hours.world.settings)
    for _ in range(30):
        hours.edit()
        planning = planner.begin(hours.world, hours.now, changed=hours.changed)
        hours.changed = frozenset()
        if hours.dice.random() < 0.6:
            planning.step(hours.dice.randint(1, 4))
            continue
        while not planning.step(3):
            pass
        assert planning.plan == make_plan(hours.world, hours.now)
        hours.obey(planning.plan)


@pytest.mark.parametrize("seed", range(8))
def test_what_plans_for_a_few_leave_aside_is_not_forgotten(seed: int) -> None:
    """The next plan on everything is as if it had been told at once of all that changed."""
    hours = Hours(2000 + seed)
    planner = Planner(hours.world.settings)
    for _ in range(30):
        hours.edit()
        namespaces = sorted({key.namespace for key in hours.world.policies} | {"nobody"})
        for _ in range(hours.dice.randint(0, 2)):
            few = frozenset(hours.dice.sample(namespaces, 1))
            planning = planner.begin(hours.world, hours.now, changed=hours.changed, stands=15.0, only=few)
            hours.changed = frozenset()
            if hours.dice.random() < 0.7:
                while not planning.step(3):
                    pass
                assert planning.plan.targets.keys() == make_plan(hours.world, hours.now).targets.keys()
            else:
                planning.step(hours.dice.randint(1, 4))
        want = make_plan(hours.world, hours.now)
        assert planner.plan(hours.world, hours.now, changed=hours.changed) == want
        hours.changed = frozenset()
        hours.obey(want)


def test_a_plan_for_one_namespace_takes_its_changes_and_nobody_elses() -> None:
    names = (Key("a", "core"), Key("b", "core"))
    policies = tuple(policy(target(key.namespace), key=key) for key in names)
    shows = {key: replace(event("show", 1000.0), key=Key(key.namespace, "show")) for key in names}
    w, planner = world(*shows.values(), policies=policies), Planner()
    now = T0 + 60.0
    assert [planner.plan(w, now).targets[key, key.namespace].level for key in names] == [10, 10]
    more = {one.key: replace(one, expected=(("orders", 3000.0),)) for one in shows.values()}
    w = replace(w, announcements=more)

    def levels(only: frozenset[str] | None) -> list[int | None]:
        planning = planner.begin(w, now + 1.0, changed=frozenset(more), stands=15.0, only=only)
        while not planning.step(1):
            pass
        return [planning.plan.targets[key, key.namespace].level for key in names]

    assert levels(frozenset({"b"})) == [10, 30]
    assert levels(None) == [30, 30]


def test_another_policys_event_that_moves_the_queue_moves_every_lead_at_once() -> None:
    """What is shown is never older than the plan: nothing that was decided is kept."""
    other = policy(target("pay"), key=Key(NS, "other"))
    quiet = world(event(), replace(event("sale", 10.0), policy="other"), policies=(policy(), other))
    busy = replace(event("sale", 200_000.0), policy="other")
    loud = replace(quiet, announcements={**quiet.announcements, busy.key: busy})
    planner = Planner(quiet.settings)
    before = planner.plan(quiet, T0 - 4000.0).targets[KEY]
    after = planner.plan(loud, T0 - 3999.0, changed=frozenset([busy.key])).targets[KEY]
    assert after == make_plan(loud, T0 - 3999.0).targets[KEY]
    assert after.lead.seconds > before.lead.seconds + 60.0


def test_a_need_that_comes_into_the_horizon_is_shown_by_the_next_plan() -> None:
    w, planner = world(event()), Planner(PlanSettings(fail_over=0.0, reaction=0.0))
    assert planner.plan(w, T0 - 86_400.0 - 1200.0).targets[KEY].peak == 2
    assert planner.plan(w, T0 - 86_400.0 + 15.0, changed=frozenset()).targets[KEY].peak == 10


# ---- slices


def crowd(targets: int) -> World:
    return world(event(), policies=(policy(*(target(f"w{n}") for n in range(targets))),))


def test_a_slice_decides_as_many_targets_as_asked() -> None:
    planning = Planner(crowd(10).settings).begin(crowd(10), T0)
    planning.bring_up()
    ends = [planning.step(3) for _ in range(5)]
    assert ends == [False, False, False, True, True]


def test_sums_that_are_made_from_nothing_are_made_in_slices_too() -> None:
    """At the start, and every two hours; what one plan began the next goes on with."""
    many = world(*(event(f"show-{n}", start=T0 + n) for n in range(500)))
    planner, tries = Planner(many.settings), 0
    planning = planner.begin(many, T0)
    assert planning.rebuilt
    while not planning.step(1):
        tries += 1
        if tries in (20, 40, 60):  # something else changes meanwhile
            planning = planner.begin(many, T0, changed=frozenset())
    assert tries > 50
    assert planning.plan == make_plan(many, T0)
    assert not planner.begin(many, T0 + 1.0, changed=frozenset()).rebuilt
    assert planner.begin(many, T0 + 9000.0, changed=frozenset()).rebuilt


def test_verdicts_of_many_events_are_slices_too() -> None:
    many = world(*(event(f"show-{n}", start=T0 + n) for n in range(10 * VERDICTS)))
    planning, slices = Planner(many.settings).begin(many, T0 - 60.0), 1
    while not planning.step(1):
        slices += 1
    assert slices >= 10
    assert len(planning.plan.verdicts) == 10 * VERDICTS


def test_a_plan_cannot_be_read_before_it_is_complete() -> None:
    planning = Planner(crowd(3).settings).begin(crowd(3), T0)
    planning.step(1)
    with pytest.raises(RuntimeError, match="not all targets are decided"):
        _ = planning.plan


def test_a_plan_cannot_be_completed_after_another_was_begun() -> None:
    planner = Planner(crowd(3).settings)
    first, second = planner.begin(crowd(3), T0), planner.begin(crowd(3), T0 + 1.0)
    with pytest.raises(RuntimeError, match="another plan was begun"):
        first.step(1)
    assert second.step(100)


def test_a_complete_plan_can_be_read_after_another_was_begun() -> None:
    planner = Planner(crowd(3).settings)
    first = planner.begin(crowd(3), T0)
    first.step(100)
    planner.begin(crowd(3), T0 + 1.0)
    assert first.plan == make_plan(crowd(3), T0)


def test_what_changes_in_somebodys_live_mappings_meanwhile_is_not_seen() -> None:
    """The world is a snapshot; its mappings need not be copies."""
    w = crowd(4)
    policies, announcements, observed = dict(w.policies), dict(w.announcements), dict(w.observed)
    live = replace(w, policies=policies, announcements=announcements, observed=observed)
    planning = Planner(w.settings).begin(live, T0)
    planning.step(1)
    policies.clear()
    announcements.clear()
    observed.clear()
    while not planning.step(1):
        pass
    assert planning.plan == make_plan(w, T0)


def test_a_step_up_says_who_asked_the_largest_first() -> None:
    w = world(event("small", 100.0), event("large", 900.0), event("tomorrow", 5000.0, start=T0 + 80_000.0))
    (step,) = make_plan(w, T0).steps
    assert step.wanted_by == ("LiveEvent/large", "LiveEvent/small")
    lent = Observed(level=50, ready=50, desired=50, loan=LoanState(2, 50, T0 - 900.0, T0 - 900.0))
    (down,) = make_plan(replace(w, observed={KEY: lent}), T0).steps
    assert (down.action, down.wanted_by) == (Action.LOWER, ())


def test_the_random_hours_reach_what_they_are_about() -> None:
    """A property that never meets the odd case proves nothing."""
    met: Counter[str] = Counter()
    for seed in range(36):
        hours = Hours(seed)
        planner = Planner(hours.world.settings)
        for _ in range(40):
            hours.edit()
            plan = planner.plan(hours.world, hours.now)
            met.update(j.reason.value for t in plan.targets.values() for j in t.trail)
            met.update(v.reason.value for v in plan.verdicts.values())
            met.update(s.action.value for s in plan.steps)
            hours.obey(plan)
    wanted = {"Raise", "Lower", "Return", "CannotBePlanned", "EventLeftOut", "NotSeenLately", "SharedWorkload", "Blind"}
    assert wanted <= met.keys(), wanted - met.keys()


def test_a_policy_that_is_deleted_and_made_again_keeps_what_its_targets_need() -> None:
    """It is another object that asks for the same; only a policy that asks for something else costs new sums."""
    w = world(event("show", start=T0), policies=(policy(target("order")),))
    planner = Planner()
    planner.plan(w, T0 - 3600.0)
    assert planner._curves is not None
    before = planner._curves[KEY]
    again = replace(w.policies[CORE], created=T0 - 3600.0, uid="another", generation=7)
    w = replace(w, policies={CORE: again})
    assert planner.plan(w, T0 - 3599.0) == make_plan(w, T0 - 3599.0)
    assert planner._curves[KEY] is before
    more = replace(again, targets=tuple(replace(one, headroom=0.7) for one in again.targets))
    w = replace(w, policies={CORE: more})
    assert planner.plan(w, T0 - 3598.0) == make_plan(w, T0 - 3598.0)
    assert planner._curves[KEY] is not before


def test_sums_are_brought_up_in_slices_also_where_little_has_changed() -> None:
    """An event of a month in which everything moves takes as long as fifty others: nobody waits for a dozen of them."""
    w = world(*(event(f"show-{n}", start=T0 + n) for n in range(40)))
    planner = Planner()
    planner.plan(w, T0 - 7200.0)
    more = {key: replace(one, expected=(("orders", 900.0),)) for key, one in w.announcements.items()}
    w = replace(w, announcements=more)
    planning, steps = planner.begin(w, T0 - 7199.0, changed=frozenset(more)), 0
    while planning._making is None:
        planning.step(1)
        steps += 1
    assert steps >= 8
    while not planning.step(1):
        pass
    assert planning.plan == make_plan(w, T0 - 7199.0)
