"""HPAs that a real Helm 4 installed: what it re-applies, what people change, and what it may do afterwards."""

from __future__ import annotations

import pytest
import scenarios as play
from scene import Scene
from shop import FLOOR, ORIGINAL, minimum_of, owners_of
from stage import needs_helm, of, on_a_cluster

pytestmark = [*on_a_cluster, needs_helm]


@of(play.helm_installed)
def test_a_forced_upgrade_inside_the_loan_is_overruled_within_a_second(scene: Scene) -> None:
    upgrade = scene.floor().first(lambda level: level == ORIGINAL, since=scene.t0)
    scene.claim(upgrade is not None, "the forced upgrade reset the floor")
    assert upgrade is not None
    again = scene.floor().first(lambda level: level == FLOOR, since=upgrade[0])
    took = again[0] - upgrade[0] if again else float("inf")
    scene.claim(took <= 1.0, f"asserted again within 1 s, not {took:.2f} s")


@of(play.helm_installed)
def test_what_helm_owned_is_returned_to_helm_and_its_next_upgrade_needs_no_force(scene: Scene) -> None:
    now = scene.notes["finally"]["web"]
    scene.claim(minimum_of(now) == play.LATER_MINIMUM, "the unforced upgrade took effect")
    owners = owners_of(now, "minReplicas")
    scene.claim(owners == ["helm/Apply"], f"Helm alone owns the field: {owners}")


@of(play.helm_installed)
@pytest.mark.parametrize(("name", "minimum"), [("api", play.OWN_MINIMUM), ("chat", play.HIGHER_MINIMUM)])
def test_a_persons_new_minimum_inside_the_loan_becomes_the_original(scene: Scene, name: str, minimum: int) -> None:
    floors = scene.floor(name)
    patched = floors.first(lambda level: level == minimum, since=scene.t0)
    scene.claim(patched is not None, "the patch took effect", name)
    assert patched is not None
    held = floors.first(lambda level: level >= FLOOR, since=patched[0])
    took = held[0] - patched[0] if held else float("inf")
    scene.claim(took <= 1.0, f"the larger of theirs and ours holds within 1 s, not {took:.2f} s", name)
    scene.claim_kept(scene.ready(name), FLOOR, scene.t0, scene.t0 + 90, "ready")
    originals = [one for one in scene.loan(name, lambda s: s["original"]).values if one is not None]
    scene.claim(originals == [ORIGINAL, minimum], f"it is the original now: {originals}", name)
    now = scene.notes["finally"][name]
    scene.claim(minimum_of(now) == minimum, f"and what is returned to: {minimum_of(now)}", name)
    owners = owners_of(now, "minReplicas")
    scene.claim(owners == ["kubectl-patch/Update"], f"its owner is who set it: {owners}", name)
