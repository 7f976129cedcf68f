"""What happens in each scenario. The bodies act and wait; what is true of it afterwards, the tests say.

Times are short: an event of one or two minutes, a hold of half a minute. T-0 lies so far ahead that the floor (written
about a minute before: HPA sync, pod start, room for a fail-over) is not yet due when everything is in place.
"""

from __future__ import annotations

import json
import random
import sys
import time
from datetime import timedelta
from pathlib import Path

from harness import ROOT, Json
from scene import Scene
from shop import FLOOR, ORIGINAL, deployment, event, in_seconds, local, policy

HOLD = 30
STEP = 40
"""Percent a minute."""
DURATION = 60
WAY_DOWN = 240.0
"""Seconds that a way down may take before a scenario gives up on it."""
WITHDRAWN = ("cancelled", "put-off", "orphaned")
SMALL_FLOOR = 8
ORPHAN_STEP = 20
"""Percent a minute: what the API defaults to stands in for a policy that is gone."""
OWN_MINIMUM, HIGHER_MINIMUM, LATER_MINIMUM = 5, 30, 4
MANY, UNITS = 20, 50
EVENTS, TARGETS = 200, 20
MINUTES_AHEAD = 105


def _announce(scene: Scene, *, ahead: float, duration: int = DURATION, hold: int = HOLD, name: str = "show") -> None:
    scene.apply(policy(scene.ns, "web", hold=hold, step=STEP))
    scene.t0 = in_seconds(ahead)
    scene.apply(event(scene.ns, name, t0=scene.t0, duration=duration))
    scene.mark(f"announced {ahead:.0f} s ahead")


def prepared(scene: Scene) -> None:
    """A LiveEvent three minutes ahead, nobody interferes."""
    scene.workload()
    scene.leading(scene.operator())
    _announce(scene, ahead=180)
    scene.until_floor(FLOOR, 180)
    scene.wait_until(scene.t0 + DURATION, "the event ends")
    scene.until_returned(ORIGINAL, HOLD + WAY_DOWN)


def killed_in_the_hold(scene: Scene) -> None:
    """SIGKILL after the event's end, started again ten seconds later; the hold outlasts the change of life."""
    operator = scene.operator()
    scene.workload()
    scene.leading(operator)
    _announce(scene, ahead=150, hold=2 * HOLD)
    scene.wait_until(scene.t0 + DURATION + 10, "SIGKILL in the hold")
    operator.kill()
    time.sleep(10)
    scene.leading(operator)
    scene.until_returned(ORIGINAL, 2 * HOLD + WAY_DOWN)


def deleted_while_live(scene: Scene) -> None:
    """The event is deleted in mid-show."""
    scene.workload()
    scene.leading(scene.operator())
    _announce(scene, ahead=150, duration=900)
    scene.wait_until(scene.t0 + 15, "event deleted")
    scene.cluster.delete("LiveEvent", scene.ns, "show")
    scene.notes["deleted_at"] = time.time()
    scene.until_returned(ORIGINAL, WAY_DOWN)


def withdrawn_while_live(scene: Scene) -> None:
    """In mid-show one event is cancelled, one is put off by three hours, and one loses its policy."""
    scene.leading(scene.operator())
    for name in WITHDRAWN:
        scene.workload(name)
        scene.apply(policy(scene.ns, name, name=name, hold=HOLD, step=STEP))
    scene.t0 = in_seconds(150)
    shows = {
        name: event(scene.ns, name, t0=scene.t0, duration=1800, floor=SMALL_FLOOR, policy=name) for name in WITHDRAWN
    }
    for show in shows.values():
        scene.apply(show)
    scene.wait_until(scene.t0 + 10, "cancelled, put off, policy deleted")
    scene.notes["withdrawn_at"] = time.time()
    change = {"occurrence": local(scene.t0)}
    shows["cancelled"]["spec"]["schedule"]["changes"] = [{**change, "cancelled": True}]
    shows["put-off"]["spec"]["schedule"]["changes"] = [{**change, "postponedTo": local(scene.t0 + 3 * 3600)}]
    for show in shows.values():
        scene.apply(show)
    scene.cluster.delete("ScalingPolicy", scene.ns, "orphaned")
    for name in WITHDRAWN:
        scene.until_returned(ORIGINAL, WAY_DOWN, name)


def _tidegate(scene: Scene, *words: str) -> tuple[int, str]:
    """Our command line, as whoever holds the kubeconfig."""
    environment = {"PYTHONPATH": str(ROOT / "operator"), "TIDEGATE_OPERATOR_NAMESPACE": scene.ns}
    command = (sys.executable, "-m", "tidegate.cli.main", *words)
    done = scene.cluster.run(*command, check=False, **environment)
    scene.mark(f"tidegate {' '.join(words)}: {done.returncode}")
    return done.returncode, done.stdout + done.stderr


