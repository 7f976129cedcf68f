"""Of several namespaces one may refuse us: what is lent and was learned there is not known, and the others' is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
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
from tidegate.ports import Json, Learned, Loan, RefusedError, UnavailableError
from tidegate.targets import scopes
from tidegate.targets.client import KubeClient, Limits
from tidegate.targets.errors import ForbiddenError
from tidegate.targets.learned import KubeLearnedBook
from tidegate.targets.loans import LOANS, KubeLoanBook, latest_epoch, loan_key


class Walled(KubeClient):
    """A client that some namespaces refuse, and some give no answer."""

    walls: frozenset[str] = frozenset()
    mute: frozenset[str] = frozenset()

    async def _once(self, method: str, path: str, *rest: Any) -> Json:
        if any(f"/namespaces/{one}/" in path for one in self.walls):
            raise ForbiddenError(f"{method} {path}: the API server answered 403")
        if any(f"/namespaces/{one}/" in path for one in self.mute):
            raise UnavailableError(f"{method} {path}: no answer")
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


async def test_a_namespace_that_does_not_answer_is_waited_for_once_and_then_not_known(walled: Walled) -> None:
    """Or it would keep those waiting whose loans are to be read anew."""
    book = book_in(walled, NS, "shop")
    for one in (loan(), beyond(epoch=9)):
        await book.save(one, fresh=True)
    walled.mute = frozenset({"shop"})
    with pytest.raises(UnavailableError):
        await book.list()
    assert (await book.list(), book.closed) == ([loan()], {"shop"})
    assert (await book.names(), book.closed) == ({loan().key}, {"shop"})
    walled.mute = frozenset()
    assert await book.names() == {loan().key, beyond().key}
    assert book.closed == {"shop"}, "it holds loans that nobody has read"
    assert set(await book.list()) == {loan(), beyond(epoch=9)}
    walled.mute = frozenset({"shop"})
    with pytest.raises(UnavailableError):
        await book.list()


async def test_loans_that_are_not_told_are_not_gone_and_hold_up_no_other(walled: Walled) -> None:
    book = book_in(walled, NS, "shop")
    for one in (loan(), beyond()):
        await book.save(one, fresh=True)
    await book.list()
    walled.mute = frozenset({"shop"})
    await walled.delete(f"/apis/tidegate.dev/v1alpha1/namespaces/{NS}/loans/{loan().key.name}")
    assert (await book.names(), book.closed) == ({beyond().key}, frozenset())


async def test_the_latest_epoch_is_not_told_while_a_namespace_does_not_answer(walled: Walled) -> None:
    """It may hold the loan that bears it."""
    walled.mute = frozenset({"shop"})
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await latest_epoch(walled, (NS, "shop"))


async def test_where_none_answers_nothing_is_known_however_often_it_is_asked(walled: Walled) -> None:
    walled.walls, walled.mute = frozenset({NS}), frozenset({"shop"})
    book = book_in(walled, NS, "shop")
    for _ in range(3):
        with pytest.raises(UnavailableError):
            await book.list()


async def test_namespaces_are_asked_beside_one_another_and_a_few_at_a_time() -> None:
    begun, let_go = list[str](), asyncio.Event()

    class Slow:
        async def items(self, path: str) -> list[Json]:
            begun.append(path)
            await let_go.wait()
            return [{"path": path}]

    client: Any = Slow()
    names = [f"shop-{number}" for number in range(3 * scopes.AT_ONCE)]
    listing = asyncio.create_task(scopes.listed(client, LOANS, names))
    await asyncio.sleep(0.01)
    assert len(begun) == scopes.AT_ONCE
    let_go.set()
    assert [document["path"].split("/")[5] for document in (await listing).found] == names


@pytest.mark.parametrize("beside", [(), (NS,)])
async def test_one_of_several_that_hangs_is_given_up_before_the_others_have_waited_long(
    beside: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scopes, "ANSWERED_WITHIN", 0.01)

    class Hangs:
        async def items(self, path: str) -> list[Json]:
            if "/shop/" in path:
                await asyncio.sleep(0.1)
            return [{"path": path}]

    client: Any = Hangs()
    listing = await scopes.listed(client, LOANS, (*beside, "shop"))
    assert (len(listing.found), listing.missing) == (1, frozenset({"shop"} if beside else ()))


class Crowd:
    """Of sixty namespaces forty hang."""

    def __init__(self, *, first: bool) -> None:
        """``first``: they are the first forty."""
        self.names = [f"n{number:02}" for number in range(60)]
        self.hang = set(self.names[:40]) if first else {one for at, one in enumerate(self.names) if at % 3 > 0}
        self.asked: set[str] = set()

    async def items(self, path: str) -> list[Json]:
        name = path.split("/")[5]
        self.asked.add(name)
        if name in self.hang:
            await asyncio.sleep(60.0)
        return [{"metadata": {"name": "one", "namespace": name}}]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds that a try may take, where one that hangs is given up after a third of that."""
    monkeypatch.setattr(scopes, "ANSWERED_WITHIN", 0.2)
    monkeypatch.setattr(scopes, "LEAST", 0.0)
    return 0.6


@pytest.mark.parametrize("first", [True, False])
async def test_however_many_hang_the_others_are_known_after_a_few_tries_as_long_as_one_takes(
    first: bool, quick: float
) -> None:
    """Were they waited for in turns it would take longer than a look for Loans may: nobody's would ever be known."""
    crowd, patience = Crowd(first=first), scopes.Patience()
    client: Any = crowd

    async def tried() -> scopes.Listing:
        async with asyncio.timeout(quick):
            listing = await scopes.listed(client, LOANS, crowd.names, patience)
        patience.wait(listing)
        return listing

    for _ in range(2):
        with suppress(UnavailableError):
            await tried()
    assert (await tried()).missing == crowd.hang
    crowd.asked.clear()
    crowd.hang.remove("n01")
    listing = await tried()
    assert listing.missing == crowd.hang, "one that answers again is known at once"
    found = [document["metadata"]["namespace"] for document in listing.found]
    assert found == sorted(set(crowd.names) - crowd.hang)
    assert crowd.asked == set(crowd.names), "all are asked each time"


async def test_which_loans_there_are_is_known_of_the_others_however_many_hang(quick: float) -> None:
    crowd = Crowd(first=False)
    client: Any = crowd
    book = book_in(client, *crowd.names)
    async with asyncio.timeout(2 * quick):
        await book.names()
        assert {key.namespace for key in await book.names()} == set(crowd.names) - crowd.hang


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
