"""The last word on a signal, and what may be believed of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Freshness(Enum):
    """What became of asking for a signal. None of the bad ones is ever read as zero."""

    FRESH = "Fresh"
    STALE = "Stale"
    EMPTY = "Empty"
    NAN = "NaN"
    NEGATIVE = "Negative"
    MANY = "ManySeries"
    PARTIAL = "Partial"
    """Only a part of what was asked for: the true value may be higher. It may raise a level and never lowers one."""
    FUTURE = "FromTheFuture"
    """Its sample bears a time that has not come yet."""
    UNREACHABLE = "Unreachable"


@dataclass(frozen=True, slots=True)
class Doubt:
    """What one sample alone has said, far above what others agree on."""

    value: float
    at: float
    """When the first such sample was taken, epoch seconds."""


class Opens(NamedTuple):
    """What the events that begin in one cell bring at once."""

    start: float
    """Their first T-0."""
    announced: float
    prepared: float
    """As much of that as is prepared for, by who announces it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The last word on a signal, and what may be believed of it.

    A source gives the fields down to ``span``; ``control.reader`` remembers the rest from one reading to the next.
    """

    freshness: Freshness
    value: float | None
    """The last good value, which may be old; None when there was never one."""
    since: float
    """When the last good value was measured; when asking began if there was never one."""
    note: str = ""
    """What is wrong, in words; no number in it changes while the same thing is wrong."""
    stamp: float | None = None
    """Time of the newest sample by the clock of the server that keeps it: of one sample always the same. None: as
    ``since``."""
    span: float = 0.0
    """Seconds before ``stamp`` from which samples count in the value: 60 for ``rate(x[1m])``, and for a sum of pods
    that are scraped one after the other what lies between the first and the last of these scrapes."""
    confirmed: float | None = None
    """The demand that at least two samples agree on which have nothing in common; None while there are no two."""
    doubt: Doubt | None = None
    """A sample of the last hour that no other one confirmed."""
    blind_since: float | None = None
    """When the last good reading ended, or asking began (again); None while readings are good, or nobody remembers."""
    ahead: tuple[tuple[float, float], ...] = ()
    """(seconds, value): no more comes within so many seconds, as far as the signal's growth is known
    (``growth.Growth.ahead``); empty where nobody forecasts it, or the reading is not good."""
    step: float | None = None
    """Share of an announced rise that is prepared for, of who is on or comes soon (``hosts``); None: nobody has learned
    any."""
    opens: tuple[Opens, ...] | None = None
    """What T-0 bring, from before the reading to ``opens_to``; None: nobody tells, or they are too many."""
    opens_to: float = -math.inf
