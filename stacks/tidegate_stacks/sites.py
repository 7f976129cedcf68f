"""An edge site is one value: where it is, what it carries, what it costs, on which machines or in which cluster.

From it come the machines that it needs, its line in a policy and its record in DNS (here), and its pods and the way in
(``cdn_site``). Nothing that a site makes names another site, so that a new site changes none of the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from tidegate_stacks import sizing
from tidegate_stacks.checks import Args, Labels, Part, Rate, Secret, Text, quoted, signal_of_place
from tidegate_stacks.objects import Obj
from tidegate_stacks.policy import target
from tidegate_stacks.way_in import MOST_WEIGHT, WayInArgs

LEAST = 2
"""Pods of a site: one may always be drained."""
WHOLE = 1000
"""All of an audience, in thousandths."""

_MONEY = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_TIERS = 5
"""Cities are classed from 1 (the largest) to 5 in the field."""


def _money(value: object) -> object:
    if isinstance(value, str) and _MONEY.fullmatch(value):
        return value
    raise ValueError(f'give a decimal number in quotes, e.g. "0.021", not {quoted(value)}')


Money = Annotated[str, BeforeValidator(_money)]
"""An amount in the currency that your team uses throughout: ``"0.021"``."""


class SiteArgs(Args):
    """An edge site."""

    name: Part
    normal_mbps: Rate
    """Egress on an ordinary evening."""
    peak_mbps: Rate
    """Most egress that this site is ever to carry: the maximum of its autoscaler, and of the plan."""
    region: Part | None = None
    """Where it is. Described only: ``nodes`` choose the machines."""
    city_tiers: tuple[Annotated[int, Field(ge=1, le=_TIERS)], ...] = ()
    """Classes of the cities that it serves, 1 the largest. Described only."""
    latency_class: Literal["metro", "regional", "far"] = "regional"
    """How far its audience is: in the same city, in the same region, farther. Described only."""
    cost_per_gb: Money | None = None
    """What a gigabyte of egress costs here. Described only."""
    nodes: Labels = Field(default_factory=dict)
    """Labels of its node group. Empty: any node, as on a bare cluster."""
    kubeconfig: Secret | None = Field(default=None, repr=False)
    """Access to the cluster that the site is, where it is not the program's own. Kept as a secret, and never
    quoted in a message. Sites with the same kubeconfig share a namespace and a certificate, which stay in that cluster
    when the sites go."""
    priority: Text | None = None
    """PriorityClass of its pods. None: the CDN's, and in another cluster the default of that cluster."""
    share_permille: int | None = Field(default=None, ge=1, le=WHOLE)
    """Share of the announced audience that the site takes, in thousandths: its line in the policy then carries the
    common signal, and an event need not name the site. None: the site has a signal of its own, for places that peak
    apart. An event names at most 32 signals and 32 derived ones."""
    weight: int | None = Field(default=None, ge=0, le=MOST_WEIGHT)
    """Share of connections that the way in sends here, against other sites. 0: none, as before a site is taken out.
    None: 1 for each Gbit/s of its peak."""
    addresses: tuple[str, ...] = Field(default=(), max_length=8)
    """Public addresses, or one host name, for the site's record in DNS. Empty: ``NAME.HOST``, which ExternalDNS
    publishes for a load balancer's Service by itself."""
    way_in: WayInArgs | None = None
    """None: as the CDN's."""

    @field_validator("peak_mbps")
    @classmethod
    def _order(cls, peak: int, info: Any) -> int:
        if peak < info.data.get("normal_mbps", 0):
            raise ValueError(f"{peak} is below normal_mbps {info.data['normal_mbps']}: raise it or lower normal_mbps")
        return peak


def weight_of(site: SiteArgs) -> int:
    """The site's weight among others. It depends on no other site."""
    if site.weight is not None:
        return site.weight
    return max(1, min(MOST_WEIGHT, round(site.peak_mbps / 1000)))


def range_of(site: SiteArgs, *, pod_mbps: int, headroom_percent: int) -> sizing.Range:
    """Cache pods of a site."""
    return sizing.serving_range(
        site.normal_mbps, site.peak_mbps, per_unit=pod_mbps, headroom_percent=headroom_percent, least=LEAST
    )


