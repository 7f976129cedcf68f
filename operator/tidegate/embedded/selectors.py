"""Label and field selectors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tidegate.embedded.errors import Json, bad_request

Labels = Mapping[str, str]
LabelTest = Callable[[Labels], bool]
FieldTest = Callable[[Json], bool]

_SET_BASED = re.compile(r"^(\S+)\s+(in|notin)\s*\(([^)]*)\)$")
_EQUALITY = re.compile(r"^([^=!\s]+)\s*(==|=|!=)\s*(.*)$")
_COMPARED = re.compile(r"^(\S+?)\s*([<>])\s*(-?\d+)$")
_BARE = re.compile(r"^!?\s*[A-Za-z0-9./_-]+$")


def label_test(expression: str) -> LabelTest | None:
    """Compile ``a=b,c!=d,e in (f,g),h,!i``; None when there is nothing to test."""
    tests = [_label_requirement(part) for part in _split(expression)]
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    return lambda labels: all(test(labels) for test in tests)


def _split(expression: str) -> list[str]:
    """Split at the commas outside parentheses."""
    parts = re.split(r",(?![^(]*\))", expression)
    return [part.strip() for part in parts if part.strip()]


def _label_requirement(part: str) -> LabelTest:
    if found := _SET_BASED.match(part):
        key, values = found[1], frozenset(v.strip() for v in found[3].split(","))
        if found[2] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _COMPARED.match(part):
        key, bound, sign = found[1], int(found[3]), 1 if found[2] == ">" else -1
        return lambda labels: labels.get(key, "").lstrip("-").isdigit() and (int(labels[key]) - bound) * sign > 0
    if found := _EQUALITY.match(part):
        key, value = found[1], found[3].strip()
        if found[2] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if not _BARE.match(part):
        raise bad_request(f'unable to parse requirement: found "{part}"')
    key = part.lstrip("! ")
    if part.startswith("!"):
        return lambda labels: key not in labels
    return lambda labels: key in labels


def field_test(expression: str, known: frozenset[str]) -> FieldTest | None:
    """Compile ``metadata.name=a,type!=b``; 400 for a field that this kind cannot be selected by."""
    tests = [_field_requirement(part, known) for part in expression.split(",") if part.strip()]
    if not tests:
        return None
    return lambda document: all(test(document) for test in tests)


def _field_requirement(part: str, known: frozenset[str]) -> FieldTest:
    found = _EQUALITY.match(part.strip())
    if not found:
        raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
    path, wanted, negated = found[1], found[3].strip(), found[2] == "!="
    if path not in known:
        raise bad_request(f"field label not supported: {path}")
    steps = path.split(".")
    return lambda document: (_text_at(document, steps) == wanted) != negated


def _text_at(document: Any, steps: list[str]) -> str:
    for step in steps:
        document = document.get(step) if isinstance(document, dict) else None
    if document is None:
        return ""
    return str(document).lower() if isinstance(document, bool) else str(document)
