"""A leader that dies is followed by one that decides the same: a part of what ``survival.py`` does by the hundred."""

from __future__ import annotations

import pytest
from survival import has_pool, survives

PLAIN = [seed for seed in range(1_000_000, 1_000_044) if not has_pool(seed)][:20]
WITH_POOL = [1_000_002, 1_000_011, 1_000_018]
"""In two of them work is lent at the death."""


@pytest.mark.parametrize("seed", PLAIN + WITH_POOL)
async def test_the_next_leader_says_of_each_level_what_the_last_one_said(seed: int) -> None:
    assert await survives(seed) == []


async def test_these_worlds_would_notice_that_what_was_learned_is_lost() -> None:
    assert sum([bool(await survives(seed, forgotten=True)) for seed in PLAIN[:6]]) >= 2
