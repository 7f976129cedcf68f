"""The live origin: SRS takes the hosts' streams and relays hand them on, with graceful ends.

An origin is stateful: each stream lies on one of them, so their number changes only on purpose. Relays are stateless
and are what the operator moves. SRS cuts its viewers on SIGTERM unless it is told otherwise; both are told otherwise,
and the pods' grace periods match.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pulumi
from pydantic import Field, field_validator

from tidegate_stacks import naming, sizing
from tidegate_stacks.checks import Cpu, Memory, Rate, Signal, Text
from tidegate_stacks.component import Component
from tidegate_stacks.objects import (
    Obj,
    budget,
    config_map,
    headless,
    hpa,
    http_probe,
    obj,
    pod,
    resources,
    service,
    stateful_set,
)
from tidegate_stacks.policy import ScaledArgs, scaling_policy, target

PORTS = {"rtmp": 1935, "api": 1985, "http": 8080, "metrics": 9972}
START_WAIT_MS = 5000
"""Between the signal and the closing of the listeners: endpoints have forgotten the pod by then."""
FINAL_WAIT_MS = 3000
SPARE_SECONDS = 10
LEAST = 2


class LiveOriginArgs(ScaledArgs):
    """What is sent in, and what goes out over the relays."""

    namespace: Text
    origins: int = Field(default=2, ge=1, le=32)
    """Each stream lies on one. Publishers that come in are spread over them."""
    normal_mbps: Rate
    peak_mbps: Rate
    """What relays send to players of HTTP-FLV and RTMP; HLS goes over the edge cache."""
    relay_mbps: Rate = 2000
    """What one relay sends at its SLO."""
    image: Text = "docker.io/ossrs/srs:6"
    origin_cpu: Cpu = "4"
    origin_memory: Memory = "4Gi"
    relay_cpu: Cpu = "2"
    relay_memory: Memory = "2Gi"
    cpu_percent: int = Field(default=60, ge=10, le=90)
    publisher_grace_seconds: int = Field(default=3600, ge=30, le=43_200)
    """How long an origin that must go waits for its publishers to end."""
    viewer_grace_seconds: int = Field(default=120, ge=30, le=3600)
    """How long a relay that must go waits for its viewers to leave."""
    lead_seconds: int = Field(default=45, ge=0, le=86_400)
    signal: Signal = "relay_mbps"

    @field_validator("peak_mbps")
    @classmethod
    def _order(cls, peak: int, info: Any) -> int:
        if peak < info.data.get("normal_mbps", 0):
            raise ValueError(f"{peak} is below normal_mbps {info.data['normal_mbps']}: raise it or lower normal_mbps")
        return peak


def relays_of(args: LiveOriginArgs) -> sizing.Range:
    """Relays on an ordinary day and at most."""
    return sizing.serving_range(
        args.normal_mbps, args.peak_mbps, per_unit=args.relay_mbps, headroom_percent=20, least=LEAST
    )


def origin_hosts(name: str, args: LiveOriginArgs) -> list[str]:
    """Hosts of the origins, short: within their namespace."""
    origin = naming.child(name, "origin")
    return [f"{origin}-{number}.{origin}" for number in range(args.origins)]


def srs_conf(cluster: str) -> str:
    """SRS, with a graceful end; ``cluster`` is its place in the chain."""
    return f"""\
