r"""Property paths, as Pulumi's engine reads those of ``ignore_changes``.

``spec.minReplicas``, ``spec["minReplicas"]``, ``["spec"].minReplicas``, ``items[0].spec``, and ``*`` for any key or
place (``*``, ``spec.*``, ``items[*].spec``). Quotes within a quoted key are written ``\"``. The grammar is that of
``ParsePropertyPath`` and the comparison that of ``Contains`` (sdk/go/common/resource/property_path.go).
"""

from __future__ import annotations

import re

from tidegate_policies.values import Path

ANY = "*"

_PART = re.compile(
    r"""
    \["(?P<quoted>(?:[^"\\]|\\.)*)"\]   # ["key"]
    | \[(?P<place>\d+|\*)\]             # [0], [*]
    | \.?(?P<bare>[^.\[\]]+)            # key, .key
    """,
    re.VERBOSE,
)


def parse(text: str) -> Path:
    """The path's keys and places. ValueError for what is no path."""
    keys: list[str | int] = []
    at = 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None or (part["bare"] and at and not part[0].startswith(".")):
            raise ValueError(
                f'{text!r} is no property path (at {text[at:]!r}): write spec.replicas or spec["replicas"]'
            )
        if part["quoted"] is not None:
            keys.append(part["quoted"].replace('\\"', '"'))
        elif part["place"] is not None:
            keys.append(ANY if part["place"] == ANY else int(part["place"]))
        else:
            keys.append(part["bare"])
        at = part.end()
    if not keys:
        raise ValueError("an empty property path")
    return tuple(keys)


def parse_all(texts: tuple[str, ...]) -> tuple[Path, ...]:
    """Those of the texts that are paths: the engine refuses the others itself."""
    parsed = []
    for text in texts:
        try:
            parsed.append(parse(text))
        except ValueError:
            continue
    return tuple(parsed)


def covers(outer: Path, inner: Path) -> bool:
    """Whether what stands at ``inner`` is ``outer`` or a part of it."""
    return len(outer) <= len(inner) and all(one in (ANY, other) for one, other in zip(outer, inner, strict=False))


def written(path: Path) -> str:
    """A path as one writes it."""
    made = ""
    for key in path:
        if isinstance(key, int):
            made += f"[{key}]"
        elif re.fullmatch(r"[\w-]+", key):
            made += f".{key}" if made else key
        else:
            quoted = key.replace('"', '\\"')
            made += f'["{quoted}"]'
    return made
