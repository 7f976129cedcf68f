"""The HPA that the backtest plays against asks for what the real controller asks for, on the same series of the metric.

Played with the other scenarios, in a namespace of its own; see ``test_cluster_scenarios``. Run with ``-s`` to see both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import autoscalers as play
import numpy as np
import pytest
from autoscalers import KINDS, SECONDS, demand_at, timetable_at
from harness import Json
from recorder import Version
from scene import Scene
from stage import of, on_a_cluster

from tidegate.backtest.case import Case, Physics
from tidegate.backtest.contest import Moment
from tidegate.backtest.contest import play as played
from tidegate.backtest.rivals import Reactive
from tidegate.backtest.series import ANCHOR, Grid
from tidegate.simulation.hpa import SYNC_SECONDS

pytestmark = on_a_cluster

LATE, DRIFT = 1.0, 0.01
"""Seconds by which we may hear of a write after it was made; and by which, a second, the controller's syncs come later
than every 15 s: it waits for that long after the end of each.
"""


WINDOW = 60.0
"""Seconds of the longest window and period that a kind has, but for the stock one of five minutes."""


@dataclass(frozen=True)
class Sync:
    """One sync of the real controller, as it shows in the HPA's status."""

    at: float
    """Seconds from the begin of the series."""
    current: int
    desired: int
    minimum: int
    demand: float | None
    timetable: float | None


def syncs_of(versions: list[Version], begin: float) -> list[Sync]:
    """All syncs that changed the status. Most do, since the metric differs a little each time; one that does not has
    read what the one before it has, to a thousandth of a unit's share.
    """
    found: list[Sync] = []
    before: Json | None = None
    for at, _, obj in versions:
        status = (obj or {}).get("status", {})
        if obj is not None and status != before and status.get("currentReplicas") and at > begin - SYNC_SECONDS:
            found.append(_sync(at - begin, obj, status))
        before = status
    return found


def _sync(at: float, obj: Json, status: Json) -> Sync:
    read: dict[str, float] = {}
    for one in status.get("currentMetrics") or ():
        if external := one.get("external"):
            read[external["metric"]["name"]] = _number(external["current"]["averageValue"])
    current = int(status["currentReplicas"])
    demand, wanted = read.get(play.DEMAND), read.get(play.TIMETABLE)
    return Sync(
        at,
        current,
        int(status["desiredReplicas"]),
        int(obj["spec"]["minReplicas"]),
        None if demand is None else _said(demand_at, demand * current, at),
        None if wanted is None else _said(timetable_at, wanted * current, at),
    )


def _said(levels, about: float, at: float) -> float:  # type: ignore[no-untyped-def]
    """Which value was read: status gives a unit's share, cut to a thousandth. Now's, or that of the slot before."""
    near = [levels(max(0.0, one)) for one in (at, at - play.SLOT)]
    return min((value for value in near if not math.isnan(value)), key=lambda value: abs(value - about))


def _number(quantity: str) -> float:
    return float(quantity[:-1]) / 1000.0 if quantity.endswith("m") else float(quantity)


def case_of(values: list[float], step: float) -> Case:
    """A case whose metric is neither late nor smoothed."""
    grid = Grid(ANCHOR, step, np.array(values))
    return Case("hpa", grid, 1.0, physics=Physics(lag=20.0, metric_age=0.0, metric_window=step, maximum=play.HIGHEST))


def contestant(case: Case, name: str, floor: list[float], timetable: list[float]) -> Reactive:
    """The backtest's HPA of a kind."""
    kind = KINDS[name]
    return Reactive(
        case,
        name,
        target_percent=play.PERCENT,
        behavior=kind.behavior,
        floor=np.array(floor),
        metric=np.array(timetable) if kind.timetable else None,
    )


def ours_at(syncs: list[Sync], name: str, *, pace: float = 1.0) -> list[int]:
    """What the model asks for at the controller's own syncs, from where it stands itself, on a clock of that pace."""
    case = case_of([math.nan if one.demand is None else one.demand for one in syncs], SYNC_SECONDS)
    times = [math.nan if one.timetable is None else one.timetable for one in syncs]
    model = contestant(case, name, [float(one.minimum) for one in syncs], times)
    found, stands = [], play.AT_REST
    for step, one in enumerate(syncs):
        stands = model.want(Moment(step, ANCHOR + pace * one.at, one.demand, stands, stands))
        found.append(stands)
    return found


