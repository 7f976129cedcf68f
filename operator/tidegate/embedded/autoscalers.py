"""HorizontalPodAutoscalers: each syncs every 15 s by the rule of ``simulation.hpa``; its metric is a hook.

The hook gives the demand on a workload in units of "ready pods fully used". What an autoscaler sees of it:

* ``Resource`` with ``averageUtilization``: 100 x demand / ready pods, in percent (no bound: a pod can be asked for more
  than all it has);
* ``Pods``, and ``Resource`` with ``averageValue``: demand / ready pods;
* ``External`` and ``Object``: the demand itself, against ``value`` or ``averageValue``.

No demand (None), no ready pod where one is needed, or no such target: the metric is missing, and the autoscaler changes
nothing. Only the first metric counts. A sync writes through the target's scale, as kube-controller-manager does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tidegate.embedded.errors import ApiError, Json
from tidegate.embedded.pods import Condition, conditions, quantity
from tidegate.embedded.resources import Registry, Resource
from tidegate.embedded.scale import scale_of, with_replicas
from tidegate.embedded.store import DELETED, Change, Key, Store
from tidegate.embedded.timestamps import rfc3339
from tidegate.embedded.workloads import MANAGER, Kind
from tidegate.embedded.writes import Options, Writes
from tidegate.simulation.hpa import (
    Behavior,
    Direction,
    HpaDecision,
    HpaMetric,
    HpaMetricKind,
    HpaReason,
    HpaRule,
    PercentPolicy,
    PodsPolicy,
    Select,
)

AUTOSCALERS: Kind = ("autoscaling", "horizontalpodautoscalers")

Load = Callable[[str, str, float], float | None]
"""(namespace, workload, now) to demand in units of "ready pods fully used"; None when it cannot be told."""

ReadyOf = Callable[[Kind, Key], int | None]


@dataclass(slots=True)
class _Autoscaler:
    spec: Json
    rule: HpaRule | None
    """None when the metric cannot be read at all."""
    next_sync: float
    last_scale: float | None = None


@dataclass(frozen=True, slots=True)
class _Target:
    resource: Resource
    key: Key
    replicas: int
    """Wanted."""
    seen: int
    """As the target's status counts them."""
    ready: int


