"""Everybody else in the cluster: who announces, edits, applies, deletes, stops, and does harm."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fault_lenders import Lenders
from fault_list import Fault
from fault_scene import (
    API,
    Show,
    Workload,
    hpa_object,
    level_object,
    moved,
    odd_loan,
    policy_object,
    pool_object,
    show_object,
    workload_object,
)
from operator_under_test import HOME, LIVING

from tidegate.cli.release import _release
from tidegate.control.stop import NAME as STOP
from tidegate.control.stop import stop_object
from tidegate.embedded.errors import ApiError

if TYPE_CHECKING:
    from fault_run import Stage

Json = dict[str, Any]
Deed = Callable[[Fault], Awaitable[None]]

CHAIN = 26
"""Derived signals one upon another, each a million million times the one before."""
ODD = "1e999999"
"""An amount of CPU that is a number, and larger than anything."""


class Person:
    """Somebody with a client of their own: no fault meets them."""

    slot = identity = "person"
    dead = False
    skew = 0.0

    def __init__(self, stage: Stage) -> None:
        self.wire = stage.wire
        self.tasks: dict[Any, None] = {}

    def ended(self, task: Any) -> None:
        """A task of theirs is over."""
        self.tasks.pop(task, None)

    def kill(self) -> None:
        raise AssertionError("people are not killed")


class People:
    """Carries out the faults that are deeds."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._scene = stage.scene
        self._last_end = 0.0
        self._count = itertools.count(1)
        self._on: dict[str, Deed] = {
            "kill": self._kill, "term": self._term, "clock": self._clock, "expire": self._expire, "cut": self._expire,
            "foreign": self._foreign, "event": self._event, "policy": self._policy, "hostile": self._hostile,
            "stop": self._stop, "lender": Lenders(stage, self._set).act,
        }  # fmt: skip

    def set_up(self) -> None:
        """What is there before the operator."""
        cluster, judge = self._stage.cluster, self._stage.judge
        for one in self._scene.workloads:
            cluster.apply(workload_object(one), manager="helm")
            if one.hpa:
                cluster.apply(hpa_object(one), manager="helm")
            judge.field_of(one)
        if self._scene.pool:
            cluster.apply(pool_object(), manager="people")
        for namespace, policy in self._scene.policies:
            self._write_policy(namespace, policy, self._workloads(namespace, policy))
        for show in self._scene.shows:
            if show.told_at <= 0:
                self._announce(show)

    async def act(self) -> None:
        """Announce what is announced late, and carry out every deed at its time."""
        loop = asyncio.get_running_loop()
        jobs = [(fault.at, self._on[fault.kind], fault) for fault in self._stage.faults if fault.kind in self._on]
        running = [loop.create_task(self._later(at, deed, fault), name=str(fault)) for at, deed, fault in jobs]
        for show in sorted(self._scene.shows, key=lambda one: one.told_at):
            if show.told_at > 0:
                await self._until(show.told_at)
                self._announce(show)
        for one in running:
            await one

    def last_end(self) -> float:
        """The end of the last event as it is announced by now."""
        return self._last_end

    async def _later(self, at: float, deed: Deed, fault: Fault) -> None:
        await self._until(at)
        self._stage.say(f"fault {fault}")
        try:
            await deed(fault)
        except ApiError as error:  # another fault has changed what this one was about
            self._stage.say(f"refused by the server: {error}")

    async def _until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, at - self._stage.since()))

    # ---- processes

    async def _kill(self, fault: Fault) -> None:
        self._stage.lives[fault.args["slot"]].kill()

    async def _term(self, fault: Fault) -> None:
        await self._stage.lives[fault.args["slot"]].terminate()

    async def _clock(self, fault: Fault) -> None:
        life = self._stage.lives[fault.args["slot"]]
        life.skew = fault.args["by"]
        await asyncio.sleep(fault.lasting)
        life.skew = 0.0

    async def _expire(self, fault: Fault) -> None:
        wire = self._stage.wire
        (wire.expire if fault.kind == "expire" else wire.cut)(fault.args["plural"])

    # ---- foreign writers

    async def _foreign(self, fault: Fault) -> None:
        args, judge = fault.args, self._stage.judge
        one = judge.fields[args["namespace"], args["name"]]
        for _ in range(args["times"]):
            value, how = self._value(one, args)
            if value is not None and value != one.value:
                judge.foreign(one, value, how)
                self._set(one.workload, value, args["manager"])
            await asyncio.sleep(5.0)

    def _value(self, one: Any, args: Json) -> tuple[int | None, str]:
        """What is written: only what can be told apart by who looks at the field and at its Loan."""
        loans = [loan for loan in self._stage.judge._loans() if self._stage.judge._is_of(loan, one)]
        lent = bool(one.ours) and bool(loans)
        if args["how"] == "reapply":
            return one.intent, "reapply"
        if args["how"] == "copy":
            old = sorted(one.ours - {one.value, one.intent})
            return (old[0], "copy") if lent and old else (None, "")
        value = args["value"]
        asked = {loan.get("pending") for loan in loans}  # a write of ours may be under way, or have got no answer
        return (None, "") if value in one.ever | asked or value == one.intent else (value, "new")

    def _set(self, one: Workload, value: int, manager: str) -> None:
        cluster = self._stage.cluster
        if manager == "helm":
            cluster.apply(level_object(one, value), manager="helm", force=True)
            return
        api_version, kind, _ = one.held_by
        change = {"spec": {one.pointer.rpartition("/")[2]: value}}
        cluster.patch(api_version, kind, one.name, change, namespace=one.namespace, manager=manager)

    # ---- events

    def _announce(self, show: Show) -> None:
        self._last_end = max(self._last_end, show.end)
        self._stage.cluster.apply(show_object(show), manager="people", force=True)
        self._stage.judge.announced(show)

    async def _event(self, fault: Fault) -> None:
        how, key, by = fault.args["how"], (fault.args["namespace"], fault.args["name"]), fault.args["by"]
        show = self._stage.judge.shows.get(key)
        if show is None or key in self._stage.judge.invalid:
            return  # another fault has it at this time
        since = self._stage.since()
        changed: dict[str, Callable[[], Show]] = {
            "later": lambda: moved(show, by),
            "postpone": lambda: moved(show, 2 * by),
            "earlier": lambda: moved(show, -min(by, max(0.0, show.start - since - 20.0))),
            "grow": lambda: replace(show, orders=show.orders * 2),
            "shrink": lambda: replace(show, orders=max(50, show.orders // 2)),
            "extend": lambda: replace(show, seconds=show.seconds + by),
            "again": lambda: show,
        }
        if how in ("cancel", "delete", "again"):
            self._withdraw(show, deleted=how != "cancel")
        if how == "again":
            await asyncio.sleep(0.5)
        if how == "invalid":
            await self._spoil(show, fault.lasting)
        elif how in changed:
            self._announce(changed[how]())

    def _withdraw(self, show: Show, *, deleted: bool) -> None:
        cluster = self._stage.cluster
        if deleted:
            cluster.delete(API, "LiveEvent", show.name, namespace=show.namespace)
        else:
            document = show_object(show)
            schedule = document["spec"]["schedule"]
            schedule["changes"] = [{"occurrence": schedule["startTime"], "cancelled": True}]
            cluster.apply(document, manager="people", force=True)
        self._stage.judge.withdrawn(show)

    async def _spoil(self, show: Show, seconds: float) -> None:
        """A zone that does not exist passes the server's schema, and nothing else."""
        document = show_object(show)
        document["spec"]["schedule"]["timeZone"] = "Europe/Nowhere"
        self._stage.cluster.apply(document, manager="people", force=True)
        self._stage.judge.spoilt(show)
        await asyncio.sleep(seconds)
        if self._stage.judge.shows.get(show.key) == show and show.key in self._stage.judge.invalid:
            self._announce(show)

    # ---- policies

    def _workloads(self, namespace: str, policy: str) -> tuple[Workload, ...]:
        return tuple(w for w in self._scene.workloads if (w.namespace, w.policy) == (namespace, policy))

    def _write_policy(self, namespace: str, policy: str, workloads: tuple[Workload, ...]) -> None:
        measured = (namespace, policy) in self._scene.measured
        self._stage.cluster.apply(
            policy_object(namespace, policy, workloads, measured=measured), manager="people", force=True
        )
        self._stage.judge.policy(namespace, policy, {one.name: (one.capacity, one.high) for one in workloads})

    async def _policy(self, fault: Fault) -> None:
        how, namespace, name = fault.args["how"], fault.args["namespace"], fault.args["name"]
        cluster, judge = self._stage.cluster, self._stage.judge
        workloads = self._workloads(namespace, name)
        if (namespace, name) not in judge.carried:
            return
        if how == "capacity":
            self._write_policy(namespace, name, tuple(replace(one, capacity=one.capacity - 20) for one in workloads))
        elif how == "maximum":
            self._write_policy(namespace, name, tuple(replace(one, high=one.high - 5) for one in workloads))
        elif how == "invalid":
            document = policy_object(namespace, name, workloads, measured=False)
            document["spec"]["targets"][0]["min"] = document["spec"]["targets"][0]["max"] + 1
            cluster.apply(document, manager="people", force=True)
            judge.spoilt_policy(namespace, name)
            await asyncio.sleep(fault.lasting)
            if (namespace, name) in judge.carried:
                self._write_policy(namespace, name, workloads)
        else:
            cluster.delete(API, "ScalingPolicy", name, namespace=namespace)
            judge.policy(namespace, name, None)
            await asyncio.sleep(fault.lasting)
            self._write_policy(namespace, name, workloads)

    # ---- harm

    async def _hostile(self, fault: Fault) -> None:
        number = next(self._count)
        harm = {
            "chain": self._chain, "template": self._template, "loan": self._spoil_loan, "finalizer": self._pin_loan,
            "undeletable": self._odd_loan,
        }  # fmt: skip
        await harm[fault.args["how"]](fault, number)

    async def _chain(self, fault: Fault, number: int) -> None:
        """A valid event whose derived signals overflow."""
        links = [{"signal": f"s{i}", "from": f"s{i - 1}", "factor": "999999999999"} for i in range(1, CHAIN + 1)]
        show = Show("tenant", "mine", f"chain-{number}", self._stage.since() + 60.0, 600.0, 1000)
        document = show_object(show)
        document["spec"] |= {"expected": {"s0": 1000}, "derived": links}
        self._stage.cluster.create(document)
        await asyncio.sleep(fault.lasting)
        self._stage.cluster.delete(API, "LiveEvent", show.name, namespace="tenant")

    async def _template(self, fault: Fault, number: int) -> None:
        """A tenant's own workload with a pod template that asks for more CPU than there are numbers."""
        if self._scene.pool:
            await self._odd_job(fault, number)
            return
        odd = Workload("tenant", f"mine-{number}", f"odd-{number}", "Deployment", False, 1, 100, 1, 5, 5.0)
        document = workload_object(odd)
        document["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = ODD
        cluster = self._stage.cluster
        cluster.create(document)
        cluster.create(policy_object("tenant", odd.policy, (odd,), measured=False))
        show = Show("tenant", odd.policy, f"odd-{number}", float(round(self._stage.since() + 60.0)), 60.0, 300)
        cluster.create(show_object(show))
        await asyncio.sleep(fault.lasting + 120.0)
        cluster.delete(API, "LiveEvent", show.name, namespace="tenant")
        await asyncio.sleep(120.0)
        cluster.delete(API, "ScalingPolicy", odd.policy, namespace="tenant")
        cluster.delete("apps/v1", "Deployment", odd.name, namespace="tenant")

    async def _odd_job(self, fault: Fault, number: int) -> None:
        """The same as work of the pool."""
        odd = Workload("warehouse", "", f"odd-{number}", "Job", False, 1, 1, 1, 1, 2.0, lender=True)
        document = workload_object(odd)
        document["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = ODD
        self._stage.cluster.create(document)
        await asyncio.sleep(fault.lasting)
        self._stage.cluster.delete("batch/v1", "Job", odd.name, namespace="warehouse")

    async def _spoil_loan(self, fault: Fault, number: int) -> None:
        """Somebody edits a Loan into something that cannot be read, and mends it later."""
        loan = self._any_loan(number)
        if loan is None:
            return
        name, namespace = loan["metadata"]["name"], loan["metadata"]["namespace"]
        one = next((f for f in self._stage.judge.fields.values() if self._stage.judge._is_of(loan["spec"], f)), None)
        if one is not None:
            one.spoilt = (self._stage.since(), self._stage.since() + fault.lasting)
        self._edit_loan(name, namespace, {"spec": {"until": "whenever"}})
        await asyncio.sleep(fault.lasting)
        if one is not None:
            one.spoilt = (one.spoilt or (0.0, 0.0))[0], self._stage.since()
        self._edit_loan(name, namespace, {"spec": {"until": loan["spec"]["until"]}})

    async def _pin_loan(self, fault: Fault, number: int) -> None:
        """Somebody's finalizer keeps a Loan from going."""
        loan = self._any_loan(number)
        if loan is None:
            return
        name, namespace = loan["metadata"]["name"], loan["metadata"]["namespace"]
        self._edit_loan(name, namespace, {"metadata": {"finalizers": ["example.org/mine"]}})
        await asyncio.sleep(fault.lasting)
        self._edit_loan(name, namespace, {"metadata": {"finalizers": None}})

    async def _odd_loan(self, fault: Fault, number: int) -> None:
        """A Loan that nobody of ours wrote: for something that does not exist, and that may not be deleted."""
        odd = odd_loan(number)
        self._stage.cluster.create(odd)
        await asyncio.sleep(fault.lasting)
        self._edit_loan(odd["metadata"]["name"], "tenant", {"metadata": {"finalizers": None}})

    def _any_loan(self, number: int) -> Json | None:
        loans = self._stage.cluster.list(API, "Loan")
        return loans[number % len(loans)] if loans else None

    def _edit_loan(self, name: str, namespace: str, change: Json) -> None:
        self._stage.cluster.patch(API, "Loan", name, change, namespace=namespace, manager="somebody")

    # ---- the durable stop

    async def _stop(self, fault: Fault) -> None:
        judge, cluster = self._stage.judge, self._stage.cluster
        if judge.stopped is not None:
            return  # one at a time
        judge.stopped = (self._stage.since(), self._stage.since() + fault.lasting)
        if fault.args["how"] == "release":
            LIVING.set(Person(self._stage))  # type: ignore[arg-type]
            told = await _release(now=True, namespace=None, operator_namespace=HOME)
            LIVING.set(None)
            self._stage.say(f"tidegate release: {told['returned']}, failed: {told['failed']}")
        else:
            cluster.create(stop_object(HOME, by="people", at="2026-01-01T00:00:00Z"))
        await self._until(judge.stopped[1])
        judge.stopped = (judge.stopped[0], self._stage.since())
        cluster.delete("v1", "ConfigMap", STOP, namespace=HOME)
