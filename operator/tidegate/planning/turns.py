"""Where time alone may change what is decided for a target that holds a loan.

A step up tells its own instant beforehand. A step down follows when something falls that keeps the level: a need whose
hold ends, a need that is waited for no longer, or the wait between two steps. Each falls only at instants that follow
from where the need changes.
"""

from __future__ import annotations

import numpy as np

from tidegate.planning.guardrails import RELEASE_INTERVAL, pause
from tidegate.planning.model import LoanState, Release
from tidegate.planning.timeline import Timeline


def turns(line: Timeline | None, loan: LoanState, release: Release, now: float) -> list[float]:
    """Instants after ``now`` at which something that keeps the level may fall: the first of each kind."""
    times = [loan.stepped_at + pause(release, loan.highest), loan.until]
    if line is not None:
        columns = np.flatnonzero(np.diff(line.units) < 0) + 1  # the first of each smaller need
        starts, before = (columns + line.first) * line.cell, line.units[columns - 1]
        ends = starts + line.hold + line.shift
        for kept in {line.due_at(now), line.due_at(now, ahead=line.longest_lead + RELEASE_INTERVAL)}:
            times += ends[(before >= kept) & (ends > now)][:1].tolist()
        rises = np.flatnonzero(np.diff(line.units) > 0) + 1  # what is waited for is here
        past, _ = line.around(now, loan.stepped_at, loan.until)
        times += [(column + line.first) * line.cell for column in rises[line.units[rises] > past].tolist()]
    return [at for at in times if at > now]
