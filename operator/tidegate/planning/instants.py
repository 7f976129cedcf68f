"""Instants as they are written in messages. Nothing here knows what time it is."""

from __future__ import annotations

import math

import numpy as np


def rfc3339(instant: float) -> str:
    """Epoch seconds as UTC, in whole seconds. What a float lost below a microsecond does not count."""
    return f"{np.datetime64(math.floor(round(instant, 6)), 's')}Z"
