"""Timetables made in a process of their own, so that the loop never waits for one and survives whatever it does.

The process is started from nothing (no fork: it has no socket, lock or task of ours), has a lower priority, and is the
first that the kernel ends when memory is short. It reads what to solve from its standard input and writes the answer to
its standard output. When it dies, or takes longer than the guard allows, ``solve`` raises, and a new process solves the
next one. The guard ends a solution without a result: no timetable depends on how busy the machine was.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from tidegate.planning.shift.inputs import Timetabled, TimetableInputs
from tidegate.ports import UnavailableError
from tidegate.shell.solver_process import LENGTH

log = logging.getLogger("tidegate.solver")

GUARD = 180.0
"""Seconds after which a solution is given up. Judgment: the largest takes some ten seconds of processor time, and the
process has the lower priority on a machine that may be busy."""
WORKER = "tidegate.shell.solver_process"


@dataclass(slots=True)
class ProcessSolver:
    """Makes timetables in another process, one at a time."""

    guard: float = GUARD
    worker: str = WORKER
    """The module that the process runs."""
    _process: asyncio.subprocess.Process | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _asked: int = 0

    async def solve(self, inputs: TimetableInputs) -> Timetabled:
        """The timetable of a pool; ``UnavailableError`` when the process died or took too long."""
        self._asked += 1
        try:
            return await self._solved(inputs)
        finally:
            self._asked -= 1

    async def _solved(self, inputs: TimetableInputs) -> Timetabled:
        name = inputs.pool.name
        message = await asyncio.to_thread(pickle.dumps, inputs)
        async with self._turn:
            try:
                async with asyncio.timeout(self.guard):
                    answer = await self._ask(message)
            except BaseException as error:
                # Its answer may still come, and must not be taken for that of the next question.
                await self._end()
                if isinstance(error, TimeoutError):
                    raise UnavailableError(f"{name}: no timetable after {self.guard:g} s") from error
                if isinstance(error, (OSError, EOFError)):
                    raise UnavailableError(f"{name}: the process that makes timetables ended") from error
                raise
        made = await asyncio.to_thread(pickle.loads, answer)  # of our own process
        if isinstance(made, Exception):
            raise UnavailableError(f"{name}: no timetable: {made!r}") from made
        return cast("Timetabled", made)

    @property
    def is_busy(self) -> bool:
        """Somebody waits for a timetable of this process."""
        return self._asked > 0

    async def close(self) -> None:
        """End the process; a solution that is under way fails."""
        await self._end()

    async def _ask(self, message: bytes) -> bytes:
        process = await self._running()
        assert process.stdin is not None  # noqa: S101 - both were asked for
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(LENGTH.pack(len(message)) + message)
        await process.stdin.drain()
        (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
        return await process.stdout.readexactly(length)

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self.worker,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,  # a signal to our group is ours to handle
            )
            log.info("the process that makes timetables is %d", self._process.pid)
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@dataclass(slots=True)
class Solvers:
    """A few processes that make timetables: a pool that is hard to plan leaves the others one. Each starts with its
    first question.
    """

    workers: tuple[ProcessSolver, ...] = field(default_factory=lambda: (ProcessSolver(), ProcessSolver()))

    async def solve(self, inputs: TimetableInputs) -> Timetabled:
        """See ``ProcessSolver.solve``; by the first process that has nothing to do, else by the one that is asked."""
        idle = (one for one in self.workers if not one.is_busy)
        return await next(idle, self.workers[0]).solve(inputs)

    async def close(self) -> None:
        """End all processes."""
        await asyncio.gather(*(one.close() for one in self.workers))
