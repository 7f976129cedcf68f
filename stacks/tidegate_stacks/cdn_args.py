"""Arguments of a CDN: the public host, its sites, the shield, the way in, what is kept for how long."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from tidegate_stacks.checks import (
    Args,
    Cpu,
    Image,
    Labels,
    Memory,
    Percent,
    Rate,
    Signal,
    Text,
    quoted,
    refuse_long_signals,
)
from tidegate_stacks.nginx_pod import IMAGE
from tidegate_stacks.nginx_values import MAX_ORIGINS, MAX_PATH, OBJECT_ARGUMENTS, Times
from tidegate_stacks.policy import ScaledArgs
from tidegate_stacks.sites import SiteArgs, wrong_together
from tidegate_stacks.way_in import ROUTE_BACKENDS, Host, Network, TlsArgs, WayInArgs

MOST_SITES = 512
"""More would be a program of their own (judgement)."""

_PREFIX = re.compile(r"/[A-Za-z0-9_.~/-]*")
_ARGUMENT = re.compile(r"[A-Za-z0-9_.~-]{1,64}")


def _prefix(value: object) -> object:
    if isinstance(value, str) and len(value) <= MAX_PATH and _PREFIX.fullmatch(value):
        return value
    raise ValueError(f"give the beginning of a path, e.g. /vod/, of {MAX_PATH} characters at most, not {quoted(value)}")


def _argument(value: object) -> object:
    if isinstance(value, str) and _ARGUMENT.fullmatch(value):
        return value
    raise ValueError(f"give the name of an argument as it stands in a URL, e.g. w, not {quoted(value)}")


def _not_the_world(network: str) -> str:
    if network.endswith("/0"):
        raise ValueError(f"{network} is the world: name the addresses that the sites of other clusters have")
    return network


Prefix = Annotated[str, BeforeValidator(_prefix)]
"""The beginning of a path: ``/vod/``."""
Argument = Annotated[str, BeforeValidator(_argument)]
"""Name of an argument of a URL: ``w``."""


class PathRuleArgs(Args):
    """How objects beneath a path are kept, in place of what their kind says. Playlists stay playlists."""

    path: Prefix
    """The longest that fits counts."""
    seconds: int = Field(ge=0, le=31_536_000)
    """How long an answer is kept, here and by players. 0: it is shared by those who ask at the same time."""
    arguments: tuple[Argument, ...] | None = Field(default=None, max_length=32)
    """Arguments that the answer depends on; others are neither sent to the origin nor part of the key. None: the
    CDN's."""


class ShieldWayInArgs(Args):
    """How sites in other clusters reach the shield: a load balancer for each of its pods, with TLS."""

    source_ranges: tuple[Annotated[Network, AfterValidator(_not_the_world)], ...] = Field(min_length=1)
    """Where those sites come from. Never the world: who reaches the shield goes past every edge. A load balancer that
    shows pods an address of its own in place of the client's needs that address here too."""
    annotations: Mapping[str, str] = {}
    """What your cloud's load balancer wants to know."""


class ShieldArgs(Args):
    """The tier between the sites and the origins. Every object has one home among its pods."""

    pods: int = Field(default=2, ge=1, le=MAX_ORIGINS)
    """Fixed: a pod more would give a part of all objects a new home, cold, in the middle of a peak."""
    pod_mbps: Rate = 2000
    """Egress that one pod carries at its SLO."""
    fill_percent: Percent = 5
    """Share of the sites' peak that they fetch from the shield (judgement). Each cache pod of a site fetches each
    object once, so that few viewers for each stream and many streams make it larger."""
    cpu: Cpu = "1"
    memory: Memory = "2Gi"
    disk: Memory = "20Gi"
    nodes: Labels = Field(default_factory=dict)
    public: ShieldWayInArgs | None = None
    """None: sites of this cluster only."""


