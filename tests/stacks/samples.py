"""A working instance of every component, which a test changes in one respect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ground import unknown

from tidegate_stacks.batch import BatchArgs, BatchQueues, QueueArgs
from tidegate_stacks.cache import Cache, CacheArgs
from tidegate_stacks.component import Component
from tidegate_stacks.database import BackupArgs, Database, DatabaseArgs, ReadsArgs
from tidegate_stacks.edge import EdgeCache, EdgeCacheArgs, RegionArgs
from tidegate_stacks.live import LiveOrigin, LiveOriginArgs
from tidegate_stacks.platform import Namespaces, NamespacesArgs, Operator, OperatorArgs
from tidegate_stacks.policy import EventPolicy, EventPolicyArgs, TargetArgs

CHART = Path(__file__).resolve().parents[2] / "charts/tidegate"

Text = Callable[[str], Any]
Make = Callable[[str, Text], Component]
"""Makes a component of a name; what is only passed on goes through the second argument: as it is, or unknown."""

REGIONS = (
    RegionArgs(name="cn-east", normal_mbps=4_000, peak_mbps=90_000),
    RegionArgs(name="cn-south", normal_mbps=2_000, peak_mbps=40_000),
)


def edge(name: str, text: Text) -> Component:
    origins = (text("live-origin-0.live-origin.shop.svc:8080"), text("live-origin-1.live-origin.shop.svc:8080"))
    args = EdgeCacheArgs(namespace=text("shop"), regions=REGIONS, image=text("edge:1"))
    return EdgeCache(name, args, origins=origins)


def database(name: str, text: Text) -> Component:
    args = DatabaseArgs(
        namespace=text("shop"),
        data_gib=400,
        normal=3_000,
        peak=90_000,
        image=text("postgres:17"),
        storage_class=text("fast"),
        reads=ReadsArgs(per_replica=20_000, most=6),
        backup=BackupArgs(object_store=text("backups")),
    )
    return Database(name, args)


def database_by_snapshots(name: str, text: Text) -> Component:
    backup = BackupArgs(snapshot_class=text("snapshots"))
    args = DatabaseArgs(namespace=text("shop"), data_gib=10, normal=10, peak=10, instances=1, backup=backup)
    return Database(name, args)


def cache(name: str, text: Text) -> Component:
    args = CacheArgs(
        namespace=text("shop"), data_gib=12, normal=100_000, peak=2_000_000, image=text("valkey:8"), storage_class=None
    )
    return Cache(name, args)


def live(name: str, text: Text) -> Component:
    args = LiveOriginArgs(namespace=text("shop"), normal_mbps=500, peak_mbps=20_000, image=text("srs:6"))
    return LiveOrigin(name, args)


def batch(name: str, _text: Text) -> Component:
    queues = (
        QueueArgs(name="reports", cpu="400", memory="1Ti", namespaces=("shop",)),
        QueueArgs(name="search", cpu="200", memory="512Gi", namespaces=("shop", "search")),
    )
    return BatchQueues(name, BatchArgs(cohort=name, nodes={"pool": "hangzhou-a"}, queues=queues))


def policy(name: str, text: Text) -> Component:
    order = TargetArgs(
        name="order-service",
        api_version="apps/v1",
        kind="Deployment",
        capacity={"orders_per_second": 250},
        minimum=4,
        maximum=400,
    )
    return EventPolicy(name, EventPolicyArgs(namespace=text("shop"), others=(order,)), [])


def namespaces(name: str, _text: Text) -> Component:
    return Namespaces(name, NamespacesArgs(names=("shop", "tidegate-system"), protect=("shop",)))


def operator(name: str, text: Text) -> Component:
    return Operator(name, OperatorArgs(chart=text(str(CHART)), namespace=text("shop")))


EACH: dict[str, Make] = {
    "batch": batch,
    "cache": cache,
    "database": database,
    "database-by-snapshots": database_by_snapshots,
    "edge": edge,
    "live": live,
    "namespaces": namespaces,
    "operator": operator,
    "policy": policy,
}
MOVED = ("cache", "database", "database-by-snapshots", "edge", "live")
"""Components whose policies move what they make themselves."""


def as_it_is(value: str) -> Any:
    return value


def not_yet_known(_value: str) -> Any:
    return unknown()
