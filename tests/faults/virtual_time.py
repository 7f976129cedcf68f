"""Time that passes only when nothing else can happen: an event loop whose clock jumps to the next timer.

An hour of sleeping costs nothing, and the same run takes the same course each time. Nothing may wait for a socket, a
thread or a process here: there is nobody who would wake the loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import selectors
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

SPIN_MOST = 100_000
"""Rounds of the event loop at one instant after which it counts as spinning."""


CPU_ASKED = 1000
"""Leaps between two looks at the processor's own clock: each may cost milliseconds."""


class Spinning(BaseException):
    """The event loop goes round and round, and time does not pass: nothing may catch this."""


class OutOfTime(BaseException):
    """The run has used more of the processor than it may."""


class _Leaps(selectors.SelectSelector):
    """Waits by moving the clock."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        self.loop.leap(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a clock of its own, which starts at 1,000 s."""

    def __init__(self, *, cpu_most: float = 120.0) -> None:
        """``cpu_most``: seconds of the processor after which OutOfTime ends the run."""
        leaps = _Leaps()
        leaps.loop = self
        self._at = 1000.0
        self._rounds = self._leaps = 0
        self._cpu_end = time.process_time() + cpu_most
        super().__init__(leaps)

    def time(self) -> float:
        """Seconds of simulated time."""
        return self._at

    def leap(self, timeout: float | None) -> None:
        """Nothing is ready: go to the next timer."""
        if timeout is None:
            raise RuntimeError("nothing will ever happen: no task is ready and no timer is set")
        self._rounds += 1
        if timeout <= 0:
            if self._rounds > SPIN_MOST:
                raise Spinning(f"{SPIN_MOST} rounds of the event loop at {self._at:.3f}")
            return
        self._rounds = 0
        self._leaps += 1
        if self._leaps % CPU_ASKED == 0 and time.process_time() > self._cpu_end:
            raise OutOfTime(f"the processor time of this run is used up at {self._at:.1f}")
        due = self._scheduled[0].when() if self._scheduled else 0.0  # type: ignore[attr-defined]
        self._at = max(self._at + timeout, due)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """Runs at once: a thread would live in another time."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whoever awaits gets it
            future.set_exception(error)
        return future


@contextmanager
def simulated(
    seed: int, wall: float, *, skew: Callable[[], float] = lambda: 0.0, cpu_most: float = 120.0
) -> Iterator[VirtualLoop]:
    """An event loop in which the machine's clocks, chance and fresh uids are those of a simulation.

    ``wall`` is the epoch second at the start; ``skew`` says by how much the wall clock of whoever asks is wrong.
    """
    loop = VirtualLoop(cpu_most=cpu_most)
    chance = random.Random(seed)
    state = random.getstate()
    secure = ssl.create_default_context()
    start = loop.time()

    def wall_clock() -> float:
        return wall + loop.time() - start + skew()

    def one_and_the_same(*_: Any, **__: Any) -> ssl.SSLContext:
        return secure  # a fresh one costs 20 ms

    def fresh() -> uuid.UUID:
        return uuid.UUID(int=chance.getrandbits(128), version=4)

    with (
        mock.patch("time.time", wall_clock),
        mock.patch("time.monotonic", loop.time),
        mock.patch("time.thread_time", return_value=0.0),
        mock.patch("uuid.uuid4", fresh),
        mock.patch("ssl.create_default_context", one_and_the_same),
    ):
        random.seed(seed)
        asyncio.set_event_loop(loop)
        try:
            yield loop
        finally:
            random.setstate(state)
            asyncio.set_event_loop(None)
            loop.close()


def outside() -> contextvars.Context:
    """A context that belongs to no operator: in which the cluster and its people act."""
    return contextvars.Context()
