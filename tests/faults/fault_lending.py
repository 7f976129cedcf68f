"""What a pool's lending excuses, and for how long: known from the scene alone, never from the planner.

Machines that have to be lent first come when the lender's notice, or the minimum run of work that had just started, is
over and its pods are gone. Until then a level may be short, but not by what is free at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from fault_scene import CORES, MACHINES, Scene, Workload, pool_object
from wire import Ask

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.store import Change

LOOP = 8
"""Writes of one Job in ten minutes that are no loop."""
KNOWN = 30.0
"""Seconds after which the operator has seen what became of a Job: two beats."""
SLACK = 15.0
"""Seconds that the operator may take beside what the lender takes, and to use what is free: one beat."""


@dataclass
class Lending:
    """The pool of a scene, as far as a level may wait for it."""

    scene: Scene
    cluster: EmbeddedCluster
    levels: Callable[[], Iterable[tuple[Workload, int]]]
    """Every workload with the level that is asked for."""
    cordoned: dict[str, float] = field(default_factory=dict)
    """Machines that were cordoned, and until when."""
    given_up: dict[tuple[str, str], float] = field(default_factory=dict)
    """Jobs that were given to a queue, and when."""
    _started: list[float] = field(default_factory=list)
    """When work of the lender was started again."""
    _written: dict[tuple[str, str], deque[float]] = field(default_factory=dict)
    """When we wrote the level of each Job."""
    _room_since: float | None = None
    """Since when cores are free that nobody asks for."""

    def moved(self, one: Workload, before: int, value: int, now: float) -> None:
        """A level was written."""
        if one.lender and value > before:
            self._started.append(now)

    def loops(self, one: Workload, now: float) -> bool:
        """We write a level: whether that is once too often. What has several units moves in several steps."""
        if one.kind != "Job":
            return False
        times = self._written.setdefault(one.key, deque(maxlen=LOOP + 1))
        times.append(now)
        return len(times) > LOOP and now - times[0] < 600.0

    def anothers(self, change: Change, ask: Ask | None, how: str, now: float) -> str:
        """What is wrong with a write of a Job that its owner has given to a queue; empty: nothing that was known."""
        if ask is not None and (ask.slot == "person" or how == "late"):
            return ""
        given = self.given_up.get((change.item.namespace, change.item.name))
        if given is None or change.before is None or ask is None or now - given <= KNOWN:
            return ""
        before, after = (bool(one.document()["spec"].get("suspend")) for one in (change.before, change.item))
        since = f"{now - given:.0f} s after it was given to a queue"
        return f"suspend {before} to {after}, {since}" if before != after else ""

    def was_short(self, now: float, within: float) -> bool:
        """A machine takes nothing new, or has not for long enough to have brought back what waited for it."""
        return any(now - until < within for until in self.cordoned.values())

    def look(self, now: float) -> None:
        """Note whether there is room; called once a second."""
        room = self.scene.pool and self.asked() < MACHINES * CORES
        self._room_since = None if not room else now if self._room_since is None else self._room_since

    def asked(self) -> int:
        """Cores that are asked for, or still held by pods on machines."""
        on_machines: dict[tuple[str, str], int] = {}
        for pod in self.cluster.list("v1", "Pod"):
            if pod["spec"].get("nodeName") and pod["status"]["phase"] not in ("Succeeded", "Failed"):
                key = pod["metadata"]["namespace"], pod["metadata"]["labels"]["app"]
                on_machines[key] = on_machines.get(key, 0) + 1
        return sum(max(value, on_machines.get(one.key, 0)) for one, value in self.levels() if one.takes)

    def excuses(self, one: Workload, since: float, now: float) -> bool:
        """Whether a level may still be short of what could be asked for since an instant: the machines are not due yet,
        and none have lain free for longer than the operator may take.
        """
        if self._room_since is not None and now - self._room_since > SLACK:
            return False
        return since <= now < self.full_at(one, since)

    def full_at(self, one: Workload, since: float) -> float:
        """When everything that could be asked for since an instant has to be there. Work that was started again after
        it counts for nothing: nobody had to start it.
        """
        drain = next(lane["drain"] for lane in pool_object()["spec"]["lanes"] if "drain" in lane)
        rested = [at + drain["minimumRunSeconds"] for at in self._started if at <= since]
        leaving = max(w.stop_seconds for w in self.scene.workloads if w.lender)
        return max([since + drain["noticeSeconds"], *rested]) + leaving + one.start_seconds + SLACK