def signal_of(site: SiteArgs, signal: str) -> str:
    """The signal that the site's line carries: the common one where it takes a share of it, else its own."""
    return signal if site.share_permille else signal_of_place(signal, site.name)


def target_of(
    workload: Mapping[str, Any],
    site: SiteArgs,
    *,
    signal: str,
    pod_mbps: int,
    size: sizing.Range,
    lead_seconds: int,
    lane: str | None,
) -> Obj:
    """The site's line in a policy.

    A site that takes 40 thousandths of an audience needs a pod of 2,000 Mbit/s for each 50,000 Mbit/s of the whole
    audience: that is the capacity which its line states. The capacity is rounded down and the background up.
    """
    share = site.share_permille or WHOLE
    carried = signal_of(site, signal)
    return target(
        workload,
        capacity={carried: pod_mbps * WHOLE // share},
        background={carried: -(-site.normal_mbps * WHOLE // share)},
        minimum=size.normal,
        maximum=size.most,
        stage="edge",
        lead_seconds=lead_seconds,
        lane=lane,
    )


def wrong_together(sites: Sequence[SiteArgs]) -> list[str]:
    """What is wrong between sites, in words: names and shares."""
    names = [site.name for site in sites]
    wrong = [f"names {name} twice: give each site once" for name in sorted({n for n in names if names.count(n) > 1})]
    shares = [site.share_permille for site in sites if site.share_permille]
    if len(shares) == len(sites) and sum(shares) < WHOLE:
        wrong.append(
            f"shares are {sum(shares)} of {WHOLE} together, so that no site is planned for the rest of the audience:"
            " raise share_permille of some"
        )
    return wrong


# ---- machines


@dataclass(frozen=True, slots=True)
class Need:
    """The machines that a site needs at its peak."""

    labels: Mapping[str, str]
    pods: int
    cpu: str
    """Of one pod."""
    memory: str


def missing_nodes(needs: Mapping[str, Need], nodes: Iterable[Mapping[str, Any]]) -> list[str]:
    """What is missing of the machines of sites, in words. ``nodes``: Node objects of the sites' cluster.

    Sites of the same labels share their nodes. A node that is cordoned counts for nothing. What runs beside is not
    counted, so that a site which passes may still be short.
    """
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name, need in needs.items():
        groups.setdefault(tuple(sorted(need.labels.items())), []).append(name)
    ready = [node for node in nodes if not node.get("spec", {}).get("unschedulable")]
    wrong = []
    for labels, names in groups.items():
        mine = [node for node in ready if dict(labels).items() <= node["metadata"].get("labels", {}).items()]
        asked = sizing.machines((needs[name].cpu, needs[name].memory, needs[name].pods) for name in names)
        wrong += _short(", ".join(names), labels, mine, asked)
    return wrong


def _short(
    sites: str, labels: Sequence[tuple[str, str]], nodes: Sequence[Mapping[str, Any]], asked: tuple[int, int]
) -> list[str]:
    said = ", ".join(f"{key}={value}" for key, value in labels) or "no label"
    if not nodes:
        return [f"{sites}: no node bears {said}: label the nodes of its group, or change nodes"]
    has = [node["status"]["allocatable"] for node in nodes]
    cpu, memory = sum(quantity(one["cpu"]) * 1000 for one in has), sum(quantity(one["memory"]) for one in has)
    short = []
    if asked[0] > cpu:
        short.append(f"{asked[0] / 1000:g} cores of {cpu / 1000:g}")
    if asked[1] > memory:
        short.append(f"{asked[1] / 1024**3:.0f} GiB of {memory / 1024**3:.0f}")
    if not short:
        return []
    return [f"{sites}: at the peak their pods take {' and '.join(short)}, all that nodes with {said} have: add nodes"]


_SUFFIXES = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_SUFFIXES |= {f"{prefix}i": 1024.0 ** (power + 1) for power, prefix in enumerate("KMGTP")}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)")


def quantity(text: str) -> float:
    """Kubernetes' notation of an amount: ``3920m`` is 3.92, ``7Gi`` is 7,516,192,768. ValueError for anything else."""
    found = _QUANTITY.fullmatch(text)
    if not found or found[2] not in _SUFFIXES:
        raise ValueError(f"{text!r} is no amount of Kubernetes")
    return float(found[1]) * _SUFFIXES[found[2]]
