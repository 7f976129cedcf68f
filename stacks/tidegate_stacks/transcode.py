"""Transcoders: ffmpeg workers that turn each live stream into a ladder of sizes.

A worker fetches a stream once, decodes it once, encodes every rung and sends each back to an origin as STREAM_RUNG.
Workers share the streams among themselves without a coordinator: all compute the same assignment from the same two
lists, the live streams and the workers' addresses. How many there are is what the operator moves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import pulumi
from pydantic import Field, field_validator, model_validator

from tidegate_stacks import naming, objects, sizing
from tidegate_stacks.checks import Args, Cpu, Image, Memory, Part, Rate, Signal, Text
from tidegate_stacks.component import Component
from tidegate_stacks.objects import Obj, budget, config_map, deployment, headless, hpa, pod
from tidegate_stacks.policy import ScaledArgs, scaling_policy, target

PRESET = "veryfast"
MILLIS_PER_MEGAPIXEL_SECOND = 24
DECODE_MILLIS_PER_MEGAPIXEL_SECOND = 3
"""CPU of an encoder and of the decoder, in thousandths of a core for each megapixel of picture a second.

Measured by bench/ladder.py on two cores of an Intel Xeon (a virtual machine, model not told) with ffmpeg 5.1 and x264:
720, 480 and 360 lines from 720 at 30 frames a second took 1.01 cores together. That is 18 to 24 for a rung (small ones
cost more) and 2.4 for decoding; the upper ends, rounded up, stand here. Measure on your machines.
"""
USE_PERCENT = 80
"""Share of a pod's CPU that its streams may need by measurement: scenes differ (judgement)."""
SEGMENT_SECONDS = 2
"""Key frames of all rungs fall together, at the start of each HLS segment, so that players change rungs there."""
LEAST = 2
HERE, RUN = "/etc/transcode", "/tmp/run"  # noqa: S108 - paths in the container, volumes of their own
ALIVE_SECONDS = 60


class RungArgs(Args):
    """One size of the ladder."""

    name: Part
    """What is appended to the stream's name, after an underscore."""
    height: int = Field(ge=96, le=4320, multiple_of=2)
    """Lines of the picture. Its width follows from the source."""
    video_kbps: int = Field(ge=50, le=100_000)
    audio_kbps: int = Field(default=96, ge=16, le=512)


LADDER = (
    RungArgs(name="p720", height=720, video_kbps=2500, audio_kbps=128),
    RungArgs(name="p480", height=480, video_kbps=1200),
    RungArgs(name="p360", height=360, video_kbps=700),
)


class TranscodersArgs(ScaledArgs):
    """Streams, their ladder, and the workers that make it."""

    namespace: Text
    normal_streams: Rate
    """Live streams at a time on an ordinary evening."""
    peak_streams: Rate
    image: Image
    """Yours: ffmpeg with libx264, and a shell with awk, sed, getent, grep and date, e.g. Debian with its ffmpeg."""
    streams_url: Text
    """URL that answers with the names of the live streams, one a line. Your application knows them from its hook."""
    source: Text
    """Host, port and app that a stream is fetched from: live-relay.shop.svc:1935/live."""
    sink: Text
    """Host, port and app that rungs are sent to: live-publish.shop.svc:1935/rungs."""
    key_secret: Text | None = None
    """Secret whose entry ``key`` is sent as ``?key=`` where publishing asks for keys. With ``publish.keys`` of a
    LiveOrigin, an entry APP._ of its Secret holds the key for all streams of an app."""
    rungs: tuple[RungArgs, ...] = Field(default=LADDER, min_length=1, max_length=8)
    source_height: int = Field(default=1080, ge=96, le=4320)
    """Lines of the pictures that come in, at most: decoding costs too."""
    frames_per_second: int = Field(default=30, ge=1, le=240)
    cpu: Cpu = "8"
    """CPU of one worker; how many streams it takes follows from the ladder."""
    memory: Memory = "4Gi"
    lead_seconds: int = Field(default=60, ge=0, le=86_400)
    signal: Signal = "live_streams"

    @field_validator("peak_streams")
    @classmethod
    def _order(cls, peak: int, info: Any) -> int:
        if peak < info.data.get("normal_streams", 0):
            raise ValueError(f"{peak} is below normal_streams {info.data['normal_streams']}: raise it or lower that")
        return peak

    @field_validator("rungs")
    @classmethod
    def _distinct(cls, rungs: tuple[RungArgs, ...]) -> tuple[RungArgs, ...]:
        names = [rung.name for rung in rungs]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"names {', '.join(twice)} twice: each rung is a stream of its own name")
        return rungs

    @model_validator(mode="after")
    def _one_fits(self) -> TranscodersArgs:
        if streams_per_pod(self) < 1:
            needs = ladder_millis(self.rungs, self.source_height, self.frames_per_second)
            enough = f"{math.ceil(needs * 100 / USE_PERCENT)}m"
            raise ValueError(
                f"cpu {self.cpu} is too little for the ladder of one stream: give {enough}, or fewer rungs"
            )
        return self


