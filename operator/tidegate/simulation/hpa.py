"""The rule by which a HorizontalPodAutoscaler decides, as kube-controller-manager 1.33 and later carries it out.

Used by the embedded API and by the baselines of the demo and the backtest. The order is the controller's own: a scale
of 0 switches the autoscaler off; above the maximum and below the minimum the bound is taken in one step, without
metric, tolerance, window or limits; only between them does the metric speak, then the stabilisation window, then the
limits of ``behavior``. The window remembers what the *metric* asked for, before minimum and maximum: that is why a
lifted floor falls to the metric's number in one sync. Sources: ``pkg/controller/podautoscaler/horizontal.go`` and
``replica_calculator.go`` of kubernetes/kubernetes.

Left out: several metrics at once, and telling starting pods from ones without a sample (every pod that is not ready
counts as *unready*).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

SYNC_SECONDS = 15.0
"""``--horizontal-pod-autoscaler-sync-period``, stock value."""

TOLERANCE = 0.1
"""``--horizontal-pod-autoscaler-tolerance``, stock value."""

DOWN_WINDOW_SECONDS = 300.0
"""``--horizontal-pod-autoscaler-downscale-stabilization``, stock value."""


class HpaMetricKind(Enum):
    """How a metric's value is compared with its target."""

    UTILIZATION = "Utilization"
    """Resource metric in percent of the request, mean over pods; cut to a whole percent as the controller does."""
    PODS = "Pods"
    """Mean over ready pods of some metric of each pod."""
    VALUE = "Value"
    """One number for the whole (Object and External metrics)."""
    AVERAGE_VALUE = "AverageValue"
    """One number for the whole, to be shared among the pods (Object and External metrics)."""


@dataclass(frozen=True, slots=True)
class HpaMetric:
    """One metric of the spec: its kind and its target, in the unit of the value handed to ``decide``."""

    kind: HpaMetricKind
    target: float

    def __post_init__(self) -> None:
        if not self.target > 0:
            raise ValueError("the target of a metric must be above 0")


