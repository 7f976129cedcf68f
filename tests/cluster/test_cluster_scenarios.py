"""The product's main job on a real control plane, with real HPAs, a real Helm, and operators that are killed.

All scenarios are played at the same time, each in its own namespace with its own operator; the tests then judge what
was recorded. ``KUBECONFIG`` names the cluster. Its HPAs must read external metrics from the JSON file that
``TIDEGATE_TEST_METRICS_FILE`` names, and its pods must obey the annotation ``tidegate.test/start``. Optional:
``TIDEGATE_TEST_STOCK_KUBECONFIG``, a second cluster whose controllers run at their stock request rate, and
``TIDEGATE_TEST_AUDIT_LOG``, the first one's audit log.
"""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
import scenarios as play
from scene import Scene
from shop import APPLIER, FLOOR, ORIGINAL, condition_of, minimum_of, owners_of
from stage import of, on_a_cluster

pytestmark = on_a_cluster


# ---- prepared


@of(play.prepared)
def test_a_floor_is_written_and_verified_ready_before_t0(scene: Scene) -> None:
    written = scene.floor().first(lambda level: level == FLOOR)
    ready = scene.ready().first(lambda units: units >= FLOOR)
    scene.claim(written is not None and written[0] < scene.t0, "the floor is written before T-0")
    scene.claim(ready is not None and ready[0] < scene.t0, "all of it is ready before T-0")
    scene.claim(scene.loan(pick=lambda s: s.get("verified")).at(scene.t0) == FLOOR, "the Loan says it was read back")
    shown = scene.of("ScalingPolicy", "shop", lambda p: p.get("status", {}).get("targets", [{}])[0])
    at_t0 = shown.at(scene.t0) or {}
    scene.claim((at_t0.get("floor"), at_t0.get("ready")) == (FLOOR, FLOOR), f"the policy shows it ready: {at_t0}")
    verdict = scene.of("LiveEvent", "show", lambda e: condition_of(e, "OnTime")).at(scene.t0)
    scene.claim(verdict == ("True", "Ready"), f"the event's verdict at T-0 is Ready: {verdict}")


@of(play.prepared)
def test_a_floor_is_written_once_and_not_long_before_it_is_needed(scene: Scene) -> None:
    rises = [b for a, b in pairwise(scene.floor().values) if b and a and b > a]
    scene.claim(rises == [FLOOR], f"one write upwards: {rises}")
    written = scene.floor().first(lambda level: level == FLOOR)
    scene.claim(written is not None and written[0] > scene.t0 - 90, "written within 90 s of T-0, not earlier")


@of(play.prepared)
def test_a_loan_is_written_before_the_change_and_removed_after_the_return(scene: Scene) -> None:
    borrowed = scene.loan().first(lambda level: level is not None)
    gone = scene.loan().first(lambda level: level is None)
    raised = scene.floor().first(lambda level: level == FLOOR)
    back = scene.floor().first(lambda level: level == ORIGINAL, since=scene.t0)
    scene.claim(bool(borrowed and raised and borrowed[1] < raised[1]), f"Loan {borrowed} before floor {raised}")
    scene.claim(bool(back and gone and back[1] < gone[1]), f"floor back {back} before the Loan went {gone}")
    scene.claim(scene.loan(pick=lambda s: s["original"]).values == [ORIGINAL, None], "the original is written down")


@of(play.prepared)
def test_a_floor_is_held_through_the_event_and_the_hold(scene: Scene) -> None:
    kept_until = scene.t0 + play.DURATION + play.HOLD
    scene.claim_kept(scene.floor(), FLOOR, scene.t0, kept_until, "the floor")
    scene.claim_kept(scene.ready(), FLOOR, scene.t0, kept_until, "ready")


