"""Announced events as a calendar: what takes place when, and what is wrong, by file and line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tidegate.backtest.announcing import profile_of
from tidegate.backtest.calendars import announced_in, read_calendar
from tidegate.backtest.folder import read_suite
from tidegate.backtest.happenings import Happening
from tidegate.backtest.ical import MOST_BYTES
from tidegate.backtest.series import InputError, Series
from tidegate.cli.main import app

YEAR = (1_767_225_600.0, 1_798_761_600.0)
"""2026, in UTC."""


def write(folder: Path, *events: str, before: str = "", name: str = "shows.ics") -> Path:
    """A calendar with one VEVENT of each text."""
    parts = "".join(f"BEGIN:VEVENT\n{event.strip()}\nEND:VEVENT\n" for event in events)
    path = folder / name
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//shop//shows//EN\n{before}{parts}END:VCALENDAR\n"
    path.write_bytes(text.replace("\n", "\r\n").encode())
    return path


def read(folder: Path, *events: str, before: str = "", span: tuple[float, float] = YEAR) -> list[Happening]:
    return list(read_calendar(write(folder, *events, before=before), *span))


def starts(found: list[Happening]) -> list[str]:
    return [datetime.fromtimestamp(one.start, UTC).strftime("%Y-%m-%d %H:%M") for one in found]


def instant(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


# ---- one event


def test_an_event_has_its_time_name_type_and_what_is_expected(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "UID:1@shop\nDTSTAMP:20260101T000000Z\nDTSTART;TZID=Asia/Shanghai:20261111T000000\nDTEND:20261111T160000Z\n"
        "SUMMARY:Double 11\\, the opening\nCATEGORIES:Flash-Sale,big\nX-TIDEGATE-EXPECTED:90000\n",
    )
    want = Happening(
        "Double 11, the opening", "flash-sale", instant("2026-11-10T16:00"), instant("2026-11-11T16:00"), 90000.0
    )
    assert found == [want]
    assert profile_of(found[0]) == "flash-sale"


def test_what_an_event_leaves_out_is_as_in_a_csv_file(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "DTSTART:20260302T080000Z")
    assert (found.name, found.kind, found.expected, found.end - found.start) == ("event", "event", None, 7200.0)


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("PT2H", 7200), ("+PT90M", 5400), ("P1D", 86_400), ("P1W", 604_800), ("P1DT1H1M1S", 90_061), ("PT45S", 45)],
)
def test_a_duration_is_an_end(tmp_path: Path, duration: str, seconds: float) -> None:
    (found,) = read(tmp_path, f"DTSTART:20260302T080000Z\nDURATION:{duration}")
    assert found.end - found.start == seconds


def test_a_day_of_duration_is_a_day_of_the_calendar_and_an_hour_one_of_the_clock(tmp_path: Path) -> None:
    """Clocks in Berlin go forward in that night."""
    begin = "DTSTART;TZID=Europe/Berlin:20260328T200000\nDURATION:"
    hours = [(one.end - one.start) / 3600.0 for text in ("P1D", "PT24H") for one in read(tmp_path, begin + text)]
    assert hours == [23.0, 24.0]


def test_a_folded_line_is_one_line_even_where_the_fold_lies_within_a_character(tmp_path: Path) -> None:
    path = tmp_path / "folded.ics"
    name = "双十一".encode()
    body = (
        b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART:2026030\r\n 2T080000Z\r\nSUMMARY:"
        + name[:4]
        + b"\r\n\t"
        + name[4:]
    )
    path.write_bytes(b"\xef\xbb\xbf" + body + b" sale\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
    (found,) = read_calendar(path, *YEAR)
    assert (found.name, starts([found])) == ("双十一 sale", ["2026-03-02 08:00"])


def test_escapes_and_quoted_parameters_are_read_as_the_rfc_has_them(tmp_path: Path) -> None:
    (found,) = read(
        tmp_path,
        'DTSTART;X-NOTE="a:b;c,d","e";TZID="Asia/Shanghai":20260302T080000\n'
        "SUMMARY;LANGUAGE=en:one\\, two\\; three \\\\ four\\nfive\nCATEGORIES:a\\,b,c",
    )
    assert (found.name, found.kind) == ("one, two; three \\ four\nfive", "a,b")
    assert starts([found]) == ["2026-03-02 00:00"]


def test_alarms_to_dos_and_what_else_a_calendar_holds_are_no_events(tmp_path: Path) -> None:
    alarm = "BEGIN:VALARM\nTRIGGER:-PT15M\nDURATION:PT5M\nDESCRIPTION:soon\nEND:VALARM"
    found = read(tmp_path, f"DTSTART:20260302T080000Z\n{alarm}", before="BEGIN:VTODO\nSUMMARY:pay\nEND:VTODO\n")
    assert [(one.name, one.end - one.start) for one in found] == [("event", 7200.0)]


# ---- zones


def test_a_zone_is_that_of_the_database_whatever_the_file_says_of_its_clocks(tmp_path: Path) -> None:
    zone = (
        "BEGIN:VTIMEZONE\nTZID:Europe/Berlin\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+0500\n"
        "TZOFFSETTO:+0500\nEND:STANDARD\nEND:VTIMEZONE\n"
    )
    found = read(tmp_path, "DTSTART;TZID=Europe/Berlin:20260702T080000", before=zone)
    assert starts(found) == ["2026-07-02 06:00"]


@pytest.mark.parametrize(
    ("before", "name"),
    [
        ("", "/freeassociation.sourceforge.net/Europe/Berlin"),
        ("BEGIN:VTIMEZONE\nTZID:Our office\nX-LIC-LOCATION:Europe/Berlin\nEND:VTIMEZONE\n", "Our office"),
    ],
)
def test_a_zone_under_another_name_is_found_where_the_file_says_which_it_is(
    tmp_path: Path, before: str, name: str
) -> None:
    assert starts(read(tmp_path, f"DTSTART;TZID={name}:20260702T080000", before=before)) == ["2026-07-02 06:00"]


def test_times_that_name_no_zone_are_in_that_of_the_calendar(tmp_path: Path) -> None:
    before = "X-WR-TIMEZONE:Asia/Shanghai\n"
    events = ("DTSTART:20260302T080000", "DTSTART;VALUE=DATE:20261111")
    found = read(tmp_path, *events, before=before)
    assert starts(found) == ["2026-03-02 00:00", "2026-11-10 16:00"]
    assert found[1].end - found[1].start == 86_400.0


def test_days_end_before_the_day_that_is_their_end(tmp_path: Path) -> None:
    days = "DTSTART;VALUE=DATE:20261111\nDTEND;VALUE=DATE:20261113"
    (found,) = read(tmp_path, days, before="X-WR-TIMEZONE:Asia/Shanghai\n")
    assert found.end - found.start == 2 * 86_400.0


# ---- series


def test_a_series_takes_place_at_the_same_time_of_day_in_summer_and_winter(tmp_path: Path) -> None:
    rule = "DTSTART;TZID=Europe/Berlin:20250105T200000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;BYDAY=SU"
    found = read(tmp_path, rule, span=(instant("2026-03-20"), instant("2026-04-07")))
    assert starts(found) == ["2026-03-22 19:00", "2026-03-29 18:00", "2026-04-05 18:00"]


def test_a_series_is_bounded_by_the_demand_and_one_that_began_before_it_counts_on(tmp_path: Path) -> None:
    rule = "DTSTART:20200101T230000Z\nDURATION:PT2H\nRRULE:FREQ=DAILY"
    found = read(tmp_path, rule, span=(instant("2026-03-02"), instant("2026-03-04T23:00")))
    assert starts(found) == ["2026-03-01 23:00", "2026-03-02 23:00", "2026-03-03 23:00"]


def test_what_lasts_for_days_and_began_before_the_demand_is_on_when_it_begins(tmp_path: Path) -> None:
    rule = "DTSTART:20260101T000000Z\nDURATION:P5D\nRRULE:FREQ=WEEKLY"
    found = read(tmp_path, rule, span=(instant("2026-03-02T12:00"), instant("2026-03-03")))
    assert starts(found) == ["2026-02-26 00:00"]


def test_a_time_that_the_clocks_skip_is_an_hour_later_by_the_clock(tmp_path: Path) -> None:
    """2:30 in Berlin, in the night in which 2:00 is 3:00; the demand begins at 3:10."""
    rule = "DTSTART;TZID=Europe/Berlin:20260301T023000\nDURATION:PT10M\nRRULE:FREQ=DAILY"
    found = read(tmp_path, rule, span=(instant("2026-03-29T01:10"), instant("2026-03-29T12:00")))
    assert starts(found) == ["2026-03-29 01:30"]


@pytest.mark.parametrize("end", ["COUNT=3", "UNTIL=20260316T080000Z", "UNTIL=20260316"])
def test_a_series_ends_by_count_or_until(tmp_path: Path, end: str) -> None:
    found = read(tmp_path, f"DTSTART:20260302T080000Z\nRRULE:FREQ=WEEKLY;{end}")
    assert starts(found) == ["2026-03-02 08:00", "2026-03-09 08:00", "2026-03-16 08:00"]


def test_dates_are_taken_out_of_a_series_and_put_in(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "DTSTART;TZID=Asia/Shanghai:20260302T080000\nRRULE:FREQ=WEEKLY;COUNT=4\n"
        "EXDATE;TZID=Asia/Shanghai:20260309T080000,20260316T080000\nRDATE:20260401T000000Z",
    )
    assert starts(found) == ["2026-03-02 00:00", "2026-03-23 00:00", "2026-04-01 00:00"]


def test_one_time_of_a_series_is_moved_or_cancelled_by_an_event_of_its_own(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "UID:a\nDTSTART:20260302T080000Z\nRRULE:FREQ=WEEKLY;COUNT=3\nX-TIDEGATE-EXPECTED:10",
        "UID:a\nRECURRENCE-ID:20260309T080000Z\nDTSTART:20260309T100000Z\nX-TIDEGATE-EXPECTED:20",
        "UID:a\nRECURRENCE-ID:20260316T080000Z\nDTSTART:20260316T080000Z\nSTATUS:CANCELLED",
        "UID:b\nDTSTART:20260316T080000Z",
    )
    assert starts(found) == ["2026-03-02 08:00", "2026-03-09 10:00", "2026-03-16 08:00"]
    assert [one.expected for one in found] == [10.0, 20.0, None]


def test_what_is_cancelled_was_never_announced(tmp_path: Path) -> None:
    kept, gone = "DTSTART:20260302T080000Z", "DTSTART:20260309T080000Z\nRRULE:FREQ=DAILY\nSTATUS:CANCELLED"
    assert starts(read(tmp_path, kept, gone)) == ["2026-03-02 08:00"]


def test_what_lies_outside_of_the_demand_is_left_out(tmp_path: Path) -> None:
    events = [f"DTSTART:{day}T080000Z\nDURATION:PT1H" for day in ("20260301", "20260302", "20260303")]
    assert starts(read(tmp_path, *events, span=(instant("2026-03-02"), instant("2026-03-03")))) == ["2026-03-02 08:00"]


# ---- what is wrong

START = "DTSTART:20260302T080000Z\n"


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ("SUMMARY:x", "line 4: a VEVENT has no DTSTART; give one like"),
        ("DTSTART:20260302", "line 5: DTSTART: '20260302' is none; give a time 20261111T000000, or 20261110T160000Z"),
        ("DTSTART;VALUE=DATE:20260302T080000", "'20260302T080000' is none; give a day 20261111"),
        ("DTSTART:20260230T080000Z", "DTSTART: '20260230T080000Z' is none"),
        ("DTSTART:18000101T000000Z", "is too far away; give a year from 1970 to 2099"),
        ("DTSTART:20260302T080000", "nothing says in which zone the time is meant; give TZID"),
        ("DTSTART;VALUE=DATE:20260302", "nothing says in which zone a day begins"),
        ("DTSTART;TZID=UTC:20260302T080000Z", "is in UTC and has a TZID; give one of them"),
        (
            "DTSTART;TZID=W. Europe Standard Time:20260302T080000",
            "line 5: DTSTART: 'W. Europe Standard Time' is no zone of the IANA database, and what a VTIMEZONE says",
        ),
        ("DTSTART;TZID=Berlin:20260302T080000", "did you mean Europe/Berlin?"),
        (START + START, "line 6: DTSTART: is given twice; once in a VEVENT"),
        (START + "DTEND:20260302T080000Z", "line 6: DTEND: the event ends before it begins; give an end after DTSTART"),
        (START + "DURATION:PT0S", "DURATION: the event ends before it begins"),
        (START + "DURATION:-PT1H", "'-PT1H' is no duration; give one like PT2H"),
        (START + "DURATION:P", "'P' is no duration"),
        (START + "DURATION:PT", "'PT' is no duration"),
        (START + "DURATION:P1Y", "'P1Y' is no duration"),
        (START + "DURATION:PT1H\nDTEND:20260302T090000Z", "line 6: DURATION: is given beside DTEND; give one of them"),
        (START + "DTEND;VALUE=DATE:20260303", "one of this and DTSTART is a day and the other a time; give both alike"),
        (START + "RRULE:FREQ=HOURLY", "line 6: RRULE: FREQ=HOURLY repeats within a day; FREQ=DAILY or rarer"),
        (START + "RRULE:FREQ=DAILY;BYHOUR=9", "line 6: RRULE: BYHOUR moves the time of day"),
        (START + "RRULE:FREQ=WEEKLY;BYDAY=TU", "RRULE: does not name the day of DTSTART; let DTSTART be the"),
        (START + "EXRULE:FREQ=WEEKLY", "EXRULE: is not read; leave out times by EXDATE"),
        (START + "RDATE;VALUE=PERIOD:20260401T000000Z/PT1H", "is a list of periods; give times, or a VEVENT for each"),
        (START + "RRULE:FREQ=DAILY\nEXDATE;VALUE=DATE:20260303", "line 7: EXDATE: one of this and DTSTART is a day"),
        (START + "RECURRENCE-ID;RANGE=THISANDFUTURE:20260302T080000Z", "changes more than one time of a series"),
        (START + "X-TIDEGATE-EXPECTED:many", "line 6: X-TIDEGATE-EXPECTED: 'many' is no demand; give a number from 0"),
        (START + "X-TIDEGATE-EXPECTED:-1", "'-1' is no demand"),
        (START + "X-TIDEGATE-EXPECTED:nan", "'nan' is no demand"),
        (START + "SUMMARY", "line 6: 'SUMMARY' is no NAME;PARAMETER=…:value; is it a part of the line before?"),
        (START + "the rest of it: here", "line 6: 'the rest of it: here' is no NAME"),
        (START + "END:VCALENDAR", "line 6: END: VCALENDAR ends here, and VEVENT is open; let each BEGIN have its END"),
    ],
)  # fmt: skip
def test_a_bad_event_is_told_with_file_line_and_what_would_be_right(tmp_path: Path, event: str, says: str) -> None:
    with pytest.raises(InputError) as told:
        read(tmp_path, event)
    assert str(told.value).startswith(f"{tmp_path / 'shows.ics'}: line ")
    assert says in str(told.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no calendar; give a file that begins with BEGIN:VCALENDAR"),
        (b"start,end\n2026-03-02,2026-03-03\n", "line 1: 'start,end' is no NAME"),
        (b"BEGIN:VCARD\nEND:VCARD\n", "holds no calendar"),
        (b"DTSTART:20260302T080000Z\n", "line 1: DTSTART: stands outside of any calendar"),
        (b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:2026", "line 2: VEVENT has no END; was the file cut off?"),
        (b"END:VCALENDAR\n", "line 1: END: VCALENDAR ends here, and nothing is open"),
        (b" BEGIN:VCALENDAR\n", "line 1: continues no line"),
        (b"BEGIN:VCALENDAR\nSUMMARY:\xff\nEND:VCALENDAR\n", "line 2: is no UTF-8"),
        (b"BEGIN:VCALENDAR\nEND:VCALENDAR\n", "holds no VEVENT; give a calendar with the announced events"),
        (b" " * (MOST_BYTES + 1), "is larger than 16 MiB"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_file_that_is_no_calendar_is_told(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "x.ics"
    path.write_bytes(content)
    with pytest.raises(InputError) as told:
        read_calendar(path, *YEAR)
    assert says in str(told.value)
    with pytest.raises(InputError, match="cannot be read"):
        read_calendar(tmp_path / "none.ics", *YEAR)


# ---- in the command


def demand(folder: Path) -> Path:
    rows = [
        f"2026-03-02T{hour:02}:{minute:02}:00Z,{900 if hour == 8 else 100}"
        for hour in range(12)
        for minute in range(60)
    ]
    path = folder / "shop_orders.csv"
    path.write_text("timestamp,value\n" + "\n".join(rows) + "\n")
    return path


WEEKLY = """
apiVersion: tidegate.dev/v1alpha1
kind: LiveEvent
metadata: {name: morning, namespace: shop}
spec:
  schedule: {startTime: "2027-03-02T08:00:00", timeZone: UTC, durationSeconds: 7200, recurrence: {rrule: FREQ=WEEKLY}}
  expected: {orders_per_second: "800"}
  policyRef: {name: shop}
