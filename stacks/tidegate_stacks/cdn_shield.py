"""The shield: the tier between a CDN's sites and the origins.

Every object has one home among the shield's pods, by a hash of its path. So the origin sees one request for each
object, however many sites there are; pods behind one address would each ask for it. That needs names that stay: a
StatefulSet of a fixed size. When a pod is away, its objects are asked of the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi

from tidegate_stacks import naming
from tidegate_stacks.cdn_args import CdnArgs
from tidegate_stacks.cdn_cache import (
    HTTP,
    REFRESH,
    Machine,
    closed,
    config,
    configuration,
    in_namespace,
    template,
)
from tidegate_stacks.objects import Obj, budget, headless, stateful_set
from tidegate_stacks.way_in import WayInArgs, public_service

PUBLIC_PORT = 443


def workload_of(name: str) -> str:
    """Name of the shield's StatefulSet, Service, budget, policy and ConfigMap."""
    return naming.child(name, "shield")


def pod_hosts(name: str, args: CdnArgs) -> list[pulumi.Output[str]]:
    """Whole names of the shield's pods, in order."""
    shield = workload_of(name)
    return [
        in_namespace(f"{shield}-{number}.{shield}", args.namespace, args.cluster_domain)
        for number in range(args.shield.pods)
    ]


def caches_hosts(name: str, args: CdnArgs) -> list[pulumi.Output[str]]:
    """The shield as a purge reaches it: one name for all of its pods."""
    return [pulumi.Output.concat(workload_of(name), ".", args.namespace, ".svc")]


def origins_here(name: str, args: CdnArgs) -> list[pulumi.Output[str]]:
    """The shield's pods, as sites of this cluster reach them."""
    return [pulumi.Output.concat(host, f":{HTTP}") for host in pod_hosts(name, args)]


def public_host(args: CdnArgs, number: int) -> str:
    """The name of a pod of the shield for other clusters."""
    return f"shield-{number}.{args.host}"


def origins_elsewhere(args: CdnArgs) -> list[str]:
    """The shield's pods, as sites of other clusters reach them."""
    return [f"{public_host(args, number)}:{PUBLIC_PORT}" for number in range(args.shield.pods)]


def shield_objects(name: str, args: CdnArgs, origins: Sequence[pulumi.Input[str]] | pulumi.Output[Any]) -> list[Obj]:
    """The shield; the StatefulSet comes first."""
    workload, namespace, shield = workload_of(name), args.namespace, args.shield
    tls = shield.public is not None
    machine = Machine(shield.cpu, shield.memory, shield.disk, {**args.nodes, **shield.nodes}, args.priority)
    text = configuration(args, origins, disk=shield.disk, tls=tls, spread=False)
    pods = naming.selector(workload)
    caches = stateful_set(
        workload,
        namespace,
        name,
        replicas=shield.pods,
        headless=workload,
        template=template(workload, name, args, machine, tier="shield", text=text, tls=tls),
    )
    names = headless(workload, namespace, name, pods=pods, ports={"http": HTTP, "refresh": REFRESH})
    # Only pods that are ready have an address, so that a site asks the next one at once.
    names["spec"]["publishNotReadyAddresses"] = False
    return [
        caches,
        config(workload, namespace, name, text),
        names,
        budget(caches, unavailable=1, component=name),
        closed(workload, namespace, name, world=tls, tls=tls),
        *_public(workload, name, args),
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
