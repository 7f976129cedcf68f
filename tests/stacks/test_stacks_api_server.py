"""What the API server would refuse is refused first, in words; what it writes otherwise is written its way at once."""

from __future__ import annotations

from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from samples import EACH, as_it_is  # noqa: E402

from tidegate_stacks import checks, live, nginx_pod, objects  # noqa: E402
from tidegate_stacks.cdn import CdnArgs  # noqa: E402
from tidegate_stacks.edge import EdgeCacheArgs  # noqa: E402
from tidegate_stacks.way_in import RtmpArgs  # noqa: E402

PLACE = {"name": "a" * 24, "normal_mbps": 1, "peak_mbps": 1}
CDN = {"namespace": "shop", "host": "live.example.com"}
EDGE = {"namespace": "shop"}


def refused(kind: Any, given: dict[str, Any]) -> list[str]:
    with pytest.raises(checks.ArgsError) as found:
        checks.load(kind, given, "it")
    return found.value.problems


@pytest.mark.parametrize(
    "network", ["203.0.113.7", "10.0.0.0/255.0.0.0", "10.0.0.0/0.0.0.255", "10.0.0.0/08", "::%1/64"]
)
def test_addresses_are_a_network_with_a_length(network: str) -> None:
    (problem,) = refused(RtmpArgs, {"namespace": "shop", "source_ranges": ["203.0.113.7/32", "fd00::/8", network]})
    assert problem.startswith("it.source_ranges[2]: give addresses as a network, e.g. 203.0.113.0/24")


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_the_world_may_send_and_watch_and_never_reaches_the_shield(network: str) -> None:
    checks.load(RtmpArgs, {"namespace": "shop", "source_ranges": [network]}, "it")
    shield = {"public": {"source_ranges": ["10.0.0.0/8", network]}}
    (problem,) = refused(CdnArgs, {**CDN, "sites": [PLACE], "shield": shield})
    assert problem.startswith(f"it.shield.public.source_ranges[1]: {network} is the world: name the addresses that")


@pytest.mark.parametrize(
    ("kind", "given"), [(EdgeCacheArgs, {**EDGE, "regions": [PLACE]}), (CdnArgs, {**CDN, "sites": [PLACE]})]
)
def test_the_signal_of_a_place_is_no_longer_than_a_signal_may_be(kind: Any, given: dict[str, Any]) -> None:
    checks.load(kind, {**given, "signal": "s" * 38}, "it")
    signal, place = "s" * 39, "a" * 24
    (problem,) = refused(kind, {**given, "signal": signal})
    said = f"'{signal}_{place}' has 64 characters, and a signal at most 63: shorten '{signal}' or '{place}'"
    assert problem == f"it.signal: {said}"


def test_a_site_that_takes_a_share_bears_the_common_signal_however_long() -> None:
    site = {**PLACE, "share_permille": 1000}
    assert checks.load(CdnArgs, {**CDN, "sites": [site], "signal": "s" * 63}, "it").signal == "s" * 63


def test_a_path_is_given_once_to_an_edge_too() -> None:
    rule = {"path": "/img/", "seconds": 1}
    problem = "it.rules: names /img/ twice: give each path once"
    assert refused(EdgeCacheArgs, {**EDGE, "regions": [PLACE], "rules": [rule, rule]}) == [problem]


def test_a_path_of_a_rule_is_no_longer_than_nginx_takes() -> None:
    long = {"rules": [{"path": "/" + "a" * 256, "seconds": 1}]}
    assert "of 256 characters at most" in refused(CdnArgs, {**CDN, "sites": [PLACE], **long})[0]
    assert refused(EdgeCacheArgs, {**EDGE, "regions": [PLACE], **long})[0].startswith("it.rules[0].path: ")


@pytest.mark.parametrize(
    ("cpu", "want"), [("2", "2"), ("2000m", "2"), ("1500m", "1500m"), ("0500m", "500m"), ("02", "2"), ("10m", "10m")]
)
def test_cpu_is_written_as_the_api_server_does(cpu: str, want: str) -> None:
    assert objects.resources(cpu, "1Gi")["requests"]["cpu"] == want


def test_every_volume_s_size_is_written_as_the_api_server_does() -> None:
    pod = nginx_pod.template("w", "c", nginx_pod.NginxArgs(disk="2048Mi"), config_map="m", conf="")["spec"]
    args = live.LiveOriginArgs(
        namespace="shop", publish=live.PublishArgs(open=True), normal_mbps=1, peak_mbps=1, disk="04096Mi"
    )
    origin = live.origin_objects("live", args)[0]["spec"]["template"]["spec"]
    sizes = [one["emptyDir"]["sizeLimit"] for one in (*pod["volumes"], *origin["volumes"]) if "emptyDir" in one]
    assert sizes == ["2Gi", "64Mi", "4Gi"]


HOLD_STATE = {"one-0", "one-1", "one-2", "one-origin"}
"""Shards of a cache and origins: a pod that is not ready may hold what others lack."""


@pytest.mark.parametrize("component", EACH)
def test_what_serves_nobody_holds_up_no_drain_unless_it_may_hold_what_others_lack(component: str) -> None:
    laid = [one.inputs for one in ground.lay(lambda: EACH[component]("one", as_it_is))[1].objects]
    for one in laid:
        if one["kind"] == "PodDisruptionBudget":
            holds = one["metadata"]["name"] in HOLD_STATE
            assert one["spec"]["unhealthyPodEvictionPolicy"] == ("IfHealthyBudget" if holds else "AlwaysAllow")
