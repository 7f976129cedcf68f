"""The ways in which Tidegate can be set up: what plugs into the backtest where its policies differ.

A variant is the part of a ScalingPolicy that the planner reads, with what stands beneath it. To try another rule of the
planner, give the policy the field that asks for it and add a variant here: everything else, the loop included, stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tidegate.backtest.rivals import QUICK_DOWN
from tidegate.planning.model import Live, Policy, Release
from tidegate.simulation.hpa import DEFAULT, Behavior

DEFAULT_RELEASE = Release()
"""As a ScalingPolicy has it that says nothing."""


@dataclass(frozen=True)
class Variant:
    """One set-up of Tidegate."""

    name: str
    says: str
    headrooms: tuple[float, ...]
    """Swept; the first one is the one that is meant."""
    release: Release = DEFAULT_RELEASE
    quantile: float = 0.95
    beneath: float | None = None
    """Target of the HPA beneath, in percent; None: Tidegate alone moves the workload."""
    behavior: Behavior | None = DEFAULT
    live: Live | None = None
    """A floor that follows measured demand by what was learned of its growth."""
    policy: Policy | None = None
    """A policy that somebody gave: its release, quantile and limits count instead of those above."""

    @property
    def played_as(self) -> str:
        """Its name in the table of results."""
        return self.name if self.beneath is None else f"{self.name}+hpa-{self.beneath:g}"

    @property
    def follows(self) -> bool:
        """Whether its floor follows measured demand, by what was learned of it."""
        return (self.live if self.policy is None else self.policy.live) is not None


AS_IT_COMES = Variant("tidegate", "the defaults of a ScalingPolicy", (0.2, 0.0, 0.05, 0.1, 0.3))
OVER_HPA = Variant("tidegate", "the defaults, over an HPA at 90 %", (0.2, 0.0, 0.05, 0.1, 0.3), beneath=90.0)
PRESET = Variant(
    "tidegate-preset",
    "the preset of a flash sale (hold 30 s, a whole step down a minute), over an HPA at 90 % with a quick way down",
    (0.04, 0.0, 0.1, 0.2),
    release=Release(hold=30.0, step_per_minute=1.0),
    beneath=90.0,
    behavior=QUICK_DOWN,
)
PRESET_ALONE = Variant(
    "tidegate-preset",
    "the preset of a flash sale, alone on the workload",
    (0.04, 0.0, 0.1, 0.2),
    release=Release(hold=30.0, step_per_minute=1.0),
)

LIVE_ALONE = Variant(
    "tidegate-live",
    "a floor that follows demand by its learned growth (live), announced steps on top, alone on the workload",
    (0.0, 0.02, 0.05, 0.1),
    release=Release(hold=30.0, step_per_minute=1.0),
    live=Live(),
)
LIVE = replace(
    LIVE_ALONE,
    says="the same over an HPA at 90 % with a quick way down",
    beneath=90.0,
    behavior=QUICK_DOWN,
)

VARIANTS = (AS_IT_COMES, OVER_HPA, PRESET_ALONE, PRESET, LIVE_ALONE, LIVE)
"""All that a backtest plays by default."""
