"""A real API server takes our CRDs, refuses bad objects in our words, and takes every example and preset.

The CRDs are left as they are found afterwards: they are applied, never deleted. All objects are dry runs.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from tidegate.api.amounts import shown_amount
from tidegate.api.capacitypool import MAX_LANES, MAX_MEMBERS
from tidegate.api.loan import loan_from_object, loan_to_object
from tidegate.api.parse import parse_pool
from tidegate.planning.model import Key
from tidegate.planning.resources import Resources
from tidegate.planning.shift.model import Notice, Promised
from tidegate.ports import HandOverNote
from tidegate.targets.loans import loan_key

ROOT = Path(__file__).parents[2]
TABLE = runpy.run_path(str(ROOT / "tests/api/bad_inputs.py"))
CASES = TABLE["cases"]()
FILES = sorted([*(ROOT / "examples").glob("*.yaml"), *(ROOT / "policies/scaling").glob("*.yaml")])

KINDS = ("capacitypools", "learned", "liveevents", "loans", "overrides", "scalingpolicies")

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not os.environ.get("KUBECONFIG"), reason="needs a real API server: set KUBECONFIG"),
]


def kubectl(*arguments: str, given: Any = None) -> subprocess.CompletedProcess[str]:
    """Run kubectl; objects are passed as JSON."""
    text = None if given is None else orjson.dumps(given).decode()
    return subprocess.run(["kubectl", *arguments], input=text, capture_output=True, text=True, timeout=30, check=False)


def dry_run(obj: dict[str, Any], namespace: str) -> subprocess.CompletedProcess[str]:
    """Ask the server whether it would take an object."""
    return kubectl("create", "--dry-run=server", "-f", "-", given=placed(obj, namespace))


def placed(obj: dict[str, Any], namespace: str) -> dict[str, Any]:
    """An object in a namespace, unless its kind is of the whole cluster."""
    if obj["kind"] == "CapacityPool":
        return obj
    return {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}


def applied(obj: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Ask the server whether it would take a change of an object."""
    return kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", given=obj)


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """A namespace of a cluster whose CRDs are those of the chart, established."""
    done = kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "charts/tidegate/files/crds"))
    assert done.returncode == 0, done.stderr
    crds = [f"crd/{name}.tidegate.dev" for name in KINDS]
    established = kubectl("wait", "--for=condition=Established", "--timeout=20s", *crds)
    assert established.returncode == 0, established.stderr
    name = f"crds-{uuid.uuid4().hex[:8]}"
    made = kubectl("create", "namespace", name)
    assert made.returncode == 0, made.stderr
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize("kind", sorted(TABLE["bases"]()))
def test_the_server_takes_the_object_that_the_changes_start_from(kind: str, namespace: str) -> None:
    taken = dry_run(TABLE["bases"]()[kind], namespace)

    assert taken.returncode == 0, taken.stderr


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_server_refuses_what_its_schema_can_see_in_words(case: Any, namespace: str) -> None:
    answer = dry_run(case.build(), namespace)

    if case.server is None:
        assert answer.returncode == 0, answer.stderr
    else:
        assert answer.returncode != 0
        assert case.server in answer.stderr


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_the_server_takes_every_example_and_preset(path: Path, namespace: str) -> None:
    for obj in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        taken = dry_run(obj, namespace)
        assert taken.returncode == 0, taken.stderr


