"""Events from files, and announcements that are wrong in stated ways."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plays import case, peak, show

from tidegate.backtest.announcing import announced_curve, background_of, live_event, with_expectations
from tidegate.backtest.happenings import WITHOUT_END, Happening, of_announcements, perturbed, read_happenings
from tidegate.backtest.series import ANCHOR, InputError
from tidegate.planning.model import Announcement, Key, Moment, Occurrence


def read(folder: Path, text: str) -> tuple[Happening, ...]:
    path = folder / "events.csv"
    path.write_text(text)
    return read_happenings(path)


def test_columns_are_found_by_how_their_names_begin(tmp_path: Path) -> None:
    text = "start_utc_realised,type,name,end_utc_realised\n2019-01-06T17:00:00Z,run,Knight,2019-01-06T18:00:00Z\n"
    (one,) = read(tmp_path, text)
    assert (one.name, one.kind, one.end - one.start, one.expected) == ("Knight", "run", 3600.0, None)


def test_an_event_without_an_end_takes_two_hours_and_expected_counts(tmp_path: Path) -> None:
    later, first = "2019-01-06T19:00:00Z", "2019-01-06T17:00:00Z"
    found = read(tmp_path, f"start,expected\n{later},5\n{first},\n")
    assert [one.expected for one in found] == [None, 5.0]
    assert found[0].end - found[0].start == WITHOUT_END


def test_who_announces_an_event_is_read_and_announced(tmp_path: Path) -> None:
    known, unknown = read(tmp_path, "start,host,tier\n2019-01-06T17:00:00Z,lena,head\n2019-01-06T19:00:00Z,,\n")
    assert [(one.host, one.tier) for one in (known, unknown)] == [("lena", "head"), ("", "")]
    announced = live_event(known, 0, 1.0)
    assert (announced.host, announced.tier) == ("lena", "head")
    assert of_announcements([announced], "demand")[0].host == "lena"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("when,name\n1,a\n", "no column begins with start"),
        ("start,end\n20,10\n", "the event ends before it begins"),
        ("start,expected\n20,many\n", "expected: 'many' is no demand"),
        ("start\nsoon\n", "line 2: start: 'soon' is no instant"),
    ],
)
def test_a_bad_row_is_told(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(tmp_path, text)


def week(count: int = 40) -> list[Happening]:
    return [show(86_400.0 * i, 3600.0, 10.0, name=f"show-{i}") for i in range(count)]


def test_wrong_by_a_fifth_is_a_fifth() -> None:
    assert {one.factor for one in perturbed(week(), "low20", 1)} == {0.8}
    assert {one.factor for one in perturbed(week(), "high20", 1)} == {1.2}


def test_slips_have_the_median_that_was_measured_and_keep_what_is_expected() -> None:
    before = {one.name: one for one in week(400)}
    slips = [before[one.name].start - one.start for one in perturbed(week(400), "slips", 1)]
    assert -3600.0 < float(np.median(slips)) < -1200.0  # 39 min early in the median
    assert 2400.0 < float(np.median(np.abs(slips))) < 3600.0  # 49.5 min
    assert min(slips) >= -8700.0
    assert max(slips) <= 4620.0


def test_one_announced_event_in_four_is_cancelled_and_none_of_them_meets_another() -> None:
    found = perturbed(week(), "phantoms", 1)
    phantoms = [one for one in found if one.withdrawn_at is not None]
    assert len(phantoms) / len(found) == pytest.approx(0.25, abs=0.01)
    for one in phantoms:
        assert one.withdrawn_at is not None
        assert one.withdrawn_at > one.start
        assert all(one.end <= other.start or one.start >= other.end for other in found if other is not one)


def test_some_hosts_claim_double() -> None:
    factors = [one.factor for one in perturbed(week(400), "boasters", 1)]
    assert set(factors) == {1.0, 2.0}
    assert 0.12 < factors.count(2.0) / 400 < 0.28


def test_whoever_claims_double_does_so_each_time_and_in_each_edition() -> None:
    first, second = (perturbed(week(400), "boasters", seed) for seed in (1, 2))
    boasters = {one.host for one in first if one.factor == 2.0}
    assert len(boasters) == 2
    assert {one.host for one in second if one.factor == 2.0} == boasters
    assert not boasters & {one.host for one in (*first, *second) if one.factor == 1.0}


def test_hosts_that_the_file_names_stay_who_they_are_and_some_of_them_claim_double() -> None:
    named = [replace(one, host=f"room-{n % 50}") for n, one in enumerate(week(400))]
    found = perturbed(named, "boasters", 1)
    assert [one.host for one in found] == [one.host for one in named]
    assert 0.05 < sum(one.factor == 2.0 for one in found) / 400 < 0.4


def test_the_same_seed_gives_the_same_announcements_and_another_does_not() -> None:
    assert perturbed(week(), "slips", 1) == perturbed(week(), "slips", 1)
    assert perturbed(week(), "slips", 1) != perturbed(week(), "slips", 2)


def test_a_right_announcement_is_the_peak_less_the_background_shared_by_who_begins_together() -> None:
    demand = peak(1000, 6000.0, 3600.0, 10.0, 50.0)
    twins = [Happening(name, "event", ANCHOR + 6000.0, ANCHOR + 9600.0) for name in "ab"]
    asked = case(demand)
    assert background_of(asked.grid, twins, len(demand)) == 10.0
    assert [one.expected for one in with_expectations(asked.grid, twins, 10.0)] == [20.0, 20.0]


def test_what_the_file_expects_is_announced_as_it_stands() -> None:
    asked = case(peak(1000, 6000.0, 3600.0, 10.0, 50.0))
    (one,) = with_expectations(asked.grid, [show(6000.0, 3600.0, 7.0)], 10.0)
    assert one.expected == 7.0


def test_a_live_event_is_in_the_unit_of_the_series_and_as_wrong_as_it_is_announced() -> None:
    (wrong,) = perturbed([show(6000.0, 3600.0, 30.0, kind="kickoff")], "low20", 1)
    event = live_event(wrong, 0, capacity=2.0)
    assert dict(event.expected) == {"demand": pytest.approx(48.0)}
    assert event.profile == "match"


def test_of_a_live_event_only_the_moments_of_the_demands_signal_are_taken() -> None:
    moments = (Moment("a", "orders", 60.0, 60.0, factor=2.0), Moment("b", "viewers", 60.0, 60.0, factor=9.0))
    expected = (("orders", 10.0), ("viewers", 900.0))
    occurrences = (Occurrence(ANCHOR, 600.0), Occurrence(ANCHOR + 86_400.0, 600.0))
    announced = Announcement(Key("shop", "show"), "p", occurrences, expected, "show", moments=moments)
    found = of_announcements([announced], "orders")
    assert [(one.start, one.expected, one.kind) for one in found] == [
        (ANCHOR, 10.0, "show"),
        (ANCHOR + 86_400.0, 10.0, "show"),
    ]
    event = live_event(found[0], 3, capacity=1.0)
    assert [(one.name, one.signal) for one in event.moments] == [("a", "demand")]
    assert event.occurrences == occurrences[:1]


def test_the_announced_curve_adds_events_to_the_background() -> None:
    asked = case(np.ones(1000), [show(3000.0, 3000.0, 20.0), show(4500.0, 3000.0, 10.0)], background=5.0)
    curve = announced_curve(asked)
    assert (curve[0], curve[220], curve[350], curve[450]) == (5.0, 25.0, 35.0, 15.0)