def megapixels(height: int, frames_per_second: int) -> float:
    """Megapixels a second of a 16:9 picture."""
    return height * height * 16 / 9 * frames_per_second / 1e6


def rung_millis(rung: RungArgs, frames_per_second: int) -> float:
    """Thousandths of a core that one rung's encoder takes."""
    return megapixels(rung.height, frames_per_second) * MILLIS_PER_MEGAPIXEL_SECOND


def ladder_millis(rungs: Sequence[RungArgs], source_height: int, frames_per_second: int) -> int:
    """Thousandths of a core for one stream: its decoder, and every rung."""
    decode = megapixels(source_height, frames_per_second) * DECODE_MILLIS_PER_MEGAPIXEL_SECOND
    return math.ceil(decode + sum(rung_millis(rung, frames_per_second) for rung in rungs))


def streams_per_pod(args: TranscodersArgs) -> int:
    """How many streams one worker takes."""
    needs = ladder_millis(args.rungs, args.source_height, args.frames_per_second)
    return sizing.cpu_millis(args.cpu) * USE_PERCENT // 100 // needs


def range_of(args: TranscodersArgs) -> sizing.Range:
    """Workers on an ordinary day, and at most."""
    return sizing.serving_range(
        args.normal_streams, args.peak_streams, per_unit=streams_per_pod(args), headroom_percent=0, least=LEAST
    )


def ladder_arguments(rungs: Sequence[RungArgs], *, outputs: Sequence[Sequence[str]]) -> list[str]:
    """What ffmpeg does between its input and its outputs. ``outputs``: format and place for each rung."""
    many = len(rungs)
    parts = [f"[0:v]split={many}{''.join(f'[in{at}]' for at in range(many))}"]
    parts += [f"[in{at}]scale=-2:{rung.height}[out{at}]" for at, rung in enumerate(rungs)]
    made = ["-filter_complex", ";".join(parts)]
    for at, (rung, output) in enumerate(zip(rungs, outputs, strict=True)):
        rate = rung.video_kbps
        made += ["-map", f"[out{at}]", "-map", "0:a?", "-c:v", "libx264", "-preset", PRESET, "-pix_fmt", "yuv420p"]
        made += ["-b:v", f"{rate}k", "-maxrate", f"{rate * 107 // 100}k", "-bufsize", f"{rate * 3 // 2}k"]
        made += ["-force_key_frames", f"expr:gte(t,n_forced*{SEGMENT_SECONDS})", "-sc_threshold", "0"]
        made += ["-c:a", "aac", "-b:a", f"{rung.audio_kbps}k", *output]
    return made


def ladder_script(rungs: Sequence[RungArgs]) -> str:
    """Shell: transcodes the stream of its first argument. SOURCE and SINK are host:port/app; KEY may be empty."""
    outputs = [["-f", "flv", f'"rtmp://$SINK/$1_{rung.name}$query"'] for rung in rungs]
    quoted = [one if one.startswith('"') else f"'{one}'" for one in ladder_arguments(rungs, outputs=outputs)]
    return (
        "query=${KEY:+?key=$KEY}\n"
        'exec ffmpeg -nostdin -v error -rw_timeout 10000000 -i "rtmp://$SOURCE/$1" ' + " ".join(quoted) + "\n"
    )


