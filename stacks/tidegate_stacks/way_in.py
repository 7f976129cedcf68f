"""How people outside the cluster reach what runs in it: HTTP by a Gateway, an Ingress or a load balancer; RTMP by a
load balancer.

``cdn.Cdn`` calls the functions. They are pure and name only kinds that the chosen way needs, so that a cluster without
the Gateway API, cert-manager or ExternalDNS is never asked for their kinds.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pulumi
from pydantic import BeforeValidator, Field, model_validator

from tidegate_stacks import naming
from tidegate_stacks.checks import Args, Name, Seconds, Text, quoted
from tidegate_stacks.component import Component
from tidegate_stacks.objects import Obj, obj

if TYPE_CHECKING:
    from tidegate_stacks import kinds

GATEWAY_API = "gateway.networking.k8s.io/v1"
"""Served by Gateway API 1.0 and later; nothing below needs a field that is younger than 1.0 or gone in 1.6."""
ROUTE_BACKENDS = 16
"""Most backends of one rule of an HTTPRoute: the Gateway API's own bound."""
MOST_WEIGHT = 255
"""Largest weight of a record in Route 53; an HTTPRoute takes more."""
HOSTNAME_ANNOTATION = "external-dns.alpha.kubernetes.io/hostname"
"""ExternalDNS publishes the addresses of a Service under this name."""
UNPUBLISHED = {"external-dns.alpha.kubernetes.io/controller": "none"}
"""ExternalDNS passes over an object whose annotation names another controller."""

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})+")


def _host(value: object) -> object:
    if isinstance(value, str) and len(value) <= 253 and _HOST.fullmatch(value) and not _is_address(value):
        return value
    raise ValueError(f"give a host name without a scheme or port, e.g. live.example.com, not {quoted(value)}")


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


_NETWORK = re.compile(r"[0-9A-Fa-f:.]+/(0|[1-9][0-9]{0,2})")
"""What Kubernetes takes: Python alone would pass an address without a length, a mask, and a zone of IPv6."""


def _network(value: object) -> object:
    try:
        if isinstance(value, str) and _NETWORK.fullmatch(value):
            ipaddress.ip_network(value)
            return value
    except ValueError as error:
        raise ValueError(f"give addresses as a network, e.g. 203.0.113.0/24: {error}") from None
    raise ValueError(f"give addresses as a network, e.g. 203.0.113.0/24, not {quoted(value)}")


Host = Annotated[str, BeforeValidator(_host)]
"""A public host name: ``live.example.com``."""
Network = Annotated[str, BeforeValidator(_network)]
"""Addresses in CIDR notation: ``203.0.113.0/24``."""


class GatewayArgs(Args):
    """A Gateway that exists. Its listener has a certificate of its own."""

    name: Name
    namespace: Name | None = None
    """None: the namespace of what is reached."""
    section: Name | None = None
    """Name of the listener. None: every listener that admits the route."""


class DnsArgs(Args):
    """Records for ExternalDNS that share the audience out between sites with addresses of their own."""

    ttl_seconds: Seconds = 30
    """How long a resolver keeps a site after it has lost its weight."""
    weight_property: str = Field(default="aws/weight", min_length=1, max_length=63)
    """What ExternalDNS calls the weight of a record at your DNS provider; ``aws/weight`` is Route 53's."""


class WayInArgs(Args):
    """How HTTP reaches the sites from outside."""

    kind: Literal["cluster", "node-port", "load-balancer", "ingress", "gateway"] = "cluster"
    """- ``cluster``: Services only. What stands in front of the cluster is yours.
    - ``node-port``: a port of every node for each site; for a bare cluster.
    - ``load-balancer``: a load balancer for each site. TLS ends in the cache pods.
    - ``ingress``: one Ingress in front of all the sites of a cluster. Pods share the audience evenly.
    - ``gateway``: the Gateway API. With ``gateway`` one Gateway in front of all the sites of a cluster, weights by
      HTTPRoute; with ``gateway_class`` a Gateway for each site, weights by DNS."""
    gateway: GatewayArgs | None = None
    gateway_class: Name | None = None
    ingress_class: Name | None = None
    """None: the cluster's default class."""
    annotations: Mapping[str, str] = {}
    """Of the Service, Ingress or Gateway that is made: what your cloud's load balancer wants to know."""
    source_ranges: tuple[Network, ...] = ()
    """Who may come in by a load balancer, and by the node ports that it has. Empty: the world. A load balancer that
    shows pods an address of its own in place of the client's needs that address here too."""
    dns: DnsArgs | None = None
    """Records that share the audience out between sites. None: your own DNS does."""

    @model_validator(mode="after")
    def _consistent(self) -> WayInArgs:
        gateways = [name for name in ("gateway", "gateway_class") if getattr(self, name) is not None]
        if self.kind == "gateway" and len(gateways) != 1:
            raise ValueError("kind gateway: give either gateway, one that exists, or gateway_class, to make one a site")
        if self.kind != "gateway" and gateways:
            raise ValueError(f"kind {self.kind} has no {gateways[0]}: use kind gateway, or remove {gateways[0]}")
        if self.ingress_class is not None and self.kind != "ingress":
            raise ValueError(f"kind {self.kind} has no ingress_class: use kind ingress, or remove it")
        if self.source_ranges and self.kind != "load-balancer":
            raise ValueError(f"kind {self.kind} cannot keep addresses out: use kind load-balancer")
        if self.dns and not self.apart:
            raise ValueError(
                f"sites behind kind {self.kind} have no addresses of their own to share out by dns:"
                " use load-balancer, or gateway with gateway_class"
            )
        return self

    @property
    def apart(self) -> bool:
        """Whether each site has an address of its own, so that DNS can choose between sites."""
        return self.kind in ("load-balancer", "node-port") or self.gateway_class is not None

    @property
    def to_pods(self) -> bool:
        """Whether connections reach the pods as they are, so that TLS ends there."""
        return self.kind in ("cluster", "load-balancer", "node-port")


