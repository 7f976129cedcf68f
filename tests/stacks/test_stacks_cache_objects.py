"""What a cache's pods are made of: what is apart, what is probed, what goes, and what it is told."""

from __future__ import annotations

from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from pydantic import ValidationError  # noqa: E402

from tidegate_stacks import cache, cache_objects, objects, sizing  # noqa: E402
from tidegate_stacks.cache import CacheArgs, CacheAuthArgs, CacheTlsArgs  # noqa: E402

GIVEN: dict[str, Any] = {"namespace": "shop", "data_gib": 12, "normal": 60_000, "peak": 900_000}


def shard(**given: Any) -> list[objects.Obj]:
    return cache.shard_objects("cache", CacheArgs(**GIVEN, **given), 1, sizing.slot_ranges(3)[1])


def spec_of(**given: Any) -> Any:
    return shard(**given)[0]["spec"]["template"]["spec"]


def containers(**given: Any) -> dict[str, Any]:
    return {one["name"]: one for one in spec_of(**given)["containers"]}


def test_no_pod_of_a_shard_may_share_a_machine_with_its_first_one() -> None:
    rules = spec_of()["affinity"]["podAntiAffinity"]
    (hard,) = rules["requiredDuringSchedulingIgnoredDuringExecution"]
    labels = {"app.kubernetes.io/name": "cache-1", "apps.kubernetes.io/pod-index": "0"}
    assert hard == {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}}


