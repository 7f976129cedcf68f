"""What the night came to: measured on the cluster; and beside it, computed, what it costs without lending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tidegate.demo.night import demand as night
from tidegate.demo.night.objects import LOADER, NIGHTLY
from tidegate.demo.night.recording import NightRecording
from tidegate.demo.objects import NAMESPACE
from tidegate.demo.recording import Decision
from tidegate.simulation.scenario import Scenario
from tidegate.simulation.score import Run, lost_percent, ready_before
from tidegate.simulation.splits import Night, Split, TwoClusters

HOURS = (night.LAST - night.BEGIN) / 3600.0
"""Of the night, from 23:00 to 06:00: for so long every machine is paid for."""


@dataclass(frozen=True)
class NightResult:
    """Everything that is shown. The recording has come to its end."""

    scenario: Scenario
    recording: NightRecording
    run: Run
    decisions: Sequence[Decision]
    notes: Sequence[str] = ()
    """How it was made."""

    # ---- trading

    def lost(self, begin: float = night.BEGIN, end: float = night.END) -> float:
        """Percent of trading's demand that met no ready pod."""
        return lost_percent(self.scenario, self.run, self.scenario.services, begin, end)

    @cached_property
    def ready_before(self) -> float:
        """Seconds before T-0 from which on the last of trading's services stood ready for its peak."""
        return min(ready_before(self.scenario, self.run, rise) for rise in self.scenario.rises)

    # ---- data

    @property
    def work_done(self) -> float:
        """Unit-seconds that stand."""
        return sum(self.recording.work_done[member] for member in (NIGHTLY, LOADER))

    @property
    def deadline_met(self) -> bool:
        """Whether all data work was done by its deadline."""
        done = self.recording.data_done_at
        return done is not None and done <= night.DEADLINE

    @property
    def last_back(self) -> float | None:
        """When the last unit ran again."""
        return max((one.at for one in self.recording.promises.back), default=None)

    @property
    def promised(self) -> tuple[float, float] | None:
        """The first and the last instant that was promised."""
        book = self.recording.promises
        times = [one.promised for one in book.back] + [at for _, at in book.still_out]
        return (min(times), max(times)) if times else None

    # ---- machines

    @cached_property
    def played(self) -> Night:
        """The night as something to be computed with."""
        return Night(
            scenario=self.scenario,
            machines=night.MACHINES,
            machine_cores=night.CORES,
            pod_cores=night.POD_CORES,
            work=night.data_work(),
            most_data_cores=night.DATA_CORES,
            deadline=night.DEADLINE,
        )

    @cached_property
    def two_clusters(self) -> TwoClusters:
        """Each side with what it held at its peak."""
        return TwoClusters.of(self.recording.lanes, night.CORES)

    @cached_property
    def data_in_time(self) -> Split:
        """The pool cut so that data is done by its deadline."""
        return self.played.data_in_time()

    @cached_property
    def nothing_lost(self) -> Split:
        """The pool cut so that trading loses nothing."""
        return self.played.nothing_lost()

    # ---- as data

    def to_json(self) -> dict[str, Any]:
        """All figures."""
        recording, book, two = self.recording, self.recording.promises, self.two_clusters
        late, done = book.late(night.LAST), recording.data_done_at
        sold, waiting = recording.oversold, recording.waiting[NAMESPACE]
        return {
            "oversold_instants": sold.instants,
            "oversold": {
                "on_machines": sold.on_machines,
                "by_levels": sold.by_levels,
                "by_status": sold.by_status,
                "instants_looked_at": sold.looked,
            },
            "promise_kept": book.kept(night.LAST),
            "promises": {
                "kept": book.given - late,
                "late": late,
                "moved_later": book.moved_later,
                "stopped_without": len(book.unpromised),
            },
            "units_told": self._units("told"),
            "units_stopped": self._units("stopped"),
            "work_lost_unit_seconds": round(recording.work_lost, 1),
            "work_done_unit_seconds": round(self.work_done, 1),
            "deadline_met": self.deadline_met,
            "done_before_deadline_seconds": None if done is None else round(night.DEADLINE - done, 1),
            "lost_demand_percent": round(self.lost(), 4),
            "lost_first_96s_percent": round(self.lost(night.MIDNIGHT, night.MIDNIGHT + 96), 4),
            "lost_first_10min_percent": round(self.lost(night.MIDNIGHT, night.MIDNIGHT + 600), 4),
            "ready_before_t0_seconds": self.ready_before,
            "trading_pods_pending_for_machines": waiting.most,
            "trading_pod_seconds_pending_for_machines": round(waiting.pod_seconds, 1),
            "machine_hours": {
                "one_pool": night.MACHINES * HOURS,
                "two_clusters": two.machines * HOURS,
                "two_clusters_least_data": (two.trading + self.data_in_time.data) * HOURS,
            },
            "machines": {"one_pool": night.MACHINES, "trading_peak": two.trading, "data_peak": two.data},
            "one_pool_cut_in_two": {
                "data_in_time": _split(self.data_in_time),
                "nothing_lost": _split(self.nothing_lost),
            },
            "returned": self.returned,
            "writes": recording.level_writes,
            "write_requests": recording.write_requests,
        }

    def _units(self, what: str) -> int:
        """Units that something was done to. More are told than are stopped where a plan changed meanwhile."""
        return sum(one.units for one in self.recording.happenings if one.what == what)

    @property
    def returned(self) -> bool:
        """Whether every floor is its owner's again, all work runs or is done, and no Loan is left."""
        floors = all(self.recording.floors[s.name] == s.minimum for s in self.scenario.services)
        return floors and not self.recording.promises.still_out and not self.recording.loans


def _split(found: Split) -> dict[str, Any]:
    return {
        "trading_machines": found.trading,
        "data_machines": found.data,
        "lost_demand_percent": round(found.lost_percent, 4),
        "data_late_seconds": max(0.0, round(found.data_done_at - night.DEADLINE, 1)),
    }
