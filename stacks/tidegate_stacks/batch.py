"""The data side: Kueue queues with quotas, in a cohort, that borrow nothing on their own.

``borrowingLimit`` is 0 because a queue whose quota was lent away must not get it back by borrowing: Kueue admits by
borrowing even at a nominal quota of 0. Who gets the idle machines is the operator's decision, by quota, not a race.
The pool that these queues are members of is not part of the API yet; until it is, no object for it is rendered.
"""

from __future__ import annotations

import pulumi
from pydantic import Field, field_validator

from tidegate_stacks import naming
from tidegate_stacks.checks import Args, Cpu, Memory, Name, Part
from tidegate_stacks.component import Component
from tidegate_stacks.objects import Obj, obj

API_VERSION = "kueue.x-k8s.io/v1beta2"


class QueueArgs(Args):
    """A queue and what it may use."""

    name: Part
    cpu: Cpu
    memory: Memory
    namespaces: tuple[Name, ...] = Field(min_length=1, max_length=64)
    """Who may submit: each of them gets a LocalQueue of the queue's name."""


class BatchArgs(Args):
    """The queues of one pool of machines."""

    cohort: Part
    nodes: dict[str, str] = Field(min_length=1, max_length=8)
    """Labels of the machines that jobs may run on."""
    queues: tuple[QueueArgs, ...] = Field(min_length=1, max_length=32)

    @field_validator("queues")
    @classmethod
    def _distinct(cls, queues: tuple[QueueArgs, ...]) -> tuple[QueueArgs, ...]:
        names = [queue.name for queue in queues]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"names {', '.join(twice)} twice: give each queue once")
        return queues


def flavor(name: str, args: BatchArgs) -> Obj:
    """The machines."""
    return obj(API_VERSION, "ResourceFlavor", name, None, name, spec={"nodeLabels": args.nodes})


def cluster_queue(name: str, args: BatchArgs, queue: QueueArgs) -> Obj:
    """Quota of a queue. ``resourceGroups`` is set once: from then on the operator lends and gives back through it."""
    quotas = [
        {"name": resource, "nominalQuota": quota, "borrowingLimit": "0"}
        for resource, quota in (("cpu", queue.cpu), ("memory", queue.memory))
    ]
    spec = {
        "cohortName": args.cohort,
        "queueingStrategy": "BestEffortFIFO",
        "namespaceSelector": {
            "matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(queue.namespaces)}
            ]
        },
        "resourceGroups": [
            {"coveredResources": ["cpu", "memory"], "flavors": [{"name": name, "resources": quotas}]},
        ],
        "preemption": {"withinClusterQueue": "LowerPriority", "reclaimWithinCohort": "Any"},
        "stopPolicy": "None",
    }
    return obj(API_VERSION, "ClusterQueue", naming.child(name, queue.name), None, name, spec=spec)


def local_queue(name: str, queue: QueueArgs, namespace: str) -> Obj:
    """Where jobs of a namespace are submitted."""
    cluster = naming.child(name, queue.name)
    return obj(API_VERSION, "LocalQueue", cluster, namespace, name, spec={"clusterQueue": cluster})


class BatchQueues(Component):
    """Kueue's view of the machines that data processing uses."""

    flavor: pulumi.Output[str]
    queues: pulumi.Output[dict[str, str]]
    """ClusterQueue, and LocalQueue of the same name, by queue: the value of a job's label kueue.x-k8s.io/queue-name."""

    def __init__(self, name: str, args: BatchArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Everything is rendered from ``args`` by the functions above."""
        super().__init__("tidegate:batch:BatchQueues", name, opts)
        machines = self.put(flavor(name, args))
        for queue in args.queues:
            quota = self.put(cluster_queue(name, args, queue), after=[machines])
            for namespace in queue.namespaces:
                called = f"{naming.child(name, queue.name)}-{namespace}"
                self.put(local_queue(name, queue, namespace), called=called, after=[quota])
        self.finish(flavor=name, queues={queue.name: naming.child(name, queue.name) for queue in args.queues})