def test_the_server_fills_in_the_defaults_of_the_models(namespace: str) -> None:
    policy = placed(TABLE["bases"]()["ScalingPolicy"], namespace)
    stored = orjson.loads(kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", given=policy).stdout)["spec"]

    assert (stored["mode"], stored["quantilePercent"], stored["blindMaxSeconds"]) == ("Observe", 95, 1800)
    assert stored["release"] == {"maxStepPercentPerMinute": 20}, "how long a level is held depends on live"
    assert stored["targets"][0]["stage"] == {"name": "app", "settleSeconds": 0}
    assert stored["targets"][0]["leadTime"] == {"guessSeconds": 60, "machineSeconds": 0}


def test_a_loan_never_moves_to_another_field(namespace: str) -> None:
    loan = placed(TABLE["bases"]()["Loan"], namespace)
    assert kubectl("create", "-f", "-", given=loan).returncode == 0

    moved = {**loan, "spec": {**loan["spec"], "field": "/spec/replicas"}}
    raised = {**loan, "spec": {**loan["spec"], "pending": 3000}}

    assert "target and field of a loan never change" in applied(moved).stderr
    assert applied(raised).returncode == 0


def test_the_server_keeps_a_pools_loan_as_it_was_written(namespace: str) -> None:
    loan = loan_from_object(TABLE["bases"]()["Loan"])
    note = HandOverNote(
        pool="hangzhou-a",
        lane="data",
        notices=(Notice(2, 1e9),),
        stops=(Notice(6, 1e9 - 600), Notice(4, 1e9 - 300.25)),
        free_by=1e9 + 60,
        until=1e9 + 7200,
        promises=tuple(Promised(1e9 + 9000 + hour, 1) for hour in range(20)),
    )
    place = replace(loan.place, ref=loan.place.ref._replace(namespace=namespace))
    borrowed = replace(
        loan,
        key=loan_key(place),
        place=place,
        policy=Key("", note.pool),
        target=note.lane,
        wanted_by=("shop/shop-core/order-service",),
        hand_over=note,
    )
    made = kubectl("create", "-o", "json", "-f", "-", given=loan_to_object(borrowed))
    assert made.returncode == 0, made.stderr

    stored = loan_from_object(orjson.loads(made.stdout))

    assert stored.hand_over is not None
    assert stored.hand_over.promises == (*note.promises[:15], Promised(note.promises[15].at, 5)), "earlier, never later"
    assert replace(stored, hand_over=note) == borrowed
    assert replace(stored.hand_over, promises=note.promises) == note


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("policyRef", {"name": "other"}),
        ("target", "payment"),
        ("target", None),
        ("action", "Hold"),
        ("percent", 900),
        ("author", "somebody-else"),
        ("reason", "another one"),
    ],
)
def test_of_an_override_nothing_changes_but_its_end(field: str, value: Any, namespace: str) -> None:
    override = placed(TABLE["bases"]()["Override"], namespace)
    kubectl("create", "-f", "-", given=override)
    spec = {**override["spec"], field: value}
    if value == "Hold":
        del spec["percent"]

    refused = kubectl("replace", "--dry-run=server", "-f", "-", given={**override, "spec": spec})
    ended = applied({**override, "spec": {**override["spec"], "until": "2026-11-10T23:58:00+08:00"}})

    assert "of an override only until may change" in refused.stderr
    assert ended.returncode == 0, ended.stderr


def test_the_server_fills_in_the_defaults_of_a_pool(namespace: str) -> None:
    pool = TABLE["bases"]()["CapacityPool"]
    made = kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", given=pool)
    trading, data = orjson.loads(made.stdout)["spec"]["lanes"]

    assert (trading["drain"]["guessSeconds"], trading["giveBackWithinSeconds"]) == (60, 3600)
    assert (data["drain"]["noticeSeconds"], data["drain"]["guessSeconds"]) == (600, 60)
    assert data["members"][0]["work"]["staleAfterSeconds"] == 300
    assert parse_pool(orjson.loads(made.stdout), now=0.0).lanes == parse_pool(pool, now=0.0).lanes


@pytest.mark.usefixtures("namespace")
def test_the_largest_pool_is_not_too_much_for_the_servers_rules() -> None:
    """Rules that compare members with members are priced when they run, not only when they are read."""

    def member(lane: int, index: int) -> dict[str, Any]:
        ref = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "namespace": "warehouse",
            "name": f"loader-{lane}-{index}",
        }
        return {"name": f"loader-{lane}-{index}", "ref": ref}

    lanes = [
        {"name": f"lane-{lane}", "members": [member(lane, index) for index in range(MAX_MEMBERS)]}
        for lane in range(MAX_LANES)
    ]
    pool = TABLE["bases"]()["CapacityPool"]
    taken = kubectl("create", "--dry-run=server", "-f", "-", given={**pool, "spec": {**pool["spec"], "lanes": lanes}})

    assert taken.returncode == 0, taken.stderr