def released_for_good(scene: Scene) -> None:
    """The operator is gone for ever while the event is live; a person returns everything. Then it comes back."""
    operator = scene.operator()
    scene.workload()
    scene.leading(operator)
    _announce(scene, ahead=150, duration=1800)
    scene.wait_until(scene.t0 + 10, "SIGKILL, for good")
    operator.kill()
    everything = ("release", "--all", "--namespace", scene.ns)
    scene.notes["refused"] = _tidegate(scene, *everything)
    scene.notes["floor_after_refusal"] = scene.floor().last
    scene.notes["loans_after_refusal"] = scene.loans()
    scene.notes["released"] = _tidegate(scene, *everything, "--now")
    scene.until_returned(ORIGINAL, 10)
    scene.notes["owners"] = scene.cluster.get("HorizontalPodAutoscaler", scene.ns, "web")
    scene.notes["released_at"] = time.time()
    scene.notes["stops"] = scene.cluster.list("ConfigMap", scene.ns)["items"]
    scene.leading(operator)
    time.sleep(45)  # three beats, with the event still on
    scene.notes["obeyed_until"] = time.time()
    scene.notes["resumed"] = _tidegate(scene, "resume")
    scene.until_floor(FLOOR, 45)
    scene.notes["stopped_in"] = _stop(scene)


def _stop(scene: Scene) -> float:
    began = time.monotonic()
    scene.operators[0].stop()
    scene.mark("SIGTERM, ended")
    return time.monotonic() - began


def helm_installed(scene: Scene) -> None:
    """Three HPAs of a Helm chart: one is upgraded by force inside the loan, two get a person's own minimum."""
    chart = _write_chart(scene.folder / f"{scene.ns}-chart")
    names = ("web", "api", "chat")
    for name in names:
        scene.apply(deployment(scene.ns, name, replicas=None))
        _helm(scene, "install", name, chart, ORIGINAL)
    scene.leading(scene.operator())
    scene.apply(policy(scene.ns, *names, hold=HOLD, step=STEP))
    scene.t0 = in_seconds(160)
    scene.apply(event(scene.ns, "show", t0=scene.t0, duration=90))
    for name in names:
        scene.until_floor(FLOOR, 170, name)
    scene.wait_until(scene.t0 + 5, "helm upgrade --force-conflicts of web")
    _helm(scene, "upgrade", "web", chart, ORIGINAL, "--force-conflicts")
    scene.notes["upgraded"] = scene.cluster.get("HorizontalPodAutoscaler", scene.ns, "web")
    for name, minimum in (("api", OWN_MINIMUM), ("chat", HIGHER_MINIMUM)):
        patch = json.dumps({"spec": {"minReplicas": minimum}})
        command = ("kubectl", "-n", scene.ns, "patch", "hpa", name, "--type=merge", "-p", patch)
        scene.cluster.run(*command)
        scene.mark(f"kubectl patch of {name} to {minimum}")
    scene.wait_until(scene.t0 + 90, "the event ends")
    for name, level in (("web", ORIGINAL), ("api", OWN_MINIMUM), ("chat", HIGHER_MINIMUM)):
        scene.until_returned(level, HOLD + WAY_DOWN, name)
    _helm(scene, "upgrade", "web", chart, LATER_MINIMUM)
    scene.until_floor(LATER_MINIMUM, 10)
    scene.notes["finally"] = {name: scene.cluster.get("HorizontalPodAutoscaler", scene.ns, name) for name in names}


CHART = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ .Release.Name }}
spec:
  minReplicas: {{ .Values.minReplicas }}
  maxReplicas: 60
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ .Release.Name }}}
  metrics:
    - type: External
      external: {metric: {name: tidegate_test_demand}, target: {type: AverageValue, averageValue: "10"}}
