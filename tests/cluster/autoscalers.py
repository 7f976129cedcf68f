"""Real HPAs on one series of their metric, for ``test_cluster_autoscalers``: what each asked for, by time.

The metric is an external one, of which each kind of HPA is told the same: steps up, noise within the tolerance, a gap,
steps down. It changes every five seconds by a little, so that each sync of the controller shows in the HPA's status.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import Json
from scene import Scene
from shop import deployment
from stage import METRICS_FILE

from tidegate.backtest.rivals import QUICK_DOWN
from tidegate.simulation.hpa import DEFAULT, Behavior, Direction, PercentPolicy, PodsPolicy, Select

DEMAND, TIMETABLE = "tidegate_test_hpa_demand", "tidegate_test_hpa_timetable"
"""The metrics: demand in units, and the units that a timetable wants (as KEDA's cron trigger says them)."""
PERCENT = 80
"""Every HPA's target, of what a unit carries."""
SLOT = 5
"""Seconds that a value of the metric holds."""
HIGHEST = 400
AT_REST = 10
"""Units under the first demand."""


@dataclass(frozen=True)
class Kind:
    """One HPA: what its object says and what the model is told."""

    behavior: Behavior | None = DEFAULT
    minimums: tuple[tuple[float, int], ...] = ((0.0, 1),)
    """minReplicas from these seconds on: whoever writes a floor."""
    timetable: bool = False
    """Whether it has the second metric too."""


LIMITED = Behavior(
    up=Direction(window=0.0, policies=(PodsPolicy(20, 30.0), PercentPolicy(100, 30.0)), select=Select.MIN),
    down=Direction(window=45.0, policies=(PercentPolicy(30, 45.0),)),
)
CAREFUL = replace(QUICK_DOWN, up=Direction(window=30.0, policies=DEFAULT.up.policies, tolerance=0.05))

KINDS: Mapping[str, Kind] = {
    "stock": Kind(),
    "quick": Kind(QUICK_DOWN),
    "plain": Kind(None),
    "limited": Kind(LIMITED),
    "careful": Kind(CAREFUL),
    "floored": Kind(QUICK_DOWN, minimums=((0.0, 1), (160.0, 60), (205.0, 1))),
    "cron": Kind(QUICK_DOWN, timetable=True),
}
"""As it comes; with the backtest's quick way down; without ``behavior``; with limits on both ways; with a window and a
narrow tolerance on the way up; under a floor that is written and taken back; beside a timetable."""

LEVELS = ((0, 8.0), (20, 59.6), (75, 19.6), (100, math.nan), (135, 25.2), (160, 4.4))
"""Demand in units from these seconds on; not a number: the metric is missing. 25.2 is 29 % above 19.6. The gap begins
when all of them are at rest: one that is a sync behind there would stay behind for as long as it lasts.
"""
TIMES = ((0, 3.0), (100, 90.0), (135, 12.0))
"""The timetable's wish from these seconds on: while the other is missing."""
NOISE = (0.0, 0.03, 0.04, 0.02, -0.04, 0.01, -0.03, -0.02)
"""Shares by which demand differs from its level, slot by slot: less than any tolerance."""
NOISY, FAINT = 20, 0.1
"""Seconds from the begin for which all of the noise is there, and how much of it later: enough for each sync to show,
and too little to wish for another number of units.
"""
SECONDS = 395
"""A stock HPA comes down 300 s after the last high demand, to what was wanted since."""


def demand_at(second: float) -> float:
    """Demand in units; not a number in the gap."""
    noise = NOISE[int(second // SLOT) % len(NOISE)] * (1.0 if second < NOISY else FAINT)
    return round(_level(LEVELS, second) * (1.0 + noise), 3)


def timetable_at(second: float) -> float:
    """Units that the timetable wants."""
    return _level(TIMES, second)


def _level(levels: tuple[tuple[int, float], ...], second: float) -> float:
    return next(level for begin, level in reversed(levels) if second >= begin)


def driven(scene: Scene) -> None:
    """All kinds at rest under the first demand, then the series."""
    _say(0.0)
    for name, kind in KINDS.items():
        scene.apply(deployment(scene.ns, name, replicas=AT_REST))
        scene.cluster.apply(autoscaler(scene.ns, name, kind, minimum=kind.minimums[0][1]), manager="owner")
    for name in KINDS:
        scene.until(lambda name=name: _looked(scene, name), 90, f"the HPA of {name} reads its metric")  # type: ignore[misc]
    scene.t0 = time.time()
    pending = [(at, level, name) for name, kind in KINDS.items() for at, level in kind.minimums[1:]]
    for slot in range(SECONDS // SLOT):
        scene.wait_until(scene.t0 + SLOT * slot + 0.001, "") if slot else None
        _say(float(SLOT * slot))
        for one in sorted(pending):
            if one[0] <= SLOT * slot:
                pending.remove(one)
                scene.cluster.apply(autoscaler(scene.ns, one[2], KINDS[one[2]], minimum=one[1]), manager="owner")
                scene.mark(f"minReplicas of {one[2]} is {one[1]}")
    scene.wait_until(scene.t0 + SECONDS, "the series is over")


def autoscaler(namespace: str, name: str, kind: Kind, *, minimum: int) -> Json:
    """The HPA of a kind."""
    metrics = [_metric(DEMAND, f"{10 * PERCENT}m"), *([_metric(TIMETABLE, "1")] if kind.timetable else [])]
    spec: Json = {
        "minReplicas": minimum,
        "maxReplicas": HIGHEST,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "metrics": metrics,
    }
    if kind.behavior is not None:
        spec["behavior"] = {
            "scaleUp": _direction(kind.behavior.up),
            "scaleDown": _direction(kind.behavior.down),
        }
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def _metric(name: str, target: str) -> Json:
    return {
        "type": "External",
        "external": {"metric": {"name": name}, "target": {"type": "AverageValue", "averageValue": target}},
    }


def _direction(one: Direction) -> Json:
    policies = [
        {"type": "Pods", "value": policy.pods, "periodSeconds": int(policy.period)}
        if isinstance(policy, PodsPolicy)
        else {"type": "Percent", "value": policy.percent, "periodSeconds": int(policy.period)}
        for policy in one.policies
    ]
    return {
        "stabilizationWindowSeconds": int(one.window),
        "policies": policies,
        "selectPolicy": one.select.value,
        "tolerance": f"{one.tolerance:g}",
    }


def _looked(scene: Scene, name: str) -> bool:
    """Whether an HPA has read all of its metrics and its workload is at rest."""
    status = scene.cluster.get("HorizontalPodAutoscaler", scene.ns, name).get("status", {})
    read: list[Any] = status.get("currentMetrics") or []
    return len(read) == 1 + KINDS[name].timetable and status.get("desiredReplicas") == AT_REST


def _say(second: float) -> None:
    """Tell the HPAs' metrics, beside what the file says of others'."""
    path = Path(str(METRICS_FILE))
    known = json.loads(path.read_text()) if path.exists() else {}
    demand = demand_at(second)
    known |= {DEMAND: None if math.isnan(demand) else demand, TIMETABLE: timetable_at(second)}
    aside = path.with_suffix(".aside")
    aside.write_text(json.dumps(known))
    aside.rename(path)
