"""Messages name instants, and the core has no clock to write them with."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.planning.instants import rfc3339


@given(st.floats(0.0, 4e9))
def test_an_instant_is_written_as_the_calendar_has_it(instant: float) -> None:
    assert rfc3339(instant) == datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("instant", "written"),
    [
        (0.0, "1970-01-01T00:00:00Z"),
        (951_782_400.9, "2000-02-29T00:00:00Z"),
        (1_573_401_599.999_999_8, "2019-11-10T16:00:00Z"),
    ],
)
def test_an_instant_is_written_in_seconds_that_have_begun(instant: float, written: str) -> None:
    assert rfc3339(instant) == written