def test_kubectl_get_tells_what_a_pool_has_lent_until_when(namespace: str) -> None:
    pool = {**TABLE["bases"]()["CapacityPool"], "metadata": {"name": namespace}}
    assert kubectl("create", "-f", "-", given=pool).returncode == 0
    condition = {"status": "True", "reason": "Armed", "message": "", "lastTransitionTime": "2026-11-01T00:00:00Z"}
    half = shown_amount(Resources(160_500, 320 * 1024))
    status = {
        "observedGeneration": 1,
        "conditions": [{"type": "Ready", **condition}, {"type": "Oversold", **condition, "status": "False"}],
        "capacity": shown_amount(Resources(640_000, 1280 * 1024)),
        "lent": half,
        "nextStepTime": "2026-11-10T15:40:00Z",
        "returnBy": "2026-11-10T18:00:00Z",
        "lanes": [
            {
                "name": "data",
                "lent": half,
                "members": {"lent": 3, "giveBack": 1},
                "nextDeadline": "2026-11-10T22:00:00Z",
            }
        ],
        "refusals": [
            {
                "owner": "shop/shop-core/order-service",
                "lane": "trading",
                "reason": "PoolTooSmall",
                "message": "600 > 500",
            }
        ],
        "summary": "160.5 CPU lent by data until 02:00.",
    }
    patch = orjson.dumps({"status": status}).decode()
    try:
        words = ("--subresource=status", "--type=merge", "-p", patch, "-o", "json")
        patched = kubectl("patch", "cpool", namespace, *words)
        heading, row = kubectl("get", "cpool", namespace).stdout.splitlines()
    finally:
        kubectl("delete", "cpool", namespace)

    assert orjson.loads(patched.stdout)["status"] == status, "the schema prunes nothing of a status"
    assert heading.split() == ["NAME", "CAPACITY", "LENT", "NEXT", "RETURN", "BY", "READY", "SUMMARY", "AGE"]
    assert row.split()[1:6] == ["640", "160500m", status["nextStepTime"], status["returnBy"], "True"]


def test_kubectl_get_tells_who_overrides_what_until_when(namespace: str) -> None:
    override = placed(TABLE["bases"]()["Override"], namespace)
    named = {**override, "metadata": {"name": "columns", "namespace": namespace}}
    assert kubectl("create", "-f", "-", given=named).returncode == 0
    active = {"type": "Active", "status": "True", "reason": "InForce", "lastTransitionTime": "2026-11-10T15:58:00Z"}
    patch = orjson.dumps({"status": {"conditions": [active], "summary": "Boost 30 %"}}).decode()
    kubectl("patch", "ovr", "columns", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)

    heading, row = kubectl("get", "ovr", "columns", "-n", namespace).stdout.splitlines()

    assert heading.split() == ["NAME", "POLICY", "TARGET", "ACTION", "PERCENT", "UNTIL", "AUTHOR", "ACTIVE", "AGE"]
    assert row.split()[1:8] == [
        "shop-core",
        "order-service",
        "Boost",
        "30",
        "2026-11-11T02:00:00+08:00",
        "oncall@shop.example",
        "True",
    ]


def test_kubectl_get_answers_is_it_all_right_what_is_next_and_when(namespace: str) -> None:
    event = placed(TABLE["bases"]()["LiveEvent"], namespace)
    assert kubectl("create", "-f", "-", given=event).returncode == 0
    condition = {"status": "True", "reason": "Armed", "message": "", "lastTransitionTime": "2026-11-01T00:00:00Z"}
    status = {
        "observedGeneration": 1,
        "conditions": [{"type": "Ready", **condition}, {"type": "OnTime", **condition, "reason": "Ready"}],
        "nextOccurrence": {
            "start": "2026-11-10T12:00:00Z",
            "startLocal": "2026-11-10T20:00:00+08:00",
            "end": "2026-11-10T14:00:00Z",
            "endLocal": "2026-11-10T22:00:00+08:00",
        },
        "share": [{"target": "order-service", "units": 12}],
        "outcome": "Ready",
        "verdict": "Ready: all targets stand at their floors.",
        "lookedAt": (datetime.now(UTC) - timedelta(seconds=25)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "readyTime": "2026-11-10T11:58:00Z",
        "lastOccurrence": {"start": "2026-11-09T12:00:00Z", "outcome": "Late", "message": "order: 8 of 12 ready"},
    }
    patch = orjson.dumps({"status": status}).decode()
    name = event["metadata"]["name"]
    patched = kubectl(
        "patch", "lev", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch, "-o", "json"
    )

    assert orjson.loads(patched.stdout)["status"] == status, "the schema prunes nothing of a status"
    heading, row = kubectl("get", "lev", "-n", namespace).stdout.splitlines()[:2]
    assert heading.split() == ["NAME", "READY", "VERDICT", "BLOCKED-BY", "LOOKED", "NEXT", "LIVE", "POLICY", "AGE"]
    ready, verdict, looked, following = row.split()[1:5]
    assert (ready, verdict, following) == ("True", "Ready", "2026-11-10T20:00:00+08:00")
    assert 20 <= int(looked.removesuffix("s")) <= 119, "how long ago it was looked at"
