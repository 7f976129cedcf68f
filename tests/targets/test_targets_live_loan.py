"""A loan that is there at all times, because its floor follows demand, beside the tools that apply the workload.

The loop is the operator's, on the embedded API behind its HTTP door; only time and the metric are told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from fakes import FakeStore, HandClock, Leader, Sink
from worlds import CORE, NS, T0, event, policy, signal, target

from tidegate.api.crd import all_crds
from tidegate.api.loan import loan_from_object, loan_to_object
from tidegate.control.loop import Beat, Loop, LoopSettings
from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.errors import ApiError
from tidegate.embedded.server import running
from tidegate.planning.model import Freshness, Live, PlanSettings, Reading, Trouble
from tidegate.targets.client import KubeClient
from tidegate.targets.loans import KubeLoanBook, loan_key
from tidegate.targets.registry import KubeTargets

Json = dict[str, Any]
BEAT = 15.0
FOLLOWS = policy(target(), hold=0.0, rate=1.0, signals=(signal(),), live=Live())


def workload(replicas: int | None, release: str = "1") -> Json:
    """The target's Deployment, as a chart renders it."""
    labels = {"app": "order"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}}
    spec: Json = {"selector": {"matchLabels": labels}, "template": template}
    spec |= {} if replicas is None else {"replicas": replicas}
    metadata = {"name": "order", "namespace": NS, "labels": {"release": release}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def floor(minimum: int | None, release: str = "1") -> Json:
    """The autoscaler in front of it."""
    scales = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "order"}
    spec: Json = {"scaleTargetRef": scales, "maxReplicas": 500} | ({} if minimum is None else {"minReplicas": minimum})
    metadata = {"name": "web", "namespace": NS, "labels": {"release": release}}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


@dataclass
class Demand:
    """The one signal: a mean of a minute that ended half a minute ago."""

    clock: HandClock
    value: float = 1_000.0

    async def read(self, query: str, *, now: float, stale_after: float) -> Reading:
        return Reading(Freshness.FRESH, self.value, now - 30.0, stamp=now - 30.0, span=60.0)


@dataclass
class Site:
    """A cluster with one workload, and an operator that follows its demand."""

    cluster: EmbeddedCluster
    loop: Loop
    clock: HandClock
    store: FakeStore
    demand: Demand
    behind: bool
    sent: list[str]
    """Methods of the operator's requests that write."""
    beats: list[Beat] = field(default_factory=list)

    def as_applied(self, level: int | None, release: str = "1") -> Json:
        return (floor if self.behind else workload)(level, release)

    @property
    def leaf(self) -> str:
        return "minReplicas" if self.behind else "replicas"

    @property
    def document(self) -> Json:
        api, kind, name = (
            ("autoscaling/v2", "HorizontalPodAutoscaler", "web") if self.behind else ("apps/v1", "Deployment", "order")
        )
        found = self.cluster.get(api, kind, name, NS)
        assert found is not None
        return found

    @property
    def fields(self) -> list[Json]:
        found: list[Json] = self.document["metadata"]["managedFields"]
        return found

    @property
    def level(self) -> int:
        level: int = self.document["spec"][self.leaf]
        return level

    @property
    def loans(self) -> list[Json]:
        return self.cluster.list("tidegate.dev/v1alpha1", "Loan", NS)

    async def play(self, seconds: float) -> None:
        until = self.clock.at + seconds
        while self.clock.at < until:
            beat = await self.loop.turn()
            assert beat is not None
            self.beats.append(beat)
            self.clock.at += BEAT
            self.cluster.step()


