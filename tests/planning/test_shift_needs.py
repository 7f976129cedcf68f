"""How levels of a day come down: as a rule for each cell says it, whatever cells are not looked at."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.planning.shift.needs import _stepped_down

RUNS = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 30)), min_size=1, max_size=8)
"""Cells and the units that are written in them."""


def cell_by_cell(written: list[int], share: float) -> list[int]:
    """No level falls by more than a share of the highest of its stretch, and by one at the least."""
    made, highest = [written[0]], written[0]
    for level in written[1:]:
        highest = max(highest, level) if made[-1] > 0 else level
        made.append(max(level, made[-1] - max(1, math.floor(share * highest))))
    return made


@settings(max_examples=300)
@given(RUNS, st.sampled_from([0.0, 0.01, 0.15, 0.5, 1.0]))
def test_levels_fall_by_no_more_than_a_share_of_their_stretch(runs: list[tuple[int, int]], share: float) -> None:
    written = [units for cells, units in runs for _ in range(cells)]
    assert _stepped_down(np.array(written, dtype=np.int64), share).tolist() == cell_by_cell(written, share)


def test_what_was_written_is_left_as_it_is() -> None:
    written = np.array([0, 8, 0, 0], dtype=np.int64)
    assert _stepped_down(written, 0.5).tolist() == [0, 8, 4, 0]
    assert written.tolist() == [0, 8, 0, 0]
