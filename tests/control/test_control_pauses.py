"""Pauses double to a longest one, a part of each is random where that is wanted, and nobody else works them out."""

from __future__ import annotations

import ast
from itertools import islice

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st
from project_tree import ROOT

from tidegate.pauses import Pauses

ROOMS = ("control", "metrics", "shell", "targets")


def test_a_pause_doubles_from_the_first_to_the_longest_and_has_no_end() -> None:
    pauses = Pauses(first=0.5, longest=30.0)
    assert list(islice(pauses, 9)) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert [pauses.after(n) for n in (1, 2, 7, 10**9)] == [0.5, 1, 30, 30]


def test_one_that_is_no_longer_than_the_first_stays_as_it_is() -> None:
    assert list(islice(Pauses(first=2.0, longest=2.0), 3)) == [2, 2, 2]


@given(st.floats(0.01, 10), st.floats(1, 100), st.floats(0, 1), st.integers(1, 2000))
def test_a_random_part_lies_between_the_least_share_and_the_whole(
    first: float, times: float, least: float, failures: int
) -> None:
    whole = Pauses(first=first, longest=first * times).after(failures)
    taken = Pauses(first=first, longest=first * times, least=least).after(failures)
    assert least * whole - 1e-9 <= taken <= whole + 1e-9


def test_what_failed_together_is_not_tried_again_together() -> None:
    pauses = Pauses(first=1.0, longest=30.0, least=0.5)
    assert len({pauses.after(3) for _ in range(100)}) > 90


def test_tenacity_takes_them_for_its_own_loops() -> None:
    slept: list[float] = []

    def attempt() -> None:
        raise OSError("away")

    attempts = tenacity.Retrying(
        wait=Pauses(first=1.0, longest=3.0), stop=tenacity.stop_after_attempt(4), sleep=slept.append, reraise=True
    )
    with pytest.raises(OSError, match="away"):
        attempts(attempt)
    assert slept == [1, 2, 3]


def works_out_pauses(text: str) -> list[str]:
    """Names by which a module draws a random pause, or takes a wait of tenacity's, without ``Pauses``."""
    nodes = list(ast.walk(ast.parse(text)))
    names = [node.attr for node in nodes if isinstance(node, ast.Attribute)]
    names += [one.name for node in nodes if isinstance(node, ast.ImportFrom) for one in node.names]
    return [name for name in names if name == "uniform" or (name.startswith("wait_") and name[5:] in WAITS)]


WAITS = {name.removeprefix("wait_") for name in vars(tenacity) if name.startswith("wait_")}


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_works_its_pauses_out_by_itself(room: str) -> None:
    files = sorted((ROOT / "operator" / "tidegate" / room).glob("*.py"))
    assert files
    assert {file.name: found for file in files if (found := works_out_pauses(file.read_text(encoding="utf-8")))} == {}


def test_the_check_finds_what_it_looks_for() -> None:
    bad = "random.uniform(0.5, 1.0)\ntenacity.wait_random_exponential(max=2)\nasyncio.wait_for(it, 1)\n"
    assert works_out_pauses(bad) == ["uniform", "wait_random_exponential"]
    assert works_out_pauses("from tenacity import wait_chain") == ["wait_chain"]
