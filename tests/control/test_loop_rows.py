"""A StatefulSet that starts its units one after the other, and one that was made again to start them together."""

from __future__ import annotations

import pytest
from fakes import FakeCluster, FakeStore, HandClock, Thing, operator, run_until
from worlds import CORE, T0, event, policy, target

from tidegate.planning.model import LeadTimeGuess

KEY = (CORE, "order")
DAY = 86_400.0
EACH = 20.0
"""Seconds that one unit takes."""


@pytest.mark.parametrize("first", [True, False])
async def test_the_lead_follows_a_stateful_set_that_was_made_again_the_other_way(first: bool) -> None:
    """What the first evening taught of the one way is not believed of the other."""
    clock = HandClock(T0 - 900.0)
    cluster = FakeCluster(clock, {"order": Thing(ordered=first, start_seconds=EACH)})
    guessed = policy(target(lead=LeadTimeGuess(EACH)), hold=30.0)
    shows = [event("one", duration=600.0), event("two", start=T0 + DAY, duration=600.0)]
    loop = operator(cluster, FakeStore({CORE: guessed}, {show.key: show for show in shows}))
    await run_until(loop, clock, T0 + 3600.0)
    cluster.things["order"] = Thing(ordered=not first, start_seconds=EACH, uid="u2")
    clock.at = T0 + DAY - 900.0
    await run_until(loop, clock, T0 + DAY)
    written = [(at, level) for at, name, _, level in cluster.level_writes if at > T0 + DAY / 2]
    ((at, level), *_) = written
    leads = {True: EACH, False: 8 * EACH}
    assert level == 10
    assert at == pytest.approx(T0 + DAY - leads[first], abs=25.0)
    cluster.things["order"].advance(T0 + DAY)
    assert cluster.things["order"].ready == 10
    await run_until(loop, clock, T0 + DAY + 60.0)
    assert [one.ordered for one in loop.stopwatch.samples()[KEY]] == [not first]
