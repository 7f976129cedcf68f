"""What the reactive scaler in front of a workload wishes by itself, and whether a live floor over it adds anything.

A scaler that holds its units at a share ``u`` of what one carries wishes ``1 / u`` of the units that demand takes. A
floor that follows demand matters only where it asks for more: its margin must exceed ``1 / u - 1``. Below that it is
dead weight: written, lent, and without effect.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

MARGIN = 0.2
"""What a floor that follows demand asks for above demand at the most in nine minutes of ten: on the judged half of the
World Cup's group stage, of units that start in 180 s and without a headroom of its own. An HPA at 80 % wishes more than
that floor in 96 % of the time, one at 85 % in 82 %, one at 90 % in 34 %."""
QUICK = 60.0
"""Seconds of a scaler's window on the way down that count as quick."""
ADVISED = 90.0
"""Percent of what a unit carries at which a scaler stands well beneath a live floor (``docs/benchmarks.md``)."""

RESOURCE = frozenset({"Resource", "ContainerResource"})
"""Kinds of metrics that come from the units' own use: full units show no more of it, however much is asked of them."""


@dataclass(frozen=True, slots=True)
class Played:
    """A row of the World Cup in docs/benchmarks.md, judged half, start lag 180 s."""

    name: str
    lost: float
    """Percent of demand that met no ready unit."""
    cost: float
    """Over a plan that knows the demand."""


HPAS = {70.0: Played("hpa-70", 0.002, 1.412), 80.0: Played("hpa-80", 0.067, 1.237)}
OVER_90 = Played("tidegate-live+hpa-90", 0.031, 1.111)
ALONE = Played("tidegate-live", 0.049, 1.080)


@dataclass(frozen=True, slots=True)
class Aim:
    """One metric of a scaler, and what it holds it at."""

    kind: str
    """``Resource``, ``ContainerResource``, ``Pods``, ``Object`` or ``External``."""
    metric: str
    """``cpu``, or the metric's name."""
    percent: float | None = None
    """Of what a unit requests."""
    average: float | None = None
    """Per unit, in the metric's own unit."""


@dataclass(frozen=True, slots=True)
class Aims:
    """All that a scaler holds, and how fast it comes down."""

    metrics: tuple[Aim, ...] = ()
    window: float = 300.0
    """Seconds for which it keeps the largest wish on the way down."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The metric by which a scaler wishes most for the same demand, as far as anybody can tell."""

    aim: Aim
    share: float
    """Of what a unit carries, more than 0."""

    @property
    def more(self) -> float:
        """What it wishes above what demand takes, as a share; what a floor's margin must exceed to matter."""
        return 1.0 / self.share - 1.0

    @property
    def saturates(self) -> bool:
        """Full units show no more of the metric: a scaler that waits for them to be full never moves."""
        return self.aim.kind in RESOURCE

    def units(self, needed: float) -> int:
        """What it wishes where demand takes so many units."""
        return math.ceil(needed / self.share - 1e-9)


def wish(aims: Aims | None, capacity: Iterable[tuple[str, float]]) -> Wish | None:
    """What a scaler wishes at least; None where nothing that it holds can be held against ``capacity`` (signal, what
    one unit carries). Of CPU the share of the request is taken for the share of what a unit carries; another metric
    counts where it bears a signal's name, and so its unit.
    """
    carried, found = dict(capacity), list[Wish]()
    for aim in aims.metrics if aims is not None else ():
        if aim.kind in RESOURCE and aim.metric == "cpu" and aim.percent is not None:
            found.append(Wish(aim, aim.percent / 100.0))
        elif aim.kind not in RESOURCE and aim.average is not None and aim.metric in carried:
            found.append(Wish(aim, aim.average / carried[aim.metric]))
    return min((one for one in found if one.share > 0.0), key=lambda one: one.share, default=None)


def is_dead_weight(held: Wish, *, headroom: float, margin: float = MARGIN) -> bool:
    """Whether a live floor lies below what the scaler wishes anyway, nearly all of the time. ``margin``: what it asks
    for above demand, as a share.
    """
    return (1.0 + headroom) * (1.0 + margin) * held.share < 1.0


def said(held: Wish, scaler: str) -> str:
    """What the scaler does by itself, with the smallest floor that matters over it."""
    wishes = held.units(100)
    at = f"{100.0 * held.share:.3g} % of {'its request' if held.saturates else 'what a unit carries'}"
    return (
        f"{scaler} holds {held.aim.metric} at {at}: where demand takes 100 units it wishes {wishes} by itself, and"
        f" {wishes + 1} is the smallest floor that matters"
    )


def advice(held: Wish, capacity: Iterable[tuple[str, float]]) -> str:
    """What would be better than a live floor that is dead weight, and what that brought on the World Cup."""
    if held.saturates:
        first = (
            f"let it scale on a metric that goes on growing when units are full (Pods, Object or External, never"
            f" {held.aim.metric} at 100 %), at {ADVISED:g} % of what a unit carries"
        )
    else:
        average = dict(capacity)[held.aim.metric] * ADVISED / 100.0
        first = f"raise its averageValue to {average:.6g}, which is {ADVISED:g} % of what a unit carries"
    nearest = min(HPAS, key=lambda percent: abs(percent - 100.0 * held.share))
    plain = HPAS[nearest]
    return (
        f"{first}, with scaleDown.stabilizationWindowSeconds {QUICK:g}; or leave live out. On the World Cup an HPA at"
        f" {nearest:g} % lost {plain.lost:g} % at {plain.cost:g} times the least cost, live over one at {ADVISED:g} %"
        f" {OVER_90.lost:g} % at {OVER_90.cost:g}, live without one {ALONE.lost:g} % at {ALONE.cost:g}"
    )
