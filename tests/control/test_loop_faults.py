"""Answers that are lost, late or refused, objects that nobody understands: nothing is forgotten, nobody stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from fakes import FakeCluster, FakeStore, Leader, NoMetrics, Thing, operator, run_until
from scenes import a_loan, cluster_of, scene
from worlds import CORE, NS, T0, event, policy, signal, target

from tidegate.control.loop import Loop
from tidegate.planning.model import MANAGER, Freshness, Key, Reading, Ref
from tidegate.planning.reasons import Reason
from tidegate.ports import (
    ConflictError,
    Held,
    Loan,
    Manager,
    Place,
    RefusedError,
    Sight,
    UnavailableError,
    UnreadableLoan,
)

KEY = (CORE, "order")
OTHER = Key(NS, "other")


def two_policies(cluster: FakeCluster) -> tuple[Loop, FakeStore]:
    """``order`` of one policy beside ``gone`` of another."""
    cluster.things["gone"] = Thing()
    show, second = event(), replace(event("second"), policy="other")
    policies = {CORE: policy(target(), hold=30.0), OTHER: policy(target("gone"), key=OTHER, hold=30.0)}
    store = FakeStore(policies, {show.key: show, second.key: second})
    return operator(cluster, store), store


# ---- answers that are lost


@dataclass
class LosesAnswers(FakeCluster):
    """Calls of one kind take effect, and their answers are lost, so many times."""

    lose: str = ""
    times: int = 1

    def _lost(self, call: str) -> None:
        if call == self.lose and self.times > 0:
            self.times -= 1
            raise UnavailableError(f"{call}: no answer")

    async def save(self, loan: Loan, *, fresh: bool) -> None:
        await super().save(loan, fresh=fresh)
        self._lost("save")

    async def remove(self, loan: Loan) -> None:
        await super().remove(loan)
        self._lost("remove")

    async def swap(self, place: Place, *, believed: int, wanted: int) -> None:
        await super().swap(place, believed=believed, wanted=wanted)
        self._lost("swap")

    async def hand_back(self, place: Place, manager: Manager | None) -> None:
        await super().hand_back(place, manager)
        self._lost("hand_back")

    async def held(self, place: Place) -> Held:
        held = await super().held(place)
        self._lost("held")
        return held


@pytest.mark.parametrize("called_off", [False, True])
@pytest.mark.parametrize("lose", ["save", "swap", "held", "remove", "hand_back"])
async def test_a_lost_answer_leaves_no_loan_behind(lose: str, called_off: bool) -> None:
    cluster = cluster_of(LosesAnswers, lose=lose)
    loop, store = scene(cluster)
    while not cluster.loans:  # until something is borrowed
        await run_until(loop, cluster.clock, cluster.clock.at + 1.0)
    if called_off:
        (show,) = store.events
        store.delete(show)
    await run_until(loop, cluster.clock, T0 + 3600.0)
    assert (cluster.things["order"].level, cluster.things["order"].manager, cluster.loans) == (2, "helm", {})


async def test_a_value_of_the_users_is_not_overwritten_because_one_save_failed() -> None:
    cluster = cluster_of(LosesAnswers, lose="save", times=0)
    assert isinstance(cluster, LosesAnswers)
    loop, _ = scene(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    cluster.things["order"].write(5, "kubectl-edit", cluster.clock.now())
    cluster.times = 3
    await run_until(loop, cluster.clock, T0 + 3600.0)
    assert (cluster.things["order"].level, cluster.loans) == (5, {})


@pytest.mark.parametrize("blind", [False, True], ids=["seen right after", "not seen right after"])
@pytest.mark.parametrize("error", [ConflictError("not as believed"), RefusedError("forbidden")])
async def test_a_first_write_that_was_done_and_refused_keeps_the_loan_that_knows_the_original(
    error: Exception, blind: bool
) -> None:
    @dataclass
    class DoneAndRefused(FakeCluster):
        times: int = 1
        blind: bool = False

        async def swap(self, place: Place, *, believed: int, wanted: int) -> None:
            await super().swap(place, believed=believed, wanted=wanted)
            if self.times:
                self.times, self.blind = 0, blind
                raise error

        async def held(self, place: Place) -> Held:
            if self.blind:
                self.blind = False
                raise UnavailableError("no answer")
            return await super().held(place)

    cluster = cluster_of(DoneAndRefused)
    loop, _ = scene(cluster)
    await run_until(loop, cluster.clock, T0 + 3600.0)
    assert (cluster.things["order"].level, cluster.things["order"].manager, cluster.loans) == (2, "helm", {})


# ---- what cannot be understood


@dataclass
class Unreadable(FakeCluster):
    """Its Loans cannot be understood."""

    blind: bool = True

    async def list(self) -> list[Loan | UnreadableLoan]:
        loans = await super().list()
        if not self.blind:
            return list(loans)
        return [
            UnreadableLoan(one.key, "spec.original: is 'twelve', should be a number", one.place.ref) for one in loans
        ]


async def test_a_loan_that_cannot_be_understood_is_not_overwritten_and_shown() -> None:
    cluster = cluster_of(Unreadable, blind=False)
    assert isinstance(cluster, Unreadable)
    loop, store = scene(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    (before,) = cluster.loans.values()
    cluster.blind = True
    second = operator(cluster, store, leader=Leader(epoch=2))
    plans = []
    await run_until(second, cluster.clock, T0 + 1800.0, each=lambda b: plans.append(b.plan.targets[KEY]))
    assert list(cluster.loans.values()) == [before]
    assert cluster.things["order"].level == 10, "nobody moves a field whose original is not known"
    assert (plans[-1].reason, "spec.original" in plans[-1].message) == (Reason.UNREADABLE, True)
    cluster.blind = False
    await run_until(operator(cluster, store, leader=Leader(epoch=3)), cluster.clock, T0 + 3600.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


# ---- one thing that fails stops nobody


@pytest.mark.parametrize("error", [UnavailableError("no answer"), RefusedError("forbidden"), KeyError("spec")])
@pytest.mark.parametrize("call", ["remove", "held", "swap", "save"])
async def test_a_loan_that_cannot_be_ended_ends_no_beat(call: str, error: Exception) -> None:
    cluster = cluster_of()
    loop, store = two_policies(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    assert len(cluster.loans) == 2
    del store.policy_map[OTHER]
    real: Callable[..., object] = getattr(cluster, call)

    async def failing(what: object, *rest: object, **given: object) -> object:
        place = what.place if isinstance(what, Loan) else what
        if isinstance(place, Place) and place.ref.name == "gone":
            raise error
        return await real(what, *rest, **given)  # type: ignore[misc]

    setattr(cluster, call, failing)
    store.put(event(level=2000.0))
    beats: list[float] = []
    await run_until(loop, cluster.clock, T0 + 120.0, each=lambda b: beats.append(b.now))
    assert len(beats) >= 4
    assert cluster.things["order"].level == 20


async def test_changes_that_a_failed_plan_took_are_planned_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = cluster_of()
    store = FakeStore({CORE: policy(target(), hold=30.0)}, {})
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 - 200.0)
    store.put(event())

    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr("tidegate.planning.plan.Planner.begin", fails)
        with pytest.raises(MemoryError):
            await loop.turn()
    await run_until(loop, cluster.clock, T0 + 60.0)
    assert cluster.things["order"].level == 10


# ---- who does not lead


async def test_who_lost_the_lease_between_swap_and_hand_back_hands_nothing_back() -> None:
    leader = Leader()
    handed: list[bool] = []

    @dataclass
    class Deposing(FakeCluster):
        async def swap(self, place: Place, *, believed: int, wanted: int) -> None:
            await super().swap(place, believed=believed, wanted=wanted)
            if wanted == 2:  # the answer took long: another leads by now, and borrows the field anew
                leader.leads = False
                await super().swap(place, believed=2, wanted=10)

        async def hand_back(self, place: Place, manager: Manager | None) -> None:
            handed.append(leader.leads)
            await super().hand_back(place, manager)

    cluster = cluster_of(Deposing)
    show = event(duration=300.0)
    store = FakeStore({CORE: policy(target(), hold=30.0, rate=1.0)}, {show.key: show})
    await run_until(operator(cluster, store, leader=leader), cluster.clock, T0 + 900.0)
    assert all(handed)
    assert cluster.things["order"].manager == MANAGER


async def test_a_new_leadership_reads_all_loans_before_it_writes() -> None:
    """Between two of our own leaderships another one stepped the level down, and then it was over for him."""
    cluster, leader = cluster_of(), Leader()
    show = event(duration=600.0)
    store = FakeStore({CORE: policy(target(), hold=30.0, rate=0.4)}, {show.key: show})
    loop = operator(cluster, store, leader=leader)
    await run_until(loop, cluster.clock, T0 + 60.0)
    leader.leads = False
    other = operator(cluster, store, leader=Leader(epoch=2))
    await run_until(other, cluster.clock, T0 + 700.0)
    between = cluster.things["order"].level
    assert between < 10
    leader.leads, leader.epoch = True, 3
    await run_until(loop, cluster.clock, T0 + 3600.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {}), "its own old sight of 10 was nobody's intent"


async def test_a_policy_that_is_replaced_in_mid_show_does_not_dip() -> None:
    cluster = cluster_of()
    core = policy(target(), hold=30.0, rate=0.5)
    show = event(level=10000.0)
    store = FakeStore({CORE: core}, {show.key: show})
    loop = operator(cluster, store)
    await run_until(loop, cluster.clock, T0 + 300.0)
    del store.policy_map[CORE]
    for _ in range(3):
        cluster.clock.at += 1.0
        await loop.turn()
        assert cluster.things["order"].level == 100
    store.policy_map[CORE] = replace(core, uid="another")
    await run_until(loop, cluster.clock, T0 + 360.0)
    assert cluster.things["order"].level == 100


# ---- one object by two names


@dataclass
class TwoVersions(FakeCluster):
    """One custom resource, served in two versions."""

    async def see(self, ref: Ref) -> Sight:
        thing = self.things["order"]
        thing.advance(self.clock.now())
        place = Place(ref, thing.uid, "/spec/replicas", "scale")
        return Sight(self._observed(thing), place, self._held(thing))

    async def examine(self, ref: Ref) -> Sight:
        return await self.see(ref)


def fleet(version: str, name: str = "order") -> Ref:
    return Ref(f"games.example/{version}", "Fleet", NS, name)


async def test_one_object_named_by_two_of_its_versions_is_driven_by_one_policy_and_returned() -> None:
    cluster = cluster_of(TwoVersions)
    policies = {
        CORE: policy(replace(target(), ref=fleet("v1")), hold=30.0, rate=1.0),
        OTHER: policy(replace(target(), ref=fleet("v1beta1")), key=OTHER, hold=30.0, rate=1.0),
    }
    second = replace(event("second", level=2000.0, start=T0 + 120.0, duration=300.0), policy="other")
    store = FakeStore(policies, {e.key: e for e in (event(duration=600.0), second)})
    await run_until(operator(cluster, store), cluster.clock, T0 + 3000.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


async def test_two_loans_that_an_older_version_took_of_one_object_end_as_one() -> None:
    """It named them by the version of the object: the older one knows the owner's value."""
    cluster = cluster_of(TwoVersions, at=T0)
    cluster.things["order"].write(20, MANAGER, T0)
    for version, original, started in (("v1beta1", 10, T0 - 50.0), ("v1", 2, T0 - 100.0)):
        place = Place(fleet(version), "u1", "/spec/replicas", "scale")
        loan = a_loan(place=place, original=original, pending=20, verified=20, started_at=started, key=Key(NS, version))
        cluster.loans[loan.key] = loan
    await run_until(operator(cluster, FakeStore({}, {})), cluster.clock, T0 + 1800.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


# ---- clocks and ages


async def test_a_clock_that_was_ahead_does_not_keep_a_loan() -> None:
    cluster = cluster_of()
    loop, store = scene(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    ((key, loan),) = cluster.loans.items()
    cluster.loans[key] = replace(loan, stepped_at=loan.stepped_at + 86_400.0, started_at=loan.started_at + 86_400.0)
    await run_until(operator(cluster, store, leader=Leader(epoch=2)), cluster.clock, T0 + 3600.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


@pytest.mark.parametrize("step", [-86_400.0, -600.0, 600.0, 86_400.0])
async def test_a_clock_that_is_stepped_lowers_nothing_too_early_and_returns_everything(step: float) -> None:
    cluster = cluster_of()
    loop, _ = scene(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    cluster.clock.at += step
    await run_until(loop, cluster.clock, cluster.clock.at + 30.0)
    cluster.clock.at -= step
    await run_until(loop, cluster.clock, T0 + 3600.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


async def test_yesterdays_reading_is_stale_today() -> None:
    metrics = NoMetrics({"sum(orders)": Reading(Freshness.FRESH, 5000.0, T0)})
    cluster = cluster_of()
    loop, store = scene(cluster, signals=(signal(),))
    loop.reader.metrics = metrics

    def high(_: object) -> None:
        metrics.answers["sum(orders)"] = Reading(Freshness.FRESH, 5000.0, cluster.clock.at)

    await run_until(loop, cluster.clock, T0 + 3 * 3600.0, each=high)
    assert cluster.loans == {}
    cluster.clock.at = T0 + 20 * 3600.0
    store.put(event("small", 300.0, start=cluster.clock.at + 10.0, duration=600.0))
    cluster.level_writes.clear()

    def low(_: object) -> None:
        metrics.answers["sum(orders)"] = Reading(Freshness.FRESH, 100.0, cluster.clock.at)

    low(None)
    await run_until(loop, cluster.clock, cluster.clock.at + 60.0, each=low)
    assert all(after <= 3 for _, _, _, after in cluster.level_writes), cluster.level_writes


async def test_what_was_not_seen_for_long_may_rise_and_does_not_fall() -> None:
    cluster = cluster_of()
    loop, store = scene(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    cluster.unreadable.add("order")
    await run_until(loop, cluster.clock, T0 + 200.0)
    store.put(event(level=2000.0, duration=600.0))
    await run_until(loop, cluster.clock, T0 + 260.0)
    assert cluster.things["order"].level == 20, "the write itself says whether the field is as it was believed"
    await run_until(loop, cluster.clock, T0 + 3000.0)
    assert cluster.things["order"].level == 20
    cluster.unreadable.clear()
    await run_until(loop, cluster.clock, T0 + 6000.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


@dataclass
class Refusing(FakeCluster):
    """Takes the first save of a fresh Loan for one that is there and says something else."""

    conflicts: int = 1
    asked: list[bool] = field(default_factory=list)

    async def save(self, loan: Loan, *, fresh: bool) -> None:
        self.asked.append(fresh)
        if fresh and self.conflicts:
            self.conflicts -= 1
            raise ConflictError("it is there, and says something else")
        await super().save(loan, fresh=fresh)


async def test_a_loan_that_is_there_unexpectedly_makes_all_be_read_anew() -> None:
    cluster = cluster_of(Refusing)
    loop, _ = scene(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    assert cluster.things["order"].level == 10
    await run_until(loop, cluster.clock, T0 + 3600.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})
