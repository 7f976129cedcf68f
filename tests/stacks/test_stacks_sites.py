"""Edge sites: fifty by one program, and the fifty-first, which touches only itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import pulumi  # noqa: E402

from tidegate.api.parse import parse_live_event, parse_policy  # noqa: E402
from tidegate_stacks import sites, sizing  # noqa: E402
from tidegate_stacks.cdn import Cdn, CdnArgs, DnsArgs, ShieldArgs, ShieldWayInArgs, TlsArgs, WayInArgs  # noqa: E402
from tidegate_stacks.checks import ArgsError, load  # noqa: E402
from tidegate_stacks.policy import EventPolicy, EventPolicyArgs  # noqa: E402
from tidegate_stacks.sites import Need, SiteArgs, missing_nodes, range_of, target_of  # noqa: E402

FIFTY = 50
ELSEWHERE = 5
"""Every fifth site is in another cluster."""
TOTAL_MBPS = 500_000


def site(number: int) -> SiteArgs:
    """The ``number``-th of a network in which sites differ in all that they can."""
    elsewhere = number % ELSEWHERE == 4
    return SiteArgs(
        name=f"city-{number:02}",
        region=f"region-{number % 7}",
        city_tiers=(1 + number % 5,),
        latency_class=("metro", "regional", "far")[number % 3],  # type: ignore[arg-type]
        cost_per_gb=f"0.0{10 + number % 30}",
        normal_mbps=1_000 + 10 * number,
        peak_mbps=10_000 + 100 * number,
        nodes={"site": f"city-{number:02}"},
        kubeconfig=f"access to cluster {number}" if elsewhere else None,
        share_permille=250,
    )


def network(many: int, **change: Any) -> CdnArgs:
    public = ShieldWayInArgs(source_ranges=("10.0.0.0/8",))
    given: dict[str, Any] = {
        "namespace": "shop",
        "host": "live.example.com",
        "sites": tuple(site(number) for number in range(many)),
        "shield": ShieldArgs(pods=8, pod_mbps=20_000, public=public),
        "tls": TlsArgs(issuer="letsencrypt"),
        "way_in": WayInArgs(kind="load-balancer", dns=DnsArgs()),
        "policy": None,
    }
    return CdnArgs(**{**given, **change})


def laid(args: CdnArgs) -> tuple[Any, dict[tuple[str, str], Any]]:
    """The component, and what it registers by type and name."""
    cdn, found = ground.lay(lambda: Cdn("cdn", args, origins=["live-origin-0.live-origin.shop.svc.cluster.local:8080"]))
    by_name = {(one.type, one.name): one for one in found.resources}
    assert len(by_name) == len(found.resources), "no two resources may share a name"
    return cdn, by_name


def changed(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> set[Any]:
    """Resources that an update would touch: those that are in both, and differ."""
    return {key for key in before.keys() & after.keys() if before[key] != after[key]}


@pytest.fixture(scope="module")
def fifty() -> Any:
    return laid(network(FIFTY))


@pytest.fixture(scope="module")
def fifty_one() -> Any:
    return laid(network(FIFTY + 1))


def test_the_fifty_first_site_touches_only_itself(fifty: Any, fifty_one: Any) -> None:
    before, after = fifty[1], fifty_one[1]
    assert before.keys() <= after.keys()
    assert changed(before, after) == set()
    new = [after[key] for key in after.keys() - before.keys()]
    assert len(new) >= 8
    for one in new:
        assert one.name.startswith("cdn-city-50"), one.name


@pytest.mark.parametrize("kind", ["gateway_class", "ingress", "cluster", "node-port"])
def test_whatever_the_way_in_a_new_site_changes_nothing_of_the_others(kind: str) -> None:
    ways = {"gateway_class": WayInArgs(kind="gateway", gateway_class="envoy")}
    way = ways.get(kind) or WayInArgs(kind=kind)  # type: ignore[arg-type]
    before, after = (laid(network(many, way_in=way))[1] for many in (4, 6))
    assert changed(before, after) == set()


def test_the_policy_gets_one_line_for_a_new_site_and_no_other_line_changes(fifty: Any, fifty_one: Any) -> None:
    before, after = ({line["name"]: line for line in made[0].targets} for made in (fifty, fifty_one))
    assert set(after) - set(before) == {"cdn-city-50"}
    assert {name: after[name] for name in before} == before


def test_fifty_sites_of_one_cluster_are_one_policy_that_the_operator_accepts() -> None:
    args = network(FIFTY)
    here = tuple(one.model_copy(update={"kubeconfig": None}) for one in args.sites)

    def program() -> None:
        cdn = Cdn("cdn", args.model_copy(update={"sites": here}), origins=["o:1"])
        EventPolicy("show", EventPolicyArgs(namespace="shop"), cdn.targets)

    found = ground.lay(program)[1]
    policy = parse_policy(found.find("ScalingPolicy", "show").inputs)
    assert len(policy.targets) == FIFTY


def test_an_event_that_names_the_common_signal_reaches_every_site(fifty: Any) -> None:
    spec = {
        "schedule": {"startTime": "2026-11-11T20:00:00", "timeZone": "Asia/Shanghai", "durationSeconds": 3600},
        "expected": {"egress_mbps": TOTAL_MBPS},
        "policyRef": {"name": "show"},
    }
    metadata = {"name": "show", "namespace": "shop"}
    event = parse_live_event({"kind": "LiveEvent", "metadata": metadata, "spec": spec})
    announced = {signal for signal, _ in event.base.expected}
    assert {signal for line in fifty[0].targets for signal in line["capacity"]} == announced


def test_a_site_s_machines_are_in_its_own_node_group(fifty: Any) -> None:
    for number in range(FIFTY):
        name = f"cdn-city-{number:02}"
        spec = fifty[1]["kubernetes:apps/v1:Deployment", name].inputs["spec"]["template"]["spec"]
        assert spec["nodeSelector"] == {"site": f"city-{number:02}"}


def test_no_pod_of_a_site_reads_a_file_that_another_site_reads(fifty: Any) -> None:
    read = [
        volume["configMap"]["name"]
        for (kind, name), one in fifty[1].items()
        if kind.endswith(":Deployment")
        for volume in one.inputs["spec"]["template"]["spec"]["volumes"]
        if "configMap" in volume
    ]
    assert len(read) == len(set(read)) == FIFTY


# ---- other clusters


def test_a_site_with_a_kubeconfig_is_made_in_its_own_cluster(fifty: Any) -> None:
    far = {key: one for key, one in fifty[1].items() if one.name.startswith("cdn-city-04")}
    provider = far.pop(("pulumi:providers:kubernetes", "cdn-city-04-cluster"))
    assert ("kubernetes:core/v1:Namespace", "cdn-city-04-namespace") in far
    for one in far.values():
        assert "::cdn-city-04-cluster::" in one.provider, one.name
    assert provider.secrets == ["kubeconfig"], "access to a cluster is a secret"


def pair(**changed: Any) -> CdnArgs:
    """Two sites of one other cluster, and one of a third."""
    access = {"a": "access to one", "b": "access to one", "c": "access to another"} | changed
    return CdnArgs(
        namespace="shop",
        host="live.example.com",
        sites=tuple(
            SiteArgs(name=name, normal_mbps=10, peak_mbps=10, kubeconfig=given) for name, given in access.items()
        ),
        tls=TlsArgs(issuer="letsencrypt"),
        shield=ShieldArgs(public=ShieldWayInArgs(source_ranges=("10.0.0.0/8",))),
    )


def shared_by(found: ground.Ground) -> dict[str, list[str]]:
    """What sites of other clusters share there, by kind."""
    made = [one for one in found.objects if one.provider and one.kind in ("Namespace", "Certificate")]
    assert all(one.kept for one in made), "it stays when the site goes"
    return {kind: sorted(one.name for one in made if one.kind == kind) for kind in ("Namespace", "Certificate")}


def test_two_sites_of_one_other_cluster_share_its_namespace_and_certificate() -> None:
    found = ground.lay(lambda: Cdn("cdn", pair(), origins=["o:1"]))[1]
    assert shared_by(found) == {
        "Namespace": ["cdn-a-namespace", "cdn-c-namespace"],
        "Certificate": ["cdn-a-tls", "cdn-c-tls"],
    }
    assert found.find("Deployment", "cdn-b").provider, "the second site is made there all the same"


def test_sites_whose_access_is_known_later_count_as_of_different_clusters() -> None:
    def program() -> None:
        Cdn("cdn", pair(**{name: pulumi.Output.from_input("access to one") for name in "ab"}), origins=["o:1"])

    assert shared_by(ground.lay(program)[1])["Namespace"] == ["cdn-a-namespace", "cdn-b-namespace", "cdn-c-namespace"]


def test_what_is_a_site_s_own_goes_with_it() -> None:
    found = ground.lay(lambda: Cdn("cdn", pair(), origins=["o:1"]))[1]
    assert {one.kind for one in found.objects if one.kept} == {"Namespace", "Certificate"}


def test_the_sites_of_the_program_s_own_cluster_have_its_provider(fifty: Any) -> None:
    near = [one for one in fifty[1].values() if one.name.startswith("cdn-city-03")]
    assert near
    assert {one.provider for one in near} == {""}


def test_a_site_in_another_cluster_fetches_from_the_shield_s_public_names_over_tls(fifty: Any) -> None:
    def text(name: str) -> str:
        return str(fifty[1]["kubernetes:core/v1:ConfigMap", name].inputs["data"]["nginx.conf"])

    assert "shield-0.live.example.com:443" in text("cdn-city-04")
    assert "proxy_ssl_verify on" in text("cdn-city-04")
    assert "cdn-shield-0.cdn-shield.shop.svc.cluster.local:8080" in text("cdn-city-03")


def test_the_operator_of_this_cluster_moves_no_site_of_another(fifty: Any) -> None:
    assert len(fifty[0].targets) == FIFTY - FIFTY // ELSEWHERE
    assert "cdn-city-04" not in {line["name"] for line in fifty[0].targets}
    assert set(fifty[0].elsewhere) == {f"city-{number:02}" for number in range(4, FIFTY, ELSEWHERE)}


# ---- the line in the policy


def line(share: int | None) -> dict[str, Any]:
    one = SiteArgs(name="cn-east", normal_mbps=900, peak_mbps=20_000, share_permille=share)
    size = range_of(one, pod_mbps=2_000, headroom_percent=20)
    workload = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cdn-cn-east"}}
    return target_of(workload, one, signal="egress_mbps", pod_mbps=2_000, size=size, lead_seconds=60, lane=None)


def test_a_site_of_a_share_carries_the_common_signal_by_that_share() -> None:
    """40 of 1,000: 2,000 Mbit/s of the site are 50,000 of the whole audience."""
    assert line(40)["capacity"] == {"egress_mbps": 50_000}
    assert line(40)["background"] == {"egress_mbps": 22_500}


def test_a_site_without_a_share_has_a_signal_of_its_own() -> None:
    assert line(None)["capacity"] == {"egress_mbps_cn_east": 2_000}
    assert line(None)["background"] == {"egress_mbps_cn_east": 900}


@pytest.mark.parametrize("share", [1, 3, 7, 333, 999, 1000])
def test_rounding_never_plans_too_little(share: int) -> None:
    made = line(share)
    assert made["capacity"]["egress_mbps"] * share <= 2_000 * 1_000
    assert made["background"]["egress_mbps"] * share >= 900 * 1_000


def test_a_site_s_pods_carry_its_peak_with_headroom() -> None:
    size = range_of(SiteArgs(name="a", normal_mbps=1, peak_mbps=20_000), pod_mbps=2_000, headroom_percent=20)
    assert size == sizing.Range(2, 12)


# ---- machines


def node(labels: dict[str, str], cpu: str = "4", memory: str = "8Gi", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"labels": labels}, "spec": spec, "status": {"allocatable": {"cpu": cpu, "memory": memory}}}


def test_machines_that_are_there_are_no_finding() -> None:
    needs = {"east": Need({"site": "east"}, 4, "1", "2Gi")}
    assert missing_nodes(needs, [node({"site": "east"})]) == []


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([], "east: no node bears site=east"),
        ([node({"site": "west"})], "east: no node bears site=east"),
        ([node({"site": "east"}, unschedulable=True)], "east: no node bears site=east"),
        ([node({"site": "east"}, cpu="3920m")], "east: at the peak their pods take 4 cores of 3.92"),
        ([node({"site": "east"}, memory="8000000Ki")], "east: at the peak their pods take 8 GiB of 8"),
    ],
)
def test_machines_that_are_missing_are_named(nodes: list[dict[str, Any]], said: str) -> None:
    (found,) = missing_nodes({"east": Need({"site": "east"}, 4, "1", "2Gi")}, nodes)
    assert found.startswith(said), found


def test_sites_without_labels_share_all_nodes() -> None:
    needs = {name: Need({}, 2, "1", "1Gi") for name in ("east", "west")}
    (found,) = missing_nodes(needs, [node({}, cpu="3")])
    assert found.startswith("east, west: at the peak their pods take 4 cores of 3")
    assert missing_nodes(needs, [node({}, cpu="2"), node({"any": "thing"}, cpu="2")]) == []


def test_the_needs_of_a_network_are_those_of_its_sites(fifty: Any) -> None:
    described = ground.outputs_of(lambda: Cdn("cdn", network(5), origins=["o:1"]))["sites"]
    assert described["city-04"]["cluster"] == "other"
    assert described["city-03"]["needs"] == {"labels": {"site": "city-03"}, "pods": 7, "cpu": "1", "memory": "2Gi"}


# ---- what is refused


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"peak_mbps": 1}, "site.peak_mbps: 1 is below normal_mbps 10"),
        ({"cost_per_gb": 0.02}, "site.cost_per_gb: give a decimal number in quotes"),
        ({"cost_per_gb": "2 cents"}, "site.cost_per_gb: give a decimal number in quotes"),
        ({"city_tiers": [6]}, "site.city_tiers[0]: should be less than or equal to 5"),
        ({"latency_class": "near"}, "site.latency_class: should be 'metro', 'regional' or 'far'"),
        ({"share_permille": 0}, "site.share_permille: should be greater than or equal to 1"),
        ({"weight": 300}, "site.weight: should be less than or equal to 255"),
        ({"nodes": {"pool": 1}}, "site.nodes: pool: 1 is no label"),
        ({"name": "East"}, "site.name: use lower-case letters"),
        ({"kubconfig": "x"}, "site.kubconfig: is not known"),
    ],
)
def test_a_site_that_cannot_be_is_refused_in_words(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ArgsError) as refused:
        load(SiteArgs, {"name": "east", "normal_mbps": 10, "peak_mbps": 20, **given}, "site")
    assert any(one.startswith(problem) for one in refused.value.problems), refused.value.problems


def test_shares_that_leave_a_part_of_the_audience_to_nobody_are_refused() -> None:
    made = [SiteArgs(name=name, normal_mbps=1, peak_mbps=1, share_permille=400) for name in ("a", "b")]
    (found,) = sites.wrong_together(made)
    assert found.startswith("shares are 800 of 1000 together")
    assert sites.wrong_together([*made, SiteArgs(name="c", normal_mbps=1, peak_mbps=1, share_permille=400)]) == []
    assert sites.wrong_together([*made, SiteArgs(name="c", normal_mbps=1, peak_mbps=1)]) == []
