"""Checks of a ScalingPolicy across its fields, and its value for the core."""

from __future__ import annotations

from sys import intern

from tidegate.api.check_event import check_signal
from tidegate.api.problems import Problem, quoted
from tidegate.api.scalingpolicy import LivePlan, ReleasePlan, ScalingPolicySpec, Target
from tidegate.planning.model import (
    STAGES,
    Key,
    LeadTimeGuess,
    Limit,
    Live,
    Mode,
    Policy,
    Ref,
    Release,
    SignalSpec,
    TargetSpec,
)

LONGEST_LEAD = 82_800
"""Seconds from the write to ready, and until the stages in front have settled: the planner's horizon of a day less an
hour for its own reaction and the queues that all share."""
_AUTOSCALERS = {"HorizontalPodAutoscaler", "ScaledObject"}


def policy_of(
    spec: ScalingPolicySpec, key: Key, *, created: float, uid: str, generation: int, problems: list[Problem]
) -> Policy:
    """The policy as the core knows it; what is wrong with it is added to ``problems``."""
    _check_signals(spec, problems)
    _check_targets(spec, problems)
    _check_limits(spec, problems)
    _check_live(spec, problems)
    return Policy(
        key=key,
        targets=tuple(_target(target, key.namespace, live=spec.live is not None) for target in spec.targets),
        signals=tuple(SignalSpec(intern(s.name), s.query, float(s.stale_after_seconds)) for s in spec.signals),
        limits=tuple(Limit(one.name, intern(one.signal), one.most, one.says) for one in spec.limits),
        mode=Mode(spec.mode),
        quantile=spec.quantile_percent / 100,
        correlation=spec.correlation_percent / 100,
        release=_release(spec.release, live=spec.live is not None),
        blind_max=float(spec.blind_max_seconds),
        live=None if spec.live is None else _live(spec.live),
        pool=None if spec.pool_ref is None else spec.pool_ref.name,
        created=created,
        uid=uid,
        generation=generation,
    )


HOLD_SECONDS, LIVE_HOLD_SECONDS = 900, 30
"""How long a level is kept whose policy does not say."""


def _release(plan: ReleasePlan, *, live: bool) -> Release:
    hold = LIVE_HOLD_SECONDS if live else HOLD_SECONDS
    return Release(
        hold=float(hold if plan.hold_seconds is None else plan.hold_seconds),
        step_per_minute=plan.max_step_percent_per_minute / 100,
    )


def _live(live: LivePlan) -> Live:
    return Live(live.quantile_percent / 100, live.fade_percent_per_minute / 100, frozenset(live.forget_hosts))


HEADROOM_PERCENT, LIVE_HEADROOM_PERCENT = 20, 0
"""Headroom of a target that says none."""


def _target(target: Target, namespace: str, *, live: bool) -> TargetSpec:
    headroom = LIVE_HEADROOM_PERCENT if live else HEADROOM_PERCENT
    return TargetSpec(
        name=target.name,
        ref=Ref(target.ref.api_version, target.ref.kind, namespace, target.ref.name),
        capacity=tuple((intern(signal), value) for signal, value in sorted(target.capacity.items())),
        background=tuple((intern(signal), value) for signal, value in sorted(target.background.items())),
        headroom=(headroom if target.headroom_percent is None else target.headroom_percent) / 100,
        stage=target.stage.name,
        settle=float(target.stage.settle_seconds),
        minimum=target.min,
        maximum=target.max,
        lead=LeadTimeGuess(float(target.lead_time.guess_seconds), float(target.lead_time.machine_seconds)),
        lane=target.lane,
        unit=None if target.unit is None else target.unit.needed(),
    )


def _check_live(spec: ScalingPolicySpec, problems: list[Problem]) -> None:
    """What follows measured demand has some that is measured."""
    measured = {signal.name for signal in spec.signals if signal.query}
    for index, target in enumerate(spec.targets):
        if spec.live is not None and not measured & target.capacity.keys():
            wrong = f"{quoted(target.name)} carries no signal that has a query, so that live has nothing to follow"
            problems.append(Problem(f"spec.targets[{index}].capacity", wrong, "a signal with a query, or no spec.live"))


