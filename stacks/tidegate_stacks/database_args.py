"""What a database is asked for: its arguments, what each default stands for, and the sizes that follow at once.

Two kinds of numbers are kept apart. ``peak`` changes with every event, so only settings that PostgreSQL and PgBouncer
reload follow it. ``most_poolers``, ``connections_per_pooler`` and ``memory`` decide settings that PostgreSQL reads when
it starts: they are set once, and changing one restarts every instance.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tidegate_stacks import sizing
from tidegate_stacks.checks import Args, Count, Cpu, Image, Memory, Part, Rate, Schedule, Signal, Text
from tidegate_stacks.policy import PolicyArgs

LEAST_POOLERS = 2
LEAST_WAL_MIB = 1024
"""Below it a fifth of the WAL volume is hardly more than PostgreSQL's ``min_wal_size`` of 80 MB."""
TAKEN_NAMES = ("all", "pgbouncer", "postgres", "replication", "samegroup", "samerole", "sameuser")
"""Words of ``pg_hba``, PgBouncer's console, and the database in which poolers look passwords up."""
NO_BACKUP: Literal["none"] = "none"
WHICH_BACKUP = (
    "say where backups go, {object_store: NAME} or {snapshot_class: NAME},"
    " or write backup: none if this data may be lost"
)


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
    most: int = Field(ge=1, le=sizing.MOST_INSTANCES)
    """Most instances, the primary among them."""


