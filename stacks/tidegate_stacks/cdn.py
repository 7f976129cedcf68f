"""A CDN: one public host, a shield in front of the origins, edge sites in front of the shield, and the way in.

``Cdn`` has one set of arguments and outputs whoever runs the network behind it. Today that is ``own``: nginx on your
machines. How its parts are rendered: ``cdn_args`` (arguments), ``cdn_cache`` (a pod), ``cdn_shield``, ``cdn_site``,
``cdn_content`` (prefetch and purge), ``sites`` (what a site is), ``way_in``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi

from tidegate_stacks import cdn_shield, cdn_site, naming
from tidegate_stacks.cdn_args import CdnArgs, PathRuleArgs, ShieldArgs, ShieldWayInArgs, local, way_of
from tidegate_stacks.cdn_cache import pods_label
from tidegate_stacks.cdn_content import BudgetArgs, Caches, ContentArgs, ContentJob
from tidegate_stacks.component import Component, Texts, ordered
from tidegate_stacks.nginx_pod import HTTP
from tidegate_stacks.objects import Obj, service
from tidegate_stacks.policy import scaling_policy
from tidegate_stacks.sites import SiteArgs, weight_of
from tidegate_stacks.way_in import DnsArgs, GatewayArgs, TlsArgs, WayInArgs, certificates

__all__ = [
    "BudgetArgs",
    "Caches",
    "Cdn",
    "CdnArgs",
    "ContentArgs",
    "ContentJob",
    "DnsArgs",
    "GatewayArgs",
    "PathRuleArgs",
    "ShieldArgs",
    "ShieldWayInArgs",
    "SiteArgs",
    "TlsArgs",
    "WayInArgs",
]


def targets(name: str, args: CdnArgs) -> list[Obj]:
    """What the operator of this cluster may move: its sites, each apart. The shield is fixed."""
    return [cdn_site.target(name, args, site) for site in local(args.sites)]


def common_objects(name: str, args: CdnArgs) -> list[Obj]:
    """What all sites of this cluster share: the certificate, and the way in where it is one for all of them."""
    here = local(args.sites)
    made = certificates(name, args.namespace, name, host=args.host, tls=args.tls)
    together = [site for site in here if cdn_site.shares(args, site)]
    if not together:
        return made
    way = way_of(together[0], args.way_in)
    if way.kind == "ingress":
        pods = pods_label(name, "site")
        made.append(service(name, args.namespace, name, pods=pods, ports={"http": HTTP}))
    backends = {cdn_site.workload_of(name, site): weight_of(site) for site in together}
    return [*made, *cdn_site.shared_entry(name, args, name, way, backends, ingress_to=name)]


class Cdn(Component):
    """A content delivery network of one host name."""

    host: pulumi.Output[str]
    """Public host name: what players ask for, and what a DNS record has to lead to the sites."""
    shield: pulumi.Output[str]
    """Host and port of the shield within the cluster. Its name stands for all of its pods."""
    prefetch: pulumi.Output[str]
    """URL beneath which a prefetch asks: what a player would ask, of one site."""
    egress_mbps: pulumi.Output[int]
    """Most that its sites carry together: an event that announces more will not be carried."""
    sites: pulumi.Output[dict[str, Any]]
    """By name: ``service`` (host and port within its cluster), ``region``, ``city_tiers``, ``latency_class``,
    ``cost_per_gb``, ``peak_mbps``, ``weight``, ``cluster`` (``own`` or ``other``) and ``needs`` (labels, pods, cpu,
    memory)."""
    targets: list[Obj]
    """For an EventPolicy: the sites of this cluster. What is in another cluster belongs to the operator there."""
    caches: Caches
    """Where ``ContentJob`` finds the pods of this cluster."""
    elsewhere: dict[str, tuple[Caches, pulumi.ProviderResource]]
    """The same of each site in another cluster, and the access to it: a ContentJob there is given it as provider."""

    def __init__(
        self,
        name: str,
        args: CdnArgs,
        *,
        origins: Texts,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """``origins``: hosts and ports that the shield fetches from, as ``LiveOrigin.segment_hosts``. Each is asked in
        its turn; the next one follows where one has no such object.
        """
        super().__init__("tidegate:cdn:Cdn", name, opts)
        shield, *rest = cdn_shield.shield_objects(name, args, origins)
        self.put_all([*rest, *common_objects(name, args)])
        self.put(shield, fixed=True)
        here, there = cdn_shield.origins_here(name, args), cdn_shield.origins_elsewhere(args)
        self.elsewhere = {}
        homes: dict[str | tuple[str], list[pulumi.Resource]] = {}
        for site in args.sites:
            if site.kubeconfig is None:
                self.put_all(cdn_site.site_objects(name, args, site, here))
            else:
                self._put_elsewhere(name, args, site, site.kubeconfig, there, homes)
        self.targets = targets(name, args)
        self.caches = cdn_site.caches_of(name, args, local(args.sites), cdn_shield.caches_hosts(name, args))
        if args.policy and self.targets:
            self.put(scaling_policy(name, args.namespace, name, args.policy, self.targets))
        self.finish(
            host=args.host,
            shield=pulumi.Output.concat(cdn_shield.workload_of(name), ".", args.namespace, f".svc:{HTTP}"),
            prefetch=pulumi.Output.concat("http://", cdn_site.service_host(name, args, args.sites[0])),
            egress_mbps=sum(site.peak_mbps for site in args.sites),
            sites={site.name: cdn_site.described(name, args, site) for site in args.sites},
        )

    def _put_elsewhere(
        self,
        name: str,
        args: CdnArgs,
        site: SiteArgs,
        kubeconfig: pulumi.Input[str],
        origins: Sequence[str],
        homes: dict[str | tuple[str], list[pulumi.Resource]],
    ) -> None:
        """A site in another cluster, its namespace first.

        ``homes``: namespaces that were made before, by the access to their cluster. The first site of a cluster makes
        what its sites share there. That stays when the site goes: another site may live on it, or somebody else.
        """
        access = self.access(naming.child(name, site.name, "cluster"), kubeconfig)
        # Whether two Outputs will have the same value nobody knows yet: each counts as a cluster of its own.
        cluster = kubeconfig if isinstance(kubeconfig, str) else (site.name,)
        first = cluster not in homes
        home = homes.setdefault(cluster, [])
        for one in ordered(cdn_site.site_objects(name, args, site, origins)):
            shared = one["kind"] in cdn_site.SHARED
            if shared and not first:
                continue
            made = self.put(one, called=cdn_site.called(name, site, one), keep=shared, after=home, cluster=access)
            if one["kind"] == "Namespace":
                home.append(made)
        self.elsewhere[site.name] = (cdn_site.caches_of(name, args, [site]), access)
