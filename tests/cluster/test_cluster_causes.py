"""Blocked, by what: each cause produced on a real control plane, and named with its object in time.

A cause is told when it was seen twice. The operator's log says when it was seen first (``seen once``) and again; what
is measured here is when the LiveEvent says so. Run with ``-s`` to see the seconds.
"""

from __future__ import annotations

import re
from datetime import datetime

import causes as play
import pytest
from harness import Json
from scene import Scene
from shop import FLOOR
from stage import of, on_a_cluster

from tidegate.api.walltime import from_rfc3339
from tidegate.planning.model import Ref
from tidegate.planning.reasons import Reason
from tidegate.targets.quotas import refusal

pytestmark = on_a_cluster

IN_TIME = 30.0
"""Seconds from the second observation until the LiveEvent names cause and object."""
BEAT = 15.0


def claim_named(scene: Scene, name: str, reason: str, blocked_by: str, words: str) -> None:
    """The event names cause and object in time, in words that say what is wrong."""
    series = scene.of("LiveEvent", name, play.named)
    told = next(((at, said) for at, _, said in series.points if said is not None and said.reason == reason), None)
    scene.claim(told is not None, f"{name} is Blocked by {reason}: {series.values}", name)
    assert told is not None
    at, said = told
    scene.claim(
        (said.status, bool(re.fullmatch(blocked_by, said.blocked_by or ""))) == ("False", True), f"{said}", name
    )
    scene.claim(re.search(words, said.message) is not None, f"{words!r} is said of {name}: {said.message!r}", name)
    observed = observations(scene, name, words)
    scene.claim(len(observed) == 2, f"{name} was seen twice before it was told: {observed}", name)
    first, second = observed
    after = at - scene.notes["causes"][name]
    print(  # noqa: T201  the measurement
        f"\n{name}: {reason} {said.blocked_by} {after:.1f} s after it could first be called so"
        f", seen {second - first:.1f} s apart, told {at - second:.1f} s later"
    )
    scene.claim(at - second <= IN_TIME, f"{name} is told {at - second:.1f} s after the second look", name)
    scene.claim(after <= 2 * BEAT + IN_TIME, f"{name} is told {after:.1f} s after it began to be so", name)


def observations(scene: Scene, name: str, words: str) -> list[float]:
    """When the operator saw an event Blocked by a cause for the first and for the second time, by its log."""
    found: list[float] = []
    for line in scene.operators[0].log.read_text().splitlines():
        said = re.match(r"\[(.+?)\] .*/" + re.escape(name) + r": Blocked(, seen once)?: ", line)
        if said and re.search(words, line) and len(found) == (0 if said[2] else 1):
            found.append(datetime.strptime(said[1], "%Y-%m-%d %H:%M:%S,%f").timestamp())
    return found


SEVEN = [
    ("small", "ScalerMaximum", "HorizontalPodAutoscaler/small", f"{FLOOR} units .* maxReplicas is {play.LOW_MAXIMUM}"),
    ("large", "PodsUnschedulable", r"Pod/large-[\w-]+", "fits on no machine: insufficient cpu$"),
    ("silent", "PodsNeverReady", r"Pod/silent-[\w-]+", r"0 of \d+ ready: .* is on machine node-\d+ and not ready"),
    ("unpulled", "ImagePullFailed", r"Pod/unpulled-[\w-]+", f"cannot run main, image {play.IMAGE}: ImagePullBackOff"),
    ("gone", "TargetMissing", "Deployment/gone", "does not exist"),
    ("asleep", "ScalingDisabled", "Deployment/asleep", "stands at 0 replicas"),
    ("contested", "FieldManagerConflict", "HorizontalPodAutoscaler/contested", f"{play.SECOND_TOOL} keeps setting"),
]


