"""Two samples that share nothing confirm each other; what one alone said is a doubt, and doubts end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidegate.control.confirmation import DOUBT_SECONDS, GAP, Confirmation
from tidegate.planning.model import Doubt, Freshness, Reading

T = 1_794_240_000.0


def fed(*samples: tuple[float, float], span: float = 0.0) -> Confirmation:
    one = Confirmation()
    for at, value in samples:
        one.take(Reading(Freshness.FRESH, value, T + at, stamp=T + at, span=span), T + at)
    return one


def test_one_sample_confirms_nothing_and_is_a_doubt() -> None:
    one = fed((0.0, 40.0))
    assert (one.confirmed, one.doubt) == (None, Doubt(40.0, T))


def test_the_same_sample_read_twice_is_one_sample() -> None:
    assert fed((0.0, 40.0), (0.0, 40.0)).confirmed is None


def test_the_same_sample_is_the_same_though_our_own_clock_went_on() -> None:
    one = Confirmation()
    for late in (0.0, 5.0):
        one.take(Reading(Freshness.FRESH, 40.0, T + late, stamp=T), T + late)
    assert one.confirmed is None


def test_two_samples_confirm_the_smaller() -> None:
    assert fed((0.0, 40.0), (15.0, 38.0)).confirmed == 38.0
    assert fed((0.0, 40.0), (15.0, 60.0)).confirmed == 40.0


def test_a_spike_of_one_scrape_is_never_confirmed_and_remembered_for_an_hour() -> None:
    one = fed((0.0, 10.0), (15.0, 10.0), (30.0, 10_000.0), (45.0, 10.0), (60.0, 11.0))
    assert (one.confirmed, one.doubt) == (10.0, Doubt(10_000.0, T + 30.0))
    assert one.known_doubt(T + 30.0 + DOUBT_SECONDS) is not None
    assert one.known_doubt(T + 31.0 + DOUBT_SECONDS) is None


def test_a_bad_scrape_in_a_window_of_a_minute_is_not_confirmed_by_the_same_minute() -> None:
    """58 s of readings all rest on the one scrape."""
    calm = [(at, 10.0) for at in range(-120, 0, 15)]
    spiked = [(float(at), 10_000.0) for at in range(0, 60, 15)]
    one = fed(*calm, *spiked, (60.0, 10.0), span=60.0)
    assert one.confirmed == 10.0
    assert max(fed(*calm, *spiked[:n], span=60.0).confirmed or 0.0 for n in range(1, 5)) == 10.0


def test_demand_that_lasts_longer_than_its_window_is_confirmed() -> None:
    steps = [(float(at), 10.0 if at < 0 else 100.0) for at in range(-120, 90, 15)]
    assert fed(*steps, span=60.0).confirmed == 100.0


def test_a_late_replicas_older_sample_confirms_nothing() -> None:
    assert fed((0.0, 40.0), (-5.0, 40.0)).confirmed is None
    assert fed((0.0, 40.0), (-5.0, 40.0), (0.0, 40.0)).confirmed is None


def test_a_clock_that_was_set_back_does_not_end_confirming() -> None:
    assert fed((7200.0, 40.0), (0.0, 50.0), (15.0, 60.0)).confirmed == 50.0


def test_samples_of_before_a_long_gap_confirm_nothing_of_after_it() -> None:
    one = fed((0.0, 9000.0), (15.0, 10.0), (GAP + 16.0, 9000.0))
    assert one.confirmed == 10.0


def test_samples_that_may_be_hours_old_confirm_each_other_hours_apart() -> None:
    one = Confirmation()
    for at in (0.0, 3000.0):
        one.take(Reading(Freshness.FRESH, 40.0, T + at), T + at, stale_after=7200.0)
    assert one.confirmed == 40.0


def test_noise_is_no_doubt() -> None:
    assert fed((0.0, 40.0), (15.0, 44.0), (30.0, 48.0)).doubt is None


def test_a_partial_answer_refutes_nothing_and_may_confirm_more() -> None:
    one = fed((0.0, 40.0), (15.0, 40.0))
    one.take(Reading(Freshness.PARTIAL, 20.0, T + 30.0), T + 30.0)
    assert one.confirmed == 40.0
    for at in (45.0, 60.0):
        one.take(Reading(Freshness.PARTIAL, 80.0, T + at), T + at)
    assert one.confirmed == 80.0


@given(st.lists(st.tuples(st.integers(0, 4000), st.floats(0, 1e9)), max_size=60), st.sampled_from([0.0, 60.0, 3600.0]))
def test_what_is_confirmed_was_reached_by_two_samples_and_little_is_kept(
    samples: list[tuple[int, float]], span: float
) -> None:
    one = fed(*((float(at), value) for at, value in sorted(samples)), span=span)
    if one.confirmed is not None:
        assert sum(value >= one.confirmed for _, value in samples) >= 2
    assert len(one._slots) <= 20


def test_a_reading_without_a_value_changes_nothing() -> None:
    one = fed((0.0, 40.0), (15.0, 40.0))
    one.take(Reading(Freshness.EMPTY, None, T + 30.0), T + 30.0)
    assert (one.confirmed, one.doubt) == (40.0, None)
