"""The dry run says what the real loop does, step by step: a part of what ``looped.py`` does by the hundred."""

from __future__ import annotations

import pytest
from foresight import day
from looped import differences, seeds
from worlds import T0

from tidegate.planning.foresee import Foresight, foresight

HOURS = 2.0
DAYS = [seed for seed in seeds(3, 40) if foresight(day(seed), T0, T0 + HOURS * 3600.0).steps][:5]
"""Those in which something is done in these hours."""


@pytest.mark.parametrize("seed", DAYS)
def test_the_dry_run_says_what_the_loop_does(seed: int) -> None:
    assert list(differences(seed, HOURS)) == []


def test_these_days_would_notice_a_dry_run_that_says_nothing() -> None:
    assert [seed for seed in DAYS if list(differences(seed, HOURS, foreseen=Foresight()))] == DAYS
