"""The book of loans, where answers are lost or late, where others write, and where Loans cannot be understood."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tidegate.api.crd import all_crds
from tidegate.api.loan import loan_from_object, loan_to_object
from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.server import running
from tidegate.planning.model import Key, Ref
from tidegate.ports import ConflictError, Json, Loan, Manager, Place, UnavailableError, UnreadableLoan
from tidegate.targets.client import KubeClient, Limits
from tidegate.targets.errors import LaterError
from tidegate.targets.loans import DeposedError, KubeLoanBook, latest_epoch, loan_key
from tidegate.targets.registry import KubeTargets

NS = "default"
T0 = 1_794_240_000.0
API, KIND = "tidegate.dev/v1alpha1", "Loan"


def loan(name: str = "order", uid: str = "u-1", **changed: Any) -> Loan:
    place = Place(Ref("apps/v1", "Deployment", NS, name), uid, "/spec/replicas", "scale")
    made = Loan(
        key=loan_key(place),
        place=place,
        policy=Key(NS, "shop"),
        target=name,
        original=2,
        former=Manager("helm", "Apply"),
        verified=None,
        pending=12,
        highest=12,
        started_at=T0,
        stepped_at=T0,
        until=T0 + 3600,
        epoch=3,
        levels=(12,),
    )
    return replace(made, **changed)


class Wire(KubeClient):
    """A client between which and the server things get lost or held up."""

    sent: list[str]
    lose: str = ""
    """Method whose next answer is lost: the server does what was asked."""
    hold: str = ""
    """Method whose next request hangs in the network; ``arrive`` lets it through."""
    held: list[tuple[Any, ...]]

    async def _once(self, method: str, *rest: Any) -> Json:
        self.sent = [*getattr(self, "sent", []), method]
        if method == self.hold:
            self.hold, self.held = "", [(method, *rest)]
            raise LaterError(f"{method}: no answer")
        answer = await super()._once(method, *rest)
        if method == self.lose:
            self.lose = ""
            raise LaterError(f"{method}: the answer broke off")
        return answer

    async def arrive(self) -> None:
        """What hung in the network reaches the server."""
        (request,) = self.held
        await super()._once(*request)


@pytest.fixture
def cluster() -> EmbeddedCluster:
    made = EmbeddedCluster(namespaces=(NS, "attacker"))
    for crd in all_crds():
        made.create(crd)
    return made


@pytest.fixture
async def wire(cluster: EmbeddedCluster) -> AsyncIterator[Wire]:
    async with running(cluster) as url:
        made = await Wire.connect(url=url, limits=Limits(attempts=1))
        assert isinstance(made, Wire)
        made.sent = []
        yield made
        await made.close()


def book_of(client: KubeClient) -> KubeLoanBook:
    return KubeLoanBook(client, to_object=loan_to_object, from_object=loan_from_object)


@pytest.fixture
def book(wire: Wire) -> KubeLoanBook:
    return book_of(wire)


def stored(cluster: EmbeddedCluster, one: Loan) -> Json | None:
    return cluster.get(API, KIND, one.key.name, one.key.namespace)


def put(cluster: EmbeddedCluster, one: Loan, **spec: object) -> None:
    """A Loan as a hand may write it."""
    document = copy.deepcopy(loan_to_object(one))
    document["spec"] |= spec
    cluster.create(document)


async def hold_up(wire: Wire, method: str, write: Awaitable[None]) -> None:
    """Let a write hang in the network; its caller gives it up."""
    wire.hold = method
    with pytest.raises(UnavailableError):
        await write


# ---- what it costs


async def test_a_save_is_one_request(book: KubeLoanBook, wire: Wire) -> None:
    mine = loan()
    await book.save(mine, fresh=True)
    await book.save(replace(mine, verified=12), fresh=False)
    await book.save(replace(mine, verified=12, pending=14), fresh=False)
    await book.remove(mine)
    assert wire.sent == ["POST", "PUT", "PUT", "DELETE"]


async def test_a_first_write_of_a_level_is_four_requests(
    book: KubeLoanBook, wire: Wire, cluster: EmbeddedCluster
) -> None:
    """The loan, the level, the level read back, the loan with what was read."""
    for name in ("order", "cart"):
        template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}
        spec = {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": template}
        cluster.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})
    targets = KubeTargets(wire, wire)
    for name in ("order", "cart"):  # the first of a kind asks where the kind lives as well
        sight = await targets.see(Ref("apps/v1", "Deployment", NS, name))
        assert sight.place is not None
        wire.sent = []
        mine = loan(name, sight.place.uid)
        assert mine.place == sight.place
        await book.save(mine, fresh=True)
        await targets.swap(sight.place, believed=2, wanted=12)
        held = await targets.held(sight.place)
        await book.save(replace(mine, verified=held.value), fresh=False)
    assert wire.sent == ["POST", "PATCH", "GET", "PUT"]


# ---- lost and late


async def test_a_loan_whose_creation_had_no_answer_is_taken_when_it_is_made_again(
    book: KubeLoanBook, wire: Wire
) -> None:
    wire.lose = "POST"
    with pytest.raises(UnavailableError):
        await book.save(loan(), fresh=True)
    await book.save(loan(), fresh=True)
    assert await book.list() == [loan()]


async def test_a_loan_whose_creation_had_no_answer_can_be_removed(book: KubeLoanBook, wire: Wire) -> None:
    wire.lose = "POST"
    with pytest.raises(UnavailableError):
        await book.save(loan(), fresh=True)
    await book.remove(loan())
    assert await book.list() == []


async def test_a_fresh_loan_never_replaces_one_that_says_something_else(book: KubeLoanBook, wire: Wire) -> None:
    await book.save(loan(original=7), fresh=True)
    with pytest.raises(ConflictError, match="says something else"):
        await book_of(wire).save(loan(original=100), fresh=True)
    assert await book.list() == [loan(original=7)]


@pytest.mark.parametrize("again", [loan(), loan(pending=14)], ids=["the same", "another"])
async def test_a_late_deletion_takes_no_loan_that_was_written_since(
    book: KubeLoanBook, wire: Wire, again: Loan
) -> None:
    await book.save(loan(), fresh=True)
    await hold_up(wire, "DELETE", book.remove(loan()))
    await book.save(again, fresh=False)
    with pytest.raises(ConflictError):
        await wire.arrive()
    assert await book.list() == [again]


async def test_a_late_deletion_takes_no_loan_that_was_taken_for_a_lost_creation(book: KubeLoanBook, wire: Wire) -> None:
    await book.save(loan(), fresh=True)
    await hold_up(wire, "DELETE", book.remove(loan()))
    await book.save(loan(), fresh=True)
    with pytest.raises(ConflictError):
        await wire.arrive()
    assert await book.list() == [loan()]


async def test_a_late_write_of_ours_does_not_undo_a_later_one(book: KubeLoanBook, wire: Wire) -> None:
    await book.save(loan(), fresh=True)
    await hold_up(wire, "PUT", book.save(loan(pending=14), fresh=False))
    await book.save(loan(pending=20), fresh=False)
    with pytest.raises(ConflictError):
        await wire.arrive()
    assert await book.list() == [loan(pending=20)]


async def test_a_write_that_arrived_without_an_answer_does_not_stop_the_next(book: KubeLoanBook, wire: Wire) -> None:
    await book.save(loan(), fresh=True)
    wire.lose = "PUT"
    with pytest.raises(UnavailableError):
        await book.save(loan(pending=14), fresh=False)
    await book.save(loan(pending=20), fresh=False)
    assert await book.list() == [loan(pending=20)]


async def test_a_loan_that_somebody_deleted_is_written_again(
    book: KubeLoanBook, cluster: EmbeddedCluster, wire: Wire
) -> None:
    await book.save(loan(), fresh=True)
    cluster.delete(API, KIND, loan().key.name)
    await book.save(loan(pending=14), fresh=False)
    assert await book.list() == [loan(pending=14)]


async def test_the_names_are_those_of_all_loans_that_are_there(book: KubeLoanBook) -> None:
    assert await book.names() == frozenset()
    first, second = loan(), loan("chat", "u-2")
    await book.save(first, fresh=True)
    await book.save(second, fresh=True)
    assert await book.names() == {first.key, second.key}
    await book.remove(first)
    assert await book.names() == {second.key}


async def test_a_loan_that_was_written_since_is_not_removed_unseen(
    book: KubeLoanBook, cluster: EmbeddedCluster
) -> None:
    await book.save(loan(), fresh=True)
    cluster.patch(API, KIND, loan().key.name, {"spec": {"original": 9}})
    with pytest.raises(ConflictError):
        await book.remove(loan())
    assert stored(cluster, loan()) is not None
    await book.remove(loan())
    await book.remove(loan())
    assert await book.list() == []


async def test_what_others_keep_on_a_loan_stays_there(book: KubeLoanBook, cluster: EmbeddedCluster) -> None:
    await book.save(loan(), fresh=True)
    cluster.patch(API, KIND, loan().key.name, {"metadata": {"labels": {"team": "a"}, "annotations": {"seen": "yes"}}})
    await book.save(loan(pending=14), fresh=False)
    document = stored(cluster, loan())
    assert document is not None
    assert document["metadata"]["labels"] == {"team": "a"}
    assert document["metadata"]["annotations"]["seen"] == "yes"


async def test_where_no_loans_are_served_nothing_is_said_of_any(book: KubeLoanBook, cluster: EmbeddedCluster) -> None:
    """While the kind is being installed anew, a Loan is not gone."""
    await book.save(loan(), fresh=True)
    cluster.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", "loans.tidegate.dev")
    for attempt in (book.save(loan(), fresh=True), book.save(loan(), fresh=False), book.remove(loan())):
        with pytest.raises(UnavailableError, match="serves no Loans"):
            await attempt


# ---- who leads


@pytest.mark.parametrize("known", [True, False], ids=["read before", "not read before"])
async def test_a_deposed_leader_writes_and_removes_nothing(book: KubeLoanBook, wire: Wire, known: bool) -> None:
    await book.save(loan(), fresh=True)
    await book_of(wire).save(loan(epoch=4), fresh=False)
    mine = book if known else book_of(wire)
    for attempt in (mine.save(loan(pending=50), fresh=False), mine.save(loan(), fresh=True), mine.remove(loan())):
        with pytest.raises(DeposedError):
            await attempt
    assert await book.list() == [loan(epoch=4)]
    assert await latest_epoch(wire) == 4


async def test_an_epoch_that_no_lease_can_bear_is_nobodys(cluster: EmbeddedCluster, wire: Wire) -> None:
    """Whoever may write a Loan in one namespace must not bring the election to its end."""
    put(cluster, loan(epoch=3))
    put(cluster, loan("other", epoch=2**31 - 1))
    assert await latest_epoch(wire) == 3


# ---- what cannot be understood


BROKEN: dict[str, Mapping[str, object]] = {
    "the switch of a Job": {"field": "/spec/suspend", "subresource": ""},
    "a field that is no level": {"field": "/metadata/generation"},
    "a field of another kind": {"field": "/spec/minReplicas", "subresource": ""},
}


@pytest.mark.parametrize("wrong", BROKEN.values(), ids=BROKEN)
async def test_a_loan_that_cannot_be_understood_hides_no_other_and_keeps_its_original(
    book: KubeLoanBook, cluster: EmbeddedCluster, wrong: Mapping[str, object]
) -> None:
    put(cluster, loan(original=77), **wrong)
    put(cluster, loan("fine"))
    listed = {one.key: one for one in await book.list()}
    assert listed[loan("fine").key] == loan("fine")
    unreadable = listed[loan().key]
    assert isinstance(unreadable, UnreadableLoan)
    assert unreadable.ref == loan().place.ref
    assert "spec." in unreadable.note
    for fresh in (True, False):
        with pytest.raises(ConflictError):
            await book.save(loan(original=12), fresh=fresh)
    document = stored(cluster, loan())
    assert document is not None
    assert document["spec"]["original"] == 77


async def test_whatever_the_mapping_raises_costs_that_one_loan(cluster: EmbeddedCluster, wire: Wire) -> None:
    put(cluster, loan())
    put(cluster, loan("fine"))

    def stumbles(document: Mapping[str, Any]) -> Loan:
        if document["spec"]["targetName"] == "order":
            raise OverflowError("cannot convert float infinity to integer")
        return loan_from_object(document)

    book = KubeLoanBook(wire, to_object=loan_to_object, from_object=stumbles)
    listed = {one.key: one for one in await book.list()}
    assert isinstance(listed[loan().key], UnreadableLoan)
    assert listed[loan("fine").key] == loan("fine")


@pytest.mark.parametrize(
    "key", [Key("attacker", "any-name"), Key("attacker", loan().key.name), Key(NS, "any-name")], ids=str
)
async def test_a_loan_that_stands_elsewhere_than_its_field_says_is_not_obeyed(
    book: KubeLoanBook, cluster: EmbeddedCluster, key: Key
) -> None:
    put(cluster, loan(key=key))
    (listed,) = await book.list()
    assert isinstance(listed, UnreadableLoan)
    assert listed.ref is None, "it says nothing of a field that it is not the loan of"


@pytest.mark.parametrize("body", [{"error": "session has ended"}, {"kind": "Status", "metadata": {}, "code": 401}])
async def test_a_write_that_somebody_else_answers_in_the_servers_place_is_no_loan(
    wire: Wire, cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch, body: Json
) -> None:
    """With 200. Believed, a level would be moved without a Loan, and the book could write that one never again."""
    book, through = book_of(wire), Wire._once
    made = loan()

    async def portal(*_: Any) -> Json:
        return body

    monkeypatch.setattr(Wire, "_once", portal)
    for fresh in (True, False):
        with pytest.raises(UnavailableError):
            await book.save(made, fresh=fresh)
    monkeypatch.setattr(Wire, "_once", through)
    assert stored(cluster, made) is None
    await book.save(made, fresh=False)  # it may have been written: so the ledger says it
    monkeypatch.setattr(Wire, "_once", portal)
    with pytest.raises(UnavailableError):
        await book.save(replace(made, pending=14), fresh=False)
    monkeypatch.setattr(Wire, "_once", through)
    await book.save(replace(made, pending=14), fresh=False)
    assert stored(cluster, made)["spec"]["pending"] == 14  # type: ignore[index]
