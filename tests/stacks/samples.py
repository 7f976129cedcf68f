"""A working instance of every component, which a test changes in one respect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ground import unknown

from tidegate_stacks.batch import BatchArgs, BatchQueues, QueueArgs, WorkersArgs
from tidegate_stacks.cache import Cache, CacheArgs, CacheAuthArgs, CacheTlsArgs
from tidegate_stacks.cdn import (
    Caches,
    Cdn,
    CdnArgs,
    ContentArgs,
    ContentJob,
    DnsArgs,
    GatewayArgs,
    PathRuleArgs,
    ShieldArgs,
    ShieldWayInArgs,
    SiteArgs,
    TlsArgs,
    WayInArgs,
)
from tidegate_stacks.component import Component
from tidegate_stacks.database import BackupArgs, Database, DatabaseArgs, ReadsArgs
from tidegate_stacks.edge import EdgeCache, EdgeCacheArgs, RegionArgs
from tidegate_stacks.live import LiveOrigin, LiveOriginArgs, PublishArgs, Transcoders, TranscodersArgs
from tidegate_stacks.platform import Namespaces, NamespacesArgs, Operator, OperatorArgs, Priorities, PrioritiesArgs
from tidegate_stacks.policy import EventPolicy, EventPolicyArgs, PolicyArgs, TargetArgs, UnitArgs
from tidegate_stacks.pool import DataArgs, DeploymentArgs, GivenArgs, JobsArgs, PoolArgs, TradingArgs, WorkArgs
from tidegate_stacks.sharded import ShardArgs, ShardedDatabase, ShardedDatabaseArgs
from tidegate_stacks.way_in import RtmpArgs, RtmpEntry

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
    args = EdgeCacheArgs(
        namespace=text("shop"), regions=REGIONS, image=text("edge:1"), exporter=text("exporter:1"), monitor=True
    )
    return EdgeCache(name, args, origins=origins)


def edge_in_a_lane(name: str, text: Text) -> Component:
    args = EdgeCacheArgs(namespace=text("shop"), regions=REGIONS, **in_lane(text))
    return EdgeCache(name, args, origins=[text("origin:8080")])


def in_lane(text: Text) -> dict[str, Any]:
    return {"nodes": {"pool": "hangzhou-a"}, "lane": "trading", "policy": PolicyArgs(pool=text("batch-hangzhou-a"))}


SITES = (
    SiteArgs(
        name="cn-east", region="cn-east", city_tiers=(1, 2), normal_mbps=4_000, peak_mbps=90_000, cost_per_gb="0.02"
    ),
    SiteArgs(name="cn-south", normal_mbps=2_000, peak_mbps=40_000, nodes={"site": "cn-south"}, latency_class="metro"),
)


def cdn_args(text: Text, **change: Any) -> CdnArgs:
    given: dict[str, Any] = {
        "namespace": text("shop"),
        "host": "live.example.com",
        "sites": SITES,
        "shield": ShieldArgs(pods=4),
        "rules": (PathRuleArgs(path="/img/", seconds=3600, arguments=("w",)),),
        "image": text("edge:1"),
    }
    return CdnArgs(**{**given, **change})


def cdn(name: str, text: Text) -> Component:
    """As on a bare cluster: Services only."""
    return Cdn(name, cdn_args(text), origins=[text("origin:8080")])


def cdn_by_load_balancers(name: str, text: Text) -> Component:
    """TLS by cert-manager, weights by DNS, metrics, and a site in another cluster."""
    far = SiteArgs(name="far", normal_mbps=100, peak_mbps=9_000, kubeconfig=text("access"), priority=text("serving"))
    args = cdn_args(
        text,
        sites=(*SITES, far),
        shield=ShieldArgs(pods=4, public=ShieldWayInArgs(source_ranges=("203.0.113.0/24",))),
        tls=TlsArgs(issuer=text("letsencrypt")),
        way_in=WayInArgs(kind="load-balancer", dns=DnsArgs()),
        exporter=text("exporter:1"),
        monitor=True,
        priority=text("serving"),
    )
    return Cdn(name, args, origins=[text("origin:8080")])


def cdn_behind_a_gateway(name: str, text: Text) -> Component:
    """One that exists, with its own certificate."""
    way = WayInArgs(kind="gateway", gateway=GatewayArgs(name="public", namespace="gateways", section="https"))
    return Cdn(name, cdn_args(text, way_in=way), origins=[text("origin:8080")])


def cdn_with_gateways(name: str, text: Text) -> Component:
    """One for each site."""
    sites = tuple(
        one.model_copy(update={"addresses": (f"203.0.113.{n}", f"2001:db8::{n}")}) for n, one in enumerate(SITES)
    )
    way = WayInArgs(kind="gateway", gateway_class="envoy", dns=DnsArgs())
    args = cdn_args(text, sites=sites, way_in=way, tls=TlsArgs(secret=text("certificate")))
    return Cdn(name, args, origins=[text("origin:8080")])


def cdn_behind_an_ingress(name: str, text: Text) -> Component:
    way = WayInArgs(
        kind="ingress", ingress_class="nginx", annotations={"nginx.ingress.kubernetes.io/proxy-buffering": "on"}
    )
    args = cdn_args(text, way_in=way, tls=TlsArgs(issuer=text("letsencrypt"), issuer_kind="Issuer"))
    return Cdn(name, args, origins=[text("origin:8080")])


def cdn_in_a_lane(name: str, text: Text) -> Component:
    return Cdn(name, cdn_args(text, **in_lane(text)), origins=[text("origin:8080")])


def purge(name: str, text: Text) -> Component:
    caches = Caches(
        "cdn", "live.example.com", (text("cdn-shield.shop.svc"),), (text("cdn-a-pods.shop.svc"),), 8080, 8082
    )
    args = ContentArgs(action="purge", paths=("/vod/show/index.m3u8",), image=text("curl:8"), priority=text("lent"))
    return ContentJob(name, text("shop"), args, caches=caches)


def rtmp(name: str, text: Text) -> Component:
    args = RtmpArgs(namespace=text("shop"), host="push.example.com", source_ranges=("203.0.113.0/24",))
    return RtmpEntry(name, args, workload="live-origin")


def database(name: str, text: Text) -> Component:
    args = DatabaseArgs(
        namespace=text("shop"),
        data_gib=400,
        normal=3_000,
        peak=90_000,
        image=text("postgres:17"),
        storage_class=text("fast"),
        reads=ReadsArgs(per_replica=20_000, most=6),
        writes_per_second=12_000,
        backup=BackupArgs(object_store=text("backups")),
    )
    return Database(name, args)


def database_by_snapshots(name: str, text: Text) -> Component:
    backup = BackupArgs(snapshot_class=text("snapshots"))
    args = DatabaseArgs(namespace=text("shop"), data_gib=10, normal=10, peak=10, instances=1, backup=backup)
    return Database(name, args)


def database_without_backup(name: str, text: Text) -> Component:
    args = DatabaseArgs(
        namespace=text("shop"),
        data_gib=10,
        normal=10,
        peak=10,
        instances=2,
        backup="none",
        monitor=True,
        priority=text("serving"),
        pooler_image=text("pgbouncer:1.24"),
        operator_namespace=text("cnpg"),
    )
    return Database(name, args)


def database_in_shards(name: str, text: Text) -> Component:
    args = ShardedDatabaseArgs(
        namespace=text("shop"),
        data_gib=900,
        normal=8_000,
        peak=200_000,
        shards=(ShardArgs(name="a", percent=50), ShardArgs(name="b", percent=25), ShardArgs(name="c", percent=25)),
        reads=ReadsArgs(per_replica=20_000, most=6),
        backup=BackupArgs(object_store=text("backups")),
    )
    return ShardedDatabase(name, args)


def cache(name: str, text: Text) -> Component:
    args = CacheArgs(
        namespace=text("shop"), data_gib=12, normal=100_000, peak=2_000_000, image=text("valkey:8"), storage_class=None
    )
    return Cache(name, args)


def live(name: str, text: Text) -> Component:
    args = LiveOriginArgs(
        namespace=text("shop"),
        publish=PublishArgs(keys=text("stream-keys")),
        forward=(text("spare-publish.shop.svc:1935"),),
        normal_mbps=500,
        peak_mbps=20_000,
        image=text("srs:6"),
        monitor=True,
    )
    return LiveOrigin(name, args)


def live_in_a_lane(name: str, text: Text) -> Component:
    hook = PublishArgs(hook=text("http://rooms.shop.svc/publish"))
    args = LiveOriginArgs(namespace=text("shop"), publish=hook, normal_mbps=500, peak_mbps=20_000, **in_lane(text))
    return LiveOrigin(name, args)


def transcoders(name: str, text: Text) -> Component:
    args = TranscodersArgs(
        namespace=text("shop"),
        normal_streams=40,
        peak_streams=600,
        image=text("shop/ffmpeg:7"),
        streams_url=text("http://rooms.shop.svc/live"),
        source=text("live-relay.shop.svc:1935/live"),
        sink=text("live-publish.shop.svc:1935/rungs"),
        key_secret=text("ladder-key"),
    )
    return Transcoders(name, args)


def cache_in_a_lane(name: str, text: Text) -> Component:
    return Cache(name, CacheArgs(namespace=text("shop"), data_gib=12, normal=1, peak=9, **in_lane(text)))


def cache_that_asks(name: str, text: Text) -> Component:
    auth, tls = CacheAuthArgs(secret=text("who"), user="pods"), CacheTlsArgs(secret=text("certificates"))
    metrics = {"exporter": text("redis_exporter:1"), "monitor": True}
    return Cache(name, CacheArgs(namespace=text("shop"), data_gib=12, normal=1, peak=9, auth=auth, tls=tls, **metrics))


def batch_without_a_pool(name: str, text: Text) -> Component:
    return BatchQueues(name, batch_args(text, pool=None))


def batch(name: str, text: Text) -> Component:
    return BatchQueues(name, batch_args(text))


def batch_of_given_capacity(name: str, text: Text) -> Component:
    given = GivenArgs(cpu="700", memory="2Ti")
    pool = PoolArgs(name="all", given=given, trading=TradingArgs(namespaces=("shop",), cap_percent_per_namespace=50))
    return BatchQueues(name, batch_args(text, pool=pool))


WORK = WorkArgs(deadline="06:00", time_zone="Asia/Shanghai", remaining_query="sum(left)")
POOL = PoolArgs(
    name="hangzhou-a",
    trading=TradingArgs(guarantee_percent=30, namespaces=("shop", "live")),
    data=DataArgs(
        guarantee_percent=10,
        jobs=(JobsArgs(name="nightly", namespace="shop", labels={"workload": "nightly"}, work=WORK),),
        deployments=(DeploymentArgs(name="indexer", namespace="search", workload="index-writer"),),
    ),
)


def batch_args(text: Text, *, pool: PoolArgs | None = POOL) -> BatchArgs:
    queues = (
        QueueArgs(name="reports", cpu="400", memory="1Ti", namespaces=("shop",)),
        QueueArgs(name="search", cpu="200", memory="512Gi", namespaces=("shop", "search")),
    )
    workers = (
        WorkersArgs(name="loader", namespace=text("shop"), image=text("l:1"), replicas=20, cpu="2", memory="4Gi"),
        WorkersArgs(
            name="copy",
            namespace=text("shop"),
            image="c:1",
            command=("copy", "-f"),
            replicas=2,
            cpu="500m",
            memory="1Gi",
        ),
    )
    return BatchArgs(cohort="one", nodes={"pool": "hangzhou-a"}, queues=queues, workers=workers, pool=pool)


def policy(name: str, text: Text) -> Component:
    order = TargetArgs(
        name="order-service",
        api_version="apps/v1",
        kind="Deployment",
        capacity={"orders_per_second": 250},
        minimum=4,
        maximum=400,
    )
    pay = TargetArgs(
        name="pay",
        api_version="apps/v1",
        kind="Deployment",
        capacity={"orders_per_second": 100},
        minimum=2,
        maximum=100,
        lane="trading",
        unit=UnitArgs(cpu="2", memory="4Gi"),
    )
    args = EventPolicyArgs(namespace=text("shop"), others=(order, pay))
    return EventPolicy(name, args, [], pool=text("batch-hangzhou-a"))


def namespaces(name: str, _text: Text) -> Component:
    return Namespaces(name, NamespacesArgs(names=("shop", "tidegate-system"), protect=("shop",)))


def priorities(name: str, _text: Text) -> Component:
    return Priorities(name, PrioritiesArgs())


def operator(name: str, text: Text) -> Component:
    return Operator(name, OperatorArgs(chart=text(str(CHART)), namespace=text("shop")))


EACH: dict[str, Make] = {
    "batch": batch,
    "batch-of-given-capacity": batch_of_given_capacity,
    "batch-without-a-pool": batch_without_a_pool,
    "cache": cache,
    "cache-in-a-lane": cache_in_a_lane,
    "cache-that-asks": cache_that_asks,
    "cdn": cdn,
    "cdn-behind-a-gateway": cdn_behind_a_gateway,
    "cdn-behind-an-ingress": cdn_behind_an_ingress,
    "cdn-by-load-balancers": cdn_by_load_balancers,
    "cdn-in-a-lane": cdn_in_a_lane,
    "cdn-with-gateways": cdn_with_gateways,
    "database": database,
    "database-by-snapshots": database_by_snapshots,
    "database-in-shards": database_in_shards,
    "database-without-backup": database_without_backup,
    "edge": edge,
    "edge-in-a-lane": edge_in_a_lane,
    "live": live,
    "live-in-a-lane": live_in_a_lane,
    "namespaces": namespaces,
    "operator": operator,
    "policy": policy,
    "priorities": priorities,
    "purge": purge,
    "rtmp": rtmp,
    "transcoders": transcoders,
}
IN_LANES = ("cache-in-a-lane", "cdn-in-a-lane", "edge-in-a-lane", "live-in-a-lane")
DATABASES = ("database", "database-by-snapshots", "database-in-shards", "database-without-backup")
MOVED = ("cache", "cdn", *DATABASES, "edge", "live", "transcoders", *IN_LANES)
"""Components whose policies move what they make themselves."""


def as_it_is(value: str) -> Any:
    return value


def not_yet_known(_value: str) -> Any:
    return unknown()
