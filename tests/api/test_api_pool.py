"""Pools, overrides and what of them stands in policies and loans: every field arrives in the core, in its units."""

from __future__ import annotations

import runpy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import ports
from tidegate.api.amounts import Amount, shown_amount
from tidegate.api.loan import MAX_NOTICES, MAX_PROMISES, loan_from_object, loan_to_object
from tidegate.api.parse import parse_override, parse_policy, parse_pool
from tidegate.api.problems import InvalidObject
from tidegate.planning.model import Key, Ref
from tidegate.planning.override import Override, OverrideAction
from tidegate.planning.resources import Resources
from tidegate.planning.shift.model import Drain, Lane, MemberRef, Notice, Pool, Promised, WorkSpec

BASES = runpy.run_path(str(Path(__file__).with_name("bad_inputs.py")))["bases"]()
EVENING = datetime(2026, 11, 10, 12, tzinfo=UTC).timestamp()
"""20:00 in Shanghai."""


def pool_object(**spec: Any) -> dict[str, Any]:
    base = BASES["CapacityPool"]
    return {**base, "spec": {**base["spec"], **spec}}


def work(deadline: str, zone: str) -> dict[str, Any]:
    return {"deadline": deadline, "timeZone": zone, "remaining": {"unitSeconds": "144000.5"}, "staleAfterSeconds": 60}


def lane_with(work: dict[str, Any]) -> list[dict[str, Any]]:
    jobs = {"namespace": "warehouse", "matchLabels": {"workload": "nightly"}}
    return [{"name": "data", "members": [{"name": "nightly", "jobs": jobs, "work": work}]}]


def deadline(text: str, zone: str, now: float) -> float:
    (lane,) = parse_pool(pool_object(lanes=lane_with(work(text, zone))), now=now).lanes
    assert lane.members[0].work is not None
    return lane.members[0].work.deadline


def test_a_pool_arrives_in_the_core_with_all_its_fields() -> None:
    obj = pool_object()
    obj["metadata"] = {"name": "hangzhou-a", "uid": "u1", "generation": 4}

    assert parse_pool(obj, now=EVENING) == Pool(
        name="hangzhou-a",
        lanes=(
            Lane(name="trading", guarantee=40, allowed_namespaces=frozenset({"shop"}), cap=90),
            Lane(
                name="data",
                guarantee=5,
                members=(
                    MemberRef(
                        "loader",
                        "apps/v1",
                        "Deployment",
                        "warehouse",
                        object_name="loader",
                        work=WorkSpec(
                            deadline=datetime(2026, 11, 10, 22, tzinfo=UTC).timestamp(),
                            query="sum(etl_remaining_unit_seconds)",
                            stale_after=300.0,
                        ),
                    ),
                    MemberRef("nightly", "batch/v1", "Job", "warehouse", labels=(("workload", "nightly"),)),
                ),
                drain=Drain(notice=600.0, minimum_run=900.0, seconds=60.0),
                give_back_within=3600.0,
            ),
        ),
        node_selector=(("pool", "hangzhou-a"),),
        uid="u1",
        generation=4,
    )


def test_a_capacity_that_is_given_is_rounded_down_and_a_unit_up() -> None:
    given = {"cpu": "640.0019", "memory": "1280.5Mi"}
    pool = parse_pool(pool_object(capacity={"given": given}), now=EVENING)

    assert pool.given == Resources(640_001, 1280)
    assert Amount.model_validate(given).needed() == Resources(640_002, 1281)


@pytest.mark.parametrize(
    ("cpu", "memory", "want"),
    [
        (640, "1280Gi", Resources(640_000, 1280 * 1024)),
        ("0.5", "512Mi", Resources(500, 512)),
        ("250m", 1_048_576, Resources(250, 1)),
        ("2k", "1G", Resources(2_000_000, 953)),
        ("1", "1.5Ti", Resources(1000, 1_572_864)),
    ],
)
def test_amounts_are_read_as_kubernetes_writes_them(cpu: Any, memory: Any, want: Resources) -> None:
    assert Amount.model_validate({"cpu": cpu, "memory": memory}).there() == want


