"""The CDN as a program registers it: the shield, what its pods have in common, the way in, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from samples import EACH, as_it_is, cdn_args  # noqa: E402

from tidegate_stacks.cdn import (  # noqa: E402
    Cdn,
    CdnArgs,
    ContentArgs,
    ContentJob,
    ShieldArgs,
    ShieldWayInArgs,
    SiteArgs,
    TlsArgs,
    WayInArgs,
)
from tidegate_stacks.checks import ArgsError, load  # noqa: E402
from tidegate_stacks.objects import CONFIG_ANNOTATION  # noqa: E402
from tidegate_stacks.way_in import RtmpArgs, RtmpEntry  # noqa: E402

OURS = [name for name in EACH if name.startswith("cdn") or name == "purge"]
SHIELD_WAY = ShieldWayInArgs(source_ranges=("203.0.113.0/24",))
WORKLOADS = ("Deployment", "StatefulSet", "Job")


def laid(name: str) -> Any:
    return ground.lay(lambda: EACH[name]("one", as_it_is))[1]


def of(args: CdnArgs) -> Any:
    return ground.lay(lambda: Cdn("cdn", args, origins=["live-origin-0.live-origin.shop.svc:8080"]))[1]


# ---- every pod template


@pytest.fixture(scope="module")
def programs() -> dict[str, Any]:
    return {name: laid(name) for name in OURS}


def each_template(programs: dict[str, Any]) -> Iterator[tuple[Any, Any, Any]]:
    for found in programs.values():
        for one in found.objects:
            if one.kind in WORKLOADS:
                yield found, one, one.inputs["spec"]["template"]


def test_every_pod_template_says_who_may_reach_its_pods(programs: dict[str, Any]) -> None:
    for found, one, template in each_template(programs):
        policy = found.find("NetworkPolicy", one.name).inputs["spec"]
        assert policy["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        assert policy["policyTypes"] == ["Ingress"]


def test_a_drain_never_takes_a_whole_site_or_two_pods_of_the_shield(programs: dict[str, Any]) -> None:
    found = programs["cdn-by-load-balancers"]
    allowed = {one.name: one.inputs["spec"] for one in found.objects if one.kind == "PodDisruptionBudget"}
    assert allowed["one-shield"]["maxUnavailable"] == 1
    assert allowed["one-cn-east"]["maxUnavailable"] == "20%"
    for name, spec in allowed.items():
        assert spec["selector"]["matchLabels"] == {"app.kubernetes.io/name": name}


def test_a_site_s_pods_follow_an_autoscaler_within_the_bounds_of_its_peak(programs: dict[str, Any]) -> None:
    spec = programs["cdn-by-load-balancers"].find("HorizontalPodAutoscaler", "one-cn-east").inputs["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 54)


def test_every_container_is_checked_bounded_and_restricted(programs: dict[str, Any]) -> None:
    for _, one, template in each_template(programs):
        for container in template["spec"]["containers"]:
            where = f"{one.name} {container['name']}"
            assert "readinessProbe" in container, where
            assert "livenessProbe" in container, where
            assert {"cpu", "memory", "ephemeral-storage"} <= container["resources"]["requests"].keys(), where
            assert {"memory", "ephemeral-storage"} <= container["resources"]["limits"].keys(), where
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, where
            assert ":" in container["image"], where
        security = template["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0


def test_every_pod_is_replaced_when_its_files_change(programs: dict[str, Any]) -> None:
    for _, _one, template in each_template(programs):
        assert template["metadata"]["annotations"][CONFIG_ANNOTATION]


def test_every_pod_bears_the_priority_that_it_is_given(programs: dict[str, Any]) -> None:
    borne = {
        one.name: template["spec"].get("priorityClassName")
        for _, one, template in each_template({"it": programs["cdn-by-load-balancers"]})
    }
    assert borne == dict.fromkeys(("one-shield", "one-cn-east", "one-cn-south", "one-far"), "serving")


def test_pods_in_another_cluster_bear_no_class_of_this_one() -> None:
    far = SiteArgs(name="far", normal_mbps=1, peak_mbps=1, kubeconfig="access")
    found = of(
        cdn_args(
            as_it_is,
            sites=(far,),
            priority="serving",
            nodes={"pool": "hangzhou-a"},
            tls=TlsArgs(secret="c"),
            shield=ShieldArgs(public=SHIELD_WAY),
        )
    )
    spec = found.find("Deployment", "cdn-far").inputs["spec"]["template"]["spec"]
    assert "priorityClassName" not in spec
    assert "nodeSelector" not in spec, "labels of this cluster's lane mean nothing there"


def test_what_is_scraped_has_a_monitor_where_the_cluster_serves_the_kind(programs: dict[str, Any]) -> None:
    found = programs["cdn-by-load-balancers"]
    monitors = {one.name for one in found.objects if one.kind == "PodMonitor"}
    assert {"one-shield", "one-cn-east", "one-cn-south"} <= monitors
    assert not [one for one in programs["cdn"].objects if one.kind == "PodMonitor"]


# ---- the shield


def test_only_the_shield_asks_the_origins_and_every_site_asks_the_shield() -> None:
    found = of(cdn_args(as_it_is))
    for name in ("cdn-cn-east", "cdn-cn-south"):
        text = found.find("ConfigMap", name).inputs["data"]["nginx.conf"]
        assert "live-origin" not in text
        assert "split_clients" in text, "each object has one home in the shield"
        for number in range(4):
            assert f"cdn-shield-{number}.cdn-shield.shop.svc.cluster.local:8080" in text
    text = found.find("ConfigMap", "cdn-shield").inputs["data"]["nginx.conf"]
    assert "live-origin-0.live-origin.shop.svc.cluster.local:8080" in text


def test_the_shield_has_as_many_pods_as_sites_know_and_nothing_moves_them() -> None:
    found = of(cdn_args(as_it_is))
    shield = found.find("StatefulSet", "cdn-shield")
    assert shield.inputs["spec"]["replicas"] == 4
    assert shield.ignores == []
    moved = [line["name"] for line in found.find("ScalingPolicy", "cdn").inputs["spec"]["targets"]]
    assert moved == ["cdn-cn-east", "cdn-cn-south"]


def test_the_shield_s_pods_have_names_only_while_they_are_ready() -> None:
    spec = of(cdn_args(as_it_is)).find("Service", "cdn-shield").inputs["spec"]
    assert (spec["clusterIP"], spec.get("publishNotReadyAddresses", False)) == ("None", False)


def test_each_pod_of_a_site_has_an_address_for_prefetches_and_purges() -> None:
    spec = of(cdn_args(as_it_is)).find("Service", "cdn-cn-east-pods").inputs["spec"]
    assert spec["clusterIP"] == "None"
    assert {one["port"] for one in spec["ports"]} == {8080, 8082}


def test_in_a_lane_the_sites_ask_the_pool_and_run_on_its_nodes() -> None:
    found = laid("cdn-in-a-lane")
    spec = found.find("ScalingPolicy", "one").inputs["spec"]
    assert [line.get("lane") for line in spec["targets"]] == ["trading", "trading"]
    nodes = found.find("Deployment", "one-cn-south").inputs["spec"]["template"]["spec"]["nodeSelector"]
    assert nodes == {"pool": "hangzhou-a", "site": "cn-south"}


def test_the_shield_is_closed_to_the_world_but_where_other_clusters_fetch() -> None:
    def who(found: Any) -> list[Any]:
        rules = found.find("NetworkPolicy", "cdn-shield").inputs["spec"]["ingress"]
        return [rule.get("from") for rule in rules if {"port": 8080, "protocol": "TCP"} in rule["ports"]]

    assert who(of(cdn_args(as_it_is))) == [[{"namespaceSelector": {}}]]
    public = cdn_args(as_it_is, tls=TlsArgs(secret="c"), shield=ShieldArgs(pods=4, public=SHIELD_WAY))
    found = of(public)
    assert who(found) == [[{"ipBlock": {"cidr": "203.0.113.0/24"}}, {"namespaceSelector": {}}]]
    ways = [found.find("Service", f"cdn-shield-{number}-public").inputs["spec"] for number in range(4)]
    assert [way["loadBalancerSourceRanges"] for way in ways] == [["203.0.113.0/24"]] * 4
    assert [way["selector"] for way in ways] == [
        {"statefulset.kubernetes.io/pod-name": f"cdn-shield-{number}"} for number in range(4)
    ]


def test_the_port_for_purges_is_open_to_the_cdn_s_own_jobs_alone() -> None:
    found = of(cdn_args(as_it_is))
    mine = [{"podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "cdn"}}}]
    for name in ("cdn-shield", "cdn-cn-east"):
        rules = found.find("NetworkPolicy", name).inputs["spec"]["ingress"]
        assert [rule["from"] for rule in rules if {"port": 8082, "protocol": "TCP"} in rule["ports"]] == [mine]
    (job,) = [one for one in laid("purge").objects if one.kind == "Job"]
    assert job.inputs["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/part-of"] == "cdn"


def test_a_job_finds_the_pods_of_its_cdn_by_their_whole_names() -> None:
    def program() -> None:
        cdn = Cdn("cdn", cdn_args(as_it_is), origins=["o:1"])
        ContentJob("gone", "shop", ContentArgs(action="purge", paths=("/a.ts",)), caches=cdn.caches)

    (job,) = [one.inputs for one in ground.lay(program)[1].objects if one.kind == "Job"]
    told = {one["name"]: one["value"] for one in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert told["FIRST"] == "cdn-shield.shop.svc.cluster.local:8082"
    sites = ("cdn-cn-east-pods", "cdn-cn-south-pods")
    assert told["THEN"] == " ".join(f"{one}.shop.svc.cluster.local:8082" for one in sites)


def test_rules_by_path_reach_the_configuration_of_both_tiers() -> None:
    found = of(cdn_args(as_it_is))
    for name in ("cdn-shield", "cdn-cn-east"):
        text = found.find("ConfigMap", name).inputs["data"]["nginx.conf"]
        assert "~ ^/img/" in text
        assert "max-age=3600" in text


def test_what_the_cdn_tells_of_itself_is_what_its_sites_are() -> None:
    told = ground.outputs_of(lambda: Cdn("cdn", cdn_args(as_it_is), origins=["o:1"]))
    assert told["host"] == "live.example.com"
    assert told["shield"] == "cdn-shield.shop.svc:8080"
    assert told["prefetch"] == "http://cdn-cn-east.shop.svc:8080"
    assert told["egress_mbps"] == 130_000
    assert set(told["sites"]) == {"cn-east", "cn-south"}
    assert told["sites"]["cn-east"]["city_tiers"] == [1, 2]


# ---- the way in


def kinds(found: Any) -> Counter[str]:
    return Counter(one.kind for one in found.objects)


def test_on_a_bare_cluster_no_kind_is_asked_for_that_it_does_not_serve(programs: dict[str, Any]) -> None:
    groups = {one.inputs["apiVersion"].rpartition("/")[0] for one in programs["cdn"].objects}
    assert groups == {"", "apps", "autoscaling", "networking.k8s.io", "policy", "tidegate.dev"}
    assert {one.inputs["spec"].get("type") for one in programs["cdn"].objects if one.kind == "Service"} == {None}


def test_a_gateway_that_exists_shares_connections_out_by_the_sites_weights(programs: dict[str, Any]) -> None:
    route = programs["cdn-behind-a-gateway"].find("HTTPRoute", "one").inputs
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route["spec"]["parentRefs"] == [{"name": "public", "namespace": "gateways", "sectionName": "https"}]
    assert route["spec"]["hostnames"] == ["live.example.com"]
    (rule,) = route["spec"]["rules"]
    assert [(one["name"], one["port"], one["weight"]) for one in rule["backendRefs"]] == [
        ("one-cn-east", 8080, 90),
        ("one-cn-south", 8080, 40),
    ]
    assert kinds(programs["cdn-behind-a-gateway"])["Gateway"] == 0


def test_a_gateway_for_each_site_ends_tls_and_dns_shares_connections_out(programs: dict[str, Any]) -> None:
    found = programs["cdn-with-gateways"]
    (listener,) = found.find("Gateway", "one-cn-east").inputs["spec"]["listeners"]
    assert (listener["port"], listener["protocol"], listener["hostname"]) == (443, "HTTPS", "live.example.com")
    assert listener["tls"]["certificateRefs"] == [{"group": "", "kind": "Secret", "name": "certificate"}]
    route = found.find("HTTPRoute", "one-cn-east").inputs
    assert route["spec"]["parentRefs"] == [{"name": "one-cn-east"}]
    assert route["metadata"]["annotations"] == {"external-dns.alpha.kubernetes.io/controller": "none"}
    records = found.find("DNSEndpoint", "one-cn-south").inputs["spec"]["endpoints"]
    assert [(one["recordType"], one["targets"], one["setIdentifier"]) for one in records] == [
        ("A", ["203.0.113.1"], "cn-south"),
        ("AAAA", ["2001:db8::1"], "cn-south-6"),
    ]
    assert records[0]["providerSpecific"] == [{"name": "aws/weight", "value": "40"}]


def test_a_load_balancer_for_each_site_leads_to_tls_in_its_pods(programs: dict[str, Any]) -> None:
    found = programs["cdn-by-load-balancers"]
    public = found.find("Service", "one-cn-east-public").inputs
    assert (public["spec"]["type"], public["spec"]["externalTrafficPolicy"]) == ("LoadBalancer", "Local")
    assert public["spec"]["ports"] == [{"name": "https", "port": 443, "targetPort": "https"}]
    named = {"external-dns.alpha.kubernetes.io/hostname": "cn-east.live.example.com"}
    assert public["metadata"]["annotations"] == named
    (record,) = found.find("DNSEndpoint", "one-cn-east").inputs["spec"]["endpoints"]
    assert (record["dnsName"], record["recordType"], record["targets"]) == (
        "live.example.com",
        "CNAME",
        ["cn-east.live.example.com"],
    )
    volumes = found.find("Deployment", "one-cn-east").inputs["spec"]["template"]["spec"]["volumes"]
    assert [one["secret"]["secretName"] for one in volumes if "secret" in one] == ["one-tls"]
    certificate = found.find("Certificate", "one-tls").inputs["spec"]
    assert (certificate["secretName"], certificate["dnsNames"]) == ("one-tls", ["live.example.com"])
    assert certificate["issuerRef"] == {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "letsencrypt"}


def test_an_ingress_stands_in_front_of_the_pods_of_all_sites_and_of_no_others(programs: dict[str, Any]) -> None:
    found = programs["cdn-behind-an-ingress"]
    spec = found.find("Ingress", "one").inputs["spec"]
    assert spec["ingressClassName"] == "nginx"
    assert spec["tls"] == [{"hosts": ["live.example.com"], "secretName": "one-tls"}]
    (rule,) = spec["rules"]
    assert rule["http"]["paths"][0]["backend"]["service"] == {"name": "one", "port": {"name": "http"}}
    selector = found.find("Service", "one").inputs["spec"]["selector"]
    selected = {
        one.name
        for one in found.objects
        if one.kind in WORKLOADS and selector.items() <= one.inputs["spec"]["template"]["metadata"]["labels"].items()
    }
    assert selected == {"one-cn-east", "one-cn-south"}


def test_a_site_may_have_a_way_in_of_its_own() -> None:
    own = SiteArgs(name="own", normal_mbps=1, peak_mbps=1, way_in=WayInArgs(kind="node-port"))
    plain = SiteArgs(name="plain", normal_mbps=1, peak_mbps=1)
    found = of(cdn_args(as_it_is, sites=(own, plain)))
    assert found.find("Service", "cdn-own-public").inputs["spec"]["type"] == "NodePort"
    assert not [one for one in found.objects if one.name == "cdn-plain-public"]


def test_streams_come_in_by_a_load_balancer_that_keeps_their_address() -> None:
    found = laid("rtmp")
    spec = found.find("Service", "one").inputs["spec"]
    assert (spec["type"], spec["externalTrafficPolicy"]) == ("LoadBalancer", "Local")
    assert spec["ports"] == [{"name": "rtmp", "port": 1935, "targetPort": "rtmp"}]
    assert spec["selector"] == {"app.kubernetes.io/name": "live-origin"}
    assert spec["loadBalancerSourceRanges"] == ["203.0.113.0/24"]


@pytest.mark.parametrize(
    ("host", "url"),
    [("push.example.com", "rtmp://push.example.com:1935/live"), (None, "rtmp://push.shop.svc:1935/live")],
)
def test_a_host_is_told_what_to_enter_into_its_encoder(host: str | None, url: str) -> None:
    args = RtmpArgs(namespace="shop", host=host)
    assert ground.outputs_of(lambda: RtmpEntry("push", args, workload="live-origin"))["url"] == url


# ---- what is refused

SITE = {"name": "a", "normal_mbps": 1, "peak_mbps": 1}
SEVENTEEN = [{**SITE, "name": f"s{number}"} for number in range(17)]
GATEWAY = {"kind": "gateway", "gateway": {"name": "public"}}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"host": "https://live.example.com"}, "cdn.host: give a host name without a scheme or port"),
        ({"host": "10.0.0.1"}, "cdn.host: give a host name without a scheme or port"),
        ({"host": "live"}, "cdn.host: give a host name without a scheme or port"),
        ({"sites": []}, "cdn.sites: give at least 1"),
        ({"sites": [SITE, SITE]}, "cdn.sites: names a twice: give each site once"),
        ({"backend": "aliyun"}, "cdn.backend: should be 'own'"),
        (
            {"sites": [{**SITE, "peak_mbps": 200_000}]},
            "cdn: shield: its 2 pods carry 4000 Mbit/s, and 5 % of the sites'",
        ),
        ({"sites": [{**SITE, "kubeconfig": "x"}]}, "cdn: shield: a is in another cluster: give shield.public"),
        ({"shield": {"public": {"source_ranges": []}}}, "cdn.shield.public.source_ranges: give at least 1"),
        (
            {"shield": {"public": {"source_ranges": ["10.0.0.0/8"]}}},
            "cdn: shield.public: sites fetch over TLS: give tls too",
        ),
        ({"tls": {}}, "cdn.tls: give either issuer"),
        ({"tls": {"issuer": "a", "secret": "b"}}, "cdn.tls: give either issuer"),
        ({"tls": {"secret": "b"}, "way_in": GATEWAY}, "cdn: tls: a Gateway that exists brings the certificate"),
        ({"way_in": {"kind": "gateway"}}, "cdn.way_in: kind gateway: give either gateway, one that exists"),
        ({"way_in": {"kind": "ingress", "gateway_class": "x"}}, "cdn.way_in: kind ingress has no gateway_class"),
        ({"way_in": {"ingress_class": "x"}}, "cdn.way_in: kind cluster has no ingress_class"),
        ({"way_in": {"kind": "ingress", "dns": {}}}, "cdn.way_in: sites behind kind ingress have no addresses"),
        ({"way_in": {"source_ranges": ["10.0.0.0/8"]}}, "cdn.way_in: kind cluster cannot keep addresses out"),
        ({"way_in": {"kind": "load-balancer", "source_ranges": ["10.0.0.1/8"]}}, "cdn.way_in.source_ranges[0]: give"),
        ({"way_in": {"kind": "gateway", "gateway_class": "x", "dns": {}}}, "cdn: sites.a: a record needs the address"),
        ({"sites": SEVENTEEN, "way_in": GATEWAY}, "cdn: way_in: 17 sites behind one Gateway"),
        (
            {"sites": [{**SITE, "way_in": GATEWAY}, {**SITE, "name": "b", "way_in": {"kind": "ingress"}}]},
            "cdn: way_in: s",
        ),
        ({"rules": [{"path": "img", "seconds": 1}]}, "cdn.rules[0].path: give the beginning of a path"),
        ({"rules": [{"path": "/a", "seconds": 1}] * 2}, "cdn.rules: names /a twice"),
        ({"rules": [{"path": "/a", "seconds": 1, "arguments": ["a b"]}]}, "cdn.rules[0].arguments[0]: give the name"),
        ({"monitor": True}, "cdn.monitor: there is nothing to scrape without exporter"),
        ({"lane": "trading", "policy": {}}, "cdn.policy: lane trading is a lane of a pool"),
    ],
)
def test_a_cdn_that_cannot_be_is_refused_in_words(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ArgsError) as refused:
        load(CdnArgs, {"namespace": "shop", "host": "live.example.com", "sites": [SITE], **given}, "cdn")
    assert any(one.startswith(problem) for one in refused.value.problems), refused.value.problems


def test_origins_that_no_configuration_can_name_are_refused_before_anything_is_registered() -> None:
    def program() -> None:
        Cdn("cdn", cdn_args(as_it_is), origins=["no port"])

    with pytest.raises(ValueError, match="give host:port"):
        ground.lay(program)


@pytest.mark.parametrize("reserved", [True, False])
def test_a_cache_s_disk_is_kept_free_for_it_unless_the_trial_s_machines_do_not_tell_theirs(reserved: bool) -> None:
    args = cdn_args(as_it_is, reserve_disk=reserved)
    found = ground.lay(lambda: Cdn("cdn", args, origins=["o:1"]))[1]
    asked = {
        (one.kind, container["name"]): container["resources"]["requests"]["ephemeral-storage"]
        for one in found.objects
        if one.kind in ("Deployment", "StatefulSet")
        for container in one.inputs["spec"]["template"]["spec"]["containers"]
    }
    assert asked.keys() == {("Deployment", "nginx"), ("StatefulSet", "nginx")}
    assert {value != "0" for value in asked.values()} == {reserved}