def _check_signals(spec: ScalingPolicySpec, problems: list[Problem]) -> None:
    names: set[str] = set()
    carried = {signal for target in spec.targets for signal in target.capacity}
    for index, signal in enumerate(spec.signals):
        path = f"spec.signals[{index}].name"
        check_signal(signal.name, path, problems)
        if signal.name in names:
            problems.append(Problem(path, f"{quoted(signal.name)} is there twice", "one entry a signal"))
        names.add(signal.name)
        if signal.name not in carried:
            wrong = f"no target carries {quoted(signal.name)}"
            problems.append(Problem(path, wrong, "add it to a target's capacity, or remove the signal"))


def _check_limits(spec: ScalingPolicySpec, problems: list[Problem]) -> None:
    names: set[str] = set()
    carried = {signal for target in spec.targets for signal in target.capacity}
    for index, limit in enumerate(spec.limits):
        path = f"spec.limits[{index}]"
        check_signal(limit.signal, f"{path}.signal", problems)
        if limit.name in names:
            problems.append(Problem(f"{path}.name", f"{quoted(limit.name)} is there twice", "one name a limit"))
        names.add(limit.name)
        if limit.signal not in carried:
            wrong = f"no target carries {quoted(limit.signal)}"
            problems.append(Problem(f"{path}.signal", wrong, f"use one of {', '.join(sorted(carried))}"))


def _check_targets(spec: ScalingPolicySpec, problems: list[Problem]) -> None:
    names: set[str] = set()
    workloads: dict[tuple[str, str, str], str] = {}
    for index, target in enumerate(spec.targets):
        path = f"spec.targets[{index}]"
        if target.name in names:
            problems.append(Problem(f"{path}.name", f"{quoted(target.name)} is used twice", "one name a target"))
        names.add(target.name)
        group = target.ref.api_version.rpartition("/")[0]
        workload = (group, target.ref.kind, target.ref.name)
        if workload in workloads:
            wrong = f"{target.ref.kind} {quoted(target.ref.name)} is target {workloads[workload]} already"
            problems.append(Problem(f"{path}.ref", wrong, "merge them: several signals go into one capacity"))
        workloads.setdefault(workload, target.name)
        if target.lane is not None and spec.pool_ref is None:
            wrong = f"{quoted(target.lane)} is a lane of no pool"
            problems.append(Problem(f"{path}.lane", wrong, "give spec.poolRef too, e.g. {name: hangzhou-a}"))
        check_target(target, path, problems)
    _check_leads(spec, problems)


def _check_leads(spec: ScalingPolicySpec, problems: list[Problem]) -> None:
    """What is to be written before it can be planned would come late, and nobody would say so before."""
    for index, target in enumerate(spec.targets):
        behind = STAGES[STAGES.index(target.stage.name) + 1 :]
        settle = {other.stage.name: 0 for other in spec.targets if other.stage.name in behind}
        for other in spec.targets:
            if other.stage.name in settle:
                settle[other.stage.name] = max(settle[other.stage.name], other.stage.settle_seconds)
        lead = target.lead_time.guess_seconds + target.lead_time.machine_seconds
        if lead + sum(settle.values()) > LONGEST_LEAD:
            wrong = f"takes {lead} s, and {sum(settle.values())} s more until the stages in front of it have settled"
            right = f"together at most {LONGEST_LEAD} s: a day is planned ahead, and an hour of it is for the queues"
            problems.append(Problem(f"spec.targets[{index}].leadTime", wrong, right))


def check_target(target: Target, path: str, problems: list[Problem]) -> None:
    """What is wrong within one target."""
    if target.ref.kind in _AUTOSCALERS:
        right = "name the workload it scales, e.g. a Deployment: its autoscaler is found from it"
        problems.append(Problem(f"{path}.ref.kind", f"{target.ref.kind} is an autoscaler", right))
    elif target.ref.kind == "Pod":
        problems.append(Problem(f"{path}.ref.kind", "a Pod has no level to set", "name its Deployment or StatefulSet"))
    if target.min > target.max:
        problems.append(Problem(f"{path}.min", f"{target.min} is above max {target.max}", "lower min or raise max"))
    for signal in target.capacity:
        check_signal(signal, f"{path}.capacity.{signal}", problems)
    for signal in target.background:
        if signal not in target.capacity:
            wrong = f"has no capacity for {quoted(signal)}"
            right = f"use one of {', '.join(sorted(target.capacity))}, or add its capacity"
            problems.append(Problem(f"{path}.background.{signal}", wrong, right))
    if target.unit is not None and target.lane is None:
        problems.append(Problem(f"{path}.unit", "has no lane to ask", "give lane too, e.g. trading, or remove unit"))
