"""What registered objects take, by component: pods, cores, memory, storage, targets, and costs where prices are given.

Pure functions over what ``dry`` saw. Each level stands twice: as it is registered, and at the most that a target of a
policy or an autoscaler allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tidegate_stacks.dry import Ground, Registered
from tidegate_stacks.sizing import cpu_millis, memory_bytes

GIB = 1024**3
HOURS_A_MONTH = 730
"""A year's hours over twelve."""

Levels = Mapping[tuple[str, str], int]
"""Most that a workload may stand at, by kind and name."""


@dataclass(frozen=True, slots=True)
class Takes:
    """Requests of some pods."""

    pods: int = 0
    cpu_millis: int = 0
    memory: int = 0
    """Bytes."""
    storage: int = 0
    """Bytes of volumes that last."""

    def __add__(self, other: Takes) -> Takes:
        return Takes(
            self.pods + other.pods,
            self.cpu_millis + other.cpu_millis,
            self.memory + other.memory,
            self.storage + other.storage,
        )

    def times(self, count: int) -> Takes:
        """So many of them."""
        return Takes(self.pods * count, self.cpu_millis * count, self.memory * count, self.storage * count)


@dataclass(frozen=True, slots=True)
class Prices:
    """What machines cost, in any one currency. Zero: not given."""

    core_hour: float = 0.0
    gib_hour: float = 0.0
    """Of memory."""
    storage_gib_month: float = 0.0

    @property
    def given(self) -> bool:
        """Whether there is any."""
        return any((self.core_hour, self.gib_hour, self.storage_gib_month))

    def an_hour(self, takes: Takes) -> float:
        """What these requests cost for an hour."""
        volumes = takes.storage / GIB * self.storage_gib_month / HOURS_A_MONTH
        return takes.cpu_millis / 1000 * self.core_hour + takes.memory / GIB * self.gib_hour + volumes


@dataclass
class Row:
    """One component."""

    name: str
    kind: str
    """``Cache``."""
    objects: list[Mapping[str, Any]] = field(default_factory=list)
    charts: list[str] = field(default_factory=list)
    """Charts that Pulumi's provider renders at ``pulumi up``."""
    standing: Takes = Takes()
    most: Takes = Takes()
    targets: int = 0


def rows(ground: Ground) -> list[Row]:
    """Every component, by its name: programs register at the same time what does not depend on one another."""
    made: dict[str, Row] = {}
    levels = most_levels(ground)
    moved = {key for key, _ in _targets(ground)}
    for one in ground.resources:
        if one.type.startswith("tidegate:"):
            made[one.name] = Row(one.name, one.kind)
            continue
        row = made.get(one.parent.rpartition("::")[2])
        if row is None:
            continue
        if one.type.startswith("kubernetes:helm.sh/") or one.type.startswith("kubernetes:yaml/"):
            row.charts.append(one.name)
        elif one.type.startswith("kubernetes:"):
            _count(row, one, levels, moved)
    return [made[name] for name in sorted(made)]


def _count(row: Row, one: Registered, levels: Levels, moved: set[tuple[str, str]]) -> None:
    row.targets += (one.kind, one.inputs["metadata"]["name"]) in moved
    add(row, one.inputs, levels)


def add(row: Row, given: Mapping[str, Any], levels: Levels = MappingProxyType({})) -> None:
    """Count an object into a row."""
    row.objects.append(given)
    kind, name = given["kind"], given["metadata"]["name"]
    unit, count = takes(given)
    # What is written; else the autoscaler's minimum; else what Kubernetes makes of nothing.
    standing = levels.get((f"least {kind}", name), 1) if count is None else count
    row.standing += unit.times(standing)
    row.most += unit.times(max(standing, levels.get((kind, name), standing)))


def most_levels(ground: Ground) -> dict[tuple[str, str], int]:
    """Bounds from autoscalers, and from the targets of policies and of what is exported for another stack's policy."""
    found: dict[tuple[str, str], int] = {}
    for one in ground.objects:
        if one.kind == "HorizontalPodAutoscaler":
            spec = one.inputs["spec"]
            kind, name = spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"]
            found[kind, name] = spec["maxReplicas"]
            found[f"least {kind}", name] = spec["minReplicas"]
    for key, most in _targets(ground):
        found[key] = max(most, found.get(key, 0))
    return found


def _targets(ground: Ground) -> list[tuple[tuple[str, str], int]]:
    specs = [one.inputs["spec"] for one in ground.objects if one.kind == "ScalingPolicy"]
    every = [target for spec in specs for target in spec["targets"]] + list(ground.exports.get("targets", ()))
    return [((one["ref"]["kind"], one["ref"]["name"]), one["max"]) for one in every]


# ---- one object


def takes(given: Mapping[str, Any]) -> tuple[Takes, int | None]:
    """(what one pod of an object takes, how many pods are written into it; None where an autoscaler says)."""
    spec, kind = given.get("spec", {}), given["kind"]
    if kind in ("Deployment", "StatefulSet"):
        claims = sum(_size(one["spec"]) for one in spec.get("volumeClaimTemplates", ()))
        return _pod(spec["template"]["spec"]) + Takes(storage=claims), spec.get("replicas")
    if kind == "Job":
        return _pod(spec["template"]["spec"]), spec.get("parallelism", 1)
    if kind == "Cluster":
        asked = spec.get("resources", {}).get("requests", {})
        disks = [spec[name]["size"] for name in ("storage", "walStorage") if name in spec]
        return _requests(asked) + Takes(1, storage=sum(map(memory_bytes, disks))), spec["instances"]
    if kind == "Pooler":
        return _pod(spec["template"]["spec"]), spec["instances"]
    if kind == "PersistentVolumeClaim":
        return Takes(storage=_size(spec)), 1
    return Takes(), 0


def _size(claim: Mapping[str, Any]) -> int:
    return memory_bytes(claim["resources"]["requests"]["storage"])


def _pod(spec: Mapping[str, Any]) -> Takes:
    asked = [one.get("resources", {}).get("requests", {}) for one in spec["containers"]]
    return sum(map(_requests, asked), Takes(1))


def _requests(asked: Mapping[str, str]) -> Takes:
    cpu, memory = asked.get("cpu"), asked.get("memory")
    return Takes(0, cpu_millis(cpu) if cpu else 0, memory_bytes(memory) if memory else 0)


def total(each: Sequence[Row]) -> Row:
    """All of them as one."""
    together = Row("total", "", [one for row in each for one in row.objects], [c for row in each for c in row.charts])
    together.standing = sum((row.standing for row in each), Takes())
    together.most = sum((row.most for row in each), Takes())
    together.targets = sum(row.targets for row in each)
    return together
