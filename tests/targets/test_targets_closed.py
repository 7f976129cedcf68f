"""Of several namespaces one may refuse us: what is lent and was learned there is not known, and the others' is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from test_targets_loanbook import NS, loan

from tidegate.api.crd import all_crds
from tidegate.api.learned import learned_from_object, learned_to_object
from tidegate.api.loan import loan_from_object, loan_to_object
from tidegate.cli.release import _release
from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running
from tidegate.planning.model import Key, Measured
from tidegate.ports import Json, Learned, Loan, RefusedError
from tidegate.targets.client import KubeClient, Limits
from tidegate.targets.errors import ForbiddenError
from tidegate.targets.learned import KubeLearnedBook
from tidegate.targets.loans import KubeLoanBook, latest_epoch, loan_key


class Walled(KubeClient):
    """A client that some namespaces refuse."""

    walls: frozenset[str] = frozenset()

    async def _once(self, method: str, path: str, *rest: Any) -> Json:
        if any(f"/namespaces/{one}/" in path for one in self.walls):
            raise ForbiddenError(f"{method} {path}: the API server answered 403")
        return await super()._once(method, path, *rest)


@pytest.fixture
async def walled() -> AsyncIterator[Walled]:
    cluster = EmbeddedCluster(namespaces=(NS, "shop"))
    for crd in all_crds():
        cluster.create(crd)
    async with running(cluster) as url:
        client = await Walled.connect(url=url, limits=Limits(attempts=1))
        assert isinstance(client, Walled)
        yield client
        await client.close()


def beyond(**changed: Any) -> Loan:
    """A loan of the other namespace."""
    there = loan(**changed)
    place = replace(there.place, ref=there.place.ref._replace(namespace="shop"))
    return replace(there, place=place, key=loan_key(place), policy=Key("shop", "shop"))


def book_in(client: KubeClient, *namespaces: str) -> KubeLoanBook:
    return KubeLoanBook(client, namespaces, to_object=loan_to_object, from_object=loan_from_object)


async def test_loans_of_a_namespace_that_refuses_us_are_not_known_and_the_others_are(walled: Walled) -> None:
    """It was deleted, and our rights there with it."""
    book = book_in(walled, NS, "shop")
    for one in (loan(), beyond(epoch=9)):
        await book.save(one, fresh=True)
    walled.walls = frozenset({"shop"})
    assert await book.list() == [loan()]
    assert book.closed == {"shop"}
    assert await book.names() == {loan().key}
    assert book.closed == {"shop"}
    assert await latest_epoch(walled, (NS, "shop")) == 3
    walled.walls = frozenset()
    assert await book.names() == {loan().key, beyond().key}
    assert book.closed == {"shop"}, "it holds loans that nobody has read"
    assert set(await book.list()) == {loan(), beyond(epoch=9)}
    assert book.closed == frozenset()


async def test_a_namespace_without_loans_counts_as_open_as_soon_as_that_is_seen(walled: Walled) -> None:
    book = book_in(walled, NS, "shop")
    walled.walls = frozenset({"shop"})
    assert (await book.list(), book.closed) == ([], {"shop"})
    walled.walls = frozenset()
    assert (await book.names(), book.closed) == (frozenset(), frozenset())


async def test_loans_that_may_not_be_read_any_more_are_not_gone(walled: Walled) -> None:
    book = book_in(walled, NS, "shop")
    await book.save(beyond(), fresh=True)
    assert await book.list() == [beyond()]
    walled.walls = frozenset({"shop"})
    assert (await book.names(), book.closed) == ({beyond().key}, frozenset())


@pytest.mark.parametrize("namespaces", [("shop",), (NS, "shop")])
async def test_where_all_refuse_us_nothing_is_known_of_any_loan(walled: Walled, namespaces: tuple[str, ...]) -> None:
    walled.walls = frozenset(namespaces)
    book = book_in(walled, *namespaces)
    for attempt in (book.list(), book.names(), latest_epoch(walled, namespaces)):
        with pytest.raises(ForbiddenError):
            await attempt


async def test_whoever_releases_is_told_of_a_namespace_whose_loans_may_not_be_read(
    walled: Walled, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect() -> Walled:
        return walled

    monkeypatch.setattr(KubeClient, "connect", connect)
    walled.walls = frozenset({"shop"})
    told = await _release(now=True, namespace=[NS, "shop"], operator_namespace=NS)
    assert told["failed"] == {"namespace shop": "its Loans may not be read; one that was deleted has none"}


# ---- what was learned


def record_in(client: KubeClient) -> KubeLearnedBook:
    return KubeLearnedBook(client, (NS, "shop"), home=NS, to_object=learned_to_object, from_object=learned_from_object)


def learned(namespace: str, seconds: float) -> Learned:
    return Learned(Key(namespace, "core"), starts={"order": (Measured(8, seconds),)})


async def test_what_was_learned_where_we_may_not_read_is_not_written_over_and_the_others_is_known(
    walled: Walled,
) -> None:
    former = record_in(walled)
    for one in (learned(NS, 50.0), learned("shop", 600.0)):
        await former.save(one)
    walled.walls = frozenset({"shop"})
    book = record_in(walled)
    assert await book.list() == [learned(NS, 50.0)]
    assert book.closed == {"shop"}
    walled.walls = frozenset()
    with pytest.raises(RefusedError, match="never read"):
        await book.save(learned("shop", 20.0))
    await book.save(learned(NS, 60.0))
    assert set(map(str, await book.list())) == {str(learned(NS, 60.0)), str(learned("shop", 600.0))}
    assert book.closed == frozenset()
    await book.save(learned("shop", 700.0))
    assert learned("shop", 700.0) in await record_in(walled).list()


async def test_where_all_refuse_us_nothing_is_known_of_what_was_learned(walled: Walled) -> None:
    walled.walls = frozenset({NS, "shop"})
    with pytest.raises(ForbiddenError):
        await record_in(walled).list()
