"""PostgreSQL by CloudNativePG: the cluster, poolers in front of it, backups behind it.

At a peak the poolers move first, they are cheap and ready in seconds. A replica is a copy of the data, ordered hours
before, and nothing here ever removes one within an event. Neither makes the primary write faster: what it can write is
a limit of the policy, and ``sharded.ShardedDatabase`` is the way past it.

A database has machines of its own and asks no lane of a pool: nobody's work should have to end before a connection is
pooled.
"""

from __future__ import annotations

from typing import Any

import pulumi

from tidegate_stacks import naming, sizing
from tidegate_stacks.checks import ArgsError
from tidegate_stacks.component import Component
from tidegate_stacks.database_args import (
    LEAST_POOLERS,
    WHICH_BACKUP,
    BackupArgs,
    DatabaseArgs,
    ReadsArgs,
    durability_of,
    poolers_of,
)
from tidegate_stacks.database_objects import (
    API_VERSION,
    BARMAN_PLUGIN,
    PORT,
    all_objects,
    cluster,
    pooler,
    scheduled_backup,
)
from tidegate_stacks.objects import Obj
from tidegate_stacks.policy import limit, scaling_policy, target

__all__ = [
    "API_VERSION",
    "BARMAN_PLUGIN",
    "LEAST_POOLERS",
    "SCALED_KINDS",
    "BackupArgs",
    "Database",
    "DatabaseArgs",
    "ReadsArgs",
    "cluster",
    "durability_of",
    "limits",
    "outlives",
    "pooler",
    "poolers_of",
    "register",
    "scheduled_backup",
    "targets",
]

SCALED_KINDS = (
    {"group": "postgresql.cnpg.io", "kind": "Cluster", "resource": "clusters"},
    {"group": "postgresql.cnpg.io", "kind": "Pooler", "resource": "poolers"},
)
"""What the operator needs rights for, beside Deployments and StatefulSets, to move a database's levels."""


def targets(name: str, args: DatabaseArgs) -> list[Obj]:
    """What the operator may move: poolers, and replicas where the arguments say what one of them carries."""
    size = poolers_of(args)
    made = [
        target(
            pooler(name, args),
            capacity={args.signal: args.per_pooler},
            background={args.signal: args.normal},
            minimum=size.normal,
            maximum=size.most,
            stage="database",
            lead_seconds=60,
        )
    ]
    if args.reads:
        lead = sizing.replica_lead_seconds(args.data_gib, copy_mib_per_second=args.copy_mib_per_second)
        made.append(
            target(
                cluster(name, args),
                capacity={args.reads.signal: args.reads.per_replica},
                minimum=args.instances,
                maximum=args.reads.most,
                stage="database",
                lead_seconds=lead,
            )
        )
    return made


def limits(name: str, args: DatabaseArgs) -> list[Obj]:
    """What no unit lifts: the rate at which one primary writes, where it was measured."""
    if args.writes_per_second is None:
        return []
    most = args.writes_per_second
    says = f"the primary of {name} writes at most {most} {args.signal}, measured by pgbench"
    return [limit(naming.child(name, "writes"), signal=args.signal, most=most, says=says)]


def register(owner: Component, name: str, args: DatabaseArgs) -> None:
    """Put one database's objects under a component. ArgsError when the arguments do not say where backups go."""
    if args.backup is None:
        raise ArgsError([f"{name}.backup: {WHICH_BACKUP}"])
    first, others = all_objects(name, args)
    server = owner.put(first, protect=args.protect or None)
    for one in others:
        owner.put(one, after=[server], protect=(args.protect and outlives(name, one)) or None)


def outlives(name: str, one: Obj) -> bool:
    """Whether an object stays as long as the data: data that are kept are still backed up, and open to nobody else.

    ``name``: of the database. What belongs to the poolers goes with them.
    """
    kind = one["kind"]
    return kind == "ScheduledBackup" or (kind, one["metadata"]["name"]) == ("NetworkPolicy", name)


def host_of(name: str, args: DatabaseArgs) -> Any:
    """Host and port of the poolers, which CloudNativePG gives a Service of their name."""
    return pulumi.Output.concat(naming.child(name, "pooler"), ".", args.namespace, f".svc:{PORT}")


class Database(Component):
    """PostgreSQL, poolers, backups."""

    host: pulumi.Output[str]
    """Host and port that applications connect to: the poolers."""
    secret: pulumi.Output[str]
    """Secret with user and password, made by CloudNativePG."""
    targets: list[Obj]
    """For an EventPolicy."""
    limits: list[Obj]
    """For an EventPolicy: what one primary writes."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Everything is rendered from ``args`` by the functions above."""
        super().__init__("tidegate:database:Database", name, opts)
        register(self, name, args)
        self.targets, self.limits = targets(name, args), limits(name, args)
        if args.policy:
            self.put(scaling_policy(name, args.namespace, name, args.policy, self.targets, limits=self.limits))
        self.finish(host=host_of(name, args), secret=naming.child(name, "app"))
