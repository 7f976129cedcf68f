"""What a pool's lending excuses, and for how long: known from the scene alone, never from the planner.

Machines that have to be lent first come when the lender's notice, or the minimum run of work that had just started, is
over and its pods are gone. Until then a level may be short, but not by what is free at once. Where a webhook makes pods
larger than their templates, what cannot be told before a pod was seen excuses too: once for each holder of pods.

New work of the lane may take machines that a need was to have, as long as they lie free: nobody can forbid that, and
once its pods run it has its minimum run. Other work has to go in its stead, from then, for as many units and no more.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from fault_scene import CARRIED, CORES, MACHINES, SIDECAR, Scene, Workload, pool_object
from wire import Ask

from tidegate.embedded.pods import behavior_of
from tidegate.embedded.store import Change

LOOP = 8
"""Writes of one field in ten minutes that are no loop: of a Job all, of a level with steps those of one value."""
KNOWN = 30.0
"""Seconds after which the operator has seen what became of a Job: two beats."""
SLACK = 15.0
"""Seconds that the operator may take beside what the lender takes, and to use what is free: one beat."""
LARGE = (1000 + SIDECAR) / 1000
"""Cores of a pod with a sidecar."""
GAPS = MACHINES * LARGE
"""Cores that may lie in gaps too small for such a pod, whoever places pods."""

Key = tuple[str, str]
Json = dict[str, Any]


@dataclass
class Lending:
    """The pool of a scene, as far as a level may wait for it."""

    scene: Scene
    levels: Callable[[], Iterable[tuple[Workload, int]]]
    """Every workload with the level that is asked for."""
    cordoned: dict[str, float] = field(default_factory=dict)
    """Machines that were cordoned, and until when."""
    given_up: dict[Key, float] = field(default_factory=dict)
    """Jobs that were given to a queue, and Deployments that an autoscaler scales, and since when."""
    demand: dict[Key, float] = field(default_factory=dict)
    """What the autoscalers of those see."""
    injected: bool = False
    """A webhook adds sidecars, or has: pods may be larger than their templates."""
    carried: int = CARRIED
    """Units that the pool can carry at this instant."""
    changed_at: float = -math.inf
    """When pods larger than those before were last seen, or an autoscaler took work, moved it or left it."""
    _started: list[float] = field(default_factory=list)
    """When work of the lender was started again."""
    _beside: int = MACHINES * CORES - CARRIED
    """Jobs that fit beside whatever a level needs: so many new ones have their minimum run, and nobody waits for it."""
    _new: dict[Key, float] = field(default_factory=dict)
    """Jobs that were created since the beginning, and when."""
    _took: dict[Key, float] = field(default_factory=dict)
    """When those were on a machine whose pods found one before anybody could hold them."""
    _written: dict[tuple[Key, int], deque[float]] = field(default_factory=dict)
    """When we wrote the level of each Job, and each value of another."""
    _pods: dict[Key, dict[str, float]] = field(default_factory=dict)
    """Pods on machines, by whose they are, then by name, with their cores."""
    _largest: dict[Key, float] = field(default_factory=dict)
    """Cores of the largest pod of each holder on a machine."""
    _room_since: float | None = None
    """Since when cores are free that nobody asks for."""

    def moved(self, one: Workload, before: int, value: int, now: float) -> None:
        """A level was written."""
        if one.lender and value > before:
            self._started.append(now)

    def came(self, one: Workload, now: float) -> None:
        """A Job more is created."""
        self._new[one.key] = now

    def loops(self, one: Workload, value: int, now: float) -> bool:
        """We write a level: whether that is once too often. What has several units moves in several steps."""
        which = 0 if one.kind == "Job" else value
        times = self._written.setdefault((one.key, which), deque(maxlen=LOOP + 1))
        times.append(now)
        return len(times) > LOOP and now - times[0] < 600.0

    def anothers(self, change: Change, ask: Ask | None, how: str, now: float) -> str:
        """What is wrong with a write of work that its owner gave to somebody else; empty: nothing that was known."""
        if ask is not None and (ask.slot == "person" or how == "late"):
            return ""
        given = self.given_up.get((change.item.namespace, change.item.name))
        if given is None or change.before is None or ask is None or now - given <= KNOWN:
            return ""
        field = "suspend" if change.item.document()["kind"] == "Job" else "replicas"
        before, after = (one.document()["spec"].get(field) or 0 for one in (change.before, change.item))
        if field == "replicas" and not before:
            return ""  # an autoscaler is switched off there: what was lent is given back all the same
        since = f"{now - given:.0f} s after it was given away"
        return f"{field} {before} to {after}, {since}" if before != after else ""

    def taken_over(self, key: Key, value: int, now: float) -> None:
        """An autoscaler is put in front of work, and will bring it to a level."""
        self.given_up[key], self.demand[key] = now, 0.6 * value  # it aims at 60 percent
        self.changed_at = now

    def taken_back(self, key: Key, now: float) -> None:
        """The autoscaler is gone."""
        del self.given_up[key], self.demand[key]
        self.changed_at = now

    def was_short(self, now: float, within: float) -> bool:
        """A machine takes nothing new, or has not for long enough to have brought back what waited for it."""
        return any(now - until < within for until in self.cordoned.values())

    def look(self, now: float) -> None:
        """Note whether there is room; called once a second."""
        if not self.scene.pool:
            return
        self._note_others(now)
        room = self.asked() + (GAPS if self.injected else 0.0) < MACHINES * CORES
        self._room_since = None if not room else now if self._room_since is None else self._room_since

    def _note_others(self, now: float) -> None:
        """Note pods that are larger than those before, and what stands that nobody of ours may stop."""
        pods = self._on_machines()
        for key, at in self._new.items():
            # One that stays without a machine for longer could have been held: it has nothing to lose.
            if key in pods and key not in self._took and now - at <= SLACK:
                self._took[key] = now
        largest = {key: max(each) for key, each in pods.items()}
        if any(size > self._largest.get(key, 1.0) for key, size in largest.items()):
            self.changed_at = now
        self._largest = largest
        others = sum(sum(pods.get(key, ())) for key in self.given_up)
        room = min(CARRIED, MACHINES * CORES - others)
        carried = math.floor((room - GAPS) / LARGE) if self.injected else math.floor(room)
        if carried != self.carried and others:
            self.changed_at = now
        self.carried = max(0, carried)
        self._beside = 0 if self.injected else max(0, math.floor(MACHINES * CORES - others) - self.carried)

    def pod(self, type_: str, pod: Json) -> None:
        """A pod came, changed or went."""
        metadata = pod["metadata"]
        key = metadata["namespace"], metadata["labels"]["app"]
        ended = type_ == "DELETED" or pod["status"]["phase"] in ("Succeeded", "Failed")
        if pod["spec"].get("nodeName") and not ended:
            self._pods.setdefault(key, {})[metadata["name"]] = round(behavior_of(pod).size, 3)
        else:
            self._pods.get(key, {}).pop(metadata["name"], None)

    def _on_machines(self) -> dict[Key, list[float]]:
        """Cores of each pod on a machine, by whose it is."""
        return {key: [*pods.values()] for key, pods in self._pods.items() if pods}

    def asked(self) -> float:
        """Cores that are asked for, or still held by pods on machines. A pod that is to come counts as large as the
        largest of its holder's that is there.
        """
        pods = self._on_machines()
        coming = {one.key: value - len(pods.get(one.key, ())) for one, value in self.levels() if one.takes}
        to_come = sum(max(0, count) * max(pods.get(key, ()), default=1.0) for key, count in coming.items())
        return round(sum(map(sum, pods.values())) + to_come, 3)

    def excuses(self, one: Workload, since: float, now: float) -> bool:
        """Whether a level may still be short of what could be asked for since an instant: the machines are not due yet,
        and none have lain free for longer than the operator may take.
        """
        return not self._lies_free(now) and since <= now < self.full_at(one, since)

    def was_taken(self, one: Workload, short: int, now: float) -> bool:
        """Whether new Jobs took so many machines that what goes in their stead is not due yet."""
        waits = sum(at <= now < self.full_at(one, at) for at in self._took.values())
        return not self._lies_free(now) and short <= waits

    def _lies_free(self, now: float) -> bool:
        return self._room_since is not None and now - self._room_since > SLACK

    def full_at(self, one: Workload, since: float) -> float:
        """When everything that could be asked for since an instant has to be there. Work that was started again after
        it counts for nothing: nobody had to start it. Nor do new Jobs that fit beside the need: others can go instead.
        """
        drain = next(lane["drain"] for lane in pool_object()["spec"]["lanes"] if "drain" in lane)
        new = [at for at in self._new.values() if at <= since]
        young = new if sum(since - at < drain["minimumRunSeconds"] for at in new) > self._beside else []
        rested = [at + drain["minimumRunSeconds"] for at in (*self._started, *young) if at <= since]
        leaving = max(w.stop_seconds for w in self.scene.workloads if w.lender)
        return max([since + drain["noticeSeconds"], *rested]) + leaving + one.start_seconds + SLACK
