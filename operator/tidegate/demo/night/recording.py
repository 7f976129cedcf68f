"""What is noted of the night besides: who holds machines, what was promised, what work was done."""

from __future__ import annotations

from dataclasses import dataclass, field

from tidegate.demo.night import demand as night
from tidegate.demo.night.objects import WAREHOUSE
from tidegate.demo.objects import NAMESPACE
from tidegate.demo.recording import Recording
from tidegate.simulation.lanes import LaneTrack, Oversold, Waiting
from tidegate.simulation.promises import PromiseBook


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that was done to a piece of data work."""

    at: float
    what: str
    """told, stopped, started, or running again."""
    member: str
    """A Job's name, or the loader."""
    units: int


@dataclass
class NightRecording(Recording):
    """Filled in the cluster's thread; others only read."""

    lanes: LaneTrack = field(default_factory=LaneTrack)
    promises: PromiseBook = field(default_factory=PromiseBook)
    oversold: Oversold = field(default_factory=Oversold)
    waiting: dict[str, Waiting] = field(default_factory=lambda: {NAMESPACE: Waiting(), WAREHOUSE: Waiting()})
    """Pods that wait for a machine, by namespace."""
    happenings: list[Happening] = field(default_factory=list)
    work_done: dict[str, float] = field(default_factory=dict)
    """Unit-seconds by member."""
    work_lost: float = 0.0
    """Unit-seconds that were done and thrown away by a stop."""
    jobs_done: dict[str, float] = field(default_factory=dict)
    """When each Job was complete."""
    loader_done_at: float | None = None
    pool_summary: str = ""

    @property
    def data_done_at(self) -> float | None:
        """When all data work was done; None while it is not."""
        if self.loader_done_at is None or len(self.jobs_done) < night.JOBS:
            return None
        return max(self.loader_done_at, *self.jobs_done.values())

    @property
    def level_writes(self) -> int:
        """Floors of trading and levels of data work, as they were written."""
        return len(self.moves) + sum(h.what in ("stopped", "started") for h in self.happenings)
