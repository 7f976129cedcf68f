"""Levels that come back: a tool's late copy, a rival that overrules each write, a write of ours applied late."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from fakes import FakeCluster, run_until
from scenes import a_loan, cluster_of, scene
from sites import Site, place, terms
from worlds import CORE, T0

from tidegate.control.conflicts import ASSERTIONS
from tidegate.control.drift import Drift, drift, learned
from tidegate.control.former import FORMER_SECONDS
from tidegate.control.rounds import run_once
from tidegate.planning.model import MANAGER
from tidegate.ports import Held, Loan, Manager, Place

KEY = (CORE, "order")


@pytest.mark.parametrize("manager", ["argocd", "kubectl", "helm"])
async def test_a_level_of_ours_that_a_late_copy_brings_back_is_no_new_intent(manager: str) -> None:
    loan = a_loan(levels=(20, 16, 12))
    assert drift(loan, Held(16, Manager(manager, "Update"))) is Drift.REAPPLIED
    assert learned(loan, Held(16, Manager(manager, "Update")))[0].original == 2
    assert drift(loan, Held(17, Manager(manager, "Update"))) is Drift.NEW_INTENT


async def test_a_write_of_ours_that_is_applied_late_is_ours() -> None:
    assert drift(a_loan(levels=(20, 16, 12)), Held(20, Manager(MANAGER, "Update"))) is Drift.OURS


async def test_a_late_copy_of_our_level_is_overruled_and_the_original_returned() -> None:
    cluster = cluster_of()
    loop, _ = scene(cluster)
    await run_until(loop, cluster.clock, T0 + 660.0)
    level = cluster.things["order"].level
    assert 2 < level < 10, "on its way down"
    cluster.things["order"].write(10, "argocd", cluster.clock.now())
    await run_until(loop, cluster.clock, T0 + 3600.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


@pytest.mark.parametrize(("pause", "original"), [(FORMER_SECONDS / 2, 2), (FORMER_SECONDS + 60.0, 10)])
async def test_a_late_copy_of_a_level_of_the_loan_before_is_no_new_intent_either(pause: float, original: int) -> None:
    cluster = cluster_of(at=T0)
    site = Site(cluster)
    await site.ledger.load()
    first = await site.ledger.move(place(), held=Held(2, Manager("helm", "Apply")), level=10, terms=terms())
    await site.ledger.give_back(first)
    for _ in range(10):
        cluster.clock.at += pause / 10
        site.ledger.former.by_borrower()  # as each look at what was learned does
    second = await site.ledger.move(place(), held=Held(2, Manager("helm", "Apply")), level=6, terms=terms())
    assert second.original == 2
    cluster.things["order"].write(10, "argocd", cluster.clock.now())
    site.ledger.learn(place(), await site.ledger.look(place()))
    loan = site.ledger.of(place())
    assert loan is not None
    assert loan.original == original
    await site.ledger.give_back(loan)
    assert (cluster.things["order"].level, cluster.loans) == (original, {})


async def test_the_owners_values_under_the_loan_before_are_intents_still() -> None:
    """The original of a former loan was never a level of ours; nor is one that was refused, nor what is there now."""
    cluster = cluster_of(at=T0)
    site = Site(cluster)
    await site.ledger.load()
    thing = cluster.things["order"]
    await site.ledger.give_back(await site.ledger.move(place(), held=site.held(), level=10, terms=terms()))
    for value in (10, 5):
        thing.write(value, "kubectl", cluster.clock.now())
        loan = await site.ledger.move(place(), held=site.held(), level=12, terms=terms())
        assert (loan.original, value in loan.levels) == (value, False)
        thing.write(2, "kubectl", cluster.clock.now())
        assert site.ledger.learn(place(), await site.ledger.look(place())) is Drift.NEW_INTENT
        await site.ledger.give_back(site.ledger.loans[place().id])
    assert (thing.level, cluster.loans) == (2, {})


@dataclass
class Rivalled(FakeCluster):
    """A tool brings its own level back the moment after each of our raises: before we read back, or after."""

    at_once: bool = True
    due: bool = False

    async def swap(self, place: Place, *, believed: int, wanted: int) -> None:
        await super().swap(place, believed=believed, wanted=wanted)
        self.due = wanted > 2

    async def held(self, place: Place) -> Held:
        if self.at_once:
            self.rival()
        held = await super().held(place)
        self.rival()
        return held

    def rival(self) -> None:
        if self.due:
            self.things["order"].write(2, "argocd", self.clock.now())
        self.due = False


@pytest.mark.parametrize("at_once", [True, False])
async def test_whoever_overrules_each_of_our_writes_is_given_way_to_and_named(at_once: bool) -> None:
    cluster = cluster_of(Rivalled, at_once=at_once)
    loop, _ = scene(cluster)
    verdicts = []
    await run_until(loop, cluster.clock, T0 + 300.0, each=lambda b: verdicts.append(b.plan.targets[KEY]))
    assert len(cluster.level_writes) in (ASSERTIONS, ASSERTIONS + 1)
    assert "argocd keeps setting" in verdicts[-1].message


async def test_a_level_that_is_overwritten_right_after_our_write_is_news() -> None:
    cluster = cluster_of(Rivalled, at_once=False)
    loop, _ = scene(cluster)
    await run_until(loop, cluster.clock, T0 - 300.0)
    while not cluster.level_writes:
        cluster.clock.at += 5.0
        await loop.turn()
    assert cluster.things["order"].level == 2, "as it was when we looked last"
    loop.touch(loop.looker.sights[KEY].sight.place.ref)  # type: ignore[union-attr]
    fills = loop.fills
    await run_once(loop.looker, cluster.clock.now())
    assert loop.fills > fills


@dataclass
class Remembers(FakeCluster):
    """Keeps the original that each Loan said when it was saved."""

    originals: list[int] = field(default_factory=list)

    async def save(self, loan: Loan, *, fresh: bool) -> None:
        await super().save(loan, fresh=fresh)
        self.originals.append(loan.original)


@pytest.mark.parametrize("value", [5, 30])
async def test_an_owners_new_value_is_said_in_the_loan_before_it_is_returned_to(value: int) -> None:
    """Also where it is more than is needed, so that the loan ends at once."""
    cluster = cluster_of(Remembers)
    assert isinstance(cluster, Remembers)
    loop, _ = scene(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    cluster.things["order"].write(value, "kubectl-edit", cluster.clock.now())
    await run_until(loop, cluster.clock, T0 + 3600.0)
    assert list(dict.fromkeys(cluster.originals)) == [2, value]
    assert (cluster.things["order"].level, cluster.loans) == (value, {})
