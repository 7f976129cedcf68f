"""A database's objects: what has to be said is refused when it is not, and what survives the loss of a machine."""

from __future__ import annotations

import json
import runpy
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import pulumi  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from test_stacks_checks import PROJECT, shipped  # noqa: E402

from tidegate_stacks import checks, database, database_objects, policy, sizing  # noqa: E402
from tidegate_stacks.database import BackupArgs, Database, DatabaseArgs, ReadsArgs  # noqa: E402
from tidegate_stacks.database_args import WHICH_BACKUP  # noqa: E402
from tidegate_stacks.policy import EventPolicy, EventPolicyArgs  # noqa: E402

SAID = {"namespace": "shop", "data_gib": 40, "normal": 300, "peak": 20_000, "backup": "none"}


def args(**changed: Any) -> DatabaseArgs:
    return DatabaseArgs(**{**SAID, **changed})


def spec(**changed: Any) -> dict[str, Any]:
    return database.cluster("orders", args(**changed))["spec"]


def problems(**changed: Any) -> list[str]:
    """What is said of a configuration; a field that is None is left out."""
    named = {name: value for name, value in {**SAID, **changed}.items() if value is not None}
    with pytest.raises(checks.ArgsError) as refused:
        checks.load(DatabaseArgs, named, "config.database")
    return refused.value.problems


def objects_of(**changed: Any) -> list[dict[str, Any]]:
    first, others = database_objects.all_objects("orders", args(**changed))
    return [first, *others]


def one(kind: str, name: str, **changed: Any) -> dict[str, Any]:
    (found,) = [obj for obj in objects_of(**changed) if (obj["kind"], obj["metadata"]["name"]) == (kind, name)]
    return found


# ---- what outlives the stack


def protected(**changed: Any) -> set[tuple[str, str]]:
    found = ground.lay(lambda: Database("orders", args(**changed)))[1]
    return {(obj.kind, obj.name) for obj in found.objects if obj.protect}


def test_data_that_are_kept_are_still_backed_up_and_still_open_to_nobody_else() -> None:
    assert protected(backup=BackupArgs(object_store="backups")) == {
        ("Cluster", "orders"),
        ("NetworkPolicy", "orders"),
        ("ScheduledBackup", "orders-daily"),
    }
    assert protected() == {("Cluster", "orders"), ("NetworkPolicy", "orders")}


def test_of_a_database_that_nobody_would_miss_nothing_stays() -> None:
    assert protected(protect=False, backup=BackupArgs(object_store="backups")) == set()


# ---- backups


@pytest.mark.parametrize("backup", [None, "None", "no"])
def test_a_database_that_does_not_say_where_its_backups_go_is_refused(backup: Any) -> None:
    assert problems(backup=backup) == [f"config.database.backup: {WHICH_BACKUP}"]
    assert "backup: none" in WHICH_BACKUP


def test_a_program_that_does_not_say_it_registers_nothing_of_the_database() -> None:
    with pytest.raises(checks.ArgsError, match=r"orders\.backup: say where backups go"):
        ground.lay(lambda: Database("orders", args(backup=None)))


def test_what_is_wrong_within_a_backup_is_said_at_its_field() -> None:
    wrong = {"object_store": "backups", "sched": "0 0 3 * * *"}
    assert problems(backup=wrong) == ["config.database.backup.sched: is not known: check the spelling"]


def test_backups_are_made_where_they_are_said_to_go_and_nowhere_else() -> None:
    kinds = {how: [obj["kind"] for obj in objects_of(backup=backup)] for how, backup in BACKUPS.items()}
    assert {how: "ScheduledBackup" in made for how, made in kinds.items()} == {
        "store": True,
        "snapshots": True,
        "none": False,
    }
    assert "plugins" in spec(backup=BACKUPS["store"])
    assert "backup" in spec(backup=BACKUPS["snapshots"])
    assert not {"plugins", "backup"} & spec(backup="none").keys()


BACKUPS: dict[str, Any] = {
    "store": BackupArgs(object_store="backups"),
    "snapshots": BackupArgs(snapshot_class="fast"),
    "none": "none",
}

# ---- what survives the loss of a machine or a zone


