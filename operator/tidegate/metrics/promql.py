"""What an instant query answered, as one of a few outcomes. Pure: no network, no clock.

Prometheus answers with a vector, a matrix, a scalar or a string; numbers come as text, ``NaN`` and ``+Inf`` among them.
Nothing here ever turns "no answer" into a number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.planning.model import Freshness, Reading

NOTE = 200
"""Characters of a note."""


_SELECTOR = re.compile(
    r"""\s*(?:[a-zA-Z_:][\w:]*\s*)?(?:\{(?:[^"'`{}]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)*\}\s*)?""", re.ASCII
)


def age_query(query: str) -> str | None:
    """The query for the time of the sample that ``query`` rests on, None when there is none.

    An instant query is stamped with the time it was asked for, whatever the age of its samples (up to the server's
    look-back of five minutes). ``timestamp()`` tells the sample's own time, but of a plain selector only; of anything
    else it tells the time of evaluation, which is known already.
    """
    return f"timestamp({query.strip()})" if query.strip() and _SELECTOR.fullmatch(query) else None


def sample_of(result: object) -> tuple[float, float] | Freshness:
    """(time, value) of the single sample of a query's ``result``, else which outcome it is.

    A vector or a matrix of one series counts (its newest sample), and so does a scalar.
    """
    if not isinstance(result, Sequence) or isinstance(result, str) or not result:
        return Freshness.EMPTY
    if isinstance(result[0], Mapping) and len(result) > 1:
        return Freshness.MANY
    try:
        pair: Any = _newest(result[0]) if isinstance(result[0], Mapping) else result
        at, value = float(pair[0]), float(pair[1])
    except OverflowError:
        return Freshness.NAN
    except (TypeError, ValueError, LookupError):
        return Freshness.EMPTY
    return (at, value) if math.isfinite(value) and math.isfinite(at) else Freshness.NAN


def _newest(series: Mapping[str, Any]) -> Any:
    """The last pair of a series of a vector or a matrix."""
    return series.get("value") or series["values"][-1]


def reading_of(sample: tuple[float, float] | Freshness, *, now: float, stale_after: float, query: str) -> Reading:
    """The reading for a sample, or for the want of one."""
    if isinstance(sample, Freshness):
        return Reading(sample, None, now, _why(sample, query))
    at, value = sample
    age = now - at
    if age > stale_after:
        note = f"the newest sample is {age:.0f} s old, more than {stale_after:.0f} s"
        return Reading(Freshness.STALE, value, at, note)
    return Reading(Freshness.FRESH, value, at)


def _why(outcome: Freshness, query: str) -> str:
    short = query if len(query) <= NOTE // 2 else query[: NOTE // 2] + "…"
    if outcome is Freshness.MANY:
        return f"more than one series; aggregate the query: sum({short})"
    if outcome is Freshness.NAN:
        return f"not a finite number: {short}"
    return f"no series: {short}"
