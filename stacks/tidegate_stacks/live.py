"""The live origin: SRS takes the hosts' streams and relays hand them on, with graceful ends.

An origin is stateful: each stream lies on one of them, so their number changes only on purpose. Relays are stateless
and are what the operator moves. SRS cuts its viewers on SIGTERM unless it is told otherwise; both are told otherwise,
and the pods' grace periods match.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Annotated, Any

import pulumi
from pydantic import BeforeValidator, Field, field_validator, model_validator

from tidegate_stacks import naming, objects, sizing
from tidegate_stacks.checks import Args, Cpu, HostPort, Image, Memory, Rate, Signal, Text, Url
from tidegate_stacks.component import Component
from tidegate_stacks.nginx_values import MAX_ORIGINS
from tidegate_stacks.objects import ANYBODY, CLUSTER, COMPONENT, Obj, budget, config_map, deployment, hpa, pod, service
from tidegate_stacks.policy import ScaledArgs, scaling_policy, target
from tidegate_stacks.srs import FINAL_WAIT_MS, NEEDS_FILES, PORTS, START_WAIT_MS, origin_conf, relay_conf
from tidegate_stacks.transcode import RungArgs, Transcoders, TranscodersArgs
from tidegate_stacks.way_in import Network

__all__ = [
    "PORTS",
    "LiveOrigin",
    "LiveOriginArgs",
    "PublishArgs",
    "RungArgs",
    "Transcoders",
    "TranscodersArgs",
    "origin_conf",
    "relay_conf",
]

SPARE_SECONDS = 10
LEAST = 2
KEYS_PORT = 8085
KEYS_FOLDER = "/etc/keys"
START = "srs-start.sh"


class PublishArgs(Args):
    """Who may publish. Exactly one of the three."""

    open: bool = False
    """Everybody who reaches the port may publish under any name. In a stack's configuration: ``publish: open``."""
    hook: Url | None = None
    """URL that SRS asks (``on_publish``): your own service says yes with status 200 and {"code": 0}. Nobody may publish
    while it does not answer."""
    keys: Text | None = None
    """Name of a Secret with a key for each stream: rtmp://HOST/APP/STREAM?key=KEY. Its entries are named APP.STREAM,
    STREAM, or APP._ for all other streams of an app. A small service beside each origin compares them; changes count
    within a minute."""
    keys_image: Image = "docker.io/library/python:3.13-alpine"
    """Image of that service: Python 3.9 or later, nothing else."""

    @model_validator(mode="after")
    def _one(self) -> PublishArgs:
        if [self.open, self.hook is not None, self.keys is not None].count(True) != 1:
            raise ValueError(_WHO)
        return self


_WHO = (
    "say who may publish, in one way: keys (name of a Secret with a key for each stream), hook (URL that is asked),"
    " or the word open, for everybody"
)


def _publish(value: object) -> object:
    if value is None:
        raise ValueError(_WHO)
    return {"open": True} if value == "open" else value


class LiveOriginArgs(ScaledArgs):
    """What is sent in, and what goes out over the relays."""

    namespace: Text
    publish: Annotated[PublishArgs, BeforeValidator(_publish)] = Field(default=None, validate_default=True)
    """Who may publish: ``keys``, ``hook``, or ``open``. It has to be said."""
    source_ranges: tuple[Network, ...] = ()
    """Networks that publishers outside of the cluster come from. Empty: the world. A load balancer in front keeps their
    addresses, as ``way_in.RtmpEntry`` does, or is named here itself. Pods of the cluster always reach the port."""
    origins: int = Field(default=2, ge=1, le=MAX_ORIGINS)
    """Each stream lies on one. Publishers that come in are spread over them. An edge can ask eight."""
    forward: tuple[HostPort, ...] = Field(default=(), max_length=4)
    """Hosts and ports, e.g. another LiveOrigin's ``publish``, that get a copy of each stream as it comes in.

    For streams without an end: origins wait for their publishers when they are drained, and such a publisher never
    leaves. With a copy elsewhere, the edge's ``origins`` name both; when the publisher is cut off here, players go on
    with the copy until the publisher has come back. A copy costs the same again, and never forward in a circle."""
    normal_mbps: Rate
    peak_mbps: Rate
    """What relays send to players of HTTP-FLV and RTMP; HLS goes over the edge cache."""
    relay_mbps: Rate = 2000
    """What one relay sends at its SLO."""
    image: Image = "docker.io/ossrs/srs:6"
    disk: Memory = "4Gi"
    """Segments and logs of one pod: 12 s of each stream, and what has ended within 30 s."""
    monitor: bool = False
    """Whether PodMonitors are made: the cluster serves the kind."""
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


def hook_of(args: LiveOriginArgs) -> Any:
    """URL that origins ask before somebody publishes; None where everybody may."""
    return f"http://127.0.0.1:{KEYS_PORT}/" if args.publish.keys is not None else args.publish.hook


def configs(name: str, args: LiveOriginArgs) -> dict[str, Any]:
    """Files that the pods read at their start. They hold Outputs where the arguments do."""
    hosts = origin_hosts(name, args)

    def text(known: Sequence[Any]) -> str:
        hook, *forward = known
        return origin_conf(hosts, on_publish=hook, forward=forward)

    parts = [hook_of(args), *args.forward]
    known = not any(isinstance(one, pulumi.Output) for one in parts)
    origin = text(parts) if known else pulumi.Output.all(*parts).apply(text)
    made: dict[str, Any] = {"origin.conf": origin, "relay.conf": relay_conf(hosts), START: script(START)}
    if args.publish.keys is not None:
        made["publish-keys.py"] = script("publish-keys.py")
    return made


