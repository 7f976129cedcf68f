"""Objects of the API as values of the core: every field arrives, with the core's units."""

from __future__ import annotations

import copy
import runpy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tidegate import ports
from tidegate.api import parse as parsing
from tidegate.api.loan import MAX_LEVELS, loan_from_object, loan_to_object
from tidegate.api.parse import parse_live_event, parse_override, parse_policy, parse_pool
from tidegate.api.problems import InvalidObject
from tidegate.panics import BrokeOffError
from tidegate.planning.model import (
    Derived,
    Key,
    LeadTimeGuess,
    Mode,
    Moment,
    Policy,
    Ref,
    Release,
    SignalSpec,
    TargetSpec,
)

BASES = runpy.run_path(str(Path(__file__).with_name("bad_inputs.py")))["bases"]()


def live_event(**spec: Any) -> dict[str, Any]:
    base = BASES["LiveEvent"]
    return {**base, "spec": {**base["spec"], **spec}}


def test_an_event_arrives_in_the_core_with_all_its_fields() -> None:
    base = parse_live_event(
        live_event(
            expected={"orders_per_second": "90.5", "concurrent_viewers": 2_000_000_000},
            derived=[
                {"signal": "refunds_per_second", "from": "shipments_per_second", "factor": "0.05", "lagSeconds": 3600},
                {"signal": "shipments_per_second", "from": "orders_per_second", "factor": 1},
            ],
            spreadPercent=30,
            profile="show",
            moments=[
                {"name": "drop", "signal": "orders_per_second", "offsetSeconds": 60, "lagSeconds": 5}
                | {"durationSeconds": 90, "factor": "3.0"},
                {"name": "home", "signal": "home_requests", "anchor": "End", "offsetSeconds": -5}
                | {"durationSeconds": 300, "level": 120000},
            ],
        )
    ).base

    assert (base.key, base.policy) == (Key("shop", "evening-show"), "shop-core")
    assert base.expected == (("concurrent_viewers", 2e9), ("orders_per_second", 90.5))
    assert (base.profile, base.spread) == ("show", 0.3)
    assert base.derived == (
        Derived("shipments_per_second", "orders_per_second", 1.0, 0.0),
        Derived("refunds_per_second", "shipments_per_second", 0.05, 3600.0),
    ), "each source comes before what is derived from it"
    assert base.moments == (
        Moment("drop", "orders_per_second", 65.0, 90.0, factor=3.0),
        Moment("home", "home_requests", -5.0, 300.0, level=120_000.0, from_end=True),
    )


def test_a_policy_arrives_in_the_core_with_all_its_fields() -> None:
    target = {
        "name": "order-service",
        "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "orders"},
        "capacity": {"orders_per_second": "2.5"},
        "background": {"orders_per_second": 0},
        "headroomPercent": 10,
        "stage": {"name": "cache", "settleSeconds": 7},
        "min": 2,
        "max": 9,
        "leadTime": {"guessSeconds": 30, "machineSeconds": 120},
    }
    spec = {
        "mode": "Enforce",
        "quantilePercent": 99,
        "correlationPercent": 25,
        "signals": [{"name": "orders_per_second", "query": "sum(x)", "staleAfterSeconds": 60}],
        "targets": [target],
        "release": {"holdSeconds": 60, "maxStepPercentPerMinute": 50},
        "blindMaxSeconds": 90,
    }
    metadata = {"name": "core", "namespace": "shop", "uid": "u1", "generation": 4}
    metadata |= {"creationTimestamp": "2026-01-01T00:00:00Z"}

    assert parse_policy({"metadata": metadata, "spec": spec}) == Policy(
        key=Key("shop", "core"),
        targets=(
            TargetSpec(
                name="order-service",
                ref=Ref("apps/v1", "Deployment", "shop", "orders"),
                capacity=(("orders_per_second", 2.5),),
                background=(("orders_per_second", 0.0),),
                headroom=0.1,
                stage="cache",
                settle=7.0,
                minimum=2,
                maximum=9,
                lead=LeadTimeGuess(30.0, 120.0),
            ),
        ),
        signals=(SignalSpec("orders_per_second", "sum(x)", 60.0),),
        mode=Mode.ENFORCE,
        quantile=0.99,
        correlation=0.25,
        release=Release(60.0, 0.5),
        blind_max=90.0,
        created=1_767_225_600.0,
        uid="u1",
        generation=4,
    )


