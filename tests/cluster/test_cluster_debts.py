"""A debt moves, it does not vanish: what is lent is returned, whatever comes in front of a workload or goes meanwhile.

Needs what the other scenarios need (``test_cluster_scenarios``), and is played together with them.
"""

from __future__ import annotations

from itertools import pairwise

import debt_scenes as play
import pytest
from debt_scenes import AGAIN, APPLIED, AWAY, BARE, COMES, GOES, HPA, LIFTED, MERGED, STAYS, level_now, loan_of
from recorder import falls
from scene import Scene
from shop import FLOOR, ORIGINAL, minimum_of, owners_of
from stage import of, on_a_cluster

pytestmark = on_a_cluster
LIVE_UNTIL = 60 + 20
"""Seconds after T-0 until which the level has to stay: the show and its hold."""


def tell(scene: Scene) -> None:
    """How long it took, for whoever reads along (``-s``)."""
    print(f"\n{scene.name}: returned {scene.notes['took']:.0f} s after T-0")  # noqa: T201  the figure


# ---- HPAs come and go


@of(play.autoscalers_come_and_go)
@pytest.mark.parametrize("name", [COMES, STAYS, GOES, AWAY])
def test_a_level_stays_while_an_hpa_comes_or_goes(scene: Scene, name: str) -> None:
    tell(scene)
    asked = scene.replicas(name).within(scene.t0, scene.t0 + LIVE_UNTIL)
    scene.claim(min(asked) >= FLOOR, f"{name} is asked for {FLOOR} all the while: {asked}", name)


@of(play.autoscalers_come_and_go)
@pytest.mark.parametrize("name", [COMES, GOES, AWAY])
def test_a_workload_whose_hpa_went_comes_down_in_steps_to_what_it_had_before(scene: Scene, name: str) -> None:
    down = falls(scene.replicas(name))
    scene.claim(len(down) >= 3, f"several steps: {down}", name)
    scene.claim_gentle(down, highest=FLOOR, share=play.STEP / 100, what=name)
    now = level_now(scene, "Deployment", name)
    scene.claim(now == ORIGINAL, f"it is asked for {ORIGINAL} again, not {now}", name)


@of(play.autoscalers_come_and_go)
def test_the_debt_of_a_workload_moves_to_the_hpa_that_comes_and_back(scene: Scene) -> None:
    for name, hpa in ((COMES, "passing"), (STAYS, "staying")):
        own, lifted = loan_of(scene, "Deployment", name), loan_of(scene, HPA, hpa)
        took = lifted.first(lambda original: original is not None)
        left = own.first(lambda original: original is None)
        scene.claim(bool(took and left and took[1] < left[1]), f"the Loan of {hpa} {took} before {name}'s went {left}")
        below = (loan_of(scene, HPA, hpa, "workload").values or [{}])[0]
        scene.claim((below or {}).get("replicas") == ORIGINAL, f"it says what {name} returns to: {below}")


@of(play.autoscalers_come_and_go)
def test_an_hpa_that_stays_is_stepped_down_to_its_own_minimum(scene: Scene) -> None:
    lowered = falls(scene.floor("staying"))
    scene.claim(len(lowered) >= 3, f"several steps: {lowered}", "staying")
    scene.claim_gentle(lowered, highest=FLOOR, share=play.STEP / 100, what="the floor")
    now = scene.cluster.get(HPA, scene.ns, "staying")
    scene.claim(minimum_of(now) == ORIGINAL, "its minimum is its own", "staying")
    scene.claim("tidegate/Update" not in owners_of(now, "minReplicas"), "and its owner's", "staying")


# ---- a foreign HPA in front


@of(play.a_foreign_hpa_in_front)
def test_nothing_is_written_against_another_controllers_hpa(scene: Scene) -> None:
    tell(scene)
    late = [
        one.obj
        for one in scene.recorder.versions("Deployment", scene.ns, "web")
        if one.obj is not None and one.at > scene.notes["came_at"] + 1.0
    ]
    levels = [obj["spec"]["replicas"] for obj in late]
    scene.claim(len(set(levels)) > 1, f"the HPA has lowered it: {levels}")
    moved = [obj for before, obj in pairwise(late) if obj["spec"] != before["spec"]]
    owners = {owner for obj in moved for owner in owners_of(obj, "replicas")}
    scene.claim(owners == {"kube-controller-manager/Update"}, f"it alone: {owners}")


@of(play.a_foreign_hpa_in_front)
def test_the_loan_of_a_workload_behind_a_foreign_hpa_ends_with_its_time(scene: Scene) -> None:
    originals = loan_of(scene, "Deployment", "web")
    scene.claim(originals.values == [ORIGINAL, None], f"one Loan, and its original: {originals.points}")
    gone = originals.first(lambda original: original is None)
    scene.claim(bool(gone and gone[0] > scene.t0 + LIVE_UNTIL), f"it stands while the show is on: {gone}")


# ---- stale copies


@of(play.stale_copies)
@pytest.mark.parametrize(("kind", "name"), [("Deployment", BARE), (HPA, LIFTED), (HPA, AGAIN)])
def test_a_copy_that_was_read_while_lifted_is_no_wish_for_that_level(scene: Scene, kind: str, name: str) -> None:
    tell(scene)
    now = level_now(scene, kind, name)
    scene.claim(now == ORIGINAL, f"{name} is back at {ORIGINAL}, not {now}", name)
    originals = {one for one in loan_of(scene, kind, name).values if one is not None}
    scene.claim(originals == {ORIGINAL}, f"the original stays what it was: {originals}", name)


# ---- replicas: null


@of(play.replicas_left_out)
@pytest.mark.parametrize("name", [MERGED, APPLIED])
def test_replicas_null_is_no_wish_for_one_pod(scene: Scene, name: str) -> None:
    tell(scene)
    scene.claim(scene.notes["answered"] == 1, "the server fills in 1", name)
    asked, at = scene.replicas(name), scene.notes["left_out_at"]
    scene.claim(1 in asked.values, f"it was there: {asked.values}", name)
    back = asked.first(lambda level: level == FLOOR, since=at - 2.0)
    scene.claim(bool(back and back[0] - at < 5.0), f"and the level again soon: {back}", name)
    originals = {one for one in loan_of(scene, "Deployment", name).values if one is not None}
    scene.claim(originals == {ORIGINAL}, f"the original stays what it was: {originals}", name)
    now = level_now(scene, "Deployment", name)
    scene.claim(now == ORIGINAL, f"it is returned to: {now}", name)


# ---- an HPA without a metric


@of(play.an_hpa_without_a_metric)
def test_a_floor_returned_before_an_hpa_without_a_metric_says_that_the_pods_stay(scene: Scene) -> None:
    tell(scene)
    scene.claim(level_now(scene, HPA, "web") == ORIGINAL, "the floor is returned")
    scene.claim(level_now(scene, "Deployment", "web") == FLOOR, "nobody takes the pods away")
    said = scene.notes["said"]
    words = f"the pods stay at {FLOOR}: {HPA}/web takes none away without a metric that works (FailedGetExternalMetric"
    scene.claim(any(words in one for one in said), f"an Event says so: {said}")
