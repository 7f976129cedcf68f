"""The edge cache tier: nginx in front of the live origin, one Deployment per region, because regions peak apart.

A level per region is what the operator moves; what a region needs at an instant comes from the audience of an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import pulumi
from pydantic import Field, StringConstraints, field_validator

from tidegate_stacks import naming, nginx_pod, sizing
from tidegate_stacks.checks import (
    Args,
    Cpu,
    Image,
    Memory,
    Part,
    Rate,
    Signal,
    Text,
    refuse_long_signals,
    signal_of_place,
)
from tidegate_stacks.component import Component
from tidegate_stacks.nginx import nginx_conf
from tidegate_stacks.nginx_values import MAX_PATH, OBJECT_ARGUMENTS, Rule, Times
from tidegate_stacks.objects import Obj, budget, config_map, deployment, hpa, pod_monitor, service
from tidegate_stacks.policy import ScaledArgs, scaling_policy, target

__all__ = ["EdgeCache", "EdgeCacheArgs", "KeepArgs", "RegionArgs", "nginx_conf"]

REGION_LABEL = "topology.kubernetes.io/region"
LEAST = 2
"""Pods of a region: one may always be drained."""


Argument = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.~-]+$", max_length=64)]
"""Name of a query argument, as it stands in a URL."""


class RegionArgs(Args):
    """A region and its traffic."""

    name: Part
    """Region, also the value of the nodes' label topology.kubernetes.io/region."""
    normal_mbps: Rate
    """Egress on an ordinary evening."""
    peak_mbps: Rate
    """Most egress that this region is ever to carry: its autoscaler's maximum, and the plan's."""

    @field_validator("peak_mbps")
    @classmethod
    def _order(cls, peak: int, info: Any) -> int:
        if peak < info.data.get("normal_mbps", 0):
            raise ValueError(f"{peak} is below normal_mbps {info.data['normal_mbps']}: raise it or lower normal_mbps")
        return peak


class KeepArgs(Args):
    """How the objects beneath a path are kept."""

    path: str = Field(pattern=r"^/[A-Za-z0-9_.~/-]*$", max_length=MAX_PATH)
    """Prefix, e.g. /img/. The longest that fits counts; playlists beneath it stay playlists."""
    seconds: int = Field(ge=0, le=31_536_000)
    """How long an answer is kept. 0: no longer than a second."""
    arguments: tuple[Argument, ...] | None = Field(default=None, max_length=32)
    """Query arguments that the answers depend on. None: those of the whole edge."""


class EdgeCacheArgs(ScaledArgs):
    """What the edge is to carry."""

    namespace: Text
    regions: tuple[RegionArgs, ...] = Field(min_length=1, max_length=64)
    image: Image = nginx_pod.IMAGE
    exporter: Image | None = None
    """Image of nginx-prometheus-exporter, e.g. docker.io/nginx/nginx-prometheus-exporter:1.4. None: no metrics."""
    monitor: bool = False
    """Whether a PodMonitor is made: the cluster serves the kind. It needs ``exporter``."""
    resolver: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.:\[\]-]+( [A-Za-z0-9.:\[\]-]+)*$", max_length=256)
    """DNS servers by address, e.g. 10.96.0.10. None: the pod's own, which its start script finds in /etc/resolv.conf.
    A server's name would have to be resolved when nginx starts, and by the very server that it names."""
    cluster_domain: str = Field(default="cluster.local", pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=200)
    """What the names of Services end with. nginx asks DNS servers itself and knows no search list."""
    segment_seconds: int = Field(default=Times().segment_seconds, ge=1, le=31_536_000)
    """How long a segment is kept. It never changes under its name."""
    other_seconds: int = Field(default=Times().other_seconds, ge=1, le=31_536_000)
    """How long everything else but playlists is kept. A playlist is kept for a second."""
    read_seconds: int = Field(default=Times().read_seconds, ge=1, le=300)
    """Longest silence of an origin before the next one is asked."""
    arguments: tuple[Argument, ...] = Field(default=OBJECT_ARGUMENTS, max_length=64)
    """Query arguments that answers depend on: part of what an object is kept under, and sent to the origin. All others
    are dropped, session tokens above all, so that nobody gets an answer that was made for another."""
    rules: tuple[KeepArgs, ...] = Field(default=(), max_length=64)
    hosts: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+$", max_length=253)], ...] = ()
    """Host names that are served. None: every one, with objects of its own."""
    pod_mbps: Rate = 2000
    """Egress that one pod carries at its SLO. Measure it; the network card is the usual bound."""
    cpu: Cpu = "1"
    memory: Memory = "2Gi"
    disk: Memory = "20Gi"
    """Cache of one pod. Not kept: a new pod is warm when its region's hot segments have passed through it."""
    reserve_disk: bool = True
    """Whether the machine keeps that much free for the pod. False: for a trial on machines that do not tell theirs."""
    cpu_percent: int = Field(default=60, ge=10, le=90)
    """CPU use that the autoscaler aims at beneath the floor that the operator sets."""
    headroom_percent: int = Field(default=20, ge=0, le=500)
    lead_seconds: int = Field(default=60, ge=0, le=86_400)
    """From asking for a pod to a warm one, until that is measured."""
    signal: Signal = "egress_mbps"
    """Signal that a region carries is this and its name: ``egress_mbps_cn_east``; regions peak apart."""

    @field_validator("monitor")
    @classmethod
    def _exporter(cls, monitor: bool, info: Any) -> bool:
        if monitor and info.data.get("exporter", "") is None:
            raise ValueError("there is nothing to scrape without exporter: give its image, or leave monitor out")
        return monitor

    @field_validator("rules")
    @classmethod
    def _once(cls, rules: tuple[KeepArgs, ...]) -> tuple[KeepArgs, ...]:
        paths = [rule.path for rule in rules]
        if twice := sorted({path for path in paths if paths.count(path) > 1}):
            raise ValueError(f"names {', '.join(twice)} twice: give each path once")
        return rules

    @field_validator("signal")
    @classmethod
    def _short(cls, signal: str, info: Any) -> str:
        refuse_long_signals(signal, (region.name for region in info.data.get("regions", ())))
        return signal

    @field_validator("regions")
    @classmethod
    def _distinct(cls, regions: tuple[RegionArgs, ...]) -> tuple[RegionArgs, ...]:
        names = [region.name for region in regions]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"names {', '.join(twice)} twice: give each region once")
        return regions


