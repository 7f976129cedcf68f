"""The instants that a timetable is worked out on."""

from __future__ import annotations

from pools import cores, facts, job, lane, need, pool

from tidegate.planning.shift.asks import asks_of
from tidegate.planning.shift.grid import PIECE_TIMES_MOST, instants
from tidegate.planning.shift.pieces import stocks_of

T0 = 1_794_240_000.0
END = T0 + 7200.0
BARE = pool(lane("trading"), lane("data"))


def inside(count: int) -> list[float]:
    """The instants between now and the end, of a pool whose jobs may stop one after the other."""
    seen = facts(cores(200), *(job(f"j{n}", running_since=T0 + 10.0 * n) for n in range(count)))
    asks = asks_of(BARE, seen, [need("show", T0, END, cores(100))], (), T0)
    times = instants(asks, stocks_of(BARE, seen, T0), (), T0, turns=False, most=1000)
    assert (times[0], times[-1]) == (T0, END)
    return list(times[1:-1])


def test_a_few_instants_at_which_pieces_may_stop_are_all_told_apart() -> None:
    assert len(inside(PIECE_TIMES_MOST)) == PIECE_TIMES_MOST


def test_of_many_instants_at_which_pieces_may_stop_some_are_kept_the_last_among_them() -> None:
    few, many = inside(PIECE_TIMES_MOST), inside(100)
    assert PIECE_TIMES_MOST / 2 <= len(many) <= PIECE_TIMES_MOST + 1
    assert many[-1] == few[-1] + 10.0 * (100 - PIECE_TIMES_MOST)
