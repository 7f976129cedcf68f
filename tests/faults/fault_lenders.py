"""Owners of work that is lent, and what happens to it beside the operator: wishes, more work, cordoned machines, queues
and autoscalers that take it over, a webhook that makes its pods larger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from fault_list import Fault
from fault_scene import SIDECAR, Workload, hpa_object, workload_object

if TYPE_CHECKING:
    from fault_run import Stage

Deed = Callable[[Fault], Awaitable[None]]

QUEUE = "kueue.x-k8s.io/queue-name"


class Lenders:
    """Carries out the faults of work that is lent."""

    def __init__(self, stage: Stage, write: Callable[[Workload, int, str], None]) -> None:
        """``write`` sets a level in the name of a field manager."""
        self._stage, self._write = stage, write
        self._deeds: dict[str, Deed] = {
            "crowd": self._crowd, "cordon": self._cordon, "sidecar": self._sidecar, "hpa": self._autoscaler,
            "queue": self._to_a_queue, "wish": self._wish, "same": self._wish,
        }  # fmt: skip

    async def act(self, fault: Fault) -> None:
        """One of them."""
        await self._deeds[fault.args["how"]](fault)

    async def _wish(self, fault: Fault) -> None:
        """The owner writes a level of his own, or applies the very level to which the work was lent."""
        judge = self._stage.judge
        one = judge.fields.get((fault.args["namespace"], fault.args["name"]))
        if one is None:  # its owner has given it to somebody else
            return
        lent = one.value in one.ours and one.value != one.intent
        value = one.value if fault.args["how"] == "same" and lent else fault.args["value"]
        if fault.args["how"] == "wish" and (value in one.ever or value in (one.value, one.intent)):
            return  # nobody could tell it from a copy
        judge.foreign(one, value, "new")
        self._write(one.workload, value, "helm")

    async def _cordon(self, fault: Fault) -> None:
        """A machine takes nothing new for a while; what runs on it stays."""
        cluster, lending = self._stage.cluster, self._stage.judge.lending
        names = sorted(node["metadata"]["name"] for node in cluster.list("v1", "Node"))
        name = names[fault.args["many"] % len(names)]
        lending.cordoned[name] = float("inf")
        cluster.patch("v1", "Node", name, {"spec": {"unschedulable": True}})
        await asyncio.sleep(fault.lasting)
        lending.cordoned[name] = self._stage.since()
        cluster.patch("v1", "Node", name, {"spec": {"unschedulable": None}})

    async def _sidecar(self, fault: Fault) -> None:
        """A webhook adds a container to each new pod of a namespace for a while: it is larger than its template."""
        cluster, namespace = self._stage.cluster, fault.args["namespace"]
        self._stage.judge.lending.injected = True
        cluster.add_sidecar(namespace, cpu=f"{SIDECAR}m", memory="64Mi")
        await asyncio.sleep(fault.lasting)
        cluster.remove_sidecar(namespace)

    async def _to_a_queue(self, fault: Fault) -> None:
        """From now on a queue starts and stops this Job: whatever it was lent for, it is nobody's of ours."""
        judge = self._stage.judge
        one = judge.fields.pop((fault.args["namespace"], fault.args["name"]), None)
        if one is None:
            return
        judge.lending.given_up[one.workload.key] = judge.now()
        label = {"metadata": {"labels": {QUEUE: "reports"}}}
        self._stage.cluster.patch(
            "batch/v1", "Job", one.workload.name, label, namespace=one.workload.namespace, manager="helm"
        )

    async def _autoscaler(self, fault: Fault) -> None:
        """An autoscaler is put in front of a lent Deployment and taken away again: meanwhile it alone moves the level,
        and where it leaves it is what its owner has from then on.
        """
        judge, cluster, args = self._stage.judge, self._stage.cluster, fault.args
        key = args["namespace"], args["name"]
        one = judge.fields.pop(key, None)
        if one is None:
            return
        judge.lending.taken_over(key, args["value"], judge.now())
        asleep = one.value == 0 < one.intent
        scaler = hpa_object(one.workload, 1)
        scaler["spec"]["maxReplicas"] = one.workload.high + 2
        cluster.create(scaler, manager="helm")
        await asyncio.sleep(fault.lasting)
        cluster.step()  # what it does in this second is before its end
        kind = scaler["apiVersion"], scaler["kind"]
        cluster.delete(*kind, one.workload.name, namespace=one.workload.namespace)
        stored = cluster.get(one.workload.held_by[0], one.workload.kind, one.workload.name, one.workload.namespace)
        judge.taken_back(one.workload, one.workload.value_in((stored or {})["spec"]), fault.lasting, asleep=asleep)

    async def _crowd(self, fault: Fault) -> None:
        """More work of the lane: it comes, and goes before it is done."""
        cluster, judge = self._stage.cluster, self._stage.judge
        made: list[Any] = []
        for number in range(fault.args["many"]):
            name = f"more-{fault.number}-{number}"
            one = Workload("warehouse", "", name, "Job", False, 1, 1, 1, 1, 2.0, lender=True, stop_seconds=20.0)
            judge.field_of(one).intent_at = judge.now()  # nobody asked for its machines before
            judge.lending.came(one, judge.now())
            cluster.apply(workload_object(one), manager="helm")
            made.append(one)
        await asyncio.sleep(fault.lasting)
        for one in made:
            judge.fields.pop(one.key, None)
            cluster.delete("batch/v1", "Job", one.name, namespace=one.namespace)
