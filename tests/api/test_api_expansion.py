"""Which days a rule names: beside an expansion day by day, beside dateutil, and never for long."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import datetime
from itertools import islice

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st
from rules_by_hand import UTC, ByHand, random_case, starts_of

from tidegate.api.expansion import FIRST_SEARCH, first_start, is_start, last_start, local_starts
from tidegate.api.parse import parse_live_event
from tidegate.api.problems import InvalidObject
from tidegate.api.recurrence import RuleError, parse_rule

# ---- beside others


@pytest.mark.parametrize("part", range(8))
def test_random_rules_name_the_days_that_asking_each_day_gives(part: int) -> None:
    """Eight parts of 40; ``python tests/api/rules_by_hand.py`` asks for ten thousand."""
    draw, compared = random.Random(part), 0
    for _ in range(40):
        text, start, since, until = random_case(draw)
        want = [local for local in ByHand(text, start).starts(until) if local >= since]
        with suppress(RuleError):  # a COUNT that is not reached for long
            assert starts_of(text, start, since=since, until=until) == want, (text, start)
            compared += 1
    assert compared > 30


@pytest.mark.parametrize("part", range(4))
def test_rules_whose_meaning_is_undisputed_name_the_days_that_dateutil_gives(part: int) -> None:
    draw = random.Random(100 + part)
    for _ in range(100):
        text, start, since, until = random_case(draw)
        weekdays = dict(one.split("=") for one in text.split(";")).get("BYDAY", "").split(",")
        if len({len(day) > 2 for day in weekdays}) > 1 or ("WEEKLY" in text and "SETPOS" in text):
            continue  # it loses plain weekdays beside counted ones, and begins the first week with the start
        try:
            ours = starts_of(text, start, since=start, until=until)
        except RuleError:
            continue
        theirs = list(islice(rrulestr(text, dtstart=start), len(ours))) if ours else []  # beyond, it may look for ever
        assert ours == theirs, (text, start)
        assert starts_of(text, start, since=since, until=until) == [one for one in theirs if one >= since]


# ---- what RFC 5545 says


@pytest.mark.parametrize(
    ("text", "start", "want"),
    [
        ("FREQ=MONTHLY;BYDAY=MO,FR,1FR", "2026-12-04", "2026-12-04 2026-12-07 2026-12-11 2026-12-14 2026-12-18"),
        ("FREQ=MONTHLY;BYDAY=MO,-1SU", "2026-12-07", "2026-12-07 2026-12-14 2026-12-21 2026-12-27 2026-12-28"),
        ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "2026-02-13", "2026-02-13 2026-03-13 2026-11-13 2027-08-13"),
        ("FREQ=YEARLY;BYDAY=20MO", "1997-05-19", "1997-05-19 1998-05-18 1999-05-17"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "1997-05-12", "1997-05-12 1998-05-11 1999-05-17"),
        ("FREQ=MONTHLY;BYDAY=TU,WE,TH;BYSETPOS=3", "1997-09-04", "1997-09-04 1997-10-07 1997-11-06"),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2", "1997-09-29", "1997-09-29 1997-10-30 1997-11-27"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=MO", "1997-08-05", "1997-08-05 1997-08-10 1997-08-19 1997-08-24"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU", "1997-08-05", "1997-08-05 1997-08-17 1997-08-19 1997-08-31"),
        ("FREQ=WEEKLY;BYDAY=MO,WE;BYSETPOS=-1", "2026-12-02", "2026-12-02 2026-12-09 2026-12-16"),
        ("FREQ=MONTHLY;BYMONTHDAY=15,30", "2007-01-15", "2007-01-15 2007-01-30 2007-02-15 2007-03-15"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "2096-02-29", "2096-02-29"),
    ],
)
def test_examples(text: str, start: str, want: str) -> None:
    """Most are those of RFC 5545, 3.8.5.3."""
    begin = datetime.fromisoformat(start)
    assert is_start(parse_rule(text), begin, UTC)
    found = islice(local_starts(parse_rule(text), begin, since=begin, until=datetime.max), len(want.split()))
    assert [local.date().isoformat() for local in found] == want.split()


@pytest.mark.parametrize(
    "text", ["FREQ=YEARLY;BYMONTH=12;BYDAY=12MO", "FREQ=MONTHLY;BYDAY=-53SU", "FREQ=YEARLY;BYWEEKNO=5;BYDAY=1MO"]
)
def test_a_counted_weekday_that_no_period_has_is_refused_in_words(text: str) -> None:
    with pytest.raises(RuleError) as refused:
        parse_rule(text)
    assert "BYDAY=" in refused.value.wrong


# ---- never for long

SLOW = [
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=WEEKLY;BYSETPOS=2;BYDAY=MO",
    "FREQ=DAILY;BYSETPOS=2",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=366",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;COUNT=366",
    "FREQ=DAILY;BYYEARDAY=366;BYDAY=MO;BYWEEKNO=1;COUNT=366",
    "FREQ=YEARLY;INTERVAL=366;COUNT=366",
    "FREQ=DAILY;UNTIL=99991231T235959Z",
    "FREQ=DAILY;UNTIL=00010101T000000Z",
    "FREQ=MONTHLY;BYDAY=1FR;BYMONTHDAY=13",
]


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/Los_Angeles"])
@pytest.mark.parametrize("start", ["2000-01-01T00:00:00", "2096-02-29T00:00:00", "2099-12-31T23:59:59"])
@pytest.mark.parametrize("text", SLOW)
def test_any_rule_is_parsed_or_refused_in_words_after_few_looks_at_days(
    text: str, start: str, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A century has 36,525 days."""
    from tidegate.api import expansion

    looked, real = [0], expansion._is_named

    def counting(*given: object) -> bool:
        looked[0] += 1
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(expansion, "_is_named", counting)
    spec = {
        "schedule": {"startTime": start, "timeZone": zone, "durationSeconds": 600, "recurrence": {"rrule": text}},
        "expected": {"orders": 10},
        "policyRef": {"name": "core"},
    }
    now = 1_794_240_000.0
    with suppress(InvalidObject):  # any other error is one of ours
        parsed = parse_live_event({"metadata": {"name": "e", "namespace": "shop"}, "spec": spec})
        assert looked[0] <= 37_000
        looked[0] = 0
        parsed.announcement(now - 3 * 86_400, now + 3 * 86_400)
        parsed.next_occurrence(now)
    assert looked[0] <= 37_000


