"""The shield: the tier between a CDN's sites and the origins.

Every object has one home among the shield's pods, by a hash of its path. So the origin sees one request for each
object, however many sites there are; pods behind one address would each ask for it. That needs names that stay: a
StatefulSet of a fixed size. When a pod is away, its objects are asked of the next one.
"""

from __future__ import annotations

from typing import Any

import pulumi

from tidegate_stacks import naming
from tidegate_stacks.cdn_args import CdnArgs
from tidegate_stacks.cdn_cache import Pods, companions, configuration, template
from tidegate_stacks.component import Texts
from tidegate_stacks.nginx_pod import HTTP, REFRESH, NginxArgs
from tidegate_stacks.objects import Obj, budget, headless, stateful_set
from tidegate_stacks.way_in import WayInArgs, public_service

PUBLIC_PORT = 443


def workload_of(name: str) -> str:
    """Name of the shield's StatefulSet, Service, budget, policy and ConfigMap."""
    return naming.child(name, "shield")


def pod_hosts(name: str, args: CdnArgs) -> list[pulumi.Output[str]]:
    """Names of the shield's pods, in order."""
    shield = workload_of(name)
    return [
        pulumi.Output.concat(f"{shield}-{number}.{shield}.", args.namespace, ".svc")
        for number in range(args.shield.pods)
    ]


def caches_hosts(name: str, args: CdnArgs) -> list[pulumi.Output[str]]:
    """The shield as a purge reaches it: one name for all of its pods."""
    return [pulumi.Output.concat(workload_of(name), ".", args.namespace, f".svc.{args.cluster_domain}")]


def origins_here(name: str, args: CdnArgs) -> list[pulumi.Output[str]]:
    """The shield's pods, as sites of this cluster reach them."""
    return [pulumi.Output.concat(host, f":{HTTP}") for host in pod_hosts(name, args)]


def public_host(args: CdnArgs, number: int) -> str:
    """The name of a pod of the shield for other clusters."""
    return f"shield-{number}.{args.host}"


def origins_elsewhere(args: CdnArgs) -> list[str]:
    """The shield's pods, as sites of other clusters reach them."""
    return [f"{public_host(args, number)}:{PUBLIC_PORT}" for number in range(args.shield.pods)]


def pods_of(name: str, args: CdnArgs) -> Pods:
    """The shield's pods."""
    shield = args.shield
    nginx = NginxArgs(
        image=args.image,
        exporter=args.exporter,
        cpu=shield.cpu,
        memory=shield.memory,
        disk=shield.disk,
        reserve_disk=args.reserve_disk,
    )
    public = shield.public is not None
    ranges = shield.public.source_ranges if shield.public else ()
    nodes = {**args.nodes, **shield.nodes}
    return Pods(workload_of(name), "shield", nginx, nodes, args.priority, public=public, tls=public, ranges=ranges)


def shield_objects(name: str, args: CdnArgs, origins: Texts) -> list[Obj]:
    """The shield; the StatefulSet comes first."""
    pods, namespace = pods_of(name, args), args.namespace
    text = configuration(args, origins, pods, spread=False)
    labels = naming.selector(pods.workload)
    caches = stateful_set(
        pods.workload,
        namespace,
        name,
        replicas=args.shield.pods,
        headless=pods.workload,
        start_seconds=120,  # with an image that the machine does not have yet (judgement)
        template=template(name, args, pods, text),
    )
    names = headless(pods.workload, namespace, name, pods=labels, ports={"http": HTTP, "refresh": REFRESH})
    # Only pods that are ready have an address, so that a site asks the next one at once.
    del names["spec"]["publishNotReadyAddresses"]
    return [
        caches,
        names,
        budget(caches, unavailable=1, component=name),
        *companions(name, args, pods, text),
        *_public(pods.workload, name, args),
    ]


def _public(workload: str, name: str, args: CdnArgs) -> list[Obj]:
    """A load balancer for each pod: one for all of them would send an object to pods that are not its home."""
    shield = args.shield
    if shield.public is None:
        return []
    way = WayInArgs(
        kind="load-balancer", source_ranges=shield.public.source_ranges, annotations=shield.public.annotations
    )
    made: list[Any] = []
    for number in range(shield.pods):
        called = naming.child(workload, str(number), "public")
        pods = {"statefulset.kubernetes.io/pod-name": f"{workload}-{number}"}
        published = public_host(args, number)
        made.append(public_service(called, args.namespace, name, pods=pods, way=way, tls=True, published=published))
    return made
