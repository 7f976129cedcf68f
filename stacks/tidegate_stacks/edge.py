"""The edge cache tier: nginx in front of the live origin, one Deployment per region, because regions peak apart.

A level per region is what the operator moves; what a region needs at an instant comes from the audience of an event.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pulumi
from pydantic import Field, field_validator

from tidegate_stacks import naming, sizing
from tidegate_stacks.checks import Args, Cpu, Memory, Part, Rate, Signal, Text
from tidegate_stacks.component import Component
from tidegate_stacks.nginx import DRAIN_SECONDS, nginx_conf
from tidegate_stacks.objects import Obj, budget, config_map, hpa, http_probe, obj, pod, resources, service
from tidegate_stacks.policy import ScaledArgs, scaling_policy, target

REGION_LABEL = "topology.kubernetes.io/region"
LEAST = 2
"""Pods of a region: one may always be drained."""


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


class EdgeCacheArgs(ScaledArgs):
    """What the edge is to carry."""

    namespace: Text
    regions: tuple[RegionArgs, ...] = Field(min_length=1, max_length=64)
    image: Text = "docker.io/nginxinc/nginx-unprivileged:1.29-alpine"
    pod_mbps: Rate = 2000
    """Egress that one pod carries at its SLO. Measure it; the network card is the usual bound."""
    cpu: Cpu = "1"
    memory: Memory = "2Gi"
    disk: Memory = "20Gi"
    """Cache of one pod. Not kept: a new pod is warm when its region's hot segments have passed through it."""
    cpu_percent: int = Field(default=60, ge=10, le=90)
    """CPU use that the autoscaler aims at beneath the floor that the operator sets."""
    headroom_percent: int = Field(default=20, ge=0, le=500)
    lead_seconds: int = Field(default=60, ge=0, le=86_400)
    """From asking for a pod to a warm one, until that is measured."""
    signal: Signal = "egress_mbps"
    """Signal that a region carries is this and its name: ``egress_mbps_cn_east``; regions peak apart."""

    @field_validator("regions")
    @classmethod
    def _distinct(cls, regions: tuple[RegionArgs, ...]) -> tuple[RegionArgs, ...]:
        names = [region.name for region in regions]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"names {', '.join(twice)} twice: give each region once")
        return regions


def signal_of(args: EdgeCacheArgs, region: RegionArgs) -> str:
    """The signal that a region's share of an audience is announced in."""
    return f"{args.signal}_{region.name.replace('-', '_')}"


def range_of(args: EdgeCacheArgs, region: RegionArgs) -> sizing.Range:
    """Pods of a region."""
    return sizing.serving_range(
        region.normal_mbps,
        region.peak_mbps,
        per_unit=args.pod_mbps,
        headroom_percent=args.headroom_percent,
        least=LEAST,
    )


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def region_objects(name: str, args: EdgeCacheArgs, region: RegionArgs, checksum: Any) -> list[Obj]:
    """Deployment, HPA, disruption budget and Service of one region. No replicas: the HPA is there from the start."""
    workload = naming.child(name, region.name)
    size = range_of(args, region)
    container = {
        "name": "nginx",
        "image": args.image,
        "command": ["nginx", "-g", "daemon off;", "-c", "/etc/edge/nginx.conf"],
        "ports": [{"name": "http", "containerPort": 8080}, {"name": "status", "containerPort": 8081}],
        "readinessProbe": http_probe("status", "/ready"),
        "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "sleep 5; nginx -c /etc/edge/nginx.conf -s quit"]}}},
        "resources": resources(args.cpu, args.memory),
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/edge", "readOnly": True},
            {"name": "cache", "mountPath": "/var/cache/edge"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path in the container, a volume of its own
        ],
    }
    volumes: list[Obj] = [
        {"name": "config", "configMap": {"name": naming.child(name, "config")}},
        {"name": "cache", "emptyDir": {"sizeLimit": args.disk}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
    ]
    template = pod(
        workload,
        name,
        containers=[container],
        volumes=volumes,
        nodes={**args.nodes, REGION_LABEL: region.name},
        grace_seconds=DRAIN_SECONDS + 10,
        user=101,
        annotations={"tidegate.dev/config": checksum},
    )
    spec = {
        "selector": {"matchLabels": naming.selector(workload)},
        "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
        "template": template,
    }
    deployment = obj("apps/v1", "Deployment", workload, args.namespace, name, spec=spec)
    return [
        deployment,
        hpa(deployment, minimum=size.normal, maximum=size.most, cpu_percent=args.cpu_percent, component=name),
        budget(deployment, unavailable="20%", component=name),
        service(workload, args.namespace, name, pods=naming.selector(workload), ports={"http": 8080}),
    ]


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
        config = pulumi.Output.all(*origins).apply(lambda known: nginx_conf(known, disk=args.disk))
        self.put(config_map(naming.child(name, "config"), args.namespace, name, {"nginx.conf": config}))
        for region in args.regions:
            self.put_all(region_objects(name, args, region, config.apply(_checksum)))
        self.targets = targets(name, args)
        if args.policy:
            self.put(scaling_policy(name, args.namespace, name, args.policy, self.targets))
        hosts = {
            region.name: pulumi.Output.concat(naming.child(name, region.name), ".", args.namespace, ".svc:8080")
            for region in args.regions
        }
        self.finish(services=pulumi.Output.all(**hosts))
