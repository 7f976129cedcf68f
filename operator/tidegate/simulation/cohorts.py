"""What the physics counts: pods in groups that share their instants, and how far a workload's pods are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """One workload as it stands: how many pods got how far. Each count includes the ones after it."""

    wanted: int
    created: int
    scheduled: int
    """On a machine: this is what is paid for, whether ready or starting."""
    ready: int
    unschedulable: int
    """Created, and no machine has room: ``created - scheduled``."""
    stopping: int = 0
    """Told to stop and still on a machine; in none of the counts above."""


@dataclass(slots=True, eq=False)
class Cohort:
    """Pods of one workload that were scheduled in the same instant."""

    count: int
    size: float
    ready_at: float
    """Infinite when they never get ready."""
    ready: bool = False


@dataclass(slots=True)
class Pending:
    """Created pods for which no machine has room."""

    key: str
    count: int
    size: float


@dataclass(slots=True)
class Workload:
    """What is asked for one workload, and what became of it."""

    wanted: int = 0
    start_seconds: float = 5.0
    never_ready: bool = False
    size: float = 1.0
    stop_seconds: float = 0.0
    pending: int = 0
    scheduled: int = 0
    ready: int = 0
    cohorts: list[Cohort] = field(default_factory=list)
    """In the order in which they were scheduled, oldest first."""

    @property
    def created(self) -> int:
        """Pods that exist and were not told to stop."""
        return self.pending + self.scheduled

    @property
    def backlog(self) -> int:
        """Pods still to be created."""
        return max(0, self.wanted - self.created)


def fair_shares(wanted: Sequence[int], budget: int, turn: int = 0) -> list[int]:
    """Split ``budget`` among askers: nobody gets more than asked, and whoever gets less gets as much as anybody.

    What cannot be split evenly goes round: ``turn`` says who is served first.
    """
    shares = [0] * len(wanted)
    open_ = [i for i, want in enumerate(wanted) if want > 0]
    while open_ and budget > 0:
        each = min(budget // len(open_), min(wanted[i] - shares[i] for i in open_))
        if each == 0:
            for step in range(budget):
                shares[open_[(turn + step) % len(open_)]] += 1
            break
        for i in open_:
            shares[i] += each
        budget -= each * len(open_)
        open_ = [i for i in open_ if shares[i] < wanted[i]]
    return shares