def test_first_pods_of_all_shards_avoid_each_other_by_machine_and_then_by_zone() -> None:
    rules = spec_of()["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    terms = [one["podAffinityTerm"] for one in rules]
    assert [(one["weight"], term["topologyKey"]) for one, term in zip(rules, terms, strict=True)] == [
        (100, "kubernetes.io/hostname"),
        (50, "topology.kubernetes.io/zone"),
    ]
    for term in terms:
        assert term["labelSelector"]["matchLabels"] == {"app.kubernetes.io/part-of": "cache"}
        assert term["matchLabelKeys"] == ["apps.kubernetes.io/pod-index"]


def test_on_one_machine_a_shard_may_stand_together_if_that_is_said() -> None:
    rules = spec_of(apart=False)["affinity"]["podAntiAffinity"]
    assert "requiredDuringSchedulingIgnoredDuringExecution" not in rules
    assert len(rules["preferredDuringSchedulingIgnoredDuringExecution"]) == 3


def test_the_api_server_s_keys_of_lists_are_unique() -> None:
    spreads = spec_of()["topologySpreadConstraints"]
    keys = [(one["topologyKey"], one["whenUnsatisfiable"]) for one in spreads]
    assert len(keys) == len(set(keys))
    for one in containers(auth=CacheAuthArgs(secret="s", user="pods"), tls=CacheTlsArgs(secret="t")).values():
        for field, key in (("env", "name"), ("volumeMounts", "mountPath")):
            names = [item[key] for item in one[field]]
            assert len(names) == len(set(names))


def test_claims_of_readers_go_with_them_and_those_of_a_shard_stay() -> None:
    assert shard()[0]["spec"]["persistentVolumeClaimRetentionPolicy"] == {
        "whenScaled": "Delete",
        "whenDeleted": "Retain",
    }


@pytest.mark.parametrize("file", ["server.conf", *cache_objects.SCRIPTS])
def test_a_change_of_any_file_replaces_the_pods(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def noted() -> str:
        return str(shard()[0]["spec"]["template"]["metadata"]["annotations"][objects.CONFIG_ANNOTATION])

    before, files = noted(), cache_objects.config_files(CacheArgs(**GIVEN))
    assert noted() == before, "nothing changed"
    monkeypatch.setattr(cache_objects, "config_files", lambda _args: {**files, file: files[file] + "# another\n"})
    assert noted() != before


def test_every_script_is_in_the_configuration_and_every_file_is_a_script_or_the_servers() -> None:
    folder = cache_objects.files("tidegate_stacks") / "scripts" / "cache"
    there = {one.name for one in folder.iterdir() if one.name.endswith(".sh")}
    assert set(cache_objects.SCRIPTS) == there
    found = ground.lay(lambda: cache.Cache("cache", CacheArgs(**GIVEN)))[1]
    assert set(found.find("ConfigMap", "cache-config").inputs["data"]) == there | {"server.conf"}


def test_both_containers_are_alive_by_what_they_do_and_a_loading_server_has_a_minute() -> None:
    server, join = containers()["server"], containers()["join"]
    assert server["livenessProbe"]["exec"]["command"] == ["sh", "/etc/cache/alive.sh", "server"]
    assert join["livenessProbe"]["exec"]["command"] == ["sh", "/etc/cache/alive.sh", "join"]
    for probe in (server["livenessProbe"], join["livenessProbe"]):
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 60
    assert server["readinessProbe"]["exec"]["command"] == ["sh", "/etc/cache/ready.sh"]
    beat = next(one["value"] for one in join["env"] if one["name"] == "BEAT")
    assert any(beat.startswith(one["mountPath"] + "/") for one in join["volumeMounts"])


@pytest.mark.parametrize(
    ("reach", "peer"), [("namespace", {"podSelector": {}}), ("cluster", {"namespaceSelector": {}})]
)
def test_clients_reach_the_servers_and_only_pods_of_the_cache_reach_their_bus(reach: str, peer: Any) -> None:
    (policy,) = [one for one in shard(reach=reach) if one["kind"] == "NetworkPolicy"]
    own = {"podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "cache"}}}
    assert policy["spec"]["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "cache-1"}}
    assert policy["spec"]["ingress"] == [
        {"ports": [{"port": 6379, "protocol": "TCP"}], "from": [peer]},
        {"ports": [{"port": 16379, "protocol": "TCP"}], "from": [own]},
    ]


def test_every_container_bounds_its_disk_and_the_pod_bears_its_priority() -> None:
    spec = spec_of(priority="serving")
    assert spec["priorityClassName"] == "serving"
    for one in spec["containers"]:
        assert one["resources"]["limits"]["ephemeral-storage"] == "64Mi"
        assert one["resources"]["requests"]["ephemeral-storage"] == "0"


def test_a_server_keeps_no_data_on_its_volume_and_receives_its_copy_without_it() -> None:
    conf = dict(line.split(" ", 1) for line in cache.server_conf(CacheArgs(**GIVEN)).splitlines())
    assert (conf["save"], conf["appendonly"]) == ('""', "no")
    assert (conf["repl-diskless-sync"], conf["repl-diskless-load"]) == ("yes", "swapdb")
    assert conf["cluster-allow-replica-migration"] == "no"
    assert int(conf["repl-diskless-sync-delay"]) >= 3600, "a new server gives nobody a copy of its emptiness"
    filled = int(conf["maxmemory"]) + int(conf["client-output-buffer-limit"].split()[1])
    assert filled < sizing.memory_bytes("8Gi"), "what waits for readers fits beside the data"


@pytest.mark.parametrize(("show", "said"), [(False, "optional"), (True, "yes")])
def test_with_tls_no_port_is_plain(show: bool, said: str) -> None:
    tls = CacheTlsArgs(secret="certificates", clients_show_theirs=show)
    conf = dict(line.split(" ", 1) for line in cache.server_conf(CacheArgs(**GIVEN, tls=tls)).splitlines())
    assert (conf["port"], conf["tls-port"], conf["tls-replication"], conf["tls-cluster"]) == ("0", "6379", "yes", "yes")
    assert conf["tls-auth-clients"] == said
    assert {"name": "tls", "secret": {"secretName": "certificates"}} in spec_of(tls=tls)["volumes"]


def test_a_misspelt_setting_of_who_may_speak_is_named() -> None:
    with pytest.raises(ValidationError, match="users"):
        CacheAuthArgs(secret="s", users="pods")  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="never latest"):
        CacheArgs(**GIVEN, image="docker.io/valkey/valkey")


def test_lead_time_follows_data_copies_and_volume() -> None:
    base = CacheArgs(namespace="shop", data_gib=12, normal=60_000, peak=60_000)
    start = base.attach_seconds + sizing.CACHE_START_SECONDS + sizing.CACHE_SYNC_DELAY_SECONDS
    assert cache.lead_seconds(base) == start + 82, "4 GiB of a shard at 50 MiB/s"

    def lead(**other: Any) -> int:
        return cache.lead_seconds(base.model_copy(update=other))

    assert lead(data_gib=6) == start + 41, "half the data"
    assert lead(shards=6) == start + 41, "twice the shards"
    assert lead(copy_mib_per_second=100) == start + 41, "twice the speed"
    assert lead(attach_seconds=90) == cache.lead_seconds(base) + 60, "a slower volume"
    more = lead(peak=900_000)
    copies = cache.pods_of(base.model_copy(update={"peak": 900_000}))
    assert copies.most - copies.normal == 4
    assert more == start + 328, "four copies of one server share what it sends"
    assert lead(data_gib=65_536, peak=900_000) == 86_400, "never above the API's bound"


def test_the_operator_is_told_that_lead_time() -> None:
    args = CacheArgs(**GIVEN)
    leads = [one["leadTime"]["guessSeconds"] for one in cache.targets("cache", args)]
    assert leads == [cache.lead_seconds(args)] * 3
