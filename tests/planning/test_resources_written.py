"""Amounts of machines are read as people write them."""

from __future__ import annotations

import pytest

from tidegate.planning.resources import Resources, written


@pytest.mark.parametrize(
    ("name", "amount", "want"),
    [
        ("memory", 512, "512Mi"),
        ("memory", 1024, "1Gi"),
        ("memory", 12_287, "11.99Gi"),
        ("memory", 45_056, "44Gi"),
        ("memory", 0, "0Mi"),
        ("cpu", 88_000, "88"),
        ("cpu", 1_234_567, "1234.56"),
        ("cpu", 250, "0.25"),
        ("cpu", 3, "3m"),
        ("cpu", 0, "0"),
    ],
)
def test_an_amount_is_written_in_cores_or_gi_with_two_places_at_most(name: str, amount: int, want: str) -> None:
    assert written(name, amount) == want


def test_what_can_be_there_is_never_told_to_be_more_than_it_is() -> None:
    assert str(Resources(1999, 2047)) == "1.99 CPU, 1.99Gi memory"
