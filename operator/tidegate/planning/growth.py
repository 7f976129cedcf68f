"""How much of a signal may come within one lead time: learned from the signal itself, reading by reading.

A level that is written now is ready one lead time later, so that demand *now* is not what counts. For each horizon of a
fan the logarithm of the growth until then is ``m + s z``:

- ``m`` is a trend (``trend``) and what events have brought at this phase: so many minutes before or after a T-0. Events
  that are at the same phase add up on the linear scale.
- ``s`` is the root mean square error at this phase, scaled by how large errors have been in the last hours.
- ``z`` is the quantile of the scaled errors that have been seen, as a histogram: coverage is what it was, whatever the
  distribution (split conformal prediction).

Each error is known one horizon later and is learned from then, never before: what is told was told by what was known.
Nothing here is fitted in advance. Until something was seen, errors count as ``PRIOR`` wide.

What an announced shape does is the shape's (``moved``): levels are looked at without it, or a trend would go on from an
opening. A gap or a restart forgets the last hour only; ``packed`` keeps the rest.
"""

from __future__ import annotations

import base64
import math
import zlib
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tidegate.planning.packing import inflated, rounded
from tidegate.planning.phases import BEFORE, CELL, CELLS, COUNTS, NEAR, NONE, OUTSIDE, Cells, cells_at
from tidegate.planning.trend import (
    FEATURES,
    MEANS,
    MEMORY,
    NOTHING_SAID,
    SPANS,
    WIDEST,
    Floats,
    Trend,
    clipped,
    features_of,
)

STEP = 15.0
"""Seconds of one step: what an operator that reads every 15 s has."""
FAN = (2, 4, 6, 8, 12, 16, 20, 28, 40, 60, 80, 120)
"""Horizons in steps, half a minute to half an hour: the largest value on the way counts, not the last one."""
PRIOR = 0.08
"""Root mean square of the log growth within a horizon before anything was seen. Judgment: wide, so that a new signal
costs some units and loses nothing."""
FIRST = 0.05
"""The same within a first event, where no event was seen: whatever the calm before it says. Judgment."""
SHRINK = 2.0
"""Events that the mean of all phases counts as, against a phase's own."""
VOLATILE = 960
"""Steps (4 hours) over which the size of the last errors is taken."""
STEEPEST = math.log(8.0)
"""Growth within a lead time that is told at the most, whatever was learned: no forecast fills a cluster. Kick-offs of a
World Cup double within ten minutes; payments of a marathon come in bursts, and with four times at the most they lose
more at the same cost. Judgment."""
CALM = 0.6
"""Share of ``s`` that does not follow how calm it has been: the calm before an event says little."""
LOUDEST = 6.0
"""An error counts as no more than so many ``s`` for how volatile it is."""
LOWEST, HIGHEST, BIN = -4.0, 12.0, 0.1
BINS = int((HIGHEST - LOWEST) / BIN)
PRIOR_COUNT = 200.0
"""Errors, drawn from a normal distribution, that the histogram begins with."""
BRIDGED = 4
"""Steps without a reading that are filled by a straight line; a longer gap forgets the last hour."""
LATEST = 40
"""Steps that a reading may be late, at most."""
OPENING, STEEP = 180.0, 0.15
"""A step of the logarithm that is larger than this, so many seconds after a T-0 or an announced step, is that itself:
the announcement says when it comes, and no trend goes on from there. Judgment."""
FORMAT = 3
FORMER = {1: len(SPANS), 2: len(SPANS) + len(MEANS)}
"""Formats of former versions, and how many features their trend had: what they learned is taken over."""
MOST_STEPS = 2**24
"""More are not counted: a float32 knows no larger odd number."""

SAME = 1.0
"""Seconds by which a lead time may be longer than a horizon and still be taken for it."""

_PLACES = LOWEST + BIN * (np.arange(BINS) + 0.5)


@dataclass(frozen=True, slots=True)
class _Told:
    """What was forecast, to be learned from when it is known."""

    level: float
    trend: Floats
    cells: Cells
    mean: Floats
    spread: Floats


