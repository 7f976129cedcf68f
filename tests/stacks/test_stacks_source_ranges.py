"""Who may come in from outside is kept to at the pods, so that no port of a node is a way around."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from tidegate_stacks import cdn_shield, cdn_site, live, way_in  # noqa: E402
from tidegate_stacks.cdn import CdnArgs, ShieldArgs, ShieldWayInArgs, SiteArgs, TlsArgs, WayInArgs  # noqa: E402

RANGES = ("203.0.113.0/24", "2001:db8::/32")
INVITED, OTHERS = ("203.0.113.9", "2001:db8::9"), ("198.51.100.9", "2001:db9::9")


def policy_of(made: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = [one for one in made if one["kind"] == "NetworkPolicy"]
    return found["spec"]


def admits(rule: dict[str, Any], address: str | None) -> bool:
    """Whether a rule admits an address outside of the cluster; None: a pod of another namespace."""
    if "from" not in rule:
        return True
    if address is None:
        return {"namespaceSelector": {}} in rule["from"]
    networks = [ipaddress.ip_network(peer["ipBlock"]["cidr"]) for peer in rule["from"] if "ipBlock" in peer]
    return any(ipaddress.ip_address(address) in network for network in networks)


def ports_for(spec: dict[str, Any], address: str | None) -> set[int]:
    return {port["port"] for rule in spec["ingress"] if admits(rule, address) for port in rule["ports"]}


def cdn(**more: Any) -> CdnArgs:
    site = SiteArgs(name="a", normal_mbps=100, peak_mbps=200)
    given: dict[str, Any] = {"namespace": "shop", "host": "live.example.com", "sites": (site,)}
    return CdnArgs(**{**given, "tls": TlsArgs(secret="tls"), **more})


def site_policy(*ranges: str) -> dict[str, Any]:
    args = cdn(way_in=WayInArgs(kind="load-balancer", source_ranges=ranges))
    return policy_of(cdn_site.site_objects("cdn", args, args.sites[0], ["shield:8080"]))


def shield_policy(*ranges: str) -> dict[str, Any]:
    args = cdn(shield=ShieldArgs(public=ShieldWayInArgs(source_ranges=ranges)))
    return policy_of(cdn_shield.shield_objects("cdn", args, ["origin:8080"]))


def origin_policy(*ranges: str) -> dict[str, Any]:
    given = {"publish": live.PublishArgs(open=True), "normal_mbps": 1, "peak_mbps": 9}
    return policy_of(live.origin_objects("live", live.LiveOriginArgs(namespace="shop", source_ranges=ranges, **given)))


GUARDED = pytest.mark.parametrize(
    ("policy", "ports"),
    [(site_policy, {8080, 8443}), (shield_policy, {8080, 8443}), (origin_policy, {1935})],
    ids=["site", "shield", "live origin"],
)


@GUARDED
def test_who_is_not_in_the_ranges_comes_in_by_no_node_port_either(policy: Any, ports: set[int]) -> None:
    spec = policy(*RANGES)
    assert [ports_for(spec, address) & ports for address in INVITED] == [ports, ports]
    assert [ports_for(spec, address) for address in OTHERS] == [set(), set()]


@GUARDED
def test_pods_of_the_cluster_still_come_in(policy: Any, ports: set[int]) -> None:
    assert ports <= ports_for(policy(*RANGES), None)


@pytest.mark.parametrize(("policy", "ports"), [(site_policy, {8080, 8443}), (origin_policy, {1935})])
def test_without_ranges_the_world_comes_in(policy: Any, ports: set[int]) -> None:
    assert ports_for(policy(), OTHERS[0]) == ports


def test_load_balancers_with_ranges_show_pods_the_client_s_own_address() -> None:
    way = WayInArgs(kind="load-balancer", source_ranges=RANGES)
    made = way_in.public_service("a", "shop", "cdn", pods={}, way=way, tls=True)
    rtmp = way_in.rtmp_service("push", way_in.RtmpArgs(namespace="shop", source_ranges=RANGES), "live-origin")
    assert [one["spec"]["externalTrafficPolicy"] for one in (made, rtmp)] == ["Local", "Local"]