class TlsArgs(Args):
    """The certificate of the public host name: made by cert-manager, or given."""

    issuer: Text | None = None
    """cert-manager's issuer: a Certificate is made and renewed."""
    issuer_kind: Literal["ClusterIssuer", "Issuer"] = "ClusterIssuer"
    secret: Text | None = None
    """A Secret of type kubernetes.io/tls that exists, in the namespace of what is reached."""

    @model_validator(mode="after")
    def _one(self) -> TlsArgs:
        if (self.issuer is None) == (self.secret is None):
            raise ValueError("give either issuer, to have a certificate made, or secret, one that exists")
        return self


def secret_name(name: str, tls: TlsArgs) -> Any:
    """Name of the Secret that holds certificate and key."""
    return tls.secret if tls.secret is not None else naming.child(name, "tls")


def certificates(name: str, namespace: Any, component: str, *, host: str, tls: TlsArgs | None) -> list[Obj]:
    """The Certificate of a host name, where cert-manager is to make one."""
    if tls is None or tls.issuer is None:
        return []
    spec = {
        "secretName": secret_name(name, tls),
        "dnsNames": [host],
        "issuerRef": {"group": "cert-manager.io", "kind": tls.issuer_kind, "name": tls.issuer},
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "usages": ["digital signature", "server auth"],
    }
    return [obj("cert-manager.io/v1", "Certificate", naming.child(name, "tls"), namespace, component, spec=spec)]


# ---- kinds of HTTP


def public_service(
    name: str,
    namespace: Any,
    component: str,
    *,
    pods: Mapping[str, str],
    way: WayInArgs,
    tls: bool,
    published: str | None = None,
) -> Obj:
    """The Service of a site for the world. ``published``: the name that ExternalDNS gives to its addresses.

    With TLS only port 443 is open. A load balancer sends to nodes that run a pod of the site (``Local``): pods see
    whom they serve, and a node without a ready pod gets nothing. A node's port must answer on every node.
    """
    port = {"name": "https", "port": 443} if tls else {"name": "http", "port": 80}
    spec: Obj = {
        "type": "LoadBalancer" if way.kind == "load-balancer" else "NodePort",
        "externalTrafficPolicy": "Local" if way.kind == "load-balancer" else "Cluster",
        "selector": dict(pods),
        "ports": [{**port, "targetPort": port["name"]}],
    }
    if way.source_ranges:
        spec["loadBalancerSourceRanges"] = list(way.source_ranges)
    made = obj("v1", "Service", name, namespace, component, spec=spec)
    return _annotated(made, {**({HOSTNAME_ANNOTATION: published} if published else {}), **way.annotations})


def gateway(name: str, namespace: Any, component: str, *, host: str, way: WayInArgs, secret: Any) -> Obj:
    """A Gateway with one listener for one host; with a Secret it ends TLS there."""
    listener: Obj = {"name": "http", "port": 80, "protocol": "HTTP", "hostname": host}
    if secret is not None:
        listener = {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": host}
        listener["tls"] = {"mode": "Terminate", "certificateRefs": [{"group": "", "kind": "Secret", "name": secret}]}
    listener["allowedRoutes"] = {"namespaces": {"from": "Same"}}
    spec = {"gatewayClassName": way.gateway_class, "listeners": [listener]}
    return _annotated(obj(GATEWAY_API, "Gateway", name, namespace, component, spec=spec), way.annotations)


def http_route(
    name: str,
    namespace: Any,
    component: str,
    *,
    host: str,
    parent: GatewayArgs,
    backends: Mapping[str, int],
    port: int,
    published: bool = True,
) -> Obj:
    """A route from a Gateway to Services. ``backends``: Service → weight. ValueError beyond the API's bound.

    ``published``: whether ExternalDNS may take the host name from the route. It must not where records of our own
    share that name out.
    """
    if len(backends) > ROUTE_BACKENDS:
        raise ValueError(
            f"{len(backends)} sites behind one Gateway: an HTTPRoute shares out between {ROUTE_BACKENDS} at most;"
            " use way_in.gateway_class, a Gateway for each site, with way_in.dns"
        )
    given = {"name": parent.name, "namespace": parent.namespace, "sectionName": parent.section}
    spec = {
        "parentRefs": [{key: value for key, value in given.items() if value is not None}],
        "hostnames": [host],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [
                    {"group": "", "kind": "Service", "name": backend, "port": port, "weight": weight}
                    for backend, weight in backends.items()
                ],
            }
        ],
    }
    made = obj(GATEWAY_API, "HTTPRoute", name, namespace, component, spec=spec)
    return _annotated(made, {} if published else UNPUBLISHED)


