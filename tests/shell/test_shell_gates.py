"""What hangs holds its own slots and nobody else's."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.control.rounds import Job, chosen
from tidegate.shell.gates import Gate, GateSettings
from tidegate.shell.tasks import TaskGroup

# ---- which jobs begin

tenants = st.sampled_from(["a", "b", "c", "d", "e"])
jobs = st.builds(Job, key=st.integers(0, 60), tenant=tenants, due_at=st.floats(0, 100), suspect=st.booleans())


@given(st.lists(jobs, max_size=60), st.lists(jobs, max_size=20, unique_by=lambda job: job.key), st.integers(1, 40))
def test_no_key_runs_twice_no_tenant_holds_much_and_suspects_hold_half(
    due: list[Job], running: list[Job], slots: int
) -> None:
    new = chosen(due, running, slots)
    keys = [job.key for job in [*new, *running]]
    assert len(keys) == len(set(keys))
    assert len(new) <= max(0, slots - len(running))
    now, before = Counter(job.tenant for job in [*new, *running]), Counter(job.tenant for job in running)
    assert all(count <= max(before[tenant], 1, slots // 8) for tenant, count in now.items())
    suspects = sum(job.suspect for job in running)
    assert suspects + sum(job.suspect for job in new) <= max(suspects, 1, slots // 2)


@given(st.lists(jobs, max_size=60), st.integers(1, 40))
def test_what_was_due_first_begins_first_and_the_order_of_asking_does_not_matter(due: list[Job], slots: int) -> None:
    distinct = [replace(job, key=at, due_at=float(at)) for at, job in enumerate(due)]
    new = chosen(distinct, [], slots)
    assert new == sorted(new, key=lambda job: job.due_at)
    assert chosen(distinct[::-1], [], slots) == new


@given(st.integers(2, 60), st.data(), st.integers(2, 40))
def test_the_healthy_find_a_slot_however_many_namespaces_hang(n: int, data: st.DataObject, slots: int) -> None:
    hanging = data.draw(st.sampled_from([1, n // 2, n - 1]))
    ill = [Job(f"ill {t}/{at}", f"ill {t}", float(at), suspect=True) for t in range(hanging) for at in range(5)]
    well = [Job(f"well {t}", f"well {t}", 100.0 + t) for t in range(n - hanging)]
    running = chosen(ill, [], slots)
    assert chosen([*ill, *well], running, slots) != []
    served: list[Job] = []
    for _ in well:  # each ends before the next begins; those that hang stay
        served += [job for job in chosen([*ill, *[j for j in well if j not in served]], running, slots) if job in well]
    assert set(served) == set(well)


# ---- who drives them


@dataclass
class StillClock:
    """Time stands; whoever waits waits to be woken."""

    at: float = 1000.0

    def now(self) -> float:
        return self.at

    async def wait(self, until: float, wake: asyncio.Event) -> None:
        assert until > self.at, "a gate that waits for the past never rests"
        await wake.wait()


@dataclass
class Work:
    """A round whose jobs end when they are let go; ``hangs`` never do, ``breaks`` raise."""

    name: str = "looks"
    waiting: dict[str, Job] = field(default_factory=dict)
    hangs: set[str] = field(default_factory=set)
    breaks: set[str] = field(default_factory=set)
    begun: list[str] = field(default_factory=list)
    held: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, key: str, tenant: str = "") -> None:
        self.waiting[key] = Job(key, tenant or key, float(len(self.waiting)))

    def due(self, now: float) -> Sequence[Job]:
        return list(self.waiting.values())

    def next_at(self, now: float) -> float | None:
        return 0.0 if self.waiting else None

    async def do(self, job: Job) -> None:
        key = str(job.key)
        self.begun.append(key)
        if key in self.hangs:
            await asyncio.Event().wait()
        await self.held.wait()
        del self.waiting[key]
        if key in self.breaks:
            raise RuntimeError("a bug")


@dataclass
class Stage:
    group: TaskGroup
    ends: Counter[str] = field(default_factory=Counter)
    restarts: list[str] = field(default_factory=list)

    def gate(
        self,
        work: Work,
        slots: int,
        *,
        patience: float = 3600.0,
        slow_after: float = 3600.0,
        awaited: bool = True,
    ) -> Gate:
        gate = Gate(
            work,
            GateSettings(slots, patience, slow_after, awaited),
            clock=StillClock(),
            spawn=self.group.once,
            on_end=lambda _, result: self.ends.update([result]),
        )
        self.group.keep(gate.name, gate.run)
        return gate


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    loop = asyncio.get_running_loop()
    made = Stage(None)  # type: ignore[arg-type]
    made.group = TaskGroup(clock=loop.time, later=loop.call_later, on_restart=made.restarts.append)
    yield made
    await made.group.stop()


async def until(holds: object) -> None:
    while not holds():  # type: ignore[operator]  # noqa: ASYNC110  the test's own limit ends it
        await asyncio.sleep(0.001)


async def test_slots_are_filled_and_filled_again_as_jobs_end(stage: Stage) -> None:
    work = Work()
    for at in range(20):
        work.add(f"t{at}")
    gate = stage.gate(work, 8)
    await until(lambda: len(gate.running) == 8)
    assert work.begun == [f"t{at}" for at in range(8)]
    work.held.set()
    await until(lambda: not work.waiting and not gate.running)
    assert (len(work.begun), stage.ends) == (20, Counter(ok=20))


async def test_whoever_wakes_the_gate_is_served_at_once(stage: Stage) -> None:
    work = Work()
    work.held.set()
    gate = stage.gate(work, 8)
    await asyncio.sleep(0)
    work.add("new")
    gate.wake()
    await until(lambda: stage.ends["ok"] == 1)


async def test_a_job_that_raises_is_counted_and_ends_nobody_else(stage: Stage) -> None:
    work = Work(breaks={"t0"})
    work.held.set()
    for at in range(4):
        work.add(f"t{at}")
    stage.gate(work, 1)
    await until(lambda: not work.waiting and stage.ends.total() == 4)
    assert (stage.ends, stage.restarts) == (Counter(ok=3, failed=1), [])


async def test_a_job_that_hangs_is_cancelled_and_its_slot_is_free_again(stage: Stage) -> None:
    work = Work(hangs={"t0"})
    work.held.set()
    work.add("t0")
    work.add("t1")
    stage.gate(work, 1, patience=0.01)
    await until(lambda: stage.ends["hung"] and work.waiting.pop("t0"))
    await until(lambda: stage.ends["ok"])
    assert stage.restarts == []


async def test_slots_that_fill_with_what_nobody_knew_to_hang_do_not_stop_the_healthy(stage: Stage) -> None:
    """The first time nobody is a suspect: slow jobs beyond half of the slots do not count."""
    work = Work(hangs={f"ill{at}" for at in range(16)})
    for at in range(16):
        work.add(f"ill{at}")
    for at in range(40):
        work.add(f"well{at}")
    work.held.set()
    gate = stage.gate(work, 16, slow_after=0.01)
    await until(lambda: stage.ends["ok"] == 40)
    assert len(gate.running) == 16


async def test_what_is_due_for_a_tenant_that_is_slow_waits_behind_the_others(stage: Stage) -> None:
    work = Work(hangs={f"ill{at}" for at in range(32)})
    for at in range(32):
        work.add(f"ill{at}", tenant=f"ill{at // 4}")
    for at in range(8):
        work.add(f"well{at}")
    work.held.set()
    gate = stage.gate(work, 16, slow_after=0.01)
    await until(lambda: stage.ends["ok"] == 8)
    assert len(gate.running) < 32


async def test_a_drain_begins_nothing_more_and_waits_for_what_runs(stage: Stage) -> None:
    work = Work()
    for at in range(3):
        work.add(f"t{at}")
    gate = stage.gate(work, 2)
    await until(lambda: len(gate.running) == 2)
    assert not await gate.drain(0.0)
    draining = asyncio.create_task(gate.drain(3600.0))
    await asyncio.sleep(0)
    work.held.set()
    assert await draining
    gate.wake()
    await asyncio.sleep(0.01)
    assert list(work.waiting) == ["t2"]


async def test_what_nothing_is_lost_by_ending_is_not_waited_for_at_the_stop(stage: Stage) -> None:
    work = Work(hangs={"t0"})
    work.add("t0")
    gate = stage.gate(work, 1, awaited=False)
    await until(lambda: len(gate.running) == 1)
    assert await gate.drain(3600.0)
    await until(lambda: stage.ends["cancelled"] == 1)


async def test_jobs_live_on_when_the_gate_is_started_anew(stage: Stage) -> None:
    work = Work()
    work.add("t0")
    gate = stage.gate(work, 2)
    await until(lambda: work.begun == ["t0"])
    again = asyncio.create_task(gate.run())
    await asyncio.sleep(0.01)
    assert work.begun == ["t0"]
    work.held.set()
    await until(lambda: stage.ends["ok"] == 1)
    again.cancel()
