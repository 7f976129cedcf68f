"""A recording answers like a Prometheus that scraped it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.metrics.recorded import RecordedSource
from tidegate.planning.model import Freshness


@pytest.mark.parametrize(
    ("now", "want_freshness", "want_value"),
    [
        (99, Freshness.EMPTY, None),
        (100, Freshness.FRESH, 1.0),
        (109, Freshness.FRESH, 1.0),
        (110, Freshness.FRESH, 2.0),
        (171, Freshness.STALE, 2.0),
        (200, Freshness.EMPTY, None),
        (210, Freshness.NAN, None),
    ],
)
async def test_the_latest_sample_stands_until_the_next(
    now: float, want_freshness: Freshness, want_value: float | None
) -> None:
    source = RecordedSource({"q": [(110, 2.0), (100, 1.0), (200, None), (210, float("nan"))]})
    reading = await source.read("q", now=now, stale_after=60)
    assert (reading.freshness, reading.value) == (want_freshness, want_value)


async def test_an_unknown_query_is_empty() -> None:
    reading = await RecordedSource({}).read("nobody", now=5, stale_after=60)
    assert (reading.freshness, reading.since) == (Freshness.EMPTY, 5)


async def test_a_sample_may_say_of_which_stretch_it_is(tmp_path: Path) -> None:
    """It is seen at 90, and is what a minute was that ended half a minute before."""
    path = tmp_path / "r.json"
    path.write_text('{"q": [[90, 5, 0, 60]]}')
    source = RecordedSource.from_file(path)
    assert (await source.read("q", now=89, stale_after=120)).freshness is Freshness.EMPTY
    reading = await source.read("q", now=91, stale_after=120)
    assert (reading.value, reading.since, reading.stamp, reading.span) == (5.0, 60.0, 60.0, 60.0)
    assert (await source.read("q", now=181, stale_after=120)).freshness is Freshness.STALE


async def test_json_and_csv_say_the_same(tmp_path: Path) -> None:
    one, two = tmp_path / "r.json", tmp_path / "r.csv"
    one.write_text('{"sum(a)": [["2026-11-10T20:00:00Z", 5], [1794340810, null]]}')
    two.write_text("time,query,value\n2026-11-10T20:00:00+00:00,sum(a),5\n1794340810,sum(a),\n")
    for now in (1794340800.0, 1794340809.0, 1794340811.0):
        readings = [await RecordedSource.from_file(f).read("sum(a)", now=now, stale_after=60) for f in (one, two)]
        assert readings[0] == readings[1]
    assert readings[0].freshness is Freshness.EMPTY


@pytest.mark.parametrize(
    ("name", "text", "want"),
    [
        ("r.csv", "time,value\n1,2\n", "needs the columns"),
        ("r.csv", "time,query,value\n1,q,1\nsoon,q,2\n", "line 3"),
        ("r.json", '{"q": [[1, "many"]]}', "sample 1 of 'q'"),
        ("r.json", "[]", "not an object"),
        ("r.txt", "", ".json or .csv"),
        ("r.json", '{"q": [[90, 1, 30]]}', "a begin and an end"),
        ("r.json", '{"q": [[90, 1, 60, 100]]}', "follow one another"),
        ("r.json", '{"q": [[1, 1], [1, 2]]}', "two samples of one instant"),
    ],
)
def test_a_broken_recording_names_the_place(tmp_path: Path, name: str, text: str, want: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=want):
        RecordedSource.from_file(path)
