"""Need and lead of one target, cell by cell."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tidegate.planning.leadtime import Lag
from tidegate.planning.timeline import Timeline

FIRST, CELL = 100, 15.0
UNITS = [0, 0, 5, 8, 0, 0, 20, 0]


def line(units: list[int] = UNITS, *, machine_lead: float = 0.0, machine_above: int = 0) -> Timeline:
    """No queue, a fixed lead of 60 s, nothing held."""
    nothing = np.zeros(len(units))
    starts = (FIRST + np.arange(len(units))) * CELL
    return Timeline(
        units=np.array(units, dtype=np.int64),
        first=FIRST,
        cell=CELL,
        lag=Lag(nothing, nothing, starts, 0.0),
        fixed_lead=60.0,
        machine_lead=machine_lead,
        machine_above=machine_above,
        shift=0.0,
        hold=0.0,
        longest_lead=60.0 + machine_lead,
    )


def start(column: int) -> float:
    return (FIRST + column) * CELL


@pytest.mark.parametrize(("column", "want"), [(1, -math.inf), (2, None), (3, None), (4, start(4)), (5, start(4))])
def test_a_need_ends_with_its_last_cell(column: int, want: float | None) -> None:
    assert line().ended_before(start(column)) == want


def test_a_need_that_fits_on_the_machines_that_are_there_waits_for_none() -> None:
    one = line(machine_lead=300.0, machine_above=8)
    assert one.next_rise(start(0), 0, start(4)) == (start(2) - 60.0, 5)


def test_a_need_beyond_the_machines_that_are_there_is_written_so_much_sooner() -> None:
    one = line(machine_lead=300.0, machine_above=8)
    assert one.next_rise(start(0), 8, start(7)) == (start(6) - 360.0, 20)
