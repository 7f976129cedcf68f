"""JSON that is nested deeper than the parser goes: what lies that deep is cut, so that one object hides no other.

An API server takes documents of ten thousand levels, in ``managedFields`` from anybody, and a list holds the objects of
all. Nothing that is read here lies deeper than thirty.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from tidegate.targets.errors import TooLargeError

DEEPEST = 200
"""Levels that are kept of a document that is deeper than the parser goes."""

_MARKS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


def loaded(data: bytes, *, most: int | None = None) -> Any:
    """The value of a JSON document; orjson.JSONDecodeError for what is none. TooLargeError for one that is too deep and
    has more than ``most`` bytes: to cut a megabyte takes a tenth of a second.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if "depth" not in str(error):
            raise
    if most is not None and len(data) > most:
        raise TooLargeError(f"something in {len(data)} bytes is nested deeper than can be read")
    return orjson.loads(_cut(data))


def _cut(data: bytes) -> bytes:
    """The document with null in the place of what lies deeper than ``DEEPEST``."""
    kept, depth, since, begun = list[bytes](), 0, 0, 0
    for mark in _MARKS.finditer(data):
        first = data[mark.start()]
        if first in b"[{":
            depth += 1
            if depth == DEEPEST + 1:
                begun = mark.start()
        elif first in b"]}":
            if depth == DEEPEST + 1:
                kept += [data[since:begun], b"null"]
                since = mark.end()
            depth -= 1
    return b"".join([*kept, data[since:]])