def signal_of(args: EdgeCacheArgs, region: RegionArgs) -> str:
    """The signal that a region's share of an audience is announced in."""
    return signal_of_place(args.signal, region.name)


def range_of(args: EdgeCacheArgs, region: RegionArgs) -> sizing.Range:
    """Pods of a region."""
    return sizing.serving_range(
        region.normal_mbps,
        region.peak_mbps,
        per_unit=args.pod_mbps,
        headroom_percent=args.headroom_percent,
        least=LEAST,
    )


def conf_of(args: EdgeCacheArgs, origins: Sequence[str]) -> str:
    """The nginx.conf of an edge. Names of Services are made whole: nginx knows no search list."""
    rules = [Rule(path=one.path, seconds=one.seconds, arguments=one.arguments) for one in args.rules]
    return nginx_conf(
        [whole_name(one, args.cluster_domain) for one in origins],
        disk=args.disk,
        resolver=args.resolver,
        hosts=args.hosts,
        rules=rules,
        arguments=args.arguments,
        times=Times(args.segment_seconds, args.other_seconds, args.read_seconds),
    )


def whole_name(origin: str, domain: str) -> str:
    """``host:port`` with the cluster's domain where the host is a Service's short name, ``….svc``."""
    host, _, port = origin.rpartition(":")
    return f"{host}.{domain}:{port}" if host.endswith(".svc") else origin


def pods_of(args: EdgeCacheArgs) -> nginx_pod.NginxArgs:
    """What a pod is made of."""
    return nginx_pod.NginxArgs(
        image=args.image,
        exporter=args.exporter,
        cpu=args.cpu,
        memory=args.memory,
        disk=args.disk,
        reserve_disk=args.reserve_disk,
    )


def region_objects(name: str, args: EdgeCacheArgs, region: RegionArgs, conf: Any) -> list[Obj]:
    """Deployment, HPA, disruption budget, Service and NetworkPolicy of one region, and its PodMonitor.

    No replicas: the HPA is there from the start.
    """
    workload = naming.child(name, region.name)
    size = range_of(args, region)
    pods = pods_of(args)
    template = nginx_pod.template(
        workload,
        name,
        pods,
        config_map=naming.child(name, "config"),
        conf=conf,
        nodes={**args.nodes, REGION_LABEL: region.name},
        priority=args.priority,
    )
    caches = deployment(workload, args.namespace, name, template=template)
    made = [
        caches,
        hpa(caches, minimum=size.normal, maximum=size.most, cpu_percent=args.cpu_percent, component=name),
        budget(caches, unavailable="20%", component=name),
        service(workload, args.namespace, name, pods=naming.selector(workload), ports={"http": nginx_pod.HTTP}),
        nginx_pod.network_policy(workload, args.namespace, name, pods, public=True),
    ]
    if args.monitor:
        made.append(pod_monitor(workload, args.namespace, name, port="metrics"))
    return made


def targets(name: str, args: EdgeCacheArgs) -> list[Obj]:
    """What the operator may move: each region apart."""
    made = []
    for region in args.regions:
        size = range_of(args, region)
        workload = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": naming.child(name, region.name)},
        }
        signal = signal_of(args, region)
        made.append(
            target(
                workload,
                capacity={signal: args.pod_mbps},
                background={signal: region.normal_mbps},
                minimum=size.normal,
                maximum=size.most,
                stage="edge",
                lead_seconds=args.lead_seconds,
                lane=args.lane,
            )
        )
    return made


class EdgeCache(Component):
    """nginx caches, one group per region."""

    services: pulumi.Output[dict[str, str]]
    """Host by region, within the cluster."""
    targets: list[Obj]
    """For an EventPolicy."""

    def __init__(
        self,
        name: str,
        args: EdgeCacheArgs,
        *,
        origins: Sequence[pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``origins``: hosts and ports that misses are fetched from. A stream lies on one of them; the others answer
        404, and the next is asked.
        """
        super().__init__("tidegate:edge:EdgeCache", name, opts)
        conf = pulumi.Output.all(*origins).apply(lambda known: conf_of(args, known))
        self.put(config_map(naming.child(name, "config"), args.namespace, name, nginx_pod.config_files(conf)))
        for region in args.regions:
            self.put_all(region_objects(name, args, region, conf))
        self.targets = targets(name, args)
        if args.policy:
            self.put(scaling_policy(name, args.namespace, name, args.policy, self.targets))
        hosts = {
            region.name: pulumi.Output.concat(naming.child(name, region.name), ".", args.namespace, ".svc:8080")
            for region in args.regions
        }
        self.finish(services=pulumi.Output.all(**hosts))
