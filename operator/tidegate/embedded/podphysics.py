"""The physics pod by pod: each pod lies on one machine, and no machine gives more than it has.

The counts, the creation rate and the order in which pods are given up are those of ``simulation.physics``; a cohort is
a single pod here. A pod goes to the first machine, in the order in which they came, that matches its ``nodeSelector``
and has the cores, memory and pods it asks for. So what is left over on machines may be too small for a pod although
the pool as a whole has room, as in a real cluster. Cores are counted in thousandths, memory in bytes: sums are exact.

A machine that is not ready or is cordoned takes no new pod and keeps those it has: nothing is evicted (a real cluster
does so after five minutes). A machine that goes takes its pods along at once, and their workloads create new ones.
Affinity, spreading, taints, priorities and preemption do not exist; neither do pods that clients create.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.embedded.pods import PodBehavior, quantity
from tidegate.embedded.room import MachinePhysics, NodePool
from tidegate.simulation.cohorts import Cohort, Workload


@dataclass(slots=True, eq=False)
class Machine:
    """One machine: what it has, and what is taken."""

    name: str
    cpu: int
    """Thousandths of a core."""
    memory: int
    """Bytes."""
    pods: int
    labels: Mapping[str, str] = field(default_factory=dict)
    ready: bool = True
    cordoned: bool = False
    used_cpu: int = 0
    used_memory: int = 0
    on_it: dict[Pod, None] = field(default_factory=dict)
    """The pods on it, also those that are stopping."""

    def take(self, pod: Pod) -> None:
        """Give a pod its room."""
        self.on_it[pod] = None
        self.used_cpu += pod.need.cpu
        self.used_memory += pod.need.memory

    def release(self, pod: Pod) -> None:
        """Take a pod's room back."""
        del self.on_it[pod]
        self.used_cpu -= pod.need.cpu
        self.used_memory -= pod.need.memory

    def lacks(self, need: Need) -> Sequence[str]:
        """Why a pod cannot go there, in the scheduler's words; empty when it can."""
        if not self.ready:
            return ("node(s) had untolerated taint {node.kubernetes.io/not-ready: }",)
        if self.cordoned:
            return ("node(s) were unschedulable",)
        if any(self.labels.get(name) != value for name, value in need.selector):
            return ("node(s) didn't match Pod's node affinity/selector",)
        reasons = []
        if self.used_cpu + need.cpu > self.cpu:
            reasons.append("Insufficient cpu")
        if self.used_memory + need.memory > self.memory:
            reasons.append("Insufficient memory")
        if len(self.on_it) >= self.pods:
            reasons.append("Too many pods")
        return reasons


