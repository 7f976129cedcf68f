"""What is noted while the demonstration is played: filled by the stage, read by what shows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tidegate.simulation.physics import WorkloadView
from tidegate.simulation.score import Tracker


@dataclass(frozen=True, slots=True)
class Decision:
    """One floor as the cluster saw it written."""

    at: float
    service: str
    before: int
    after: int
    why: str


@dataclass
class Move:
    """A floor that was written, and what the operator says about it as soon as it does."""

    at: float
    service: str
    before: int
    after: int
    why: str = ""


@dataclass
class Recording:
    """Filled in the cluster's thread; others only read."""

    trackers: dict[str, Tracker]
    moves: list[Move] = field(default_factory=list)
    floors: dict[str, int] = field(default_factory=dict)
    loans: set[str] = field(default_factory=set)
    """Names of the Loans that are there."""
    views: dict[str, WorkloadView] = field(default_factory=dict)
    verdicts: list[tuple[float, str, str]] = field(default_factory=list)
    """(when, LiveEvent, its verdict) at each change of outcome."""
    policy_ready: bool = False
    next_step: str = ""
    write_requests: int = 0

    def decisions(self) -> list[Decision]:
        """Every floor so far, with the reason that the operator gave."""
        return [Decision(m.at, m.service, m.before, m.after, m.why) for m in list(self.moves)]
