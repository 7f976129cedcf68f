"""Problems of an object, in words: field path, what is wrong, what would be right; all of an object at once.

pydantic finds the problems of single fields; ``explain`` turns each of its error types into a sentence of ours. Raw
pydantic text never reaches a person.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

SIGNAL_PATTERN = r"^[a-z][a-z0-9_]*$"
LABEL_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
SUBDOMAIN_PATTERN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
VERSION_PATTERN = r"^([a-z0-9.-]+/)?v[a-z0-9]+$"
KIND_PATTERN = r"^[A-Z][A-Za-z0-9]*$"
POINTER_PATTERN = r"^/.+$"
LABEL_KEY_PATTERN = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
LABEL_VALUE_PATTERN = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"

_PATTERN_HINTS = {
    SIGNAL_PATTERN: "lower-case letters, digits and underscores, first a letter: orders_per_second",
    LABEL_PATTERN: "lower-case letters, digits and dashes, first and last no dash: order-service",
    SUBDOMAIN_PATTERN: "lower-case letters, digits, dots and dashes, first and last no dash: order-service",
    VERSION_PATTERN: "a group and a version, or a version alone: apps/v1",
    KIND_PATTERN: "the kind as it is written in manifests: Deployment",
    POINTER_PATTERN: "a JSON pointer: /spec/minReplicas",
    LABEL_KEY_PATTERN: "the key of a label: pool, or example.com/pool",
    LABEL_VALUE_PATTERN: "the value of a label: letters, digits, dashes, dots and underscores",
}
"""What is right where a pattern does not match."""

MAX_PROBLEMS = 50
"""More problems than this are counted, not listed: nobody reads them and a status is bounded."""

_DAY = 86_400
_MOST_BITS = 1000


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an object."""

    path: str
    """Field path from the object's root: ``spec.moments[2].factor``."""
    wrong: str
    """What is wrong."""
    right: str
    """What would be right."""

    def __str__(self) -> str:
        return f"{self.path}: {self.wrong}; {self.right}"


class InvalidObject(ValueError):  # noqa: N818 - the name that people and logs read
    """An object that cannot be used, with all its problems in the order of its fields."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))

    def message(self, limit: int = 1000) -> str:
        """One text for a condition: the first problems in full, and how many more there are."""
        lines: list[str] = []
        for index, problem in enumerate(self.problems):
            line = str(problem)
            if lines and sum(map(len, lines)) + len(line) + 2 * len(lines) > limit - 40:
                lines.append(f"and {len(self.problems) - index} more")
                break
            lines.append(line)
        text = " | ".join(lines)
        return text if len(text) <= limit else text[: limit - 1] + "…"


def path_of(location: Sequence[str | int], root: str = "spec") -> str:
    """``("moments", 2, "factor")`` as ``spec.moments[2].factor``."""
    path = root
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step != "[key]":
            path += f".{shown(step, 63)}" if path else shown(step, 63)
    return path


def shown(value: object, limit: int = 60) -> str:
    """A value as a person wrote it, shortened."""
    if isinstance(value, (dict, list)):
        return "a map" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return "a number of more than 300 digits"  # which Python may refuse to spell
    text = value if isinstance(value, str) else "null" if value is None else repr(value)
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= limit else text[: limit - 1] + "…"


def quoted(value: object, limit: int = 60) -> str:
    """As ``shown``, strings in double quotes."""
    return f'"{shown(value, limit)}"' if isinstance(value, str) else shown(value, limit)


def explain(error: ValidationError, model: type[BaseModel], root: str = "spec") -> list[Problem]:
    """Each of pydantic's errors as a Problem, in the order of the fields."""
    details = error.errors(include_url=False)
    problems = [_translate(detail, model, root) for detail in details[:MAX_PROBLEMS]]
    if len(details) > MAX_PROBLEMS:
        problems.append(
            Problem(root, f"has {len(details) - MAX_PROBLEMS} more problems", "correct the ones above first")
        )
    return problems


def _translate(detail: Any, model: type[BaseModel], root: str) -> Problem:
    location = detail["loc"]
    kind: str = detail["type"]
    context: dict[str, Any] = detail.get("ctx") or {}
    value = detail["input"]
    path = path_of(location, root)
    if kind == "tidegate":
        return Problem(path, context["wrong"], context["right"])
    field, parent = _field_at(model, location)
    if kind == "extra_forbidden":
        return _unknown_field(path, str(location[-1]), parent)
    if kind == "missing":
        return Problem(path, "is missing", f"give it{_example(field)}")
    wrong, right = _sentence(kind, context, value, field=field, path=path)
    return Problem(path, wrong, right)


