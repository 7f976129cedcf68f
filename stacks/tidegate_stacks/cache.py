"""A Redis-compatible cluster: one StatefulSet per shard, a shard's first pod and its read replicas.

Read peaks are met by replicas: a full copy of a shard takes seconds to minutes and moves no slot. Moving slots takes
far longer and disturbs latency while it lasts, so shards are given once, with the slots of each computed from their
number, and no plan moves them. Changing ``shards`` of a cluster that holds data is a migration, not an update.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pulumi
from pydantic import Field, field_validator

from tidegate_stacks import naming, sizing
from tidegate_stacks.checks import Cpu, Memory, Rate, Signal, Text
from tidegate_stacks.component import Component
from tidegate_stacks.objects import Obj, budget, claim, config_map, headless, obj, pod, resources, service, stateful_set
from tidegate_stacks.policy import ScaledArgs, scaling_policy, target

PORT = 6379
SCRIPTS = ("join.sh", "leave.sh", "ready.sh")
LEAST = 2
"""Pods of a shard: one that writes, one that takes over."""
DRAIN_SECONDS = 60
NOT_PROTECTED = {"tidegate.dev/allow": "databases-are-protected: a cache, which fills again from what stands behind it"}
"""What the policy pack's rules are told of a shard's volumes."""


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
    image: Text = "docker.io/valkey/valkey:8.1-alpine"
    """Any server that speaks the Redis cluster protocol of 7.0 and brings valkey-cli and sh."""
    storage_class: Text | None = None
    """For 1 GiB per pod: who is whose replica, not the data."""
    signal: Signal = "cache_reads_per_second"

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

    @field_validator("peak")
    @classmethod
    def _order(cls, peak: int, info: Any) -> int:
        if peak < info.data.get("normal", 0):
            raise ValueError(f"{peak} is below normal {info.data['normal']}: raise it or lower normal")
        return peak


def pods_of(args: CacheArgs) -> sizing.Range:
    """Pods of each shard, its writing one among them; slots spread the reads evenly over shards."""
    return sizing.serving_range(
        -(-args.normal // args.shards),
        -(-args.peak // args.shards),
        per_unit=args.per_node,
        headroom_percent=20,
        least=LEAST,
    )


def server_conf(args: CacheArgs) -> str:
    """The server: a cache, so nothing is kept on disk but the node's place in the cluster."""
    return f"""\
port {PORT}
dir /data
save ""
appendonly no
cluster-enabled yes
cluster-config-file /data/nodes.conf
cluster-node-timeout 5000
cluster-require-full-coverage no
maxmemory {sizing.max_memory_bytes(args.memory)}
maxmemory-policy allkeys-lru
repl-diskless-sync yes
repl-diskless-sync-delay 2
protected-mode no
"""


def scripts() -> dict[str, str]:
    """Shell scripts that pods run, by file name."""
    folder = files("tidegate_stacks") / "scripts"
    return {name: (folder / name).read_text(encoding="utf-8") for name in SCRIPTS}


def shard_objects(name: str, args: CacheArgs, shard: int, slots: sizing.SlotRange) -> list[Obj]:
    """One shard: pods that find their place by themselves."""
    workload = naming.child(name, str(shard))
    nodes = naming.child(name, "nodes")
    env = [
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "PORT", "value": str(PORT)},
        {"name": "FIRST_SLOT", "value": str(slots.first)},
        {"name": "LAST_SLOT", "value": str(slots.last)},
        {"name": "SEED", "value": f"{naming.child(name, '0')}-0.{nodes}"},
    ]
    mounts = [{"name": "config", "mountPath": "/etc/cache", "readOnly": True}, {"name": "data", "mountPath": "/data"}]
    server = {
        "name": "server",
        "image": args.image,
        "command": ["valkey-server", "/etc/cache/server.conf"],
        "env": env,
        "ports": [{"name": "redis", "containerPort": PORT}, {"name": "bus", "containerPort": PORT + 10_000}],
        "readinessProbe": {"exec": {"command": ["sh", "/etc/cache/ready.sh"]}, "periodSeconds": 5},
        "lifecycle": {"preStop": {"exec": {"command": ["sh", "/etc/cache/leave.sh"]}}},
        "resources": resources(args.cpu, args.memory),
        "volumeMounts": mounts,
    }
    join = {
        "name": "join",
        "image": args.image,
        "command": ["sh", "/etc/cache/join.sh"],
        "env": env,
        "resources": resources("10m", "32Mi"),
        "volumeMounts": mounts[:1],
    }
    template = pod(
        workload,
        name,
        containers=[server, join],
        volumes=[{"name": "config", "configMap": {"name": naming.child(name, "config")}}],
        nodes=args.nodes,
        grace_seconds=DRAIN_SECONDS,
        user=999,
    )
    shard_set = stateful_set(
        workload,
        args.namespace,
        name,
        replicas=pods_of(args).normal,
        headless=nodes,
        template=template,
        claims=[claim("data", "1Gi", args.storage_class)],
    )
    shard_set["metadata"].setdefault("annotations", {}).update(NOT_PROTECTED)
    return [shard_set, budget(shard_set, unavailable=1, component=name)]


def targets(name: str, args: CacheArgs) -> list[Obj]:
    """What the operator may move: the pods of each shard. A shard sees its share of the reads, so that one more pod in
    each of them carries ``per_node`` times the shards.
    """
    size = pods_of(args)
    return [
        target(
            obj("apps/v1", "StatefulSet", naming.child(name, str(shard)), None, name),
            capacity={args.signal: args.per_node * args.shards},
            background={args.signal: args.normal},
            minimum=size.normal,
            maximum=size.most,
            stage="cache",
            lead_seconds=sizing.cache_lead_seconds(args.memory),
            lane=args.lane,
        )
        for shard in range(args.shards)
    ]


class Cache(Component):
    """A Redis-compatible cluster."""

    host: pulumi.Output[str]
    """Host and port that cluster clients start from; for reads from replicas they set READONLY."""
    targets: list[Obj]
    """For an EventPolicy."""

    def __init__(self, name: str, args: CacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Everything is rendered from ``args`` by the functions above."""
        super().__init__("tidegate:cache:Cache", name, opts)
        data = {"server.conf": server_conf(args), **scripts()}
        pods = {"app.kubernetes.io/part-of": name}
        self.put_all(
            [
                config_map(naming.child(name, "config"), args.namespace, name, data),
                headless(naming.child(name, "nodes"), args.namespace, name, pods=pods, ports={"redis": PORT}),
                service(name, args.namespace, name, pods=pods, ports={"redis": PORT}),
            ]
        )
        for shard, slots in enumerate(sizing.slot_ranges(args.shards)):
            self.put_all(shard_objects(name, args, shard, slots))
        self.targets = targets(name, args)
        if args.policy:
            self.put(scaling_policy(name, args.namespace, name, args.policy, self.targets))
        self.finish(host=pulumi.Output.concat(name, ".", args.namespace, f".svc:{PORT}"))
