"""Much at once and nothing at all: twenty workloads at stock controller rates, and two hundred events that wait."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
import scenarios as play
from audited import lines_of
from scene import Scene
from shop import APPLIER, owners_of
from stage import AUDIT_LOG, needs_stock, of, on_a_cluster

pytestmark = on_a_cluster

HPA = "HorizontalPodAutoscaler"


# ---- stock controller rates


@needs_stock
@of(play.twenty_at_stock_rates)
def test_twenty_workloads_of_fifty_pods_that_step_together_are_ready_before_t0(scene: Scene) -> None:
    names = scene.recorder.names("Deployment", scene.ns)
    scene.claim(len(names) == play.MANY, f"all are recorded: {names}")
    at_t0 = {name: scene.ready(name).at(scene.t0) for name in names}
    scene.claim(set(at_t0.values()) == {play.UNITS}, f"ready at T-0: {at_t0}", names[0])
    written = [scene.level(name).first(lambda level: level == play.UNITS) for name in names]
    times = [scene.t0 - one[0] for one in written if one]
    scene.claim(max(times) - min(times) < 30, f"they stepped together, {min(times):.0f} to {max(times):.0f} s before")


@needs_stock
@of(play.twenty_at_stock_rates)
def test_levels_with_and_without_an_hpa_are_returned_with_their_owner(scene: Scene) -> None:
    for name in scene.recorder.names("Deployment", scene.ns):
        kind, field = ("Deployment", "replicas") if name.startswith("bare") else (HPA, "minReplicas")
        now = scene.cluster.get(kind, scene.ns, name)
        scene.claim(now["spec"][field] == 1, f"{field} is the original", name)
        owners = owners_of(now, field)
        scene.claim(owners == [f"{APPLIER}/Apply"], f"its owner owns it again: {owners}", name)
    scene.claim(scene.loans() == [], "no Loan is left")


# ---- idle


@of(play.idle)
def test_an_idle_operator_writes_nothing_but_its_lease(scene: Scene) -> None:
    _claim_idle(scene)


@pytest.mark.long
@of(play.idle_for_ten_minutes)
def test_an_operator_that_idles_for_ten_minutes_writes_nothing_but_its_lease(scene: Scene) -> None:
    _claim_idle(scene)


def _claim_idle(scene: Scene) -> None:
    before, after = scene.notes["before"], scene.notes["after"]
    kinds = Counter(name.partition("/")[0] for name in before)
    assert (kinds["LiveEvent"], kinds["Deployment"], kinds["ScalingPolicy"]) == (play.EVENTS, play.TARGETS, 1)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    told = [[one.get("status") for one in found] for found in scene.notes["policies"]]
    assert changed == [], f"written while idle: {changed}; policies said {told[0]}, and then {told[1]}"
    assert scene.notes["leader"] is scene.operators[0], "it led all the while"
    renewals = scene.of("Lease", "tidegate", lambda lease: lease["spec"]["renewTime"])
    assert len(renewals.within(scene.notes["from"], scene.notes["to"])) > 10, "it lived: the Lease was renewed"
    if AUDIT_LOG:
        assert _audited(Path(AUDIT_LOG), scene) == Counter()


def _audited(log: Path, scene: Scene) -> Counter[str]:
    """Writes of the scene's operators by resource, Lease renewals apart, as the API server's audit log has them."""
    users = {f"system:serviceaccount:{scene.ns}:tidegate-{operator.name}" for operator in scene.operators}
    found: Counter[str] = Counter()
    renewed = 0
    for line in lines_of(log):
        if scene.ns not in line:
            continue
        entry = json.loads(line)
        at = datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp()
        inside = scene.notes["from"] <= at <= scene.notes["to"] and entry["stage"] == "ResponseComplete"
        if not inside or entry["user"]["username"] not in users:
            continue
        if entry["verb"] in ("get", "list", "watch"):
            continue
        resource = entry["objectRef"]["resource"]
        if resource == "leases":
            renewed += 1
        else:
            found[f"{entry['verb']} {resource}"] += 1
    assert renewed > 10, "the audit log shows the Lease being renewed, so it shows writes"
    return found
