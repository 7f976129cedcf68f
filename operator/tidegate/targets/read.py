"""Reading documents that others wrote: each function gives a value of the asked shape, or says that there is none.

A built-in kind comes as its schema says. A custom resource, an annotation or an aggregated API holds whatever its
author likes, so no reader of this room takes a shape for granted. Nothing here raises.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tidegate.ports import Json

MOST = 2**63 - 1
"""Largest whole number of an API document."""


def mapping(value: object) -> Json:
    """The value if it is a map, else an empty one."""
    return value if isinstance(value, dict) else {}


def child(document: object, *keys: str) -> Json:
    """The map at a path of keys; an empty one where there is none."""
    value: Any = document
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return mapping(value)


def maps(value: object) -> list[Json]:
    """The maps of a list; what else stands in it is left out."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list | tuple) else []


def texts(value: object) -> list[str]:
    """The texts of a list; what else stands in it is left out."""
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list | tuple) else []


def text(value: object) -> str:
    """The value if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def whole(value: object) -> int | None:
    """The value if it is a whole number that the API can hold; a number written as text is none."""
    return value if type(value) is int and -MOST <= value <= MOST else None


def count(value: object) -> int:
    """A number of units: 0 where there is none, or one below 0."""
    return max(0, whole(value) or 0)


def instant(value: object) -> float | None:
    """Epoch seconds of an RFC 3339 time; None for one without offset, and for what is no time."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        return found.timestamp() if found is not None and found.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def version_of(document: object) -> int:
    """An object's resourceVersion as a number; 0 where it is none."""
    said = child(document, "metadata").get("resourceVersion")
    return int(said) if isinstance(said, str) and said.isascii() and said.isdigit() and len(said) <= 19 else 0
