"""What the evening came to: all contestants on the same evening, and what Tidegate decided and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.demo.recording import Decision
from tidegate.simulation.scenario import Scenario
from tidegate.simulation.score import Run, Score, score

CONTESTANTS: Mapping[str, str] = {
    "tidegate": "Tidegate",
    "human": "a person, T-15 min",
    "keda_cron": "KEDA cron",
    "always_on": "always-on peak",
    "hpa70": "HPA 70 %",
    "hpa80": "HPA 80 %",
    "hpa80_quick": "HPA 80 %, quick",
}
DRAWN = ("tidegate", "hpa70", "hpa80")
"""Those that are drawn."""


@dataclass(frozen=True)
class EveningResult:
    """Everything that is shown."""

    scenario: Scenario
    runs: Mapping[str, Run]
    """By the keys of ``CONTESTANTS``."""
    scores: Mapping[str, Score]
    decisions: Sequence[Decision]
    notes: Sequence[str]
    """How it was made: clock, metric, rates."""
    returned: bool
    """Whether Tidegate gave back everything that it borrowed."""
    announced: float = 1.0
    """How much was announced, of what came."""

    def to_json(self) -> dict[str, dict[str, Any]]:
        """The figures by contestant."""
        figures = {name: _figures(self.scores[name]) for name in CONTESTANTS}
        figures["tidegate"]["returned"] = self.returned
        figures["tidegate"]["announced"] = self.announced
        return figures


def judge(
    scenario: Scenario,
    runs: Mapping[str, Run],
    decisions: Sequence[Decision],
    notes: Sequence[str],
    *,
    returned: bool,
    announced: float = 1.0,
) -> EveningResult:
    """Score all contestants."""
    scores = {name: score(scenario, run) for name, run in runs.items()}
    return EveningResult(scenario, runs, scores, decisions, notes, returned, announced)


def _figures(found: Score) -> dict[str, Any]:
    return {
        "lost_demand_percent": round(found.lost_percent, 4),
        "lost_first_96s_percent": round(found.lost_in["first_96s"], 4),
        "lost_first_10min_percent": round(found.lost_in["first_10min"], 4),
        "lost_at_link_percent": round(found.lost_in["at_link"], 4),
        "cost_ratio": round(found.cost_ratio, 4),
        "ready_before_t0_seconds": found.ready_before_seconds,
        "writes": found.writes,
    }
