"""A cache pod of a CDN: its configuration, and what all of a CDN's pods have in common.

Pure. ``cdn_site`` and ``cdn_shield`` put a workload around it; ``nginx_pod`` makes the template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate_stacks import nginx_pod
from tidegate_stacks.cdn_args import CdnArgs
from tidegate_stacks.component import Texts, once_known
from tidegate_stacks.edge import whole_name
from tidegate_stacks.nginx import nginx_conf
from tidegate_stacks.nginx_pod import NginxArgs
from tidegate_stacks.nginx_values import OriginTls, Rule, Times
from tidegate_stacks.objects import Obj, config_map, pod_monitor
from tidegate_stacks.way_in import secret_name

AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
"""Public certificate authorities, in images of Alpine and of Debian."""
TIER_LABEL = "tidegate.dev/tier"
"""``site`` or ``shield``: one Service stands in front of all the sites' pods by it."""


@dataclass(frozen=True, slots=True)
class Pods:
    """The pods of a site, or of the shield."""

    workload: str
    tier: str
    nginx: NginxArgs
    nodes: Mapping[str, str]
    priority: Any
    """Name of a PriorityClass of their cluster."""
    public: bool
    """Whether connections from outside reach them: all of a site's, and a shield's that other clusters fetch from."""
    tls: bool
    """Whether TLS ends in them."""
    ranges: Sequence[str] = ()
    """Networks that connections from outside come from. Empty: the world."""


def configuration(args: CdnArgs, origins: Texts, pods: Pods, *, spread: bool, by_name: str | None = None) -> Any:
    """Text of nginx.conf, once all origins are known.

    ``origins``: ``host:port`` each. ``spread``: each object has one home among them. ``by_name``: they are asked over
    TLS, and their certificate bears this name.
    """

    def render(known: Sequence[str]) -> str:
        return nginx_conf(
            [whole_name(one, args.cluster_domain) for one in known],
            disk=pods.nginx.disk,
            resolver=args.resolver,
            tls=nginx_pod.CERTIFICATE if pods.tls else None,
            origin_tls=OriginTls(by_name, AUTHORITIES) if by_name else None,
            hosts=(args.host,),
            rules=[Rule(rule.path, rule.seconds, rule.arguments) for rule in args.rules],
            arguments=args.arguments,
            times=Times(args.segment_seconds, args.other_seconds, args.read_seconds),
            spread=spread,
            refresh_port=nginx_pod.REFRESH,
        )

    return once_known(origins, render)


def template(component: str, args: CdnArgs, pods: Pods, text: Any) -> Obj:
    """The pod template."""
    made = nginx_pod.template(
        pods.workload,
        component,
        pods.nginx,
        config_map=pods.workload,
        conf=text,
        nodes=pods.nodes,
        priority=pods.priority,
        tls_secret=secret_name(component, args.tls) if pods.tls and args.tls else None,
        refresh=True,
    )
    made["metadata"]["labels"][TIER_LABEL] = pods.tier
    return made


def companions(component: str, args: CdnArgs, pods: Pods, text: Any) -> list[Obj]:
    """What goes with the pods: their files, who may reach them, and what is scraped.

    Each workload has a ConfigMap of its own, so that its change replaces nobody else's pods. The CDN's own Jobs reach
    the port for refreshing, and nobody else does.
    """
    made = [
        config_map(pods.workload, args.namespace, component, nginx_pod.config_files(text)),
        nginx_pod.network_policy(
            pods.workload,
            args.namespace,
            component,
            pods.nginx,
            public=pods.public,
            refresh=True,
            ranges=pods.ranges,
        ),
    ]
    if args.monitor:
        made.append(pod_monitor(pods.workload, args.namespace, component, port="metrics"))
    return made


def pods_label(component: str, tier: str) -> dict[str, str]:
    """Labels of all pods of a tier."""
    return {"app.kubernetes.io/part-of": component, TIER_LABEL: tier}
