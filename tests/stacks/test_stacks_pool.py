"""The pool that data processing and trading share: what is rendered, what the operator makes of it, what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from pulumi.runtime import rpc  # noqa: E402
from samples import EACH, IN_LANES, REGIONS, as_it_is, in_lane, not_yet_known  # noqa: E402
from test_stacks_checks import problems, sections, shipped  # noqa: E402
from test_stacks_components import laid  # noqa: E402

from tidegate.api.parse import parse_policy, parse_pool  # noqa: E402
from tidegate.planning.resources import Resources  # noqa: E402
from tidegate.targets.takes import template_takes  # noqa: E402
from tidegate_stacks import checks, sizing, together  # noqa: E402
from tidegate_stacks.batch import BatchArgs  # noqa: E402
from tidegate_stacks.edge import EdgeCacheArgs  # noqa: E402
from tidegate_stacks.policy import EventPolicy, EventPolicyArgs, TargetArgs, scaling_policy  # noqa: E402


def pool_of(found: Any) -> Any:
    (made,) = [one for one in found.objects if one.kind == "CapacityPool"]
    return made.inputs


# ---- what the batch component makes


@pytest.mark.parametrize("component", ["batch", "batch-of-given-capacity"])
def test_the_pool_is_one_that_the_operator_accepts(component: str) -> None:
    pool = parse_pool(pool_of(laid(EACH[component])), now=0.0)  # raises, with every problem in words
    assert [lane.name for lane in pool.lanes] == ["trading", "data"]
    assert (pool.given is None) == (component == "batch")


def test_the_pool_has_what_it_was_given_or_what_the_queues_machines_have() -> None:
    found = laid(EACH["batch"])
    (flavor,) = [one for one in found.objects if one.kind == "ResourceFlavor"]
    assert pool_of(found)["spec"]["capacity"] == {"nodeSelector": flavor.inputs["spec"]["nodeLabels"]}
    given = pool_of(laid(EACH["batch-of-given-capacity"]))["spec"]["capacity"]
    assert given == {"given": {"cpu": "700", "memory": "2Ti"}}


def test_trading_asks_within_its_bounds_and_data_lends_what_was_named() -> None:
    trading, data = pool_of(laid(EACH["batch"]))["spec"]["lanes"]
    assert trading == {"name": "trading", "guaranteePercent": 30, "allowedNamespaces": ["shop", "live"]}
    assert [member["name"] for member in data["members"]] == ["loader", "copy", "indexer", "nightly"]
    assert data["members"][2]["ref"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "namespace": "search",
        "name": "index-writer",
    }
    assert data["members"][3]["jobs"] == {"namespace": "shop", "matchLabels": {"workload": "nightly"}}
    assert data["members"][3]["work"]["remaining"] == {"query": "sum(left)"}
    assert (data["drain"], data["giveBackWithinSeconds"]) == (
        {"noticeSeconds": 600, "minimumRunSeconds": 900, "guessSeconds": 60},
        3600,
    )
    capped = pool_of(laid(EACH["batch-of-given-capacity"]))["spec"]["lanes"][0]
    assert capped["capPercentPerNamespace"] == 50


def test_workers_are_members_by_the_names_they_have_and_run_on_the_pool_s_machines() -> None:
    found = laid(EACH["batch"])
    members = [one["ref"] for one in pool_of(found)["spec"]["lanes"][1]["members"] if "ref" in one]
    for ref in members[:2]:
        made = found.find("Deployment", ref["name"]).inputs
        assert (made["apiVersion"], made["metadata"]["namespace"]) == (ref["apiVersion"], ref["namespace"])
        assert made["spec"]["template"]["spec"]["nodeSelector"] == {"pool": "hangzhou-a"}
        assert made["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 0, "no more machines than its replicas have"
    loader = found.find("Deployment", "one-loader").inputs
    assert template_takes(loader) == Resources(2000, 4096), "what one of them lends can be read"


def test_workers_that_no_pool_lends_stay_pulumi_s() -> None:
    found = laid(EACH["batch-without-a-pool"])
    assert [one.kind for one in found.objects].count("CapacityPool") == 0
    assert found.find("Deployment", "one-loader").ignores == []
    assert laid(EACH["batch"]).find("Deployment", "one-loader").ignores == ["spec.replicas"]


def test_a_pool_whose_workers_namespace_is_unknown_is_planned_all_the_same() -> None:
    members = pool_of(laid(EACH["batch"], text=not_yet_known, preview=True))["spec"]["lanes"][1]["members"]
    assert [one["name"] for one in members] == ["loader", "copy", "indexer", "nightly"]
    assert members[2]["ref"]["namespace"] == "search"


def test_the_pool_s_output_is_the_name_that_policies_name() -> None:
    made = pool_of(laid(EACH["batch"]))["metadata"]
    assert ground.outputs_of(lambda: EACH["batch"]("one", as_it_is))["pool"] == made["name"] == "one-hangzhou-a"
    assert "namespace" not in made


# ---- the components that ask


@pytest.mark.parametrize("component", IN_LANES)
def test_every_target_of_a_component_in_a_lane_asks_there_and_runs_on_the_pool_s_machines(component: str) -> None:
    found = laid(EACH[component])
    (policy,) = [one.inputs for one in found.objects if one.kind == "ScalingPolicy"]
    assert parse_policy(policy).pool == "batch-hangzhou-a"
    for target in policy["spec"]["targets"]:
        assert target["lane"] == "trading"
        workload = found.find(target["ref"]["kind"], target["ref"]["name"]).inputs
        assert workload["spec"]["template"]["spec"]["nodeSelector"]["pool"] == "hangzhou-a"
        assert template_takes(workload), "its unit need not be written: the operator reads it there"


def test_a_region_s_label_stands_beside_the_pool_s() -> None:
    pods = laid(EACH["edge-in-a-lane"]).find("Deployment", "one-cn-east").inputs["spec"]["template"]["spec"]
    assert pods["nodeSelector"] == {"pool": "hangzhou-a", "topology.kubernetes.io/region": "cn-east"}


def test_origins_are_not_moved_and_stay_where_they_are() -> None:
    origins = laid(EACH["live-in-a-lane"]).find("StatefulSet", "one-origin").inputs["spec"]["template"]["spec"]
    assert "nodeSelector" not in origins


def test_a_joint_policy_names_the_pool_even_while_its_name_is_unknown() -> None:
    def spec(text: Any, *, preview: bool) -> Any:
        (made,) = [one.inputs["spec"] for one in laid(EACH["policy"], text=text, preview=preview).objects if one.custom]
        return made

    known = spec(as_it_is, preview=False)
    assert known["poolRef"] == {"name": "batch-hangzhou-a"}
    assert [one.get("lane") for one in known["targets"]] == [None, "trading"]
    assert known["targets"][1]["unit"] == {"cpu": "2", "memory": "4Gi"}
    unknown = spec(not_yet_known, preview=True)
    assert set(unknown) == set(known)
    assert rpc.contains_unknowns(unknown["poolRef"])


def test_a_lane_without_a_pool_is_refused_before_anything_is_registered() -> None:
    target = {"name": "pay", "capacity": {}, "lane": "trading"}
    with pytest.raises(ValueError, match=r"policy p: pay: lanes of no pool; give policy\.pool"):
        scaling_policy("p", "shop", "p", EventPolicyArgs(namespace="shop").policy, [target])

    def program() -> None:
        EventPolicy("p", EventPolicyArgs(namespace="shop"), [target])

    with pytest.raises(ValueError, match="lanes of no pool"):
        ground.lay(program)


# ---- what is refused


def given() -> dict[str, Any]:
    """A valid section, as configuration gives it."""
    jobs = {"name": "nightly", "namespace": "shop", "labels": {"workload": "nightly"}}
    return {
        "cohort": "a",
        "nodes": {"pool": "a"},
        "queues": [{"name": "q", "cpu": "40", "memory": "80Gi", "namespaces": ["shop"]}],
        "workers": [
            {"name": "loader", "namespace": "shop", "image": "l:1", "replicas": 20, "cpu": "2", "memory": "4Gi"},
        ],
        "pool": {"name": "a", "trading": {"namespaces": ["shop"]}, "data": {"jobs": [jobs]}},
    }


def changed(path: str, value: Any) -> dict[str, Any]:
    made: Any = copy.deepcopy(given())
    *way, last = path.split(".")
    here = made
    for key in way:
        here = here[int(key)] if key.isdigit() else here[key]
    here[last] = value
    return made  # type: ignore[no-any-return]


def test_the_section_that_the_refusals_start_from_is_valid() -> None:
    checks.load(BatchArgs, given(), "batch")


NIGHT = {"deadline": "06:00", "time_zone": "Asia/Shanghai", "remaining_unit_seconds": 1}
ONE = {"namespace": "shop", "labels": {"workload": "nightly", "tier": "2"}, "name": "late"}
WRITER = {"name": "writer", "namespace": "shop", "workload": "writer"}


@pytest.mark.parametrize(
    ("path", "value", "want"),
    [
        (
            "pool.trading.guarantee_percent",
            101,
            "batch.pool.trading.guarantee_percent: should be less than or equal to 100, not 101",
        ),
        ("pool.trading.namespaces", [], "batch.pool.trading.namespaces: give at least 1"),
        (
            "pool.data",
            {"guarantee_percent": 101},
            "batch.pool.data.guarantee_percent: should be less than or equal to 100, not 101",
        ),
        ("nodes", {}, "batch.nodes: give at least 1"),
        ("nodes", {"po ol": "a"}, "batch.nodes: po ol: a is no label: give texts, e.g. pool: hangzhou-a"),
        ("nodes", {"pool": 1}, "batch.nodes: pool: 1 is no label: give texts, e.g. pool: hangzhou-a"),
        (
            "pool.data.jobs.0.work",
            {**NIGHT, "deadline": 360},
            'batch.pool.data.jobs[0].work.deadline: give hours and minutes in quotes, e.g. "06:00", not 360',
        ),
        (
            "pool.data.jobs.0.work",
            {**NIGHT, "time_zone": "Asia/Shangai"},
            "batch.pool.data.jobs[0].work.time_zone: give an IANA time zone, e.g. Asia/Shanghai, not 'Asia/Shangai'",
        ),
        (
            "pool.data.jobs.0.work",
            {**NIGHT, "remaining_query": "sum(left)"},
            "batch.pool.data.jobs[0].work: give either remaining_query or remaining_unit_seconds",
        ),
        (
            "pool.data.jobs",
            [{**ONE, "name": "nightly", "labels": {"workload": "nightly"}}, ONE],
            "batch.pool.data.jobs: Jobs of late are all, or are among, those of nightly: a Job is a member once",
        ),
        (
            "pool.data.deployments",
            [{**WRITER, "name": "nightly"}, WRITER],
            (
                "batch.pool.data.deployments: names nightly twice; Deployment writer of shop is there twice:"
                " give each member once"
            ),
        ),
        (
            "pool.data.deployments",
            [{**WRITER, "kind": "CronJob"}],
            (
                "batch.pool.data.deployments[0].kind: CronJob is not scaled: name the workload itself,"
                " or Jobs by their labels in jobs"
            ),
        ),
        (
            "workers.0.name",
            "nightly",
            "batch.pool: nightly names workers and a member: give one another name",
        ),
        (
            "pool.given",
            {"cpu": "79", "memory": "100Gi"},
            (
                "batch.pool: queues and workers take 80 cores, given.cpu is 79, and queues and workers take 160 GiB,"
                " given.memory is 100Gi: raise it, or lower them"
            ),
        ),
        ("workers.0.replicas", 0, "batch.workers[0].replicas: should be greater than or equal to 1, not 0"),
    ],
)
def test_a_wrong_section_is_refused_in_words(path: str, value: Any, want: str) -> None:
    assert problems(BatchArgs, changed(path, value), "batch") == [want]


def test_guarantees_that_cannot_all_be_kept_are_refused() -> None:
    made = changed("pool.trading.guarantee_percent", 60)
    made["pool"]["data"]["guarantee_percent"] = 50
    assert problems(BatchArgs, made, "batch") == [
        "batch.pool.data: guarantees 60 + 50 are 110 % of the pool: at most 100 together"
    ]


def test_all_that_is_wrong_with_a_pool_is_said_at_once() -> None:
    made = changed("pool.trading", {"guarantee_percent": -1, "namespaces": ["Shop"]})
    made["workers"][0]["cpu"] = 2
    made["pool"]["data"] = {"notice_seconds": "long", "giveback": 1}
    fields = [one.partition(":")[0] for one in problems(BatchArgs, made, "batch")]
    assert fields == [
        "batch.workers[0].cpu",
        "batch.pool.trading.guarantee_percent",
        "batch.pool.trading.namespaces[0]",
        "batch.pool.data.notice_seconds",
        "batch.pool.data.giveback",
    ]


def test_what_just_fits_into_a_given_capacity_is_taken() -> None:
    made = checks.load(BatchArgs, changed("pool.given", {"cpu": "80", "memory": "160Gi"}), "batch")
    assert made.pool
    assert sizing.machines([("40", "80Gi", 1), ("2", "4Gi", 20)]) == (80_000, 160 * 1024**3)


def test_a_component_in_a_lane_must_know_the_pool_unless_a_joint_policy_does() -> None:
    lane = {"namespace": "shop", "regions": REGIONS, "lane": "trading"}
    assert problems(EdgeCacheArgs, lane) == [
        "edge.policy: lane trading is a lane of a pool: give policy.pool, its name, or remove lane"
    ]
    checks.load(EdgeCacheArgs, {**lane, "policy": None}, "edge")
    EdgeCacheArgs(namespace="shop", regions=REGIONS, **in_lane(as_it_is))


def test_a_unit_is_what_a_lane_is_asked_for() -> None:
    made = {"name": "a", "api_version": "v1", "kind": "A", "capacity": {"orders": 1}, "minimum": 1, "maximum": 2}
    wrong = problems(TargetArgs, {**made, "unit": {"cpu": "1", "memory": "1Gi"}}, "other")
    assert wrong == ["other.unit: is what a lane is asked for: give lane too, or remove unit"]


# ---- the sections together


def read(**more: Any) -> together.Together:
    return together.read(sections(**more), namespace="shop", protect=True)


def refused(**more: Any) -> list[str]:
    with pytest.raises(checks.ArgsError) as said:
        read(**more)
    return said.value.problems


def test_the_stack_s_namespace_and_machines_hold_where_nothing_else_is_said() -> None:
    settings = read()
    assert settings.batch.pool
    assert settings.batch.pool.trading.namespaces == ("shop",)
    assert settings.batch.pool.data.jobs[0].namespace == settings.batch.workers[0].namespace == "shop"
    assert settings.cache.nodes == settings.live.nodes == settings.batch.nodes
    assert settings.cdn.nodes == {}, "it asks no lane"


def test_a_lane_is_one_of_the_pool_that_lets_this_namespace_ask() -> None:
    batch = shipped()["batch"]
    alone = {key: value for key, value in batch.items() if key != "pool"}
    assert refused(batch=alone) == [
        "config.cache.lane: 'trading' is a lane of a pool: give batch.pool too, or remove lane",
        "config.live.lane: 'trading' is a lane of a pool: give batch.pool too, or remove lane",
    ]
    assert refused(cache={**shipped()["cache"], "lane": "data"}) == [
        "config.cache.lane: 'data' is no lane of batch.pool that may be asked: use trading"
    ]
    trading = {**batch["pool"]["trading"], "namespaces": ["live"]}
    assert refused(batch={**batch, "pool": {**batch["pool"], "trading": trading}}) == [
        "config.batch.pool.trading.namespaces: shop, whose policy asks there, is not among them"
    ]


def test_what_is_wrong_between_sections_is_said_with_what_is_wrong_in_them() -> None:
    wrong = refused(cache={**shipped()["cache"], "lane": "data", "shards": 1}, cdn={**shipped()["cdn"], "sites": []})
    assert [one.partition(":")[0] for one in wrong] == [
        "config.cache.shards",
        "config.cdn.sites",
        "config.cache.lane",
    ]