@dataclass(frozen=True, slots=True)
class Need:
    """What a pod asks of a machine."""

    cpu: int
    memory: int
    selector: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, pods: PodBehavior) -> Need:
        """Requests rounded up to the units in which they are counted."""
        return cls(math.ceil(pods.size * 1000 - 1e-6), math.ceil(pods.memory - 1e-6), pods.node_selector)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A container that an admission webhook adds to each new pod of a namespace."""

    cpu: str
    """Requested, as a Kubernetes quantity."""
    memory: str

    def on(self, need: Need) -> Need:
        """What a pod asks for with it."""
        cpu, memory = quantity(self.cpu) or 0.0, quantity(self.memory) or 0.0
        return Need(need.cpu + math.ceil(cpu * 1000 - 1e-6), need.memory + math.ceil(memory - 1e-6), need.selector)


@dataclass(slots=True, eq=False)
class Pod(Cohort):
    """One pod. Instants are epoch seconds."""

    key: str = ""
    """Its workload."""
    number: int = 0
    """Counts all pods of the cluster."""
    need: Need = field(default_factory=lambda: Need(0, 0, ()))
    """The sidecar included."""
    sidecar: Sidecar | None = None
    created_at: float = 0.0
    scheduled_at: float | None = None
    machine: Machine | None = None
    """None before it was scheduled; stays when it is gone."""
    stopped_at: float = 0.0
    """When it was told to stop."""
    gone_at: float | None = None
    """When it leaves its machine: known from the instant it is told to stop."""
    gone: bool = False
    succeeded: bool = False


class PodPhysics(MachinePhysics):
    """The pods and machines of one cluster, one by one."""

    def __init__(self, *, creation_rate: float, pool: NodePool) -> None:
        super().__init__(creation_rate=creation_rate, machine_seconds=pool.machine_seconds)
        memory = quantity(pool.memory)
        if memory is None:
            raise ValueError(f"memory of a machine: {pool.memory!r} is no quantity such as 128Gi")
        self._pool, self._pool_memory = pool, math.floor(memory)
        self.machines: dict[str, Machine] = {}
        self.waiting: list[Pod] = []
        """Pods that found no machine, in the order of their creation."""
        self.touched: dict[Pod, None] = {}
        """Pods that changed; whoever shows them takes them out."""
        self.on_lost: Callable[[str, int, float], None] | None = None
        """Called before a ready pod is lost with its machine or killed: workload, place among its ready pods, now."""
        self.sidecars: dict[str, Sidecar] = {}
        """By namespace, what a webhook adds to pods that are created from now on."""
        self._needs: dict[str, Need] = {}
        self._numbers = 0
        for _ in range(pool.count):
            self._new_machine()

    # ---- machines

    def _new_machine(self) -> None:
        number = len(self.machines)
        while (name := f"machine-{number:04d}") in self.machines:
            number += 1
        self.machines[name] = self._fresh(
            name, {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **self._pool.labels}
        )

    def _fresh(self, name: str, labels: Mapping[str, str]) -> Machine:
        pool = self._pool
        return Machine(name, round(pool.cpu * 1000), self._pool_memory, pool.pods, labels)

    def set_machine(self, name: str, *, now: float, like: Machine) -> None:
        """Add a machine, or change one: pods on it stay, whatever becomes of its room."""
        self.advance(now)
        known = self.machines.setdefault(name, like)
        known.cpu, known.memory, known.pods, known.labels = like.cpu, like.memory, like.pods, like.labels
        known.ready, known.cordoned = like.ready, like.cordoned
        self._settle()

    def remove_machine(self, name: str, *, now: float) -> None:
        """Take a machine away, and its pods with it."""
        self.advance(now)
        machine = self.machines.pop(name, None)
        if machine is not None:
            self._kill(list(machine.on_it))

    def kill(self, pod: Pod, *, now: float) -> None:
        """A pod goes at once; its workload creates another."""
        self.advance(now)
        self._kill([pod])

    def why_pending(self, need: Need) -> str:
        """What the scheduler says of a pod that fits nowhere."""
        counts: dict[str, int] = {}
        for machine in self.machines.values():
            for reason in machine.lacks(need):
                counts[reason] = counts.get(reason, 0) + 1
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
        return f"0/{len(self.machines)} nodes are available: {told}." if told else "no nodes available to schedule pods"

    @property
    def capacity_units(self) -> float:
        """Cores of all machines."""
        return sum(machine.cpu for machine in self.machines.values()) / 1000

    @property
    def spare_units(self) -> float:
        """Cores that are free, on all machines together."""
        return sum(max(0, m.cpu - m.used_cpu) for m in self.machines.values()) / 1000

    # ---- what people ask for

    def want(self, key: str, *, now: float, replicas: int, pods: PodBehavior) -> None:
        """So many pods of a template, from now on; what exists stays as it is."""
        self.advance(now)
        self._needs[key] = Need.of(pods)
        super().want(key, now=now, replicas=replicas, pods=pods)

    def remove(self, key: str, *, now: float) -> None:
        """Forget a workload and stop all its pods."""
        super().remove(key, now=now)
        self._needs.pop(key, None)

    # ---- how it differs from counting

    def _place(self, key: str, workload: Workload, count: int) -> None:
        sidecar, need = self.sidecars.get(key.split("/")[1]), self._needs[key]
        for _ in range(count):
            self._numbers += 1
            pod = Pod(
                1,
                workload.size,
                math.inf,
                key=key,
                number=self._numbers,
                need=need if sidecar is None else sidecar.on(need),
                sidecar=sidecar,
                created_at=self._now,
            )
            self.waiting.append(pod)
            self.touched[pod] = None
        workload.pending += count
        self._schedule_pending()

    def _schedule_pending(self) -> None:
        """Oldest first; a pod that does not fit does not hold up one that does."""
        machines = list(self.machines.values())
        reached: dict[Need, int] = {}  # within one pass machines only fill up: no need to look at the first ones again
        still: list[Pod] = []
        for pod in self.waiting:
            at = reached.get(pod.need, 0)
            while at < len(machines) and machines[at].lacks(pod.need):
                at += 1
            reached[pod.need] = at
            if at < len(machines):
                self._put(pod, machines[at])
            else:
                still.append(pod)
        self.waiting = still

    def _put(self, pod: Pod, machine: Machine) -> None:
        workload = self._workloads[pod.key]
        machine.take(pod)
        pod.machine, pod.scheduled_at = machine, self._now
        pod.ready_at = math.inf if workload.never_ready else self._now + workload.start_seconds
        workload.pending -= 1
        workload.scheduled += 1
        workload.cohorts.append(pod)
        self._await_start(pod.key, pod)
        self.touched[pod] = None

    def _merge_ready(self, workload: Workload) -> None:
        """Those that have been ready longest come first: they are given up last."""
        workload.cohorts.sort(key=lambda pod: (not pod.ready, pod.ready_at if pod.ready else 0.0))
        self._touch(pod for pod in workload.cohorts if pod.ready and pod.ready_at == self._now)

    def _touch(self, pods: Iterable[Cohort]) -> None:
        self.touched.update((pod, None) for pod in pods if isinstance(pod, Pod))

    def _shed_pending(self, key: str, workload: Workload, count: int) -> int:
        dropped = [pod for pod in self.waiting if pod.key == key][::-1][:count]
        if dropped:
            for pod in dropped:
                pod.gone, pod.gone_at = True, self._now
            self._touch(dropped)
            self.waiting = [pod for pod in self.waiting if not pod.gone]
            workload.pending -= len(dropped)
        return len(dropped)

    def _let_go(self, key: str, workload: Workload, cohort: Cohort, count: int, *, ended: bool) -> None:
        if isinstance(cohort, Pod):
            cohort.succeeded, cohort.stopped_at = ended, self._now
            cohort.gone_at = self._now + (0.0 if ended else workload.stop_seconds)
            self.touched[cohort] = None
        super()._let_go(key, workload, cohort, count, ended=ended)

    def _free(self, cohort: Cohort, count: int) -> None:
        if not isinstance(cohort, Pod) or cohort.machine is None or cohort.gone:
            return
        cohort.gone = True
        self.touched[cohort] = None
        cohort.machine.release(cohort)

    def _kill(self, pods: Iterable[Pod]) -> None:
        for pod in pods:
            workload = self._workloads.get(pod.key)
            if pod.gone:
                continue
            if pod.gone_at is not None:  # stopping already
                ends = next(entry for entry in self._stops if entry[3] is pod)
                self._stops.remove(ends)
                heapq.heapify(self._stops)
                heapq.heappush(self._stops, (self._now, *ends[1:]))
            elif workload is not None and pod.machine is None:
                pod.gone, pod.gone_at = True, self._now
                workload.pending -= 1
                self.touched[pod] = None
            elif workload is not None:
                self._lose(workload, pod)
            if workload is not None:
                self._note_backlog(pod.key, workload)
        self.waiting = [pod for pod in self.waiting if not pod.gone]
        self._finish_stops()
        self._settle()

    def _lose(self, workload: Workload, pod: Pod) -> None:
        if pod.ready and self.on_lost is not None:
            self.on_lost(pod.key, workload.cohorts.index(pod), self._now)
        pod.count = 0
        workload.cohorts.remove(pod)
        workload.scheduled -= 1
        workload.ready -= int(pod.ready)
        pod.gone_at = self._now
        self._free(pod, 1)

    def _settle(self) -> None:
        self._schedule_pending()
        self._finish_starts()
        self._order_machines()
        self._tell()

    def _order_machines(self) -> None:
        """As many machines of the pool's kind as take all that waits, once."""
        if not self._machine_seconds:
            return
        bins: list[Machine] = []
        for pod in self.waiting:
            fresh = self._fresh("", self._pool.labels)
            if fresh.lacks(pod.need):
                continue  # no machine that comes would help
            taken = next((one for one in bins if not one.lacks(pod.need)), None)
            if taken is None:
                bins.append(taken := fresh)
            taken.take(pod)
        missing = len(bins) - round(sum(count for _, count in self._machines))
        if missing > 0:
            self._machines.append((self._now + self._machine_seconds, float(missing)))

    def _receive_machines(self) -> None:
        arrived = 0
        while self._machines and self._machines[0][0] <= self._now:
            arrived += round(self._machines.popleft()[1])
        for _ in range(arrived):
            self._new_machine()
        if arrived:
            self._schedule_pending()
            self._order_machines()
