"""A leader that dies is followed by one that decides the same: a part of what ``survival.py`` does by the hundred."""

from __future__ import annotations

import pytest
from survival import both_say, has_pool, survives

PLAIN = [seed for seed in range(1_000_000, 1_000_044) if not has_pool(seed)][:20]
WITH_POOL = [1_000_002, 1_000_011, 1_000_018]
"""In two of them work is lent at the death."""
LENT = [1_000_027, 1_000_035, 1_000_040]
"""In these a level is lifted at the death of which the next leader, who knows nothing else, decides otherwise."""


@pytest.mark.parametrize("seed", PLAIN + WITH_POOL)
async def test_the_next_leader_says_of_each_level_what_the_last_one_said(seed: int) -> None:
    assert await survives(seed) == []


async def test_these_worlds_would_notice_that_what_was_learned_is_lost() -> None:
    assert sum([bool(await survives(seed, forgotten=True)) for seed in PLAIN[:6]]) >= 2


@pytest.mark.parametrize("seed", LENT)
async def test_whoever_has_nothing_of_what_was_learned_lowers_no_level(seed: int) -> None:
    """Nor does he know the version before of what became invalid meanwhile."""
    last, says = await both_say(seed, forgotten=True)
    levels = {name: (last[name][0], says[name][0]) for name in last.keys() & says.keys()}
    assert [name for name, (before, after) in levels.items() if not before <= after] == []  # type: ignore[operator]
    assert any(last[name] != says[name] and last[name][0] != 2 for name in levels), "something else was known before"
