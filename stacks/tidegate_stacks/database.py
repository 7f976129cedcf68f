"""PostgreSQL by CloudNativePG: the cluster, poolers in front of it, backups behind it.

At a peak the poolers move first, they are cheap and ready in seconds; ``max_connections`` is sized for all of them. A
replica is a copy of the data, ordered hours before, and nothing here ever removes one within an event.

A database has machines of its own and asks no lane of a pool: nobody's work should have to end before a connection is
pooled.
"""

from __future__ import annotations

from typing import Any, Self

import pulumi
from pydantic import Field, field_validator, model_validator

from tidegate_stacks import naming, sizing
from tidegate_stacks.checks import Args, Count, Cpu, Memory, Part, Rate, Schedule, Signal, Text
from tidegate_stacks.component import Component
from tidegate_stacks.objects import Obj, obj, spread
from tidegate_stacks.policy import PolicyArgs, scaling_policy, target

API_VERSION = "postgresql.cnpg.io/v1"
SCALED_KINDS = (
    {"group": "postgresql.cnpg.io", "kind": "Cluster", "resource": "clusters"},
    {"group": "postgresql.cnpg.io", "kind": "Pooler", "resource": "poolers"},
)
"""What the operator needs rights for, beside Deployments and StatefulSets, to move a database's levels."""
BARMAN_PLUGIN = "barman-cloud.cloudnative-pg.io"
LEAST_POOLERS = 2


class BackupArgs(Args):
    """Where backups go: exactly one of the two."""

    object_store: Text | None = None
    """Name of an ObjectStore of the Barman Cloud plugin, in the same namespace."""
    snapshot_class: Text | None = None
    """VolumeSnapshotClass."""
    schedule: Schedule = "0 0 3 * * *"

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.object_store is None) == (self.snapshot_class is None):
            raise ValueError("give either object_store or snapshot_class")
        return self


class ReadsArgs(Args):
    """Replicas that a plan may order."""

    signal: Signal = "database_reads_per_second"
    per_replica: Rate
    most: int = Field(ge=1, le=20)
    """Most instances, the primary among them."""


class DatabaseArgs(Args):
    """What the database holds and carries."""

    namespace: Text
    instances: int = Field(default=3, ge=1, le=20)
    image: Text | None = None
    """None: the version that the CloudNativePG operator brings."""
    data_gib: int = Field(ge=1, le=65_536)
    """What it holds: decides the disk, and how long a new replica takes."""
    disk_headroom_percent: int = Field(default=100, ge=20, le=1000)
    wal_disk: Memory = "20Gi"
    storage_class: Text | None = None
    cpu: Cpu = "4"
    memory: Memory = "16Gi"
    copy_mib_per_second: Rate = 100
    """How fast a replica copies, until that is measured."""
    database: Part = "app"
    signal: Signal = "orders_per_second"
    """What the poolers carry."""
    per_pooler: Rate = 4000
    """How much of it one pooler carries at its SLO."""
    normal: Rate
    peak: Rate
    connections_per_pooler: Count = 40
    """Server connections that one pooler opens at most."""
    clients_per_pooler: Count = 5000
    reads: ReadsArgs | None = None
    """None: no plan orders replicas."""
    backup: BackupArgs | None = None
    protect: bool = True
    """Whether ``pulumi destroy`` leaves the data. False is for a database nobody would miss."""
    priority: Text | None = None
    """PriorityClass of the database's and the poolers' pods. None: the cluster's default."""
    policy: PolicyArgs | None = PolicyArgs()
    """None where an EventPolicy takes the targets."""

    @field_validator("peak")
    @classmethod
    def _order(cls, peak: int, info: Any) -> int:
        if peak < info.data.get("normal", 0):
            raise ValueError(f"{peak} is below normal {info.data['normal']}: raise it or lower normal")
        return peak

    @field_validator("reads")
    @classmethod
    def _most(cls, reads: ReadsArgs | None, info: Any) -> ReadsArgs | None:
        if reads and reads.most < info.data.get("instances", 0):
            raise ValueError(f"most {reads.most} is below instances {info.data['instances']}: raise it")
        return reads


def poolers_of(args: DatabaseArgs) -> sizing.Range:
    """Poolers on an ordinary day and at most."""
    return sizing.serving_range(
        args.normal, args.peak, per_unit=args.per_pooler, headroom_percent=20, least=LEAST_POOLERS
    )