@of(play.prepared)
def test_a_floor_comes_down_in_steps_and_the_hpa_follows_in_steps(scene: Scene) -> None:
    steps = scene.falls()
    scene.claim(len(steps) >= 3, f"several steps: {steps}")
    scene.claim_gentle(steps, highest=FLOOR, share=play.STEP / 100, what="the floor")
    followed = scene.replicas().within(scene.t0, time.time())
    scene.claim(followed == sorted(followed, reverse=True), f"the Deployment only goes down: {followed}")
    drops = [before - after for before, after in pairwise(followed)]
    scene.claim(max(drops) <= play.STEP / 100 * FLOOR + 1, f"no cliff beneath the floor either: {followed}")


@of(play.prepared)
def test_what_was_borrowed_is_back_with_its_owner(scene: Scene) -> None:
    now = scene.cluster.get("HorizontalPodAutoscaler", scene.ns, "web")
    scene.claim(minimum_of(now) == ORIGINAL, "minReplicas is the original")
    scene.claim(owners_of(now, "minReplicas") == [f"{APPLIER}/Apply"], f"owner: {owners_of(now, 'minReplicas')}")
    scene.claim(scene.loans() == [], "no Loan is left")
    now["spec"]["minReplicas"] = ORIGINAL + 1
    kept = {"name": "web", "namespace": scene.ns}
    mine = {"apiVersion": now["apiVersion"], "kind": now["kind"], "metadata": kept, "spec": now["spec"]}
    scene.claim(minimum_of(scene.apply(mine)) == ORIGINAL + 1, "its owner changes it unforced")


# ---- killed in the hold


@of(play.killed_in_the_hold)
def test_nothing_dips_when_the_operator_is_killed_in_the_hold(scene: Scene) -> None:
    kept_until = scene.t0 + play.DURATION + 2 * play.HOLD
    scene.claim_kept(scene.floor(), FLOOR, scene.t0, kept_until, "the floor")
    scene.claim_kept(scene.ready(), FLOOR, scene.t0, kept_until, "ready")


@of(play.killed_in_the_hold)
def test_the_next_life_steps_down_and_returns_what_the_last_one_borrowed(scene: Scene) -> None:
    scene.claim(scene.operators[0].lives == 2, "it was started again")
    scene.claim(len(scene.falls()) >= 3, f"several steps: {scene.falls()}")
    scene.claim_gentle(scene.falls(), highest=FLOOR, share=play.STEP / 100, what="the floor")
    epochs = [epoch for epoch in scene.loan(pick=lambda s: s["epoch"]).values if epoch is not None]
    scene.claim(epochs == sorted(epochs) and len(set(epochs)) == 2, f"two lives, two epochs: {epochs}")
    _claim_returned(scene)


def _claim_returned(scene: Scene, minimum: int = ORIGINAL, name: str = "web") -> None:
    now = scene.cluster.get("HorizontalPodAutoscaler", scene.ns, name)
    scene.claim(minimum_of(now) == minimum, f"minReplicas is {minimum}, not {minimum_of(now)}", name)
    owners = owners_of(now, "minReplicas")
    scene.claim(owners == [f"{APPLIER}/Apply"], f"its owner owns it again, not {owners}", name)
    scene.claim(scene.loans() == [], "no Loan is left", name)


# ---- deleted while live


@of(play.deleted_while_live)
def test_the_floor_of_a_deleted_event_comes_down_in_steps_and_is_returned(scene: Scene) -> None:
    scene.claim_kept(scene.ready(), FLOOR, scene.t0, scene.notes["deleted_at"], "ready")
    scene.claim(len(scene.falls()) >= 3, f"several steps: {scene.falls()}")
    scene.claim_gentle(scene.falls(), highest=FLOOR, share=play.STEP / 100, what="the floor")
    _claim_returned(scene)


# ---- withdrawn while live


@of(play.withdrawn_while_live)
@pytest.mark.parametrize(
    ("name", "step"), [("cancelled", play.STEP), ("put-off", play.STEP), ("orphaned", play.ORPHAN_STEP)]
)
def test_what_is_withdrawn_in_mid_show_comes_down_in_steps_and_is_returned(scene: Scene, name: str, step: int) -> None:
    at = scene.notes["withdrawn_at"]
    kept = scene.ready(name).within(scene.t0, at)
    scene.claim(min(kept) >= play.SMALL_FLOOR, f"ready until it was withdrawn: {kept}", name)
    steps = scene.falls(name)
    scene.claim(len(steps) >= 3 and steps[0].at > at, f"several steps, after it was withdrawn: {steps}", name)
    scene.claim_gentle(steps, highest=play.SMALL_FLOOR, share=step / 100, what=f"the floor of {name}")
    _claim_returned(scene, name=name)


