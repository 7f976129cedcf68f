"""Whether enough is known in a leadership to tell people what is."""

from __future__ import annotations

import math
from dataclasses import dataclass

ASKED_WITHIN = 15.0
"""Seconds for which targets are waited for that were not asked for yet. Judgment: a beat; one tenant's targets that all
hang keep the statuses of the others back no longer.
"""


@dataclass(slots=True)
class Knowing:
    """What is told before the loans were read and each target was asked for is of nobody's use, and would be taken back
    at once: statuses written twice, and a sentence in between that was never so.
    """

    _in: int | None = None
    """The leadership in which all was known once: it stays known."""
    _asking_since: float = math.inf

    def knows(self, epoch: int, now: float, *, read: bool, asked: bool) -> bool:
        """``read``: what this leadership acts by was read. ``asked``: each target was asked for since."""
        if self._in == epoch:
            return True
        if not read:
            self._asking_since = math.inf
            return False
        self._asking_since = min(self._asking_since, now)
        if asked or now - self._asking_since >= ASKED_WITHIN:
            self._in, self._asking_since = epoch, math.inf
        return self._in == epoch
