"""The night of Double 11 on a pool: how fast it passes, who plays it, and what is said of how it was made."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.cli.demo_chart import clock as time_of_day
from tidegate.cli.demo_evening import length, speeds_in_words
from tidegate.cli.demo_night_result import HOURS, NightResult
from tidegate.cli.demo_night_stage import NightRecording, NightStage
from tidegate.cli.demo_night_table import explanation, holders, table
from tidegate.cli.demo_night_timeline import NightTimeline
from tidegate.cli.demo_performance import performing, watch
from tidegate.control.clock import ScheduledClock
from tidegate.simulation import double11_night as night
from tidegate.simulation.double11_night_objects import (
    CREATION_RATE,
    DATA_GUARANTEE,
    DRAIN_SECONDS,
    GIVE_BACK_SECONDS,
    HEADROOM_PERCENT,
    MINIMUM_RUN_SECONDS,
    NOTICE_SECONDS,
)

if TYPE_CHECKING:
    from rich.console import Console

SPEEDS: tuple[tuple[float, float], ...] = (
    (night.FIRST, 400.0),
    (night.MIDNIGHT - 960, 60.0),
    (night.MIDNIGHT - 780, 150.0),
    (night.MIDNIGHT - 270, 20.0),
    (night.MIDNIGHT + 40, 60.0),
    (night.MIDNIGHT + 120, 450.0),
    (night.DATA_AGAIN - 60, 30.0),
    (night.DATA_AGAIN + 300, 150.0),
    (night.DATA_AGAIN + 480, 600.0),
    (night.SALE_ENDS, 200.0),
    (night.SALE_ENDS + 360, 1200.0),
)
"""(from when, simulated seconds per real second): slow where work is told, stopped and started again."""


def schedule(speed: float = 1.0) -> ScheduledClock:
    """The clock of the night, not begun yet; ``speed`` multiplies all of ``SPEEDS``."""
    return ScheduledClock(math.inf, night.FIRST, tuple((at, fast * speed) for at, fast in SPEEDS))


def play(console: Console, *, speed: float, keep: Path | None) -> NightResult:
    """Let the night happen and judge it. OperatorDiedError when the operator does not live through it."""
    played, clock = night.scenario(), schedule(speed)
    stage = NightStage(played, clock)

    def settings(_: Path) -> dict[str, str]:
        return {"PROMETHEUS_URL": stage.metrics_url, "PLAN_CREATION_RATE": f"{CREATION_RATE:g}"}

    with performing(stage, clock, keep=keep, namespace=None, settings=settings) as operator:
        seconds = length(clock, night.LAST)
        console.print("The night of Double 11, 2019, 22:55 to 06:00 China time, on one pool", style="bold")
        console.print(f"{speeds_in_words(clock)} It takes {seconds:.0f} s.", markup=False, highlight=False, style="dim")
        watch(NightTimeline(console, played, clock, stage.recording, stage.seen_to), stage, clock, operator, night.LAST)
    stage.finish()
    recording = stage.recording
    said = notes(clock, recording)
    return NightResult(played, recording, stage.run_of("tidegate"), recording.decisions(), said)


def tell(console: Console, result: NightResult, report: Path) -> None:
    """The result in the terminal."""
    console.print(holders(result))
    console.print(table(result))
    console.print(explanation(), markup=False, highlight=False, style="dim")
    console.print(returned(result), markup=False, highlight=False, style="dim")
    console.print(f"Report with pictures: {report}", markup=False, highlight=False)


def returned(result: NightResult) -> str:
    """Whether everything that was borrowed was given back, as the cluster shows it."""
    until = time_of_day(night.LAST)
    if result.returned:
        return f"By {until} floors and work were back at their owners' levels, and no loan was left."
    out, loans = len(result.recording.promises.still_out), len(result.recording.loans)
    return f"Not all returned by {until}: {out} units of data work are out, {loans} loans are left."


def notes(clock: ScheduledClock, recording: NightRecording) -> list[str]:
    """How it was made, for the report."""
    return [
        PLAYED_NOTE,
        JUDGMENT_NOTE,
        DATA_NOTE,
        HOURS_NOTE,
        speeds_in_words(clock),
        f"{recording.level_writes} levels were set; with loans, status and events: {recording.write_requests} writes.",
    ]


PLAYED_NOTE = (
    "Tidegate is the real operator process, for the whole cluster, on an embedded one whose pods are objects on "
    f"{night.MACHINES} machines of {night.CORES} cores; no pod gets on a machine that has no room for it. Pods on "
    "machines, levels, Loans and the pool's status were recorded at every change. Signals and the work that is left "
    "were measured through a small Prometheus."
)
JUDGMENT_NOTE = (
    "Published: the milestones and the peak of Double 11, 2019, and that trading has most machines at 00:00 and data "
    "processing after 01:00. Judgment: this pool carries a tenth of the orders; all sizes; that trading is announced "
    f"at its peak for the whole first hour, with {HEADROOM_PERCENT} % headroom."
)
DATA_NOTE = (
    f"Data, {night.DATA_CORES // night.CORES} machines: {night.JOBS} Jobs of {night.JOB_PODS} pods, made safe every "
    f"{night.CHECKPOINT_SECONDS:g} s, and a loader of {night.LOADERS} replicas, which loses nothing by a stop. "
    f"Guarantee {DATA_GUARANTEE} %, notice {NOTICE_SECONDS} s, minimum run {MINIMUM_RUN_SECONDS} s, {DRAIN_SECONDS} s "
    f"guessed until machines are free, given back within {GIVE_BACK_SECONDS} s of the end of trading's need. A unit is "
    "a Job or a replica; it works off one unit-second a second."
)
HOURS_NOTE = (
    f"Machine-hours are machines times {HOURS:g} h. One pool: all its machines. Two clusters: the most cores that each "
    "side held at any instant of this very night, pods that leave included, in whole machines. A data cluster as small "
    "as its deadline allows: all its work, divided at will, over the time from 22:55."
)
