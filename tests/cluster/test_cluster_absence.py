"""Absence is told apart on a real control plane: only an object that is gone ends its loan.

Played like the other scenarios (``test_cluster_scenarios``): a namespace and an operator each, all at the same time.
"""

from __future__ import annotations

import absences as play
from scene import Scene
from shop import FLOOR, ORIGINAL
from stage import of, on_a_cluster

pytestmark = on_a_cluster


@of(play.version_no_longer_served)
def test_a_crd_version_that_is_no_longer_served_in_mid_loan_costs_no_loan(scene: Scene) -> None:
    scene.claim(len(scene.notes["loans_while_away"]) == 1, f"its Loan stands: {scene.notes['loans_while_away']}")
    originals = scene.loan("main", lambda spec: spec["original"]).values
    scene.claim(originals == [ORIGINAL, None], f"with the owner's value, until it was returned: {originals}")


@of(play.version_no_longer_served)
def test_a_crd_version_that_is_served_again_is_gone_on_with(scene: Scene) -> None:
    gone = scene.loan("main").first(lambda level: level is None)
    scene.claim(gone is not None and gone[0] > scene.notes["back"], f"returned once it was served: {gone}")
    scene.claim(scene.notes["returned_in"] < play.WAY_DOWN, f"in {scene.notes['returned_in']:.1f} s")


@of(play.kind_that_gains_scale)
def test_a_kind_that_gains_scale_is_found_within_a_minute(scene: Scene) -> None:
    scene.claim(scene.notes["found_in"] < 60.0, f"found and written in {scene.notes['found_in']:.1f} s")


@of(play.target_that_may_not_be_read)
def test_a_target_that_may_not_be_read_for_a_moment_keeps_its_loan_and_its_level(scene: Scene) -> None:
    shown = scene.notes["shown"]
    scene.claim(shown.get("floor") == FLOOR, f"what was seen last is shown: {shown}")
    scene.claim(len(scene.notes["loans_meanwhile"]) == 1, f"its Loan stands: {scene.notes['loans_meanwhile']}")
    scene.claim_kept(scene.replicas(), FLOOR, scene.notes["taken"], scene.notes["given"], "its level")
    scene.claim(scene.replicas().last == ORIGINAL, "and it is returned when it may be read again")
