"""What a backtest came to: rows, the frontier, and whether it keeps the bounds that somebody set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.backtest.case import Case
from tidegate.backtest.contest import Score, Track

HEAD = ("policy", "setting", "lost %", "lost in events %", "cost", "cost (free)", "short s", "writes", "frontier")
"""Headings of the table."""
EXPLAINED = (
    "lost: demand that met no ready unit. cost: units paid for, over those of a plan that knows the demand and has the"
    " same start lag; (free): over the whole units of the demand. short: seconds with more demand than ready units"
    " carry. setting: headroom of Tidegate, the timetables and always-on; 1/target - 1 of the HPA; share of the peak"
    " that hpa-static keeps; quantile of periodic. frontier: nobody here loses less for as little, or costs less for as"
    " small a loss."
)


@dataclass(frozen=True)
class Outcome:
    """All plays of one case."""

    case: Case
    scores: tuple[Score, ...]
    tracks: tuple[Track, ...]
    """In the order of the scores."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A bound that was not kept."""

    policy: str
    what: str
    value: float
    bound: float

    def __str__(self) -> str:
        return f"{self.policy}: {self.what} is {self.value:.3f}, above {self.bound:g}"


def on_frontier(scores: Sequence[Score]) -> list[bool]:
    """For each score whether no other one is at least as good in loss and cost, and better in one of them."""

    def beats(one: Score, other: Score) -> bool:
        pair, against = (one.lost_percent, one.cost_ratio), (other.lost_percent, other.cost_ratio)
        return pair[0] <= against[0] and pair[1] <= against[1] and pair != against

    return [not any(beats(other, one) for other in scores) for one in scores]


def rows(scores: Sequence[Score]) -> list[list[str]]:
    """The table's rows as texts."""
    return [
        [
            one.policy,
            "" if one.headroom is None else f"{one.headroom:.2f}",
            f"{one.lost_percent:.3f}",
            f"{one.lost_in_windows_percent:.3f}",
            f"{one.cost_ratio:.3f}",
            f"{one.free_cost_ratio:.3f}",
            f"{one.underprovisioned_seconds:.0f}",
            str(one.writes),
            "*" if best else "",
        ]
        for one, best in zip(scores, on_frontier(scores), strict=True)
    ]


def lines(scores: Sequence[Score]) -> list[str]:
    """The table as lines of even columns."""
    table = [list(HEAD), *rows(scores)]
    widths = [max(len(row[place]) for row in table) for place in range(len(HEAD))]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def figures(outcome: Outcome) -> dict[str, Any]:
    """The result for programs."""
    case = outcome.case
    return {
        "trace": case.name,
        "lag_seconds": case.physics.lag,
        "perturbation": case.perturbation,
        "capacity": case.capacity,
        "background_units": case.background,
        "notes": list(case.notes),
        "policies": [
            {
                **row_of(case, one),
                "free_cost_ratio": one.free_cost_ratio,
                "writes": one.writes,
                "frontier": best,
                "events": [
                    {
                        "name": event.name,
                        "start": event.start,
                        "lost_demand_percent": event.lost_percent,
                        "cost_ratio": event.cost_ratio,
                        "lost_in_first_96_s_percent": event.lost_at_first_percent,
                        "lost_in_first_10_min_percent": event.lost_soon_percent,
                    }
                    for event in one.events
                ],
            }
            for one, best in zip(outcome.scores, on_frontier(outcome.scores), strict=True)
        ],
    }


def row_of(case: Case, one: Score) -> dict[str, Any]:
    """One row of a suite."""
    return {
        "trace": case.name,
        "lag_seconds": case.physics.lag,
        "policy": one.policy,
        "headroom": one.headroom,
        "lost_demand_percent": one.lost_percent,
        "cost_ratio": one.cost_ratio,
        "lost_in_event_windows_percent": one.lost_in_windows_percent,
        "underprovisioned_seconds": one.underprovisioned_seconds,
        "perturbation": case.perturbation,
        "learned_from": list(one.learned_from),
    }


def learned(scores: Iterable[Score]) -> list[str]:
    """A sentence for those who had learned from something before the play."""
    told: dict[tuple[str, ...], list[str]] = {}
    for one in scores:
        told.setdefault(one.learned_from, []).append(one.policy)
    return [
        f"{' and '.join(dict.fromkeys(names))} had learned from: {', '.join(traces)}."
        for traces, names in told.items()
        if traces
    ]


def breaches(
    scores: Iterable[Score], policies: frozenset[str], *, lost: float | None, cost: float | None
) -> list[Breach]:
    """The bounds that some policy does not keep. A policy that was swept keeps a bound with one of its settings.

    Of several settings the one is judged that keeps both bounds, else the one with the least loss.
    """
    found: list[Breach] = []
    scored = list(scores)
    for policy in sorted(policies):
        own = [one for one in scored if one.policy == policy]
        if not own:
            raise ValueError(f"{policy} was not played: a bound on it cannot be kept")
        options = [_broken(one, lost, cost) for one in sorted(own, key=lambda one: one.lost_percent)]
        fewest = min(options, key=lambda broken: len(broken))
        found += fewest
    return found


def _broken(one: Score, lost: float | None, cost: float | None) -> list[Breach]:
    broken = []
    if lost is not None and one.lost_percent > lost:
        broken.append(Breach(one.policy, "lost demand in percent", one.lost_percent, lost))
    if cost is not None and one.cost_ratio > cost:
        broken.append(Breach(one.policy, "cost ratio", one.cost_ratio, cost))
    return broken