@given(cpu=st.integers(1, 10**12), memory=st.integers(1, 10**12))
@settings(max_examples=200)
def test_what_is_shown_reads_back_as_the_same_amount(cpu: int, memory: int) -> None:
    amount = Resources(cpu, memory)

    assert Amount.model_validate(shown_amount(amount)).there() == amount


def test_a_deadline_is_the_next_of_its_time_of_day_and_never_now() -> None:
    six = datetime(2026, 11, 10, 22, tzinfo=UTC).timestamp()

    assert deadline("06:00", "Asia/Shanghai", EVENING) == six
    assert deadline("06:00", "Asia/Shanghai", six - 1) == six
    assert deadline("06:00", "Asia/Shanghai", six) == six + 86_400


@pytest.mark.parametrize(
    ("now", "want"),
    [
        # Clocks go forward at 02:00 on 2026-03-29: 02:30 does not exist, and is an hour later for once.
        ("2026-03-28T12:00:00+01:00", "2026-03-29T03:30:00+02:00"),
        # They go back at 03:00 on 2026-10-25: 02:30 comes twice, and the first is meant.
        ("2026-10-24T12:00:00+02:00", "2026-10-25T02:30:00+02:00"),
        ("2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"),
    ],
)
def test_a_deadline_holds_when_the_clocks_change(now: str, want: str) -> None:
    instant = datetime.fromisoformat(now).timestamp()

    assert deadline("02:30", "Europe/Berlin", instant) == datetime.fromisoformat(want).timestamp()


@given(
    now=st.integers(1_700_000_000, 2_000_000_000),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    zone=st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"]),
)
@settings(deadline=None, max_examples=150)
def test_a_deadline_is_within_a_day_and_the_change_of_clocks(now: int, hour: int, minute: int, zone: str) -> None:
    found = deadline(f"{hour:02}:{minute:02}", zone, float(now))
    shown = datetime.fromtimestamp(found, ZoneInfo(zone))

    assert now < found <= now + 26 * 3600
    assert abs((shown.hour * 60 + shown.minute) - (hour * 60 + minute)) in (0, 30, 60)


def test_work_left_that_is_given_arrives_as_a_number() -> None:
    (lane,) = parse_pool(pool_object(lanes=lane_with(work("06:00", "UTC"))), now=EVENING).lanes
    (member,) = lane.members

    assert member.work is not None
    assert (member.work.given, member.work.query, member.work.stale_after) == (144_000.5, None, 60.0)


def test_jobs_whose_labels_exclude_one_another_are_two_members() -> None:
    members = [
        {"name": name, "jobs": {"namespace": "warehouse", "matchLabels": {"team": name}}} for name in ("ads", "ledger")
    ]

    (lane,) = parse_pool(pool_object(lanes=[{"name": "data", "members": members}]), now=EVENING).lanes

    assert [member.name for member in lane.members] == ["ads", "ledger"]


def test_a_pool_has_no_namespace() -> None:
    obj = {**pool_object(), "metadata": {"name": "hangzhou-a", "namespace": "shop"}}
    with pytest.raises(InvalidObject) as refused:
        parse_pool(obj, now=EVENING)

    assert str(refused.value) == "metadata.namespace: a CapacityPool is of the whole cluster; leave it out"


# ---- overrides


def test_an_override_arrives_in_the_core_with_all_its_fields() -> None:
    base = BASES["Override"]
    metadata = {"uid": "u1", "generation": 2, "creationTimestamp": "2026-11-10T15:58:00Z"}
    obj = {**base, "metadata": {**base["metadata"], **metadata}}

    assert parse_override(obj) == Override(
        key=Key("shop", "more-orders"),
        policy="shop-core",
        target="order-service",
        action=OverrideAction.BOOST,
        until=datetime(2026, 11, 10, 18, tzinfo=UTC).timestamp(),
        author="oncall@shop.example",
        reason="viewers are at 1.4x of the plan",
        percent=30,
        created=datetime(2026, 11, 10, 15, 58, tzinfo=UTC).timestamp(),
        uid="u1",
        generation=2,
    )


