"""The ScalingPolicy objects that match a component: what scales is described where it is made.

An event names one policy. So a component writes a policy of its own only when it is used alone; where one event moves
several components, their targets go into one ``EventPolicy``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pulumi
from pydantic import Field, field_validator

from tidegate_stacks.checks import Args, Count, Cpu, Labels, Memory, Name, Rate, Signal, Text
from tidegate_stacks.component import Component
from tidegate_stacks.objects import Obj, obj
from tidegate_stacks.ownership import API_VERSION

Stage = Literal["database", "cache", "app", "edge"]
Mode = Literal["Observe", "Enforce"]
MAX_TARGETS = 64
"""The API's own bound."""
MAX_LIMIT_SAYS = 256
"""Longest sentence of a limit; the API's own bound."""


class PolicyArgs(Args):
    """How the operator treats what a component makes."""

    mode: Mode = "Observe"
    """Observe writes nothing and shows what it would do; Enforce acts. Dry first."""
    quantile_percent: int = Field(default=95, ge=50, le=99)
    """Of a hundred events so many find their capacity ready."""
    queries: Mapping[Signal, str] = {}
    """How signals are measured: PromQL by signal. A signal without one is planned only."""
    pool: Text | None = None
    """Name of the CapacityPool that targets with a lane ask for machines: ``batch.BatchQueues.pool``."""


class ScaledArgs(Args):
    """What all components have whose level a plan moves: their policy, and the lane of a pool that they run in."""

    nodes: Labels = Field(default_factory=dict)
    """Labels of the machines that the moved pods run on; where they run in a lane, those of its pool."""
    lane: Name | None = None
    """Lane of a pool: what is needed above the standing level is asked for there, and lent by the other lane when it
    must be. None: no pool is asked."""
    priority: Text | None = None
    """PriorityClass of its pods, as ``platform.Priorities`` makes one. None: the cluster's default."""
    policy: PolicyArgs | None = Field(default=PolicyArgs(), validate_default=True)
    """None where an EventPolicy takes the targets."""

    @field_validator("policy")
    @classmethod
    def _pool(cls, policy: PolicyArgs | None, info: Any) -> PolicyArgs | None:
        if policy and policy.pool is None and (lane := info.data.get("lane")):
            raise ValueError(f"lane {lane} is a lane of a pool: give policy.pool, its name, or remove lane")
        return policy


class UnitArgs(Args):
    """What one unit takes of a pool."""

    cpu: Cpu
    memory: Memory


class TargetArgs(Args):
    """A workload of somebody else's that moves with the same events."""

    name: str = Field(max_length=63)
    api_version: str
    kind: str
    capacity: Mapping[Signal, Rate] = Field(min_length=1)
    """What one unit carries."""
    minimum: Count
    maximum: Count
    stage: Stage = "app"
    lead_seconds: int = Field(default=60, ge=0, le=86_400)
    lane: Name | None = None
    """Lane of the policy's pool that it runs in. None: it asks no pool."""
    unit: UnitArgs | None = None
    """What one unit takes there. None: what its pods request, which only a workload with a pod template tells."""

    @field_validator("unit")
    @classmethod
    def _asked(cls, unit: UnitArgs | None, info: Any) -> UnitArgs | None:
        if unit and info.data.get("lane", "") is None:
            raise ValueError("is what a lane is asked for: give lane too, or remove unit")
        return unit

    @field_validator("maximum")
    @classmethod
    def _bounds(cls, maximum: int, info: Any) -> int:
        if maximum < info.data.get("minimum", 0):
            raise ValueError(f"is below minimum {info.data['minimum']}: raise it or lower minimum")
        return maximum


def target(
    workload: Mapping[str, Any],
    *,
    capacity: Mapping[str, int],
    minimum: int,
    maximum: int,
    stage: Stage,
    lead_seconds: int,
    background: Mapping[str, int] | None = None,
    lane: str | None = None,
    unit: UnitArgs | None = None,
) -> Obj:
    """One target of a policy. ``workload`` is the object itself, never its autoscaler: the operator finds that.

    ``unit`` is left out for what has a pod template: the operator reads there what a pod requests.
    """
    name = workload["metadata"]["name"]
    made: Obj = {
        "name": name,
        "ref": {"apiVersion": workload["apiVersion"], "kind": workload["kind"], "name": name},
        "capacity": dict(capacity),
        "stage": {"name": stage},
        "min": minimum,
        "max": maximum,
        "leadTime": {"guessSeconds": lead_seconds},
    }
    if background:
        made["background"] = dict(background)
    if lane:
        made["lane"] = lane
    if unit:
        made["unit"] = {"cpu": unit.cpu, "memory": unit.memory}
    return made


