"""The solver of simulated time: a timetable is there at once, because no time passes while it is made."""

from __future__ import annotations

from tidegate.planning.shift.inputs import Timetabled, TimetableInputs
from tidegate.planning.shift.plan import timetable


class InlineSolver:
    """Makes timetables where it is asked: for turns, demonstrations and tests."""

    async def solve(self, inputs: TimetableInputs) -> Timetabled:
        """The timetable of a pool."""
        return timetable(inputs)