def ours_by_itself(name: str, phase: int) -> list[int]:
    """What the backtest plays at each second of the series, with syncs at a phase of their own."""
    seconds = [max(0, second - phase) for second in range(SECONDS + phase)]
    minimums = KINDS[name].minimums
    floor = [float(next(level for at, level in reversed(minimums) if second >= at)) for second in seconds]
    case = case_of([demand_at(second + 1) for second in seconds], 1.0)  # a step sees what was there up to it
    model = contestant(case, name, floor, [timetable_at(second) for second in seconds])
    return [int(count) for count in played(case, model).billed[phase:]]


@of(play.driven)
@pytest.mark.parametrize("name", KINDS)
def test_at_each_sync_the_model_asks_for_what_the_real_controller_asks_for_within_one_sync(
    scene: Scene, name: str
) -> None:
    found = syncs_of(scene.recorder.versions("HorizontalPodAutoscaler", scene.ns, name), scene.t0)
    theirs, ours = [one.desired for one in found], ours_at(found, name)
    print(f"\n{name}: {theirs}")  # noqa: T201
    assert len(found) >= 8, f"{found}"
    # Windows and periods end in the middle of a sync, and we hear of each one up to ``LATE`` after it: where the model
    # on a clock that is a little faster or slower asks for something else, either may be right.
    near = [ours_at(found, name, pace=pace) for pace in (1.0 - LATE / WINDOW, 1.0 + LATE / WINDOW)]
    told = [
        f"{a.at:+.1f} s: {a.desired}, and we {sorted(set(may))} ({a})"
        for a, *may in zip(found, ours, *near, strict=True)
        if a.desired not in may
    ]
    scene.claim(not told, f"{name}: {told}", name)


@pytest.mark.long  # it holds two clocks together by the second: a loaded machine would fail it
@of(play.driven)
@pytest.mark.parametrize("name", KINDS)
def test_what_the_backtest_plays_is_never_more_than_one_sync_away(scene: Scene, name: str) -> None:
    """Whatever the phase of its syncs: between the least and the most that any of them has within a sync's time."""
    plays = np.array([ours_by_itself(name, phase) for phase in range(round(SYNC_SECONDS))])
    least, most = plays.min(axis=0), plays.max(axis=0)
    replicas = scene.replicas(name)
    off = []
    for second in range(SECONDS):
        reach = math.ceil(LATE + DRIFT * second)
        near, real = slice(max(0, second - reach), second + reach + 1), replicas.at(scene.t0 + second)
        if not least[near].min() <= (real or 0) <= most[near].max():
            off.append(f"{second} s: {real}, and we {least[near].min()} to {most[near].max()}")
    scene.claim(not off, f"{name}: {off}", name)


@of(play.driven)
def test_the_series_makes_each_kind_act_otherwise(scene: Scene) -> None:
    """Else the two claims above would say little: each window, limit, floor and timetable is seen to matter."""
    seen = {name: scene.replicas(name) for name in KINDS}
    most = {name: max(series.values) for name, series in seen.items()}
    rose = {name: series.first(lambda count: count >= 20) for name, series in seen.items()}
    fell = {name: series.first(lambda count: count < 40, since=scene.t0 + 75.0) for name, series in seen.items()}
    told = f"{most}, rose {rose}, fell {fell}"
    assert all(rose.values()), told
    assert all(fell.values()), told
    scene.claim(most["limited"] <= 40 < 70 <= most["quick"] < 90 <= most["cron"], told)
    scene.claim(rose["careful"][0] - rose["quick"][0] > 10.0, told)  # type: ignore[index]
    scene.claim(fell["stock"][0] - fell["quick"][0] > 150.0, told)  # type: ignore[index]
    scene.claim(60 in seen["floored"].values and 60 not in seen["quick"].values, told)