@dataclass(slots=True)
class Growth:
    """Of one signal. Values are in its unit and at least 0."""

    longest: float
    """Seconds of the longest lead time that is asked for."""
    grain: float
    """What is too little to matter, in the signal's unit, more than 0: a third of what one unit carries."""
    quantile: float = 0.97
    """Share of the time in which no more comes than is told."""
    fall: float = 0.04
    """Share a minute by which what was measured fades: a sharp fall is often followed by as sharp a rise."""
    steps: int = 0
    """Readings that were learned from."""
    _fan: tuple[int, ...] = field(init=False)
    _trend: Trend = field(init=False)
    _mean: Floats = field(init=False)
    """By phase: shape (cells + 1, horizons)."""
    _square: Floats = field(init=False)
    _events: Floats = field(init=False)
    """How many events each phase was seen in; of no event: steps."""
    _loud: Floats = field(init=False)
    _counts: Floats = field(init=False)
    """Histograms of scaled errors: shape (horizons, bins)."""
    _rows: NDArray[np.intp] = field(init=False)
    """Which histogram is whose: one a horizon."""
    _z: Floats = field(init=False)
    _shape: float = 0.0
    """What the announced shape has done to the logarithm so far: levels are told without it."""
    _moved_at: float = -math.inf
    """When the announced shape last made a step."""
    _said: tuple[float, float] = NOTHING_SAID
    """What is announced: see ``take``."""
    _fell: bool = False
    """It was one down."""
    _value: float = math.inf
    """Logarithm of the last value, as it was measured."""
    _faded: float = -math.inf
    """The largest level of late, faded."""
    _faded_at: float = 0.0
    _log: list[float] = field(default_factory=list)
    _place: int | None = None
    _late: int = 0
    _told: deque[_Told] = field(default_factory=deque)
    _last: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        above = bisect_left(FAN, self.longest / STEP)
        self._fan = FAN[: above + 1]
        fan = len(self._fan)
        self._trend = Trend(fan)
        self._mean = np.zeros((CELLS + 1, fan))
        self._square = np.full((CELLS + 1, fan), PRIOR**2)
        self._events = np.zeros(CELLS + 1)
        self._loud = np.ones(fan)
        normal = np.exp(-(_PLACES**2) / 2.0)
        self._rows = np.arange(fan)
        self._counts = np.tile(PRIOR_COUNT * normal / normal.sum(), (fan, 1))
        self._requantile()

    # ---- what is asked

    def take(
        self,
        at: float,
        value: float,
        *,
        starts: Iterable[float] = (),
        late: float = 0.0,
        moved: float = 0.0,
        said: tuple[float, float] = NOTHING_SAID,
    ) -> None:
        """Learn from a reading: ``value`` was told at ``at``, and is ``late`` seconds old in its middle.

        ``starts`` are the T-0 of events that bring this signal, from 4 h ago to 2 h ahead; others do no harm. ``moved``
        is by how much the logarithm was announced to move since the last reading: that is the shape's, and no growth
        to learn. ``said`` is what is announced for now, and the most of the next ``SOON`` seconds; 0: nothing is. A
        second reading within one step is not taken.
        """
        place = math.floor(at / STEP)
        self._shape += moved
        if abs(moved) > STEEP:
            self._moved_at, self._fell = at, moved < 0.0
        level = math.log(max(value, 0.0) + self.grain) - self._shape
        if self._place is not None and place <= self._place:
            if self._place - place > BRIDGED:  # the clock was set back
                self.after_a_gap()
            else:
                return
        missing = 0 if self._place is None else place - self._place - 1
        if missing > BRIDGED:
            self.after_a_gap()
            missing = 0
        self._late = min(LATEST, round(late / STEP))
        self._place, self._said = place, said
        known = self._log[-1] if self._log else level
        begins = sorted(starts)
        for more in range(1, missing + 2):
            self._step(known + (level - known) * more / (missing + 1), (place - missing - 1 + more) * STEP, begins)

    def ahead(self) -> tuple[tuple[float, float], ...]:
        """(seconds, value) by horizon: no more than that comes within so many seconds, at the quantile; empty before
        the first reading.
        """
        return self._last

    @property
    def reaches(self) -> float:
        """The longest horizon, in seconds."""
        return self._fan[-1] * STEP

    def changed(self, longest: float, quantile: float) -> Growth:
        """The same for other horizons, or another quantile: what was learned of the horizons that stay is kept."""
        other = Growth(longest, self.grain, quantile, self.fall, self.steps)
        same = min(len(self._fan), len(other._fan))
        for mine, its in zip(self._by_horizon(), other._by_horizon(), strict=True):
            its[..., :same] = mine[..., :same]
            its[..., same:] = mine[..., -1:]  # the nearest one that is known
        other._counts[:same], other._counts[same:] = self._counts[:same], self._counts[-1:]
        other._events[:] = self._events
        other._trend.certain = [one.copy() for one in self._trend.certain]
        other._shape, other._moved_at, other._fell = self._shape, self._moved_at, self._fell
        other._faded, other._faded_at, other._value = self._faded, self._faded_at, self._value
        other._requantile()
        return other

    def outlook(self, seconds: float, *, phases: int = 5) -> tuple[float, list[tuple[int, float, float]]]:
        """(most growth within so many seconds without an event, the phases in which it is largest): each phase as
        (minutes after T-0, events seen, most growth). At the quantile, for errors as large as they have been of late,
        and without the trend of the hour.
        """
        at = min(bisect_left(self._fan, seconds / STEP), len(self._fan) - 1)
        margin = (self._scale() * self._z)[at]

        def most(cells: Cells) -> float:
            return math.expm1(float(self._brought(cells)[at] + self._usual(cells)[at] * margin))

        seen = [cell for cell in range(CELLS) if self._events[cell] >= 0.5]
        grown = sorted(((most(Cells([cell], [1])), cell) for cell in seen), reverse=True)[:phases]
        told = [(round((cell * CELL - BEFORE) / 60.0), float(self._events[cell]), share) for share, cell in grown]
        return most(NONE), sorted(told)

    def high(self) -> tuple[float, float] | None:
        """(when, value) from which it fades slowly after a sharp fall that nobody announced; None: it does not."""
        if not self._log or self._faded - self._log[-1] <= STEEP:
            return None
        return self._faded_at, math.exp(self._faded + self._shape) - self.grain

    def fades_from(self, at: float, value: float) -> None:
        """Go on from what ``high`` told in a former life."""
        self._faded, self._faded_at = math.log(max(value, 0.0) + self.grain) - self._shape, at

    def after_a_gap(self) -> None:
        """Forget what is only true of an unbroken hour; what was measured before goes on fading."""
        self._log.clear()
        self._told.clear()
        self._place, self._last = None, ()

    # ---- one step

    def _step(self, level: float, at: float, starts: Sequence[float]) -> None:
        opened = bisect_left(starts, at + 1e-9)
        since = max(starts[opened - 1] if opened else -math.inf, self._moved_at)
        value = level + self._shape
        if self._log and at - since <= OPENING and abs(level - self._log[-1]) > STEEP:
            self._log.clear()
            self._told.clear()
            if self._fell or value > self._value - STEEP:  # a fall that nobody announced fades
                self._faded = -math.inf
        self._value = value
        self._log.append(level)
        if len(self._log) > 4 * SPANS[-1]:
            del self._log[: 2 * SPANS[-1]]
        due = self._fan[-1] + self._late
        while len(self._told) > due:  # readings were later than they are now
            self._told.popleft()
        if len(self._told) == due:
            self._learn(self._told.popleft())
        cells = cells_at(at, starts)
        trend = features_of(self._log, self._shape, self._said, self.grain)
        mean = self._trend.of(trend, inside=bool(cells)) + self._brought(cells)
        spread = self._usual(cells)
        self._told.append(_Told(level, trend, cells, mean, spread))
        self._faded = max(level, self._faded - self.fall * max(0.0, at - self._faded_at) / 60.0)
        self._faded_at = at
        grown = np.minimum(mean + spread * self._scale() * self._z, STEEPEST)
        told = np.maximum(level + grown, self._faded)
        most = np.exp(told + self._shape) - self.grain
        if not np.isfinite(most).all():
            self._begin_anew()
            return
        self._last = tuple(
            (steps * STEP, max(0.0, value)) for steps, value in zip(self._fan, most.tolist(), strict=True)
        )

    def _brought(self, cells: Cells) -> Floats:
        """Logarithm of what events at these phases bring."""
        return self._together(self._each(cells) if cells else None)

    def _together(self, each: Floats | None) -> Floats:
        """The same of what each phase brings; None: outside events."""
        if each is None:
            return np.asarray(self._mean[OUTSIDE])
        return np.asarray(np.log(np.maximum(1.0 + each.sum(axis=0), 0.3)))

    def _each(self, cells: Cells) -> Floats:
        """What the events of each phase bring, as a share of the level: shape (phases, horizons). The mean of a phase
        and its neighbours is shrunk to nothing while few events were seen.
        """
        places, counts = cells.places, cells.counts
        near = NEAR[places]
        seen = self._events[near] * COUNTS[places]
        mean = (seen[:, None, :] @ self._mean[near])[:, 0, :] / (seen.sum(axis=1) + SHRINK)[:, None]
        return np.asarray(counts * np.expm1(mean))

    def _usual(self, cells: Cells) -> Floats:
        """Root mean square error at these phases."""
        if not cells:
            return np.asarray(np.sqrt(self._square[OUTSIDE]) + 1e-3)
        seen = self._events[:CELLS]
        prior = np.maximum(4.0 * self._square[OUTSIDE], FIRST**2)
        pooled = (seen @ self._square[:CELLS] + SHRINK * prior) / (seen.sum() + SHRINK)
        near = NEAR[cells.places]
        weight = self._events[near] * COUNTS[cells.places]
        own = (weight[:, None, :] @ self._square[near])[:, 0, :] + SHRINK * pooled
        own *= cells.counts / (weight.sum(axis=1) + SHRINK)[:, None]
        return np.asarray(np.sqrt(own.max(axis=0)) + 1e-3)

    def _scale(self) -> Floats:
        return np.asarray(np.sqrt(CALM**2 + (1.0 - CALM**2) * self._loud))

    # ---- learning

    def _learn(self, told: _Told) -> None:
        """What came is known for all horizons."""
        self.steps += 1
        due = self._fan[-1] + self._late
        came = np.array([self._log[-1 - (due - steps - self._late)] for steps in self._fan]) - told.level
        off = came - told.mean
        size = np.minimum(np.abs(off) / told.spread, LOUDEST) ** 2
        scaled = off / (told.spread * self._scale())
        if not np.isfinite(scaled).all():
            self._begin_anew()
            return
        bins = clipped((scaled - LOWEST) / BIN, 0.0, BINS - 1.0).astype(np.intp)
        self._counts *= 1.0 - 1.0 / MEMORY
        self._counts[self._rows, bins] += 1.0
        self._loud += 2.0 / (VOLATILE + 1) * (size - self._loud)
        inside = bool(told.cells)
        each = self._each(told.cells) if inside else None
        self._trend.learn(told.trend, came - self._together(each), inside=inside)
        rest = came - self._trend.of(told.trend, inside=inside)
        self._learn_phase(told.cells, each, rest, clipped(off, -WIDEST, WIDEST) ** 2)
        if self.steps % 20 == 0:
            self._requantile()

    def _begin_anew(self) -> None:
        """What was learned is no number any more: that is never told as nothing to come."""
        self.__post_init__()
        self._told.clear()
        self._last = ()

    def _learn_phase(self, cells: Cells, each: Floats | None, rest: Floats, square: Floats) -> None:
        if each is None:
            self._events[OUTSIDE] += 1.0
            self._mean[OUTSIDE] += clipped(rest - self._mean[OUTSIDE], -0.1, 0.1) / 2_000.0
            if self._events[OUTSIDE] > 50:
                weight = max(1.0 / self._events[OUTSIDE], 1.0 / 8_000.0)
                self._square[OUTSIDE] += weight * (square - self._square[OUTSIDE])
            return
        places, counts = cells.places, cells.counts
        rest_of = each.sum(axis=0) - each
        mine = np.log(np.maximum(1.0 + (np.expm1(clipped(rest, -1.0, 1.0)) - rest_of) / counts, 0.3))
        self._events[places] = np.minimum(self._events[places] + STEP / CELL, 40.0)
        weight = (STEP / CELL / self._events[places])[:, None]
        self._mean[places] += weight * (mine - self._mean[places])
        self._square[places] += weight * (square / counts.max() - self._square[places])

    def _requantile(self) -> None:
        sums = np.cumsum(self._counts, axis=1)
        wanted = self.quantile * (sums[:, -1] + 1.0)
        at = [min(int(np.searchsorted(one, most)), BINS - 1) for one, most in zip(sums, wanted, strict=True)]
        self._z = np.asarray(_PLACES[at] + BIN / 2.0, dtype=np.float64)

    # ---- what is kept

    def packed(self) -> str:
        """All but the last hour, as text of some kilobytes: 14,000 characters at the most."""
        head, trend = np.array([FORMAT, len(self._fan), min(self.steps, MOST_STEPS)]), self._trend.state()
        exact = np.concatenate([one.ravel() for one in (head, *trend)]).astype(np.float32)
        rest = np.concatenate([one.ravel() for one in self._state()[len(trend) :]]).astype(np.float32)
        return base64.b85encode(zlib.compress(exact.tobytes() + rounded(rest).tobytes(), 9)).decode()

    @classmethod
    def unpacked(cls, text: str, grain: float, quantile: float, fall: float) -> Growth:
        """What ``packed`` gave. ValueError when it is of another layout, or none at all."""
        try:
            raw = np.frombuffer(inflated(base64.b85decode(text)), dtype=np.float32).astype(np.float64)
        except (ValueError, zlib.error) as error:
            raise ValueError(f"what was learned cannot be read: {error}") from error
        if len(raw) < 3 or raw[0] not in (FORMAT, *FORMER) or not np.isfinite(raw).all() or not 1 <= raw[1] <= len(FAN):
            raise ValueError("what was learned is of another layout")
        made = cls(FAN[int(raw[1]) - 1] * STEP, grain, quantile, fall, int(raw[2]))
        state, begin = made._state(FORMER.get(int(raw[0]), FEATURES)), 3
        if len(raw) != begin + sum(one.size for one in state):
            raise ValueError("what was learned is of another layout")
        for one in state:
            one[...] = raw[begin : begin + one.size].reshape(one.shape)
            begin += one.size
        made._requantile()
        return made

    def _by_horizon(self) -> list[Floats]:
        return [self._trend.weights, self._mean, self._square, self._loud]

    def _state(self, features: int = FEATURES) -> list[Floats]:
        """All that is kept, with so many features of the trend, the first ones."""
        return [*self._trend.state(features), self._mean, self._square, self._events, self._loud, self._counts]


def within(ahead: Sequence[tuple[float, float]], seconds: float) -> float | None:
    """The most that comes within so many seconds, by ``Growth.ahead``: between two horizons a straight line. None where
    nothing was told.
    """
    most: float | None = None
    before = 0.0, ahead[0][1] if ahead else 0.0
    for horizon, value in ahead:
        if horizon >= seconds - SAME:
            share = min(1.0, max(0.0, (seconds - before[0]) / (horizon - before[0])))
            there = before[1] + share * (value - before[1])
            return there if most is None else max(most, there)
        most = value if most is None else max(most, value)
        before = horizon, value
    return most