class CdnArgs(ScaledArgs):
    """A CDN of one public host name."""

    backend: Literal["own"] = "own"
    """Who runs it. ``own``: nginx on your machines. Clouds' CDNs will be others, with the same outputs."""
    namespace: Text
    host: Host
    """Public host name. Requests for other hosts are refused, so that nobody can fill the caches with them."""
    sites: tuple[SiteArgs, ...] = Field(min_length=1, max_length=MOST_SITES)
    shield: ShieldArgs = ShieldArgs()
    way_in: WayInArgs = WayInArgs()
    """For all sites that say no other."""
    tls: TlsArgs | None = None
    """None: plain HTTP, or somebody in front of the cluster ends TLS."""
    rules: tuple[PathRuleArgs, ...] = Field(default=(), max_length=64)
    arguments: tuple[Argument, ...] = Field(default=OBJECT_ARGUMENTS, max_length=32)
    """Arguments that answers depend on; all others, session tokens above all, are neither sent to the origin nor part
    of the key."""
    segment_seconds: int = Field(default=Times().segment_seconds, ge=1, le=31_536_000)
    """How long a segment is kept. It never changes under its name."""
    other_seconds: int = Field(default=Times().other_seconds, ge=1, le=31_536_000)
    """How long everything else but playlists is kept. A playlist is kept for a second."""
    read_seconds: int = Field(default=Times().read_seconds, ge=1, le=300)
    """Longest silence of an origin before the next one is asked."""
    image: Image = IMAGE
    exporter: Image | None = None
    """Image of nginx-prometheus-exporter, e.g. docker.io/nginx/nginx-prometheus-exporter:1.4. None: no metrics."""
    monitor: bool = False
    """Whether PodMonitors are made: the cluster serves the kind. They need ``exporter``."""
    pod_mbps: Rate = 2000
    """Egress that one cache pod of a site carries at its SLO. Measure it; the network card is the usual bound."""
    cpu: Cpu = "1"
    memory: Memory = "2Gi"
    disk: Memory = "20Gi"
    """Cache of one pod. Not kept: a new pod is warm when its site's hot objects have passed through it."""
    reserve_disk: bool = True
    """Whether machines keep that much free for a pod, the shield's for its own too. False: for a trial on machines
    that do not tell theirs."""
    cpu_percent: int = Field(default=60, ge=10, le=90)
    """CPU use that the autoscaler aims at beneath the floor that the operator sets."""
    headroom_percent: int = Field(default=20, ge=0, le=500)
    lead_seconds: int = Field(default=60, ge=0, le=86_400)
    """From asking for a pod to a warm one, until that is measured."""
    signal: Signal = "egress_mbps"
    """Signal of the audience's egress. Sites with ``share_permille`` carry it; others carry ``egress_mbps_NAME``."""
    resolver: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.:\[\]-]+( [A-Za-z0-9.:\[\]-]+)*$", max_length=256)
    """DNS servers by address, e.g. 10.96.0.10. None: the pod's own."""
    cluster_domain: str = Field(default="cluster.local", pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=200)
    """What the names of Services end with. nginx asks DNS servers itself and knows no search list."""

    @field_validator("sites")
    @classmethod
    def _apart(cls, sites: tuple[SiteArgs, ...]) -> tuple[SiteArgs, ...]:
        if wrong := wrong_together(sites):
            raise ValueError("; ".join(wrong))
        return sites

    @field_validator("monitor")
    @classmethod
    def _scraped(cls, monitor: bool, info: Any) -> bool:
        if monitor and info.data.get("exporter", "") is None:
            raise ValueError("there is nothing to scrape without exporter: give its image, or leave monitor out")
        return monitor

    @field_validator("signal")
    @classmethod
    def _short(cls, signal: str, info: Any) -> str:
        refuse_long_signals(signal, (site.name for site in info.data.get("sites", ()) if not site.share_permille))
        return signal

    @field_validator("rules")
    @classmethod
    def _once(cls, rules: tuple[PathRuleArgs, ...]) -> tuple[PathRuleArgs, ...]:
        paths = [rule.path for rule in rules]
        if twice := sorted({path for path in paths if paths.count(path) > 1}):
            raise ValueError(f"names {', '.join(twice)} twice: give each path once")
        return rules

    @model_validator(mode="after")
    def _fits(self) -> CdnArgs:
        wrong = [*_shield(self.shield, self.sites, self.tls), *_ways(self.sites, self.way_in, self.tls)]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


def way_of(site: SiteArgs, way_in: WayInArgs) -> WayInArgs:
    """How a site is reached."""
    return site.way_in or way_in


def local(sites: Sequence[SiteArgs]) -> list[SiteArgs]:
    """Sites in the program's own cluster."""
    return [site for site in sites if site.kubeconfig is None]


def _shield(shield: ShieldArgs, sites: Sequence[SiteArgs], tls: TlsArgs | None) -> list[str]:
    wrong = []
    fill = math.ceil(sum(site.peak_mbps for site in sites) * shield.fill_percent / 100)
    if fill > shield.pods * shield.pod_mbps:
        least = math.ceil(fill / shield.pod_mbps)
        wrong.append(
            f"shield: its {shield.pods} pods carry {shield.pods * shield.pod_mbps} Mbit/s, and {shield.fill_percent} %"
            f" of the sites' peaks are {fill}: "
            + (f"give at least {least} pods" if least <= MAX_ORIGINS else "raise pod_mbps, or split the CDN by host")
        )
    elsewhere = [site.name for site in sites if site.kubeconfig is not None]
    if elsewhere and shield.public is None:
        wrong.append(f"shield: {elsewhere[0]} is in another cluster: give shield.public, so that it reaches the shield")
    if shield.public and tls is None:
        wrong.append("shield.public: sites fetch over TLS: give tls too")
    return wrong


def _ways(sites: Sequence[SiteArgs], way_in: WayInArgs, tls: TlsArgs | None) -> list[str]:
    wrong: list[Any] = []
    ways = {site.name: way_of(site, way_in) for site in sites}
    if tls and any(way.gateway for way in ways.values()):
        wrong.append(
            "tls: a Gateway that exists brings the certificate of its listener: remove tls, or use gateway_class"
        )
    together = [site.name for site in local(sites) if ways[site.name].gateway]
    if len(together) > ROUTE_BACKENDS:
        wrong.append(
            f"way_in: {len(together)} sites behind one Gateway, and an HTTPRoute shares out between {ROUTE_BACKENDS} at"
            " most: use gateway_class or load-balancer, with dns"
        )
    for site in sites:
        way = ways[site.name]
        if way.dns and way.gateway_class and not site.addresses:
            wrong.append(f"sites.{site.name}: a record needs the address of its Gateway: give addresses")
    shared = {way.model_dump_json() for site, way in zip(sites, ways.values(), strict=True) if _shares(site, way)}
    if len(shared) > 1:
        wrong.append("way_in: sites of one cluster behind an Ingress or a Gateway that exists share it: give it once")
    return wrong


def _shares(site: SiteArgs, way: WayInArgs) -> bool:
    """Whether the site has its way in together with others."""
    return site.kubeconfig is None and (way.kind == "ingress" or way.gateway is not None)
