"""Prefetch and purge: a Job that sends a list of objects to every cache of a CDN, within a budget.

A prefetch asks as a player does. A purge asks at the caches' own port for refreshing: nginx then fetches the object
anew and puts the answer in the place of the old one, under the same key, whatever the key is made of. That needs no
module that nginx's free edition lacks, no reload and no access to the files of a pod. Two other ways were weighed. A
version in the cache key drops everything under a prefix at once, but costs a reload of every pod, and the origin the
whole prefix again. Removing the file by the hash of its key needs a shell in every pod, and nginx goes on with what it
has open. To drop all that a site holds, restart its Deployment: its cache is not kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import pulumi
from pydantic import BeforeValidator, Field, field_validator

from tidegate_stacks import naming
from tidegate_stacks.checks import Args, Count, Cpu, Image, Labels, Memory, Text, quoted
from tidegate_stacks.component import Component, once_known
from tidegate_stacks.objects import Obj, checksum, config_map, container, network_policy, obj, pod, scratch

if TYPE_CHECKING:
    from tidegate_stacks import kinds

SCRIPT = "content.sh"
MOST_TEXT = 900_000
"""Bytes of paths in one Job: a ConfigMap holds 1 MiB."""
SPARE_SECONDS = 60
"""From the end of the budget to the end of the Job: requests that are under way, and the sum."""
STUCK_MINUTES = 15
"""A Job whose last answer is older than this is stuck: longer than any single object may take (judgement)."""

_PATH = re.compile(r"/[!-~]*")


def _path(value: object) -> object:
    if isinstance(value, str) and _PATH.fullmatch(value):
        return value
    raise ValueError(f"give a path as players ask for it, percent-encoded, e.g. /vod/show/1.ts, not {quoted(value)}")


Path = Annotated[str, BeforeValidator(_path)]
"""Path and query of an object: ``/vod/show/index.m3u8``."""


class BudgetArgs(Args):
    """What a prefetch or a purge may cost. At its end nothing new is begun."""

    concurrency: int = Field(default=8, ge=1, le=64)
    """Requests at a time, over all caches: what the origin feels."""
    requests: Count = 10_000
    """One for each object and cache pod."""
    mib: Count = 50_000
    """Mebibytes over all requests. At most ``concurrency`` objects come on top."""
    seconds: int = Field(default=1800, ge=1, le=86_400)


class ContentArgs(Args):
    """What is to be sent, and within which budget."""

    action: Literal["prefetch", "purge"]
    """``prefetch`` warms the caches; ``purge`` replaces what they hold by what the origin has now."""
    paths: tuple[Path, ...] = Field(min_length=1, max_length=20_000)
    follow_playlists: bool = True
    """Take along what playlists name, down to two levels: a whole recording by its first playlist."""
    budget: BudgetArgs = BudgetArgs()
    image: Image = "docker.io/curlimages/curl:8.16.0"
    """An image with sh, awk and curl."""
    nodes: Labels = Field(default_factory=dict)
    cpu: Cpu = "100m"
    memory: Memory = "64Mi"
    priority: Text | None = None
    """PriorityClass. None: the cluster's default, below what serves."""

    @field_validator("paths")
    @classmethod
    def _fits(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        if (size := sum(len(path) + 1 for path in paths)) > MOST_TEXT:
            raise ValueError(f"are {size} bytes of paths, a Job takes {MOST_TEXT}: make several, or name playlists")
        return paths


@dataclass(frozen=True, slots=True)
class Caches:
    """Where the caches of a CDN are reached. Hosts whose names may stand for several pods."""

    component: str
    """The CDN's name: its pods let the Job in that is a part of it."""
    host: str
    """The public host name: part of every cache key."""
    shield: Sequence[Any]
    sites: Sequence[Any]
    port: int
    """Of what players ask."""
    refresh_port: int
    """Of what fetches anew."""


def script() -> str:
    """The shell script that the Job runs."""
    return (files("tidegate_stacks") / "scripts" / SCRIPT).read_text(encoding="utf-8")


def environment(args: ContentArgs, caches: Caches) -> dict[str, Any]:
    """What the script is told. A prefetch goes to the sites, which fetch through the shield; a purge needs both."""
    purge = args.action == "purge"
    port = caches.refresh_port if purge else caches.port
    return {
        "ACTION": args.action,
        "HOST": caches.host,
        "URLS": "/etc/content/paths",
        "FIRST": _joined(caches.shield, port) if purge else "",
        "THEN": _joined(caches.sites, port),
        "FOLLOW": "1" if args.follow_playlists else "0",
        "CONCURRENCY": str(args.budget.concurrency),
        "REQUESTS": str(args.budget.requests),
        "BYTES": str(args.budget.mib * 1024 * 1024),
        "SECONDS_BUDGET": str(args.budget.seconds),
    }


def _joined(hosts: Sequence[Any], port: int) -> Any:
    return once_known(hosts, lambda known: " ".join(f"{host}:{port}" for host in known))


def content_files(args: ContentArgs) -> dict[str, str]:
    """Files of the Job: the script and the list."""
    return {SCRIPT: script(), "paths": "\n".join(args.paths) + "\n"}


def called(name: str, args: ContentArgs, caches: Caches) -> str:
    """Name of the Job: a Job's template cannot be changed, so that another list, budget or CDN is another Job."""
    about = f"{args.model_dump_json(exclude={'image', 'priority'})}{caches.host}"
    return naming.child(name, checksum(about)[:8])


def job_objects(name: str, namespace: Any, args: ContentArgs, caches: Caches) -> list[Obj]:
    """The Job, its files, and the policy that keeps everybody out of its pod."""
    workload = called(name, args, caches)
    given = content_files(args)
    beat = f'[ -n "$(find /tmp/beat -mmin -{STUCK_MINUTES})" ]'
    send = container(
        "send",
        args.image,
        cpu=args.cpu,
        memory=args.memory,
        disk="256Mi",
        ready={"exec": {"command": ["sh", "-c", "[ -e /tmp/beat ]"]}, "periodSeconds": 5},
        alive={"exec": {"command": ["sh", "-c", beat]}, "periodSeconds": 60, "failureThreshold": 3},
        mounts={"config": "/etc/content", "tmp": "/tmp"},  # noqa: S108 - a volume of its own
        command=["sh", f"/etc/content/{SCRIPT}"],
        env=[{"name": key, "value": value} for key, value in environment(args, caches).items()],
    )
    template = pod(
        workload,
        caches.component,
        containers=[send],
        volumes=[
            {"name": "config", "configMap": {"name": workload}},
            scratch("tmp", "128Mi"),
        ],
        nodes=args.nodes,
        config=given,
        priority=args.priority,
    )
    template["spec"]["restartPolicy"] = "Never"
    spec: kinds.JobSpec = {
        "backoffLimit": 0,
        "activeDeadlineSeconds": args.budget.seconds + SPARE_SECONDS,
        "template": cast("kinds.PodTemplateSpec", template),
    }
    job = obj("batch/v1", "Job", workload, namespace, name, spec=spec)
    # An update does not wait for it: a prefetch may take as long as its budget.
    job["metadata"]["annotations"] = {"pulumi.com/skipAwait": "true"}
    return [config_map(workload, namespace, name, given), network_policy(workload, namespace, name, ports={}), job]


class ContentJob(Component):
    """One prefetch or one purge. It runs when it is made; another list makes another Job in its place."""

    job: pulumi.Output[str]
    """Name of the Job: its log has one line for each object that failed, and a sum."""

    def __init__(
        self,
        name: str,
        namespace: pulumi.Input[str],
        args: ContentArgs,
        *,
        caches: Caches,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``caches``: ``Cdn.caches``. Everything is rendered from ``args`` by the functions above."""
        super().__init__("tidegate:cdn:ContentJob", name, opts)
        self.put_all(job_objects(name, namespace, args, caches))
        self.finish(job=called(name, args, caches))
