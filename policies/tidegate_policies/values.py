"""Values of a resource as plain dicts and lists, whoever hands them over.

The policy runtime hands over proxies that raise where a value is not known yet, mocks hand over marks of their own, and
a state that was exported holds the engine's. Here all of them become ``UNKNOWN``, so that one unknown value hides
nothing else. A secret is judged by what it hides: nothing of it is ever said in a finding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

Path = tuple[str | int, ...]
"""Where a value stands."""


class Unknown:
    """A value that only the update will tell."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()

_MARKS = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
"""The engine's marks of unknown values of each type of value (sdk/go/common/resource)."""

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the engine's mark of a secret, public


def plain(value: Any) -> Any:
    """The value without proxies; whatever cannot be read is UNKNOWN."""
    if isinstance(value, Mapping):
        if _read(value, _SIGNATURE) == _SECRET:
            return _read(value, "value")
        return {str(key): _read(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_read(value, place) for place in range(len(value))]
    unknown = value in _MARKS if isinstance(value, str) else type(value).__name__ == "Unknown"
    return UNKNOWN if unknown else value


def _read(holder: Any, key: Any) -> Any:
    try:
        return plain(holder[key])
    except (KeyError, IndexError):
        return None
    except Exception:  # noqa: BLE001 - the runtime's own exception, whose package is not here
        return UNKNOWN


def look(value: Any, path: str) -> Any:
    """The value at ``spec.replicas``; None where there is none, UNKNOWN where that cannot be told."""
    return look_at(value, tuple(path.split(".")))


def look_at(value: Any, path: Path) -> Any:
    """The same for a path that is taken apart already."""
    for key in path:
        if value is UNKNOWN:
            return UNKNOWN
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and 0 <= key < len(value):
            value = value[key]
        else:
            return None
    return value


def texts(value: Any) -> dict[str, str]:
    """A mapping's entries whose value is a text that is known."""
    return {key: one for key, one in value.items() if isinstance(one, str)} if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    """A list's items; none where there is no list."""
    return value if isinstance(value, list) else []