class DatabaseArgs(Args):
    """What the database holds and carries."""

    namespace: Text
    instances: int = Field(default=3, ge=1, le=sizing.MOST_INSTANCES)
    """The primary and its replicas, each on a node of its own. Pulumi sets the number once, since plans move it. To
    raise it, scale the living cluster first (``kubectl scale clusters.postgresql.cnpg.io/NAME --replicas=N``), then
    change it here: whether commits wait for a replica follows from what stands here. To lower it, begin here."""
    image: Image | None = None
    """None: the version that the CloudNativePG operator brings."""
    data_gib: int = Field(ge=1, le=65_536)
    """What it holds: decides the disk, and how long a new replica takes."""
    disk_headroom_percent: int = Field(default=100, ge=20, le=1000)
    wal_disk: Memory = "20Gi"
    """Volume of the write-ahead log, at least 1Gi. A lost replica holds back at most half of it."""
    storage_class: Text | None = None
    cpu: Cpu = "4"
    memory: Memory = "16Gi"
    """Of one instance. Set once: a change restarts PostgreSQL."""
    copy_mib_per_second: Rate = 100
    """How fast a replica copies, until that is measured."""
    database: Part = "app"
    """Name of the database, and of the role that owns it; the only one that the poolers let in. Set once: it is made
    with the cluster, and after a change poolers would let in a database that is not there."""
    signal: Signal = "orders_per_second"
    """What the poolers carry."""
    per_pooler: Rate = 4000
    """How much of it one pooler carries at its SLO."""
    normal: Rate
    peak: Rate
    most_poolers: int = Field(default=32, ge=LEAST_POOLERS, le=500, validate_default=True)
    """Poolers that PostgreSQL's connections are sized for. Set once, above every peak to come: a change restarts
    PostgreSQL, a change of ``peak`` does not."""
    connections_per_pooler: Count = 40
    """Server connections of applications that one pooler opens at most, over all users and databases. Set once."""
    clients_per_pooler: Count = 5000
    writes_per_second: Rate | None = None
    """How much of ``signal`` one primary can write, measured with ``bench/pgbench_writes.py`` on such a machine. No
    pooler and no replica lifts it, so the policy names it as a limit. None: not measured, the policy names none."""
    synchronous: Literal["required", "preferred", "none"] | None = None
    """Whether a commit waits until a replica has it too.

    ``required``: no confirmed write is lost with one machine; writes pause while no replica can confirm them.
    ``preferred``: writes go on without a replica, and what is written then is lost with the primary. None: ``required``
    with three instances or more, since one replica may then be away; ``preferred`` with two, where every drain of the
    only replica would stop all writes; ``none`` with one."""
    zones: Literal["preferred", "required"] = "preferred"
    """Instances stand in different zones. ``required`` leaves an instance unscheduled rather than in a zone that has
    more of them than another, and on nodes without a zone label always."""
    reads: ReadsArgs | None = None
    """None: no plan orders replicas."""
    backup: BackupArgs | Literal["none"] | None = Field(default=None, validate_default=True)
    """Where backups go, or ``none``. It has to be said: nothing is registered without it."""
    protect: bool = True
    """Whether ``pulumi destroy`` leaves the data, with their backups and the NetworkPolicy of the instances. False is
    for a database nobody would miss."""
    priority: Text | None = None
    """PriorityClass of the database's and the poolers' pods. None: the cluster's default."""
    monitor: bool = False
    """Whether the cluster serves PodMonitors, so that Prometheus finds the instances and the poolers."""
    pooler_image: Image | None = None
    """PgBouncer 1.19 or newer, as CloudNativePG needs it. None: the version that its operator brings."""
    operator_namespace: Text = "cnpg-system"
    """Where CloudNativePG's operator runs: from there the instances must be reached."""
    policy: PolicyArgs | None = PolicyArgs()
    """None where an EventPolicy takes the targets."""

    @field_validator("wal_disk")
    @classmethod
    def _room(cls, wal_disk: str) -> str:
        if sizing.memory_bytes(wal_disk) < LEAST_WAL_MIB * sizing.MIB:
            raise ValueError(f"{wal_disk} is too small for a write-ahead log: give at least 1Gi")
        return wal_disk

    @field_validator("database")
    @classmethod
    def _free(cls, database: str) -> str:
        if database in TAKEN_NAMES:
            raise ValueError(f"{database!r} means something else to PostgreSQL or PgBouncer: give another name")
        return database

    @field_validator("peak")
    @classmethod
    def _order(cls, peak: int, info: Any) -> int:
        if peak < info.data.get("normal", 0):
            raise ValueError(f"{peak} is below normal {info.data['normal']}: raise it or lower normal")
        return peak

    @field_validator("most_poolers")
    @classmethod
    def _carry(cls, most_poolers: int, info: Any) -> int:
        if {"normal", "peak", "per_pooler"} <= info.data.keys():
            refuse_too_few(most_poolers, info.data["normal"], info.data["peak"], info.data["per_pooler"])
        return most_poolers

    @field_validator("synchronous")
    @classmethod
    def _somebody(cls, synchronous: str | None, info: Any) -> str | None:
        if synchronous in ("required", "preferred") and info.data.get("instances") == 1:
            raise ValueError(f"{synchronous} needs a replica: raise instances to 2 or more, or leave it out")
        return synchronous

    @field_validator("reads")
    @classmethod
    def _most(cls, reads: ReadsArgs | None, info: Any) -> ReadsArgs | None:
        if reads and reads.most < info.data.get("instances", 0):
            raise ValueError(f"most {reads.most} is below instances {info.data['instances']}: raise it")
        return reads

    @field_validator("backup", mode="wrap")
    @classmethod
    def _said(cls, backup: Any, _handler: Any, info: Any) -> Any:
        """Refused in a configuration when it is left out; a program that only renders may leave it out."""
        if isinstance(backup, BackupArgs) or backup == NO_BACKUP or (backup is None and not info.context):
            return backup
        if backup is None or isinstance(backup, str):
            raise ValueError(WHICH_BACKUP)
        return BackupArgs.model_validate(backup)


def refuse_too_few(most_poolers: int, normal: int, peak: int, per_pooler: int, *, whose: str = "") -> None:
    """ValueError when a peak needs more poolers than PostgreSQL is sized for. ``whose``: of which shard."""
    needed = pooler_range(normal, peak, per_pooler).most
    if needed > most_poolers:
        raise ValueError(
            f"{whose}peak {peak} needs {needed} poolers, and PostgreSQL is sized for {most_poolers}: raise most_poolers"
            " while no event is near, since PostgreSQL restarts then, or raise per_pooler"
        )


def pooler_range(normal: int, peak: int, per_pooler: int) -> sizing.Range:
    """Poolers that carry so much, with a fifth of headroom."""
    return sizing.serving_range(normal, peak, per_unit=per_pooler, headroom_percent=20, least=LEAST_POOLERS)


def poolers_of(args: DatabaseArgs) -> sizing.Range:
    """Poolers on an ordinary day and at most."""
    return pooler_range(args.normal, args.peak, args.per_pooler)


def durability_of(args: DatabaseArgs) -> Literal["required", "preferred"] | None:
    """How a commit waits for a replica. None: it does not wait."""
    if args.synchronous is None:
        return None if args.instances == 1 else "preferred" if args.instances == 2 else "required"
    return None if args.synchronous == "none" else args.synchronous
