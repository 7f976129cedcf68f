"""What a reader or a writer of the loop offers to whoever drives it, and which of its jobs begin next.

The process drives rounds freely (``shell/gates.py``), the backtest and the tests one after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Job:
    """One request, or one short row of them, that may begin."""

    key: Hashable
    """One job a key runs at a time."""
    tenant: str
    """The namespace that it is done for."""
    due_at: float
    """Epoch seconds; earlier is taken first."""
    suspect: bool = False
    """It hung or failed the last time."""


class Round(Protocol):
    """A kind of work that is done again and again: looks, signals, writes, pools."""

    name: str

    def due(self, now: float) -> Sequence[Job]:
        """What may begin now, most urgent first, jobs that are under way included. Cheap."""

    async def do(self, job: Job) -> None:
        """Do one job and fill in what it found. Raises nothing by contract, but may."""

    def next_at(self, now: float) -> float | None:
        """When something becomes due next by time alone."""


def chosen(jobs: Iterable[Job], running: Collection[Job], slots: int) -> list[Job]:
    """The jobs that begin now, by ``due_at``.

    A tenant holds at most an eighth of the slots (one at least), suspects together at most half of them, and a key
    that runs is not begun again.
    """
    free = slots - len(running)
    keys = {job.key for job in running}
    held = Counter(job.tenant for job in running)
    suspects = sum(job.suspect for job in running)
    found: list[Job] = []
    for job in sorted(jobs, key=lambda job: job.due_at):
        if len(found) >= free:
            break
        crowded = held[job.tenant] >= max(1, slots // 8) or (job.suspect and suspects >= max(1, slots // 2))
        if crowded or job.key in keys:
            continue
        found.append(job)
        keys.add(job.key)
        held[job.tenant] += 1
        suspects += job.suspect
    return found
