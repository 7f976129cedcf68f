"""Nobody acts: what ``kubectl get liveevents`` says of it a minute later.

Somebody wants it so, or nobody is there.

Played with the other scenarios, a namespace each; see ``test_cluster_scenarios``.
"""

from __future__ import annotations

from typing import Any

import silences as play
from scene import Scene
from shop import FLOOR, ORIGINAL
from stage import of, on_a_cluster

from tidegate.api.walltime import from_rfc3339

pytestmark = on_a_cluster


def condition(scene: Scene, kind: str) -> Any:
    found = scene.notes["event"]["status"]["conditions"]
    return next(one for one in found if one["type"] == kind)


def claim_blocked(scene: Scene, reason: str, by: str, words: str) -> None:
    """Not green: the code and the object of who does not act, and a sentence that says so."""
    verdict, shown = condition(scene, "OnTime"), scene.notes["shown"]
    said = f"{shown} {verdict}"
    scene.claim((shown["VERDICT"], shown["BLOCKED-BY"]) == ("Blocked", by), f"blocked by {by}: {said}")
    scene.claim((verdict["status"], verdict["reason"]) == ("False", reason), f"OnTime is False by {reason}: {said}")
    scene.claim(words in verdict["message"], f"the message says '{words}': {said}")
    scene.claim(scene.floor().values == [ORIGINAL], "nothing was written")


@of(play.observed)
def test_a_policy_that_only_observes_is_no_green_light(scene: Scene) -> None:
    claim_blocked(scene, "ObserveOnly", "ScalingPolicy/shop", f"{FLOOR} units are needed, {ORIGINAL} are there")


@of(play.paused)
def test_a_pause_says_until_when_and_by_whom(scene: Scene) -> None:
    claim_blocked(scene, "OverridePause", "Override/freeze", "by mei: database migration")


@of(play.stopped)
def test_the_durable_stop_says_how_it_is_lifted(scene: Scene) -> None:
    claim_blocked(scene, "Stopped", "Deployment/web", "tidegate resume")


@of(play.outranked)
def test_a_policy_that_another_outranks_names_the_other(scene: Scene) -> None:
    claim_blocked(scene, "SharedWorkload", "ScalingPolicy/elder", "driven by ScalingPolicy elder")


@of(play.unheard)
def test_what_on_call_says_that_may_not_be_listed_is_named_with_the_servers_answer(scene: Scene) -> None:
    verdict, shown = condition(scene, "OnTime"), scene.notes["shown"]
    scene.claim(shown["VERDICT"] == "Blocked", f"{shown}")
    said = verdict["message"]
    scene.claim(
        f"{FLOOR} units are needed, {ORIGINAL} are there, and nobody raises them: overrides could" in said, said
    )
    scene.claim("403" in said and 'cannot list resource "overrides"' in said, said)
    scene.claim(not scene.notes["written"], "nothing was written meanwhile")


@of(play.closed)
def test_a_namespace_that_is_deleted_holds_no_other_up_and_is_served_when_it_is_there_again(scene: Scene) -> None:
    """Nor is a start of the operator in between held up."""
    scene.claim(bool(scene.notes["in time"]), "the event of the other was prepared for in time")
    scene.claim(scene.notes["lives"] == 2, "nobody had to start it anew for that")
    scene.claim(scene.notes["errors"] == [], f"{scene.notes['errors']}")


@of(play.killed)
def test_of_an_operator_that_was_killed_the_age_of_the_last_look_tells(scene: Scene) -> None:
    claim_old(scene)


@of(play.nobody_leads)
def test_where_nobody_leads_the_age_of_the_last_look_tells(scene: Scene) -> None:
    scene.claim(bool(scene.notes["alive"]), "the operator runs")
    scene.claim(scene.notes["leader"] is None, "and does not lead")
    claim_old(scene)


def claim_old(scene: Scene) -> None:
    """The instant of the last look has not moved since nobody acts."""
    looked = from_rfc3339(scene.notes["event"]["status"]["lookedAt"])
    shown = scene.notes["shown"]
    scene.claim(looked <= scene.notes["from"] + 15.0, f"not looked at since: {shown}")
    scene.claim(shown["LOOKED"] not in ("", "<unknown>"), f"column LOOKED has its age: {shown}")
    scene.claim(scene.floor().values == [ORIGINAL], "nothing was written")
