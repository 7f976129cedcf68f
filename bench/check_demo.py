"""Whether the demonstration kept what it promises.

    tidegate demo --output json | python bench/check_demo.py

Prints every promise with its figure; exit code 1 when one is broken or a figure is missing.
"""

from __future__ import annotations

import json
import math
import operator
import sys
from collections.abc import Callable
from typing import Any

PROMISES: list[tuple[str, str, Callable[[float, float], bool], float]] = [
    ("lost_demand_percent", "<", operator.lt, 0.5),
    ("lost_first_96s_percent", "<", operator.lt, 1.0),
    ("lost_first_10min_percent", "<", operator.lt, 1.0),
    ("cost_ratio", "<=", operator.le, 1.3),
    ("ready_before_t0_seconds", ">", operator.gt, 0.0),
]
"""Figure of Tidegate, comparison and bound. The cost is that of a clairvoyant plan of the same hours = 1."""


def broken(result: dict[str, Any]) -> list[str]:
    """Check a result, printing each promise; returns those that are broken."""
    figures = result.get("tidegate") or {}
    found = []
    for name, sign, holds, bound in PROMISES:
        value = figures.get(name)
        kept = isinstance(value, int | float) and math.isfinite(value) and holds(value, bound)
        line = f"{'kept  ' if kept else 'BROKEN'} {name} {value} {sign} {bound:g}"
        print(line)
        if not kept:
            found.append(line)
    return found


def main() -> int:
    try:
        result = json.load(sys.stdin)
    except json.JSONDecodeError as error:
        print(f"no result of a demonstration on standard input: {error}", file=sys.stderr)
        return 1
    return 1 if broken(result) else 0


if __name__ == "__main__":
    sys.exit(main())