def test_a_policy_that_says_nothing_else_observes_only() -> None:
    policy = parse_policy(BASES["ScalingPolicy"])

    assert policy.mode is Mode.OBSERVE
    assert (policy.quantile, policy.correlation, policy.blind_max) == (0.95, 0.0, 1800.0)
    assert policy.release == Release(900.0, 0.2)
    (target,) = policy.targets
    assert (target.headroom, target.stage, target.settle, target.minimum) == (0.2, "app", 0.0, 1)
    assert target.lead == LeadTimeGuess(60.0, 0.0)


@pytest.mark.parametrize(
    ("given", "release", "headroom"),
    [
        ({}, Release(900.0, 0.2), 0.2),
        ({"live": {}}, Release(30.0, 0.2), 0.0),
        ({"live": {}, "release": {"holdSeconds": 900}}, Release(900.0, 0.2), 0.0),
        ({"live": {}, "release": {"maxStepPercentPerMinute": 50}}, Release(30.0, 0.5), 0.0),
        ({"release": {"holdSeconds": 30}}, Release(30.0, 0.2), 0.2),
    ],
)
def test_a_policy_that_follows_demand_holds_for_half_a_minute_unless_it_says(
    given: dict[str, Any], release: Release, headroom: float
) -> None:
    document = copy.deepcopy(BASES["ScalingPolicy"])
    signal = next(iter(document["spec"]["targets"][0]["capacity"]))
    document["spec"] |= {"signals": [{"name": signal, "query": "sum(x)"}], **given}
    policy = parse_policy(document)
    assert policy.release == release
    assert policy.targets[0].headroom == headroom


@pytest.mark.parametrize("former", [None, ports.Manager("helm", "Apply"), ports.Manager("kubectl", "Update", "scale")])
@pytest.mark.parametrize("verified", [None, 0, 2592])
def test_a_loan_survives_the_way_to_the_api_and_back(former: ports.Manager | None, verified: int | None) -> None:
    ref = Ref("autoscaling/v2", "HorizontalPodAutoscaler", "shop", "order-service")
    loan = ports.Loan(
        key=Key("shop", "hpa-order-service-1f3a"),
        place=ports.Place(ref, "uid-1", "/spec/minReplicas"),
        policy=Key("shop", "shop-core"),
        target="order-service",
        original=12,
        former=former,
        verified=verified,
        pending=2592,
        highest=2600,
        started_at=1_794_312_000.123,
        stepped_at=1_794_312_060.999,
        until=1_794_319_200.0,
        epoch=7,
        wanted_by=("LiveEvent/evening-show",),
        levels=(40, 0, 2592),
        beneath=ports.Beneath(
            ports.Place(Ref("apps/v1", "Deployment", "shop", "order-service"), "uid-2", "/spec/replicas", "scale"), 14
        ),
    )

    assert loan_from_object(loan_to_object(loan)) == loan


def test_of_more_levels_than_a_loan_holds_the_latest_are_kept() -> None:
    loan = replace(loan_from_object(BASES["Loan"]), levels=tuple(range(40)))

    assert loan_from_object(loan_to_object(loan)).levels == tuple(range(40 - MAX_LEVELS, 40))


def test_a_loan_of_the_version_before_is_read_without_levels() -> None:
    loan = BASES["Loan"]
    spec = {name: value for name, value in loan["spec"].items() if name != "levels"}

    assert loan_from_object({**loan, "spec": spec}).levels == ()