# ---- released for good


@of(play.released_for_good)
def test_release_asks_for_now_while_an_event_is_live(scene: Scene) -> None:
    code, said = scene.notes["refused"]
    scene.claim(code == 1 and "--now" in said, f"refused, and told what to add: {code} {said!r}")
    scene.claim(scene.notes["floor_after_refusal"] == FLOOR, "the floor stands")
    scene.claim(len(scene.notes["loans_after_refusal"]) == 1, "the Loan stands")


@of(play.released_for_good)
def test_release_returns_everything_without_an_operator(scene: Scene) -> None:
    code, said = scene.notes["released"]
    scene.claim(code == 0, f"it succeeds: {code} {said!r}")
    owners = owners_of(scene.notes["owners"], "minReplicas")
    scene.claim(owners == [f"{APPLIER}/Apply"], f"its owner owns it again: {owners}")
    stops = [one["metadata"]["name"] for one in scene.notes["stops"] if "tidegate" in one["metadata"]["name"]]
    scene.claim(len(stops) == 1, f"one durable stop is written: {stops}")


@of(play.released_for_good)
def test_an_operator_that_comes_back_obeys_the_stop_until_resume(scene: Scene) -> None:
    start, end = scene.notes["released_at"], scene.notes["obeyed_until"]
    scene.claim(scene.floor().within(start, end) == [ORIGINAL], "nothing is borrowed while stopped")
    scene.claim(scene.notes["resumed"][0] == 0, f"resume succeeds: {scene.notes['resumed']}")
    scene.claim(scene.floor().last == FLOOR, "the event is still on, so it borrows again")
    scene.claim(scene.notes["stopped_in"] < 20, f"SIGTERM ends it cleanly: {scene.notes['stopped_in']:.1f} s")


# ---- two operators


@of(play.two_operators)
def test_the_second_operator_takes_over_in_time_when_the_leader_dies_before_its_write(scene: Scene) -> None:
    scene.claim(scene.notes["heir"] is scene.operators[1], "the second leads")
    written = scene.floor().first(lambda level: level == FLOOR)
    late = written[0] - scene.notes["due"] if written else float("inf")
    scene.claim(late < 20, f"the floor is written within the fail-over time, {late:.1f} s after it was due")
    scene.claim_kept(scene.ready(), FLOOR, scene.t0, scene.t0 + play.DURATION, "ready")


@of(play.two_operators)
def test_nothing_dips_across_two_changes_of_leader(scene: Scene) -> None:
    kept_until = scene.t0 + play.DURATION + 2 * play.HOLD
    scene.claim_kept(scene.floor(), FLOOR, scene.t0, kept_until, "the floor")
    scene.claim_gentle(scene.falls(), highest=FLOOR, share=play.STEP / 100, what="the floor")
    _claim_returned(scene)


@of(play.two_operators)
def test_of_two_operators_only_the_leader_acts(scene: Scene) -> None:
    holders = [h for h in scene.of("Lease", "tidegate", lambda x: x["spec"].get("holderIdentity")).values if h]
    turns = [next(o.name for o in scene.operators if holder.startswith(o.identity)) for holder in holders]
    scene.claim(turns == ["one", "two", "one"], f"they led in turn: {turns}")
    wrote = [epoch for epoch in scene.loan(pick=lambda s: s["epoch"]).values if epoch is not None]
    scene.claim(len(set(wrote)) == 2 and wrote == sorted(wrote), f"loans were written by two epochs in order: {wrote}")
    rises = [level for level in scene.floor().values if level == FLOOR]
    scene.claim(rises == [FLOOR], f"the floor was written once: {scene.floor().values}")