@of(play.seven_causes)
@pytest.mark.parametrize(("name", "reason", "blocked_by", "words"), SEVEN, ids=[one[0] for one in SEVEN])
def test_a_cause_is_named_with_its_object_in_time(
    scene: Scene, name: str, reason: str, blocked_by: str, words: str
) -> None:
    claim_named(scene, name, reason, blocked_by, words)


@of(play.seven_causes)
def test_what_is_well_is_not_blocked_by_its_neighbours(scene: Scene) -> None:
    said = {one.reason for one in scene.of("LiveEvent", "well", play.named).values if one is not None}
    scene.claim(
        said <= {"NotJudgedYet", "NotDueYet", "Ready", "OnPlan"}, f"well is never Late or Blocked: {said}", "well"
    )


@of(play.seven_causes)
def test_a_cause_is_one_event_and_names_its_object(scene: Scene) -> None:
    told = [e for e in scene.cluster.list("Event", scene.ns)["items"] if e["reason"] == "Blocked"]
    counts = {e["involvedObject"]["name"]: e.get("count") for e in told}
    scene.claim(counts == dict.fromkeys(scene.notes["causes"], 1), f"one Blocked each: {counts}")


@of(play.quotas)
def test_a_quota_without_room_is_named_before_anything_was_tried(scene: Scene) -> None:
    words = f"{FLOOR - 3} more units are needed: {FLOOR - 3} requests.cpu, but ResourceQuota/{play.QUOTA} has 3 left"
    claim_named(scene, "web", "QuotaExceeded", f"ResourceQuota/{play.QUOTA}", re.escape(words))
    scene.claim(scene.notes["level then"] == 3, "nothing had been written by then", "web")


@of(play.quotas)
def test_the_servers_refusal_of_a_pod_names_the_quota(scene: Scene) -> None:
    conditions: list[Json] = scene.notes["refused"]
    found = refusal(conditions, Ref("apps/v1", "Deployment", scene.ns, "web"))
    assert found is not None, conditions
    assert (found.reason, str(found.object)) == (Reason.QUOTA_EXCEEDED, f"ResourceQuota/{play.QUOTA}"), conditions
    assert found.field == 'spec.hard["requests.cpu"]'


@of(play.quotas)
def test_pods_that_a_quota_will_not_have_at_all_are_named(scene: Scene) -> None:
    claim_named(scene, "refused", "PodsRefused", "ResourceQuota/limited", "must specify limits.cpu")


# ---- late, not blocked


@of(play.machines_come_late)
def test_pods_that_wait_for_longer_than_machines_take_block(scene: Scene) -> None:
    reasons = [(at, said.reason) for at, _, said in scene.of("LiveEvent", "web", play.named).points if said]
    blocked = [at for at, reason in reasons if reason == "PodsUnschedulable"]
    scene.claim(len(blocked) >= 1, f"Blocked while no machine comes: {reasons}")
    scene.claim(scene.t0 - 40 < blocked[0] < scene.t0, "not before machines should have been there")


@of(play.machines_come_late)
def test_pods_that_are_merely_slow_make_it_late_with_the_new_time(scene: Scene) -> None:
    points = scene.of("LiveEvent", "web", play.named).points
    late = [(at, said) for at, _, said in points if said and said.reason == "Late" and at > scene.notes["opened"]]
    scene.claim(len(late) >= 1, f"Late once the pods are on machines: {[p[2] for p in points]}")
    at, said = late[0]
    told = re.search(r"ready at (\S+)$", said.message)
    assert told is not None, said.message
    new = from_rfc3339(told[1])
    ready = scene.ready().first(lambda units: units >= FLOOR)
    assert ready is not None
    when, expected, truly = (instant - scene.t0 for instant in (at, new, ready[0]))
    print(f"\nLate told at T{when:+.1f} s: ready at T{expected:+.1f} s; it was at T{truly:+.1f} s")  # noqa: T201
    scene.claim(abs(new - ready[0]) <= 10.0, f"the new time is when it is ready: {said.message}")
