"""Every field of every kind reaches what the operator plans with: each is changed on its own, and the result differs.

A field that is in the schema, and that no parser reads, would pass every other check.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from learned_leaves import GROWN_OTHERWISE, LEARNED

from tidegate.api.crd import all_crds
from tidegate.api.learned import learned_from_object
from tidegate.api.loan import loan_from_object
from tidegate.api.parse import parse_live_event, parse_override, parse_policy, parse_pool
from tidegate.api.problems import InvalidObject

Object = dict[str, Any]
NOW = 1_794_240_000.0
METADATA = {"name": "one", "namespace": "shop", "uid": "u-1", "creationTimestamp": "2026-11-09T16:00:00Z"}

SHOW: Object = {
    "schedule": {
        "startTime": "2026-11-10T20:00:00",
        "timeZone": "Asia/Shanghai",
        "durationSeconds": 7200,
        "recurrence": {"rrule": "FREQ=WEEKLY;BYDAY=TU,TH", "exclude": ["2026-11-12"]},
        "changes": [
            {"occurrence": "2026-11-17T20:00:00", "postponedTo": "2026-11-18T21:00:00", "extendedBySeconds": 600},
            {"occurrence": "2026-11-24T20:00:00", "cancelled": True},
            {"occurrence": "2026-12-01T20:00:00", "extendedBySeconds": 60},
        ],
    },
    "expected": {"viewers": 2000, "orders": 100},
    "derived": [{"signal": "refunds", "from": "orders", "factor": "0.1", "lagSeconds": 600}],
    "spreadPercent": 10,
    "host": "lena",
    "tier": "head",
    "profile": "show",
    "moments": [
        {
            "name": "drop",
            "signal": "orders",
            "factor": "3",
            "offsetSeconds": 60,
            "lagSeconds": 5,
            "durationSeconds": 90,
        },
        {"name": "last", "signal": "chat", "level": 400, "anchor": "End", "durationSeconds": 30},
    ],
    "policyRef": {"name": "core"},
}
ONCE: Object = {**SHOW, "schedule": {k: v for k, v in SHOW["schedule"].items() if k not in ("recurrence", "changes")}}

POLICY: Object = {
    "mode": "Enforce",
    "poolRef": {"name": "hangzhou"},
    "quantilePercent": 90,
    "correlationPercent": 10,
    "signals": [{"name": "orders", "query": "sum(orders)", "staleAfterSeconds": 60}],
    "targets": [
        {
            "name": "web",
            "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "capacity": {"orders": 50, "viewers": 7},
            "background": {"orders": 5},
            "headroomPercent": 30,
            "stage": {"name": "cache", "settleSeconds": 15},
            "min": 2,
            "max": 100,
            "leadTime": {"guessSeconds": 90, "machineSeconds": 120},
            "lane": "trading",
            "unit": {"cpu": "500m", "memory": "1Gi"},
        }
    ],
    "limits": [{"name": "orders-db", "signal": "orders", "most": 4000, "says": "by pgbench"}],
    "release": {"holdSeconds": 300, "maxStepPercentPerMinute": 25},
    "live": {"quantilePercent": 95, "fadePercentPerMinute": 10, "forgetHosts": ["lena"]},
    "blindMaxSeconds": 600,
}

LANES: list[Object] = [
    {"name": "trading", "guaranteePercent": 20, "allowedNamespaces": ["shop"], "capPercentPerNamespace": 50},
    {
        "name": "data",
        "members": [
            {
                "name": "loader",
                "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "data", "name": "loader"},
                "work": {
                    "deadline": "06:00",
                    "timeZone": "Asia/Shanghai",
                    "remaining": {"query": "sum(left)"},
                    "staleAfterSeconds": 100,
                },
            },
            {"name": "nightly", "jobs": {"namespace": "data", "matchLabels": {"app": "nightly"}}},
        ],
        "drain": {"noticeSeconds": 60, "minimumRunSeconds": 30, "guessSeconds": 45},
        "giveBackWithinSeconds": 900,
    },
]
NODES: Object = {"capacity": {"nodeSelector": {"pool": "hangzhou"}}, "lanes": LANES}
TOLD: Object = copy.deepcopy(NODES)
TOLD["lanes"][1]["members"][0]["work"]["remaining"] = {"unitSeconds": 60}
GIVEN: Object = {"capacity": {"given": {"cpu": "100", "memory": "400Gi"}}, "lanes": LANES}

OVERRIDE: Object = {
    "policyRef": {"name": "core"},
    "target": "web",
    "action": "Boost",
    "percent": 50,
    "until": "2026-11-10T21:00:00Z",
    "author": "lin",
    "reason": "queue grows",
}
HOLD: Object = {**{k: v for k, v in OVERRIDE.items() if k != "percent"}, "action": "Hold"}

LOAN: Object = {
    "target": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "web", "uid": "u-1"},
    "field": "/spec/replicas",
    "subresource": "scale",
    "policyRef": {"namespace": "shop", "name": "core"},
    "targetName": "web",
    "original": 2,
    "formerManager": {"name": "helm", "operation": "Update", "subresource": "scale"},
    "verified": 10,
    "pending": 12,
    "highest": 14,
    "startedAt": "2026-11-10T11:00:00Z",
    "steppedAt": "2026-11-10T11:30:00Z",
    "until": "2026-11-10T15:00:00Z",
    "levels": [10, 14],
    "workload": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u-2", "replicas": 4},
    "epoch": 3,
    "for": ["LiveEvent/show"],
}
LENT: Object = {
    **{k: v for k, v in LOAN.items() if k != "policyRef"},
    "poolRef": {"name": "hangzhou", "lane": "data"},
    "handOver": {
        "notices": [{"level": 4, "time": "2026-11-10T11:00:00Z"}],
        "stops": [{"level": 4, "time": "2026-11-10T11:10:00Z"}],
        "freeBy": "2026-11-10T11:15:00Z",
        "startAgainAt": "2026-11-10T14:00:00Z",
        "promises": [{"time": "2026-11-10T15:00:00Z", "units": 3}],
        "extra": {"cpu": 100, "memory": 64},
    },
}

NOTHING_ENDED = {**LEARNED, "ended": []}

PARSERS: dict[str, Callable[[Object], Any]] = {
    "LiveEvent": parse_live_event,
    "ScalingPolicy": parse_policy,
    "CapacityPool": lambda obj: parse_pool(obj, now=NOW),
    "Override": parse_override,
    "Learned": learned_from_object,
    "Loan": loan_from_object,
}


@dataclass(frozen=True)
class Instead:
    """The field is left out, and these beside it are given: it stands for itself alone."""

    fields: Object


MEMBER = "lanes[1].members[0]"
CHANGES: list[tuple[str, Object, str, Any]] = [
    ("LiveEvent", ONCE, "schedule.startTime", "2026-11-10T20:00:01"),
    ("LiveEvent", SHOW, "schedule.timeZone", "Asia/Tokyo"),
    ("LiveEvent", SHOW, "schedule.durationSeconds", 7201),
    ("LiveEvent", SHOW, "schedule.recurrence.rrule", "FREQ=WEEKLY;BYDAY=TU,TH;UNTIL=20270101"),
    ("LiveEvent", SHOW, "schedule.recurrence.exclude[0]", "2026-11-19"),
    ("LiveEvent", SHOW, "schedule.changes[0].occurrence", "2026-11-19T20:00:00"),
    ("LiveEvent", SHOW, "schedule.changes[0].postponedTo", "2026-11-18T22:00:00"),
    ("LiveEvent", SHOW, "schedule.changes[0].extendedBySeconds", 601),
    ("LiveEvent", SHOW, "schedule.changes[1].cancelled", Instead({"extendedBySeconds": 60})),
    ("LiveEvent", SHOW, "expected.viewers", 2001),
    ("LiveEvent", SHOW, "derived[0].signal", "returns"),
    ("LiveEvent", SHOW, "derived[0].from", "viewers"),
    ("LiveEvent", SHOW, "derived[0].factor", "0.2"),
    ("LiveEvent", SHOW, "derived[0].lagSeconds", 601),
    ("LiveEvent", SHOW, "spreadPercent", 11),
    ("LiveEvent", SHOW, "host", "otto"),
    ("LiveEvent", SHOW, "tier", "tail"),
    ("LiveEvent", SHOW, "profile", "match"),
    ("LiveEvent", SHOW, "moments[0].name", "other"),
    ("LiveEvent", SHOW, "moments[0].signal", "viewers"),
    ("LiveEvent", SHOW, "moments[0].anchor", "End"),
    ("LiveEvent", SHOW, "moments[0].offsetSeconds", 61),
    ("LiveEvent", SHOW, "moments[0].lagSeconds", 6),
    ("LiveEvent", SHOW, "moments[0].durationSeconds", 91),
    ("LiveEvent", SHOW, "moments[0].factor", "4"),
    ("LiveEvent", SHOW, "moments[1].level", 401),
    ("LiveEvent", SHOW, "policyRef.name", "other"),
    ("ScalingPolicy", POLICY, "mode", "Observe"),
    ("ScalingPolicy", POLICY, "poolRef.name", "other"),
    ("ScalingPolicy", POLICY, "quantilePercent", 91),
    ("ScalingPolicy", POLICY, "correlationPercent", 11),
    ("ScalingPolicy", POLICY, "signals[0].name", "viewers"),
    ("ScalingPolicy", POLICY, "signals[0].query", "max(orders)"),
    ("ScalingPolicy", POLICY, "signals[0].staleAfterSeconds", 61),
    ("ScalingPolicy", POLICY, "targets[0].name", "api"),
    ("ScalingPolicy", POLICY, "targets[0].ref.apiVersion", "apps/v2"),
    ("ScalingPolicy", POLICY, "targets[0].ref.kind", "StatefulSet"),
    ("ScalingPolicy", POLICY, "targets[0].ref.name", "api"),
    ("ScalingPolicy", POLICY, "targets[0].capacity.orders", 51),
    ("ScalingPolicy", POLICY, "targets[0].background.orders", 6),
    ("ScalingPolicy", POLICY, "targets[0].headroomPercent", 31),
    ("ScalingPolicy", POLICY, "targets[0].stage.name", "edge"),
    ("ScalingPolicy", POLICY, "targets[0].stage.settleSeconds", 16),
    ("ScalingPolicy", POLICY, "targets[0].min", 3),
    ("ScalingPolicy", POLICY, "targets[0].max", 101),
    ("ScalingPolicy", POLICY, "targets[0].leadTime.guessSeconds", 91),
    ("ScalingPolicy", POLICY, "targets[0].leadTime.machineSeconds", 121),
    ("ScalingPolicy", POLICY, "targets[0].lane", "other"),
    ("ScalingPolicy", POLICY, "targets[0].unit.cpu", "501m"),
    ("ScalingPolicy", POLICY, "targets[0].unit.memory", "2Gi"),
    ("ScalingPolicy", POLICY, "limits[0].name", "other-db"),
    ("ScalingPolicy", POLICY, "limits[0].signal", "viewers"),
    ("ScalingPolicy", POLICY, "limits[0].most", 4001),
    ("ScalingPolicy", POLICY, "limits[0].says", "by hand"),
    ("ScalingPolicy", POLICY, "release.holdSeconds", 301),
    ("ScalingPolicy", POLICY, "release.maxStepPercentPerMinute", 26),
    ("ScalingPolicy", POLICY, "live.quantilePercent", 96),
    ("ScalingPolicy", POLICY, "live.fadePercentPerMinute", 11),
    ("ScalingPolicy", POLICY, "live.forgetHosts[0]", "otto"),
    ("ScalingPolicy", POLICY, "blindMaxSeconds", 601),
    ("CapacityPool", NODES, "capacity.nodeSelector.pool", "other"),
    ("CapacityPool", GIVEN, "capacity.given.cpu", "101"),
    ("CapacityPool", GIVEN, "capacity.given.memory", "401Gi"),
    ("CapacityPool", NODES, "lanes[0].name", "sales"),
    ("CapacityPool", NODES, "lanes[0].guaranteePercent", 21),
    ("CapacityPool", NODES, "lanes[0].allowedNamespaces[0]", "other"),
    ("CapacityPool", NODES, "lanes[0].capPercentPerNamespace", 51),
    ("CapacityPool", NODES, f"{MEMBER}.name", "other"),
    ("CapacityPool", NODES, f"{MEMBER}.ref.apiVersion", "apps/v2"),
    ("CapacityPool", NODES, f"{MEMBER}.ref.kind", "StatefulSet"),
    ("CapacityPool", NODES, f"{MEMBER}.ref.namespace", "other"),
    ("CapacityPool", NODES, f"{MEMBER}.ref.name", "other"),
    ("CapacityPool", NODES, "lanes[1].members[1].jobs.namespace", "other"),
    ("CapacityPool", NODES, "lanes[1].members[1].jobs.matchLabels.app", "other"),
    ("CapacityPool", NODES, f"{MEMBER}.work.deadline", "06:01"),
    ("CapacityPool", NODES, f"{MEMBER}.work.timeZone", "Asia/Tokyo"),
    ("CapacityPool", NODES, f"{MEMBER}.work.remaining.query", "max(left)"),
    ("CapacityPool", TOLD, f"{MEMBER}.work.remaining.unitSeconds", 61),
    ("CapacityPool", NODES, f"{MEMBER}.work.staleAfterSeconds", 101),
    ("CapacityPool", NODES, "lanes[1].drain.noticeSeconds", 61),
    ("CapacityPool", NODES, "lanes[1].drain.minimumRunSeconds", 31),
    ("CapacityPool", NODES, "lanes[1].drain.guessSeconds", 46),
    ("CapacityPool", NODES, "lanes[1].giveBackWithinSeconds", 901),
    ("Override", OVERRIDE, "policyRef.name", "other"),
    ("Override", OVERRIDE, "target", "api"),
    ("Override", HOLD, "action", "Pause"),
    ("Override", OVERRIDE, "percent", 51),
    ("Override", OVERRIDE, "until", "2026-11-10T21:00:01Z"),
    ("Override", OVERRIDE, "author", "mei"),
    ("Override", OVERRIDE, "reason", "other"),
    ("Loan", LOAN, "target.apiVersion", "apps/v2"),
    ("Loan", LOAN, "target.kind", "StatefulSet"),
    ("Loan", LOAN, "target.namespace", "other"),
    ("Loan", LOAN, "target.name", "api"),
    ("Loan", LOAN, "target.uid", "u-2"),
    ("Loan", LOAN, "field", "/spec/minReplicas"),
    ("Loan", LOAN, "subresource", ""),
    ("Loan", LOAN, "policyRef.namespace", "other"),
    ("Loan", LOAN, "policyRef.name", "other"),
    ("Loan", LENT, "poolRef.name", "other"),
    ("Loan", LENT, "poolRef.lane", "other"),
    ("Loan", LOAN, "targetName", "api"),
    ("Loan", LOAN, "original", 3),
    ("Loan", LOAN, "formerManager.name", "argocd"),
    ("Loan", LOAN, "formerManager.operation", "Apply"),
    ("Loan", LOAN, "formerManager.subresource", ""),
    ("Loan", LOAN, "verified", 11),
    ("Loan", LOAN, "pending", 13),
    ("Loan", LOAN, "highest", 15),
    ("Loan", LOAN, "workload.apiVersion", "apps/v2"),
    ("Loan", LOAN, "workload.kind", "StatefulSet"),
    ("Loan", LOAN, "workload.name", "api"),
    ("Loan", LOAN, "workload.uid", "u-3"),
    ("Loan", LOAN, "workload.replicas", 5),
    ("Loan", LOAN, "startedAt", "2026-11-10T11:00:01Z"),
    ("Loan", LOAN, "steppedAt", "2026-11-10T11:30:01Z"),
    ("Loan", LOAN, "until", "2026-11-10T15:00:01Z"),
    ("Loan", LOAN, "levels[0]", 11),
    ("Loan", LOAN, "epoch", 4),
    ("Loan", LENT, "handOver.notices[0].level", 5),
    ("Loan", LENT, "handOver.notices[0].time", "2026-11-10T11:00:01Z"),
    ("Loan", LENT, "handOver.stops[0].level", 5),
    ("Loan", LENT, "handOver.stops[0].time", "2026-11-10T11:10:01Z"),
    ("Loan", LENT, "handOver.freeBy", "2026-11-10T11:15:01Z"),
    ("Loan", LENT, "handOver.startAgainAt", "2026-11-10T14:00:01Z"),
    ("Loan", LENT, "handOver.promises[0].time", "2026-11-10T15:00:01Z"),
    ("Loan", LENT, "handOver.promises[0].units", 4),
    ("Loan", LENT, "handOver.extra.cpu", 200),
    ("Loan", LENT, "handOver.extra.memory", 65),
    ("Loan", LOAN, "for[0]", "LiveEvent/other"),
    ("Learned", LEARNED, "format", 2),
    ("Learned", NOTHING_ENDED, "of.kind", "ScalingPolicy"),
    ("Learned", LEARNED, "of.name", "other"),
    ("Learned", LEARNED, "epoch", 4),
    ("Learned", LEARNED, "starts[0].target", "web"),
    ("Learned", LEARNED, "starts[0].units[0]", 5),
    ("Learned", LEARNED, "starts[0].milliseconds[0]", 31_501),
    ("Learned", LEARNED, "starts[0].ordered", True),
    ("Learned", LEARNED, "drains[0].lane", "trading"),
    ("Learned", LEARNED, "drains[0].milliseconds[0]", 12_001),
    ("Learned", LEARNED, "sizes[0].target", "web"),
    ("Learned", LEARNED, "sizes[0].cpu", 101),
    ("Learned", LEARNED, "sizes[0].memory", 65),
    ("Learned", LEARNED, "ended[0].group", "other"),
    ("Learned", LEARNED, "ended[0].kind", "StatefulSet"),
    ("Learned", LEARNED, "ended[0].namespace", "other"),
    ("Learned", LEARNED, "ended[0].name", "web"),
    ("Learned", LEARNED, "ended[0].uid", "v"),
    ("Learned", LEARNED, "ended[0].field", "/spec/minReplicas"),
    ("Learned", LEARNED, "ended[0].subresource", ""),
    ("Learned", LEARNED, "ended[0].time", "2026-11-10T11:00:01.000Z"),
    ("Learned", LEARNED, "ended[0].levels[0]", 21),
    ("Learned", LEARNED, "lastValid[0].kind", "LiveEvent"),
    ("Learned", LEARNED, "lastValid[0].name", "other"),
    ("Learned", LEARNED, "lastValid[0].uid", "v"),
    ("Learned", LEARNED, "lastValid[0].document", "[]"),
    ("Learned", LEARNED, "granted[0].owner", "shop/core/web"),
    ("Learned", LEARNED, "granted[0].start", "2026-11-10T11:00:01.000Z"),
    ("Learned", LEARNED, "granted[0].end", "2026-11-10T12:00:01.000Z"),
    ("Learned", LEARNED, "granted[0].cpu", 1001),
    ("Learned", LEARNED, "granted[0].memory", 1025),
    *(("Learned", LEARNED, f"growth[0].{name}", other) for name, other in GROWN_OTHERWISE.items()),
    ("Learned", LEARNED, "blind[0].signal", "viewers"),
    ("Learned", LEARNED, "blind[0].since", "2026-11-10T11:00:01.000Z"),
    ("Learned", LEARNED, "timetable", "eJx="),
    ("Learned", LEARNED, "writesPerSecond", 16),
]
"""(kind, spec, field, another value for it)."""

MAPS = ("expected.viewers", "capacity.orders", "background.orders", "nodeSelector.pool", "matchLabels.app")
"""Fields whose last step is a key that users choose."""


def parsed(kind: str, spec: Object) -> Any:
    return PARSERS[kind]({"metadata": METADATA if kind != "CapacityPool" else {"name": "one"}, "spec": spec})


def understood(kind: str, spec: Object) -> tuple[Any, list[str]]:
    """What is made of a spec, or None and the fields for which it is refused."""
    try:
        return parsed(kind, spec), []
    except InvalidObject as refused:
        return None, [problem.path for problem in refused.problems]


def changed(spec: Object, field: str, value: Any) -> Object:
    """The spec with another value in one field."""
    made = copy.deepcopy(spec)
    *steps, last = [int(step) if step.isdecimal() else step for step in re.findall(r"[^.\[\]]+", field)]
    holder: Any = made
    for step in steps:
        holder = holder[step]
    if isinstance(value, Instead):
        del holder[last]
        holder.update(value.fields)
    else:
        holder[last] = value
    return made


def leaves(schema: Object, path: str = "") -> Iterator[str]:
    """Every field of a schema that holds a value."""
    if "properties" in schema:
        for name, inner in schema["properties"].items():
            yield from leaves(inner, f"{path}.{name}")
    elif isinstance(schema.get("additionalProperties"), dict):
        yield from leaves(schema["additionalProperties"], f"{path}{{}}")
    elif schema.get("type") == "array":
        yield from leaves(schema["items"], f"{path}[]")
    else:
        yield path.removeprefix(".")


def schematic(field: str) -> str:
    """A field's path as ``leaves`` writes it."""
    path = re.sub(r"\[\d+\]", "[]", field)
    return re.sub(r"\.[a-z]+$", "{}", path) if path.endswith(MAPS) else path


@pytest.mark.parametrize(("kind", "spec", "field", "value"), CHANGES, ids=[f"{one[0]}-{one[2]}" for one in CHANGES])
def test_a_field_that_is_changed_changes_what_is_understood(kind: str, spec: Object, field: str, value: Any) -> None:
    before = parsed(kind, spec)
    assert parsed(kind, copy.deepcopy(spec)) == before, "the same says the same"
    after, refused = understood(kind, changed(spec, field, value))
    assert after != before
    if kind not in ("Loan", "Learned"):  # whose fields follow from one another: another value is refused elsewhere
        assert refused == []
    assert refused in ([], [f"spec.{field}"], ["spec.field"])


def test_every_field_of_every_schema_is_changed() -> None:
    wanted = {
        (crd["spec"]["names"]["kind"], path)
        for crd in all_crds()
        for version in crd["spec"]["versions"]
        for path in leaves(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
    }
    assert {(kind, schematic(field)) for kind, _, field, _ in CHANGES} == wanted
