"""A namespace of several refuses the operator: the whole operator, before the judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import fault_run
import pytest
from fault_concerns import held_up
from fault_list import Fault
from fault_run import Outcome, run
from test_faults_harness import SCENE
from wire import Ask, Hit

from tidegate.ports import Json
from tidegate.shell.kinds import FewKinds
from tidegate.targets import loans
from tidegate.targets.client import KubeClient
from tidegate.targets.discovery import Resource

SEED = next(seed for seed in count() if replace(SCENE, seed=seed).scope is not None)
"""In which the operator is of several namespaces: that of the shop, and a tenant's."""


def closed(monkeypatch: pytest.MonkeyPatch, namespace: str, since: float, lasting: float) -> Outcome:
    """A run in which a namespace refuses the operator for some time, and the operator dies in the middle of it."""
    monkeypatch.setattr(fault_run, "draw_scene", lambda seed: replace(SCENE, seed=seed))
    refuses = Fault(1, "closed", since, lasting, {"how": "403", "namespace": namespace})
    return run(SEED, [refuses, Fault(2, "kill", since + lasting / 2, 0.0, {"slot": "a"})], tell=True)


def raised(outcome: Outcome) -> list[float]:
    return [float(line.split()[0]) for line in outcome.timeline if " level shop/web: 2 -> 10" in line]


@pytest.mark.parametrize("since", [0.0, 40.0])
def test_another_namespace_is_prepared_for_in_time(since: float, monkeypatch: pytest.MonkeyPatch) -> None:
    found = closed(monkeypatch, "tenant", since, 900.0)
    (alone,) = raised(closed(monkeypatch, "tenant", 1.0, 1.0))
    assert raised(found) == [pytest.approx(alone, abs=5.0)]
    assert found.kinds == set()


def test_the_namespace_itself_is_prepared_for_when_it_is_open_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found = closed(monkeypatch, "shop", 100.0, 260.0)
    assert 360.0 <= raised(found)[0] <= 420.0
    assert found.kinds == set()


def test_who_waits_at_a_start_for_the_namespace_that_refuses_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def everywhere(self: FewKinds, resource: Resource) -> bool:
        return all(one.listed for one in self._kinds.values() if one.resource is resource)

    monkeypatch.setattr(FewKinds, "_settled", everywhere)
    assert "never-started" in closed(monkeypatch, "tenant", 0.0, 900.0).kinds


def test_who_reads_no_loans_while_one_namespace_refuses_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def all_or_none(
        client: KubeClient, resource: Resource, namespaces: Sequence[str]
    ) -> tuple[list[Json], frozenset[str]]:
        return [one for ns in namespaces for one in await client.items(resource.path(ns))], frozenset()

    monkeypatch.setattr(loans, "listed", all_or_none)
    assert closed(monkeypatch, "tenant", 0.0, 900.0).kinds & {"no-leader", "below-need"}


def test_a_start_may_be_held_up_by_what_hangs_and_not_by_what_refuses() -> None:
    refuses = [Fault(1, "closed", 0.0, 900.0, {"how": "403", "namespace": "shop"})]

    def hit(how: str, slot: str = "a", namespace: str = "shop") -> Hit:
        return Hit(Ask(slot, f"{slot}-1", "list", "scalingpolicies", namespace, "", "GET", ""), how, 1.0, 2.0)

    assert not held_up([hit("403"), hit("hang", slot="b")], "a", refuses, 10.0)
    assert held_up([hit("403"), hit("hang")], "a", refuses, 10.0)
    assert held_up([hit("403", namespace="tidegate")], "a", refuses, 10.0)
