"""What was learned, as objects of a real API over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from tidegate.api.crd import all_crds
from tidegate.api.learned import learned_from_object, learned_to_object
from tidegate.control.memory import (
    BESIDE_GRANT,
    GRANTED_BYTES,
    LAST_VALID_BYTES,
    MOST_ENDED,
    MOST_GRANTED,
    TIMETABLE_BYTES,
)
from tidegate.control.stopwatch import KEPT_TOGETHER
from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running
from tidegate.planning.model import Identity, Key, Measured
from tidegate.planning.resources import Resources
from tidegate.planning.shift.outcome import Promise
from tidegate.ports import ConflictError, Ended, FieldId, LastValid, Learned, NotFoundError, RefusedError
from tidegate.targets.client import KubeClient
from tidegate.targets.learned import KubeLearnedBook, learned_name

NS = "shop"
API, KIND = "tidegate.dev/v1alpha1", "Learned"
MINE = Learned(
    Key(NS, "core"),
    epoch=3,
    starts={
        "api": (Measured(8, 31.5), Measured(20, 44.1)),
        "queue": (Measured(8, 31.5, ordered=True),),
        "web": (Measured(8, 31.5, ordered=False),),
    },
    sizes={"api": Resources(100, 64)},
    ended=(Ended(FieldId(Identity("apps", "Deployment", NS, "api"), "u", "/spec/replicas", "scale"), 1.7e9, (20, 9)),),
    last_valid=(LastValid("Override", Key(NS, "hold"), "u", "{}"),),
)
POOL = Learned(
    Key("", "hangzhou"),
    epoch=3,
    drains={"data": (12.0, 14.5)},
    last_valid=(LastValid("CapacityPool", Key("", "hangzhou"), "u", "{}"),),
    granted=(
        Promise("shop/core/api", 0.0, 1.7e9, Resources(4000, 8192)),
        Promise("shop/core/web", 1.6e9, 1.7e9, Resources(1, 0)),
    ),
    timetable="eJyrVgpwdPYGAAYNAgg=",
)

OPERATOR = Learned(Key("", ""), epoch=3, writes_per_second=8)


@pytest.mark.parametrize(
    ("of", "name"),
    [
        (Key("shop", "core"), "policy-core-0d45f5fd46"),
        (Key("", "core"), "pool-core-0d45f5fd46"),
        (Key("", ""), "operator"),
        (Key("shop", "Big_Sale.2"), "policy-big-sale-2-85acdb1e46"),
    ],
)
def test_names_are_those_of_every_version(of: Key, name: str) -> None:
    """Under another name the next version would find nothing of what this one learned."""
    assert learned_name(of) == name


@pytest.fixture
def cluster() -> EmbeddedCluster:
    made = EmbeddedCluster(namespaces=(NS, "tidegate"))
    for crd in all_crds():
        made.create(crd)
    return made


@pytest.fixture
async def client(cluster: EmbeddedCluster) -> AsyncIterator[KubeClient]:
    async with running(cluster) as url:
        made = await KubeClient.connect(url=url)
        yield made
        await made.close()


def book_of(client: KubeClient, namespaces: tuple[str, ...] | None = None) -> KubeLearnedBook:
    return KubeLearnedBook(
        client, namespaces, home="tidegate", to_object=learned_to_object, from_object=learned_from_object
    )


def stored(cluster: EmbeddedCluster, one: Learned) -> dict[str, Any] | None:
    return cluster.get(API, KIND, learned_name(one.of), one.of.namespace or "tidegate")


@pytest.mark.parametrize(
    "one", [MINE, POOL, OPERATOR], ids=["of a policy", "of a pool, in the operator's namespace", "of the operator"]
)
async def test_what_is_saved_is_what_the_next_life_lists(
    one: Learned, client: KubeClient, cluster: EmbeddedCluster
) -> None:
    await book_of(client).save(one)
    assert stored(cluster, one) is not None
    assert await book_of(client).list() == [one]


async def test_it_is_replaced_and_removed(client: KubeClient, cluster: EmbeddedCluster) -> None:
    book = book_of(client)
    await book.save(MINE)
    await book.save(replace(MINE, starts={}))
    assert (await book_of(client).list())[0].starts == {}
    await book.remove(MINE.of)
    await book.remove(MINE.of)
    assert stored(cluster, MINE) is None


async def test_two_lives_that_write_the_same_object_come_to_one_and_a_later_leader_wins(client: KubeClient) -> None:
    ours, theirs = book_of(client), book_of(client)
    await ours.save(MINE)
    with pytest.raises(ConflictError):
        await theirs.save(replace(MINE, epoch=4))  # it was never listed: what stands there is known now
    await theirs.save(replace(MINE, epoch=4))
    with pytest.raises(RefusedError, match="leader of epoch 4"):
        await ours.save(MINE)


async def test_one_that_somebody_deleted_is_made_again(client: KubeClient, cluster: EmbeddedCluster) -> None:
    book = book_of(client)
    await book.save(MINE)
    cluster.delete(API, KIND, learned_name(MINE.of), namespace=NS)
    with pytest.raises(NotFoundError):
        await book.save(MINE)
    await book.save(MINE)
    assert await book_of(client).list() == [MINE]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"format": 2}, id="of another version"),
        pytest.param({"starts": [{"target": "api", "units": [1, 2], "milliseconds": [3]}]}, id="torn"),
        pytest.param({"of": {"kind": "ScalingPolicy", "name": "other"}}, id="of another policy than its name says"),
        pytest.param({"of": {"kind": "CapacityPool", "name": "core"}}, id="of a pool, in a tenant's namespace"),
        pytest.param({"of": {"kind": "CapacityPool", "name": ""}}, id="of a pool without a name"),
        pytest.param({"of": {"kind": "Operator", "name": "core"}}, id="of an operator with a name"),
    ],
)
async def test_one_that_cannot_be_understood_counts_as_empty_and_hides_no_other(
    spec: dict[str, Any], client: KubeClient, cluster: EmbeddedCluster
) -> None:
    document = learned_to_object(MINE, Key(NS, learned_name(MINE.of)))
    cluster.create({**document, "spec": document["spec"] | spec})
    await book_of(client).save(POOL)
    assert await book_of(client).list() == [POOL]


async def test_a_policy_of_one_namespace_says_nothing_of_anothers_fields(
    client: KubeClient, cluster: EmbeddedCluster
) -> None:
    other = FieldId(Identity("apps", "Deployment", "other", "api"), "u", "/spec/replicas", "scale")
    forged = replace(MINE, ended=(Ended(other, 1.7e9, (20,)),))
    cluster.create(learned_to_object(forged, Key(NS, learned_name(MINE.of))))
    assert await book_of(client).list() == []


async def test_where_the_kind_is_not_served_the_list_says_so(cluster: EmbeddedCluster) -> None:
    bare = EmbeddedCluster(namespaces=(NS,))
    async with running(bare) as url:
        client = await KubeClient.connect(url=url)
        with pytest.raises(NotFoundError):
            await book_of(client).list()
        await client.close()


async def test_the_largest_object_stays_below_64_kib_and_is_taken(client: KubeClient, cluster: EmbeddedCluster) -> None:
    samples = tuple(Measured(999_999, 99_999.9) for _ in range(KEPT_TOGETHER // 64))
    at = FieldId(
        Identity("autoscaling", "HorizontalPodAutoscaler", NS, "n" * 63), "u" * 36, "/spec/minReplicas", "scale"
    )
    document = "{" + '"k": 1,' * 400 + "}"
    most = LAST_VALID_BYTES // (len(document) + 2 * document.count('"') + 400)
    large = Learned(
        Key(NS, "c" * 63),
        epoch=2**30,
        starts={f"t{number:02d}".ljust(40, "x"): samples for number in range(64)},
        sizes={f"t{number:02d}".ljust(63, "x"): Resources(10**9, 2**33) for number in range(64)},
        ended=tuple(
            Ended(replace_name(at, number), 1.7e9, tuple(range(900_000, 900_016))) for number in range(MOST_ENDED)
        ),
        last_valid=tuple(LastValid("LiveEvent", Key(NS, "e" * 63), "u" * 36, document) for _ in range(most)),
    )
    await book_of(client).save(large)
    assert len(orjson.dumps(stored(cluster, large))) < 65_536
    assert await book_of(client).list() == [large]


async def test_the_largest_object_of_a_pool_stays_below_112_kib_and_is_taken(
    client: KubeClient, cluster: EmbeddedCluster
) -> None:
    owner = "o" * (GRANTED_BYTES // MOST_GRANTED - BESIDE_GRANT)
    large = replace(
        POOL,
        drains={f"lane-{number:02d}": (99_999.9,) * 20 for number in range(64)},
        granted=(Promise(owner, 1.6e9, 1.7e9, Resources(10**9, 10**9)),) * MOST_GRANTED,
        timetable="A" * TIMETABLE_BYTES,
    )
    await book_of(client).save(large)
    assert len(orjson.dumps(stored(cluster, large))) < 112 * 1024
    assert await book_of(client).list() == [large]


def replace_name(at: FieldId, number: int) -> FieldId:
    return at._replace(object=at.object._replace(name=f"{number:02d}" + at.object.name[2:]))
