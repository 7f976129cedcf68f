"""Where time alone may change what is decided for a target that holds a loan.

A step up tells its own instant beforehand. A step down follows when something falls that keeps the level: a need whose
hold ends, a need that is waited for no longer, or the wait between two steps. Each falls only at instants that follow
from where the need changes.
"""

from __future__ import annotations

import numpy as np

from tidegate.planning.model import LoanState, Release
from tidegate.planning.release import RELEASE_INTERVAL, pause
from tidegate.planning.timeline import Timeline


def turns(line: Timeline | None, loan: LoanState, release: Release, level: int, now: float) -> list[float]:
    """Instants after ``now`` at which something that keeps a level may fall: the first of each kind."""
    times = [loan.stepped_at + pause(release, loan.highest), loan.until]
    if line is not None:
        times += falls(line, loan, level, now)
    return [at for at in times if at > now]


def falls(line: Timeline, loan: LoanState, level: int, now: float) -> list[float]:
    """Instants after ``now`` at which a need that keeps a level may fall: the first of each kind."""
    change = np.diff(line.units)
    columns = np.flatnonzero(change < 0) + 1  # the first of each smaller need
    columns = columns[line.units[columns] < max(level, 1)]
    starts, before = (columns + line.first) * line.cell, line.units[columns - 1]
    ends, times = starts + line.hold + line.shift, list[float]()
    for kept in {line.due_at(now), line.due_at(now, ahead=line.longest_lead + RELEASE_INTERVAL)}:
        times += ends[(before >= min(kept, level)) & (ends > now)][:1].tolist()
    past, coming = line.around(now, loan.stepped_at, loan.until)
    if past < min(coming, level):  # a need that the level was raised for, and that is waited for, is here one day
        here = line.column(now) + 1
        awaited = here + int((line.units[here:] >= min(coming, level)).argmax())
        times.append((awaited + line.first) * line.cell)
    return times
