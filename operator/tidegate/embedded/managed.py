"""Who owns which field: ``managedFields``, kept by every write, and server-side apply with its conflicts.

A set of owned fields is a set of paths; a path is a tuple of FieldsV1 keys (``f:name``, ``k:{...}``, ``v:...``). Only
leaves are owned, and items of keyed lists. The rules are those of structured-merge-diff: an update takes what it
changes from everybody, an apply takes only what nobody else owns with another value (unless forced)
and gives up what it no longer names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson

from tidegate.embedded.errors import ApiError, Cause, Json
from tidegate.embedded.merge import merge_applied
from tidegate.embedded.shape import Shape

Path = tuple[str, ...]

_ITEM = object()
"""Stands for "this item is in the list" among the leaf values."""

_NOT_OWNED: frozenset[Path] = frozenset(
    {("f:apiVersion",), ("f:kind",)}
    | {
        ("f:metadata", f"f:{name}")
        for name in (
            *("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink"),
            *("deletionTimestamp", "deletionGracePeriodSeconds"),
        )
    }
)


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes, and through which door: what tells one ``managedFields`` entry from another."""

    manager: str
    operation: str = "Update"
    subresource: str = ""
    api_version: str = ""


@dataclass(frozen=True, slots=True)
class Owned:
    """One ``managedFields`` entry."""

    writer: Writer
    paths: frozenset[Path]
    time: str


# ---- objects as leaves


def leaves(document: Json, shape: Shape) -> dict[Path, Any]:
    """Every field that can have an owner, with its value."""
    document = {name: value for name, value in document.items() if name not in ("apiVersion", "kind")}
    meta = document.get("metadata")
    if isinstance(meta, dict) and "managedFields" in meta:
        document["metadata"] = {name: value for name, value in meta.items() if name != "managedFields"}
    return {path: value for path, value in _walk(document, shape, ()) if path not in _NOT_OWNED}


