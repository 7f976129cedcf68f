"""One edge site: its cache pods and the way in, in the program's own cluster or in another.

Pure. No object of a site names another site.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pulumi

from tidegate_stacks import naming, sizing
from tidegate_stacks.cdn_args import CdnArgs, way_of
from tidegate_stacks.cdn_cache import Pods, companions, configuration, template
from tidegate_stacks.cdn_content import Caches
from tidegate_stacks.nginx_pod import HTTP, HTTPS, REFRESH, NginxArgs
from tidegate_stacks.objects import Obj, budget, deployment, hpa, obj, service
from tidegate_stacks.platform import namespace as namespace_object
from tidegate_stacks.sites import Need, SiteArgs, range_of, target_of, weight_of
from tidegate_stacks.way_in import (
    DnsArgs,
    GatewayArgs,
    WayInArgs,
    certificates,
    dns_endpoint,
    gateway,
    http_route,
    ingress,
    public_service,
    secret_name,
)

SHARED = ("Namespace", "Certificate")
"""What all of a CDN's sites in one other cluster have in common."""


def size_of(args: CdnArgs, site: SiteArgs) -> sizing.Range:
    """Cache pods of a site."""
    return range_of(site, pod_mbps=args.pod_mbps, headroom_percent=args.headroom_percent)


def ends_tls(args: CdnArgs, site: SiteArgs) -> bool:
    """Whether TLS ends in the site's pods."""
    return args.tls is not None and way_of(site, args.way_in).to_pods


def workload_of(name: str, site: SiteArgs) -> str:
    """Name of the site's Deployment, Service, autoscaler, policy and ConfigMap."""
    return naming.child(name, site.name)


def pods_of(name: str, args: CdnArgs, site: SiteArgs) -> Pods:
    """The site's pods. Its labels come on top of those that all sites of this cluster share."""
    here = site.kubeconfig is None
    return Pods(
        workload=workload_of(name, site),
        tier="site",
        nginx=NginxArgs(
            image=args.image,
            exporter=args.exporter,
            cpu=args.cpu,
            memory=args.memory,
            disk=args.disk,
            reserve_disk=args.reserve_disk,
        ),
        nodes={**(args.nodes if here else {}), **site.nodes},
        priority=args.priority if here and site.priority is None else site.priority,
        public=True,
        tls=ends_tls(args, site),
        ranges=way_of(site, args.way_in).source_ranges,
    )


def target(name: str, args: CdnArgs, site: SiteArgs) -> Obj:
    """The site's line in a policy."""
    workload = obj("apps/v1", "Deployment", workload_of(name, site), None, name)
    return target_of(
        workload,
        site,
        signal=args.signal,
        pod_mbps=args.pod_mbps,
        size=size_of(args, site),
        lead_seconds=args.lead_seconds,
        lane=args.lane if site.kubeconfig is None else None,
    )


def need(name: str, args: CdnArgs, site: SiteArgs) -> Need:
    """The machines that the site needs at its peak, for a check of the nodes before anything is registered."""
    nodes = pods_of(name, args, site).nodes
    return Need(nodes, size_of(args, site).most, args.cpu, args.memory)


def pods_objects(name: str, args: CdnArgs, site: SiteArgs, pods: Pods, text: Any) -> list[Obj]:
    """Deployment, autoscaler, budget and Services of the site's pods, and what goes with them."""
    workload, namespace, size = pods.workload, args.namespace, size_of(args, site)
    labels = naming.selector(workload)
    caches = deployment(workload, namespace, name, template=template(name, args, pods, text))
    ports = {"http": HTTP, **({"https": HTTPS} if pods.tls else {})}
    each = service(
        naming.child(workload, "pods"), namespace, name, pods=labels, ports={"http": HTTP, "refresh": REFRESH}
    )
    # One address for each pod that is ready: a prefetch and a purge go to all of them.
    each["spec"]["clusterIP"] = "None"
    return [
        caches,
        hpa(caches, minimum=size.normal, maximum=size.most, cpu_percent=args.cpu_percent, component=name),
        budget(caches, unavailable="20%", component=name),
        service(workload, namespace, name, pods=labels, ports=ports),
        each,
        *companions(name, args, pods, text),
    ]


