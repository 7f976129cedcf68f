"""Databases that share one signal: each carries its share, and all of it is carried."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from tidegate_stacks import checks, policy  # noqa: E402
from tidegate_stacks.database import ReadsArgs  # noqa: E402
from tidegate_stacks.sharded import (  # noqa: E402
    ShardArgs,
    ShardedDatabase,
    ShardedDatabaseArgs,
    one_of,
    sharded_limits,
    sharded_targets,
)

HALVES = (("a", 50), ("b", 25), ("c", 25))
SAID = {"namespace": "shop", "data_gib": 100, "normal": 1000, "peak": 40_000, "backup": "none"}


def args(shares: Any = HALVES, **changed: Any) -> ShardedDatabaseArgs:
    shards = tuple(ShardArgs(name=name, percent=percent) for name, percent in shares)
    return ShardedDatabaseArgs(**{**SAID, **changed}, shards=shards)


@st.composite
def shares(draw: st.DrawFn) -> list[tuple[str, int]]:
    cuts = [0, *sorted(draw(st.sets(st.integers(1, 99), min_size=1, max_size=15))), 100]
    return [(f"s{at}", high - low) for at, (low, high) in enumerate(itertools.pairwise(cuts))]


@given(shares=shares(), demand=st.integers(1000, 40_000))
@settings(deadline=None)
def test_each_shard_gets_the_poolers_that_its_share_needs(shares: list[tuple[str, int]], demand: int) -> None:
    made = args(shares)
    for (_name, percent), target in zip(shares, sharded_targets("orders", made), strict=True):
        needed = demand * percent / 100 / made.per_pooler
        given_units = math.ceil(demand / target["capacity"]["orders_per_second"])
        assert needed <= given_units <= needed * 1.03 + 1
        assert target["background"] == {"orders_per_second": made.normal}
        assert target["max"] * made.per_pooler >= made.peak * percent / 100


def test_data_and_demand_are_divided_and_what_is_of_an_instance_is_not() -> None:
    first, second, _third = (one_of(args(), shard) for shard in args().shards)
    assert (first.data_gib, first.normal, first.peak) == (50, 500, 20_000)
    assert (second.data_gib, second.normal, second.peak) == (25, 250, 10_000)
    assert first.memory == second.memory == args().memory


def test_a_primary_s_limit_counts_in_what_is_announced_for_all() -> None:
    limits = sharded_limits("orders", args(writes_per_second=900))
    assert [(one["name"], one["most"]) for one in limits] == [
        ("orders-a-writes", 1800),
        ("orders-b-writes", 3600),
        ("orders-c-writes", 3600),
    ]
    assert limits[1]["says"] == (
        "the primary of orders-b writes at most 900 orders_per_second, measured by pgbench, and has 25 % of them"
    )


def test_the_longest_sentence_fits() -> None:
    long = args([("n" * 9, 1), ("b", 99)], signal="s" * 63, writes_per_second=10**10 - 1)
    assert all(len(one["says"]) <= policy.MAX_LIMIT_SAYS for one in sharded_limits("d" * 20, long))


def test_every_shard_is_a_database_with_a_host_of_its_own() -> None:
    values = ground.outputs_of(lambda: ShardedDatabase("orders", args()))
    assert values["hosts"] == {one: f"orders-{one}-pooler.shop.svc:5432" for one in "abc"}
    assert values["secrets"] == {one: f"orders-{one}-app" for one in "abc"}
    found = ground.lay(lambda: ShardedDatabase("orders", args(reads=ReadsArgs(per_replica=100, most=5))))[1]
    assert sorted(one.name for one in found.objects if one.kind == "Cluster") == ["orders-a", "orders-b", "orders-c"]
    (seen,) = [one.inputs["spec"] for one in found.objects if one.kind == "ScalingPolicy"]
    reads = {one["name"]: one["capacity"] for one in seen["targets"] if "pooler" not in one["name"]}
    assert reads == {
        "orders-a": {"database_reads_per_second": 200},
        "orders-b": {"database_reads_per_second": 400},
        "orders-c": {"database_reads_per_second": 400},
    }


@pytest.mark.parametrize(
    ("shares", "changed", "said"),
    [
        ([("a", 50), ("b", 49)], {}, "shards: hold 99 % together: give shares that make 100"),
        ([("a", 50), ("a", 50)], {}, "shards: names a twice: give each shard once"),
        ([("a", 99)], {}, "shards: give at least 2"),
        (
            [("a", 80), ("b", 20)],
            {"peak": 134_000},
            "shards: a: peak 107200 needs 33 poolers, and PostgreSQL is sized for 32: ",
        ),
    ],
)
def test_shares_that_do_not_fit_are_refused_in_words(shares: Any, changed: dict[str, Any], said: str) -> None:
    shards = [{"name": name, "percent": percent} for name, percent in shares]
    with pytest.raises(checks.ArgsError) as refused:
        checks.load(ShardedDatabaseArgs, {**SAID, **changed, "shards": shards}, "config.database")
    (problem,) = refused.value.problems
    assert problem.startswith(f"config.database.{said}")


def test_a_peak_that_is_too_much_for_one_database_fits_into_shards() -> None:
    whole = {**SAID, "peak": 400_000}
    quarters = [{"name": name, "percent": 25} for name in "abcd"]
    assert checks.load(ShardedDatabaseArgs, {**whole, "shards": quarters, "per_pooler": 4000}, "config").peak == 400_000


def test_shards_too_must_say_where_their_backups_go() -> None:
    with pytest.raises(checks.ArgsError, match=r"orders-a\.backup: say where backups go"):
        ground.lay(lambda: ShardedDatabase("orders", args(backup=None)))