def _walk(value: Any, shape: Shape, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value and not shape.atomic:
        for name, member in value.items():
            yield from _walk(member, shape.field(name), (*path, f"f:{name}"))
        return
    if isinstance(value, list) and value:
        if shape.is_set:
            for item in value:
                yield (*path, "v:" + orjson.dumps(item).decode()), _ITEM
            return
        keys = [shape.key_of(item) for item in value]
        if None not in keys:
            for key, item in zip(keys, value, strict=True):
                inner = (*path, "k:" + orjson.dumps(key, option=orjson.OPT_SORT_KEYS).decode())
                yield inner, _ITEM
                yield from _walk(item, shape.item(), inner)
            return
    if path:
        yield path, value


def _drop(document: Any, path: Path, shape: Shape) -> None:
    """Take the field at a path out of a document, and the maps that it leaves empty."""
    step, rest = path[0], path[1:]
    if step.startswith("f:") and isinstance(document, dict):
        name = step[2:]
        if name not in document:
            return
        if rest:
            _drop(document[name], rest, shape.field(name))
        elif isinstance(document[name], dict) and document[name] and not shape.field(name).atomic:
            return  # somebody's entry names the map itself; its members have owners of their own
        if not rest or document[name] in ({}, []):
            del document[name]
    elif isinstance(document, list):
        _drop_item(document, step, rest, shape)


def _drop_item(items: list[Any], step: str, rest: Path, shape: Shape) -> None:
    for n, item in enumerate(items):
        if step.startswith("v:"):
            found = "v:" + orjson.dumps(item).decode() == step
        else:
            key = shape.key_of(item)
            found = "k:" + orjson.dumps(key, option=orjson.OPT_SORT_KEYS).decode() == step
        if found:
            if rest:
                _drop(item, rest, shape.item())
            else:
                del items[n]
            return


# ---- entries on the wire


def decode(entries: Any) -> list[Owned]:
    """Read ``metadata.managedFields``; ValueError when it is malformed."""
    found = []
    for entry in entries or ():
        if not isinstance(entry, dict) or not isinstance(entry.get("fieldsV1"), dict):
            raise ValueError("managedFields entry without fieldsV1")
        writer = Writer(
            manager=entry.get("manager", ""),
            operation=entry.get("operation", "Update"),
            subresource=entry.get("subresource", ""),
            api_version=entry.get("apiVersion", ""),
        )
        found.append(Owned(writer, frozenset(_paths(entry["fieldsV1"], ())), entry.get("time", "")))
    return found


def _paths(fields: Json, path: Path) -> Iterator[Path]:
    for step, inner in fields.items():
        if step == ".":
            yield path
        elif inner:
            yield from _paths(inner, (*path, step))
        else:
            yield (*path, step)


def encode(owners: list[Owned]) -> list[Json]:
    """Write ``metadata.managedFields``."""
    return [_encode(owned) for owned in owners]


def _encode(owned: Owned) -> Json:
    tree: Json = {}
    for path in sorted(owned.paths):
        node = tree
        for step in path:
            node = node.setdefault(step, {})
    for path in owned.paths:
        node = tree
        for step in path:
            node = node[step]
        if node:
            node["."] = {}
    entry: Json = {
        "manager": owned.writer.manager,
        "operation": owned.writer.operation,
        "apiVersion": owned.writer.api_version,
        "time": owned.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": tree,
    }
    if owned.writer.subresource:
        entry["subresource"] = owned.writer.subresource
    return entry


# ---- update


def current_owners(old: Json, new: Json, *, subresource: str) -> list[Owned]:
    """The entries that a write starts from. Through the main door a client may hand in entries of its own (that is how
    ownership is given back); ``[{}]`` forgets all; nothing or nonsense means: as they are.
    """
    before = decode(old.get("metadata", {}).get("managedFields"))
    if subresource:
        return before
    given = new.get("metadata", {}).get("managedFields")
    if given == [{}]:
        return []
    try:
        return decode(given) or before
    except ValueError:
        return before


def own_updates(owners: list[Owned], *, old: Json, new: Json, shape: Shape, writer: Writer, now: str) -> list[Owned]:
    """After an update: what changed belongs to the writer alone, what is gone belongs to nobody."""
    was, is_ = leaves(old, shape), leaves(new, shape)
    changed = {path for path, value in is_.items() if path not in was or was[path] != value}
    removed = was.keys() - is_.keys()
    if not changed and not removed:
        return owners
    kept: list[Owned] = []
    mine: frozenset[Path] = frozenset()
    for owned in owners:
        if owned.writer == writer:
            mine = owned.paths
            continue
        left = owned.paths - removed - changed
        kept.append(owned if left == owned.paths else replace(owned, paths=left))
    own = (mine - removed) | changed
    return [*(o for o in kept if o.paths), *([Owned(writer, own, now)] if own else [])]


# ---- apply


def apply(
    live: Json, config: Json, *, owners: list[Owned], shape: Shape, writer: Writer, force: bool, now: str
) -> tuple[Json, list[Owned]]:
    """Server-side apply of a configuration over a live object (of our own, changed in place).

    Returns the object and the new owners; ApiError 409 names who stands against it unless forced.
    """
    wanted, seen = leaves(config, shape), leaves(live, shape)
    others = [o for o in owners if o.writer != writer]
    disputed = {
        n: {p for p in o.paths if p in wanted and p in seen and seen[p] != wanted[p] and wanted[p] is not _ITEM}
        for n, o in enumerate(others)
    }
    if any(disputed.values()) and not force:
        raise _conflict([(others[n].writer, paths) for n, paths in disputed.items() if paths])
    others = [replace(o, paths=o.paths - disputed[n]) if disputed[n] else o for n, o in enumerate(others)]
    before = next((o for o in owners if o.writer == writer), None)
    document = merge_applied(live, config, shape)
    if before is not None:
        _give_up(document, before.paths - wanted.keys(), others, shape)
    shown = leaves(document, shape)
    replaced = seen.keys() - shown.keys()
    others = [replace(o, paths=o.paths - replaced) if o.paths & replaced else o for o in others]
    mine = Owned(writer, frozenset(wanted), now)
    if before is not None and before.paths == mine.paths and shown == seen:
        mine = before  # an apply that changes nothing keeps its time; any other has a new one
    return document, [*(o for o in others if o.paths), mine]


def _give_up(document: Json, paths: frozenset[Path], others: list[Owned], shape: Shape) -> None:
    """Remove what an applier no longer names, unless somebody else owns it or something inside. A list item goes as a
    whole, before what is in it; the key of an item that stays, stays.
    """
    held = {path[:n] for o in others for path in o.paths for n in range(1, len(path) + 1)}
    for path in sorted(paths, key=len):
        if path not in held and not _is_key(path):
            _drop(document, path, shape)


def _is_key(path: Path) -> bool:
    """Whether a path leads to the field by which a list item is known."""
    return len(path) > 1 and path[-2].startswith("k:") and path[-1][2:] in orjson.loads(path[-2][2:])


def _conflict(disputes: list[tuple[Writer, set[Path]]]) -> ApiError:
    causes = [
        Cause(show(path), f"conflict with {_name(writer)}", "FieldManagerConflict")
        for writer, paths in disputes
        for path in sorted(paths)
    ]
    number = f"{len(causes)} conflict" + ("s" if len(causes) > 1 else "")
    told = "; ".join(
        f"conflict{'s' if len(paths) > 1 else ''} with {_name(writer)}: " + ", ".join(show(p) for p in sorted(paths))
        for writer, paths in disputes
    )
    return ApiError(409, "Conflict", f"Apply failed with {number}: {told}", causes=causes)


def _name(writer: Writer) -> str:
    through = f' with subresource "{writer.subresource}"' if writer.subresource else ""
    return f'"{writer.manager}"{through} using {writer.api_version}'


def show(path: Path) -> str:
    """A path as people write it: ``.spec.containers[name="main"].image``."""
    told = ""
    for step in path:
        if step.startswith("f:"):
            told += "." + step[2:]
        elif step.startswith("k:"):
            key = orjson.loads(step[2:])
            told += "[" + ",".join(f"{k}={orjson.dumps(v).decode()}" for k, v in key.items()) + "]"
        else:
            told += "[=" + step[2:] + "]"
    return told
