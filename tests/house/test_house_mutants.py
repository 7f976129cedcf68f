"""``make mutants``: the lot is the seed's alone, what cannot matter is not drawn, and the interval is Wilson's."""

from __future__ import annotations

import sys
from itertools import islice

import pytest
from project_tree import ROOT

sys.path.append(str(ROOT / "bench"))

from mutant_places import Mutant, draw, idle, sensible, statement
from mutant_runs import CleanRun
from mutants import reasons, wilson

SOURCE = '''
from functools import lru_cache

Way = int | None
LONGEST = 3 + 1


@lru_cache(maxsize=7)
@dataclass(frozen=True, eq=False)
class Thing:
    size: int | None = 2


def grow(by: int = 5) -> int | str:
    """By 6."""
    if TYPE_CHECKING:
        return 8
    log.info("%d", by + 9)
    × = "×" if by > 10 else by + 11
    return (
        by
        - 12
    )
'''.replace("× =", "width =")


def left(wanted: str) -> bool:
    """Whether the first token of this text may be drawn."""
    spans = idle(SOURCE)
    line, text = next((n, t) for n, t in enumerate(SOURCE.splitlines(), 1) if wanted in t)
    position = line, text.index(wanted)
    return not any(start <= position < end for start, end in spans)


@pytest.mark.parametrize("text", ["3 + 1", "2", "5", "> 10", "11", "12", "False", "@dataclass", "+ 11", "- 12"])
def test_what_runs_is_drawn(text: str) -> None:
    assert left(text)


@pytest.mark.parametrize("text", ["| None", "| str", "@lru_cache", "7)", "True", "TYPE_CHECKING", "8", "+ 9", "9)"])
def test_what_no_test_could_see_is_not_drawn(text: str) -> None:
    assert not left(text)


@pytest.mark.parametrize(
    ("operator", "after", "want"),
    [
        ("core/ReplaceBinaryOperator_Add_Sub", "+ 1", True),
        ("core/ReplaceBinaryOperator_Add_LShift", "+ 1", False),
        ("core/ReplaceBinaryOperator_BitOr_BitAnd", "| other", True),
        ("core/ReplaceBinaryOperator_Mul_Div", "*, name: str", False),
        ("core/ReplaceBinaryOperator_Mul_Div", "* (1 + 2)", True),
        ("core/ReplaceComparisonOperator_Lt_LtE", "< 1", True),
        ("core/ReplaceComparisonOperator_Lt_IsNot", "< other", False),
        ("core/ReplaceComparisonOperator_Is_GtE", "is Reason.READY", False),
        ("core/ReplaceComparisonOperator_Is_Eq", "is Reason.READY", False),
        ("core/ReplaceComparisonOperator_Is_IsNot", "is Reason.READY", True),
        ("core/NumberReplacer", "3", True),
    ],
)
def test_changes_that_nobody_would_make_are_not_drawn(operator: str, after: str, want: bool) -> None:
    assert sensible(operator, after) is want


def found(places: int = 100) -> list[Mutant]:
    """Mutants in which a place has between one and three ways."""
    return [
        Mutant("a.py", line, 4, f"core/Replace_{way}", 3 * line + way) for line in range(places) for way in range(3)
    ][: 3 * places - 2]


def test_the_lot_is_the_seed_s_alone() -> None:
    first = list(draw(found(), 1))
    assert list(draw(found(), 1)) == first
    assert list(draw(found(), 2)) != first


def test_each_place_is_drawn_once_whatever_the_number_of_its_ways() -> None:
    drawn = list(draw(found(), 1))
    assert sorted(one.line for one in drawn) == list(range(100))
    assert len({one.operator for one in drawn}) == 3


def test_a_larger_sample_begins_with_the_smaller_one() -> None:
    assert list(islice(draw(found(), 1), 60))[:20] == list(islice(draw(found(), 1), 20))


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (8, 10, 0.4902, 0.9433), (45, 50, 0.7864, 0.9565), (0, 0, 0.0, 1.0)],
)
def test_the_interval_is_wilsons(hits: int, of: int, low: float, high: float) -> None:
    assert wilson(hits, of) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("text", "first", "last"), [("by > 10", 19, 19), ("- 12", 20, 23), ("def grow", 14, 14), ("LONGEST", 5, 5)]
)
def test_a_line_stands_for_its_statement_but_not_for_the_body(text: str, first: int, last: int) -> None:
    line = next(number for number, one in enumerate(SOURCE.splitlines(), 1) if text in one)
    assert statement(SOURCE, line) == range(first, last + 1)


def test_tests_that_execute_the_line_run_the_quickest_first() -> None:
    clean = CleanRun({"slow": 9.0, "quick": 1.0, "other": 0.1}, {"a.py": {3: {"slow", "quick"}, 4: {"other"}}})
    assert clean.against("a.py", range(3, 4)) == ["quick", "slow"]
    assert clean.against("a.py", range(7, 8)) == []
    assert clean.against("b.py", range(3, 4)) == []


def test_what_runs_at_import_is_everybodys_those_that_touch_the_file_first() -> None:
    clean = CleanRun({"far": 0.1, "near": 9.0, "runs": 20.0}, {"a.py": {3: {"", "runs"}, 4: {"near"}}})
    assert clean.against("a.py", range(3, 4)) == ["runs", "near", "far"]


def test_every_reason_is_of_a_line_that_is_there() -> None:
    for file, operator, line in reasons():
        lines = [one.strip() for one in (ROOT / file).read_text(encoding="utf-8").splitlines()]
        assert line in lines, f"{file}: {operator} of a line that changed: look at it anew"
