"""What watching and leading rely on, on the cluster that KUBECONFIG points to, else on the embedded one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from contract import KUBECONFIG, Api, installed

from tidegate.api.crd import all_crds
from tidegate.api.loan import loan_from_object, loan_to_object
from tidegate.planning.model import Key, Ref
from tidegate.ports import ConflictError, Loan, Manager, Place
from tidegate.shell.informer import Informer
from tidegate.shell.leader import LeaseLeader, LeaseTimes
from tidegate.targets.client import Form, KubeClient
from tidegate.targets.errors import ExpiredError
from tidegate.targets.loans import DeposedError, KubeLoanBook, latest_epoch, loan_key
from tidegate.targets.pools import NOT_ENDED

pytestmark = pytest.mark.cluster
Json = dict[str, Any]


async def eventually(look: Callable[[], Any], seconds: float = 20) -> Any:
    async with asyncio.timeout(seconds):
        while True:
            if seen := look():
                return seen
            await asyncio.sleep(0.05)


def config_maps(ns: str) -> str:
    return f"/api/v1/namespaces/{ns}/configmaps"


async def add(kube: KubeClient, ns: str, name: str, **labels: str) -> Json:
    metadata = {"name": name, "labels": {"mine": "yes", **labels}}
    return await kube.create(config_maps(ns), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})


class Seen:
    """Remembers what an informer told."""

    def __init__(self, kube: KubeClient, ns: str, **options: Any) -> None:
        self.told: list[tuple[str, str]] = []
        self.syncs = 0
        path = config_maps(ns)
        selectors = {"labelSelector": "mine=yes"}
        self.informer = Informer(kube, path, on_object=self._object, on_sync=self._sync, selectors=selectors, **options)

    def _object(self, kind: str, item: Json) -> None:
        self.told.append((kind, item["metadata"]["name"]))

    def _sync(self) -> None:
        self.syncs += 1


# ---- watching


async def test_a_list_in_pages_is_followed_by_every_change(kube: KubeClient, ns: str) -> None:
    for name in ("a", "b", "c", "d", "e"):
        await add(kube, ns, name)
    seen = Seen(kube, ns, page=2)
    seen.informer.start()
    try:
        await eventually(lambda: seen.informer.synced)
        assert sorted(seen.told) == [("ADDED", name) for name in "abcde"]
        await add(kube, ns, "f")
        await kube.patch(f"{config_maps(ns)}/a", {"data": {"x": "1"}}, Form.MERGE)
        await kube.delete(f"{config_maps(ns)}/b")
        await eventually(lambda: len(seen.told) >= 8)
        assert seen.told[5:] == [("ADDED", "f"), ("MODIFIED", "a"), ("DELETED", "b")]
        assert (len(seen.informer), seen.syncs, seen.informer.trouble) == (5, 1, "")
        assert seen.informer.age_seconds() < 5
    finally:
        await seen.informer.stop()


async def test_a_page_may_be_asked_for_again_and_smaller(kube: KubeClient, ns: str) -> None:
    """After a lost answer, or one that was too large: the same token, another limit."""
    for name in ("a", "b", "c", "d", "e"):
        await add(kube, ns, name)
    mine: dict[str, str | int] = {"labelSelector": "mine=yes"}
    token = (await kube.get(config_maps(ns), {**mine, "limit": 2}))["metadata"]["continue"]
    pages = [await kube.get(config_maps(ns), {**mine, "limit": limit, "continue": token}) for limit in (2, 2, 1)]
    assert [[one["metadata"]["name"] for one in page["items"]] for page in pages] == [["c", "d"], ["c", "d"], ["c"]]


async def test_a_watch_that_fell_silent_is_begun_anew_and_misses_nothing(kube: KubeClient, ns: str) -> None:
    seen = Seen(kube, ns, silence=1.0)
    seen.informer.start()
    try:
        await eventually(lambda: seen.informer.synced)
        await asyncio.sleep(2.5)  # at least one watch ends for silence
        await add(kube, ns, "late")
        await eventually(lambda: seen.told == [("ADDED", "late")])
        assert seen.informer.lists == 1
    finally:
        await seen.informer.stop()


async def test_what_vanished_between_two_lists_is_told_as_deleted(kube: KubeClient, ns: str) -> None:
    for name in ("stays", "goes", "anew"):
        await add(kube, ns, name)
    seen = Seen(kube, ns)
    seen.informer.start()
    await eventually(lambda: seen.informer.synced)
    await seen.informer.stop()
    seen.told.clear()
    await kube.delete(f"{config_maps(ns)}/goes")
    await kube.delete(f"{config_maps(ns)}/anew")
    await add(kube, ns, "anew")
    seen.informer._version = None  # as after a 410
    seen.informer.start()
    try:
        await eventually(lambda: seen.syncs == 2)
        assert sorted(seen.told) == [("ADDED", "anew"), ("DELETED", "anew"), ("DELETED", "goes")]
        assert seen.told.index(("DELETED", "anew")) < seen.told.index(("ADDED", "anew"))
    finally:
        await seen.informer.stop()


async def test_a_version_that_is_too_old_is_told_apart(kube: KubeClient, ns: str) -> None:
    made = await add(kube, ns, "a")
    ancient = "1" if int(made["metadata"]["resourceVersion"]) > 1 else "0"
    watch = kube.watch(config_maps(ns), resource_version=ancient, lasting=1, silence=5)
    seen: list[str] = []
    try:
        async for kind, _ in watch:
            seen.append(kind)
    except ExpiredError:
        return
    assert "ADDED" in seen, "neither refused as too old nor replayed from there"


async def test_a_bookmark_ends_the_initial_events(kube: KubeClient, ns: str) -> None:
    await add(kube, ns, "a")
    initial = {"sendInitialEvents": True, "resourceVersionMatch": "NotOlderThan"}
    kinds: list[str] = []
    async for kind, item in kube.watch(config_maps(ns), resource_version="", lasting=5, silence=6, params=initial):
        kinds.append(kind)
        if kind == "BOOKMARK":
            assert item["metadata"]["resourceVersion"]
            break
    assert kinds[0] == "OPEN"
    assert kinds[-1] == "BOOKMARK"


# ---- leading

QUICK = LeaseTimes(duration=4.0, renew_every=0.3, deadline=3.0)
if not KUBECONFIG:  # nothing stands between us and the embedded API
    QUICK = LeaseTimes(duration=2.0, renew_every=0.2, deadline=1.5)
Stand = Callable[[str], LeaseLeader]


@pytest.fixture
def stand(ns: str, api: Api) -> Iterator[Stand]:
    """Candidates for one Lease, on quick times."""
    leaders: list[LeaseLeader] = []

    async def nothing_on_record(client: KubeClient) -> int:
        return await latest_epoch(client, [ns])

    def make(identity: str) -> LeaseLeader:
        leader = LeaseLeader(
            api.connect,
            namespace=ns,
            name="tidegate",
            identity=identity,
            past_epoch=nothing_on_record,
            on_change=lambda leading: None,
            times=QUICK,
        )
        leaders.append(leader)
        leader.start()
        return leader

    yield make
    for leader in leaders:
        leader.stop()


async def test_of_two_candidates_one_leads_and_keeps_leading(stand: Stand) -> None:
    one, two = stand("one"), stand("two")
    await eventually(lambda: one.may_write() or two.may_write())
    first = one if one.may_write() else two
    end = time.monotonic() + QUICK.duration
    while time.monotonic() < end:
        assert [one.may_write(), two.may_write()].count(True) == 1
        await asyncio.sleep(0.05)
    assert first.may_write()


async def test_one_that_stops_cleanly_is_followed_at_once(stand: Stand) -> None:
    one = stand("one")
    await eventually(one.may_write)
    two = stand("two")
    await asyncio.sleep(0.5)
    epoch = one.epoch
    stopped = time.monotonic()
    await asyncio.to_thread(one.stop)
    assert not one.may_write()
    await eventually(two.may_write)
    assert time.monotonic() - stopped < QUICK.duration / 2
    assert two.epoch == epoch + 1


async def test_one_that_died_is_followed_after_the_lease_and_not_before(
    kube: KubeClient, ns: str, stand: Stand
) -> None:
    spec = {"holderIdentity": "dead", "leaseDurationSeconds": int(QUICK.duration), "leaseTransitions": 6}
    # Its clock ran an hour ahead: nobody's decision may depend on that.
    spec["renewTime"] = spec["acquireTime"] = "2999-01-01T00:00:00.000000Z"
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "tidegate"}, "spec": spec}
    await kube.create(f"/apis/coordination.k8s.io/v1/namespaces/{ns}/leases", lease)
    began = time.monotonic()
    heir = stand("heir")
    await eventually(heir.may_write)
    assert QUICK.duration <= time.monotonic() - began < QUICK.duration + 2.0
    assert heir.epoch == 7


async def test_a_leader_that_is_cut_off_stops_writing_before_anybody_follows(ns: str, stand: Stand) -> None:
    one = stand("one")
    await eventually(one.may_write)
    two = stand("two")
    await asyncio.sleep(0.5)
    one._renew_or_take = _hang  # type: ignore[method-assign]  # the network is gone for this one
    await eventually(lambda: not one.may_write())
    assert not two.may_write()
    await eventually(two.may_write)
    assert not one.may_write()


async def _hang(_client: KubeClient) -> None:
    await asyncio.sleep(3600)


# ---- loans


def loan(ns: str, uid: str = "u-1") -> Loan:
    place = Place(Ref("autoscaling/v2", "HorizontalPodAutoscaler", ns, "web"), uid, "/spec/minReplicas")
    return Loan(
        key=loan_key(place),
        place=place,
        policy=Key(ns, "shop"),
        target="web",
        original=2,
        former=Manager("helm", "Apply"),
        verified=None,
        pending=12,
        highest=12,
        started_at=1_700_000_000.123,
        stepped_at=1_700_000_000.123,
        until=1_700_003_600.0,
        epoch=3,
        wanted_by=("LiveEvent/opening",),
    )


@pytest.fixture
async def book(kube: KubeClient, ns: str, loan_kind: None) -> KubeLoanBook:
    return KubeLoanBook(kube, [ns], to_object=loan_to_object, from_object=loan_from_object)


@pytest.fixture
async def loan_kind(kube: KubeClient) -> None:
    """Our kinds as installed, else as the chart brings them."""
    await installed(kube, all_crds())


async def test_a_loan_is_read_back_as_it_was_saved(ns: str, book: KubeLoanBook) -> None:
    mine = loan(ns)
    await book.save(mine, fresh=True)
    await book.save(loan(ns, uid="u-2"), fresh=True)
    assert mine in await book.list()
    assert len(await book.list()) == 2
    verified = replace(mine, verified=12, pending=14, highest=14)
    await book.save(verified, fresh=False)
    assert verified in await book.list()
    await book.remove(verified)
    await book.remove(verified)
    assert await book.list() == [loan(ns, uid="u-2")]


async def test_a_deletion_takes_no_loan_that_was_written_again(kube: KubeClient, ns: str, book: KubeLoanBook) -> None:
    """Also where it says the same as before: a server leaves an object as it is that a write does not change."""
    mine = loan(ns)
    await book.save(mine, fresh=True)
    path = f"/apis/tidegate.dev/v1alpha1/namespaces/{ns}/loans/{mine.key.name}"
    before = (await kube.get(path))["metadata"]
    await book.save(mine, fresh=False)
    with pytest.raises(ConflictError):
        await kube.delete(path, uid=before["uid"], version=before["resourceVersion"])
    assert await book.list() == [mine]


async def test_pods_that_have_not_ended_can_be_asked_for(kube: KubeClient, ns: str) -> None:
    root = f"/api/v1/namespaces/{ns}/pods"
    container = {"name": "c", "image": "registry.example/web:1"}
    spec = {"containers": [container], "nodeSelector": {"no": "such-machine"}}
    for name, phase in (("waits", "Pending"), ("over", "Succeeded")):
        await kube.create(root, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
        await kube.patch(f"{root}/{name}/status", {"status": {"phase": phase}}, Form.MERGE)
    found = await kube.items(root, {"fieldSelector": NOT_ENDED})
    assert [pod["metadata"]["name"] for pod in found] == ["waits"]


async def test_a_deposed_leader_cannot_write_a_loan_of_its_follower(
    kube: KubeClient, ns: str, book: KubeLoanBook
) -> None:
    await book.save(replace(loan(ns), epoch=4), fresh=True)
    with pytest.raises(DeposedError):
        await book.save(loan(ns), fresh=False)
    assert await latest_epoch(kube, [ns]) == 4
