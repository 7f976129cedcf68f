"""Somebody leads, whatever becomes of the Lease, of the server's answers and of our own thread."""

from __future__ import annotations

import asyncio
import copy
import math
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tidegate.ports import ConflictError, NotFoundError, UnavailableError
from tidegate.shell.leader import LeaseLeader, LeaseTimes
from tidegate.targets.client import the_object
from tidegate.targets.errors import NotServedError

Json = dict[str, Any]
QUICK = LeaseTimes(duration=1.0, renew_every=0.01, deadline=0.6, trials=3, longest=1.0)


@dataclass
class Server:
    """One Lease, compared by resourceVersion, and whatever trouble it is told to make."""

    lease: Json | None = None
    version: int = 0
    troubles: list[Exception] = field(default_factory=list)
    """One a request, the first first."""
    record: Callable[[], int] = lambda: 0
    clients: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, body: Json) -> Json:
        self.version += 1
        self.lease = copy.deepcopy(body)
        self.lease["metadata"] = {**self.lease["metadata"], "uid": "lease-1", "resourceVersion": str(self.version)}
        return copy.deepcopy(self.lease)

    def edit(self, spec: Json | None) -> None:
        """Somebody replaces the Lease's spec, or deletes it."""
        with self.lock:
            if spec is None:
                self.lease = None
            else:
                self.write({"metadata": {"name": "tidegate"}, "spec": spec})

    async def connect(self) -> Any:
        self.clients += 1
        return Client(self)


@dataclass
class Client:
    server: Server

    def _trouble(self) -> None:
        if self.server.troubles:
            raise self.server.troubles.pop(0)

    async def get(self, path: str) -> Json:
        self._trouble()
        with self.server.lock:
            if self.server.lease is None:
                raise NotFoundError(path)
            return copy.deepcopy(self.server.lease)

    async def find(self, path: str, name: str) -> Json:
        return the_object(await self.get(path), path, name)

    async def create(self, path: str, body: Json) -> Json:
        self._trouble()
        with self.server.lock:
            if self.server.lease is not None:
                raise ConflictError("exists")
            return self.server.write(body)

    async def replace(self, path: str, body: Json) -> Json:
        self._trouble()
        with self.server.lock:
            if self.server.lease is None:
                raise NotFoundError(path)
            if body["metadata"].get("resourceVersion") != self.server.lease["metadata"]["resourceVersion"]:
                raise ConflictError("old")
            return self.server.write(body)

    async def close(self) -> None:
        pass


@dataclass
class Stage:
    server: Server
    told: list[bool] = field(default_factory=list)
    leaders: list[LeaseLeader] = field(default_factory=list)

    def stand(self, identity: str = "me", connect: Any = None, record: Any = None) -> LeaseLeader:
        async def past_epoch(_client: object) -> int:
            return self.server.record()

        leader = LeaseLeader(
            connect or self.server.connect,
            namespace="tidegate",
            name="tidegate",
            identity=identity,
            past_epoch=record or past_epoch,
            on_change=self.told.append,
            times=QUICK,
        )
        self.leaders.append(leader)
        leader.start()
        return leader


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage(Server())
    yield made
    for leader in made.leaders:
        await asyncio.to_thread(leader.stop)


async def until(holds: Callable[[], object]) -> None:
    while not holds():  # noqa: ASYNC110  the test's own limit ends it
        await asyncio.sleep(0.005)


async def test_a_lease_is_taken_also_where_the_loans_take_longer_to_list_than_a_round_may(stage: Stage) -> None:
    async def slow(_client: object) -> int:
        await asyncio.sleep(QUICK.deadline)  # a round may take a third of it
        return 7

    leader = stage.stand(record=slow)
    await until(leader.may_write)
    assert leader.epoch == 8


async def test_nobody_leads_before_the_epochs_on_record_are_known(stage: Stage) -> None:
    """An epoch that was used before would let two lives write as one."""
    asked = 0

    def record() -> int:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise [UnavailableError("later"), KeyError("a bug")][asked - 1]
        return 4

    stage.server.record = record
    leader = stage.stand()
    await until(leader.may_write)
    assert (asked, leader.epoch) == (3, 5)


async def test_of_the_loans_and_the_lease_the_higher_epoch_counts(stage: Stage) -> None:
    stage.server.edit({"holderIdentity": "", "leaseTransitions": 9})
    stage.server.record = lambda: 4
    leader = stage.stand()
    await until(leader.may_write)
    assert leader.epoch == 10


@pytest.mark.parametrize(
    "spec",
    [None, {}, {"holderIdentity": "", "leaseTransitions": None}, {"holderIdentity": "stranger", "leaseTransitions": 1}],
    ids=["deleted", "emptied", "half empty", "taken by a stranger"],
)
async def test_whatever_is_done_to_the_lease_somebody_leads_again_with_a_higher_epoch(
    spec: Json | None, stage: Stage
) -> None:
    leader = stage.stand()
    await until(leader.may_write)
    first = leader.epoch
    stage.server.edit(spec)
    await until(lambda: leader.may_write() and leader.epoch > first)


async def test_a_duration_of_years_keeps_nobody_from_leading(stage: Stage) -> None:
    stage.server.edit({"holderIdentity": "dead", "leaseTransitions": 1, "leaseDurationSeconds": 2**31 - 1})
    leader = stage.stand()
    await until(leader.may_write)
    assert leader.epoch == 2


async def test_an_epoch_that_somebody_lowered_is_put_right(stage: Stage) -> None:
    stage.server.record = lambda: 6
    leader = stage.stand()
    await until(leader.may_write)
    stage.server.edit({"holderIdentity": "me", "leaseTransitions": 0})
    await until(lambda: stage.server.lease and stage.server.lease["spec"]["leaseTransitions"] == 7)
    assert leader.epoch == 7


