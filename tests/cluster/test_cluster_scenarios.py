"""The product's main job on a real control plane, with real HPAs, a real Helm, and operators that are killed.

All scenarios are played at the same time, each in its own namespace with its own operator; the tests then judge what
was recorded. ``KUBECONFIG`` names the cluster. Its HPAs must read external metrics from the JSON file that
``TIDEGATE_TEST_METRICS_FILE`` names, and its pods must obey the annotation ``tidegate.test/start``. Optional:
``TIDEGATE_TEST_STOCK_KUBECONFIG``, a second cluster whose controllers run at their stock request rate, and
``TIDEGATE_TEST_AUDIT_LOG``, the first one's audit log.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest
import scenarios as play
from harness import Cluster, tool
from recorder import Recorder
from scene import Body, Playbill, Scene
from shop import APPLIER, FLOOR, METRIC, ORIGINAL, condition_of, minimum_of, owners_of

KUBECONFIG = os.environ.get("KUBECONFIG")
METRICS_FILE = os.environ.get("TIDEGATE_TEST_METRICS_FILE")
STOCK_KUBECONFIG = os.environ.get("TIDEGATE_TEST_STOCK_KUBECONFIG")
AUDIT_LOG = os.environ.get("TIDEGATE_TEST_AUDIT_LOG")


def _missing() -> str:
    if not KUBECONFIG:
        return "needs an API server, found by KUBECONFIG"
    if not METRICS_FILE:
        return "needs HPAs that read external metrics from the file named by TIDEGATE_TEST_METRICS_FILE"
    if tool("kubectl") is None:
        return "needs kubectl, in $TIDEGATE_TOOLS/bin or on PATH"
    return ""


pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(_missing()), reason=_missing()),
    pytest.mark.timeout(1500),
]
needs_helm = pytest.mark.skipif(tool("helm") is None, reason="needs helm 4, in $TIDEGATE_TOOLS/bin or on PATH")
needs_stock = pytest.mark.skipif(
    not STOCK_KUBECONFIG, reason="needs a cluster at stock controller rates, named by TIDEGATE_TEST_STOCK_KUBECONFIG"
)

Test = TypeVar("Test", bound=Callable[..., object])


def of(body: Body) -> Callable[[Test], Test]:
    """Says which scenario a test judges, so that only the scenarios that are asked for are played."""

    def mark(test: Test) -> Test:
        test.scenario = body  # type: ignore[attr-defined]
        return test

    return mark


@pytest.fixture(scope="module")
def playbill(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playbill]:
    """Every scenario that a test of this run judges, all on at once."""
    judged = [getattr(item.function, "scenario", None) for item in request.session.items if hasattr(item, "function")]
    bodies = [body for body in dict.fromkeys(judged) if body is not None]
    folder = tmp_path_factory.mktemp("scenarios")
    _demand_little(Path(str(METRICS_FILE)))
    clusters = {"": Cluster(str(KUBECONFIG))}
    if STOCK_KUBECONFIG and play.twenty_at_stock_rates in bodies:
        clusters["stock"] = Cluster(STOCK_KUBECONFIG)
    else:
        bodies = [body for body in bodies if body is not play.twenty_at_stock_rates]
    recorders = {}
    for name, cluster in clusters.items():
        cluster.open()
        cluster.install_crds()
        recorders[name] = Recorder(cluster)
        recorders[name].start()

    def make(body: Body) -> Scene:
        where = "stock" if body is play.twenty_at_stock_rates else ""
        return Scene(body.__name__.replace("_", "-"), clusters[where], recorders[where], folder)

    bill = Playbill(make)
    bill.start(bodies)
    yield bill
    bill.close()
    for name, cluster in clusters.items():
        recorders[name].stop()
        cluster.close()


@pytest.fixture
def scene(request: pytest.FixtureRequest, playbill: Playbill) -> Scene:
    """The scene of the test's scenario, after it was played."""
    played = playbill.of(request.function.scenario)
    assert played.recorder.gaps == [], "the record has gaps: judge nothing by it"
    return played


def _demand_little(path: Path) -> None:
    """Let the HPAs' metric want one unit, whatever else the file says."""
    known = json.loads(path.read_text()) if path.exists() else {}
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps({**known, METRIC: 1}))
    aside.rename(path)


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


# ---- installed by Helm


@needs_helm
@of(play.helm_installed)
def test_a_forced_upgrade_inside_the_loan_is_overruled_within_a_second(scene: Scene) -> None:
    upgrade = scene.floor().first(lambda level: level == ORIGINAL, since=scene.t0)
    scene.claim(upgrade is not None, "the forced upgrade reset the floor")
    assert upgrade is not None
    again = scene.floor().first(lambda level: level == FLOOR, since=upgrade[0])
    took = again[0] - upgrade[0] if again else float("inf")
    scene.claim(took <= 1.0, f"asserted again within 1 s, not {took:.2f} s")


@needs_helm
@of(play.helm_installed)
def test_what_helm_owned_is_returned_to_helm_and_its_next_upgrade_needs_no_force(scene: Scene) -> None:
    now = scene.notes["finally"]["web"]
    scene.claim(minimum_of(now) == play.LATER_MINIMUM, "the unforced upgrade took effect")
    owners = owners_of(now, "minReplicas")
    scene.claim(owners == ["helm/Apply"], f"Helm alone owns the field: {owners}")


@needs_helm
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


# ---- stock controller rates


@needs_stock
@of(play.twenty_at_stock_rates)
def test_twenty_workloads_of_fifty_pods_that_step_together_are_ready_before_t0(scene: Scene) -> None:
    names = scene.recorder.names("Deployment", scene.ns)
    scene.claim(len(names) == play.MANY, f"all are recorded: {names}")
    at_t0 = {name: scene.ready(name).at(scene.t0) for name in names}
    scene.claim(set(at_t0.values()) == {play.UNITS}, f"ready at T-0: {at_t0}", names[0])
    written = [scene.replicas(name).first(lambda level: level == play.UNITS) for name in names]
    times = [scene.t0 - one[0] for one in written if one]
    scene.claim(max(times) - min(times) < 30, f"they stepped together, {min(times):.0f} to {max(times):.0f} s before")


@needs_stock
@of(play.twenty_at_stock_rates)
def test_levels_without_an_hpa_are_returned_through_scale(scene: Scene) -> None:
    for name in scene.recorder.names("Deployment", scene.ns):
        now = scene.cluster.get("Deployment", scene.ns, name)
        scene.claim(now["spec"]["replicas"] == 1, "replicas are the original", name)
        owners = owners_of(now, "replicas")
        scene.claim(owners == [f"{APPLIER}/Apply"], f"its owner owns them again: {owners}", name)
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
    assert changed == [], f"written while idle: {changed}"
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
    with log.open() as lines:
        for line in lines:
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
