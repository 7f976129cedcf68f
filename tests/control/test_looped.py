"""The dry run says what the real loop does, step by step: a part of what ``looped.py`` does by the hundred."""

from __future__ import annotations

import pytest
from looped import differences, seeds

from tidegate.planning.foresee import Foresight

DAYS = seeds(3, 5)


@pytest.mark.parametrize("seed", DAYS)
def test_the_dry_run_says_what_the_loop_does(seed: int) -> None:
    assert list(differences(seed, 2.0)) == []


def test_these_days_would_notice_a_dry_run_that_says_nothing() -> None:
    assert sum(bool(list(differences(seed, 1.0, foreseen=Foresight()))) for seed in DAYS) >= 2
