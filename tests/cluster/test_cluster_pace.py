"""Refused writes, and units that come at their own pace, on a real control plane. Run with ``-s`` to see seconds and
counts; ``TIDEGATE_TEST_AUDIT_LOG``, the server's audit log, is where requests are counted.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise

import pace as play
import pytest
from audited import lines_of
from causes import named
from harness import Json
from scene import Scene
from shop import HPA_SYNC_SECONDS
from stage import AUDIT_LOG, of, on_a_cluster

from tidegate.api.walltime import from_rfc3339

pytestmark = on_a_cluster

IN_TIME = 30.0
MOST_REQUESTS = 12
ERROR = 0.15


def claim_refused(scene: Scene, about: str, words: str) -> None:
    """Blocked in the server's words within 30 s of the second refusal; few requests; written at the next try."""
    told = next(
        (at, said) for at, _, said in scene.of("LiveEvent", "web", named).points if said and said.status == "False"
    )
    at, said = told
    scene.claim((said.reason, said.blocked_by) == ("WriteRefused", about), f"{said}")
    scene.claim(re.search(words, said.message) is not None, f"the server's own words: {said.message!r}")
    tries, writes = audited(scene)
    if tries:
        scene.claim(len(tries) >= 2, f"it was tried twice: {tries}")
        scene.claim(at - tries[1] <= IN_TIME, f"told {at - tries[1]:.1f} s after the second refusal")
        scene.claim(sum(writes.values()) <= MOST_REQUESTS, f"few requests: {writes}")
    waited = scene.notes["written"] - scene.notes["allowed"]
    after = [round(one - tries[0], 1) for one in tries]
    print(f"\n{scene.name}: tries {after} s, {dict(writes)}, written {waited:.1f} s after the end of it")  # noqa: T201
    scene.claim(waited <= 65.0, f"written {waited:.1f} s after the refusal ended")


def audited(scene: Scene) -> tuple[list[float], Counter[str]]:
    """(when a write was refused, all requests of the operator for the field and its Loan) while writes were refused.

    Looks at the workload are none: those come with each beat, whatever is written.
    """
    users = {f"system:serviceaccount:{scene.ns}:tidegate-{operator.name}" for operator in scene.operators}
    refused: list[float] = []
    found: Counter[str] = Counter()
    for line in lines_of(AUDIT_LOG) if AUDIT_LOG else ():
        if scene.ns not in line:
            continue
        entry = json.loads(line)
        if entry["stage"] != "ResponseComplete" or entry["user"]["username"] not in users:
            continue
        at, what = from_rfc3339(entry["requestReceivedTimestamp"]), entry.get("objectRef", {})
        wanted = what.get("resource") in ("loans", "horizontalpodautoscalers", "deployments")
        if not wanted or _looks(entry) or not scene.notes["from"] <= at <= scene.notes["to"]:
            continue
        found[f"{entry['verb']} {what['resource']}"] += 1
        if entry["responseStatus"]["code"] in (403, 422) and entry["verb"] != "get":
            refused.append(at)
    return refused, found


def _looks(entry: Json) -> bool:
    return entry["verb"] in ("list", "watch") or (entry["verb"], entry["objectRef"]["resource"]) == (
        "get",
        "deployments",
    )


@of(play.floor_refused)
def test_a_floor_that_admission_refuses_blocks_in_its_words_and_is_written_when_it_may_be(scene: Scene) -> None:
    claim_refused(scene, "HorizontalPodAutoscaler/web", play.SENTENCE)


@of(play.refused_for_ten_minutes)
def test_a_floor_that_is_refused_for_ten_minutes_costs_a_dozen_requests(scene: Scene) -> None:
    claim_refused(scene, "HorizontalPodAutoscaler/web", play.SENTENCE)
    tries, _ = audited(scene)
    if tries:
        pauses = [play.SPEED * (later - earlier) for earlier, later in pairwise(tries)]
        scene.claim(play.SPEED * (scene.notes["to"] - tries[0]) >= play.TEN_MINUTES, "ten minutes of its own clock")
        scene.claim(len(tries) >= 4, f"it was tried again and again: {pauses}")
        scene.claim(all(b / a >= 0.7 for a, b in pairwise(pauses)), f"in pauses that grow: {pauses}")


@of(play.scale_refused)
def test_a_scale_that_admission_refuses_blocks_in_its_words_and_is_written_when_it_may_be(scene: Scene) -> None:
    claim_refused(scene, "Deployment/web", play.SENTENCE)


@of(play.loans_full)
def test_a_loan_that_a_quota_refuses_blocks_in_its_words_and_is_written_when_there_is_room(scene: Scene) -> None:
    claim_refused(scene, "HorizontalPodAutoscaler/web", "exceeded quota: full")


@of(play.unable)
def test_an_autoscaler_that_cannot_scale_is_named_in_its_own_words(scene: Scene) -> None:
    series = scene.of("LiveEvent", "web", named)
    at, said = next((at, one) for at, _, one in series.points if one is not None and one.reason == "ScalerUnable")
    print(f"\nunable: {said.message} {at - scene.notes['since']:.1f} s after the floor was written")  # noqa: T201
    scene.claim(said.blocked_by == "HorizontalPodAutoscaler/web", f"{said}")
    scene.claim("cannot scale" in said.message, said.message)
    scene.claim(play.SENTENCE in said.message, said.message)


@of(play.limited)
def test_a_floor_is_followed_in_one_step_whatever_the_autoscaler_may_add_and_its_limit_is_noted(scene: Scene) -> None:
    took = scene.notes["followed"] - scene.notes["since"]
    said = [one for one in scene.of("LiveEvent", "web", named).values if one is not None and one.reason == "Late"]
    print(f"\nlimited: followed after {took:.1f} s; {[one.message for one in said]}")  # noqa: T201
    scene.claim(took <= 2 * HPA_SYNC_SECONDS, f"the floor was followed after {took:.1f} s")
    scene.claim(any("may have (ScaleUpLimit: " in one.message for one in said), f"{said}")


@of(play.ordered)
def test_units_that_start_one_after_the_other_are_ready_when_it_was_said(scene: Scene) -> None:
    """Every prediction from the first full look on, against the time that was left then."""
    ready, written = scene.notes["ready"], scene.notes["written"]
    said = [
        (at, from_rfc3339(found[1]))
        for at, _, one in scene.of("LiveEvent", "web", named).points
        if one is not None and one.reason == "Late" and (found := re.search(r"ready at (\S+Z)", one.message))
    ]
    assert said, scene.of("LiveEvent", "web", named).values
    took = ready - written
    for at, predicted in said:
        off = (predicted - ready) / took
        print(f"\nordered: {predicted - written:.1f} s from the write told, {took:.1f} s taken: {off:+.0%}")  # noqa: T201
        scene.claim(
            abs(off) <= ERROR, f"{at - written:.1f} s after the write: {predicted - ready:+.1f} s of {took:.1f}"
        )
    scene.claim(len(said) <= 6, f"one meaning is told a few times: {len(said)}")


@of(play.ordered)
@pytest.mark.skipif(not AUDIT_LOG, reason="needs the server's audit log")
def test_a_status_is_rewritten_when_its_meaning_changes(scene: Scene) -> None:
    said = [one for one in scene.of("LiveEvent", "web", named).values if one is not None]
    scene.claim(len(set(said)) <= 8, f"few texts: {said}")
