"""Structural schemas of custom resources: defaulting, pruning and validation in one walk.

A schema is compiled once into a tree of functions, because a cluster of 60,000 objects is checked with it. Each
function takes a value, its path and a report, changes the value in place (defaults in, unknown fields out) and returns
it. CEL rules (``x-kubernetes-validations``) are not evaluated. Patterns are taken for Python's, which differ from RE2
in corners; one that Python cannot read is not checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from tidegate.embedded.errors import Cause, Json


@dataclass(slots=True)
class Report:
    """What a walk found."""

    causes: list[Cause] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """Paths of fields that the schema does not know; they were dropped."""

    def wrong(self, path: str, message: str, reason: str = "FieldValueInvalid") -> None:
        """Add a cause."""
        self.causes.append(Cause(path, message, reason))


Checker = Callable[[Any, str, Report], Any]
Rule = Callable[[Any, str, Report], None]

_RFC3339 = re.compile(r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$")
_FORMATS = {"date-time": _RFC3339, "date": re.compile(r"^\d{4}-\d{2}-\d{2}$")}
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


def compile_schema(schema: Json, *, root: bool = False, prune: bool = True) -> Checker:
    """Turn an ``openAPIV3Schema`` into a checker. At the ``root``, ``apiVersion``, ``kind`` and ``metadata`` are left
    to the server. Without ``prune`` nothing is changed: the parts of ``anyOf`` and its kin only judge.
    """
    if schema.get("x-kubernetes-int-or-string"):
        return _with_rules(_int_or_string, schema)
    kind = schema.get("type")
    if kind == "object":
        walk = _object(schema, root=root, prune=prune)
    elif kind is None and ("properties" in schema or "required" in schema):
        walk = _if_object(_object(schema, root=root, prune=prune))
    elif kind == "array":
        walk = _array(schema, prune=prune)
    else:
        walk = _scalar(kind)
    return _with_rules(walk, schema)


def _with_rules(walk: Checker, schema: Json) -> Checker:
    rules = _rules(schema)
    nullable = bool(schema.get("nullable"))
    if not rules and not nullable:
        return walk

    def check(value: Any, path: str, report: Report) -> Any:
        if value is None and nullable:
            return value
        before = len(report.causes)
        value = walk(value, path, report)
        if len(report.causes) == before or isinstance(value, dict | list):
            for rule in rules:
                rule(value, path, report)
        return value

    return check


# ---- one walk for each type


def _wrong_type(value: Any, path: str, kind: str, report: Report) -> Any:
    seen = _type_name(value)
    report.wrong(
        path, f'Invalid value: "{seen}": {path} in body must be of type {kind}: "{seen}"', "FieldValueTypeInvalid"
    )
    return value


def _type_name(value: Any) -> str:
    for name in ("object", "array", "string", "boolean", "integer", "number"):
        if isinstance(value, _TYPES[name]):
            return name
    return "null"


def _scalar(kind: str | None) -> Checker:
    if kind is None:
        return lambda value, path, report: value
    types = _TYPES[kind]
    numeric = kind in ("integer", "number")

    def check(value: Any, path: str, report: Report) -> Any:
        if not isinstance(value, types) or (numeric and isinstance(value, bool)):
            if kind == "integer" and isinstance(value, float) and value.is_integer():
                return int(value)
            return _wrong_type(value, path, kind, report)
        return value

    return check


def _if_object(walk: Checker) -> Checker:
    """What is said of members holds for maps; a schema without a type lets everything else pass."""
    return lambda value, path, report: walk(value, path, report) if isinstance(value, dict) else value


def _int_or_string(value: Any, path: str, report: Report) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return _wrong_type(value, path, "integer or string", report)
    return value


def _array(schema: Json, *, prune: bool) -> Checker:
    item_checker = compile_schema(schema.get("items") or {}, prune=prune)

    def check(value: Any, path: str, report: Report) -> Any:
        if not isinstance(value, list):
            return _wrong_type(value, path, "array", report)
        for n, item in enumerate(value):
            value[n] = item_checker(item, f"{path}[{n}]", report)
        return value

    return check


def _object(schema: Json, *, root: bool, prune: bool) -> Checker:
    properties: Json = schema.get("properties") or {}
    checkers = {name: compile_schema(sub, prune=prune) for name, sub in properties.items()}
    defaults = {name: orjson.dumps(sub["default"]) for name, sub in properties.items() if prune and "default" in sub}
    extra_schema = schema.get("additionalProperties")
    extra = compile_schema(extra_schema, prune=prune) if isinstance(extra_schema, dict) else None
    keep = bool(schema.get("x-kubernetes-preserve-unknown-fields") or extra_schema is True or not prune)
    required = tuple(schema.get("required") or ())
    ours = {"apiVersion", "kind", "metadata"} if root or schema.get("x-kubernetes-embedded-resource") else set()
    for name in ours:
        checkers.pop(name, None)

    def check(value: Any, path: str, report: Report) -> Any:
        if not isinstance(value, dict):
            return _wrong_type(value, path, "object", report)
        for name, default in defaults.items():
            if value.get(name) is None and (name not in value or not properties[name].get("nullable")):
                value[name] = orjson.loads(default)
        prefix = f"{path}." if path else ""
        for name in list(value):
            checker = checkers.get(name) or extra
            if checker is not None and name not in ours:
                value[name] = checker(value[name], prefix + name, report)
            elif not keep and name not in ours and name not in checkers:
                del value[name]
                report.unknown.append(prefix + name)
        for name in required:
            if name not in value:
                report.wrong(prefix + name, "Required value", "FieldValueRequired")
        return value

    return check


# ---- what may be said about a value beside its type


def _rules(schema: Json) -> list[Rule]:
    rules: list[Rule] = []
    for keyword, make in _RULES.items():
        if keyword in schema:
            rules.append(make(schema[keyword], schema))
    return rules


def _enum(allowed: Any, _: Json) -> Rule:
    told = ", ".join(orjson.dumps(v).decode() for v in allowed)

    def rule(value: Any, path: str, report: Report) -> None:
        if value not in allowed:
            shown = orjson.dumps(value).decode()
            report.wrong(path, f"Unsupported value: {shown}: supported values: {told}", "FieldValueNotSupported")

    return rule


def _bound(compare: Callable[[Any, Any], bool], words: str) -> Callable[[Any, Json], Rule]:
    def make(bound: Any, _: Json) -> Rule:
        def rule(value: Any, path: str, report: Report) -> None:
            if isinstance(value, int | float) and not compare(value, bound):
                report.wrong(path, f"Invalid value: {value}: {path} in body should be {words} {bound}")

        return rule

    return make


def _minimum(bound: Any, schema: Json) -> Rule:
    if schema.get("exclusiveMinimum"):
        return _bound(lambda value, least: value > least, "greater than")(bound, schema)
    return _bound(lambda value, least: value >= least, "greater than or equal to")(bound, schema)


def _maximum(bound: Any, schema: Json) -> Rule:
    if schema.get("exclusiveMaximum"):
        return _bound(lambda value, most: value < most, "less than")(bound, schema)
    return _bound(lambda value, most: value <= most, "less than or equal to")(bound, schema)


def _pattern(pattern: Any, _: Json) -> Rule:
    compiled = _compiled(pattern)

    def rule(value: Any, path: str, report: Report) -> None:
        if compiled is not None and isinstance(value, str) and not compiled.search(value):
            shown = orjson.dumps(value).decode()
            report.wrong(path, f"Invalid value: {shown}: {path} in body should match '{pattern}'")

    return rule


def _compiled(pattern: str) -> re.Pattern[str] | None:
    """RE2 lets flags stand anywhere, Python only at the start (or around what they are for)."""
    flags = re.search(r"\(\?([ims]+)\)", pattern)
    if flags and flags.start():
        pattern = f"{pattern[: flags.start()]}(?{flags[1]}:{pattern[flags.end() :]})"
    try:
        return re.compile(pattern)
    except re.error:
        return None


def _format(name: Any, _: Json) -> Rule:
    compiled = _FORMATS.get(name)

    def rule(value: Any, path: str, report: Report) -> None:
        if compiled is not None and isinstance(value, str) and not compiled.match(value):
            shown = orjson.dumps(value).decode()
            report.wrong(path, f"Invalid value: {shown}: {path} in body must be of type {name}: {shown}")

    return rule


def _size(of: type, compare: Callable[[int, int], bool], words: str, unit: str) -> Callable[[Any, Json], Rule]:
    def make(bound: Any, _: Json) -> Rule:
        def rule(value: Any, path: str, report: Report) -> None:
            if isinstance(value, of) and not compare(len(value), bound):  # type: ignore[arg-type]
                report.wrong(path, f"{words}: {len(value)}: {path} in body should have {unit.format(bound)}")  # type: ignore[arg-type]

        return rule

    return make


def _list_type(kind: Any, schema: Json) -> Rule:
    keys = schema.get("x-kubernetes-list-map-keys") or ()

    def rule(value: Any, path: str, report: Report) -> None:
        if kind == "atomic" or not isinstance(value, list):
            return
        seen: set[bytes] = set()
        for n, item in enumerate(value):
            identity = {k: item.get(k) for k in keys} if keys and isinstance(item, dict) else item
            mark = orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)
            if mark in seen:
                report.wrong(f"{path}[{n}]", f"Duplicate value: {mark.decode()}", "FieldValueDuplicate")
            seen.add(mark)

    return rule


def _some_of(least: int, most: int | None) -> Callable[[Any, Json], Rule]:
    def make(parts: Any, _: Json) -> Rule:
        judges = [compile_schema(part, prune=False) for part in parts]
        most_allowed = len(judges) if most is None else most

        def rule(value: Any, path: str, report: Report) -> None:
            trials = [_judge(judge, value, path) for judge in judges]
            fitting = sum(not causes for causes in trials)
            if not min(least, len(judges)) <= fitting <= most_allowed:
                report.wrong(path, f"Invalid value: {path} in body must validate {least} of its {len(judges)} schemas")

        return rule

    return make


def _all_of(parts: Any, schema: Json) -> Rule:
    judges = [compile_schema(part, prune=False) for part in parts]

    def rule(value: Any, path: str, report: Report) -> None:
        for judge in judges:
            report.causes.extend(_judge(judge, value, path))

    return rule


def _not(part: Any, _: Json) -> Rule:
    judge = compile_schema(part, prune=False)

    def rule(value: Any, path: str, report: Report) -> None:
        if not _judge(judge, value, path):
            report.wrong(path, f"Invalid value: {path} in body must not validate the schema (not)")

    return rule


def _judge(judge: Checker, value: Any, path: str) -> list[Cause]:
    trial = Report()
    judge(value, path, trial)
    return trial.causes


_AT_LEAST: Callable[[int, int], bool] = lambda size, bound: size >= bound  # noqa: E731
_AT_MOST: Callable[[int, int], bool] = lambda size, bound: size <= bound  # noqa: E731

_RULES: dict[str, Callable[[Any, Json], Rule]] = {
    "enum": _enum,
    "minimum": _minimum,
    "maximum": _maximum,
    "multipleOf": _bound(lambda value, step: value % step == 0, "a multiple of"),
    "pattern": _pattern,
    "format": _format,
    "minLength": _size(str, _AT_LEAST, "Invalid value", "at least {} characters"),
    "maxLength": _size(str, _AT_MOST, "Too long", "at most {} characters"),
    "minItems": _size(list, _AT_LEAST, "Invalid value", "at least {} items"),
    "maxItems": _size(list, _AT_MOST, "Too many", "at most {} items"),
    "minProperties": _size(dict, _AT_LEAST, "Invalid value", "at least {} properties"),
    "maxProperties": _size(dict, _AT_MOST, "Too many", "at most {} properties"),
    "x-kubernetes-list-type": _list_type,
    "allOf": _all_of,
    "anyOf": _some_of(1, None),
    "oneOf": _some_of(1, 1),
    "not": _not,
}
