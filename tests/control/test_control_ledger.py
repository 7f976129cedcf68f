"""The order of knowledge: which sights tell of a field as it is after our last write."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from fakes import FakeCluster, HandClock, Thing
from sites import Site, place, terms
from worlds import T0

from tidegate.ports import ConflictError, Held, Place


@dataclass
class Versioned(FakeCluster):
    """A cluster whose objects bear a resourceVersion, which every write of a level moves."""

    version: int = 7

    def _swap(self, place: Place, believed: int, wanted: int) -> None:
        super()._swap(place, believed, wanted)
        self.version += 1

    def _held(self, thing: Thing) -> Held:
        return replace(super()._held(thing), version=self.version)


@pytest.mark.parametrize(("version", "want"), [(0, False), (7, False), (8, True), (9, True)])
async def test_a_look_asked_before_a_write_was_read_back_counts_if_its_version_is_not_older(
    version: int, want: bool
) -> None:
    site = Site(cluster=Versioned(HandClock(T0), {"order": Thing(level=10)}))
    await site.ledger.load()
    asked = site.ledger.tick()
    await site.lend(4)
    assert site.ledger.is_current(place(), asked=asked, version=version) is want


async def test_without_versions_only_what_was_asked_later_counts(site: Site) -> None:
    asked = site.ledger.tick()
    await site.lend(4)
    assert not site.ledger.is_current(place(), asked=asked, version=9)
    assert site.ledger.is_current(place(), asked=site.ledger.tick(), version=0)


async def test_a_first_move_that_meets_another_value_leaves_no_loan(site: Site) -> None:
    """Nothing was borrowed: nothing is owed."""
    held = site.held()
    site.cluster.things["order"].write(12, "helm", T0)
    with pytest.raises(ConflictError):
        await site.ledger.move(place(), held=held, level=4, terms=terms())
    assert (site.ledger.loans, site.cluster.loans) == ({}, {})


async def test_a_further_move_that_meets_another_value_keeps_the_loan_and_its_original(site: Site) -> None:
    await site.lend(4)
    held = site.held()
    site.cluster.things["order"].write(7, "argocd", T0)
    with pytest.raises(ConflictError):
        await site.ledger.move(place(), held=held, level=2, terms=terms())
    assert [loan.original for loan in site.ledger.loans.values()] == [10]
    assert [loan.original for loan in site.cluster.loans.values()] == [10]
