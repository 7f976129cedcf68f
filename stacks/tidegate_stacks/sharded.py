"""Several databases that share one signal: the way past what one primary writes.

Each shard is a whole database of its own, with primary, replicas, poolers and backups, and has a fixed share of the
demand. An event still announces one number for all of them: a pooler of a shard with a quarter of the orders carries
four times its own rate of the whole, and so does the limit of the shard's primary.

Which shard holds a key is the application's to say, by hash or by ranges: it has the shards' hosts by name, and a
transaction stays within one shard. Shards and their shares are given once. Another number of shards, or other shares,
means that the application moves rows; nothing here does.
"""

from __future__ import annotations

from typing import Any

import pulumi
from pydantic import Field, field_validator

from tidegate_stacks import naming
from tidegate_stacks.checks import Args, Part
from tidegate_stacks.component import Component
from tidegate_stacks.database import host_of, register, targets
from tidegate_stacks.database_args import DatabaseArgs, refuse_too_few
from tidegate_stacks.objects import Obj
from tidegate_stacks.policy import limit, scaling_policy

MOST_SHARDS = 16
"""With a target for poolers and one for replicas each, half of what a policy takes is left to others."""


class ShardArgs(Args):
    """One shard."""

    name: Part
    percent: int = Field(ge=1, le=99)
    """Its share of data and demand. Where keys are hashed, equal for all; for ranges, that of the range."""


class ShardedDatabaseArgs(DatabaseArgs):
    """What all shards hold and carry together. ``data_gib``, ``normal`` and ``peak`` are of the whole. What is said of
    an instance, a pooler or a primary holds for each shard.
    """

    shards: tuple[ShardArgs, ...] = Field(min_length=2, max_length=MOST_SHARDS)

    @field_validator("most_poolers")
    @classmethod
    def _carry(cls, most_poolers: int, _info: Any) -> int:
        """Of each shard: looked at where the shards are known."""
        return most_poolers

    @field_validator("shards")
    @classmethod
    def _whole(cls, shards: tuple[ShardArgs, ...], info: Any) -> tuple[ShardArgs, ...]:
        names = [shard.name for shard in shards]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"names {', '.join(twice)} twice: give each shard once")
        if (total := sum(shard.percent for shard in shards)) != 100:
            raise ValueError(f"hold {total} % together: give shares that make 100")
        if {"normal", "peak", "per_pooler", "most_poolers"} <= info.data.keys():
            for shard in shards:
                normal, peak = (_part(info.data[name], shard) for name in ("normal", "peak"))
                most, rate = info.data["most_poolers"], info.data["per_pooler"]
                refuse_too_few(most, normal, peak, rate, whose=f"{shard.name}: ")
        return shards


def _part(whole: int, shard: ShardArgs) -> int:
    return -(-whole * shard.percent // 100)


def _of_whole(part: int, shard: ShardArgs) -> int:
    """What the whole has when the shard has so much. Rounded down: no shard is promised more than it carries."""
    return part * 100 // shard.percent


def one_of(args: ShardedDatabaseArgs, shard: ShardArgs) -> DatabaseArgs:
    """Arguments of one shard."""
    given = {name: getattr(args, name) for name in DatabaseArgs.model_fields}
    parts = {name: _part(given[name], shard) for name in ("normal", "peak", "data_gib")}
    return DatabaseArgs(**{**given, **parts, "policy": None})


def sharded_targets(name: str, args: ShardedDatabaseArgs) -> list[Obj]:
    """Targets of all shards, in units of the whole demand."""
    made = []
    for shard in args.shards:
        for one in targets(naming.child(name, shard.name), one_of(args, shard)):
            capacity = {signal: _of_whole(rate, shard) for signal, rate in one["capacity"].items()}
            background = {"background": {args.signal: args.normal}} if "background" in one else {}
            made.append({**one, "capacity": capacity, **background})
    return made


def sharded_limits(name: str, args: ShardedDatabaseArgs) -> list[Obj]:
    """What each shard's primary writes, in units of the whole demand."""
    if args.writes_per_second is None:
        return []
    return [_limit(naming.child(name, shard.name), args, shard, args.writes_per_second) for shard in args.shards]


def _limit(database: str, args: ShardedDatabaseArgs, shard: ShardArgs, writes: int) -> Obj:
    says = (
        f"the primary of {database} writes at most {writes} {args.signal}, measured by pgbench,"
        f" and has {shard.percent} % of them"
    )
    return limit(naming.child(database, "writes"), signal=args.signal, most=_of_whole(writes, shard), says=says)


class ShardedDatabase(Component):
    """Databases that share one signal."""

    hosts: pulumi.Output[dict[str, str]]
    """By shard: host and port that applications connect to."""
    secrets: pulumi.Output[dict[str, str]]
    """By shard: Secret with user and password."""
    targets: list[Obj]
    """For an EventPolicy."""
    limits: list[Obj]
    """For an EventPolicy: what each primary writes."""

    def __init__(self, name: str, args: ShardedDatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Everything is rendered from ``args`` by the functions above."""
        super().__init__("tidegate:sharded:ShardedDatabase", name, opts)
        named = {shard.name: naming.component_name(naming.child(name, shard.name)) for shard in args.shards}
        for shard in args.shards:
            register(self, named[shard.name], one_of(args, shard))
        self.targets, self.limits = sharded_targets(name, args), sharded_limits(name, args)
        if args.policy:
            self.put(scaling_policy(name, args.namespace, name, args.policy, self.targets, limits=self.limits))
        self.finish(
            hosts={shard: host_of(database, args) for shard, database in named.items()},
            secrets={shard: naming.child(database, "app") for shard, database in named.items()},
        )
