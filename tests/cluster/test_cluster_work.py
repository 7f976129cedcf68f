"""Pools, Jobs and what was learned, on the cluster that KUBECONFIG points to, else on the embedded one."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from borrowed import HELM, apply, deployment, eventually, job, path, ref
from contract import installed

from tidegate.api.crd import all_crds
from tidegate.api.learned import learned_from_object, learned_to_object
from tidegate.planning.model import Identity, Key, Measured
from tidegate.planning.resources import NOTHING, Resources, total
from tidegate.planning.shift.facts import Holder
from tidegate.planning.shift.model import Lane, MemberKind, MemberRef, Pool
from tidegate.planning.shift.outcome import Promise
from tidegate.ports import ConflictError, Ended, FieldId, LastValid, Learned, PoolSight
from tidegate.targets.client import Form, KubeClient
from tidegate.targets.learned import KubeLearnedBook
from tidegate.targets.pools import KubePools
from tidegate.targets.registry import KubeTargets
from tidegate.targets.takes import there_is

pytestmark = pytest.mark.cluster

Json = dict[str, Any]
MARK = "contract.tidegate.dev/pool"
WORK = {"work": "nightly"}


@pytest.fixture
def targets(kube: KubeClient) -> KubeTargets:
    return KubeTargets(kube, lifetime=0.0)


# ---- jobs


async def test_a_job_is_stopped_and_started_through_its_suspend(
    kube: KubeClient, ns: str, targets: KubeTargets
) -> None:
    night = job(ns)
    await apply(kube, night)
    sight = await KubePools(kube, targets, now=time.time).see(pool_of(ns))
    place, held = sight.places[ref(night)]
    assert (place.field, held.value, held.manager) == ("/spec/suspend", 1, HELM)
    with pytest.raises(ConflictError):
        await targets.swap(place, believed=0, wanted=1)
    await targets.swap(place, believed=1, wanted=0)
    assert (await kube.get(path(night)))["spec"]["suspend"] is True
    assert (await targets.held(place)).value == 0
    await targets.swap(place, believed=0, wanted=1)
    await targets.hand_back(place, HELM)
    back = await targets.held(place)
    assert (back.value, back.manager) == (1, HELM)
    night["spec"]["suspend"] = True
    assert (await apply(kube, night))["spec"]["suspend"] is True, "without force"


async def test_a_job_is_no_target_but_its_work_may_stop(kube: KubeClient, ns: str, targets: KubeTargets) -> None:
    await apply(kube, job(ns))
    sight = await targets.see(ref(job(ns)))
    assert sight.place is None
    assert sight.observed.trouble is not None


# ---- pools


def pool_of(ns: str, **given: Any) -> Pool:
    jobs = MemberRef("nightly", "batch/v1", "Job", ns, labels=tuple(WORK.items()))
    named = MemberRef("night", "batch/v1", "Job", ns, "night")
    loader = MemberRef("loader", "apps/v1", "Deployment", ns, "loader")
    lanes = (Lane("trading", 40, frozenset({ns})), Lane("data", 5, members=(jobs, named, loader)))
    return Pool("p", lanes, **{"given": Resources(8000, 8192), **given})


async def test_a_pool_is_its_machines_and_what_stands_on_them(kube: KubeClient, ns: str, targets: KubeTargets) -> None:
    machines = (await kube.items("/api/v1/nodes"))[:2]
    assert machines, "the cluster has machines"
    for node in machines:
        change = {"metadata": {"labels": {MARK: ns}}}
        await kube.patch(f"/api/v1/nodes/{node['metadata']['name']}", change, Form.MERGE)
    await apply(kube, deployment(ns, "loader", 3, cpu="250m", selector={MARK: ns}))
    pools = KubePools(kube, targets, now=time.time)
    unit, holder = Resources(250, 64), Holder(ns, "Deployment", "loader")

    async def seen() -> PoolSight:
        return await pools.see(pool_of(ns, given=None, node_selector=((MARK, ns),)))

    def stands(sight: PoolSight) -> bool:
        there = [one.used for one in sight.seen.occupancy.values() if one.used != NOTHING]
        return unit.times(3) in there

    sight = await eventually(seen, stands)
    assert sight.seen.allocatable == total(there_is(node["status"]["allocatable"]) for node in machines)
    assert sight.seen.occupancy[holder].used == unit.times(3)
    (loader,) = sight.seen.members
    assert (loader.kind, loader.unit, loader.level) == (MemberKind.SCALE, unit, 3)
    await kube.patch(f"/api/v1/nodes/{machines[0]['metadata']['name']}", {"spec": {"unschedulable": True}}, Form.MERGE)
    try:
        assert len((await seen()).seen.nodes) == len(machines) - 1, "a machine that takes no pods is outside"
    finally:
        change = {"spec": {"unschedulable": None}}
        await kube.patch(f"/api/v1/nodes/{machines[0]['metadata']['name']}", change, Form.MERGE)
        for node in machines:
            change = {"metadata": {"labels": {MARK: None}}}
            await kube.patch(f"/api/v1/nodes/{node['metadata']['name']}", change, Form.MERGE)


async def test_the_work_of_a_lane_is_what_its_members_name(kube: KubeClient, ns: str, targets: KubeTargets) -> None:
    for one in (
        job(ns, "one", labels=WORK),
        job(ns, "two", labels=WORK, suspend=True),
        job(ns, "queued", labels={**WORK, "kueue.x-k8s.io/queue-name": "batch"}, suspend=True),
        job(ns, "other", labels={"work": "daily"}),
        job(ns, "night"),
        deployment(ns, "loader"),
    ):
        await apply(kube, one)
    sight = await KubePools(kube, targets, now=time.time).see(pool_of(ns))
    found = {(one.ref.name, one.member): (one.kind, one.level, one.unit) for one in sight.seen.members}
    unit = Resources(100, 64)
    assert found == {
        ("one", "nightly"): (MemberKind.JOB, 1, unit.times(2)),
        ("two", "nightly"): (MemberKind.JOB, 0, unit.times(2)),
        ("night", "night"): (MemberKind.JOB, 1, unit.times(2)),
        ("loader", "loader"): (MemberKind.SCALE, 2, unit),
    }
    assert sight.places.keys() == {one.ref for one in sight.seen.members}


# ---- what was learned


def learned_of(ns: str) -> Learned:
    field = FieldId(Identity("apps", "Deployment", ns, "api"), "u", "/spec/replicas", "scale")
    return Learned(
        Key(ns, "core"),
        epoch=3,
        starts={"api": (Measured(8, 31.5), Measured(20, 44.1))},
        ended=(Ended(field, 1.7e9, (20, 9)),),
        last_valid=(LastValid("Override", Key(ns, "hold"), "u", "{}"),),
    )


def book_of(kube: KubeClient, ns: str) -> KubeLearnedBook:
    return KubeLearnedBook(kube, [ns], home=ns, to_object=learned_to_object, from_object=learned_from_object)


async def test_what_was_learned_is_read_back_as_it_was_saved(kube: KubeClient, ns: str) -> None:
    await installed(kube, all_crds())
    mine, book = learned_of(ns), book_of(kube, ns)
    hangzhou = Learned(
        Key("", "hangzhou"),
        epoch=3,
        drains={"data": (12.0, 14.5)},
        granted=(Promise("shop/core/api", 0.0, 1.7e9, Resources(4000, 8192)),),
    )
    await book.save(mine)
    await book.save(hangzhou)
    assert sorted(await book_of(kube, ns).list(), key=lambda one: one.of) == [hangzhou, mine]
    await book.save(replace(mine, starts={}))
    assert replace(mine, starts={}) in await book_of(kube, ns).list()
    late = book_of(kube, ns)
    with pytest.raises(ConflictError):  # it was never listed: somebody else wrote it
        await late.save(replace(mine, epoch=4))
    await book.remove(mine.of)
    await book.remove(mine.of)
    assert await book_of(kube, ns).list() == [hangzhou]
