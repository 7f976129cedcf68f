"""How long to wait before the next try: one rule for all that is tried again, by tenacity's waits.

Here are numbers and no waiting. ``control`` adds them to an instant, ``shell`` sleeps in its own way, since some of its
pauses end early, and ``targets`` and ``metrics`` hand them to tenacity's own loops.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import tenacity

_NOBODY = tenacity.Retrying()
"""Whose attempts they are: a wait asks for the number of an attempt alone."""


class Pauses:
    """Pauses that double with each failure in a row, from the first to the longest. A wait of tenacity, too."""

    def __init__(self, *, first: float, longest: float, least: float = 1.0) -> None:
        """``first`` and ``longest`` in seconds. A random part of each pause is taken, from the share ``least`` (0 to 1)
        to the whole: what failed together is not tried again together. With 1 nothing is random.
        """
        sure, random = least, 1.0 - least
        self._wait = tenacity.wait_exponential(multiplier=sure * first, max=sure * longest)
        self._more = tenacity.wait_random_exponential(multiplier=random * first, max=random * longest)
        self.longest = longest

    def after(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row, at least one."""
        state = tenacity.RetryCallState(_NOBODY, None, (), {})
        state.attempt_number = failures
        return self(state)

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        """Seconds to wait after an attempt, as tenacity asks."""
        return self._wait(retry_state) + self._more(retry_state)

    def __iter__(self) -> Iterator[float]:
        """All of them, without end."""
        return map(self.after, count(1))