class Autoscalers:
    """All HPAs of the cluster."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        writes: Writes,
        ready: ReadyOf,
        *,
        load: Load | None,
        sync_seconds: float,
    ) -> None:
        self._store, self._registry, self._writes, self._ready = store, registry, writes, ready
        self._load = load
        self._sync_seconds = sync_seconds
        self._known: dict[Key, _Autoscaler] = {}

    def changed(self, kind: Kind, change: Change, at: float) -> None:
        """Take in a spec. The history of the stabilisation window survives a change of it."""
        if kind != AUTOSCALERS:
            return
        key = (change.item.namespace, change.item.name)
        if change.type == DELETED:
            self._known.pop(key, None)
            return
        spec = change.item.document()["spec"]
        known = self._known.get(key)
        if known is None:
            self._known[key] = _Autoscaler(spec, _rule(spec), at + self._sync_seconds)
        elif known.spec != spec:
            known.spec = spec
            _follow(known)

    def next_instant(self) -> float | None:
        """The next sync."""
        return min((a.next_sync for a in self._known.values()), default=None)

    def act(self, at: float) -> None:
        """Sync those whose turn it is."""
        for key, autoscaler in list(self._known.items()):
            if autoscaler.next_sync <= at:
                autoscaler.next_sync += self._sync_seconds
                self._sync(key, autoscaler, at)

    def publish(self, at: float) -> None:
        """A status is written with the sync that it tells of."""

    # ---- one sync

    def _sync(self, key: Key, autoscaler: _Autoscaler, at: float) -> None:
        target = self._target(key[0], autoscaler.spec["scaleTargetRef"])
        if target is None:
            able = Condition(
                "AbleToScale", False, "FailedGetScale", "the HPA controller was unable to get the target's scale"
            )
            self._show(key, autoscaler, at, [able])
            return
        if autoscaler.rule is None:
            decision = HpaDecision(target.replicas, None, HpaReason.METRIC_MISSING)
            value = None
        else:
            value = self._value(autoscaler, target, at)
            decision = autoscaler.rule.decide(now=at, current=target.replicas, ready=target.ready, value=value)
        if decision.replicas != target.replicas and not self._rescale(target, decision.replicas):
            return  # gone or refused in this instant: the next sync sees why
        if decision.replicas != target.replicas:
            autoscaler.last_scale = at
        self._show(key, autoscaler, at, _conditions(decision), target=target, decision=decision, value=value)

    def _target(self, namespace: str, reference: Json) -> _Target | None:
        group = reference.get("apiVersion", "").rpartition("/")[0]
        resource = self._registry.any_version(group, reference["kind"])
        if resource is None or resource.scale is None:
            return None
        key = (namespace if resource.namespaced else "", reference["name"])
        stored = self._store.bucket(resource.bucket).get(key)
        if stored is None:
            return None
        scale = scale_of(resource, stored.document())
        seen = scale["status"]["replicas"]
        ready = self._ready(resource.bucket, key)
        return _Target(resource, key, scale["spec"]["replicas"], seen, seen if ready is None else ready)

    def _value(self, autoscaler: _Autoscaler, target: _Target, at: float) -> float | None:
        demand = self._load(target.key[0], target.key[1], at) if self._load is not None else None
        if demand is None or autoscaler.rule is None:
            return None
        if autoscaler.rule.metric.kind in (HpaMetricKind.VALUE, HpaMetricKind.AVERAGE_VALUE):
            return demand
        if not target.ready:
            return None
        per_pod = demand / target.ready
        return 100.0 * per_pod if autoscaler.rule.metric.kind is HpaMetricKind.UTILIZATION else per_pod

    def _rescale(self, target: _Target, replicas: int) -> bool:
        def change(document: Json) -> Json:
            return with_replicas(target.resource, document, {"spec": {"replicas": replicas}})

        try:
            self._writes.update(target.resource, target.key, change, Options(manager=MANAGER), subresource="scale")
        except ApiError:
            return False
        return True

    def _show(
        self,
        key: Key,
        autoscaler: _Autoscaler,
        at: float,
        wanted: list[Condition],
        *,
        target: _Target | None = None,
        decision: HpaDecision | None = None,
        value: float | None = None,
    ) -> None:
        resource = self._registry.find("autoscaling", "v2", "horizontalpodautoscalers")
        if resource is None or self._store.bucket(AUTOSCALERS).get(key) is None:
            return

        def change(document: Json) -> Json:
            before = document.get("status") or {}
            status: Json = {
                "currentReplicas": target.seen if target else before.get("currentReplicas", 0),
                "desiredReplicas": decision.replicas if decision else before.get("desiredReplicas", 0),
                "currentMetrics": _current(autoscaler, value),
                "conditions": conditions(before.get("conditions"), wanted, at),
            }
            if autoscaler.last_scale is not None:
                status["lastScaleTime"] = rfc3339(autoscaler.last_scale)
            document["status"] = status
            return document

        self._writes.update(resource, key, change, Options(manager=MANAGER), subresource="status")


# ---- reading specs


def _rule(spec: Json) -> HpaRule | None:
    metric = _metric(spec)
    if metric is None:
        return None
    return HpaRule(minimum=spec["minReplicas"], maximum=spec["maxReplicas"], metric=metric, behavior=_behavior(spec))


def _follow(autoscaler: _Autoscaler) -> None:
    """Put a changed spec into the rule, which keeps its memory."""
    spec, metric = autoscaler.spec, _metric(autoscaler.spec)
    if autoscaler.rule is None or metric is None:
        autoscaler.rule = _rule(spec)
        return
    autoscaler.rule.minimum, autoscaler.rule.maximum = spec["minReplicas"], spec["maxReplicas"]
    autoscaler.rule.metric, autoscaler.rule.behavior = metric, _behavior(spec)


def _source(spec: Json) -> tuple[str, Json]:
    """(type, its block) of the first metric."""
    metric = spec["metrics"][0]
    kind = str(metric.get("type", ""))
    return kind, metric.get(kind[:1].lower() + kind[1:]) or {}


def _metric(spec: Json) -> HpaMetric | None:
    kind, source = _source(spec)
    target = source.get("target") or {}
    if "averageUtilization" in target:
        of, goal = HpaMetricKind.UTILIZATION, float(target["averageUtilization"])
    elif "averageValue" in target:
        shared = kind in ("External", "Object")
        of, goal = (
            HpaMetricKind.AVERAGE_VALUE if shared else HpaMetricKind.PODS,
            quantity(target["averageValue"]) or 0.0,
        )
    else:
        of, goal = HpaMetricKind.VALUE, quantity(target.get("value")) or 0.0
    return HpaMetric(of, goal) if goal > 0 else None


def _behavior(spec: Json) -> Behavior | None:
    """None without the block: then one step is limited to double (or 4), as in the controller."""
    told = spec.get("behavior")
    if not told:
        return None
    usual = Behavior()
    return Behavior(
        up=_direction(told.get("scaleUp") or {}, usual.up), down=_direction(told.get("scaleDown") or {}, usual.down)
    )


def _direction(told: Json, usual: Direction) -> Direction:
    policies = tuple(
        PodsPolicy(p["value"], p["periodSeconds"])
        if p["type"] == "Pods"
        else PercentPolicy(p["value"], p["periodSeconds"])
        for p in told.get("policies") or ()
    )
    tolerance = quantity(told.get("tolerance"))
    return Direction(
        window=float(told.get("stabilizationWindowSeconds", usual.window)),
        policies=policies or usual.policies,
        select=Select(told.get("selectPolicy", usual.select.value)),
        tolerance=usual.tolerance if tolerance is None else tolerance,
    )


# ---- telling what was decided

_LIMITED = {
    HpaReason.TOO_MANY: "the desired replica count is more than the maximum replica count",
    HpaReason.TOO_FEW: "the desired replica count is less than the minimum replica count",
    HpaReason.UP_LIMIT: "the desired replica count is increasing faster than the maximum scale rate",
    HpaReason.DOWN_LIMIT: "the desired replica count is decreasing faster than the maximum scale rate",
}
_STABILIZED = {HpaReason.UP_STABILIZED, HpaReason.DOWN_STABILIZED}


def _conditions(decision: HpaDecision) -> list[Condition]:
    reason = decision.reason
    if reason is HpaReason.SCALING_DISABLED:
        message = "scaling is disabled since the replica count of the target is zero"
        return [
            Condition(
                "AbleToScale", True, "SucceededGetScale", "the HPA controller was able to get the target's scale"
            ),
            Condition("ScalingActive", False, "ScalingDisabled", message),
        ]
    able = Condition("AbleToScale", True, "ReadyForNewScale", f"recommended size is {decision.replicas}")
    if reason in _STABILIZED:
        able = Condition("AbleToScale", True, reason.value, "recent recommendations hold the size")
    found = [able]
    if reason is HpaReason.METRIC_MISSING:
        found.append(Condition("ScalingActive", False, "FailedGetMetric", "the HPA was unable to read its metric"))
        return found
    if decision.desired_by_metric is not None:
        found.append(
            Condition("ScalingActive", True, "ValidMetricFound", "the HPA was able to compute the replica count")
        )
    if reason in _LIMITED:
        found.append(Condition("ScalingLimited", True, reason.value, _LIMITED[reason]))
    else:
        message = "the desired count is within the acceptable range"
        found.append(Condition("ScalingLimited", False, "DesiredWithinRange", message))
    return found


def _current(autoscaler: _Autoscaler, value: float | None) -> list[Json]:
    """``status.currentMetrics``; empty when the metric was not read."""
    if value is None or autoscaler.rule is None:
        return []
    kind, source = _source(autoscaler.spec)
    measured = f"{round(value * 1000)}m"
    match autoscaler.rule.metric.kind:
        case HpaMetricKind.UTILIZATION:
            current: Json = {"averageUtilization": int(value)}
        case HpaMetricKind.PODS:
            current = {"averageValue": measured}
        case _:
            current = {"value": measured}
    named = {name: part for name, part in source.items() if name != "target"}
    return [{"type": kind, kind[:1].lower() + kind[1:]: {**named, "current": current}}]