def ingress(
    name: str, namespace: Any, component: str, *, host: str, way: WayInArgs, backend: str, port: str, secret: Any
) -> Obj:
    """An Ingress of one host in front of one Service."""
    to = {"service": {"name": backend, "port": {"name": port}}}
    spec: Obj = {"rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": to}]}}]}
    if way.ingress_class is not None:
        spec["ingressClassName"] = way.ingress_class
    if secret is not None:
        spec["tls"] = [{"hosts": [host], "secretName": secret}]
    return _annotated(obj("networking.k8s.io/v1", "Ingress", name, namespace, component, spec=spec), way.annotations)


def dns_endpoint(
    name: str,
    namespace: Any,
    component: str,
    *,
    host: str,
    site: str,
    targets: Sequence[str],
    weight: int,
    dns: DnsArgs,
) -> Obj:
    """A site's record of the shared host name: one object a site, told apart by ``setIdentifier``, so that a new site
    changes no other's. ``targets``: the site's addresses, or one name that stands for them.
    """
    endpoints = [
        {
            "dnsName": host,
            "recordType": record,
            "recordTTL": dns.ttl_seconds,
            "setIdentifier": site if record != "AAAA" else f"{site}-6",
            "targets": found,
            "providerSpecific": [{"name": dns.weight_property, "value": str(weight)}],
        }
        for record, found in _records(targets).items()
    ]
    spec = {"endpoints": endpoints}
    return obj("externaldns.k8s.io/v1alpha1", "DNSEndpoint", name, namespace, component, spec=spec)


def _records(targets: Sequence[str]) -> dict[str, list[str]]:
    """Targets by the type of their record."""
    found: dict[str, list[str]] = {}
    for target in targets:
        kind = f"{'AAAA' if ':' in target else 'A'}" if _is_address(target) else "CNAME"
        found.setdefault(kind, []).append(target)
    return found


def _annotated(made: Obj, annotations: Mapping[str, str]) -> Obj:
    if annotations:
        made["metadata"]["annotations"] = dict(annotations)
    return made


# ---- RTMP


class RtmpArgs(Args):
    """Where hosts send their streams."""

    namespace: Text
    host: Host | None = None
    """Name that ExternalDNS gives to the load balancer. None: your own DNS does."""
    source_ranges: tuple[Network, ...] = ()
    """Who may send to the load balancer's address. Empty: the world; then ask publishers for a key (the live origin's
    own setting). Give the live origin the same ``source_ranges``: its NetworkPolicy guards the node ports too."""
    annotations: Mapping[str, str] = {}
    """What your cloud's load balancer wants to know."""


def rtmp_service(name: str, args: RtmpArgs, workload: str) -> Obj:
    """A load balancer for RTMP. A publisher stays on one connection, so that no affinity is needed; ``Local`` keeps its
    address, and sends nothing to a node whose origin is going.
    """
    spec: kinds.ServiceSpec = {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "selector": naming.selector(workload),
        "ports": [{"name": "rtmp", "port": 1935, "targetPort": "rtmp"}],
    }
    if args.source_ranges:
        spec["loadBalancerSourceRanges"] = list(args.source_ranges)
    made = obj("v1", "Service", name, args.namespace, name, spec=spec)
    return _annotated(made, {**({HOSTNAME_ANNOTATION: args.host} if args.host else {}), **args.annotations})


class RtmpEntry(Component):
    """The public address of live publishing."""

    service: pulumi.Output[str]
    """Name of the Service; its status has the address."""
    url: pulumi.Output[str]
    """What a host enters into its encoder, without the stream's name; by the public name where one is given."""

    def __init__(self, name: str, args: RtmpArgs, *, workload: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """``workload``: name of the StatefulSet that takes streams, ``live-origin`` of a LiveOrigin named ``live``."""
        super().__init__("tidegate:way_in:RtmpEntry", name, opts)
        self.put(rtmp_service(name, args, workload))
        inside = pulumi.Output.concat("rtmp://", name, ".", args.namespace, ".svc:1935/live")
        self.finish(service=name, url=f"rtmp://{args.host}:1935/live" if args.host else inside)