def scripts(args: TranscodersArgs) -> dict[str, str]:
    """Files that the workers run."""
    folder = files("tidegate_stacks") / "scripts"
    fixed = {name: (folder / name).read_text(encoding="utf-8") for name in ("transcode.sh", "assign.awk")}
    return {**fixed, "ladder.sh": ladder_script(args.rungs)}


def _worker(name: str, args: TranscodersArgs) -> Obj:
    moves = f"test $(($(date +%s) - $(cat {RUN}/alive))) -lt {ALIVE_SECONDS}"
    asked: Obj = {"exec": {"command": ["sh", "-c", moves]}, "periodSeconds": 10}
    known = not isinstance(args.namespace, pulumi.Output)
    plain = {
        "WORKERS": f"{name}.{args.namespace}.svc" if known else pulumi.Output.concat(name, ".", args.namespace, ".svc"),
        "STREAMS_URL": args.streams_url,
        "SOURCE": args.source,
        "SINK": args.sink,
        "MOST": str(streams_per_pod(args)),
        "HERE": HERE,
        "RUN": RUN,
    }
    env: list[Obj] = [{"name": key, "value": value} for key, value in plain.items()]
    env.append({"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}})
    if args.key_secret is not None:
        env.append({"name": "KEY", "valueFrom": {"secretKeyRef": {"name": args.key_secret, "key": "key"}}})
    return objects.container(
        "ffmpeg",
        args.image,
        cpu=args.cpu,
        memory=args.memory,
        ready=asked,
        alive=objects.alive(asked),
        mounts={"config": HERE, "tmp": "/tmp"},  # noqa: S108 - a path in the container, a volume of its own
        command=["sh", f"{HERE}/transcode.sh"],
        env=env,
    )


def worker_objects(name: str, args: TranscodersArgs) -> list[Obj]:
    """The workers, the name that they find each other by, their autoscaler, and that nobody reaches them."""
    pods = naming.selector(name)
    size = range_of(args)
    template = pod(
        name,
        name,
        containers=[_worker(name, args)],
        volumes=[
            {"name": "config", "configMap": {"name": naming.child(name, "config")}},
            objects.scratch("tmp", "64Mi"),
        ],
        nodes=args.nodes,
        config="".join(scripts(args).values()),
        priority=args.priority,
    )
    workers = deployment(name, args.namespace, name, template=template)
    found = headless(name, args.namespace, name, pods=pods, ports={})
    # Only workers that are ready count: one that starts has taken nothing yet.
    found["spec"]["publishNotReadyAddresses"] = False
    return [
        workers,
        found,
        hpa(workers, minimum=size.normal, maximum=size.most, cpu_percent=90, component=name),
        budget(workers, unavailable="20%", component=name),
        objects.network_policy(name, args.namespace, name, ports={}),
    ]


def targets(name: str, args: TranscodersArgs) -> list[Obj]:
    """What the operator may move. Its level follows from the streams that are announced."""
    size = range_of(args)
    workload = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}}
    return [
        target(
            workload,
            capacity={args.signal: streams_per_pod(args)},
            background={args.signal: args.normal_streams},
            minimum=size.normal,
            maximum=size.most,
            stage="app",
            lead_seconds=args.lead_seconds,
            lane=args.lane,
        )
    ]


class Transcoders(Component):
    """ffmpeg workers."""

    rungs: pulumi.Output[list[str]]
    """What is appended to a stream's name: its ladder."""
    targets: list[Obj]
    """For an EventPolicy."""

    def __init__(self, name: str, args: TranscodersArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Everything is rendered from ``args`` by the functions above."""
        super().__init__("tidegate:live:Transcoders", name, opts)
        self.put(config_map(naming.child(name, "config"), args.namespace, name, scripts(args)))
        self.put_all(worker_objects(name, args))
        self.targets = targets(name, args)
        if args.policy:
            self.put(scaling_policy(name, args.namespace, name, args.policy, self.targets))
        self.finish(rungs=[f"_{rung.name}" for rung in args.rungs])