listen {PORTS["rtmp"]};
max_connections 10000;
daemon off;
pid /tmp/srs.pid;
srs_log_tank console;
ff_log_dir /tmp;
force_grace_quit on;
grace_start_wait {START_WAIT_MS};
grace_final_wait {FINAL_WAIT_MS};
http_api {{ enabled on; listen {PORTS["api"]}; }}
http_server {{ enabled on; listen {PORTS["http"]}; dir /tmp/html; }}
exporter {{ enabled on; listen {PORTS["metrics"]}; }}
vhost __defaultVhost__ {{
  tcp_nodelay on;
  min_latency on;
  cluster {{ {cluster} }}
  http_remux {{ enabled on; mount [vhost]/[app]/[stream].flv; }}
}}
"""


def origin_conf(hosts: Sequence[str]) -> str:
    """An origin that knows the others, and writes HLS for the edge cache: segments of 2 s, a playlist of 12 s."""
    coworkers = " ".join(f"{host}:{PORTS['api']}" for host in hosts)
    together = f"mode local; origin_cluster on; coworkers {coworkers};" if len(hosts) > 1 else "mode local;"
    hls = "  hls { enabled on; hls_path /tmp/html; hls_fragment 2; hls_window 12; }\n}\n"
    return srs_conf(together).removesuffix("}\n") + hls


def relay_conf(hosts: Sequence[str]) -> str:
    """A relay: takes a stream from the origin that has it, once for all of its viewers."""
    origins = " ".join(f"{host}:{PORTS['rtmp']}" for host in hosts)
    return srs_conf(f"mode remote; origin {origins};")


def _server(args: LiveOriginArgs, part: str, cpu: str, memory: str) -> Obj:
    return {
        "name": "srs",
        "image": args.image,
        "command": ["./objs/srs", "-c", f"/etc/live/{part}.conf"],
        "workingDir": "/usr/local/srs",
        "ports": [{"name": port, "containerPort": number} for port, number in PORTS.items()],
        "readinessProbe": http_probe("api", "/api/v1/versions"),
        "resources": resources(cpu, memory),
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/live", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path in the container, a volume of its own
        ],
    }


def _template(name: str, args: LiveOriginArgs, part: str, config: str) -> Obj:
    origin = part == "origin"
    grace = args.publisher_grace_seconds if origin else args.viewer_grace_seconds
    cpu, memory = (args.origin_cpu, args.origin_memory) if origin else (args.relay_cpu, args.relay_memory)
    return pod(
        naming.child(name, part),
        name,
        containers=[_server(args, part, cpu, memory)],
        volumes=[
            {"name": "config", "configMap": {"name": naming.child(name, "config")}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "4Gi"}},
        ],
        nodes=None if origin else args.nodes,
        grace_seconds=grace + (START_WAIT_MS + FINAL_WAIT_MS) // 1000 + SPARE_SECONDS,
        annotations={"tidegate.dev/config": hashlib.sha256(config.encode()).hexdigest()[:16]},
    )


def origin_objects(name: str, args: LiveOriginArgs) -> list[Obj]:
    """The origins, their names, and the Service that publishers send to."""
    workload = naming.child(name, "origin")
    pods = naming.selector(workload)
    config = origin_conf(origin_hosts(name, args))
    origins = stateful_set(
        workload,
        args.namespace,
        name,
        replicas=args.origins,
        headless=workload,
        template=_template(name, args, "origin", config),
    )
    return [
        origins,
        headless(workload, args.namespace, name, pods=pods, ports=PORTS),
        service(naming.child(name, "publish"), args.namespace, name, pods=pods, ports={"rtmp": PORTS["rtmp"]}),
        # A drain that takes an origin cuts its shows: never more than one at a time, and only after its grace.
        budget(origins, unavailable=1, component=name),
    ]


def relay_objects(name: str, args: LiveOriginArgs) -> list[Obj]:
    """The relays, their autoscaler, and the Service that players ask."""
    workload = naming.child(name, "relay")
    size = relays_of(args)
    spec = {
        "selector": {"matchLabels": naming.selector(workload)},
        "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
        "template": _template(name, args, "relay", relay_conf(origin_hosts(name, args))),
    }
    relays = obj("apps/v1", "Deployment", workload, args.namespace, name, spec=spec)
    ports = {"rtmp": PORTS["rtmp"], "http": PORTS["http"]}
    return [
        relays,
        hpa(relays, minimum=size.normal, maximum=size.most, cpu_percent=args.cpu_percent, component=name),
        service(workload, args.namespace, name, pods=naming.selector(workload), ports=ports),
        budget(relays, unavailable="20%", component=name),
    ]


def targets(name: str, args: LiveOriginArgs) -> list[Obj]:
    """What the operator may move: the relays."""
    size = relays_of(args)
    workload = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": naming.child(name, "relay")}}
    return [
        target(
            workload,
            capacity={args.signal: args.relay_mbps},
            background={args.signal: args.normal_mbps},
            minimum=size.normal,
            maximum=size.most,
            stage="app",
            lead_seconds=args.lead_seconds,
            lane=args.lane,
        )
    ]


class LiveOrigin(Component):
    """SRS origins and relays."""

    publish: pulumi.Output[str]
    """Host and port that hosts send RTMP to."""
    play: pulumi.Output[str]
    """Host and port that players fetch HTTP-FLV from."""
    segments: pulumi.Output[list[str]]
    """Hosts and ports of HLS, one per origin."""
    segment_hosts: tuple[pulumi.Output[str], ...]
    """The same one by one, as many as there are origins even while their namespace is unknown: an edge cache's
    ``origins``."""
    targets: list[Obj]
    """For an EventPolicy."""

    def __init__(self, name: str, args: LiveOriginArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Everything is rendered from ``args`` by the functions above."""
        super().__init__("tidegate:live:LiveOrigin", name, opts)
        hosts = origin_hosts(name, args)
        files = {"origin.conf": origin_conf(hosts), "relay.conf": relay_conf(hosts)}
        self.put(config_map(naming.child(name, "config"), args.namespace, name, files))
        origins, *rest = origin_objects(name, args)
        self.put(origins, fixed=True)
        self.put_all([*rest, *relay_objects(name, args)])
        self.targets = targets(name, args)
        if args.policy:
            self.put(scaling_policy(name, args.namespace, name, args.policy, self.targets))
        self.segment_hosts = tuple(
            pulumi.Output.concat(host, ".", args.namespace, f".svc:{PORTS['http']}") for host in hosts
        )
        self.finish(
            publish=pulumi.Output.concat(naming.child(name, "publish"), ".", args.namespace, f".svc:{PORTS['rtmp']}"),
            play=pulumi.Output.concat(naming.child(name, "relay"), ".", args.namespace, f".svc:{PORTS['http']}"),
            segments=pulumi.Output.all(*self.segment_hosts),
        )
