"""Lead time: how long from a write to *ready and warm*, as a quantile with its parts.

``reaction + fail-over + start (+ machines) + the place in the queues that all share``. There are two such queues: at
T-0 everybody steps at once, our own process writes the levels one after the other, and the cluster's controllers
create pods at one rate for all (``shared_lag``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.planning.model import LeadTimeGuess, Measured, PlanSettings

ALONG = 60.0
"""Seconds: a step that follows another this closely may be written with it. Judgment: a start takes about that long."""


@dataclass(frozen=True, slots=True)
class Start:
    """Time from a pod's creation to ready and warm, at the policy's quantile."""

    seconds: float
    machine_seconds: float
    """Added for a step that does not fit on the machines that are up."""
    learned: bool
    """False: the policy's guess, for want of enough measurements."""
    samples: int


@dataclass(frozen=True, slots=True)
class Lag:
    """What every rise waits for because all share it, per column of the book."""

    total: NDArray[np.float64]
    """Seconds of both queues."""
    writing: NDArray[np.float64]
    """The part of ``total`` in which our own process writes the levels."""
    latest: NDArray[np.float64]
    """Each column's start less its ``total``: from the present on it never falls from one column to the next."""
    longest: float
    """The largest ``total``."""
    state: object = None
    """Which state of the queues this is, whatever the instant: equal ones have equal work and equal rates."""

    def within(self, columns: slice) -> Lag:
        """The same of some columns alone."""
        parts = self.total[columns], self.writing[columns], self.latest[columns]
        return Lag(*parts, self.longest, self.state)


@dataclass(frozen=True, slots=True)
class Lead:
    """A lead time and what it is made of, in the order in which it passes."""

    seconds: float
    parts: tuple[tuple[str, float], ...]
    learned: bool


def start_time(
    samples: Sequence[Measured], guess: LeadTimeGuess, *, q: float, rate: float, ordered: bool = False
) -> Start:
    """The quantile ``q`` of the start time; of one unit where they start one after the other (``ordered``).

    Split conformal: of n measurements the ceil((n + 1) q)-th smallest covers a share q of what comes. With fewer than
    that needs, the largest measurement or the guess, whichever is longer. The time in the creation queue is taken out
    of each measurement, because it depends on the size of the step and is added again for the step that is planned.
    What was measured while units started the other way (a StatefulSet was made again with another
    ``podManagementPolicy``) tells nothing.
    """
    if not samples:
        return Start(guess.seconds, guess.machine_seconds, False, 0)
    usable = [s for s in samples if not s.machines and math.isfinite(s.seconds) and s.ordered in (None, ordered)]
    own = sorted(max(0.0, s.seconds / max(s.units, 1) if ordered else s.seconds - s.units / rate) for s in usable)
    rank = math.ceil((len(own) + 1) * q)
    if own and rank <= len(own):
        return Start(own[rank - 1], guess.machine_seconds, True, len(own))
    return Start(max([guess.seconds, *own]), guess.machine_seconds, False, len(own))


def creation_lag(rises: NDArray[np.int64], *, rate: float, cell: float, along: float = 0.0) -> NDArray[np.float64]:
    """Seconds before each cell at which creation must begin so that all that rises there, or later, is created in time.

    ``along``: what rises so many seconds after a cell may be written with it, and then stands before it in the queue.
    Rounded up to whole seconds, so that one pod more or less does not move everybody's plan.
    """
    lag: NDArray[np.float64] = np.ceil(_backlog(rises, rate=rate, cell=cell, along=math.ceil(along / cell)) - 1e-6)
    return lag


def writing_lag(writes: NDArray[np.int64], *, rate: float, cell: float) -> NDArray[np.float64]:
    """Seconds before each cell at which writing must begin so that all levels that rise there, or later, are written.

    Rounded down to whole seconds: what is written within a second is part of the reaction time.
    """
    lag: NDArray[np.float64] = np.floor(_backlog(writes, rate=rate, cell=cell) + 1e-6)
    return lag


def _backlog(work: NDArray[np.int64], *, rate: float, cell: float, along: int = 0) -> NDArray[np.float64]:
    """The backward fluid queue ``B[t] = work[t] / rate + max(0, B[t + 1] - cell)``, as a cumulative maximum.

    With ``along``, the work of so many cells after each one is done before that one's is.
    """
    if not work.any():
        return np.zeros(len(work))
    after = np.cumsum(work[::-1])[::-1] / rate
    position = np.arange(len(work)) * cell
    beyond = np.append(after[1 + along :], np.zeros(min(1 + along, len(work))))
    latest = np.maximum.accumulate((-beyond - position)[::-1])[::-1]
    backlog: NDArray[np.float64] = after + position + latest
    return backlog


def shared_lag(
    creation: NDArray[np.float64], writing: NDArray[np.float64], starts: NDArray[np.float64], *, here: int
) -> Lag:
    """Both queues together, for columns that begin at ``starts``; ``here`` is the present one.

    Their times add up, because the level that is written last is created last. What is needed earlier is due no later.
    """
    latest = starts - creation - writing
    latest[here:] = np.minimum.accumulate(latest[here:][::-1])[::-1]
    total = starts - latest
    return Lag(total, writing, latest, float(total.max(initial=0.0)))


def one_by_one(
    lag: Lag, units: NDArray[np.int64], starts: NDArray[np.float64], *, rest: int, each: float, here: int
) -> Lag:
    """What a target waits for whose units start one after the other, ``each`` in so many seconds, up from ``rest``:
    before the last one of a step is made, all others have become ready.
    """
    before = np.maximum(units - rest - 1, 0) * each
    latest = lag.latest - before
    latest[here:] = np.minimum.accumulate(latest[here:][::-1])[::-1]
    total = starts - latest
    return Lag(total, lag.writing, latest, float(total.max(initial=0.0)), lag.state)


def lead_of(start: Start, settings: PlanSettings, *, creation: float, writing: float, machines: bool) -> Lead:
    """The whole lead time of one step."""
    parts = [("reaction", settings.reaction), ("failOver", settings.fail_over)]
    if writing > 0.0:
        parts.append(("writing", writing))
    parts += [("creation", creation), ("start", start.seconds)]
    if machines and start.machine_seconds > 0:
        parts.append(("machines", start.machine_seconds))
    return Lead(sum([seconds for _, seconds in parts]), tuple(parts), start.learned)