TARGET = BASES["Loan"]["spec"]["target"]
WORKLOAD = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "w-1", "replicas": 3}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"field": "/spec/template/spec/securityContext/runAsUser"}, "spec.field"),
        ({"field": "/metadata/generation"}, "spec.field"),
        ({"field": "/spec/replicas"}, "spec.field"),
        ({"field": "/spec/suspend"}, "spec.field"),
        ({"field": "/spec/replicas", "subresource": "status"}, "spec.field"),
        ({"target": {**TARGET, "namespace": "payments"}}, "spec.target.namespace"),
        ({"target": {**TARGET, "name": "../../payments/deployments/ledger"}}, "spec.target.name"),
        ({"target": {**TARGET, "name": "web/status"}}, "spec.target.name"),
        ({"target": {**TARGET, "name": "web?fieldManager=x"}}, "spec.target.name"),
        ({"target": {**TARGET, "name": ".."}}, "spec.target.name"),
        ({"target": {**TARGET, "name": ""}}, "spec.target.name"),
        ({"target": {**TARGET, "apiVersion": "../api/v1"}}, "spec.target.apiVersion"),
        ({"target": {**TARGET, "kind": "../secrets"}}, "spec.target.kind"),
        ({"workload": {**WORKLOAD, "name": "../../payments/deployments/ledger"}}, "spec.workload.name"),
        ({"workload": {**WORKLOAD, "apiVersion": "apps/v1/namespaces"}}, "spec.workload.apiVersion"),
        ({"workload": {**WORKLOAD, "kind": "a/b"}}, "spec.workload.kind"),
        ({"policyRef": {"namespace": "payments", "name": "core"}}, "spec.policyRef.namespace"),
        ({"until": "9999-12-31T23:59:59-14:00"}, "spec.until"),
        ({"until": "9999-12-31T23:59:59Z"}, "spec.until"),
        ({"steppedAt": "0001-01-01T00:00:00+14:00"}, "spec.steppedAt"),
        ({"startedAt": "9999-12-31T23:59:59.999999Z"}, "spec.startedAt"),
    ],
)
def test_a_loan_of_what_is_never_borrowed_is_refused(wrong: dict[str, object], field: str) -> None:
    """Whoever may write Loans in his namespace reaches no other namespace with it, and nothing that is no level."""
    loan = BASES["Loan"]

    with pytest.raises(InvalidObject) as refused:
        loan_from_object({**loan, "spec": {**loan["spec"], **wrong}})

    assert [problem.path for problem in refused.value.problems] == [field]


def test_a_loan_of_a_newer_version_is_read_without_the_fields_we_do_not_know() -> None:
    loan = BASES["Loan"]

    assert loan_from_object({**loan, "spec": {**loan["spec"], "lane": "trading"}}) == loan_from_object(loan)


def test_all_problems_of_an_object_are_told_at_once_across_layers() -> None:
    schedule = {"startTime": "2026-11-10T20:00:00Z", "timeZone": "Asia/Shangai", "durationSeconds": "7200"}
    with pytest.raises(InvalidObject) as refused:
        parse_live_event(live_event(schedule=schedule, derived=[{"signal": "a", "from": "b", "factor": 1}]))

    assert [p.path for p in refused.value.problems] == [
        "spec.schedule.durationSeconds",
        "spec.schedule.timeZone",
        "spec.schedule.startTime",
        "spec.derived[0].from",
    ]


def test_a_broken_object_is_never_half_parsed() -> None:
    moments = [{"name": "bad", "signal": "orders_per_second", "durationSeconds": 1}]
    good = parse_live_event(live_event())
    with pytest.raises(InvalidObject):
        parse_live_event(live_event(moments=moments))

    assert parse_live_event(live_event()) == good


def test_an_override_that_nobody_would_see_the_end_of_is_refused_in_words() -> None:
    """One that a server has seen knows when it was made; a file does not."""
    override: dict[str, Any] = {
        "metadata": {"name": "x", "namespace": "shop", "creationTimestamp": "2026-11-10T15:58:00Z"},
        "spec": {
            "policyRef": {"name": "core"},
            "action": "Hold",
            "until": "2027-11-10T00:00:00Z",
            "author": "oncall@shop.example",
            "reason": "until further notice",
        },
    }
    with pytest.raises(InvalidObject, match="more than 31 days after it was made"):
        parse_override(override)
    override["spec"]["until"] = "2026-12-10T00:00:00Z"
    assert parse_override(override).author == "oncall@shop.example"


class PanicException(BaseException):
    """What a library written in Rust raises when it breaks off."""


@pytest.mark.parametrize(
    ("parse", "spec"),
    [
        (parse_live_event, "LiveEventSpec"),
        (parse_policy, "ScalingPolicySpec"),
        (parse_override, "OverrideSpec"),
        (partial(parse_pool, now=0.0), "CapacityPoolSpec"),
    ],
)
def test_a_library_that_breaks_off_at_an_object_is_an_error_of_that_object(
    parse: Any, spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[BaseException] = [KeyboardInterrupt(), PanicException("overflow")]

    def breaks_off(*_: object) -> None:
        raise raised.pop()

    monkeypatch.setattr(getattr(parsing, spec), "model_validate", breaks_off)
    given = {"metadata": {"name": "x"} | ({} if spec == "CapacityPoolSpec" else {"namespace": "shop"}), "spec": {}}
    with pytest.raises(BrokeOffError, match="PanicException: overflow"):
        parse(given)
    with pytest.raises(KeyboardInterrupt):
        parse(given)
