"""What the night's demonstration says about how it was made and how it ended."""

from __future__ import annotations

from tidegate.demo.chart import clock as time_of_day
from tidegate.demo.night import demand as night
from tidegate.demo.night.objects import (
    DATA_GUARANTEE,
    DRAIN_SECONDS,
    GIVE_BACK_SECONDS,
    HEADROOM_PERCENT,
    MINIMUM_RUN_SECONDS,
    NOTICE_SECONDS,
)
from tidegate.demo.night.recording import NightRecording
from tidegate.demo.night.result import HOURS, NightResult
from tidegate.demo.pace import speeds_in_words
from tidegate.shell.clock import ScheduledClock


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