"""
ELSEWHERE = {
    "a time": ("shows.ics", "DTSTART:20250302T080000Z\nDURATION:PT1H"),
    "a series": ("shows.ics", "DTSTART:20270302T080000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY"),
    "a time of a series": ("shows.ics", "DTSTART:20250302T080000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3"),
    "LiveEvents": ("shows.yaml", WEEKLY),
}


@pytest.mark.parametrize(("name", "text"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_the_command_says_when_nothing_of_a_calendar_or_of_live_events_is_in_the_demand(
    tmp_path: Path, name: str, text: str
) -> None:
    if name.endswith(".ics"):
        write(tmp_path, text)
    else:
        (tmp_path / name).write_text(text)
    given = ["--demand", str(demand(tmp_path)), "--policies", "human", "--step", "60", "--events", str(tmp_path / name)]
    done = CliRunner().invoke(app, ["backtest", *given])
    assert (done.exit_code, ", 0 events," in done.output) == (0, True), done.output
    assert "None of the 1 announced events lies in the time of the demand (2026-03-02T00:00:00Z to" in done.output


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("shows.yaml", "kind: ConfigMap\n", "shows.yaml: holds no LiveEvent; give objects of kind LiveEvent"),
        ("shows.yaml", "", "shows.yaml: holds no LiveEvent"),
        ("shows.csv", "start,end,type,name\n", "shows.csv: holds no event; give one a line, under start, end, type"),
    ],
)
def test_a_file_that_announces_nothing_is_told(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    given = ["--demand", str(demand(tmp_path)), "--policies", "human", "--events", str(tmp_path / name)]
    done = CliRunner().invoke(app, ["backtest", *given])
    assert (done.exit_code, says in done.output) == (2, True), done.output


def test_the_command_takes_a_calendar_and_says_what_is_wrong_in_one(tmp_path: Path) -> None:
    given = ["backtest", "--demand", str(demand(tmp_path)), "--policies", "human", "--events"]
    show = write(tmp_path, "DTSTART:20260302T080000Z\nDURATION:PT1H\nSUMMARY:morning")
    done = CliRunner().invoke(app, [*given, str(show)])
    assert done.exit_code == 0, done.output
    assert "1 events" in done.output
    bad = write(tmp_path, "DTSTART:20260302T080000", name="bad.ics")
    done = CliRunner().invoke(app, [*given, str(bad)])
    assert (done.exit_code, "bad.ics: line 5: DTSTART: nothing says" in done.output) == (2, True), done.output


def test_events_of_another_year_are_told(tmp_path: Path) -> None:
    table = tmp_path / "events.csv"
    table.write_text("start,end\n2025-03-02T08:00:00Z,2025-03-02T09:00:00Z\n")
    given = ["backtest", "--demand", demand(tmp_path), "--policies", "human", "--events", table]
    done = CliRunner().invoke(app, list(map(str, given)))
    assert "None of the 1 announced events lies in the time of the demand (2026-03-02T00:00:00Z to" in done.output


def test_a_trace_of_a_folder_has_the_calendar_that_bears_its_name(tmp_path: Path) -> None:
    demand(tmp_path)
    write(tmp_path, "DTSTART:20260302T080000Z\nSUMMARY:morning", name="shop_events.ics")
    (source,) = read_suite(tmp_path)
    assert [one.name for one in source.happenings] == ["morning"]


def test_a_calendar_is_known_by_its_name_in_capitals_too(tmp_path: Path) -> None:
    series = Series(np.array([YEAR[0], YEAR[0] + 60.0]), np.array([1.0, 2.0]), 60.0)
    path = write(tmp_path, "DTSTART:20260101T000000Z", name="SHOWS.ICS")
    assert [one.name for one in announced_in(path, series)] == ["event"]