def cluster(name: str, args: DatabaseArgs) -> Obj:
    """The CloudNativePG Cluster."""
    connections = sizing.server_connections(poolers=poolers_of(args).most, per_pooler=args.connections_per_pooler)
    disk = {"size": f"{args.data_gib * (100 + args.disk_headroom_percent) // 100}Gi"}
    wal = {"size": args.wal_disk}
    if args.storage_class is not None:
        disk["storageClass"] = wal["storageClass"] = args.storage_class  # type: ignore[assignment]
    limits = {"cpu": args.cpu, "memory": args.memory}
    spec: Obj = {
        "instances": args.instances,
        "storage": disk,
        "walStorage": wal,
        # Requests equal limits: a database that is throttled or evicted at the peak is worse than idle CPU.
        "resources": {"requests": limits, "limits": limits},
        "postgresql": {"parameters": sizing.postgres_parameters(args.memory, connections=connections)},
        "bootstrap": {"initdb": {"database": args.database, "owner": args.database}},
        "affinity": {"podAntiAffinityType": "required", "topologyKey": "kubernetes.io/hostname"},
        "primaryUpdateStrategy": "unsupervised",
        "enablePDB": True,
    }
    if args.image is not None:
        spec["imageName"] = args.image
    if args.priority is not None:
        spec["priorityClassName"] = args.priority
    if args.backup is not None:
        spec |= _archive(args.backup)
    return obj(API_VERSION, "Cluster", name, args.namespace, name, spec=spec)


def _archive(backup: BackupArgs) -> Obj:
    if backup.object_store is None:
        return {"backup": {"volumeSnapshot": {"className": backup.snapshot_class}}}
    plugin = {"name": BARMAN_PLUGIN, "isWALArchiver": True, "parameters": {"barmanObjectName": backup.object_store}}
    return {"plugins": [plugin]}


def pooler(name: str, args: DatabaseArgs) -> Obj:
    """PgBouncer in front of the primary."""
    workload = naming.child(name, "pooler")
    container = {
        "name": "pgbouncer",
        "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"memory": "256Mi"}},
    }
    spec: Obj = {
        "cluster": {"name": name},
        "instances": poolers_of(args).normal,
        "type": "rw",
        "pgbouncer": {
            "poolMode": "transaction",
            "parameters": {
                "max_client_conn": str(args.clients_per_pooler),
                "default_pool_size": str(args.connections_per_pooler),
                # The bound that max_connections is sized for, over all users and databases.
                "max_db_connections": str(args.connections_per_pooler),
            },
        },
        "template": {
            "metadata": {"labels": naming.labels(workload, name)},
            "spec": {"containers": [container], "topologySpreadConstraints": spread(workload)},
        },
    }
    return obj(API_VERSION, "Pooler", workload, args.namespace, name, spec=spec)


def scheduled_backup(name: str, args: DatabaseArgs, backup: BackupArgs) -> Obj:
    """A backup by the clock, the first one at once."""
    spec: Obj = {
        "cluster": {"name": name},
        "schedule": backup.schedule,
        "backupOwnerReference": "cluster",
        "immediate": True,
        "method": "volumeSnapshot",
    }
    if backup.object_store is not None:
        spec |= {"method": "plugin", "pluginConfiguration": {"name": BARMAN_PLUGIN}}
    return obj(API_VERSION, "ScheduledBackup", naming.child(name, "daily"), args.namespace, name, spec=spec)


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


class Database(Component):
    """PostgreSQL, poolers, backups."""

    host: pulumi.Output[str]
    """Host and port that applications connect to: the poolers."""
    secret: pulumi.Output[str]
    """Secret with user and password, made by CloudNativePG."""
    targets: list[Obj]
    """For an EventPolicy."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Everything is rendered from ``args`` by the functions above."""
        super().__init__("tidegate:database:Database", name, opts)
        server = self.put(cluster(name, args), protect=args.protect or None)
        self.put(pooler(name, args), after=[server])
        if args.backup:
            self.put(scheduled_backup(name, args, args.backup), after=[server])
        self.targets = targets(name, args)
        if args.policy:
            self.put(scaling_policy(name, args.namespace, name, args.policy, self.targets))
        host: Any = pulumi.Output.concat(naming.child(name, "pooler"), ".", args.namespace, ".svc:5432")
        self.finish(host=host, secret=naming.child(name, "app"))