def target_of(args: TargetArgs) -> Obj:
    """A target from arguments."""
    workload = {"apiVersion": args.api_version, "kind": args.kind, "metadata": {"name": args.name}}
    return target(
        workload,
        capacity=args.capacity,
        minimum=args.minimum,
        maximum=args.maximum,
        stage=args.stage,
        lead_seconds=args.lead_seconds,
        lane=args.lane,
        unit=args.unit,
    )


def limit(name: str, *, signal: str, most: int, says: str) -> Obj:
    """A limit of a policy that no unit of any target lifts. ``says`` is the sentence that people read when demand is
    above ``most``. ValueError when it is longer than the API takes.
    """
    if len(says) > MAX_LIMIT_SAYS:
        raise ValueError(f"limit {name}: its sentence has {len(says)} characters; a limit takes {MAX_LIMIT_SAYS}")
    return {"name": name, "signal": signal, "most": most, "says": says}


def scaling_policy(
    name: str,
    namespace: Any,
    component: str,
    args: PolicyArgs,
    targets: Sequence[Obj],
    *,
    pool: Any = None,
    limits: Sequence[Obj] = (),
) -> Obj:
    """A ScalingPolicy object; it names a pool when a target has a lane: ``pool``, else ``args.pool``.

    ``limits``: as ``limit`` makes them.

    ValueError when it would hold no target or more than the API takes, or when the pool of a lane is not given.
    """
    if not 0 < len(targets) <= MAX_TARGETS:
        raise ValueError(f"policy {name}: {len(targets)} targets; a policy takes 1 to {MAX_TARGETS}")
    spec: Obj = {"mode": args.mode, "quantilePercent": args.quantile_percent, "targets": list(targets)}
    if in_lanes := [one["name"] for one in targets if "lane" in one]:
        asked = args.pool if pool is None else pool
        if asked is None:
            raise ValueError(f"policy {name}: {', '.join(in_lanes)}: lanes of no pool; give policy.pool, its name")
        spec["poolRef"] = {"name": asked}
    if signals := _signals(args, targets):
        spec["signals"] = signals
    if limits:
        spec["limits"] = sorted(limits, key=lambda one: str(one["name"]))
    return obj(API_VERSION, "ScalingPolicy", name, namespace, component, spec=spec)


def _signals(args: PolicyArgs, targets: Sequence[Obj]) -> list[Obj]:
    """Queries of signals that a target carries; measuring others would be idle."""
    carried = {signal for one in targets for signal in one["capacity"]}
    return [{"name": signal, "query": query} for signal, query in sorted(args.queries.items()) if signal in carried]


class EventPolicyArgs(Args):
    """One policy over several components, so that one event moves them all."""

    namespace: Text
    policy: PolicyArgs = PolicyArgs()
    others: tuple[TargetArgs, ...] = ()
    """Workloads that no component of this stack makes."""


class EventPolicy(Component):
    """The policy that events name in ``policyRef``."""

    policy_name: pulumi.Output[str]
    """What a LiveEvent of the same namespace writes into ``policyRef.name``."""

    def __init__(
        self,
        name: str,
        args: EventPolicyArgs,
        targets: Sequence[Obj] | pulumi.Output[Sequence[Obj]],
        opts: pulumi.ResourceOptions | None = None,
        *,
        pool: pulumi.Input[Any] = None,
        limits: Sequence[Obj] | pulumi.Output[Sequence[Obj]] = (),
    ) -> None:
        """``targets`` and ``limits``: those of the components, in any order; Outputs where other stacks made them.
        ``pool``: name of the CapacityPool that targets with a lane ask, in place of ``args.policy.pool``.
        """
        super().__init__("tidegate:policy:EventPolicy", name, opts)

        def policy(made: Sequence[Obj], bounds: Sequence[Obj], asked: Any) -> Obj:
            every = sorted([*made, *map(target_of, args.others)], key=lambda one: one["name"])
            return scaling_policy(name, args.namespace, name, args.policy, every, pool=asked, limits=bounds)

        if isinstance(targets, pulumi.Output) or isinstance(limits, pulumi.Output):
            spec = pulumi.Output.all(targets, limits, pool).apply(lambda known: policy(*known)["spec"])
            self.put(obj(API_VERSION, "ScalingPolicy", name, args.namespace, name, spec=spec))
        else:
            self.put(policy(targets, limits, pool))
        self.finish(policy_name=name)
