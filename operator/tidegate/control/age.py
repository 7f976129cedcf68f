"""How old what is known is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Age(NamedTuple):
    """Of one kind of knowledge, in seconds; 0 where nothing is known, or wanted."""

    youngest: float = 0.0
    """Nothing is younger: what holds one thing up leaves this as it is, what holds all up does not."""
    oldest: float = 0.0

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Age:
        """The age of some things, those of the future count as of now."""
        every = [max(0.0, one) for one in seconds]
        return cls(min(every), max(every)) if every else cls()
