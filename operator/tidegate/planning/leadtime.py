"""Lead time: how long from a write to *ready and warm*, as a quantile with its parts.

``reaction + fail-over + start (+ machines) + the pods' place in the cluster's creation queue``. The last part is
shared: at T-0 everybody steps at once and the controllers create pods at one rate for all (``creation_lag``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.planning.model import LeadTimeGuess, Measured, PlanSettings


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
class Lead:
    """A lead time and what it is made of, in the order in which it passes."""

    seconds: float
    parts: tuple[tuple[str, float], ...]
    learned: bool


def start_time(samples: Sequence[Measured], guess: LeadTimeGuess, *, q: float, rate: float) -> Start:
    """The quantile ``q`` of the start time.

    Split conformal: of n measurements the ceil((n + 1) q)-th smallest covers a share q of what comes. With fewer than
    that needs, the largest measurement or the guess, whichever is longer. The time in the creation queue is taken out
    of each measurement, because it depends on the size of the step and is added again for the step that is planned.
    """
    own = sorted(max(0.0, s.seconds - s.units / rate) for s in samples if not s.machines)
    rank = math.ceil((len(own) + 1) * q)
    if own and rank <= len(own):
        return Start(own[rank - 1], guess.machine_seconds, True, len(own))
    return Start(max([guess.seconds, *own]), guess.machine_seconds, False, len(own))


def creation_lag(rises: NDArray[np.int64], *, rate: float, cell: float) -> NDArray[np.float64]:
    """Seconds before each cell at which creation must begin so that all that rises there, or later, is created in time.

    The backward fluid queue ``B[t] = rises[t] / rate + max(0, B[t + 1] - cell)``, unrolled into a cumulative maximum.
    Rounded up to whole seconds, so that one pod more or less does not move everybody's plan.
    """
    if not len(rises):
        return np.zeros(0)
    after = np.cumsum(rises[::-1])[::-1] / rate
    position = np.arange(len(rises)) * cell
    beyond = np.append(after[1:], 0.0)
    latest = np.maximum.accumulate((-beyond - position)[::-1])[::-1]
    lag: NDArray[np.float64] = np.ceil(after + position + latest - 1e-6)
    return lag


def lead_of(start: Start, settings: PlanSettings, *, queue: float, machines: bool) -> Lead:
    """The whole lead time of one step."""
    parts = [
        ("reaction", settings.reaction),
        ("failOver", settings.fail_over),
        ("creation", queue),
        ("start", start.seconds),
    ]
    if machines and start.machine_seconds > 0:
        parts.append(("machines", start.machine_seconds))
    return Lead(sum(seconds for _, seconds in parts), tuple(parts), start.learned)