def _read_by(part: str, name: str, args: LiveOriginArgs) -> Any:
    """Text of all files that pods of a part read at their start."""
    made = configs(name, args)
    conf = made[f"{part}.conf"]
    rest = made[START] + (made.get("publish-keys.py", "") if part == "origin" else "")
    return pulumi.Output.concat(conf, rest) if isinstance(conf, pulumi.Output) else conf + rest


def script(name: str) -> str:
    """A program that the pods run, by its file's name: what starts SRS, and the service that compares stream keys."""
    return (files("tidegate_stacks") / "scripts" / name).read_text(encoding="utf-8")


API_ASKED = (
    f"exec 3<>/dev/tcp/127.0.0.1/{PORTS['api']}"
    " && printf 'GET /api/v1/versions HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"
)
"""Asks the API from inside, since nothing outside may. SRS's image has bash, which opens a connection by itself."""


def _server(args: LiveOriginArgs, part: str, cpu: str, memory: str) -> Obj:
    asked: Obj = {"exec": {"command": ["bash", "-c", API_ASKED]}, "periodSeconds": 5, "timeoutSeconds": 5}
    return objects.container(
        "srs",
        args.image,
        cpu=cpu,
        memory=memory,
        disk=args.disk,
        ready=asked,
        alive=objects.alive(asked),
        ports=PORTS,
        mounts={"config": "/etc/live", "tmp": "/tmp"},  # noqa: S108 - a path in the container, a volume of its own
        command=["bash", f"/etc/live/{START}", f"/etc/live/{part}.conf", str(NEEDS_FILES)],
        workingDir="/usr/local/srs",
    )


def _keys(args: LiveOriginArgs) -> Obj:
    probe = {"httpGet": {"port": KEYS_PORT, "path": "/"}, "periodSeconds": 5}
    return objects.container(
        "keys",
        args.publish.keys_image,
        cpu="20m",
        memory="64Mi",
        ready=probe,
        alive=objects.alive(probe),
        mounts={"config": "/etc/live", "keys": KEYS_FOLDER},
        command=["python3", "/etc/live/publish-keys.py", KEYS_FOLDER, str(KEYS_PORT)],
    )


def _template(name: str, args: LiveOriginArgs, part: str, config: Any) -> Obj:
    origin = part == "origin"
    grace = args.publisher_grace_seconds if origin else args.viewer_grace_seconds
    cpu, memory = (args.origin_cpu, args.origin_memory) if origin else (args.relay_cpu, args.relay_memory)
    keys = origin and args.publish.keys is not None
    volumes: list[Obj] = [
        {"name": "config", "configMap": {"name": naming.child(name, "config")}},
        objects.scratch("tmp", args.disk),
    ]
    if keys:
        volumes.append({"name": "keys", "secret": {"secretName": args.publish.keys}})
    return pod(
        naming.child(name, part),
        name,
        containers=[_server(args, part, cpu, memory), *([_keys(args)] if keys else [])],
        volumes=volumes,
        nodes=None if origin else args.nodes,
        grace_seconds=grace + (START_WAIT_MS + FINAL_WAIT_MS) // 1000 + SPARE_SECONDS,
        config=config,
        priority=args.priority,
    )


def _monitor(workload: str, name: str, args: LiveOriginArgs) -> list[Obj]:
    return [objects.pod_monitor(workload, args.namespace, name, port="metrics")] if args.monitor else []


def _opened(*names: str) -> dict[str, int]:
    return {name: PORTS[name] for name in names}


def origin_objects(name: str, args: LiveOriginArgs) -> list[Obj]:
    """The origins, their names, the Service that publishers send to, and who may reach what.

    SRS's API shows and cuts off every publisher: only origins reach it, which ask each other where a stream lies.
    """
    workload = naming.child(name, "origin")
    pods = naming.selector(workload)
    origins = objects.stateful_set(
        workload,
        args.namespace,
        name,
        replicas=args.origins,
        headless=workload,
        start_seconds=120,  # its image is large (judgement)
        template=_template(name, args, "origin", _read_by("origin", name, args)),
    )
    reach = {ANYBODY: _opened("rtmp"), CLUSTER: _opened("http", "metrics"), COMPONENT: _opened("api")}
    return [
        origins,
        objects.headless(workload, args.namespace, name, pods=pods, ports=PORTS),
        service(naming.child(name, "publish"), args.namespace, name, pods=pods, ports={"rtmp": PORTS["rtmp"]}),
        # A drain that takes an origin cuts its shows: never more than one at a time, and only after its grace.
        budget(origins, unavailable=1, component=name, holds_state=True),
        objects.network_policy(workload, args.namespace, name, ports=reach, ranges=args.source_ranges),
        *_monitor(workload, name, args),
    ]


def relay_objects(name: str, args: LiveOriginArgs) -> list[Obj]:
    """The relays, their autoscaler, and the Service that players ask."""
    workload = naming.child(name, "relay")
    size = relays_of(args)
    template = _template(name, args, "relay", _read_by("relay", name, args))
    relays = deployment(workload, args.namespace, name, template=template)
    ports = _opened("rtmp", "http")
    reach = {ANYBODY: ports, CLUSTER: _opened("metrics")}
    return [
        relays,
        hpa(relays, minimum=size.normal, maximum=size.most, cpu_percent=args.cpu_percent, component=name),
        service(workload, args.namespace, name, pods=naming.selector(workload), ports=ports),
        budget(relays, unavailable="20%", component=name),
        objects.network_policy(workload, args.namespace, name, ports=reach),
        *_monitor(workload, name, args),
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
        self.put(config_map(naming.child(name, "config"), args.namespace, name, configs(name, args)))
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
