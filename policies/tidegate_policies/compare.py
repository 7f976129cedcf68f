"""Whether a program would change an object of the cluster: what it sets against what stands there.

Neither a resource's nor a stack's analysis is told the state before. The live object tells it: all that the program
sets stands there already, and all that Pulumi applied is still set.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tidegate_policies import fields
from tidegate_policies.paths import written
from tidegate_policies.resources import Object
from tidegate_policies.values import UNKNOWN, Path

_SERVERS: dict[Path, frozenset[str]] = {
    (): frozenset({"apiVersion", "kind", "status", "stringData"}),
    ("metadata",): frozenset(
        {"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid", "deletionTimestamp"}
    ),
}
"""Keys that are not compared: the server's own, and what it keeps under another name."""

_KEYS = ("name", "key", "containerPort", "port", "mountPath", "topologyKey", "ip", "type")
"""Keys by which lists of objects are merged (x-kubernetes-list-map-keys of the built-in kinds), the first that fits."""

_QUANTITY = re.compile(r"([+-]?[0-9.]+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
_SUFFIXES = {
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    **{two: Decimal(10 ** (3 * n)) for n, two in enumerate("MGTPE", 2)},
}
_SUFFIXES |= {f"{one}i": Decimal(1024**n) for n, one in enumerate("KMGTPE", 1)}


def changes(declared: Object, live: Object) -> list[str]:
    """Paths that an update would change; none when it changes nothing."""
    found: dict[Path, None] = {}
    tree = list(fields.of_pulumi(declared.props))
    known = fields.known(declared.props)
    found.update(dict.fromkeys(_set(declared, declared.props, live.props, (), tree if known else None)))
    for applied in fields.of_pulumi(live.props):
        found.update(dict.fromkeys(_removed(declared, applied, declared.props, ())))
    return [written(path) for path in found]


def _set(one: Object, want: Any, have: Any, at: Path, trees: list[Any] | None) -> Iterator[Path]:
    """What is set and stands there otherwise. ``trees``: what of it Pulumi applied; None for all of it."""
    if want is None or trees == [] or (at and one.ignores(at)):
        return
    if want is UNKNOWN:
        yield at
    elif isinstance(want, dict):
        for key, value in want.items():
            if key not in _SERVERS.get(at, ()):
                inner = have.get(key) if isinstance(have, dict) else None
                yield from _set(one, value, inner, (*at, key), _below(trees, f"f:{key}"))
    elif isinstance(want, list):
        yield from _set_in_list(one, want, have, at, trees)
    elif not _equal(want, have):
        yield at


def _set_in_list(one: Object, want: list[Any], have: Any, at: Path, trees: list[Any] | None) -> Iterator[Path]:
    standing = have if isinstance(have, list) else []
    key = next((key for key in _KEYS if want and all(isinstance(item, dict) and key in item for item in want)), "")
    if not key and len(want) != len(standing):
        yield at
        return
    for place, item in enumerate(want):
        within = None if trees is None else [tree for tree in trees if not tree] or _of_item(trees, item)
        if key:
            match = next(
                (other for other in standing if isinstance(other, dict) and _equal(item[key], other.get(key))), None
            )
        else:
            match = standing[place]
        yield from _set(one, item, match, (*at, place), within)


def _below(trees: list[Any] | None, key: str) -> list[Any] | None:
    """What Pulumi applied below a key. A tree without branches is a leaf: all below it was applied."""
    if trees is None or any(tree == {} for tree in trees):
        return None
    return [tree[key] for tree in trees if key in tree]


def _of_item(trees: list[Any], item: Any) -> list[Any]:
    return [inner for tree in trees for key, inner in tree.items() if _names(key, item)]


def _names(key: str, item: Any) -> bool:
    """Whether a key of a list in managedFields (``k:{"name":"x"}``, ``v:"x"``) is this item's."""
    if key.startswith("v:"):
        return bool(json.loads(key[2:]) == item)
    if not key.startswith("k:") or not isinstance(item, dict):
        return False
    return all(_equal(item[name], value) for name, value in json.loads(key[2:]).items() if name in item)


def _removed(one: Object, applied: Any, want: Any, at: Path) -> Iterator[Path]:
    """What Pulumi applied once and is set no more."""
    if at and one.ignores(at):
        return
    if want is UNKNOWN:
        return  # said already
    for key, inner in applied.items():
        if key.startswith("f:"):
            name = key[2:]
            if name in _SERVERS.get(at, ()):
                continue
            if not isinstance(want, dict) or want.get(name) is None:
                if not one.ignores((*at, name)):
                    yield (*at, name)
            else:
                yield from _removed(one, inner, want[name], (*at, name))
        elif key.startswith(("k:", "v:")) and isinstance(want, list):
            place = next((place for place, item in enumerate(want) if _names(key, item)), None)
            if place is None:
                yield at
            else:
                yield from _removed(one, inner, want[place], (*at, place))


def _equal(one: Any, two: Any) -> bool:
    """Whether two values are the same to the server: ``1000m`` of CPU is ``1``."""
    if one == two:
        return True
    sizes = [_quantity(value) for value in (one, two)]
    return None not in sizes and sizes[0] == sizes[1]


def _quantity(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    found = _QUANTITY.fullmatch(str(value))
    if found is None or found[1].count(".") > 1 or not any(map(str.isdigit, found[1])):
        return None
    return Decimal(found[1]) * _SUFFIXES.get(found[2], Decimal(1))
