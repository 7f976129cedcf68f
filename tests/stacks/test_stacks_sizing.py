"""Sizes: enough for what they were computed from, and never more than the bound that was given."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate_stacks import naming, sizing

rates = st.integers(1, 10**7)


@given(normal=rates, more=st.integers(0, 10**7), per_unit=st.integers(1, 10**5), headroom=st.integers(0, 500))
def test_a_range_carries_its_demand_with_headroom(normal: int, more: int, per_unit: int, headroom: int) -> None:
    size = sizing.serving_range(normal, normal + more, per_unit=per_unit, headroom_percent=headroom, least=2)
    assert 2 <= size.normal <= size.most
    assert size.normal * per_unit * 100 >= normal * (100 + headroom)
    assert size.most * per_unit * 100 >= (normal + more) * (100 + headroom)


@given(normal=rates, per_unit=st.integers(1, 10**5))
def test_a_range_has_no_unit_too_many(normal: int, per_unit: int) -> None:
    size = sizing.serving_range(normal, normal, per_unit=per_unit, headroom_percent=0, least=1)
    assert (size.most - 1) * per_unit < normal


@given(shards=st.integers(1, 1000))
def test_slot_ranges_hold_every_slot_once_and_evenly(shards: int) -> None:
    ranges = sizing.slot_ranges(shards)
    assert [slot for one in ranges for slot in (one.first, one.last)][:: 2 * shards - 1] == [0, sizing.HASH_SLOTS - 1]
    assert all(after.first == before.last + 1 for before, after in itertools.pairwise(ranges))
    lengths = {one.last - one.first + 1 for one in ranges}
    assert max(lengths) - min(lengths) <= 1


def test_slot_ranges_of_three_are_those_of_the_protocol_s_own_tool() -> None:
    assert [(one.first, one.last) for one in sizing.slot_ranges(3)] == [(0, 5460), (5461, 10922), (10923, 16383)]


@given(gib=st.integers(1, 512), connections=st.integers(20, 5000))
def test_postgres_never_promises_more_memory_than_it_has(gib: int, connections: int) -> None:
    made = sizing.postgres_parameters(f"{gib}Gi", connections=connections)
    mib = {name: int(value.removesuffix("MB")) for name, value in made.items() if value.endswith("MB")}
    assert mib["shared_buffers"] + mib["work_mem"] * connections <= max(gib * 1024, gib * 256 + connections)
    assert made["max_connections"] == str(connections)


@pytest.mark.parametrize(("data_gib", "speed", "want"), [(400, 100, 8192), (1, 100_000, 1), (65_536, 1, 86_400)])
def test_a_replica_is_ordered_twice_its_copy_before_it_is_needed(data_gib: int, speed: int, want: int) -> None:
    assert sizing.replica_lead_seconds(data_gib, copy_mib_per_second=speed) == want


def test_all_poolers_together_find_connections() -> None:
    assert sizing.server_connections(poolers=27, per_pooler=40) == 27 * 40 + sizing.POSTGRES_RESERVED_CONNECTIONS


@pytest.mark.parametrize(("size", "want"), [("512Mi", 2**29), ("4Gi", 2**32), ("1Ti", 2**40)])
def test_sizes_are_read_as_kubernetes_reads_them(size: str, want: int) -> None:
    assert sizing.memory_bytes(size) == want


@pytest.mark.parametrize(("disk", "want"), [("1Gi", 10), ("20Gi", 11), ("1Ti", 525)])
def test_a_key_zone_holds_the_segments_of_a_disk(disk: str, want: int) -> None:
    assert sizing.cache_zone_mib(disk) == want


@pytest.mark.parametrize("name", ["Edge", "edge_1", "1edge", "edge-", "", "e" * 31])
def test_a_name_that_kubernetes_would_refuse_is_refused_first(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a component"):
        naming.component_name(name)


def test_the_longest_name_of_a_component_still_leaves_room_for_its_parts() -> None:
    assert len(naming.child("e" * naming.MAX_COMPONENT, "r" * 24, "config")) <= naming.MAX_LABEL


def test_a_child_s_name_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="shorten"):
        naming.child("edge", "r" * 60)
