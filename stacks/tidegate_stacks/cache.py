"""A Redis-compatible cluster: one StatefulSet per shard, a shard's first pod and its read replicas.

Read peaks are met by replicas: a full copy of a shard takes seconds to minutes and moves no slot. Moving slots takes
far longer and disturbs latency while it lasts, so shards are given once, with the slots of each computed from their
number, and no plan moves them. Changing ``shards`` of a cluster that holds data is a migration, not an update.
"""

from __future__ import annotations

import pulumi

from tidegate_stacks import naming, sizing
from tidegate_stacks.cache_args import CacheArgs, CacheAuthArgs, CacheTlsArgs
from tidegate_stacks.cache_objects import LEAST, PORT, config_files, pods_of, scripts, server_conf, shard_objects
from tidegate_stacks.component import Component
from tidegate_stacks.objects import Obj, config_map, headless, obj, service
from tidegate_stacks.policy import scaling_policy, target

__all__ = [
    "LEAST",
    "PORT",
    "Cache",
    "CacheArgs",
    "CacheAuthArgs",
    "CacheTlsArgs",
    "lead_seconds",
    "pods_of",
    "scripts",
    "server_conf",
    "shard_objects",
    "targets",
]


def lead_seconds(args: CacheArgs) -> int:
    """How long before its need a reader is ordered: its volume, its start, and its share of what its master sends."""
    size = pods_of(args)
    return sizing.cache_lead_seconds(
        sizing.shard_mib(args.data_gib, shards=args.shards),
        copies=max(1, size.most - size.normal),
        copy_mib_per_second=args.copy_mib_per_second,
        attach_seconds=args.attach_seconds,
    )


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
            lead_seconds=lead_seconds(args),
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
        pods = {"app.kubernetes.io/part-of": name}
        self.put_all(
            [
                config_map(naming.child(name, "config"), args.namespace, name, config_files(args)),
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
