"""The trend of a signal: what of its growth within each horizon follows from what it shows and what is announced.

A regression by recursive least squares, inside and outside events apart, on how much the signal has grown within six
spans of the last hour, on how far it stands above its means over five, and on how far below what is announced.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SPANS = (4, 8, 20, 40, 80, 240)
"""Steps over which growth until now is looked at: 1, 2, 5, 10, 20, 60 minutes."""
MEANS = (8, 20, 40, 80, 240)
"""Last steps whose mean the signal is held against: 2, 5, 10, 20, 60 minutes. For what is noisy, like payments by the
minute: one earlier reading says little of those."""
ROOM = 2
"""What is announced for now, and the most that is announced for the next ``SOON`` seconds: a crowd that is nearly there
grows no more, and one that is far from it does."""
SOON = 1800.0
FARTHEST = 1.5
"""Logarithm between the signal and what is announced that counts at most: that is a guess. Judgment."""
FEATURES = len(SPANS) + len(MEANS) + ROOM
NOTHING_SAID = (0.0, 0.0)
CERTAIN = 0.05
"""How far the first readings may move the weights: the inverse of a ridge of 20, which a day of ordinary demand
outweighs."""
MEMORY = 40_000
"""Steps (a week) after which an error counts e times less."""
WIDEST = 0.5
"""An error of the logarithm counts as no more for what is usual."""


@dataclass(slots=True)
class Trend:
    """Of one signal."""

    horizons: int
    weights: Floats = field(init=False)
    """Shape (2, features, horizons); row 1 within events."""
    certain: list[Floats] = field(init=False)
    """The inverse of what was seen of the features: shape (features, features), for each row of the weights."""

    def __post_init__(self) -> None:
        self.weights = np.zeros((2, FEATURES, self.horizons))
        self.certain = [CERTAIN * np.eye(FEATURES), CERTAIN * np.eye(FEATURES)]

    def of(self, features: Floats, *, inside: bool) -> Floats:
        """The logarithm of the growth by horizon."""
        return np.asarray(features @ self.weights[int(inside)])

    def learn(self, features: Floats, came: Floats, *, inside: bool) -> None:
        """``came``: the logarithm of the growth by horizon, without what events bring. With forgetting."""
        weights, certain, keep = self.weights[int(inside)], self.certain[int(inside)], 1.0 - 1.0 / MEMORY
        along = certain @ features
        gain = along / (keep + features @ along)
        weights += gain[:, None] * clipped(came - features @ weights, -WIDEST, WIDEST)
        certain = (certain - gain[:, None] * along) / keep
        trace = float(certain.trace())
        # Calm hours teach nothing, and must not let it drift; rounded to nothing, it is begun anew.
        self.certain[int(inside)] = certain * min(1.0, 10.0 / trace) if trace > 0.0 else CERTAIN * np.eye(FEATURES)

    def state(self, features: int = FEATURES) -> list[Floats]:
        """What is kept, of so many features, the first ones; to be filled in place."""
        return [self.weights[:, :features], *(one[:features, :features] for one in self.certain)]


def clipped(values: Floats, least: float, most: float) -> Floats:
    """``np.clip`` at half its price: a dozen horizons cost what the call costs."""
    return np.asarray(np.minimum(np.maximum(values, least), most))


def features_of(log: Sequence[float], shape: float, said: Sequence[float], grain: float) -> Floats:
    """What the trend goes by. ``log``: logarithms of the last levels without the announced ``shape``, the last one now;
    ``said``: what is announced, for now and soon, 0 where nothing is; ``grain`` is in both, so that none is of 0.
    """
    now, first, known = log[-1], log[0], len(log)
    grown = [now - (log[-1 - span] if span < known else first) for span in SPANS]
    above = [now - sum(log[-span:]) / min(span, known) for span in MEANS]
    return np.array(grown + above + [_room(one, now + shape, grain) for one in said])


def _room(said: float, value: float, grain: float) -> float:
    """How far the logarithm of a value stands below what is announced; 0 where nothing is."""
    if said <= 0.0:
        return 0.0
    return min(max(math.log(said + grain) - value, -FARTHEST), FARTHEST)