def entry_objects(name: str, args: CdnArgs, site: SiteArgs) -> list[Obj]:
    """What makes the site reachable by itself: all of its way in, or nothing where it shares one with others."""
    way, workload = way_of(site, args.way_in), workload_of(name, site)
    alone = site.kubeconfig is not None
    made: list[Obj] = []
    if alone:
        made += certificates(name, args.namespace, name, host=args.host, tls=args.tls)
    if way.kind in ("load-balancer", "node-port"):
        published = f"{site.name}.{args.host}" if way.dns and not site.addresses else None
        called, pods = naming.child(workload, "public"), naming.selector(workload)
        tls = args.tls is not None
        made.append(public_service(called, args.namespace, name, pods=pods, way=way, tls=tls, published=published))
    elif way.gateway_class is not None:
        made += _own_gateway(name, args, workload, way)
    elif alone:
        made += shared_entry(workload, args, name, way, {workload: weight_of(site)}, ingress_to=workload)
    if way.dns:
        made.append(_record(name, args, site, way.dns))
    return made


def _own_gateway(name: str, args: CdnArgs, workload: str, way: WayInArgs) -> list[Obj]:
    secret = secret_name(name, args.tls) if args.tls else None
    common: dict[str, Any] = {"namespace": args.namespace, "component": name, "host": args.host}
    parent = GatewayArgs(name=workload)
    return [
        gateway(workload, way=way, secret=secret, **common),
        http_route(workload, parent=parent, backends={workload: 1}, port=HTTP, published=way.dns is None, **common),
    ]


def _record(name: str, args: CdnArgs, site: SiteArgs, dns: DnsArgs) -> Obj:
    return dns_endpoint(
        workload_of(name, site),
        args.namespace,
        name,
        host=args.host,
        site=site.name,
        targets=site.addresses or (f"{site.name}.{args.host}",),
        weight=weight_of(site),
        dns=dns,
    )


def shared_entry(
    called: str, args: CdnArgs, component: str, way: WayInArgs, backends: dict[str, int], *, ingress_to: str
) -> list[Obj]:
    """One way in for all the sites of a cluster. ``backends``: Service → weight, for a Gateway; ``ingress_to``: the one
    Service that an Ingress sends to.
    """
    common: dict[str, Any] = {"namespace": args.namespace, "component": component, "host": args.host}
    if way.gateway:
        return [http_route(called, parent=way.gateway, backends=backends, port=HTTP, **common)]
    if way.kind == "ingress":
        secret = secret_name(component, args.tls) if args.tls else None
        return [ingress(called, way=way, backend=ingress_to, port="http", secret=secret, **common)]
    return []


def site_objects(name: str, args: CdnArgs, site: SiteArgs, origins: Sequence[pulumi.Input[str]]) -> list[Obj]:
    """Everything of one site. ``origins``: the shield's pods, as this site reaches them."""
    remote = site.kubeconfig is not None
    pods = pods_of(name, args, site)
    text = configuration(args, origins, pods, spread=True, by_name=args.host if remote else None)
    home = [namespace_object(cast(str, args.namespace), name)] if remote else []
    return [*home, *pods_objects(name, args, site, pods, text), *entry_objects(name, args, site)]


def called(name: str, site: SiteArgs, one: Obj) -> str:
    """The object's name in Pulumi: two clusters may hold objects of one name."""
    workload, own = workload_of(name, site), one["metadata"]["name"]
    if one["kind"] == "Namespace":
        return naming.child(workload, "namespace")
    return str(own) if own.startswith(workload) else workload + own.removeprefix(name)


def shares(args: CdnArgs, site: SiteArgs) -> bool:
    """Whether the site has its way in together with the others of its cluster."""
    way = way_of(site, args.way_in)
    return site.kubeconfig is None and (way.kind == "ingress" or way.gateway is not None)


def described(name: str, args: CdnArgs, site: SiteArgs) -> dict[str, Any]:
    """A site as the outputs tell of it."""
    needs = need(name, args, site)
    return {
        "service": service_host(name, args, site),
        "region": site.region,
        "city_tiers": list(site.city_tiers),
        "latency_class": site.latency_class,
        "cost_per_gb": site.cost_per_gb,
        "peak_mbps": site.peak_mbps,
        "weight": weight_of(site),
        "cluster": "other" if site.kubeconfig is not None else "own",
        "needs": {"labels": dict(needs.labels), "pods": needs.pods, "cpu": needs.cpu, "memory": needs.memory},
    }


def service_host(name: str, args: CdnArgs, site: SiteArgs) -> pulumi.Output[str]:
    """Host and port of a site within its cluster."""
    return pulumi.Output.concat(workload_of(name, site), ".", args.namespace, f".svc:{HTTP}")


def caches_of(name: str, args: CdnArgs, sites: Sequence[SiteArgs], shield: Sequence[Any] = ()) -> Caches:
    """Where a prefetch or a purge finds the pods of sites of one cluster, and of the shield if it is there too."""
    each = [
        pulumi.Output.concat(
            naming.child(workload_of(name, site), "pods"), ".", args.namespace, f".svc.{args.cluster_domain}"
        )
        for site in sites
    ]
    return Caches(name, args.host, shield, each, HTTP, REFRESH)
