"""An update waits for a StatefulSet for as long as its pods may take to be replaced, one by one."""

from __future__ import annotations

from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from samples import cdn_args  # noqa: E402

from tidegate_stacks import cache, cdn_shield, live, sizing  # noqa: E402
from tidegate_stacks.cdn import ShieldArgs  # noqa: E402


def waits(workload: dict[str, Any]) -> int:
    return int(workload["metadata"]["annotations"]["pulumi.com/timeoutSeconds"])


def grace(workload: dict[str, Any]) -> int:
    return int(workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"])


@pytest.mark.parametrize(("origins", "seconds"), [(1, 3600), (2, 3600), (8, 43_200)])
def test_an_update_outlasts_origins_that_each_wait_for_their_publishers(origins: int, seconds: int) -> None:
    args = live.LiveOriginArgs(
        namespace="shop",
        publish=live.PublishArgs(open=True),
        origins=origins,
        normal_mbps=1,
        peak_mbps=9,
        publisher_grace_seconds=seconds,
    )
    workload = live.origin_objects("live", args)[0]
    assert waits(workload) > origins * grace(workload) >= origins * seconds


def test_an_update_of_a_cache_outlasts_the_copies_of_all_pods_that_a_peak_may_have() -> None:
    args = cache.CacheArgs(namespace="shop", data_gib=300, memory="160Gi", normal=100_000, peak=2_000_000)
    workload = cache.shard_objects("cache", args, 0, sizing.slot_ranges(3)[0])[0]
    most, copy = cache.pods_of(args).most, 100 * 1024 // args.copy_mib_per_second
    assert waits(workload) > most * (grace(workload) + copy)
    assert "tidegate.dev/allow" in workload["metadata"]["annotations"], "it says what it said before too"


def test_an_update_of_a_shield_outlasts_its_pods() -> None:
    workload = cdn_shield.shield_objects("cdn", cdn_args(str, shield=ShieldArgs(pods=8)), ["origin:8080"])[0]
    assert waits(workload) > 8 * grace(workload)


def test_nobody_waits_for_less_than_pulumi_would_by_itself() -> None:
    workload = cdn_shield.shield_objects("cdn", cdn_args(str, shield=ShieldArgs(pods=4)), ["origin:8080"])[0]
    assert waits(workload) >= 600
