"""One level that is judged."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from fault_scene import Workload


@dataclass
class Field:
    """One level, as its owner and we have written it."""

    workload: Workload
    value: int
    intent: int
    intent_at: float = -math.inf
    intent_before: int = 0
    read_at: float = -math.inf  # by an operator
    foreign_at: float = -math.inf
    reapplied: list[float] = field(default_factory=list)
    ours: set[int] = field(default_factory=set)
    """What we have written since it was last returned."""
    ever: set[int] = field(default_factory=set)
    """What we have ever written."""
    copied: bool = False  # somebody brought a level of ours back
    low_since: float | None = None
    unwritten_since: float | None = None
    """Since when it is borrowed and no Loan says so."""
    spoilt: tuple[float, float] | None = None  # while somebody has made its Loan unreadable

    def __str__(self) -> str:
        return "/".join(self.workload.key)
