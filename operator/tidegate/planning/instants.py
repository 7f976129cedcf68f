"""Instants: how they are written in messages, and how those of another clock are bounded before they are compared.

Nothing here knows what time it is. A node's clock may be ahead for a while; a replica that led meanwhile, a kubelet or
the process itself then leaves an instant that lies in the future. Nothing may wait until the clocks have caught up.
"""

from __future__ import annotations

import math

import numpy as np

SKEW = 900.0
"""Seconds by which an instant may be ahead and still be meant as now: a clock that was stepped back by so much changes
no level. Judgment: nothing is lost when a wait is that much longer."""


def rfc3339(instant: float) -> str:
    """Epoch seconds as UTC, in whole seconds. What a float lost below a microsecond does not count."""
    return f"{np.datetime64(math.floor(round(instant, 6)), 's')}Z"


def elapsed(now: float, since: float, *, wait: float) -> float:
    """Seconds since an instant, of which ``wait`` are waited for.

    An instant that is somewhat ahead counts as now. One that is ahead by more than the wait itself says nothing: the
    wait counts as over (infinity).
    """
    if since <= now:
        return now - since
    return 0.0 if since - now <= max(wait, SKEW) else math.inf


def on_record(instant: float) -> float:
    """An instant as a record tells it: in whole milliseconds, never later."""
    rounded = round(instant, 3)
    return rounded if rounded <= instant else round(rounded - 0.001, 3)
