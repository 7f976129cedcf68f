"""How many levels a second a plan may count on."""

from __future__ import annotations

from fakes import operator
from test_loop_freely import cluster_of, levels, store_of
from worlds import T0

from tidegate.control.writerate import FASTEST


async def test_a_server_that_answers_at_once_makes_our_own_process_no_faster() -> None:
    cluster = cluster_of()
    loop = operator(cluster, store_of())
    assert loop.memory.writes_per_second() <= FASTEST, "before anything was measured"
    while cluster.clock.at < T0 + 60.0:
        await loop.turn()
        cluster.clock.at += 10.0
    assert min(levels(cluster).values()) >= 10, "it has written"
    assert loop.memory.writes_per_second() == FASTEST
