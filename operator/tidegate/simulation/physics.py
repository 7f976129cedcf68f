"""How a cluster turns wanted pods into ready ones: the physics shared by the embedded API, the demo and the backtest.

A pod is wanted, then created, then scheduled, then ready. Creation is slow because all workloads share one client
limit; scheduling waits for room; readiness takes the workload's own start time. Pods are kept as cohorts (a count that
shares its instants), so that thousands of them cost what a few dozen do. Nothing here reads a clock: time comes in as
``now``, and the outcome does not depend on how often ``advance`` is called.

Room is one number for all machines together: where a pod lies, and what is left over on each machine, is not known
here. ``embedded.podphysics`` knows it, pod by pod, and costs accordingly.

Left out, on purpose: the limiter's burst of 30 (it hurries a lone step by at most 1.5 s), the time of the scheduler
itself (milliseconds per pod), machines that are taken away again.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence

from tidegate.simulation.cohorts import Cohort, Pending, Workload, WorkloadView, fair_shares

__all__ = ["QUANTUM", "STOCK_CREATION_RATE", "Physics", "WorkloadView", "fair_shares"]

STOCK_CREATION_RATE = 20.0
"""Pods per second that all workloads together get created: ``--kube-api-qps`` of kube-controller-manager, whose stock
value is 20. Measured on a real 1.36 control plane at stock rates: 20 workloads of 50 pods that step together were ready
after 53 s, one of them alone after 7 s."""

QUANTUM = 0.25
"""Longest time in seconds between two batches of created pods: judgment. Finer buys nothing, a start takes seconds."""


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
        self._workloads: dict[str, Workload] = {}
        self._backlogged: set[str] = set()
        self._pending: deque[Pending] = deque()
        self._machines: deque[tuple[float, float]] = deque()
        """Machines on order: (instant, units)."""
        self._starting: list[tuple[float, int, str, Cohort]] = []
        self._stops: list[tuple[float, int, str, Cohort, int]] = []
        """(instant of the end, order, workload, where they came from, pods)."""
        self._stopping: dict[str, int] = {}
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
        stop_seconds: float = 0.0,
    ) -> None:
        """Create or change a workload.

        Fewer replicas take effect at once: what is not ready goes first, then the youngest (the order in which a
        ReplicaSet gives up pods). What is on a machine leaves the counts, and keeps its room ``stop_seconds`` longer.
        Start time and size hold for pods scheduled from now on; pods that never got ready do so ``start_seconds`` after
        ``never_ready`` was taken back.
        """
        if replicas < 0 or start_seconds < 0 or size < 0 or stop_seconds < 0:
            raise ValueError("replicas, start_seconds, size and stop_seconds must not be below 0")
        self.advance(now)
        workload = self._workloads.setdefault(key, Workload())
        recovered = workload.never_ready and not never_ready
        workload.wanted, workload.start_seconds = replicas, start_seconds
        workload.never_ready, workload.size, workload.stop_seconds = never_ready, size, stop_seconds
        if recovered:
            self._recover(key, workload)
        if workload.created > replicas:
            self._shed(key, workload, workload.created - replicas)
        self._note_backlog(key, workload)
        self._finish_starts()
        self._tell()

    def remove(self, key: str, *, now: float) -> None:
        """Forget a workload and stop all its pods; one that is gone is well gone."""
        self.advance(now)
        workload = self._workloads.get(key)
        if workload is None:
            return
        workload.wanted = 0
        self._shed(key, workload, workload.created)
        del self._workloads[key]
        self._backlogged.discard(key)
        self._tell()

    def finish(self, key: str, *, now: float, count: int = 1, position: int = 0) -> None:
        """Ready pods come to their end by themselves: they leave at once, and as many fewer are wanted.

        ``position`` is the place of the first of them among the ready ones, the longest ready at 0.
        """
        self.advance(now)
        workload = self._workloads[key]
        for cohort in [c for c in workload.cohorts if c.ready]:
            here = cohort.count
            if count and position < here:
                taken = self._take(key, workload, cohort, min(count, here - position), ended=True)
                workload.wanted -= taken
                count -= taken
            position = max(0, position - here)
        workload.cohorts = [cohort for cohort in workload.cohorts if cohort.count]
        self._note_backlog(key, workload)
        self._schedule_pending()
        self._tell()

    # ---- what time does

    def advance(self, now: float) -> None:
        """Let time pass until ``now`` (epoch seconds). An instant in the past changes nothing."""
        while (at := self.next_change()) is not None and at <= now:
            creating = bool(self._backlogged) and at == self._next_tick()
            self._now = at
            self._finish_stops()
            self._finish_starts()
            self._receive_machines()
            if creating:
                self._create(round(at / self._quantum))
            self._tell()
        self._now = max(self._now, now)

    def next_change(self) -> float | None:
        """When something happens by itself, or None if nothing will until somebody asks."""
        instants = [entry[0] for entry in self._live_starts()]
        if self._stops:
            instants.append(self._stops[0][0])
        if self._machines:
            instants.append(self._machines[0][0])
        if self._backlogged:
            instants.append(self._next_tick())
        return min(instants, default=None)

    def view(self, key: str) -> WorkloadView:
        """How far the pods of one workload are; all zero for one that does not exist, but for what still stops."""
        workload, stopping = self._workloads.get(key), self._stopping.get(key, 0)
        if workload is None:
            return WorkloadView(0, 0, 0, 0, 0, stopping)
        return WorkloadView(
            workload.wanted, workload.created, workload.scheduled, workload.ready, workload.pending, stopping
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

    def _note_backlog(self, key: str, workload: Workload) -> None:
        if workload.backlog:
            self._backlogged.add(key)
        else:
            self._backlogged.discard(key)

    # ---- scheduling: room and machines

    def _place(self, key: str, workload: Workload, count: int) -> None:
        fitting = 0 if self._pending else self._fit(count, workload.size)
        if fitting:
            self._schedule(key, workload, fitting, workload.size)
        if count > fitting:
            workload.pending += count - fitting
            self._pending.append(Pending(key, count - fitting, workload.size))
            self._schedule_pending()

    def _fit(self, count: int, size: float) -> int:
        if size == 0 or math.isinf(self._capacity):
            return count
        return min(count, max(0, math.floor((self._capacity - self._used) / size + 1e-9)))

    def _schedule(self, key: str, workload: Workload, count: int, size: float) -> None:
        ready_at = math.inf if workload.never_ready else self._now + workload.start_seconds
        cohort = Cohort(count, size, ready_at)
        workload.cohorts.append(cohort)
        workload.scheduled += count
        self._used += count * size
        self._await_start(key, cohort)

    def _schedule_pending(self) -> None:
        """First come, first served; a pod that does not fit does not hold up a smaller one behind it."""
        still: deque[Pending] = deque()
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

    def _await_start(self, key: str, cohort: Cohort) -> None:
        if math.isfinite(cohort.ready_at):
            self._sequence += 1
            heapq.heappush(self._starting, (cohort.ready_at, self._sequence, key, cohort))

    def _live_starts(self) -> Sequence[tuple[float, int, str, Cohort]]:
        """The earliest start that still means something, as a list of at most one."""
        while self._starting and (self._starting[0][3].count == 0 or self._starting[0][3].ready):
            heapq.heappop(self._starting)
        return self._starting[:1]

    def _finish_starts(self) -> None:
        ready: set[str] = set()
        while (first := self._live_starts()) and first[0][0] <= self._now:
            _, _, key, cohort = heapq.heappop(self._starting)
            cohort.ready = True
            self._workloads[key].ready += cohort.count
            ready.add(key)
        for key in ready:
            self._merge_ready(self._workloads[key])

    def _merge_ready(self, workload: Workload) -> None:
        """Ready neighbours of one size need not be told apart any more."""
        merged: list[Cohort] = []
        for cohort in workload.cohorts:
            last = merged[-1] if merged else None
            if last is not None and last.ready and cohort.ready and last.size == cohort.size:
                last.count += cohort.count
                cohort.count = 0
            elif cohort.count:
                merged.append(cohort)
        workload.cohorts = merged

    def _recover(self, key: str, workload: Workload) -> None:
        for cohort in workload.cohorts:
            if not cohort.ready and math.isinf(cohort.ready_at):
                cohort.ready_at = self._now + workload.start_seconds
                self._await_start(key, cohort)

    # ---- giving up pods

    def _shed(self, key: str, workload: Workload, count: int) -> None:
        """Drop pods without a machine, then starting ones, then ready ones; the youngest first among equals."""
        count -= self._shed_pending(key, workload, count)
        for ready in (False, True):
            for cohort in reversed(workload.cohorts):
                if count and cohort.ready is ready:
                    count -= self._take(key, workload, cohort, count)
        workload.cohorts = [cohort for cohort in workload.cohorts if cohort.count]
        self._schedule_pending()

    def _shed_pending(self, key: str, workload: Workload, count: int) -> int:
        dropped = 0
        for waiting in reversed(self._pending):
            if waiting.key == key:
                taken = min(waiting.count, count - dropped)
                waiting.count -= taken
                dropped += taken
        workload.pending -= dropped
        self._pending = deque(waiting for waiting in self._pending if waiting.count)
        return dropped

    def _take(self, key: str, workload: Workload, cohort: Cohort, count: int, *, ended: bool = False) -> int:
        taken = min(cohort.count, count)
        cohort.count -= taken
        workload.scheduled -= taken
        workload.ready -= taken if cohort.ready else 0
        self._let_go(key, workload, cohort, taken, ended=ended)
        return taken

    def _let_go(self, key: str, workload: Workload, cohort: Cohort, count: int, *, ended: bool) -> None:
        """Pods that are told to stop keep their room until they have; what came to its end by itself leaves at once."""
        if ended or not workload.stop_seconds:
            self._free(cohort, count)
            return
        self._sequence += 1
        heapq.heappush(self._stops, (self._now + workload.stop_seconds, self._sequence, key, cohort, count))
        self._stopping[key] = self._stopping.get(key, 0) + count

    def _finish_stops(self) -> None:
        room = False
        while self._stops and self._stops[0][0] <= self._now:
            _, _, key, cohort, count = heapq.heappop(self._stops)
            self._stopping[key] -= count
            if not self._stopping[key]:
                del self._stopping[key]
            self._free(cohort, count)
            room = True
        if room:
            self._schedule_pending()

    def _free(self, cohort: Cohort, count: int) -> None:
        self._used = max(0.0, self._used - count * cohort.size)
