"""``tidegate release``: what it writes into Loans, and while a write that got no answer may still be carried out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from fakes import FakeCluster, HandClock, Leader, Thing, key_of
from worlds import CORE, T0

from tidegate.cli.release import _give_back, _return_loans
from tidegate.control.late import LATE_SECONDS
from tidegate.control.ledger import Ledger
from tidegate.planning.model import Ref
from tidegate.ports import Beneath, Loan, Manager, Place

HELM = Manager("helm", "Apply")


def lent(cluster: FakeCluster, verified: int | None) -> Loan:
    """A loan as a process that died left it, in the middle of its first write or after it."""
    place = cluster.place("order")
    loan = Loan(
        key=key_of(place), place=place, policy=CORE, target="order", original=2, former=HELM, verified=verified,
        pending=10, highest=10, started_at=T0, stepped_at=T0, until=T0 + 60.0, epoch=1, wanted_by=(), levels=(10,),
    )  # fmt: skip
    cluster.loans[loan.key] = loan
    return loan


@pytest.mark.parametrize("landed", [False, True], ids=["not yet carried out", "carried out meanwhile"])
async def test_a_loan_of_a_first_write_without_an_answer_is_named_and_ends_when_none_can_come(landed: bool) -> None:
    cluster = FakeCluster(HandClock(T0 + 20.0), {"order": Thing()})
    loan = lent(cluster, verified=None)
    if landed:
        cluster.things["order"].write(10, "tidegate", T0)
    ledger = Ledger(cluster, cluster, cluster.clock, Leader(), key_of)
    await ledger.load()
    said = await _give_back(ledger, loan)
    assert (cluster.things["order"].level, cluster.things["order"].manager) == (2, "helm")
    assert said == (
        "holds 2; a write of 10 got no answer and may still be carried out, so the Loan stays: run this again after"
        " 2026-11-09T16:05:00Z"
    )
    assert cluster.loans
    cluster.clock.at = T0 + LATE_SECONDS + 1.0
    again = Ledger(cluster, cluster, cluster.clock, Leader(), key_of)
    await again.load()
    assert (await _give_back(again, loan), cluster.loans) == ("", {})


async def test_a_loan_whose_level_was_read_back_ends_at_once() -> None:
    cluster = FakeCluster(HandClock(T0 + 20.0), {"order": Thing()})
    loan = lent(cluster, verified=10)
    cluster.things["order"].write(10, "tidegate", T0)
    ledger = Ledger(cluster, cluster, cluster.clock, Leader(), key_of)
    await ledger.load()
    assert (await _give_back(ledger, loan), cluster.loans) == ("", {})
    assert cluster.things["order"].level == 2


@dataclass
class Recorded(FakeCluster):
    """Keeps what is written into Loans."""

    saved: list[tuple[Loan, bool]] = field(default_factory=list)

    async def save(self, loan: Loan, *, fresh: bool) -> None:
        self.saved.append((loan, fresh))
        await super().save(loan, fresh=fresh)


async def test_a_loan_keeps_the_epoch_of_the_leader_that_wrote_it() -> None:
    """Whoever releases may not write another one: it would depose a leader."""
    cluster = Recorded(HandClock(T0 + 20.0), {"order": Thing(), "pay": Thing(uid="u2")})
    first = lent(cluster, verified=10)
    place = cluster.place("pay")
    second = replace(first, key=key_of(place), place=place, target="pay", epoch=2)
    cluster.loans[second.key] = second
    for thing in cluster.things.values():
        thing.write(10, "tidegate", T0)
    for epoch in (1, 2):
        ledger = Ledger(cluster, cluster, cluster.clock, Leader(epoch=epoch), key_of)
        returned, failed = await _return_loans(ledger)
        assert (len(returned), failed) == (1, {})
    assert {(loan.key, loan.epoch) for loan, _ in cluster.saved} == {(first.key, 1), (second.key, 2)}
    assert (cluster.loans, [thing.level for thing in cluster.things.values()]) == ({}, [2, 2])


async def test_what_a_workload_owes_for_its_autoscaler_that_is_gone_is_returned_without_another_loan() -> None:
    cluster = Recorded(HandClock(T0 + 20.0), {"order": Thing()})
    below = cluster.place("order")
    hpa = Place(
        Ref("autoscaling/v2", "HorizontalPodAutoscaler", below.ref.namespace, "gone"), "u9", "/spec/minReplicas"
    )
    loan = replace(lent(cluster, verified=10), place=hpa, key=key_of(hpa), beneath=Beneath(below, 3))
    cluster.loans = {loan.key: loan}
    cluster.things["order"].write(10, "tidegate", T0)
    ledger = Ledger(cluster, cluster, cluster.clock, Leader(), key_of)
    await ledger.load()
    assert (await _give_back(ledger, loan), cluster.loans, cluster.saved) == ("", {}, [])
    assert (cluster.things["order"].level, cluster.things["order"].manager) == (3, None)
