"""The JSONPath that printer columns use: ``.a.b``, ``['x']``, ``[0]``, ``[*]`` and ``[?(@.type=="Ready")]``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

Step = Callable[[Any], Iterator[Any]]

_TOKEN = re.compile(
    r"""\.(?P<field>(?:[^.\[\]\\]|\\.)+)
      | \[\?\(@\.(?P<left>[^=!)]+?)\s*(?P<op>==|!=)\s*(?P<right>"[^"]*"|'[^']*'|[^)]+?)\s*\)\]
      | \['(?P<quoted>[^']*)'\]
      | \[(?P<index>-?\d+)\]
      | (?P<all>\[\*\])""",
    re.VERBOSE,
)


def find(document: Any, path: str) -> list[Any]:
    """All values at a path, in order; an unreadable path finds nothing."""
    values = [document]
    for step in _compiled(path):
        values = [found for value in values for found in step(value)]
    return values


@lru_cache(maxsize=512)
def _compiled(path: str) -> tuple[Step, ...]:
    path = path.strip("{}")
    path = path if path.startswith((".", "[")) else "." + path
    steps: list[Step] = []
    position = 0
    while position < len(path):
        token = _TOKEN.match(path, position)
        if token is None:
            return (_nothing,)
        steps.append(_step(token))
        position = token.end()
    return tuple(steps)


def _step(token: re.Match[str]) -> Step:
    if token["all"]:
        return _every
    if token["index"]:
        return _item(int(token["index"]))
    if token["left"]:
        return _matching(token["left"], token["op"], token["right"].strip("\"'"))
    name = token["quoted"] if token["quoted"] is not None else token["field"].replace("\\", "")
    return _member(name)


def _nothing(_: Any) -> Iterator[Any]:
    yield from ()


def _every(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()


def _item(index: int) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield value[index]

    return step


def _member(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _matching(left: str, operator: str, right: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        for item in value if isinstance(value, list) else ():
            found = find(item, left)
            if found and (str(found[0]) == right) == (operator == "=="):
                yield item

    return step
