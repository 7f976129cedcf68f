"""The process that makes timetables answers as the pure call does, and whatever it dies of, the next one answers."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tidegate.control.inline import InlineSolver
from tidegate.planning.model import Ref
from tidegate.planning.resources import Resources
from tidegate.planning.shift.inputs import Timetabled, TimetableInputs
from tidegate.planning.shift.model import Lane, Member, MemberKind, Need, NeedStep, Pool, PoolFacts
from tidegate.ports import UnavailableError
from tidegate.shell.solver import ProcessSolver, Solvers

NOW = 1_794_240_000.0
CORE = Resources(1000, 1024)


def inputs(*, cores: int = 2) -> TimetableInputs:
    """Four Jobs fill a pool; a need asks for some of it in an hour."""
    lanes = (Lane("trading", allowed_namespaces=frozenset({"shop"})), Lane("data"))
    jobs = tuple(
        Member(Ref("batch/v1", "Job", "data", f"j{n}"), "data", MemberKind.JOB, CORE, 1, CORE, 0.0) for n in range(4)
    )
    steps = (NeedStep(NOW + 3600.0, NOW + 7200.0, CORE.times(cores)),)
    need = Need(f"shop/core/t@{NOW + 3600.0:.0f}", "trading", "shop", steps)
    return TimetableInputs(Pool("p", lanes), PoolFacts(CORE.times(4), {}, jobs), (need,), (), NOW, 45.0)


async def test_a_process_gives_the_timetable_that_the_pure_call_gives() -> None:
    solver = ProcessSolver()
    try:
        for cores in (1, 4, 9):
            want = await InlineSolver().solve(inputs(cores=cores))
            assert await solver.solve(inputs(cores=cores)) == want
    finally:
        await solver.close()


async def test_two_processes_at_once_give_equal_timetables_whatever_their_hashes_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    solvers = []
    try:
        for seed in ("1", "2"):
            monkeypatch.setenv("PYTHONHASHSEED", seed)
            solvers.append(ProcessSolver())
            await solvers[-1].solve(inputs())  # each is started with its own
        one, other = await asyncio.gather(*(solver.solve(inputs(cores=3)) for solver in solvers))
        assert one.result == other.result
    finally:
        for solver in solvers:
            await solver.close()


@pytest.fixture
def stuck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A worker that never answers."""
    (tmp_path / "stuck_worker.py").write_text("import sys\nwhile sys.stdin.buffer.read(1): pass\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    return "stuck_worker"


async def asked(solver: ProcessSolver) -> tuple[asyncio.Task[Timetabled], asyncio.subprocess.Process]:
    """A question under way, and the process that it was put to."""
    waiting = asyncio.create_task(solver.solve(inputs()))
    while solver._process is None:  # noqa: ASYNC110 - nothing tells that a process was started
        await asyncio.sleep(0)
    return waiting, solver._process


async def test_after_its_process_was_killed_the_next_timetable_is_made_by_a_new_one(stuck: str) -> None:
    solver = ProcessSolver(worker=stuck)
    waiting, process = await asked(solver)
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(UnavailableError, match="the process that makes timetables ended"):
        await waiting
    solver.worker = ProcessSolver().worker
    try:
        assert await solver.solve(inputs()) == await InlineSolver().solve(inputs())
    finally:
        await solver.close()


async def test_the_guard_ends_a_solution_without_result_and_its_process_with_it(stuck: str) -> None:
    solver = ProcessSolver(guard=0.2, worker=stuck)
    with pytest.raises(UnavailableError, match=r"no timetable after 0\.2 s"):
        await solver.solve(inputs())
    assert solver._process is None


async def test_who_stops_waiting_leaves_no_answer_for_the_next_question(stuck: str) -> None:
    solver = ProcessSolver(worker=stuck)
    waiting, process = await asked(solver)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert process.returncode is not None
    solver.worker = ProcessSolver().worker
    try:
        assert await solver.solve(inputs()) == await InlineSolver().solve(inputs())
    finally:
        await solver.close()


async def test_a_pool_that_is_hard_to_plan_leaves_the_others_a_process(stuck: str) -> None:
    solvers = Solvers((ProcessSolver(guard=60.0, worker=stuck), ProcessSolver()))
    try:
        hard = asyncio.create_task(solvers.solve(inputs()))
        await asyncio.sleep(0)
        assert await solvers.solve(inputs(cores=3)) == await InlineSolver().solve(inputs(cores=3))
        assert not hard.done()
        hard.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hard
    finally:
        await solvers.close()
