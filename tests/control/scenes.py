"""One show on one workload, and a Loan of it."""

from __future__ import annotations

from dataclasses import replace

from fakes import FakeCluster, FakeStore, HandClock, Thing, key_of, operator
from worlds import CORE, NS, T0, event, policy, target

from tidegate.control.loop import Loop
from tidegate.planning.model import Ref
from tidegate.ports import Loan, Manager, Place


def scene(cluster: FakeCluster, **given: object) -> tuple[Loop, FakeStore]:
    show = event(duration=600.0)
    store = FakeStore({CORE: policy(target(), hold=30.0, rate=0.4, **given)}, {show.key: show})  # type: ignore[arg-type]
    return operator(cluster, store), store


def cluster_of(kind: type[FakeCluster] = FakeCluster, at: float = T0 - 300.0, **given: object) -> FakeCluster:
    return kind(HandClock(at), {"order": Thing()}, **given)  # type: ignore[arg-type]


def a_loan(**given: object) -> Loan:
    place = Place(Ref("apps/v1", "Deployment", NS, "order"), "u1", "/spec/replicas", "scale")
    loan = Loan(key_of(place), place, CORE, "order", 2, Manager("helm", "Apply"), 12, 12, 20, T0, T0, T0 + 600.0, 1)
    return replace(loan, **given)  # type: ignore[arg-type]
