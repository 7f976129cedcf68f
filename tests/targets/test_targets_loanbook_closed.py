"""Of several namespaces one may refuse us: its loans are not known, and the others' are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from test_targets_loanbook import NS, loan

from tidegate.api.crd import all_crds
from tidegate.api.loan import loan_from_object, loan_to_object
from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running
from tidegate.planning.model import Key
from tidegate.ports import Json, Loan
from tidegate.targets.client import KubeClient, Limits
from tidegate.targets.errors import ForbiddenError
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
