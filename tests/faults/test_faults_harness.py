"""The fault runs themselves: their time, that a run takes one course, and that the judge catches what it should."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import fault_run
import pytest
from api_in_memory import Stream, frames
from fault_judge import Judge
from fault_list import Fault, RequestFaults
from fault_run import run
from fault_scene import Scene, Show, Workload
from operator_under_test import Life, wired
from virtual_time import Spinning, simulated
from wire import Ask, Hit

from tidegate.targets.client import Form

HERE = Path(__file__).parent
WEB = Workload("shop", "shop-core", "web", "Deployment", False, 2, 100, 1, 60, 10.0)
SHOW = Show("shop", "shop-core", "show-0", 300.0, 120.0, 1000)
SCENE = Scene(0, (WEB,), (SHOW,), ("a",))
RETURNED = SHOW.end + 60.0
LEVEL = "/apis/apps/v1/namespaces/shop/deployments/web/scale"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/tidegate/leases"

pytestmark = pytest.mark.timeout(600)


# ---- time


def test_an_hour_of_sleeping_takes_no_time() -> None:
    begun = time.process_time()
    with simulated(1, 1e9) as loop:

        async def sleep() -> tuple[float, float]:
            before = time.monotonic(), time.time()
            await asyncio.sleep(3600.0)
            return time.monotonic() - before[0], time.time() - before[1]

        passed = loop.run_until_complete(sleep())
    assert passed == (3600.0, 3600.0)
    assert time.process_time() - begun < 3600.0


def test_a_timeout_of_fifteen_seconds_comes_after_fourteen() -> None:
    with simulated(1, 1e9) as loop:
        order = []

        async def first() -> None:
            await asyncio.sleep(14.0)
            order.append("slept")

        async def second() -> None:
            try:
                async with asyncio.timeout(15.0):
                    await asyncio.Event().wait()
            except TimeoutError:
                order.append("gave up")

        async def both() -> None:
            await asyncio.gather(second(), first())

        loop.run_until_complete(both())
    assert order == ["slept", "gave up"]


def test_a_silent_watch_breaks_off_however_often_it_is_stirred() -> None:
    """Asked to look again every second, with something held back or not, the client waits no longer than its bound."""
    with simulated(1, 1e9) as loop:

        async def broke_off(*, held_back: bool) -> float:
            stream = Stream()
            if held_back:
                await stream.write(b"{}")
            stirring = loop.create_task(stir(stream))
            begun = loop.time()
            with pytest.raises(aiohttp.SocketTimeoutError):
                async for _ in frames(stream, 60.0, lambda: held_back):
                    pass
            stirring.cancel()
            return loop.time() - begun

        async def stir(stream: Stream) -> None:
            while True:
                await asyncio.sleep(1.0)
                stream.fresh.set()

        assert loop.run_until_complete(broke_off(held_back=False)) == 60.0
        assert loop.run_until_complete(broke_off(held_back=True)) == 60.0


def test_a_loop_that_spins_is_found_out() -> None:
    async def spin() -> None:
        while True:  # noqa: ASYNC110 - waits for nothing, that is the point
            await asyncio.sleep(0)

    with simulated(1, 1e9) as loop, pytest.raises(Spinning):
        loop.run_until_complete(spin())


def test_the_same_seed_takes_the_same_course() -> None:
    one, two = run(1, tell=True), run(1, tell=True)
    assert one.timeline == two.timeline
    assert [str(finding) for finding in one.findings] == [str(finding) for finding in two.findings]


# ---- the judge


class Operator(Life):
    """An operator of a few lines: it holds the Lease, and what else it does, its kind says."""

    def start(self) -> None:
        asyncio.get_running_loop().create_task(self._live(), name="main", context=self._context)

    async def terminate(self, patience: float = 30.0) -> None:
        self.kill()

    async def _live(self) -> None:
        self.started_at = asyncio.get_running_loop().time()
        self.client = wired(self)
        await self.lead()
        await self.work()

    async def lead(self) -> None:
        spec = {"holderIdentity": self.identity, "leaseDurationSeconds": 15}
        metadata = {"name": "tidegate", "namespace": "tidegate"}
        document = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        await self.client.create(LEASES, document)

    async def set(self, level: int) -> None:
        await self.client.patch(LEVEL, [{"op": "replace", "path": "/spec/replicas", "value": level}], Form.JSON)

    async def at(self, instant: float) -> None:
        await asyncio.sleep(instant + 1000.0 - asyncio.get_running_loop().time())

    async def work(self) -> None:
        """Nothing."""


class Careless(Operator):
    """Raises in time, and forgets to return."""

    async def work(self) -> None:
        await self.at(200.0)
        await self.set(10)


class Careful(Careless):
    """Raises and returns, but writes no Loan."""

    async def work(self) -> None:
        await super().work()
        await self.at(RETURNED)
        await self.set(2)


class Nervous(Careful):
    """Lowers in mid-show."""

    async def work(self) -> None:
        await Careless.work(self)
        await self.at(350.0)
        await self.set(4)
        await self.at(RETURNED)
        await self.set(2)


class Usurper(Careful):
    """Writes without the Lease."""

    async def lead(self) -> None:
        return


class Deaf(Careful):
    """Returns what it found at first, whatever the owner has said since."""


class Dying(Careful):
    """Loses a task in silence."""

    async def work(self) -> None:
        async def die() -> None:
            raise RuntimeError("out of names")

        asyncio.create_task(die(), name="status")  # noqa: RUF006 - nobody awaits it, that is the point
        await super().work()


class Heedless(Careful):
    """Goes on during a durable stop."""

    async def work(self) -> None:
        await Careless.work(self)
        await self.at(RETURNED)
        await self.set(5)
        await self.at(RETURNED + 100.0)
        await self.set(2)


def judged(monkeypatch: pytest.MonkeyPatch, kind: type[Life], *faults: Fault, scene: Scene = SCENE) -> set[str]:
    monkeypatch.setattr(fault_run, "Life", kind)
    monkeypatch.setattr(fault_run, "draw_scene", lambda seed: replace(scene, seed=seed))
    return run(0, list(faults)).kinds


NEW_VALUE: dict[str, Any] = {
    "how": "new", "namespace": "shop", "name": "web", "value": 13, "times": 1, "manager": "helm"
}  # fmt: skip


OWN = {"wrote-without-loan", "borrowed-without-loan", "ownership-kept"}
"""What every one of them does wrong: they know no Loans, and no managedFields."""
STOP = Fault(1, "stop", 440.0, 200.0, {"how": "set"})
NEW = Fault(1, "foreign", 320.0, 5.0, NEW_VALUE)


@pytest.mark.parametrize(
    ("kind", "faults", "found"),
    [
        (Operator, (), {"below-need"}),
        (Careless, (), OWN | {"not-returned"}),
        (Careful, (), OWN),
        (Nervous, (), OWN | {"lowered-below-need", "below-need"}),
        (Usurper, (), OWN | {"no-leader", "wrote-without-lease"}),
        (Deaf, (NEW,), OWN | {"lowered-below-owner", "intent-lost"}),
        (Dying, (), OWN | {"dead-task"}),
        (Heedless, (STOP,), OWN | {"wrote-during-stop"}),
    ],
    ids=["idle", "careless", "careful", "nervous", "usurper", "deaf", "dying", "heedless"],
)
def test_the_judge_catches(
    monkeypatch: pytest.MonkeyPatch, kind: type[Life], faults: tuple[Fault, ...], found: set[str]
) -> None:
    assert judged(monkeypatch, kind, *faults) == found


def test_a_level_is_not_short_while_its_object_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    args = {"how": "hang", "deeds": ("level",), "name": "web"}
    weather = Fault(1, "requests", 150.0, 400.0, args)

    class Stubborn(Careful):
        async def set(self, level: int) -> None:
            while True:
                try:
                    return await Operator.set(self, level)
                except Exception:  # noqa: BLE001 - it tries again
                    pass

    assert "below-need" not in judged(monkeypatch, Stubborn, weather)


def test_a_run_without_faults_finds_nothing() -> None:
    assert [str(one) for one in run(1, []).findings] == []


# ---- shrinking, and the program


def test_shrinking_leaves_the_faults_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    import run as program

    needed = {2, 5}

    def played(seed: int, faults: list[Fault] | None = None) -> fault_run.Outcome:
        mine = [Fault(number, "kill", 1.0, 0.0) for number in range(1, 8)] if faults is None else faults
        bad = needed <= {one.number for one in mine}
        found = [fault_run.Finding("not-returned", 1.0, "web", "")] if bad else []
        return fault_run.Outcome(seed, mine, found, 0.0, [])

    monkeypatch.setattr(program, "run", played)
    assert [one.number for one in program.shrunk(0, "not-returned")] == [2, 5]


def play(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(HERE / "run.py"), *arguments], capture_output=True, text=True, check=False, env=os.environ
    )


def test_a_handful_of_runs_finds_nothing() -> None:
    done = play("--runs", "3", "--seed", "4")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("answered", [False, True], ids=["nobody could read it", "somebody was answered"])
@pytest.mark.parametrize("hidden", ["looks hang", "the watch is stalled", ""])
def test_a_new_value_counts_unless_it_is_overwritten_before_anybody_could_read_it(answered: bool, hidden: str) -> None:
    ask = Ask("a", "a-1", "get", "deployments", "shop", "web", "GET", "")
    hits = [Hit(ask, "hang", 318.0, 325.0)] if hidden == "looks hang" else []
    stall = Fault(1, "stall", 315.0, 60.0, {"plural": "deployments" if hidden == "the watch is stalled" else "jobs"})
    now, faults = [320.0], RequestFaults([stall], 0, 0.0)
    judge = Judge(SCENE, None, lambda: now[0], 0.0, lambda: (), [], faults, hits, lambda: (None, ""))  # type: ignore[arg-type]
    one = judge.field_of(WEB)
    judge.foreign(one, 13, "new")
    now[0] = 330.0
    if answered:
        judge.served(ask, 200)
    now[0] = 340.0
    judge.foreign(one, 10, "copy")
    assert one.intent == (13 if answered or not hidden else WEB.original)
