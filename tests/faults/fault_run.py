"""One run: a scene, its people, its operators, its faults, and the judge, from the beginning to the end."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api_in_memory import Api
from fault_draw import draw_faults
from fault_judge import Field, Finding, Judge
from fault_list import Fault, RequestFaults, last_end
from fault_people import People
from fault_scene import BEGIN, CORES, MACHINES, QUIET, Scene, draw_scene, query_of
from operator_under_test import HOME, LIVING, Life, assembled, clock_error
from prometheus import FakePrometheus
from virtual_time import OutOfTime, Spinning, simulated
from wire import Ask, Treatment, Wire

from tidegate.api.crd import all_crds
from tidegate.embedded.cluster import EmbeddedCluster, NodePool
from tidegate.metrics.scoped import scoped

CPU_MOST = 120.0
"""Seconds of the processor for one run."""
UNWELL_MOST = 3
"""Times that a liveness probe may fail, one every ten seconds, until the kubelet starts the container anew."""


@dataclass
class Outcome:
    """What came of a run."""

    seed: int
    faults: list[Fault]
    findings: list[Finding]
    cpu: float
    timeline: list[str]

    @property
    def kinds(self) -> set[str]:
        return {one.kind for one in self.findings}


def run(seed: int, faults: Sequence[Fault] | None = None, *, tell: bool = False) -> Outcome:
    """Play one seed, with its own faults or with those given; ``tell`` keeps a timeline."""
    scene = draw_scene(seed)
    drawn = list(draw_faults(scene) if faults is None else faults)
    begun = time.process_time()
    log = logging.getLogger("tidegate")
    with simulated(seed, BEGIN, skew=clock_error, cpu_most=CPU_MOST) as loop, assembled(loop):
        stage = Stage(scene, drawn, loop.time(), tell=tell)
        ears = _Ears(stage)
        before = log.level, log.propagate, logging.getLogger("asyncio").propagate
        log.addHandler(ears)
        log.propagate = logging.getLogger("asyncio").propagate = False
        loop.set_exception_handler(stage.unhandled)
        try:
            loop.run_until_complete(stage.play())
        except (Spinning, OutOfTime) as error:
            stage.judge.find("spinning", type(error).__name__, str(error))
        except Exception as error:  # noqa: BLE001 - a fault of the harness is found like any other
            where = traceback.extract_tb(error.__traceback__)[-1]
            stage.judge.find("harness", f"{Path(where.filename).name}:{where.lineno}", repr(error))
        finally:
            _bury(loop)
            log.removeHandler(ears)
            log.setLevel(before[0])
            log.propagate, logging.getLogger("asyncio").propagate = before[1:]
    return Outcome(seed, drawn, stage.judge.findings, time.process_time() - begun, stage.timeline)


@dataclass
class Stage:
    """Everything of one run."""

    scene: Scene
    faults: list[Fault]
    begin: float
    tell: bool
    timeline: list[str] = field(default_factory=list)
    lives: dict[str, Life] = field(default_factory=dict)
    """By slot: the life that runs, or ran last."""
    all_lives: list[Life] = field(default_factory=list)
    _born: dict[str, float] = field(default_factory=dict)
    _again: dict[str, float] = field(default_factory=dict)
    _unwell: dict[str, int] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    ended: bool = False

    def __post_init__(self) -> None:
        self.cluster = EmbeddedCluster(
            clock=self,
            creation_rate=50.0,
            load=self._load,
            namespaces=(*self.scene.namespaces, HOME, "tenant"),
            nodes=NodePool(MACHINES, cpu=CORES, memory="64Gi", show_pods=True, labels={"pool": "hangzhou-a"})
            if self.scene.pool
            else None,
        )
        requests = RequestFaults(self.faults, self.scene.seed, self.begin, on_hit=self._met)
        self.wire = Wire(Api(self.cluster), requests, self.scene.seed)
        self.prometheus = FakePrometheus(lambda: BEGIN + self.since(), self._demand, self._badness)
        self.judge = Judge(
            self.scene, self.cluster, self.since, self.begin, self.lives.values, self.faults, requests, self.wire.hits,
            lambda: (self.wire.serving, self.wire.serving_how), on_finding=self._found,
            on_level=self._level,
        )  # fmt: skip
        self.people = People(self)

    # ---- time

    def now(self) -> float:
        """The cluster's clock, which is right."""
        return BEGIN + self.since()

    def since(self) -> float:
        """Seconds from the beginning."""
        return asyncio.get_running_loop().time() - self.begin if _running() else 0.0

    # ---- the course

    async def play(self) -> None:
        """From the first object to the last look."""
        for crd in all_crds():
            self.cluster.create(crd)
        self.people.set_up()
        self.cluster.store.listen(self.judge.changed)
        self.cluster.step()
        self.wire.on_sent = self.judge.sent
        self.wire.on_served = self.judge.served
        for slot in self.scene.slots:
            self.born(slot)
        deeds = asyncio.get_running_loop().create_task(self.people.act(), name="people")
        end = max(self.scene.last_end, last_end(self.faults)) + QUIET
        while self.since() < end:
            await asyncio.sleep(1.0)
            self._second()
            end = max(end, self.people.last_end() + QUIET)
        await deeds
        self.judge.close()
        self._look_at_tasks()
        self.ended = True
        await asyncio.gather(*(life.terminate() for life in self.lives.values()))
        await asyncio.sleep(1.0)
        gc.collect()

    def _second(self) -> None:
        self.cluster.step()
        self.wire.stir()
        self.judge.look()
        whole = round(self.since())
        for slot, life in list(self.lives.items()):
            if life.dead:
                self._born_again(slot)
            elif whole % 10 == 0:
                self._probe(slot, life)
        if whole % 10 == 0:
            self._look_at_tasks()

    def born(self, slot: str) -> Life:
        """Start a process in a slot."""
        number = self._numbers[slot] = self._numbers.get(slot, 0) + 1
        life = self.lives[slot] = Life(slot, number, self.wire, self.prometheus, scope=self.scene.scope)
        self.all_lives.append(life)
        self._born[slot] = self.since()
        self._unwell[slot] = 0
        self.say(f"{life.identity} starts")
        life.start()
        return life

    def _born_again(self, slot: str) -> None:
        """The kubelet starts a container anew, after a pause."""
        at = self._again.setdefault(slot, self.since() + 1.0 + (self.scene.seed * 7 + self._numbers[slot] * 5) % 20)
        if self.since() >= at:
            del self._again[slot]
            self.born(slot)

    def _probe(self, slot: str, life: Life) -> None:
        """What the kubelet does with the liveness probe."""
        self._unwell[slot] = self._unwell[slot] + 1 if (wrong := life.unwell()) else 0
        if self._unwell[slot] >= UNWELL_MOST:
            self.say(f"{life.identity} is not alive ({wrong}): it is started anew")
            self._unwell[slot] = 0
            asyncio.get_running_loop().create_task(life.terminate(), name="kubelet")
        if life.started_at is None:
            self.judge.started_late(slot, self._born[slot], life.starts)

    def _look_at_tasks(self) -> None:
        for life in self.lives.values():
            if not life.dead and not life.stopping:
                for lost in life.lost_tasks():
                    self.judge.find("dead-task", lost, f"of {life.identity}")

    # ---- what is heard

    def say(self, text: str) -> None:
        """A line of the timeline."""
        if self.tell:
            self.timeline.append(f"{self.since():7.1f}  {text}")

    def unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The event loop's handler of errors that nobody caught."""
        error = context.get("exception")
        if isinstance(error, Spinning | OutOfTime):
            return
        what = f"{type(error).__name__}: {error}" if error is not None else str(context.get("message"))
        if not self.ended or error is not None:
            self.judge.find("unhandled-error", what[:160], str(context.get("message")))

    def _met(self, fault: Fault, ask: Ask, treatment: Treatment) -> None:
        self.say(f"fault #{fault.number} {treatment.how}: {ask}")

    def _found(self, one: Finding) -> None:
        self.say(f"FINDING {one.kind}: {one.about}: {one.message}")

    def _level(self, one: Field, before: int, after: int, who: str) -> None:
        self.say(f"level {one}: {before} -> {after} by {who} (needed {self.judge.needed(one, self.since())})")

    # ---- what is true

    def _demand(self, query: str) -> float:
        """Six tenths of what is announced come."""
        for namespace, policy in self.scene.policies:
            if scoped(query_of(namespace, policy), namespace) == query:
                now = self.since()
                mine = [s for s in self.judge.shows.values() if (s.namespace, s.policy) == (namespace, policy)]
                return 20.0 + 0.6 * sum(s.orders for s in mine if s.start <= now < s.end)
        return 0.0

    def _load(self, namespace: str, name: str, now: float) -> float | None:
        """What autoscalers see: half of the owner's units are busy; of work that one has taken over, as was drawn."""
        one = self.judge.fields.get((namespace, name))
        return 0.5 * one.intent if one is not None else self.judge.lending.demand.get((namespace, name))

    def _badness(self, query: str) -> str:
        now = self.since()
        for fault in self.faults:
            if fault.kind == "metrics" and fault.at <= now < fault.at + fault.lasting:
                return str(fault.args["how"])
        return ""


class _Ears(logging.Handler):
    """Hears errors that were caught at the last moment: each is one that nobody foresaw."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(logging.DEBUG)
        self._stage = stage

    def emit(self, record: logging.LogRecord) -> None:
        life = LIVING.get()
        if life is not None and life.dead:
            return
        if record.exc_info and record.exc_info[1] is not None and record.levelno >= logging.ERROR:
            error = record.exc_info[1]
            about = f"{record.name}: {type(error).__name__}: {error}"[:160]
            self._stage.judge.find("unhandled-error", about, record.getMessage())
        if self._stage.tell:
            self._stage.say(
                f"  [{life.identity if life is not None else '-'}] {record.name}: {record.getMessage()}"[:300]
            )


def _running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _bury(loop: asyncio.AbstractEventLoop) -> None:
    """End what still runs, without a word."""
    loop.set_exception_handler(lambda *_: None)
    for _ in range(5):
        left = [task for task in asyncio.all_tasks(loop) if not task.done()]
        if not left:
            break
        for task in left:
            task.cancel()
        try:
            loop.run_until_complete(asyncio.wait(left, timeout=60.0))
        except (Spinning, OutOfTime, RuntimeError):
            break
