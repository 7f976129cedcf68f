"""Numbers of the ground, from demand: pure functions, units in their names.

Constants chosen by judgement say so. What can be measured (lead times, capacity per unit) is only a first guess here;
the operator and load tests know better.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

MIB = 1024 * 1024
_MEMORY = {"Mi": MIB, "Gi": 1024 * MIB, "Ti": 1024 * 1024 * MIB}

HASH_SLOTS = 16_384
"""Slots of a Redis-compatible cluster; the protocol's number."""


def memory_bytes(size: str) -> int:
    """``4Gi`` → bytes."""
    return int(size[:-2]) * _MEMORY[size[-2:]]


def cpu_millis(cpu: str) -> int:
    """``"2"`` or ``500m`` → thousandths of a core."""
    return int(cpu[:-1]) if cpu.endswith("m") else 1000 * int(cpu)


def machines(takes: Iterable[tuple[str, str, int]]) -> tuple[int, int]:
    """(thousandths of a core, bytes) of so many of each: (CPU, memory, how many)."""
    each = [(cpu_millis(cpu) * many, memory_bytes(memory) * many) for cpu, memory, many in takes]
    return sum(cpu for cpu, _ in each), sum(memory for _, memory in each)


def units(demand: int, *, per_unit: int, least: int = 1) -> int:
    """Units that carry a demand, at least ``least``."""
    return max(least, math.ceil(demand / per_unit))


@dataclass(frozen=True, slots=True)
class Range:
    """How many units on an ordinary day, and at most."""

    normal: int
    most: int


def serving_range(normal: int, peak: int, *, per_unit: int, headroom_percent: int, least: int) -> Range:
    """Units of a stateless tier. ``most`` bounds the autoscaler and the operator alike: what a mistake can cost."""
    with_headroom = 100 + headroom_percent
    low = units(math.ceil(normal * with_headroom / 100), per_unit=per_unit, least=least)
    return Range(low, max(low, units(math.ceil(peak * with_headroom / 100), per_unit=per_unit, least=least)))


# ---- edge cache


def cache_zone_mib(disk: str) -> int:
    """Shared memory for an nginx key zone: 1 MB holds 8,000 keys (nginx's documentation); objects of 256 KiB, a short
    video segment (judgement), and never less than 10 MiB.
    """
    objects = memory_bytes(disk) // (256 * 1024)
    return max(10, math.ceil(objects / 8000))


# ---- database

POSTGRES_RESERVED_CONNECTIONS = 20
"""For replication, monitoring and people, beside the poolers' (judgement)."""


MOST_INSTANCES = 20
"""Instances of one database, the primary among them, that arguments may ask for."""
WAL_SENDERS = MOST_INSTANCES + 4
"""``max_wal_senders``: one for each replica, and four for base backups and replicas that connect anew. PostgreSQL's
default of 10 would turn the eleventh replica of a peak away; it is the same for all, since changing it is a restart."""
WAL_KEEP_PERCENT = 50
"""Share of the WAL volume that replication slots may hold back."""
WAL_CHECKPOINT_PERCENT = 20
"""Share of the WAL volume that is written between two checkpoints. Slots are looked at at checkpoints only, so that
both shares may lie on the disk at once; the rest is for an archive that lags (judgement)."""


def postgres_parameters(memory: str, *, connections: int, working: int | None = None) -> dict[str, str]:
    """Settings of PostgreSQL for a memory limit: a quarter shared buffers, three quarters counted as cache, the rest
    divided over the connections (PostgreSQL's documentation suggests the first; the divisor of 4 sorts per
    connection is judgement).

    ``working``: connections that sort and join, where they are fewer than ``connections``. ``shared_buffers`` and
    ``max_connections`` need a restart, all others are reloaded.
    """
    mib = memory_bytes(memory) // MIB
    work = max(1, (mib - mib // 4) // ((working or connections) * 4))
    return {
        "shared_buffers": f"{mib // 4}MB",
        "effective_cache_size": f"{mib * 3 // 4}MB",
        "maintenance_work_mem": f"{max(64, mib // 16)}MB",
        "work_mem": f"{work}MB",
        "max_connections": str(connections),
    }


def wal_parameters(wal_disk: str) -> dict[str, str]:
    """Settings that keep the write-ahead log within its volume when a replica is lost: the slot of a replica that lags
    too far is given up, and the replica reads on from the archive or is copied anew. PostgreSQL does not bound what it
    keeps for an archive that takes nothing.
    """
    mib = memory_bytes(wal_disk) // MIB
    return {
        "max_wal_size": f"{mib * WAL_CHECKPOINT_PERCENT // 100}MB",
        "max_slot_wal_keep_size": f"{mib * WAL_KEEP_PERCENT // 100}MB",
    }


def server_connections(*, poolers: int, per_pooler: int) -> int:
    """``max_connections`` that still holds when every pooler the plan may ask for is up: else scaling the poolers
    breaks the database at the peak.
    """
    return poolers * per_pooler + POSTGRES_RESERVED_CONNECTIONS


def replica_lead_seconds(data_gib: int, *, copy_mib_per_second: int) -> int:
    """How long before its need a new database replica is ordered: twice the copy, at most a day (the API's bound)."""
    return min(86_400, math.ceil(2 * data_gib * 1024 / copy_mib_per_second))


# ---- cache


@dataclass(frozen=True, slots=True)
class SlotRange:
    """Hash slots of one shard, both ends included."""

    first: int
    last: int


def slot_ranges(shards: int) -> tuple[SlotRange, ...]:
    """All slots over the shards, as evenly as whole slots allow, in order."""
    bounds = [round(shard * HASH_SLOTS / shards) for shard in range(shards + 1)]
    return tuple(SlotRange(first, last - 1) for first, last in itertools.pairwise(bounds))


def max_memory_bytes(memory: str) -> int:
    """What a cache may fill: 70 % of its limit; a fork for a full resynchronisation and client buffers need the rest
    (judgement).
    """
    return memory_bytes(memory) * 70 // 100


CACHE_COPY_MIB_PER_SECOND = 50
"""What one server sends in full copies: a guess, on the safe side, until it is measured on the machines at hand."""
CACHE_START_SECONDS = 30
"""From a pod's order to its first question for a copy, and from the copy to ready (judgement): the start of two
containers, two rounds of the script, one period of the probe."""
CACHE_SYNC_DELAY_SECONDS = 2
"""How long a server waits for more readers before it starts a copy for all of them."""


def replication_backlog_bytes(memory: str) -> int:
    """What a reader may miss and still go on where it was: 2 % of the limit, at least 16 MiB (judgement)."""
    return max(16 * MIB, memory_bytes(memory) // 50)


def replica_buffer_bytes(memory: str) -> int:
    """Writes that may wait for a reader while it copies: a tenth of the limit, out of the 30 % that are not filled
    (judgement). A reader that lags behind further is cut off.
    """
    return memory_bytes(memory) // 10


def shard_mib(data_gib: int, *, shards: int) -> int:
    """Data of one shard; slots spread it evenly."""
    return math.ceil(data_gib * 1024 / shards)


def cache_lead_seconds(data_mib: int, *, copies: int, copy_mib_per_second: int, attach_seconds: int) -> int:
    """How long before its need a reader is ordered: volume, start, and a full copy of ``data_mib``.

    ``copies``: readers that one server feeds at the same time. They share what it sends. At most a day, the API's
    bound.
    """
    copy = math.ceil(data_mib * copies / copy_mib_per_second)
    return min(86_400, attach_seconds + CACHE_START_SECONDS + CACHE_SYNC_DELAY_SECONDS + copy)