@pytest.fixture(params=[False, True], ids=["a bare workload", "an HPA"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    clock = HandClock(T0)
    cluster = EmbeddedCluster(clock=clock, namespaces=(NS,))
    for crd in all_crds():
        cluster.create(crd)
    behind: bool = request.param
    cluster.apply(workload(None if behind else 2), manager="helm")
    if behind:
        cluster.apply(floor(2), manager="helm")
    async with running(cluster) as url:
        client, sent = await KubeClient.connect(url=url), list[str]()
        send = client._send

        async def counted(method: str, *args: Any, **kwargs: Any) -> Any:
            sent.extend([method] * (method != "GET"))
            return await send(method, *args, **kwargs)

        client._send = counted  # type: ignore[method-assign]
        store, demand = FakeStore({CORE: FOLLOWS}, {}), Demand(clock)
        loop = Loop(
            clock=clock,
            store=store,
            targets=KubeTargets(client, lifetime=0.0),
            metrics=demand,
            book=KubeLoanBook(client, to_object=loan_to_object, from_object=loan_from_object),
            key_of=loan_key,
            leadership=Leader(),
            events=Sink(),
            pools=None,
            settings=LoopSettings(),
            plan_settings=PlanSettings(fail_over=0.0, reaction=0.0),
        )
        made = Site(cluster, loop, clock, store, demand, behind, sent)
        await made.play(300.0)
        assert (made.level >= 10, len(made.loans)) == (True, 1)
        yield made
        await client.close()


async def test_each_move_is_three_requests_the_loan_the_level_and_the_loan_again(site: Site) -> None:
    moves = []
    for number in range(4):
        site.demand.value, before = 2_000.0 + 500.0 * number, len(site.sent)
        await site.play(90.0)
        moves.append(sum(one.level != one.before for beat in site.beats[-6:] for one in beat.applied))
        assert len(site.sent) - before == 3 * moves[-1]
    assert sum(moves) >= 4


async def test_a_chart_that_leaves_the_level_out_is_applied_without_end_beside_the_loan(site: Site) -> None:
    for number in range(20):
        site.cluster.apply(site.as_applied(None), manager="helm")
        site.demand.value = 1_000.0 + 50.0 * number
        before = site.level
        assert before >= 10, "left out, it neither conflicts nor takes the level"
        await site.play(60.0)
    assert site.level >= 19
    assert not any(one.trouble for beat in site.beats for one in beat.world.observed.values())


async def test_a_chart_that_names_the_level_is_refused_in_our_name_and_changes_nothing(site: Site) -> None:
    for _ in range(5):
        before = site.level
        with pytest.raises(ApiError, match='"tidegate"'):
            site.cluster.apply(site.as_applied(2), manager="helm")
        assert site.level == before
        await site.play(60.0)
    assert site.level >= 10


async def test_a_chart_that_names_a_new_level_by_force_is_heard_as_the_owners_own(site: Site) -> None:
    """Not the one that was lent: that is what the target returns to, and the floor stands over it."""
    site.cluster.apply(site.as_applied(6), manager="helm", force=True)
    await site.play(120.0)
    assert site.level >= 10
    (loan,) = site.loans
    assert loan["spec"]["original"] == 6


async def test_a_tool_that_forces_the_original_each_minute_wins_and_is_named(site: Site) -> None:
    for _ in range(12):
        site.cluster.apply(site.as_applied(2), manager="argocd", force=True)
        await site.play(45.0)
    troubles = {one.trouble for beat in site.beats for one in beat.world.observed.values() if one.trouble}
    assert troubles == {Trouble.MANAGER_CONFLICT}


async def test_the_level_stands_where_it_was_returned_though_the_chart_has_left_it_out_since(site: Site) -> None:
    """The policy stops following, and the chart is applied again: what it is said to own and leaves out, it would drop
    to the 1 that the API server fills in.
    """
    site.cluster.apply(site.as_applied(None), manager="helm")
    await site.play(60.0)
    site.store.policy_map = {CORE: replace(FOLLOWS, live=None)}
    await site.play(900.0)
    assert (site.level, site.loans) == (2, [])
    site.cluster.apply(site.as_applied(None), manager="helm")
    assert site.level == 2


async def test_a_chart_that_still_names_the_level_takes_it_again_when_it_was_returned(site: Site) -> None:
    site.store.policy_map = {CORE: replace(FOLLOWS, live=None)}
    await site.play(900.0)
    assert (site.level, site.loans) == (2, [])
    site.cluster.apply(site.as_applied(4), manager="helm")
    assert site.level == 4
    site.cluster.apply(site.as_applied(3), manager="helm")
    assert site.level == 3


@pytest.mark.parametrize("leaves_out", [True, False])
async def test_after_an_event_the_level_goes_back_to_whoever_applies_it_unless_he_left_it_out(
    site: Site, leaves_out: bool
) -> None:
    """Seen by the time of his entry: his apply changed something since the loan began."""
    site.store.policy_map = {CORE: replace(FOLLOWS, live=None)}
    await site.play(900.0)
    site.demand.value = 100.0
    site.cluster.apply(site.as_applied(2), manager="helm")
    site.store.put(event(level=1_000.0, start=site.clock.at + 120.0, duration=300.0))
    await site.play(180.0)
    assert site.level == 10
    if leaves_out:
        site.cluster.apply(site.as_applied(None, release="2"), manager="helm")
    await site.play(1_200.0)
    assert (site.level, site.loans) == (2, [])
    owns = any(one["manager"] == "helm" and f"f:{site.leaf}" in one["fieldsV1"]["f:spec"] for one in site.fields)
    assert owns is not leaves_out
    site.cluster.apply(site.as_applied(None if leaves_out else 2, release="3"), manager="helm")
    assert site.level == 2