def _unknown_field(path: str, name: str, parent: type[BaseModel]) -> Problem:
    known = [field.alias or key for key, field in parent.model_fields.items()]
    folded = {k.lower().replace("_", ""): k for k in known}
    near = difflib.get_close_matches(name.lower().replace("_", "").replace("-", ""), folded, n=1, cutoff=0.7)
    right = f"did you mean {folded[near[0]]}?" if near else f"the fields here are {', '.join(known)}"
    return Problem(path, "is not a field", right)


_WANTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false, without quotes",
    "list_type": "a list",
    "dict_type": "a map of names to values",
    "model_type": "a map of fields",
    "model_attributes_type": "a map of fields",
    "dataclass_type": "a map of fields",
}


def _sentence(
    kind: str, context: dict[str, Any], value: object, *, field: FieldInfo | None, path: str
) -> tuple[str, str]:
    """What is wrong and what would be right, by pydantic's error type."""
    if kind in _WANTED:
        what = "is empty (null)" if value is None else f"{quoted(value)} is not {_WANTED[kind].partition(',')[0]}"
        hint = _number_hint(path, value) if kind.startswith("int") else None
        return what, hint or f"give {_WANTED[kind]}{_example(field)}"
    if kind == "literal_error":
        return f"{quoted(value)} is not known here", f"use one of {context['expected'].replace(chr(39), '')}"
    if kind in ("greater_than_equal", "less_than_equal", "greater_than", "less_than"):
        return _out_of_range(kind, context, value, path)
    if kind in ("too_long", "too_short"):
        return _wrong_length(kind, context)
    if kind in ("string_too_long", "string_too_short"):
        if kind == "string_too_long":
            return f"is {len(str(value))} characters long", f"use at most {context['max_length']}"
        return "is empty" if value == "" else f"{quoted(value)} is too short", f"give it{_example(field)}"
    if kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern"))
        what = {POINTER_PATTERN: "pointer", VERSION_PATTERN: "version", LABEL_VALUE_PATTERN: "value"}.get(
            pattern, "name"
        )
        return f"{quoted(value)} is not a valid {what}", _PATTERN_HINTS.get(pattern, "see the field's description")
    if kind == "string_unicode":
        return "is not valid text", "use plain Unicode text"
    return f"{quoted(value)} cannot stand here", f"give what the field asks for{_example(field)}"


def _number_hint(path: str, value: object) -> str | None:
    """What a person meant who wrote something else than a whole number where one is due."""
    if isinstance(value, str):
        digits = value.strip().removesuffix("%").strip()
        return f"write the number alone, without quotes: {digits}" if digits.lstrip("-").isdecimal() else None
    if not isinstance(value, float):
        return None
    if path.endswith("Percent") and 0 < value < 1:
        return f"give percent: {value * 100:.0f}"
    return f"write it without decimals: {value:.0f}" if value.is_integer() else None


def _out_of_range(kind: str, context: dict[str, Any], value: object, path: str) -> tuple[str, str]:
    bound = next(iter(context.values()))
    if kind.startswith("greater"):
        return f"{shown(value)} is too small", f"{'at least' if kind.endswith('equal') else 'more than'} {bound}"
    right = f"{'at most' if kind.endswith('equal') else 'less than'} {bound}"
    if path.endswith("Seconds") and bound >= _DAY:
        right += f" ({bound // _DAY} days): give seconds, not milliseconds"
    return f"{shown(value)} is too large", right


def _wrong_length(kind: str, context: dict[str, Any]) -> tuple[str, str]:
    if kind == "too_short":
        return "is empty", f"give at least {context.get('min_length', 1)} entry"
    most = context["max_length"]
    return f"has more than {most} entries", f"at most {most}: say the rest in another object, or more coarsely"


def _example(field: FieldInfo | None) -> str:
    examples = _examples(field)
    return f", e.g. {examples[0]}" if examples else ""


def _examples(field: FieldInfo | None) -> list[Any]:
    if field is None:
        return []
    if field.examples:
        return list(field.examples)
    for argument in get_args(field.annotation):
        for extra in getattr(argument, "__metadata__", ()):
            if isinstance(extra, FieldInfo) and extra.examples:
                return list(extra.examples)
    return []


def _field_at(model: type[BaseModel], location: Sequence[str | int]) -> tuple[FieldInfo | None, type[BaseModel]]:
    """The field that a location ends at (None for an unknown one), and the model that holds it."""
    parent = model
    field: FieldInfo | None = None
    for index, step in enumerate(location):
        if isinstance(step, int):
            continue
        field = next((f for n, f in parent.model_fields.items() if step in (n, f.alias)), None)
        if field is None:
            break
        inner = _model_of(field.annotation)
        if inner is None:
            break
        if index < len(location) - 1 and any(isinstance(s, str) for s in location[index + 1 :]):
            parent = inner
    return field, parent


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """The model inside ``Model``, ``list[Model]`` or ``Model | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _model_of(argument)
        if found is not None:
            return found
    return None
