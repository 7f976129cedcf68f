"""How a cluster turns wanted pods into ready ones: the physics shared by the embedded API, the demo and the backtest.

A pod is wanted, then created, then scheduled, then ready. Creation is slow because all workloads share one client
limit; scheduling waits for room; readiness takes the workload's own start time. Pods are kept as cohorts (a count that
shares its instants), so that thousands of them cost what a few dozen do. Nothing here reads a clock: time comes in as
``now``, and the outcome does not depend on how often ``advance`` is called.

Left out, on purpose: the limiter's burst of 30 (it hurries a lone step by at most 1.5 s), the time of the scheduler
itself (milliseconds per pod), termination grace (a removed pod is gone at once), machines that are taken away again.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

STOCK_CREATION_RATE = 20.0
"""Pods per second that all workloads together get created: ``--kube-api-qps`` of kube-controller-manager, whose stock
value is 20. Measured on a real 1.36 control plane at stock rates: 20 workloads of 50 pods that step together were ready
after 53 s, one of them alone after 7 s."""

QUANTUM = 0.25
"""Longest time in seconds between two batches of created pods: judgment. Finer buys nothing, a start takes seconds."""


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


@dataclass(slots=True)
class _Cohort:
    """Pods of one workload that were scheduled in the same instant."""

    count: int
    size: float
    ready_at: float
    """Infinite when they never get ready."""
    ready: bool = False


@dataclass(slots=True)
class _Pending:
    """Created pods for which no machine has room."""

    key: str
    count: int
    size: float


@dataclass(slots=True)
class _Workload:
    wanted: int = 0
    start_seconds: float = 5.0
    never_ready: bool = False
    size: float = 1.0
    pending: int = 0
    scheduled: int = 0
    ready: int = 0
    cohorts: list[_Cohort] = field(default_factory=list)
    """In the order in which they were scheduled, oldest first."""

    @property
    def created(self) -> int:
        return self.pending + self.scheduled

    @property
    def backlog(self) -> int:
        return max(0, self.wanted - self.created)


class Physics:
    """The pods of one cluster.

    ``creation_rate`` is in pods per second for all workloads together. ``capacity_units`` is the room of the machines
    that are up, in the unit of a workload's ``size`` (None: there is always room). ``machine_seconds`` is how long a
    new machine takes; 0 means that none comes and a pod waits until another one leaves.
    """

    def __init__(
        self,
        *,
        creation_rate: float = STOCK_CREATION_RATE,
        capacity_units: float | None = None,
        machine_seconds: float = 0.0,
    ) -> None:
        if creation_rate <= 0 or machine_seconds < 0 or (capacity_units is not None and capacity_units < 0):
            raise ValueError("creation_rate must be above 0, capacity_units and machine_seconds not below 0")
        self._rate = creation_rate
        self._quantum = max(QUANTUM, 1.0 / creation_rate)
        self._capacity = math.inf if capacity_units is None else capacity_units
        self._machine_seconds = machine_seconds
        self._used = 0.0
        self._now = -math.inf
        self._workloads: dict[str, _Workload] = {}
        self._backlogged: set[str] = set()
        self._pending: deque[_Pending] = deque()
        self._machines: deque[tuple[float, float]] = deque()
        """Machines on order: (instant, units)."""
        self._starting: list[tuple[float, int, str, _Cohort]] = []
        self._sequence = 0
        self.on_change: Callable[[float], None] | None = None
        """Called with the instant after anything changed, in order of time: for those who record every change and do
        not want to depend on how often ``advance`` is called."""

    # ---- what people ask for

    def set_workload(
        self,
        key: str,
        *,
        now: float,
        replicas: int,
        start_seconds: float = 5.0,
        never_ready: bool = False,
        size: float = 1.0,
    ) -> None:
        """Create or change a workload.

        Fewer replicas take effect at once: what is not ready goes first, then the youngest (the order in which a
        ReplicaSet gives up pods). Start time and size hold for pods scheduled from now on; pods that never got ready do
        so ``start_seconds`` after ``never_ready`` was taken back.
        """
        if replicas < 0 or start_seconds < 0 or size < 0:
            raise ValueError("replicas, start_seconds and size must not be below 0")
        self.advance(now)
        workload = self._workloads.setdefault(key, _Workload())
        recovered = workload.never_ready and not never_ready
        workload.wanted, workload.start_seconds = replicas, start_seconds
        workload.never_ready, workload.size = never_ready, size
        if recovered:
            self._recover(key, workload)
        if workload.created > replicas:
            self._shed(key, workload, workload.created - replicas)
        self._note_backlog(key, workload)
        self._finish_starts()
        self._tell()

    def remove(self, key: str, *, now: float) -> None:
        """Forget a workload and all its pods at once; one that is gone is well gone."""
        self.advance(now)
        workload = self._workloads.get(key)
        if workload is None:
            return
        workload.wanted = 0
        self._shed(key, workload, workload.created)
        del self._workloads[key]
        self._backlogged.discard(key)
        self._tell()

    # ---- what time does

    def advance(self, now: float) -> None:
        """Let time pass until ``now`` (epoch seconds). An instant in the past changes nothing."""
        while (at := self.next_change()) is not None and at <= now:
            creating = bool(self._backlogged) and at == self._next_tick()
            self._now = at
            self._finish_starts()
            self._receive_machines()
            if creating:
                self._create(round(at / self._quantum))
            self._tell()
        self._now = max(self._now, now)

    def next_change(self) -> float | None:
        """When something happens by itself, or None if nothing will until somebody asks."""
        instants = [entry[0] for entry in self._live_starts()]
        if self._machines:
            instants.append(self._machines[0][0])
        if self._backlogged:
            instants.append(self._next_tick())
        return min(instants, default=None)

    def view(self, key: str) -> WorkloadView:
        """How far the pods of one workload are; all zero for one that does not exist."""
        workload = self._workloads.get(key)
        if workload is None:
            return WorkloadView(0, 0, 0, 0, 0)
        return WorkloadView(
            workload.wanted, workload.created, workload.scheduled, workload.ready, unschedulable=workload.pending
        )

    @property
    def spare_units(self) -> float:
        """Room left on the machines that are up; infinite when there is always room."""
        return self._capacity - self._used

    def _tell(self) -> None:
        if self.on_change is not None:
            self.on_change(self._now)

    # ---- creation: one limit for all

    def _next_tick(self) -> float:
        """The first instant of the creation grid after now. The grid is absolute: asking more often changes nothing."""
        tick = (math.floor(self._now / self._quantum) + 1) * self._quantum
        return tick if tick > self._now else tick + self._quantum

    def _create(self, tick: int) -> None:
        """Hand out one batch, evenly among the workloads that wait.

        The limiter serves requests as they come, and every ReplicaSet always has one waiting.
        """
        batch = self._rate * self._quantum
        budget = math.floor((tick + 1) * batch) - math.floor(tick * batch)
        waiting = sorted(self._backlogged)
        for key, share in zip(
            waiting, fair_shares([self._workloads[k].backlog for k in waiting], budget, tick), strict=True
        ):
            if share:
                workload = self._workloads[key]
                self._place(key, workload, share)
                self._note_backlog(key, workload)
        self._order_machines()

    def _note_backlog(self, key: str, workload: _Workload) -> None:
        if workload.backlog:
            self._backlogged.add(key)
        else:
            self._backlogged.discard(key)

    # ---- scheduling: room and machines

    def _place(self, key: str, workload: _Workload, count: int) -> None:
        fitting = 0 if self._pending else self._fit(count, workload.size)
        if fitting:
            self._schedule(key, workload, fitting, workload.size)
        if count > fitting:
            workload.pending += count - fitting
            self._pending.append(_Pending(key, count - fitting, workload.size))
            self._schedule_pending()

    def _fit(self, count: int, size: float) -> int:
        if size == 0 or math.isinf(self._capacity):
            return count
        return min(count, max(0, math.floor((self._capacity - self._used) / size + 1e-9)))

    def _schedule(self, key: str, workload: _Workload, count: int, size: float) -> None:
        ready_at = math.inf if workload.never_ready else self._now + workload.start_seconds
        cohort = _Cohort(count, size, ready_at)
        workload.cohorts.append(cohort)
        workload.scheduled += count
        self._used += count * size
        self._await_start(key, cohort)

    def _schedule_pending(self) -> None:
        """First come, first served; a pod that does not fit does not hold up a smaller one behind it."""
        still: deque[_Pending] = deque()
        for waiting in self._pending:
            fitting = self._fit(waiting.count, waiting.size)
            if fitting:
                workload = self._workloads[waiting.key]
                workload.pending -= fitting
                waiting.count -= fitting
                self._schedule(waiting.key, workload, fitting, waiting.size)
            if waiting.count:
                still.append(waiting)
        self._pending = still

    def _order_machines(self) -> None:
        """A node provisioner that sees pods without room and asks for just that much, once."""
        if not self._machine_seconds:
            return
        on_order = sum(units for _, units in self._machines)
        missing = sum(p.count * p.size for p in self._pending) - max(0.0, self.spare_units) - on_order
        if missing > 1e-9:
            self._machines.append((self._now + self._machine_seconds, missing))

    def _receive_machines(self) -> None:
        arrived = False
        while self._machines and self._machines[0][0] <= self._now:
            self._capacity += self._machines.popleft()[1]
            arrived = True
        if arrived:
            self._schedule_pending()
            self._order_machines()

    # ---- starting

    def _await_start(self, key: str, cohort: _Cohort) -> None:
        if math.isfinite(cohort.ready_at):
            self._sequence += 1
            heapq.heappush(self._starting, (cohort.ready_at, self._sequence, key, cohort))

    def _live_starts(self) -> Sequence[tuple[float, int, str, _Cohort]]:
        """The earliest start that still means something, as a list of at most one."""
        while self._starting and (self._starting[0][3].count == 0 or self._starting[0][3].ready):
            heapq.heappop(self._starting)
        return self._starting[:1]

    def _finish_starts(self) -> None:
        while (first := self._live_starts()) and first[0][0] <= self._now:
            _, _, key, cohort = heapq.heappop(self._starting)
            cohort.ready = True
            self._workloads[key].ready += cohort.count
            self._merge_ready(self._workloads[key])

    @staticmethod
    def _merge_ready(workload: _Workload) -> None:
        """Ready neighbours of one size need not be told apart any more."""
        merged: list[_Cohort] = []
        for cohort in workload.cohorts:
            last = merged[-1] if merged else None
            if last is not None and last.ready and cohort.ready and last.size == cohort.size:
                last.count += cohort.count
                cohort.count = 0
            elif cohort.count:
                merged.append(cohort)
        workload.cohorts = merged

    def _recover(self, key: str, workload: _Workload) -> None:
        for cohort in workload.cohorts:
            if not cohort.ready and math.isinf(cohort.ready_at):
                cohort.ready_at = self._now + workload.start_seconds
                self._await_start(key, cohort)

    # ---- giving up pods

    def _shed(self, key: str, workload: _Workload, count: int) -> None:
        """Drop pods without a machine, then starting ones, then ready ones; the youngest first among equals."""
        count -= self._shed_pending(key, workload, count)
        for ready in (False, True):
            for cohort in reversed(workload.cohorts):
                if count and cohort.ready is ready:
                    count -= self._take(workload, cohort, count)
        workload.cohorts = [cohort for cohort in workload.cohorts if cohort.count]
        self._schedule_pending()

    def _shed_pending(self, key: str, workload: _Workload, count: int) -> int:
        dropped = 0
        for waiting in reversed(self._pending):
            if waiting.key == key:
                taken = min(waiting.count, count - dropped)
                waiting.count -= taken
                dropped += taken
        workload.pending -= dropped
        self._pending = deque(waiting for waiting in self._pending if waiting.count)
        return dropped

    def _take(self, workload: _Workload, cohort: _Cohort, count: int) -> int:
        taken = min(cohort.count, count)
        cohort.count -= taken
        workload.scheduled -= taken
        workload.ready -= taken if cohort.ready else 0
        self._used = max(0.0, self._used - taken * cohort.size)
        return taken


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
