"""Who owns a field, as ``managedFields`` says: pure reading and rewriting, no server.

An entry says that a manager, by applying (``Apply``) or by any other write (``Update``), perhaps through a subresource,
owns the leaves of ``fieldsV1``. Two appliers of the same value own a field together.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from tidegate.planning.model import MANAGER
from tidegate.ports import ConflictError, Json, Manager
from tidegate.targets.read import child, instant, maps, text

Leaf = tuple[str, ...]
"""Keys from the top of the object to the field: ``("spec", "replicas")``."""


def leaf_of_pointer(pointer: str) -> Leaf:
    """``/spec/minReplicas`` → ``("spec", "minReplicas")``."""
    return tuple(part for part in pointer.split("/") if part)


def leaf_of_json_path(path: str) -> Leaf:
    """``.spec.workers.count`` (the only form a CRD's scale paths may have) → ``("spec", "workers", "count")``."""
    return tuple(part for part in path.split(".") if part)


def value_at(document: Json, leaf: Leaf) -> Any:
    """What stands at a leaf, None when there is none."""
    value: Any = document
    for key in leaf:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def fields_of(document: Json) -> list[Json]:
    """The entries of an object's managedFields."""
    return maps(child(document, "metadata").get("managedFields"))


def owners(fields: Sequence[Json], leaf: Leaf) -> list[Manager]:
    """All that own a leaf, appliers first, ourselves last."""
    found = [_manager(entry) for entry in fields if _owns(entry, leaf)]
    return sorted(found, key=lambda owner: (owner.name == MANAGER, owner.operation != "Apply", owner.name))


def owner(fields: Sequence[Json], leaf: Leaf) -> Manager | None:
    """The one to ask about a leaf: an applier before a mere writer, anybody before ourselves."""
    return next(iter(owners(fields, leaf)), None)


def appliers_without(fields: Sequence[Json], leaf: Leaf) -> tuple[tuple[str, float], ...]:
    """(manager, epoch seconds): who applies the object and does not own a leaf, and when an apply of his last changed
    anything. An entry from which another manager took the leaf keeps its time.
    """
    entries = (one for one in fields if one.get("operation") == "Apply" and not _owns(one, leaf))
    found = ((text(one.get("manager")), instant(one.get("time"))) for one in entries)
    return tuple([(name, at) for name, at in found if name and name != MANAGER and at is not None])


def handed_back(fields: Sequence[Json], leaf: Leaf, *, to: Manager | None, api_version: str) -> list[Json] | None:
    """The entries after we gave a leaf back, or None when there is nothing to change.

    Our own entries lose the leaf; the former manager's entry gains it, unless somebody holds it already. An ``Update``
    entry that vanished with its last leaf is written again as it was. A vanished ``Apply`` entry is not: its tool may
    have left the field out since, and then its next apply would drop a field that it is said to have applied to the
    default (seen on a real server: replicas 6 to 1), whereas a field without an owner is anybody's to apply unforced.

    Raises ConflictError when we hold nothing and somebody else than ``to`` does.
    """
    held = owners(fields, leaf)
    others = [one for one in held if one.name != MANAGER]
    ours = len(others) < len(held)
    if others and not ours:
        if to is None or any(one.name == to.name for one in others):
            return None
        raise ConflictError(f"the field belongs to {others[0].name} by now, not to {to.name}", manager=others[0].name)
    kept = [entry for entry in (_without(entry, leaf) for entry in fields) if entry is not None]
    if others or to is None or to.name == MANAGER:
        return kept if ours else None
    given = _given(kept, leaf, to, api_version)
    return given if given != list(fields) else None


def leaf_written(fields: Sequence[Json], subresource: str) -> Leaf | None:
    """The one leaf that somebody owns by a write through a subresource, we ourselves before others."""
    written = [entry for entry in fields if text(entry.get("subresource")) == subresource]
    for entry in sorted(written, key=lambda one: one.get("manager") != MANAGER):
        if leaf := _only_leaf(child(entry, "fieldsV1")):
            return leaf
    return None


def _only_leaf(node: Json) -> Leaf:
    """Empty where there are several."""
    leaf: Leaf = ()
    while keys := [key for key in node if key != "."]:
        if len(keys) > 1 or not keys[0].startswith("f:"):
            return ()
        leaf, node = (*leaf, keys[0][2:]), child(node, keys[0])
    return leaf


def _given(fields: list[Json], leaf: Leaf, to: Manager, api_version: str) -> list[Json]:
    for index, entry in enumerate(fields):
        if _manager(entry) == to:
            return [*fields[:index], _with(entry, leaf), *fields[index + 1 :]]
    if to.operation != "Update":
        return fields
    entry = {"manager": to.name, "operation": to.operation, "apiVersion": api_version, "fieldsType": "FieldsV1"}
    if to.subresource:
        entry["subresource"] = to.subresource
    return [*fields, _with(entry, leaf)]


def _manager(entry: Json) -> Manager:
    return Manager(text(entry.get("manager")), text(entry.get("operation")), text(entry.get("subresource")))


def _keys(leaf: Leaf) -> list[str]:
    return [f"f:{key}" for key in leaf]


def _owns(entry: Json, leaf: Leaf) -> bool:
    if entry.get("operation") not in ("Apply", "Update") or not text(entry.get("manager")):
        return False  # nobody that the field could be handed back to
    node: Any = entry.get("fieldsV1")
    for key in _keys(leaf):
        if not isinstance(node, dict) or key not in node:
            return False
        node = node[key]
    return True


def _with(entry: Json, leaf: Leaf) -> Json:
    entry = copy.deepcopy(entry)
    node = entry
    for key in ("fieldsV1", *_keys(leaf)):
        if not isinstance(node.get(key), dict):
            node[key] = {}
        node = node[key]
    return entry


def _without(entry: Json, leaf: Leaf) -> Json | None:
    """Our entry less the leaf and the branches that end with it; None when nothing is left; others' as they are."""
    if entry.get("manager") != MANAGER or not _owns(entry, leaf):
        return entry
    entry = copy.deepcopy(entry)
    branch = [entry["fieldsV1"]]
    keys = _keys(leaf)
    for key in keys[:-1]:
        branch.append(branch[-1][key])
    for node, key in zip(reversed(branch), reversed(keys), strict=True):
        if (key == keys[-1] and node is branch[-1]) or set(node[key]) <= {"."}:
            del node[key]
    return entry if entry["fieldsV1"] else None
