"""A cache's counts: read within the pod, with what the server asks for, and by nothing that must be ready."""

from __future__ import annotations

from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import pulumi  # noqa: E402

from tidegate_stacks import cache_objects, checks, sizing  # noqa: E402
from tidegate_stacks.cache import CacheArgs, CacheAuthArgs, CacheTlsArgs  # noqa: E402

GIVEN: dict[str, Any] = {"namespace": "shop", "data_gib": 1, "normal": 1, "peak": 1}
EXPORTER = "docker.io/oliver006/redis_exporter:v1.83.0"


def shard(**given: Any) -> dict[str, Any]:
    """Objects of the first shard, by kind."""
    slots = sizing.slot_ranges(3)[0]
    made = cache_objects.shard_objects("cache", CacheArgs(**GIVEN, **given), 0, slots)
    return {one["kind"]: one for one in made}


def exporter(**given: Any) -> dict[str, Any]:
    containers = shard(exporter=EXPORTER, **given)["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    (found,) = [one for one in containers if one["name"] == "exporter"]
    return found


def env(**given: Any) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in exporter(**given)["env"]}


def test_without_an_exporter_there_is_no_port_for_metrics_and_no_monitor() -> None:
    made = shard()
    assert "PodMonitor" not in made
    assert len(made["StatefulSet"]["spec"]["template"]["spec"]["containers"]) == 2
    ports = [port["port"] for rule in made["NetworkPolicy"]["spec"]["ingress"] for port in rule["ports"]]
    assert cache_objects.METRICS_PORT not in ports


def test_a_monitor_scrapes_the_port_that_the_cluster_may_reach_and_no_other_namespace_reaches_the_server() -> None:
    made = shard(exporter=EXPORTER, monitor=True)
    assert made["PodMonitor"]["spec"]["podMetricsEndpoints"] == [{"port": "metrics", "path": "/metrics"}]
    assert made["PodMonitor"]["spec"]["selector"]["matchLabels"].items() <= (
        made["StatefulSet"]["spec"]["template"]["metadata"]["labels"].items()
    )
    opened = {
        str(rule["from"]): [port["port"] for port in rule["ports"]] for rule in made["NetworkPolicy"]["spec"]["ingress"]
    }
    assert opened[str([{"namespaceSelector": {}}])] == [cache_objects.METRICS_PORT]


def test_where_the_whole_cluster_may_reach_the_servers_the_metrics_do_not_take_the_place_of_their_port() -> None:
    ingress = shard(exporter=EXPORTER, reach="cluster")["NetworkPolicy"]["spec"]["ingress"]
    opened = {str(rule["from"]): {port["port"] for port in rule["ports"]} for rule in ingress}
    assert opened[str([{"namespaceSelector": {}}])] == {cache_objects.PORT, cache_objects.METRICS_PORT}


def test_the_exporter_asks_as_the_server_wants_to_be_asked() -> None:
    assert env()["REDIS_ADDR"] == "redis://127.0.0.1:6379"
    asked = env(auth=CacheAuthArgs(secret="who", user="pods"), tls=CacheTlsArgs(secret="certificates"))
    assert asked["REDIS_ADDR"] == "rediss://127.0.0.1:6379"
    assert asked["REDIS_PASSWORD"] == {"secretKeyRef": {"name": "who", "key": "password"}}
    assert asked["REDIS_USER"] == "pods"
    folder = exporter(tls=CacheTlsArgs(secret="certificates"))["volumeMounts"][0]["mountPath"]
    assert asked["REDIS_EXPORTER_TLS_CLIENT_CERT_FILE"] == f"{folder}/tls.crt"


def test_the_exporter_asks_no_other_server_and_tells_no_values_of_keys() -> None:
    asked = env(auth=CacheAuthArgs(secret="who"))
    assert asked["REDIS_EXPORTER_DISABLE_SCRAPE_ENDPOINT"] == "true"
    assert asked["REDIS_EXPORTER_DISABLE_EXPORTING_KEY_VALUES"] == "true"


@pytest.mark.parametrize(
    "image",
    ["oliver006/redis_exporter:v1.82.0", "registry:5000/x/redis_exporter:1.9-alpine", f"a:v0.99@sha256:{'0' * 64}"],
)
def test_an_exporter_that_cannot_be_told_so_is_refused_in_words(image: str) -> None:
    with pytest.raises(
        checks.ArgsError, match=r"cache.exporter: redis_exporter .* gives the cache's password .* 1\.83"
    ):
        checks.load(CacheArgs, {**GIVEN, "exporter": image}, "cache")


@pytest.mark.parametrize("tag", [":v1.83.0", ":1.100.1-alpine", ":v2.0", ":1", ":ours", f"@sha256:{'0' * 64}"])
def test_any_other_exporter_is_taken(tag: str) -> None:
    image = f"registry:5000/redis_exporter{tag}"
    assert checks.load(CacheArgs, {**GIVEN, "exporter": image}, "cache").exporter == image


def test_an_exporter_that_is_known_late_is_judged_when_it_is_known() -> None:
    def program() -> None:
        CacheArgs(**GIVEN, exporter=pulumi.Output.from_input("redis_exporter:v1.74.0"))

    with pytest.raises(ValueError, match="gives the cache's password"):
        ground.lay(program)


def test_a_shard_whose_counts_cannot_be_read_serves_as_ever() -> None:
    assert "readinessProbe" not in exporter()
    assert exporter()["livenessProbe"]["httpGet"] == {"port": "metrics", "path": "/health"}


def test_a_monitor_without_an_exporter_is_refused_in_words() -> None:
    with pytest.raises(checks.ArgsError, match=r"cache.monitor: there is nothing to scrape without exporter"):
        checks.load(CacheArgs, {**GIVEN, "monitor": True}, "cache")
