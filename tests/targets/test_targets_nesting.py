"""Documents that are nested deeper than the parser goes: the rest of them is read as it is."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.targets.nesting import loaded

VALUES = st.recursive(
    st.none() | st.integers(-5, 5) | st.text(alphabet='ab"\\[]{}', max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='a"[}', max_size=2), inner, max_size=3)
    ),
)


@given(VALUES, VALUES)
def test_what_lies_beside_what_is_too_deep_is_read_as_it_is(before: object, after: object) -> None:
    told = [json.dumps(one) for one in (before, after)]
    for deep in ("[" * 3_000 + "]" * 3_000, '{"f:a":' * 3_000 + "{}" + "}" * 3_000, "[" * 3_000 + '"]"' + "]" * 3_000):
        read = loaded(f"[{told[0]}, {deep}, {told[1]}]".encode())
        assert (read[0], read[2]) == (before, after)


def test_what_is_no_json_is_none_however_deep() -> None:
    for text in (b"[" * 5_000, b'{"a":' * 5_000, b"[" * 5_000 + b"}" * 5_000, b"{"):
        with pytest.raises(orjson.JSONDecodeError):
            loaded(text)
