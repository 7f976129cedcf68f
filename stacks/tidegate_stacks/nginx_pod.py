"""The pod that runs a generated nginx.conf: the same for a region's edge, a site and a shield."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from tidegate_stacks import objects, sizing
from tidegate_stacks.checks import Args, Cpu, Image, Memory
from tidegate_stacks.nginx import DRAIN_SECONDS, start_script
from tidegate_stacks.nginx_values import PID, RUNS, Tls
from tidegate_stacks.objects import ANYBODY, CLUSTER, COMPONENT, Obj

HTTP, STATUS, REFRESH, HTTPS, METRICS = 8080, 8081, 8082, 8443, 9113
"""Ports. nginx-prometheus-exporter listens on 9113 unless it is told otherwise."""
CONFIG = "/etc/edge"
CERTIFICATES = "/etc/edge-tls"
CACHE = "/var/cache/edge"
CERTIFICATE = Tls(certificate=f"{CERTIFICATES}/tls.crt", key=f"{CERTIFICATES}/tls.key", port=HTTPS)
"""Where the pod finds a Secret of kind kubernetes.io/tls."""
USER = 101
"""Of the image nginx-unprivileged."""


LEAVES = f"sleep 5; nginx -c {RUNS} -s quit; while [ -e {PID} ]; do sleep 1; done"
"""How a pod goes: it gets nothing new, finishes what it sends, and only then is told to stop. The signal that follows
cuts off whoever is being served, unless the image names another one. nginx itself cuts off who is left after
``DRAIN_SECONDS``."""


IMAGE = "docker.io/nginxinc/nginx-unprivileged:1.29-alpine"


class NginxArgs(Args):
    """One cache pod."""

    image: Image = IMAGE
    exporter: Image | None = None
    """Image of nginx-prometheus-exporter, e.g. docker.io/nginx/nginx-prometheus-exporter:1.4. None: no metrics."""
    cpu: Cpu = "1"
    memory: Memory = "2Gi"
    disk: Memory = "20Gi"
    """Cache of one pod. Not kept: a new pod is warm when the hot segments have passed through it."""
    reserve_disk: bool = True
    """Whether the machine keeps that much free for the pod. False: for a trial on machines that do not tell theirs."""


def config_files(conf: Any) -> dict[str, Any]:
    """What the ConfigMap of the pod holds. ``conf``: text of ``nginx.nginx_conf``; it may be an Output."""
    return {"nginx.conf": conf, "start.sh": start_script()}


def template(
    workload: str,
    component: str,
    args: NginxArgs,
    *,
    config_map: str,
    conf: Any,
    nodes: Mapping[str, str] | None = None,
    priority: Any = None,
    tls_secret: Any = None,
    refresh: bool = False,
) -> Obj:
    """The pod template. ``config_map``: name of the one that holds ``config_files(conf)``. ``tls_secret``: Secret that
    is found at ``CERTIFICATE``. ``refresh``: its nginx.conf listens on port ``REFRESH``.
    """
    volumes: list[Obj] = [
        {"name": "config", "configMap": {"name": config_map}},
        objects.scratch("cache", args.disk),
        objects.scratch("tmp", "64Mi"),
    ]
    if tls_secret is not None:
        volumes.append({"name": "certificate", "secret": {"secretName": tls_secret}})
    return objects.pod(
        workload,
        component,
        containers=[_nginx(args, tls=tls_secret is not None, refresh=refresh), *_exporter(args)],
        volumes=volumes,
        nodes=nodes,
        grace_seconds=DRAIN_SECONDS + 10,
        config=_joined(conf),
        priority=priority,
        user=USER,
    )


def network_policy(
    workload: str,
    namespace: Any,
    component: str,
    args: NginxArgs,
    *,
    public: bool,
    refresh: bool = False,
    ranges: Sequence[str] = (),
) -> Obj:
    """Who may reach the pods. ``public``: anybody, since a load balancer keeps players' addresses; else the cluster.

    ``ranges``: networks that the world is narrowed to.
    """
    served = {"http": HTTP, "https": HTTPS}
    inside = {} if args.exporter is None else {"metrics": METRICS}
    ports: dict[str, Mapping[str, int]] = {ANYBODY: served, CLUSTER: inside} if public else {CLUSTER: served | inside}
    ports[COMPONENT] = {"refresh": REFRESH} if refresh else {}
    opened = {who: those for who, those in ports.items() if those}
    return objects.network_policy(workload, namespace, component, ports=opened, ranges=ranges)


def _joined(conf: Any) -> Any:
    script = start_script()
    return conf.apply(lambda known: f"{known}{script}") if isinstance(conf, pulumi.Output) else f"{conf}{script}"


def _nginx(args: NginxArgs, *, tls: bool, refresh: bool) -> Obj:
    ready = objects.http_probe("status", "/ready")
    ports = {"http": HTTP, "status": STATUS}
    ports |= {"https": HTTPS} if tls else {}
    ports |= {"refresh": REFRESH} if refresh else {}
    mounts = {"config": CONFIG, "cache": CACHE, "tmp": "/tmp"}  # noqa: S108 - a path in the container
    mounts |= {"certificate": CERTIFICATES} if tls else {}
    return objects.container(
        "nginx",
        args.image,
        cpu=args.cpu,
        memory=args.memory,
        disk=_more(args.disk),
        reserved=args.reserve_disk,
        ready=ready,
        alive=objects.alive(ready),
        ports=ports,
        mounts=mounts,
        command=["sh", f"{CONFIG}/start.sh", f"{CONFIG}/nginx.conf"],
        lifecycle={"preStop": {"exec": {"command": ["sh", "-c", LEAVES]}}},
    )


def _exporter(args: NginxArgs) -> list[Obj]:
    """Reads nginx's counts on loopback."""
    if args.exporter is None:
        return []
    probe = objects.http_probe("metrics", "/metrics")
    return [
        objects.container(
            "exporter",
            args.exporter,
            cpu="10m",
            memory="32Mi",
            ready=probe,
            alive=objects.alive(probe),
            ports={"metrics": METRICS},
            args=[f"--nginx.scrape-uri=http://127.0.0.1:{STATUS}/status"],
        )
    ]


def _more(disk: str) -> str:
    """The node counts the cache's volume and what is written beside it: a tenth more, so that a full cache evicts
    objects and not the pod.
    """
    size = sizing.memory_bytes(disk) // sizing.MIB
    return f"{size + max(256, size // 10)}Mi"