def test_a_count_that_is_not_reached_for_long_is_refused_and_a_plain_one_is_not() -> None:
    start = datetime(2026, 11, 13, 20)
    with pytest.raises(RuleError, match="COUNT=300 is not reached within 40 years"):
        last_start(parse_rule("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13;COUNT=300"), start, UTC)
    assert last_start(parse_rule("FREQ=YEARLY;COUNT=60"), start, UTC) == datetime(2085, 11, 13, 20)
    assert last_start(parse_rule("FREQ=YEARLY;COUNT=366"), start, UTC) is None


def test_the_first_start_is_looked_for_no_further_than_nine_years() -> None:
    start = datetime(2097, 3, 1)
    assert first_start(parse_rule("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"), start, UTC) is None
    leap = first_start(parse_rule("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29"), datetime(2001, 1, 1), UTC)
    assert leap == datetime(2004, 2, 29) < datetime(2001, 1, 1) + FIRST_SEARCH


@given(st.text(alphabet="FREQ=DAILYWKMONTH;BUSPC0123456789,-+Z", max_size=60))
@settings(deadline=None, max_examples=300)
def test_any_text_is_a_rule_or_refused_in_words(text: str) -> None:
    with suppress(RuleError):  # any other error is one of ours
        starts = list(local_starts(parse_rule(text), datetime(2026, 1, 1), since=datetime.min, until=datetime.max))
        assert starts == sorted(set(starts))