async def test_a_server_that_answers_500_for_a_while_is_asked_on_with_a_new_client(stage: Stage) -> None:
    leader = stage.stand()
    await until(leader.may_write)
    stage.server.troubles = [UnavailableError("500")] * 8
    await until(lambda: not stage.server.troubles)
    await until(lambda: leader.trouble == "")
    await until(leader.may_write)
    assert stage.server.clients > 1


async def test_who_could_not_write_for_a_while_leads_since_he_can_again_and_a_renewal_changes_nothing(
    stage: Stage,
) -> None:
    leader = stage.stand()
    assert leader.since() == math.inf
    await until(leader.may_write)
    first = leader.since()
    await asyncio.sleep(QUICK.deadline)
    assert (leader.may_write(), leader.since()) == (True, first)
    stage.server.troubles = [UnavailableError("503")] * 1000
    await until(lambda: not leader.may_write())
    ended = time.monotonic()
    stage.server.troubles = []
    await until(leader.may_write)
    assert leader.since() >= ended > first


async def test_who_lost_the_lease_and_found_it_between_two_looks_is_told_that_he_leads_anew(stage: Stage) -> None:
    leader = stage.stand()
    await until(lambda: stage.told == [True])
    await asyncio.to_thread(leader.stop, release=False)
    stage.told.clear()
    leader._stopping.clear()
    for renewed in (None, -math.inf):  # so long ago that nothing may be written
        leader._renewed = renewed
        leader._lead(1, time.monotonic())
        leader._tell(leading=leader.may_write())
        leader._lead(1, time.monotonic())
        leader._tell(leading=leader.may_write())
    assert stage.told == [True, True], "once for each time that it was lost"


@pytest.mark.parametrize("said", [{"kind": "Status", "metadata": {}}, {"error": "log in"}, NotServedError("404")])
async def test_what_is_no_lease_takes_none_away_and_gives_nobody_one(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, said: Json | Exception
) -> None:
    """A proxy that answers in the server's place: who leads goes on until his time is over."""
    leader = stage.stand()
    await until(lambda: leader.may_write() and bool(stage.told))
    through, asked = Client.get, 0

    async def portal(client: Client, path: str) -> Json:
        nonlocal asked
        if asked == 2:
            return await through(client, path)
        asked += 1
        if isinstance(said, Exception):
            raise said
        return said

    since, told = leader.since(), list(stage.told)
    monkeypatch.setattr(Client, "get", portal)
    await until(lambda: asked == 2)
    await until(lambda: not leader.trouble)
    assert (leader.may_write(), leader.since(), leader.epoch, stage.told) == (True, since, 1, told)
    assert stage.server.clients == 1, "and the client is not to blame"


async def test_nobody_leads_by_a_write_that_somebody_else_answered(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy answers writes in the server's place: the Lease is as it was, and others may take it."""
    leader = stage.stand()
    await until(leader.may_write)

    async def portal(client: Client, path: str, body: Json) -> Json:
        return {"metadata": {}, "error": "log in"}

    monkeypatch.setattr(Client, "replace", portal)
    await until(lambda: not leader.may_write())
    assert "is not the object" in leader.trouble


async def test_a_client_that_is_broken_is_replaced_at_once(stage: Stage) -> None:
    leader = stage.stand()
    await until(leader.may_write)
    stage.server.troubles = [RuntimeError("Session is closed")]
    await until(lambda: stage.server.clients == 2)
    await until(leader.may_write)
    assert leader.epoch == 1


async def test_a_cluster_that_cannot_be_connected_to_yet_is_tried_again(stage: Stage) -> None:
    tries = 0

    async def connect() -> Any:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OSError("no token yet")
        return await stage.server.connect()

    leader = stage.stand(connect=connect)
    await until(leader.may_write)
    assert tries == 3


async def test_a_thread_that_died_is_started_anew(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    leader = stage.stand()
    await until(leader.may_write)
    dead, leader._thread = leader._thread, threading.Thread(target=lambda: None)  # as if it had ended
    leader._stopping.set()
    assert dead is not None
    await asyncio.to_thread(dead.join)
    leader._stopping.clear()
    assert not leader.may_write()
    keeper = asyncio.create_task(leader.keep())
    await until(leader.may_write)
    keeper.cancel()


@pytest.mark.parametrize("release", [True, False])
async def test_who_stops_gives_the_lease_up_unless_a_write_of_his_is_still_under_way(
    release: bool, stage: Stage
) -> None:
    leader = stage.stand()
    await until(leader.may_write)
    await asyncio.to_thread(leader.stop, release=release)
    assert not leader.may_write()
    assert stage.server.lease is not None
    assert (stage.server.lease["spec"]["holderIdentity"] == "") is release
    assert stage.told == [True, False]


async def test_who_is_cut_off_stops_writing_before_anybody_else_takes_the_lease(stage: Stage) -> None:
    """His time runs from when he sent his last renewal, theirs from when they saw it."""

    @dataclass
    class Cut(Client):
        def _trouble(self) -> None:
            if cut.is_set():
                raise UnavailableError("no route")

    async def connect() -> Any:
        return Cut(stage.server)

    cut = threading.Event()
    one = stage.stand("one", connect=connect)
    await until(one.may_write)
    two = stage.stand("two")
    cut.set()
    await until(two.may_write)
    assert not one.may_write()


def test_a_leader_gives_up_five_seconds_before_another_may_begin() -> None:
    assert (LeaseTimes().deadline, LeaseTimes().duration) == (10.0, 15.0)
