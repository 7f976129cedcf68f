"""What a cache is asked for: its arguments, each checked before anything is registered."""

from __future__ import annotations

import re
from typing import Any, Literal

import pulumi
from pydantic import Field, field_validator

from tidegate_stacks import sizing
from tidegate_stacks.checks import Args, Count, Cpu, Image, Memory, Name, Rate, Seconds, Signal, Text
from tidegate_stacks.policy import ScaledArgs


class CacheAuthArgs(Args):
    """Who may speak to the servers. The password stays in a Secret: it is in no ConfigMap and on no command line."""

    secret: Text
    """Name of a Secret of the same namespace. Its key ``password`` is what the pods use among themselves."""
    user: Name | None = None
    """None: the password is everybody's. A name: key ``users.acl`` of the Secret is the servers' ACL file, and the pods
    use this user of it, who needs ``~* &* +@all``."""


class CacheTlsArgs(Args):
    """TLS for clients, for replication and between the nodes."""

    secret: Text
    """Name of a Secret with ``tls.crt``, ``tls.key`` and ``ca.crt``, as cert-manager makes it. A renewed certificate is
    taken up without a restart. Clients that check names need two in it: NAME.NAMESPACE.svc, where they start from, and
    *.NAME-nodes.NAMESPACE.svc, which the servers send them to."""
    clients_show_theirs: bool = False
    """Whether clients must show a certificate of the same authority."""


_CLOSES = (1, 83)
"""First version of redis_exporter that can close /scrape. That path sends the cache's password to any address that the
asker names, and reads keys."""
_VERSION = re.compile(r":v?([0-9]{1,4})\.([0-9]{1,4})[^:/@]*(@|$)")


def _closes(image: str | None) -> str | None:
    """ValueError for a tag that says an older version. A tag or digest that says none is taken at its word."""
    found = _VERSION.search(image) if image else None
    if found and (int(found[1]), int(found[2])) < _CLOSES:
        raise ValueError(
            f"redis_exporter {found[1]}.{found[2]} gives the cache's password to whoever asks its /scrape:"
            " give 1.83 or later, e.g. docker.io/oliver006/redis_exporter:v1.83.0"
        )
    return image


class CacheArgs(ScaledArgs):
    """What the cache holds and serves."""

    namespace: Text
    shards: int = Field(default=3, ge=3, le=100)
    memory: Memory = "8Gi"
    """Limit of one pod; 70 % of it is filled."""
    data_gib: int = Field(ge=1, le=65_536)
    """What the cache must hold; it must fit into the shards."""
    normal: Rate
    peak: Rate
    """Reads over the whole cluster."""
    per_node: Rate = 60_000
    """Reads per second that one pod carries at its SLO."""
    cpu: Cpu = "2"
    image: Image = "docker.io/valkey/valkey:8.1-alpine"
    """Any server that speaks the Redis cluster protocol of 7.0 and brings valkey-server, valkey-cli and sh."""
    exporter: Image | None = None
    """Image of redis_exporter 1.83 or later, e.g. docker.io/oliver006/redis_exporter:v1.83.0. None: no metrics."""
    monitor: bool = False
    """Whether a PodMonitor is made for each shard: the cluster serves the kind. It needs ``exporter``."""
    storage_class: Text | None = None
    """For 1 GiB per pod: who is whose replica, not the data."""
    signal: Signal = "cache_reads_per_second"
    auth: CacheAuthArgs | None = None
    """None: whoever the NetworkPolicy lets in may read and write."""
    tls: CacheTlsArgs | None = None
    reach: Literal["namespace", "cluster"] = "namespace"
    """Whose pods may reach the servers: those of the namespace, or all of the cluster."""
    apart: bool = True
    """Whether a shard's first pod never shares a machine with another pod of its shard. False: only while there is
    room, for a cluster of one machine."""
    copy_mib_per_second: Count = sizing.CACHE_COPY_MIB_PER_SECOND
    """What one pod sends in full copies, to all its new readers together."""
    attach_seconds: Seconds = 30
    """How long a new volume takes until its pod can start (judgement; the storage class knows)."""

    @field_validator("exporter")
    @classmethod
    def _closed(cls, exporter: Any) -> Any:
        return exporter.apply(_closes) if isinstance(exporter, pulumi.Output) else _closes(exporter)

    @field_validator("data_gib")
    @classmethod
    def _fits(cls, data_gib: int, info: Any) -> int:
        if {"shards", "memory"} <= info.data.keys():
            shards, memory = info.data["shards"], info.data["memory"]
            room = shards * sizing.max_memory_bytes(memory)
            if data_gib * 1024**3 > room:
                raise ValueError(
                    f"{data_gib} GiB do not fit into {shards} shards of {memory}, which hold {room / 1024**3:.1f} GiB:"
                    " give more shards or memory"
                )
        return data_gib

    @field_validator("monitor")
    @classmethod
    def _exported(cls, monitor: bool, info: Any) -> bool:
        if monitor and info.data.get("exporter", "") is None:
            raise ValueError("there is nothing to scrape without exporter: give its image, or leave monitor out")
        return monitor

    @field_validator("peak")
    @classmethod
    def _order(cls, peak: int, info: Any) -> int:
        if peak < info.data.get("normal", 0):
            raise ValueError(f"{peak} is below normal {info.data['normal']}: raise it or lower normal")
        return peak
