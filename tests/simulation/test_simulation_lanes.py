"""What a night on a pool is judged by: who held machines, what was promised and kept, what no lending would cost."""

from __future__ import annotations

import pytest

from tidegate.simulation.lanes import Held, LaneTrack, Waiting
from tidegate.simulation.promises import PromiseBook
from tidegate.simulation.splits import TwoClusters

# ---- lanes


def track() -> LaneTrack:
    made = LaneTrack()
    made.sample(10.0, Held(trading=16.0, data=64.0))
    made.sample(12.5, Held(trading=16.0, data=32.0, data_leaving=32.0))
    made.sample(13.0, Held(trading=48.0, data=32.0, trading_leaving=8.0))
    return made


def test_a_sample_holds_until_the_next_one() -> None:
    assert track().at(9.0) == Held()
    assert track().at(12.4).data == 64.0
    assert track().at(12.5).draining == 32.0
    assert track().at(99.0) == track().now


def test_a_curve_shows_what_was_held_when_each_second_was_over() -> None:
    curve = track().curve(lambda h: h.data, 9.0, 6)
    assert list(curve) == [0.0, 64.0, 64.0, 32.0, 32.0, 32.0]


def test_a_peak_between_two_seconds_counts() -> None:
    assert track().most(lambda h: h.draining) == 32.0


def test_samples_come_in_order_of_time() -> None:
    with pytest.raises(ValueError, match="order"):
        track().sample(5.0, Held())


def test_waiting_pods_are_counted_at_their_most_and_over_time() -> None:
    waiting = Waiting()
    for at, pods in ((0.0, 0), (10.0, 3), (12.0, 1), (20.0, 0)):
        waiting.sample(at, pods)
    assert (waiting.most, waiting.pod_seconds) == (3, 14.0)


# ---- promises


def test_a_promise_stands_until_the_work_runs_and_not_only_until_it_is_started() -> None:
    book = PromiseBook()
    book.stored("job", [100.0])
    book.stopped("job", 10.0, 1)
    book.stored("job", [])  # the Loan forgets it with the write that starts the work
    assert book.still_out == [("job", 100.0)]
    book.ran("job", 101.0, 1)
    assert (book.late(now=200.0), book.kept(now=200.0)) == (1, False)


def test_units_that_return_redeem_the_earliest_promises() -> None:
    book = PromiseBook()
    book.stored("loader", [100.0, 200.0, 200.0])
    book.stopped("loader", 10.0, 3)
    book.stored("loader", [200.0, 200.0])
    book.ran("loader", 90.0, 1)
    assert [one.promised for one in book.back] == [100.0]
    book.stored("loader", [])
    book.ran("loader", 150.0, 2)
    assert book.kept(now=300.0)
    assert book.given == 3


def test_work_that_is_out_beyond_its_promise_is_late() -> None:
    book = PromiseBook()
    book.stored("job", [100.0])
    assert (book.late(now=99.0), book.late(now=101.0)) == (0, 1)


def test_a_promise_that_moves_later_is_broken_and_one_that_moves_earlier_is_not() -> None:
    book = PromiseBook()
    book.stored("one", [100.0])
    book.stored("one", [90.0])
    assert book.moved_later == 0
    book.stored("one", [120.0])
    assert book.moved_later == 1
    assert not book.kept(now=50.0)


def test_a_second_unit_that_goes_out_moves_nobodys_promise() -> None:
    book = PromiseBook()
    book.stored("loader", [100.0])
    book.stored("loader", [100.0, 150.0])
    assert book.moved_later == 0


def test_work_that_was_stopped_without_a_promise_is_no_kept_promise() -> None:
    book = PromiseBook()
    book.stopped("job", 10.0, 1)
    assert book.unpromised == [("job", 10.0)]
    assert not book.kept(now=20.0)


def test_where_nothing_was_promised_nothing_was_kept() -> None:
    assert not PromiseBook().kept(now=1.0)


# ---- without lending


def test_two_clusters_hold_each_sides_peak_in_whole_machines() -> None:
    assert TwoClusters.of(track(), 16) == TwoClusters(trading=4, data=4)