@pytest.mark.parametrize(
    ("instances", "asked", "durability"),
    [
        (1, None, None),
        (2, None, "preferred"),
        (3, None, "required"),
        (5, None, "required"),
        (2, "required", "required"),
        (3, "preferred", "preferred"),
        (3, "none", None),
    ],
)
def test_a_commit_waits_for_a_replica_unless_that_would_stop_writes_at_every_drain(
    instances: int, asked: Any, durability: str | None
) -> None:
    seen = spec(instances=instances, synchronous=asked)["postgresql"].get("synchronous")
    if durability is None:
        assert seen is None
    else:
        quorum = {"method": "any", "number": 1, "dataDurability": durability}
        assert seen == {**quorum, "failoverQuorum": durability == "required"}


@pytest.mark.parametrize("asked", ["required", "preferred"])
def test_one_instance_cannot_wait_for_a_replica(asked: str) -> None:
    assert problems(instances=1, synchronous=asked) == [
        f"config.database.synchronous: {asked} needs a replica: raise instances to 2 or more, or leave it out"
    ]


@pytest.mark.parametrize(("zones", "when"), [("preferred", "ScheduleAnyway"), ("required", "DoNotSchedule")])
def test_instances_stand_in_different_zones_and_always_on_different_nodes(zones: Any, when: str) -> None:
    made = spec(zones=zones)
    (over,) = made["topologySpreadConstraints"]
    assert (over["topologyKey"], over["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", when)
    assert over["labelSelector"]["matchLabels"] == {"cnpg.io/cluster": "orders", "cnpg.io/podRole": "instance"}
    assert made["affinity"]["topologyKey"] == "kubernetes.io/hostname"
    assert made["affinity"]["podAntiAffinityType"] == "required"


def test_by_default_a_cluster_without_zone_labels_takes_every_instance() -> None:
    assert spec()["topologySpreadConstraints"][0]["whenUnsatisfiable"] == "ScheduleAnyway"


@pytest.mark.parametrize(("instances", "budget"), [(1, False), (2, True), (3, True)])
def test_a_budget_never_holds_the_only_instance_for_ever(instances: int, budget: bool) -> None:
    assert spec(instances=instances)["enablePDB"] is budget


@given(gib=st.integers(1, 2000))
def test_slots_and_checkpoints_together_leave_room_on_the_volume_of_the_log(gib: int) -> None:
    made = sizing.wal_parameters(f"{gib}Gi")
    held = [int(made[name].removesuffix("MB")) for name in ("max_slot_wal_keep_size", "max_wal_size")]
    assert sum(held) <= gib * 1024 * 3 // 4
    assert held[1] > 80, "PostgreSQL's min_wal_size"


def test_a_log_that_is_too_small_is_refused() -> None:
    assert problems(wal_disk="512Mi") == [
        "config.database.wal_disk: 512Mi is too small for a write-ahead log: give at least 1Gi"
    ]


# ---- connections


@given(peak=st.integers(300, 106_666))
@settings(deadline=None)
def test_peaks_in_a_wide_range_give_equal_objects_but_for_what_is_reloaded(peak: int) -> None:
    lowest, other = objects_of(peak=300), objects_of(peak=peak)
    for made in (lowest[0], other[0]):
        del made["spec"]["postgresql"]["parameters"]["work_mem"]
    assert other == lowest


def test_a_peak_above_what_postgresql_is_sized_for_is_refused() -> None:
    (said,) = problems(peak=106_667)
    assert said == (
        "config.database.most_poolers: peak 106667 needs 33 poolers, and PostgreSQL is sized for 32: raise most_poolers"
        " while no event is near, since PostgreSQL restarts then, or raise per_pooler"
    )


@given(poolers=st.integers(2, 100), each=st.integers(1, 100))
@settings(deadline=None)
def test_connections_hold_every_pooler_one_that_replaces_another_and_all_their_look_ups(
    poolers: int, each: int
) -> None:
    made = spec(peak=300, most_poolers=poolers, connections_per_pooler=each)["postgresql"]["parameters"]
    needed = (poolers + 1) * each * 2 + sizing.POSTGRES_RESERVED_CONNECTIONS
    assert int(made["max_connections"]) == needed
    surge = database.pooler("orders", args())["spec"]["deploymentStrategy"]["rollingUpdate"]
    assert surge == {"maxSurge": 1, "maxUnavailable": 0}


@pytest.mark.parametrize("name", ["all", "postgres", "replication"])
def test_a_database_whose_name_means_something_to_the_poolers_rules_is_refused(name: str) -> None:
    assert problems(database=name) == [
        f"config.database.database: '{name}' means something else to PostgreSQL or PgBouncer: give another name"
    ]


# ---- what guards the pods


def labels_of_pods() -> dict[str, dict[str, str]]:
    """Labels that CloudNativePG gives to pods, and ours beside them."""
    template = database.pooler("orders", args())["spec"]["template"]["metadata"]["labels"]
    return {
        "instance": {"cnpg.io/cluster": "orders", "cnpg.io/podRole": "instance", "cnpg.io/instanceName": "orders-1"},
        "job": {"cnpg.io/cluster": "orders", "cnpg.io/jobRole": "join"},
        "pooler": {**template, "cnpg.io/cluster": "orders", "cnpg.io/podRole": "pooler"},
        "application": {"app": "shop"},
    }


def matched(selector: dict[str, Any]) -> set[str]:
    wanted = selector.get("matchLabels", {}).items()
    return {who for who, labels in labels_of_pods().items() if wanted <= labels.items()}


def test_poolers_have_a_budget_that_lets_one_go_at_a_time() -> None:
    made = one("PodDisruptionBudget", "orders-pooler")["spec"]
    assert made["maxUnavailable"] == 1
    assert matched(made["selector"]) == {"pooler"}
    assert database.poolers_of(args(normal=1, peak=1)).normal > 1


def test_poolers_stand_in_different_zones_and_on_different_nodes_where_they_can() -> None:
    over = database.pooler("orders", args())["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in over] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    assert all(matched(one["labelSelector"]) == {"pooler"} for one in over)
    assert {one["whenUnsatisfiable"] for one in over} == {"ScheduleAnyway"}


def reached(policy: dict[str, Any], port: int) -> set[str]:
    """Who of the namespace reaches a port, and other namespaces by name or as ``*``."""
    who: set[str] = set()
    for rule in policy["spec"]["ingress"]:
        if port not in [one["port"] for one in rule["ports"]]:
            continue
        for peer in rule["from"]:
            names = peer.get("namespaceSelector", {}).get("matchLabels", {"any": "*"})
            who |= matched(peer["podSelector"]) if "podSelector" in peer else set(names.values())
    return who


def test_an_instance_is_reached_by_its_own_and_by_the_operator_alone() -> None:
    made = one("NetworkPolicy", "orders", operator_namespace="cnpg")
    assert matched(made["spec"]["podSelector"]) == {"instance"}
    own = {"instance", "job", "pooler"}
    assert reached(made, 5432) == {*own, "cnpg"}
    assert reached(made, 8000) == {*own, "cnpg"}
    assert reached(made, 9187) == set()


def test_where_replicas_serve_reads_applications_reach_them() -> None:
    made = one("NetworkPolicy", "orders", reads=ReadsArgs(per_replica=1, most=6))
    assert "application" in reached(made, 5432)
    assert "application" not in reached(made, 8000)


def test_a_pooler_is_reached_from_its_namespace() -> None:
    made = one("NetworkPolicy", "orders-pooler")
    assert matched(made["spec"]["podSelector"]) == {"pooler"}
    assert "application" in reached(made, 5432)
    assert reached(made, 9127) == set()


def test_metrics_are_open_and_found_where_the_cluster_watches_them() -> None:
    names = {obj["metadata"]["name"]: matched(obj["spec"]["selector"]) for obj in objects_of(monitor=True) if _pm(obj)}
    assert names == {"orders-metrics": {"instance"}, "orders-pooler-metrics": {"pooler"}}
    assert reached(one("NetworkPolicy", "orders", monitor=True), 9187) == {"*"}
    assert reached(one("NetworkPolicy", "orders-pooler", monitor=True), 9127) == {"*"}
    assert not [obj for obj in objects_of() if _pm(obj)]


def _pm(obj: dict[str, Any]) -> bool:
    return bool(obj["kind"] == "PodMonitor")


def test_no_monitor_bears_a_name_under_which_cloudnativepg_deletes_it() -> None:
    made = objects_of(monitor=True)
    taken = {obj["metadata"]["name"] for obj in made if obj["kind"] in ("Cluster", "Pooler")}
    assert not taken & {obj["metadata"]["name"] for obj in made if _pm(obj)}


def test_instances_and_poolers_bear_their_priority_and_their_bounds_of_disk() -> None:
    made, pooled = spec(priority="serving"), database.pooler("orders", args(priority="serving"))["spec"]["template"]
    assert made["priorityClassName"] == pooled["spec"]["priorityClassName"] == "serving"
    assert made["ephemeralVolumesSizeLimit"] == {"temporaryData": "1Gi", "shm": "4096Mi"}
    assert made["seccompProfile"] == pooled["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert made["resources"]["limits"]["ephemeral-storage"] == "2Gi"
    (container,) = pooled["spec"]["containers"]
    assert container["resources"]["limits"]["ephemeral-storage"] == "512Mi"
    assert {"readinessProbe", "livenessProbe"} <= container.keys()
    assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_images_are_named_by_tag_or_digest() -> None:
    said = problems(image="postgres", pooler_image="pgbouncer:latest")
    assert [problem.partition(":")[0] for problem in said] == ["config.database.image", "config.database.pooler_image"]
    container = database.pooler("orders", args(pooler_image="pgbouncer:1.24"))["spec"]["template"]["spec"]["containers"]
    assert container[0]["image"] == "pgbouncer:1.24"


# ---- what a primary writes


def test_what_a_primary_writes_is_a_limit_of_the_policy() -> None:
    found = ground.lay(lambda: Database("orders", args(writes_per_second=4000)))[1]
    (seen,) = [obj.inputs["spec"] for obj in found.objects if obj.kind == "ScalingPolicy"]
    assert seen["limits"] == [
        {
            "name": "orders-writes",
            "signal": "orders_per_second",
            "most": 4000,
            "says": "the primary of orders writes at most 4000 orders_per_second, measured by pgbench",
        }
    ]


def test_what_was_not_measured_is_no_limit() -> None:
    found = ground.lay(lambda: Database("orders", args()))[1]
    (seen,) = [obj.inputs["spec"] for obj in found.objects if obj.kind == "ScalingPolicy"]
    assert "limits" not in seen


def test_a_joint_policy_takes_the_limits_of_its_components() -> None:
    def program() -> None:
        made = Database("orders", args(writes_per_second=4000, policy=None))
        EventPolicy("show", EventPolicyArgs(namespace="shop"), made.targets, limits=made.limits)

    found = ground.lay(program)[1]
    (seen,) = [obj.inputs["spec"] for obj in found.objects if obj.kind == "ScalingPolicy"]
    assert [limit["name"] for limit in seen["limits"]] == ["orders-writes"]


def test_the_project_that_holds_everything_hands_the_limit_to_the_policy_that_events_name() -> None:
    def program() -> None:
        sections = shipped()
        sections["database"] = {**sections["database"], "writes_per_second": 4000}
        written = {key: value if isinstance(value, str) else json.dumps(value) for key, value in sections.items()}
        pulumi.runtime.set_all_config({f"shop:{key}": value for key, value in written.items()})
        runpy.run_path(str(PROJECT / "__main__.py"), run_name="__main__")

    found = ground.lay(program)[1]
    (seen,) = [obj.inputs["spec"] for obj in found.objects if obj.kind == "ScalingPolicy"]
    assert [(limit["name"], limit["most"]) for limit in seen["limits"]] == [("database-writes", 4000)]


def test_a_sentence_longer_than_the_api_takes_is_refused() -> None:
    with pytest.raises(ValueError, match="its sentence has 257 characters; a limit takes 256"):
        policy.limit("orders-writes", signal="orders_per_second", most=1, says="a" * 257)


def test_the_longest_names_still_make_a_sentence() -> None:
    long = args(signal="s" * 63, writes_per_second=10**12 - 1)
    (made,) = database.limits("d" * 30, long)
    assert len(made["says"]) <= policy.MAX_LIMIT_SAYS
    assert len(made["name"]) <= 63
