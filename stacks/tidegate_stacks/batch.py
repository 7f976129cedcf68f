"""The data side: Kueue queues with quotas, work that runs all the time, and the pool that lends both lanes machines.

``borrowingLimit`` is 0 because a queue whose quota was lent away must not get it back by borrowing: Kueue admits by
borrowing even at a nominal quota of 0. Who gets the idle machines is the operator's decision, by quota, not a race.
Queues are no members of the pool yet (``pool`` says what they count as until then).
"""

from __future__ import annotations

from typing import Any

import pulumi
from pydantic import Field, field_validator

from tidegate_stacks import naming, sizing
from tidegate_stacks.checks import Args, Count, Cpu, Image, Labels, Memory, Name, Part, Text
from tidegate_stacks.component import Component
from tidegate_stacks.objects import Obj, alive, container, deployment, network_policy, obj, pod, priority_class, scratch
from tidegate_stacks.pool import PoolArgs, capacity_pool, member, pool_name, repeated

API_VERSION = "kueue.x-k8s.io/v1beta2"


class QueueArgs(Args):
    """A queue and what it may use."""

    name: Part
    cpu: Cpu
    memory: Memory
    namespaces: tuple[Name, ...] = Field(min_length=1, max_length=64)
    """Who may submit: each of them gets a LocalQueue of the queue's name."""


class WorkersArgs(Args):
    """Work that runs all the time and may stand still: a loader, an indexer. One Deployment."""

    name: Part
    namespace: Text
    image: Image
    command: tuple[str, ...] = ()
    """None given: the image's own."""
    replicas: Count
    """Its own level: set once, lowered while machines are lent, and returned."""
    cpu: Cpu
    memory: Memory
    disk: Memory = "1Gi"
    """What one may write to /tmp and its logs."""
    alive: tuple[str, ...] = ()
    """A command in the container that fails when the work is stuck. None given: only work that exits starts again."""
    grace_seconds: int = Field(default=60, ge=0, le=3600)
    """How long one that must go may take to put its work down."""


class BatchArgs(Args):
    """The queues and workers of one set of machines."""

    cohort: Part
    nodes: Labels = Field(min_length=1)
    """Labels of the machines that jobs and workers run on."""
    queues: tuple[QueueArgs, ...] = Field(min_length=1, max_length=32)
    workers: tuple[WorkersArgs, ...] = Field(default=(), max_length=32)
    """Members of the pool, where there is one."""
    pool: PoolArgs | None = None
    """None: nothing is lent."""

    @field_validator("queues")
    @classmethod
    def _distinct(cls, queues: tuple[QueueArgs, ...]) -> tuple[QueueArgs, ...]:
        names = [queue.name for queue in queues]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"names {', '.join(twice)} twice: give each queue once")
        return queues

    @field_validator("workers")
    @classmethod
    def _workers(cls, workers: tuple[WorkersArgs, ...]) -> tuple[WorkersArgs, ...]:
        if twice := sorted(repeated([one.name for one in workers])):
            raise ValueError(f"names {', '.join(twice)} twice: give each of them once")
        return workers

    @field_validator("pool")
    @classmethod
    def _members(cls, pool: PoolArgs | None, info: Any) -> PoolArgs | None:
        if pool:
            wrong = [*_named_twice(pool, info.data.get("workers", ())), *_too_much(pool, info.data)]
            if wrong:
                raise ValueError("; ".join(wrong))
        return pool


def _named_twice(pool: PoolArgs, workers: tuple[WorkersArgs, ...]) -> list[str]:
    told = {one.name for one in pool.data.jobs} | {one.name for one in pool.data.deployments}
    return [f"{one.name} names workers and a member: give one another name" for one in workers if one.name in told]


def _too_much(pool: PoolArgs, known: dict[str, Any]) -> list[str]:
    """Whether queues and workers ask for more than a given capacity. What is measured, only the operator can tell."""
    if pool.given is None:
        return []
    takes = [(queue.cpu, queue.memory, 1) for queue in known.get("queues", ())]
    takes += [(one.cpu, one.memory, one.replicas) for one in known.get("workers", ())]
    has, asked = sizing.machines([(pool.given.cpu, pool.given.memory, 1)]), sizing.machines(takes)
    wrong = []
    if asked[0] > has[0]:
        wrong.append(f"queues and workers take {asked[0] / 1000:g} cores, given.cpu is {pool.given.cpu}")
    if asked[1] > has[1]:
        wrong.append(f"queues and workers take {asked[1] / 1024**3:g} GiB, given.memory is {pool.given.memory}")
    return [f"{', and '.join(wrong)}: raise it, or lower them"] if wrong else []


def priority_name(name: str) -> str:
    """The PriorityClass of what may be lent: workers bear it, jobs should."""
    return naming.child(name, "lent")


def priority(name: str) -> Obj:
    """Below the cluster's default, and it drives nobody out: what can wait."""
    says = "Work that can wait: it gives its machines up first."
    return priority_class(priority_name(name), name, value=-1000, preempts=False, says=says)


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


def workers(name: str, args: BatchArgs, one: WorkersArgs) -> Obj:
    """Workers, on the pool's machines. Work is put down when they go, so that no surge is needed to replace them."""
    workload = naming.child(name, one.name)
    more: Obj = {"command": list(one.command)} if one.command else {}
    work = container(
        "work",
        one.image,
        cpu=one.cpu,
        memory=one.memory,
        disk=one.disk,
        alive=alive({"exec": {"command": list(one.alive)}}) if one.alive else None,
        mounts={"tmp": "/tmp"},  # noqa: S108 - a volume of its own
        **more,
    )
    template = pod(
        workload,
        name,
        containers=[work],
        volumes=[scratch("tmp", one.disk)],
        nodes=args.nodes,
        priority=priority_name(name),
        grace_seconds=one.grace_seconds,
    )
    return deployment(
        workload, one.namespace, name, template=template, replicas=one.replicas, surge=0, unavailable="25%"
    )


class BatchQueues(Component):
    """What data processing uses of the machines, and what it lends."""

    flavor: pulumi.Output[str]
    priority: pulumi.Output[str]
    """PriorityClass of work that can wait, for the pods of jobs."""
    queues: pulumi.Output[dict[str, str]]
    """ClusterQueue, and LocalQueue of the same name, by queue: the value of a job's label kueue.x-k8s.io/queue-name."""
    pool: pulumi.Output[str | None]
    """Name of the CapacityPool, for ``policy.PolicyArgs.pool``; None where there is none."""

    def __init__(self, name: str, args: BatchArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Everything is rendered from ``args`` by the functions above."""
        super().__init__("tidegate:batch:BatchQueues", name, opts)
        self.put(priority(name))
        machines = self.put(flavor(name, args))
        for queue in args.queues:
            quota = self.put(cluster_queue(name, args, queue), after=[machines])
            for namespace in queue.namespaces:
                called = f"{naming.child(name, queue.name)}-{namespace}"
                self.put(local_queue(name, queue, namespace), called=called, after=[quota])
        made = [(one.name, workers(name, args, one)) for one in args.workers]
        for _, work in made:
            self.put(work, fixed=args.pool is None)
            metadata = work["metadata"]
            self.put(network_policy(metadata["name"], metadata["namespace"], name, ports={}))
        if args.pool:
            self.put(capacity_pool(name, args.pool, args.nodes, [member(*one) for one in made]))
        self.finish(
            flavor=name,
            priority=priority_name(name),
            queues={queue.name: naming.child(name, queue.name) for queue in args.queues},
            pool=pool_name(name, args.pool) if args.pool else None,
        )
