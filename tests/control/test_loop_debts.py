"""What stands in front of a workload changes while something is lent: what is owed moves along, and is returned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from fakes import Faults, Killed, Leader, Thing, operator, run_until
from scalers import ScaledCluster, Scaler, scaled, show
from worlds import CORE, NS, T0, event, policy, target

from tidegate.control.loop import Beat
from tidegate.planning.model import Key
from tidegate.planning.override import Override, OverrideAction
from tidegate.ports import Manager

HELM = Manager("helm", "Apply")
KEDA = "ScaledObject/order"

Change = Callable[[ScaledCluster], None]


def adds(name: str = "web", **given: object) -> Change:
    def change(cluster: ScaledCluster) -> None:
        cluster.hpas[name] = Scaler(**given)  # type: ignore[arg-type]

    return change


def removes(name: str = "web") -> Change:
    return lambda cluster: cluster.hpas.__delitem__(name) and None


def both(*changes: Change) -> Change:
    def change(cluster: ScaledCluster) -> None:
        for one in changes:
            one(cluster)

    return change


def points_elsewhere(cluster: ScaledCluster) -> None:
    cluster.things["other"] = Thing()
    cluster.hpas["web"].scales = "other"


def made_again(cluster: ScaledCluster) -> None:
    cluster.things["order"] = Thing(uid="u2")


def made_again_of_a_copy(cluster: ScaledCluster) -> None:
    cluster.things["order"] = replace(cluster.things["order"], uid="u2", manager="kubectl")
    cluster.spoke.pop("order", None)


def copied(name: str = "web", **given: object) -> Change:
    """An HPA is made again from what was read while it was lifted."""

    def change(cluster: ScaledCluster) -> None:
        before = cluster.hpas.pop("web")
        cluster.hpas[name] = replace(before, uid="h2", manager=HELM, minima=[], **given)  # type: ignore[arg-type]

    return change


@dataclass(frozen=True)
class Case:
    """What happens to a show of ten minutes."""

    name: str
    hpas: dict[str, Scaler]
    changes: tuple[tuple[float, Change], ...]
    """Seconds after T-0."""
    rest: int = 2
    """Pods that are asked for when all is over."""
    minima: dict[str, int] | None = None
    """Of the HPAs that are there then; 2 each."""
    gentle: str = ""
    """An HPA whose floor comes down in steps."""


OF_ITS_OWN = {"web": Scaler()}
BUSY = {"web": Scaler(asks=6)}

CASES = (
    Case("an HPA comes", {}, ((60.0, adds()),), gentle="web"),
    Case("an HPA with a minimum of its own comes", {}, ((60.0, adds(minimum=4)),), 4, {"web": 4}, gentle="web"),
    Case("an HPA comes whose minimum is what stands there", {}, ((60.0, adds(minimum=10)),), gentle="web"),
    Case(
        "an HPA whose minimum is what stands there comes and goes", {}, ((60.0, adds(minimum=10)), (120.0, removes()))
    ),
    Case("an HPA comes on the way down", {}, ((660.0, adds()),), gentle="web"),
    Case("an HPA comes and goes", {}, ((60.0, adds()), (120.0, removes()))),
    Case("an HPA with a minimum above the level comes and goes", {}, ((60.0, adds(minimum=12)), (90.0, removes()))),
    Case("an HPA comes and goes on the way down", {}, ((660.0, adds()), (690.0, removes()))),
    Case("an HPA comes and goes after the hold", {}, ((60.0, adds()), (690.0, removes()))),
    Case("an HPA goes", OF_ITS_OWN, ((60.0, removes()),)),
    Case("an HPA of a busy workload goes", BUSY, ((60.0, removes()),), 6),
    Case("an HPA goes on the way down", OF_ITS_OWN, ((690.0, removes()),)),
    Case("an HPA goes and comes", OF_ITS_OWN, ((60.0, removes()), (120.0, adds(uid="h2"))), gentle="web"),
    Case("an HPA is made again", OF_ITS_OWN, ((60.0, both(removes(), adds(uid="h2"))),), gentle="web"),
    Case("an HPA is made again of a copy", OF_ITS_OWN, ((60.0, copied()),), gentle="web"),
    Case("a copy is made again and goes", OF_ITS_OWN, ((60.0, copied()), (120.0, removes()))),
    Case("an HPA is renamed", OF_ITS_OWN, ((60.0, both(removes(), adds("new"))),), gentle="new"),
    Case("an HPA is renamed on the way down", OF_ITS_OWN, ((660.0, both(removes(), adds("new"))),), gentle="new"),
    Case(
        "an HPA is renamed and goes", BUSY, ((60.0, both(removes(), adds("new", asks=6))), (120.0, removes("new"))), 6
    ),
    Case("an HPA is renamed in a copy", OF_ITS_OWN, ((60.0, copied("new")),), gentle="new"),
    Case("an HPA points elsewhere", OF_ITS_OWN, ((60.0, points_elsewhere),), gentle="web"),
    Case("a second HPA comes and stays", OF_ITS_OWN, ((60.0, adds("new", uid="h2")),), gentle="web"),
    Case("a second HPA comes and the first goes", OF_ITS_OWN, ((60.0, adds("new", uid="h2")), (90.0, removes()))),
    Case("two HPAs come", {}, ((60.0, both(adds(), adds("new"))),)),
    Case("two HPAs come and go", {}, ((60.0, both(adds(), adds("new"))), (120.0, both(removes(), removes("new"))))),
    Case("KEDA's HPA comes", {}, ((60.0, adds("keda", controller=KEDA)),)),
    Case("KEDA's HPA comes and goes", {}, ((60.0, adds("keda", controller=KEDA, asks=None)), (120.0, removes("keda")))),
    Case("KEDA's HPA takes the place", OF_ITS_OWN, ((60.0, both(removes(), adds("keda", controller=KEDA))),)),
    Case(
        "KEDA's HPA takes the place and goes",
        OF_ITS_OWN,
        ((60.0, both(removes(), adds("keda", controller=KEDA, asks=None))), (120.0, removes("keda"))),
    ),
    Case("a workload is made again", {}, ((60.0, made_again),)),
    Case("a workload is made again of a copy", {}, ((60.0, made_again_of_a_copy),)),
    Case("a workload behind its HPA is made again", OF_ITS_OWN, ((60.0, made_again),), gentle="web"),
    Case(
        "a workload is made again of a copy and loses its HPA",
        OF_ITS_OWN,
        ((60.0, both(made_again_of_a_copy, removes())),),
    ),
)
EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
LATE = T0 + 3600.0
SOON = T0 + 1500.0


def everything_is_returned(cluster: ScaledCluster, case: Case) -> None:
    assert cluster.loans == {}
    assert cluster.things["order"].level == case.rest
    assert {name: one.minimum for name, one in cluster.hpas.items()} == (case.minima or dict.fromkeys(cluster.hpas, 2))
    assert all(one.manager.name != "tidegate" for one in cluster.hpas.values())


@EVERY
async def test_whatever_comes_in_front_of_a_workload_or_goes_all_is_returned(case: Case) -> None:
    cluster = scaled(**case.hpas)
    loop, _ = show(cluster)
    for at, change in case.changes:
        await run_until(loop, cluster.clock, T0 + at)
        change(cluster)
    await run_until(loop, cluster.clock, LATE)
    everything_is_returned(cluster, case)
    if case.gentle:
        falls = cluster.hpas[case.gentle].minima
        assert len(falls) > 3, f"in steps, not at once: {falls}"


@EVERY
async def test_what_changes_while_the_operator_is_away_is_returned_by_the_next_life(case: Case) -> None:
    cluster = scaled(**case.hpas)
    loop, store = show(cluster)
    await run_until(loop, cluster.clock, T0 + 55.0)
    for at, change in case.changes:
        cluster.clock.at = T0 + at
        change(cluster)
        cluster.sync()
    await run_until(operator(cluster, store, leader=Leader(epoch=2)), cluster.clock, LATE)
    everything_is_returned(cluster, case)


CALLS = 36
"""Calls that an evening makes at the most."""
KILLED = ("an HPA comes and goes", "an HPA goes", "an HPA is renamed on the way down")


@pytest.mark.parametrize("case", [case for case in CASES if case.name in KILLED], ids=lambda case: case.name)
@pytest.mark.parametrize("kill_at", range(2, 2 * CALLS + 2))
async def test_killed_at_any_call_nothing_that_is_owed_is_lost(case: Case, kill_at: int) -> None:
    cluster = scaled(**case.hpas)
    cluster.faults = Faults(kill_at)
    loop, store = show(cluster)
    todo = [(T0 + at, change) for at, change in case.changes]
    while cluster.clock.at < SOON:
        until = todo[0][0] if todo else SOON
        try:
            await run_until(loop, cluster.clock, until)
        except Killed:
            loop = operator(cluster, store, leader=Leader(epoch=2))
            continue
        if todo:
            todo.pop(0)[1](cluster)
    assert cluster.faults.calls <= CALLS
    everything_is_returned(cluster, case)


# ---- whose debt it is


async def test_of_what_an_hpa_takes_over_the_first_loan_goes_once_the_second_says_what_is_owed() -> None:
    cluster = scaled()
    loop, _ = show(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    cluster.hpas["web"] = Scaler(minimum=3)
    seen: list[list[tuple[str, int]]] = []

    def note(_: Beat) -> None:
        seen.append(sorted((one.place.ref.kind, one.original) for one in cluster.loans.values()))

    await run_until(loop, cluster.clock, T0 + 90.0, each=note)
    both_are = [("Deployment", 2), ("HorizontalPodAutoscaler", 3)]
    assert [one for n, one in enumerate(seen) if one != seen[n - 1] or n == 0] == [both_are, both_are[1:]]
    (loan,) = cluster.loans.values()
    assert loan.beneath is not None
    assert (loan.verified, loan.beneath.level, loan.beneath.place.ref.name) == (10, 2, "order")


async def test_a_number_that_a_person_writes_after_the_hpa_went_is_that_persons() -> None:
    cluster = scaled(web=Scaler())
    loop, _ = show(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    del cluster.hpas["web"]
    cluster.write("order", 7, Manager("kubectl", "Update", "scale"))
    await run_until(loop, cluster.clock, T0 + 3600.0)
    assert (cluster.things["order"].level, cluster.loans) == (7, {})


async def test_a_workload_keeps_what_its_hpa_was_told_to_keep_at_least() -> None:
    cluster = scaled(web=Scaler())
    loop, _ = show(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    cluster.hpas["web"].minimum, cluster.hpas["web"].manager = 5, Manager("kubectl-edit", "Update")
    await run_until(loop, cluster.clock, T0 + 90.0)
    del cluster.hpas["web"]
    await run_until(loop, cluster.clock, T0 + 3600.0)
    assert (cluster.things["order"].level, cluster.loans) == (5, {})


async def test_an_hpa_that_goes_as_its_floor_is_returned_leaves_the_debt() -> None:
    """The decision rests on a watch that still shows it."""
    cluster = scaled(web=Scaler())
    loop, _ = show(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    (loan,) = cluster.loans.values()
    del cluster.hpas["web"]
    with pytest.raises(Exception, match="is gone"):
        await loop.ledger.give_back(loan)
    assert list(cluster.loans.values()) == [loan]
    await run_until(loop, cluster.clock, T0 + 3600.0)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


@pytest.mark.parametrize("change", [removes(), both(removes(), adds("new"))], ids=["goes", "is renamed"])
@pytest.mark.parametrize("asks", [2, 6])
async def test_of_a_loan_whose_policy_is_gone_too_nothing_stays_up(change: Change, asks: int) -> None:
    cluster = scaled(web=Scaler(asks=asks))
    loop, store = show(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    store.policy_map.clear()
    await run_until(loop, cluster.clock, T0 + 100.0)
    change(cluster)
    await run_until(loop, cluster.clock, LATE)
    assert (cluster.things["order"].level, cluster.loans) == (2 if cluster.hpas else asks, {})


async def test_a_target_under_another_name_takes_the_debt_along() -> None:
    cluster = scaled(web=Scaler())
    loop, store = show(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    renamed = replace(target(), name="renamed")
    store.policy_map[CORE] = policy(renamed, hold=30.0, rate=0.4)
    del cluster.hpas["web"]
    await run_until(loop, cluster.clock, LATE)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


@pytest.mark.parametrize("behind", [False, True], ids=["bare", "behind an HPA"])
async def test_a_target_that_names_another_workload_by_now_owes_nothing_of_the_first_one(behind: bool) -> None:
    cluster = scaled()
    cluster.things["other"] = Thing(level=10, ready=10, uid="u9")
    if behind:
        cluster.hpas["front"] = Scaler(scales="other", asks=10, minimum=3)
    loop, store = show(cluster)
    await run_until(loop, cluster.clock, T0 + 660.0)
    moved = replace(target("other"), name="order")
    store.policy_map[CORE] = policy(moved, hold=30.0, rate=0.4)
    await run_until(loop, cluster.clock, LATE)
    assert (cluster.things["order"].level, cluster.things["other"].level, cluster.loans) == (2, 10, {})
    assert [one.minima for one in cluster.hpas.values()] == ([[]] if behind else [])


async def test_an_hpa_that_is_renamed_during_a_pause_and_goes_after_it_leaves_the_debt() -> None:
    cluster = scaled(web=Scaler(asks=None))
    loop, store = show(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    pause = Override(
        Key(NS, "x"), "core", None, OverrideAction.PAUSE, T0 + 120.0, "oncall", "a look", created=T0 + 60.0
    )
    store.override_list = [pause]
    await run_until(loop, cluster.clock, T0 + 70.0)
    both(removes(), adds("new", asks=None))(cluster)
    await run_until(loop, cluster.clock, T0 + 119.0)
    assert cluster.hpas["new"].minima == [], "nothing is written during a pause"
    await run_until(loop, cluster.clock, T0 + 180.0)
    del cluster.hpas["new"]
    await run_until(loop, cluster.clock, LATE)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


async def test_pods_that_stayed_after_a_loan_are_nobodys_number_under_the_next_one() -> None:
    cluster = scaled(web=Scaler(asks=None))
    loop, store = show(cluster)
    store.put(event("second", start=T0 + 1400.0, duration=600.0))
    await run_until(loop, cluster.clock, T0 + 1200.0)
    assert (cluster.things["order"].level, cluster.loans) == (10, {})
    await run_until(loop, cluster.clock, T0 + 1500.0)
    del cluster.hpas["web"]
    await run_until(loop, cluster.clock, LATE)
    assert (cluster.things["order"].level, cluster.loans) == (2, {})


# ---- others' autoscalers


FOREIGN: dict[str, Change] = {
    "KEDA's": adds("keda", controller=KEDA, asks=None),
    "one that we may not write": adds(asks=None, refuses=True),
    "two": both(adds(asks=None), adds("new", asks=None)),
}


@pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN.keys())
@pytest.mark.parametrize("policy_goes", [False, True])
async def test_nothing_is_stepped_down_through_scale_against_an_autoscaler(change: Change, policy_goes: bool) -> None:
    cluster = scaled()
    loop, store = show(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    cluster.replicas.clear()
    change(cluster)
    if policy_goes:
        store.policy_map.clear()
    await run_until(loop, cluster.clock, LATE)
    assert cluster.replicas == []
    assert cluster.loans == {}


async def test_two_hpas_are_stepped_down_at_the_policys_rate() -> None:
    cluster = scaled(web=Scaler())
    loop, _ = show(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    cluster.hpas["new"] = Scaler(uid="h2")
    await run_until(loop, cluster.clock, LATE)
    assert cluster.hpas["web"].minima == [10, 8, 6, 4, 2]


# ---- replicas: null


LEFT_OUT = (Manager("kubectl-client-side-apply", "Update"), Manager("helm", "Apply"), None)


@pytest.mark.parametrize("by", LEFT_OUT)
async def test_a_field_that_a_tool_leaves_out_is_no_wish_for_one_pod(by: Manager | None) -> None:
    cluster = scaled()
    cluster.things["order"] = Thing(level=3, ready=3)
    loop, _ = show(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    cluster.write("order", 1, by)
    await loop.turn()
    assert cluster.things["order"].level == 10
    await run_until(loop, cluster.clock, LATE)
    assert (cluster.things["order"].level, cluster.loans) == (3, {})


async def test_one_pod_asked_for_through_scale_is_a_wish() -> None:
    cluster = scaled()
    cluster.things["order"] = Thing(level=3, ready=3)
    loop, _ = show(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    cluster.write("order", 1, Manager("kubectl", "Update", "scale"))
    await run_until(loop, cluster.clock, LATE)
    assert (cluster.things["order"].level, cluster.loans) == (1, {})


async def test_a_minimum_that_a_tool_leaves_out_is_no_wish_for_one_pod_either() -> None:
    cluster = scaled(web=Scaler())
    loop, _ = show(cluster)
    await run_until(loop, cluster.clock, T0 + 60.0)
    cluster.hpas["web"].minimum, cluster.hpas["web"].manager = 1, Manager("kubectl-client-side-apply", "Update")
    await run_until(loop, cluster.clock, LATE)
    assert (cluster.hpas["web"].minimum, cluster.loans) == (2, {})


# ---- an HPA without a metric that works


async def test_a_floor_that_comes_down_before_an_hpa_without_a_metric_says_that_the_pods_stay() -> None:
    cluster = scaled(web=Scaler(asks=None))
    loop, _ = show(cluster)
    said: list[str] = []
    await run_until(loop, cluster.clock, LATE, each=lambda beat: said.extend(one.message for one in beat.applied))
    assert (cluster.hpas["web"].minimum, cluster.loans, cluster.things["order"].level) == (2, {}, 10)
    words = "; the pods stay at 10: HorizontalPodAutoscaler/web takes none away without a metric that works"
    assert words in said[-1]
    assert "FailedGetResourceMetric" in said[-1]


async def test_of_an_hpa_that_follows_its_floor_nothing_is_said() -> None:
    cluster = scaled(web=Scaler(asks=6))
    loop, _ = show(cluster)
    said: list[str] = []
    await run_until(loop, cluster.clock, LATE, each=lambda beat: said.extend(one.message for one in beat.applied))
    assert said
    assert not any("stay" in one for one in said)