@pytest.mark.parametrize("action", ["Hold", "Pause"])
def test_an_override_without_target_is_of_all_targets(action: str) -> None:
    base = BASES["Override"]
    spec = {name: value for name, value in base["spec"].items() if name not in ("percent", "target")}

    override = parse_override({**base, "spec": {**spec, "action": action}})

    assert (override.target, override.action.value, override.percent) == (None, action, 0)


def test_an_override_that_is_over_is_read_all_the_same() -> None:
    base = BASES["Override"]

    assert parse_override({**base, "spec": {**base["spec"], "until": "2020-01-01T00:00:00Z"}}).until == 1_577_836_800.0


# ---- what of it stands in policies and loans


def test_a_policy_names_its_pool_and_each_target_its_lane_and_unit() -> None:
    base = BASES["ScalingPolicy"]
    (target,) = base["spec"]["targets"]
    asking = {**target, "lane": "trading", "unit": {"cpu": "1500m", "memory": "1.5Gi"}}
    spec = {**base["spec"], "poolRef": {"name": "hangzhou-a"}, "targets": [asking]}

    policy = parse_policy({**base, "spec": spec})

    assert (policy.pool, policy.targets[0].lane, policy.targets[0].unit) == (
        "hangzhou-a",
        "trading",
        Resources(1500, 1536),
    )
    plain = parse_policy(base)
    assert (plain.pool, plain.targets[0].lane, plain.targets[0].unit) == (None, None, None)


def pools_loan(note: ports.HandOverNote | None) -> ports.Loan:
    place = ports.Place(Ref("apps/v1", "Deployment", "warehouse", "loader"), "uid-1", "/spec/replicas", "scale")
    return ports.Loan(
        key=Key("warehouse", "deployment-loader-1f3a"),
        place=place,
        policy=Key("", "hangzhou-a"),
        target="data",
        original=20,
        former=None,
        verified=20,
        pending=8,
        highest=20,
        started_at=EVENING,
        stepped_at=EVENING + 60.5,
        until=EVENING + 9000,
        epoch=7,
        wanted_by=("shop/shop-core/order-service",),
        hand_over=note,
    )


def test_a_pools_loan_survives_the_way_to_the_api_and_back() -> None:
    note = ports.HandOverNote(
        pool="hangzhou-a",
        lane="data",
        notices=(Notice(6, EVENING), Notice(4, EVENING + 0.25)),
        stops=(Notice(12, EVENING - 600), Notice(8, EVENING - 300)),
        free_by=EVENING + 900,
        until=EVENING + 7200,
        promises=(Promised(EVENING + 8000, 4), Promised(EVENING + 9000, 8)),
    )
    bare = ports.HandOverNote(pool="hangzhou-a", lane="data")

    for loan in (pools_loan(note), pools_loan(bare), pools_loan(None)):
        obj = loan_to_object(loan)
        assert loan_from_object(obj) == loan
        assert obj["spec"]["poolRef"] == {"name": "hangzhou-a", "lane": "data"}
        assert "policyRef" not in obj["spec"]


def test_more_than_a_loan_holds_errs_on_the_side_of_the_work() -> None:
    """Later stops and earlier promises: nothing is told shorter than it was."""
    many = tuple(Notice(200 - index, EVENING + index) for index in range(100))
    promises = tuple(Promised(EVENING + index, 1) for index in range(40))
    note = ports.HandOverNote("hangzhou-a", "data", notices=many, stops=many, promises=promises)

    read = loan_from_object(loan_to_object(pools_loan(note))).hand_over

    assert read is not None
    assert read.notices == read.stops == many[-MAX_NOTICES:]
    assert len(read.promises) == MAX_PROMISES
    assert sum(promise.units for promise in read.promises) == 40
    for instant in range(40):
        told = sum(promise.units for promise in read.promises if promise.at <= EVENING + instant)
        assert told >= instant + 1, "by each instant at least as many are promised back as were"
