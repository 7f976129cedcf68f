"""A cache pod of a CDN: nginx with a generated configuration, for a site or for the shield.

Pure. ``cdn_site`` and ``cdn_shield`` put a workload around the template.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pulumi

from tidegate_stacks.cdn_args import CdnArgs
from tidegate_stacks.nginx import DRAIN_SECONDS, OriginTls, Rule, Tls, nginx_conf
from tidegate_stacks.objects import (
    ANYBODY,
    CLUSTER,
    NAMESPACE,
    Obj,
    alive,
    config_map,
    container,
    http_probe,
    network_policy,
    pod,
)
from tidegate_stacks.way_in import secret_name

HTTP, STATUS, REFRESH, HTTPS = 8080, 8081, 8082, 8443
"""Ports of a pod: players or sites; probes; purges; players whose TLS ends here."""
TLS_FOLDER = "/etc/edge-tls"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
"""Public certificate authorities, in images of Alpine and of Debian."""
START = "nginx-start.sh"
USER = 101
"""The user of nginx's unprivileged images."""
TIER_LABEL = "tidegate.dev/tier"
"""``site`` or ``shield``: one Service stands in front of all the sites' pods by it."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What one cache pod takes, and where it runs."""

    cpu: str
    memory: str
    disk: str
    nodes: dict[str, str]
    priority: Any
    """Name of a PriorityClass of its cluster."""


def rules_of(args: CdnArgs) -> list[Rule]:
    """Cache rules as the generator takes them."""
    return [Rule(rule.path, rule.seconds, rule.arguments) for rule in args.rules]


def configuration(
    args: CdnArgs,
    origins: Sequence[pulumi.Input[str]] | pulumi.Output[Any],
    *,
    disk: str,
    tls: bool,
    spread: bool,
    by_name: str | None = None,
) -> Any:
    """Text of nginx.conf, once all origins are known.

    ``origins``: ``host:port`` each. ``spread``: each object has one home among them. ``by_name``: they are asked over
    TLS, and their certificate bears this name.
    """

    def render(known: Sequence[str]) -> str:
        return nginx_conf(
            known,
            disk=disk,
            tls=Tls(f"{TLS_FOLDER}/tls.crt", f"{TLS_FOLDER}/tls.key", HTTPS) if tls else None,
            origin_tls=OriginTls(by_name, AUTHORITIES) if by_name else None,
            hosts=(args.host,),
            rules=rules_of(args),
            arguments=args.arguments,
            spread=spread,
            refresh_port=REFRESH,
        )

    return _of(origins, render)


def _of(values: Sequence[pulumi.Input[str]] | pulumi.Output[Any], make: Callable[[Sequence[str]], str]) -> Any:
    """At once where all values are plain, so that what is wrong is said before anything is registered.

    All of them in one Output: the stack that exports them knows how many there are.
    """
    if isinstance(values, pulumi.Output):
        return values.apply(make)
    plain = [value for value in values if isinstance(value, str)]
    return make(plain) if len(plain) == len(values) else pulumi.Output.all(*values).apply(make)


def start_script() -> str:
    """The script that a pod starts nginx by."""
    return (files("tidegate_stacks") / "scripts" / START).read_text(encoding="utf-8")


def config(workload: str, namespace: Any, component: str, text: Any) -> Obj:
    """Files of the pods of one workload: no other reads them, so that its change replaces nobody else's pods."""
    return config_map(workload, namespace, component, {"nginx.conf": text, START: start_script()})


def template(workload: str, component: str, args: CdnArgs, machine: Machine, *, tier: str, text: Any, tls: bool) -> Obj:
    """The pod. A pod that leaves gets no new connections for five seconds, then finishes what it sends."""
    ports = {"http": HTTP, "status": STATUS, "refresh": REFRESH}
    mounts = {"config": "/etc/edge", "cache": "/var/cache/edge", "tmp": "/tmp"}  # noqa: S108 - a volume of its own
    volumes: list[Obj] = [
        {"name": "config", "configMap": {"name": workload}},
        {"name": "cache", "emptyDir": {"sizeLimit": machine.disk}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
    ]
    if tls and args.tls:
        ports["https"] = HTTPS
        mounts["tls"] = TLS_FOLDER
        volumes.append(
            {"name": "tls", "secret": {"secretName": secret_name(component, args.tls), "defaultMode": 0o440}}
        )
    ready = http_probe("status", "/ready")
    nginx = container(
        "nginx",
        args.image,
        cpu=machine.cpu,
        memory=machine.memory,
        disk=machine.disk,
        ready=ready,
        alive=alive(ready),
        ports=ports,
        mounts=mounts,
        command=["sh", f"/etc/edge/{START}", "/etc/edge/nginx.conf"],
        lifecycle={"preStop": {"exec": {"command": ["sh", "-c", "sleep 5; nginx -c /etc/edge/nginx.conf -s quit"]}}},
    )
    made = pod(
        workload,
        component,
        containers=[nginx],
        volumes=volumes,
        nodes=machine.nodes,
        grace_seconds=DRAIN_SECONDS + 10,
        config=text if isinstance(text, pulumi.Output) else text + start_script(),
        priority=machine.priority,
        user=USER,
    )
    made["metadata"]["labels"][TIER_LABEL] = tier
    return made


def closed(workload: str, namespace: Any, component: str, *, world: bool, tls: bool) -> Obj:
    """Who reaches the pods. ``world``: players do, through whatever stands in front; a Gateway or a load balancer may
    send from a node's address, which no pod selector matches.

    Purges come from the namespace: who may run pods there may purge.
    """
    play = {"http": HTTP, **({"https": HTTPS} if tls else {})}
    ports = {ANYBODY if world else CLUSTER: play, NAMESPACE: {"refresh": REFRESH}}
    return network_policy(workload, namespace, component, ports=ports)


def in_namespace(host: str, namespace: pulumi.Input[str], domain: pulumi.Input[str]) -> pulumi.Output[str]:
    """The whole name of a host of the cluster: nginx knows no search list."""
    return pulumi.Output.concat(host, ".", namespace, ".svc.", domain)


def pods_label(component: str, tier: str) -> dict[str, str]:
    """Labels of all pods of a tier."""
    return {"app.kubernetes.io/part-of": component, TIER_LABEL: tier}
