"""A leader that dies is followed by one that decides the same: a part of what ``survival.py`` does by the hundred."""

from __future__ import annotations

import pytest
from survival import survives

WORLDS = range(1_000_000, 1_000_024)


@pytest.mark.parametrize("seed", WORLDS)
async def test_the_next_leader_says_of_each_level_what_the_last_one_said(seed: int) -> None:
    assert await survives(seed) == []


async def test_these_worlds_would_notice_that_what_was_learned_is_lost() -> None:
    assert sum([bool(await survives(seed, forgotten=True)) for seed in WORLDS[:6]]) >= 2