"""


def _write_chart(folder: Path) -> Path:
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("{apiVersion: v2, name: shop, version: 0.1.0}\n")
    (folder / "values.yaml").write_text("minReplicas: 1\n")
    (folder / "templates" / "hpa.yaml").write_text(CHART)
    return folder


def _helm(scene: Scene, verb: str, release: str, chart: Path, minimum: int, *flags: str) -> None:
    values = f"minReplicas={minimum}"
    scene.cluster.run("helm", verb, release, str(chart), "--namespace", scene.ns, "--set", values, *flags)
    scene.mark(f"helm {verb} {release}: minReplicas={minimum} {' '.join(flags)}")


def two_operators(scene: Scene) -> None:
    """The leader dies just before the floor is due, and its follower in the hold after that."""
    one, two = scene.operator("one"), scene.operator("two")
    scene.workload()
    scene.leading(one)
    two.start()
    _announce(scene, ahead=180, hold=2 * HOLD)
    due = scene.until(lambda: _next_step(scene), 30, "the policy says when the floor is written")
    scene.notes["due"] = due
    scene.wait_until(due - 3, "SIGKILL of the leader, 3 s before its write is due")
    one.kill()
    scene.until_floor(FLOOR, 60)
    scene.notes["heir"] = scene.leader()
    one.start()
    scene.wait_until(scene.t0 + DURATION + 10, "SIGKILL of the second leader, in the hold")
    two.kill()
    scene.until_returned(ORIGINAL, 2 * HOLD + WAY_DOWN)


def _next_step(scene: Scene) -> float | None:
    from tidegate.api.walltime import from_rfc3339

    status = scene.cluster.get("ScalingPolicy", scene.ns, "shop").get("status", {})
    due = status.get("nextStepTime")
    return from_rfc3339(due) if due else None


def twenty_at_stock_rates(scene: Scene) -> None:
    """Twenty Deployments of fifty pods step together; the controllers create 20 objects a second for all of them.

    Every other one has an HPA in front whose metric cannot be read: its floor holds all the same.
    """
    bare, behind = [f"bare-{number:02d}" for number in range(MANY // 2)], [f"hpa-{n:02d}" for n in range(MANY // 2)]
    for name in bare:
        scene.apply(deployment(scene.ns, name, replicas=1))
    for name in behind:
        scene.workload(name, minimum=1)
    scene.leading(scene.operator())
    scene.apply(policy(scene.ns, *bare, *behind, hold=10, step=100))
    scene.t0 = in_seconds(240)
    scene.apply(event(scene.ns, "opening", t0=scene.t0, duration=30, floor=UNITS))
    scene.wait_until(scene.t0, "T-0")
    scene.until(
        lambda: all(scene.level(name).last == 1 for name in (*bare, *behind)) and not scene.loans(),
        30 + 10 + WAY_DOWN,
        "all twenty are back at 1",
    )


def idle(scene: Scene, *, seconds: float = 75.0) -> None:
    """Two hundred events later today, twenty targets, and nothing to do."""
    names = [f"web-{number:02d}" for number in range(TARGETS)]
    for number, name in enumerate(names):
        scene.apply(deployment(scene.ns, name, replicas=None if number % 2 else 2, start=2))
        if number % 2:
            scene.workload(name, minimum=2)
    operator = scene.operator()
    scene.leading(operator)
    scene.apply(policy(scene.ns, *names))
    chance = random.Random(11)
    for number in range(EVENTS):
        ahead = timedelta(minutes=MINUTES_AHEAD + chance.randrange(600)).total_seconds()
        show = event(scene.ns, f"show-{number:03d}", t0=in_seconds(ahead), duration=3600)
        if number % 4 == 0:
            show["spec"]["schedule"]["recurrence"] = {"rrule": "FREQ=DAILY;COUNT=5"}
        scene.cluster.create(show)
    scene.until(lambda: _told(scene) == EVENTS, 120, f"all {EVENTS} events have a status")
    time.sleep(75)  # pods and HPAs settle, Events are posted, and each idle target is looked at once more: every 60 s
    scene.notes["before"], scene.notes["from"] = _versions(scene), time.time()
    shown = scene.cluster.list("ScalingPolicy", scene.ns)["items"]
    scene.mark("idle from here")
    time.sleep(seconds)
    scene.notes["after"], scene.notes["to"] = _versions(scene), time.time()
    scene.notes["policies"] = [shown, scene.cluster.list("ScalingPolicy", scene.ns)["items"]]
    scene.notes["leader"] = scene.leader()


def idle_for_ten_minutes(scene: Scene) -> None:
    """The same for as long as a person would watch."""
    idle(scene, seconds=600.0)


def _told(scene: Scene) -> int:
    return sum(bool(e.get("status", {}).get("conditions")) for e in scene.cluster.list("LiveEvent", scene.ns)["items"])


def _versions(scene: Scene) -> dict[str, str]:
    """resourceVersions of all that only we, or nobody, should write."""
    found = {}
    for kind in ("LiveEvent", "ScalingPolicy", "Loan", "ConfigMap", "Event"):
        for obj in scene.cluster.list(kind, scene.ns)["items"]:
            if kind != "Event" or _is_ours(obj):
                found[f"{kind}/{obj['metadata']['name']}"] = obj["metadata"]["resourceVersion"]
    for kind in ("Deployment", "HorizontalPodAutoscaler"):
        for obj in scene.cluster.list(kind, scene.ns)["items"]:  # their status moves by itself
            mine = [e.get("time", "") for e in obj["metadata"].get("managedFields", []) if e["manager"] == "tidegate"]
            found[f"{kind}/{obj['metadata']['name']}"] = f"{obj['metadata'].get('generation')} {mine} {obj['spec']}"
    return found


def _is_ours(happening: Json) -> bool:
    return str(happening.get("source", {}).get("component", "")).startswith("tidegate")