class Select(Enum):
    """Which of several policies counts: the one that allows the most change, the least, or none at all."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True)
class PodsPolicy:
    """At most ``pods`` more (or fewer) within ``period`` seconds."""

    pods: int
    period: float


@dataclass(frozen=True, slots=True)
class PercentPolicy:
    """At most ``percent`` more (or fewer) within ``period`` seconds."""

    percent: int
    period: float


@dataclass(frozen=True, slots=True)
class Direction:
    """One half of ``behavior``."""

    window: float
    policies: tuple[PodsPolicy | PercentPolicy, ...]
    select: Select = Select.MAX
    tolerance: float = TOLERANCE


@dataclass(frozen=True, slots=True)
class Behavior:
    """``spec.behavior`` with its defaults filled in."""

    up: Direction = Direction(window=0.0, policies=(PodsPolicy(4, 15.0), PercentPolicy(100, 15.0)))
    down: Direction = Direction(window=DOWN_WINDOW_SECONDS, policies=(PercentPolicy(100, 15.0),))


DEFAULT = Behavior()


class HpaReason(Enum):
    """Why it is that number; the words of the AbleToScale and ScalingLimited conditions where there are any."""

    SCALING_DISABLED = "ScalingDisabled"
    TOO_MANY = "TooManyReplicas"
    TOO_FEW = "TooFewReplicas"
    METRIC_MISSING = "FailedGetMetric"
    WITHIN_TOLERANCE = "WithinTolerance"
    UP_STABILIZED = "ScaleUpStabilized"
    DOWN_STABILIZED = "ScaleDownStabilized"
    UP_LIMIT = "ScaleUpLimit"
    DOWN_LIMIT = "ScaleDownLimit"
    DESIRED = "DesiredWithinRange"


@dataclass(frozen=True, slots=True)
class HpaDecision:
    """What one sync decided."""

    replicas: int
    desired_by_metric: int | None
    """Before window, limits, minimum and maximum; None when no metric was asked or it gave nothing."""
    reason: HpaReason


def whole(units: float) -> int:
    """Rounded up to whole units. The controller divides whole thousandths, where 62.4 by 0.8 is 78 and not a bit more:
    what is above a number by no more than sums of floats are wrong by is that number.
    """
    return math.ceil(units - 1e-9 * max(1.0, abs(units)))


class HpaRule:
    """One autoscaler with its memory.

    ``minimum``, ``maximum``, ``metric`` and ``behavior`` may be changed between syncs, as the object's spec may.
    ``behavior=None`` is an object without that block: one step reaches at most ``max(2 x current, 4)``, and of the
    windows only the one down is kept.
    """

    def __init__(self, *, minimum: int, maximum: int, metric: HpaMetric, behavior: Behavior | None = DEFAULT) -> None:
        self.minimum = minimum
        self.maximum = maximum
        self.metric = metric
        self.behavior = behavior
        self._recommended: list[tuple[float, int]] = []
        """(instant, what the metric asked for)."""
        self._steps: list[tuple[float, int]] = []
        """(instant, replicas added; removed if below 0)."""

    def decide(self, *, now: float, current: int, ready: int, value: float | None) -> HpaDecision:
        """One sync.

        ``current`` is the scale's ``spec.replicas``, ``ready`` the pods that are ready, ``value`` the metric (None, or
        not finite: it could not be read). The caller is expected to carry the decision out: it is remembered.
        """
        decision = self._decide(now=now, current=current, ready=ready, value=value)
        if decision.replicas != current:
            self._steps.append((now, decision.replicas - current))
        return decision

    def _decide(self, *, now: float, current: int, ready: int, value: float | None) -> HpaDecision:
        if not self._recommended:
            self._recommended.append((now, current))
        if current == 0 and self.minimum != 0:
            return HpaDecision(0, None, HpaReason.SCALING_DISABLED)
        if current > self.maximum:
            return HpaDecision(self.maximum, None, HpaReason.TOO_MANY)
        if current < self.minimum:
            return HpaDecision(self.minimum, None, HpaReason.TOO_FEW)
        if value is None or not math.isfinite(value):
            return HpaDecision(current, None, HpaReason.METRIC_MISSING)
        desired = self._desired(current, ready, value)
        stable, stabilized = self._stabilise(now, current, desired)
        limited, limit = self._limit(now, current, stable)
        return HpaDecision(limited, desired, limit or stabilized or _plain_reason(current, desired))

    # ---- the metric

    def _desired(self, current: int, ready: int, value: float) -> int:
        target = self.metric.target
        if self.metric.kind is HpaMetricKind.VALUE:
            ratio = value / target
            if current == 0:
                return whole(ratio)
            return current if self._tolerated(ratio) else whole(ratio * ready)
        if self.metric.kind is HpaMetricKind.AVERAGE_VALUE:
            ratio = value / (target * current) if current else math.inf
            return current if self._tolerated(ratio) else whole(value / target)
        mean = float(int(value)) if self.metric.kind is HpaMetricKind.UTILIZATION else value
        return self._desired_per_pod(current, ready, mean / target)

    def _desired_per_pod(self, current: int, ready: int, ratio: float) -> int:
        """Resource and Pods metrics: pods that are not ready are taken to use nothing before anything is added."""
        if ready >= current or ratio <= 1:
            return current if self._tolerated(ratio) else whole(ratio * ready)
        filled = ratio * ready / current
        if self._tolerated(filled) or filled < 1:
            return current
        return max(current, whole(filled * current))

    def _tolerated(self, ratio: float) -> bool:
        down = self.behavior.down.tolerance if self.behavior else TOLERANCE
        up = self.behavior.up.tolerance if self.behavior else TOLERANCE
        return 1.0 - down <= ratio <= 1.0 + up

    # ---- the window

    def _stabilise(self, now: float, current: int, desired: int) -> tuple[int, HpaReason | None]:
        up_window = self.behavior.up.window if self.behavior else 0.0
        down_window = self.behavior.down.window if self.behavior else DOWN_WINDOW_SECONDS
        least = min([desired, *(n for at, n in self._recommended if at > now - up_window)])
        most = max([desired, *(n for at, n in self._recommended if at > now - down_window)])
        stable = min(max(current, least), most)
        self._recommended.append((now, desired))
        keep = max(up_window, down_window)
        self._recommended = [(at, n) for at, n in self._recommended if at > now - keep] or [(now, desired)]
        if stable < desired:
            return stable, HpaReason.UP_STABILIZED
        if stable > desired:
            return stable, HpaReason.DOWN_STABILIZED
        return stable, None

    # ---- the limits

    def _limit(self, now: float, current: int, wanted: int) -> tuple[int, HpaReason | None]:
        if wanted > current:
            ceiling = max(current, self._up_limit(now, current))
            if wanted > min(ceiling, self.maximum):
                too_many = self.maximum <= ceiling
                return min(ceiling, self.maximum), HpaReason.TOO_MANY if too_many else HpaReason.UP_LIMIT
        elif wanted < current:
            bottom = min(current, self._down_limit(now, current))
            if wanted < max(bottom, self.minimum):
                too_few = self.minimum >= bottom
                return max(bottom, self.minimum), HpaReason.TOO_FEW if too_few else HpaReason.DOWN_LIMIT
        return wanted, None

    def _up_limit(self, now: float, current: int) -> int:
        if self.behavior is None:
            return max(2 * current, 4)
        self._forget_steps(now)
        return _pick(
            self.behavior.up,
            current,
            most_change=max,
            pods=lambda policy: self._start(now, current, policy.period) + policy.pods,
            percent=lambda policy: math.ceil(self._start(now, current, policy.period) * (100 + policy.percent) / 100),
        )

    def _down_limit(self, now: float, current: int) -> int:
        if self.behavior is None:
            return self.minimum
        self._forget_steps(now)
        return _pick(
            self.behavior.down,
            current,
            most_change=min,
            pods=lambda policy: self._start(now, current, policy.period) - policy.pods,
            percent=lambda policy: int(self._start(now, current, policy.period) * (100 - policy.percent) / 100),
        )

    def _start(self, now: float, current: int, period: float) -> int:
        """Replicas at the start of the period: what was added since then does not count twice."""
        return current - sum(change for at, change in self._steps if at > now - period)

    def _forget_steps(self, now: float) -> None:
        if self.behavior is None:
            return
        policies: Iterable[PodsPolicy | PercentPolicy] = self.behavior.up.policies + self.behavior.down.policies
        longest = max((policy.period for policy in policies), default=0.0)
        self._steps = [(at, change) for at, change in self._steps if at > now - longest]


def _pick(
    direction: Direction,
    current: int,
    *,
    most_change: Callable[[list[int]], int],
    pods: Callable[[PodsPolicy], int],
    percent: Callable[[PercentPolicy], int],
) -> int:
    if direction.select is Select.DISABLED or not direction.policies:
        return current
    limits = [pods(p) if isinstance(p, PodsPolicy) else percent(p) for p in direction.policies]
    if direction.select is Select.MAX:
        return most_change(limits)
    return min(limits) if most_change is max else max(limits)


def _plain_reason(current: int, desired: int) -> HpaReason:
    return HpaReason.WITHIN_TOLERANCE if desired == current else HpaReason.DESIRED
