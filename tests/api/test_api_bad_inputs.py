"""Bad input is refused in words: field path, what is wrong, what would be right; nothing crashes."""

from __future__ import annotations

import runpy
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.api.loan import loan_from_object
from tidegate.api.parse import parse_live_event, parse_override, parse_policy, parse_pool
from tidegate.api.parsed import ParsedEvent
from tidegate.api.problems import InvalidObject
from tidegate.planning.model import Policy
from tidegate.planning.override import Override
from tidegate.planning.shift.model import Pool

TABLE = runpy.run_path(str(Path(__file__).with_name("bad_inputs.py")))
CASES = TABLE["cases"]()
BASES = TABLE["bases"]()
NOW = datetime(2026, 11, 10, 12, tzinfo=UTC).timestamp()
PARSERS: dict[str, Any] = {
    "LiveEvent": parse_live_event,
    "ScalingPolicy": parse_policy,
    "Loan": loan_from_object,
    "CapacityPool": partial(parse_pool, now=NOW),
    "Override": parse_override,
}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_bad_input_is_refused_with_its_path_and_message(case: Any) -> None:
    with pytest.raises(InvalidObject) as refused:
        PARSERS[case.kind](case.build())

    assert [[p.path, f"{p.wrong}; {p.right}"] for p in refused.value.problems] == case.want


@pytest.mark.parametrize("kind", sorted(PARSERS))
def test_the_object_that_the_changes_start_from_is_valid(kind: str) -> None:
    assert PARSERS[kind](BASES[kind]) is not None


def test_the_table_holds_at_least_thirty_inputs_and_every_kind() -> None:
    assert len(CASES) >= 30
    assert {case.kind for case in CASES} == set(PARSERS)
    assert len({case.name for case in CASES}) == len(CASES)


def test_no_message_is_pydantics_own() -> None:
    told = " ".join(message for case in CASES for _, message in case.want)

    for words in ("Input should", "Field required", "Extra inputs", "String should", "validation error"):
        assert words not in told


def test_the_page_of_bad_inputs_is_what_the_table_says() -> None:
    assert TABLE["main"](["--check"]) == 0


def test_a_condition_message_of_many_problems_is_bounded_and_says_how_many_are_left() -> None:
    event = BASES["LiveEvent"]
    moments = [{"name": f"m{i}", "signal": "nobody_knows", "factor": 2, "durationSeconds": 1} for i in range(200)]
    with pytest.raises(InvalidObject) as refused:
        parse_live_event({**event, "spec": {**event["spec"], "moments": moments}})

    message = refused.value.message()

    assert len(message) <= 1000
    assert message.endswith("more")


json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["2026-11-10T20:00:00", "FREQ=DAILY;COUNT=3", "Asia/Shanghai", "America", "../etc", "1e9", "{x}"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FIELDS = [
    "schedule",
    "startTime",
    "timeZone",
    "durationSeconds",
    "recurrence",
    "rrule",
    "exclude",
    "changes",
    "occurrence",
    "postponedTo",
    "cancelled",
    "expected",
    "derived",
    "signal",
    "from",
    "factor",
    "moments",
    "name",
    "level",
    "offsetSeconds",
    "policyRef",
    "targets",
    "ref",
    "min",
    "max",
    "stage",
    "release",
    "signals",
    "query",
    "capacity",
    "nodeSelector",
    "given",
    "lanes",
    "members",
    "jobs",
    "work",
    "deadline",
    "remaining",
    "action",
    "percent",
    "until",
    "metadata",
    "spec",
]
fields = st.sampled_from(FIELDS)
near_objects = st.recursive(json_like, lambda inner: st.dictionaries(fields, inner, max_size=6), max_leaves=20)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for step, part in inner for found in places(part, (*path, step)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The value with something else at a place."""
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(value, dict):
        return {**value, step: replaced(value[step], rest, new)}
    return [replaced(part, rest, new) if index == step else part for index, part in enumerate(value)]


def parsed_or_problems(kind: str, obj: Any) -> Any:
    """The parsed value, or the problems; any other exception is the test's failure."""
    try:
        return PARSERS[kind](obj)
    except InvalidObject as refused:
        return refused.problems


WANTED = {"LiveEvent": ParsedEvent, "ScalingPolicy": Policy, "CapacityPool": Pool, "Override": Override}


@pytest.mark.parametrize(("kind", "want"), sorted(WANTED.items()))
@given(obj=near_objects)
@settings(deadline=None, max_examples=100)
def test_any_json_is_parsed_or_refused_with_problems(kind: str, want: type, obj: Any) -> None:
    found = parsed_or_problems(kind, obj)

    assert isinstance(found, want) or (found and all(p.wrong and p.right for p in found))


@pytest.mark.parametrize("kind", sorted(PARSERS))
@given(data=st.data())
@settings(deadline=None, max_examples=150)
def test_a_valid_object_with_anything_anywhere_is_parsed_or_refused(kind: str, data: st.DataObject) -> None:
    base = BASES[kind]
    place = data.draw(st.sampled_from(places(base)))

    found = parsed_or_problems(kind, replaced(base, place, data.draw(near_objects)))

    assert found
    if isinstance(found, ParsedEvent):
        assert found.announcement(0, 5e9).key == found.key
