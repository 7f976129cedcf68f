"""The three ways to change a document by sending a part of it: merge patch, strategic merge patch, JSON patch.

All of them take a document of their own (nobody else's) and may change it in place.
"""

from __future__ import annotations

from typing import Any

import jsonpatch

from tidegate.embedded.errors import Json, bad_request, patch_failed
from tidegate.embedded.shape import Shape, keyed_items


def merge_patch(document: Any, patch: Any) -> Any:
    """RFC 7396: null deletes, maps merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    if not isinstance(document, dict):
        document = {}
    for name, value in patch.items():
        if value is None:
            document.pop(name, None)
        elif isinstance(value, dict):
            document[name] = merge_patch(document.get(name), value)
        else:
            document[name] = value
    return document


def json_patch(document: Json, operations: Any) -> Json:
    """RFC 6902. A failed ``test`` and a path that is not there are 422, as on the real server; nonsense is 400."""
    try:
        result = jsonpatch.apply_patch(document, operations, in_place=True)
    except (jsonpatch.InvalidJsonPatch, TypeError, KeyError) as error:
        raise bad_request(f"error decoding patch: {error}") from error
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise patch_failed() from error
    if not isinstance(result, dict):
        raise patch_failed()
    return result


# ---- strategic merge

_DELETE_PRIMITIVES = "$deleteFromPrimitiveList/"
_ELEMENT_ORDER = "$setElementOrder/"


def strategic_merge(document: Any, patch: Any, shape: Shape) -> Any:
    """Kubernetes' own merge for built-in kinds: keyed lists merge item by item, with the ``$patch``,
    ``$deleteFromPrimitiveList``, ``$setElementOrder`` and ``$retainKeys`` directives.
    """
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {name: value for name, value in patch.items() if name != "$patch"}
    if patch.get("$patch") == "delete":
        return {}
    if not isinstance(document, dict):
        document = {}
    retained = patch.get("$retainKeys")
    if retained is not None:
        document = {name: value for name, value in document.items() if name in retained}
    for name, value in patch.items():
        if name.startswith(_DELETE_PRIMITIVES):
            listed = name.removeprefix(_DELETE_PRIMITIVES)
            document[listed] = [x for x in document.get(listed) or () if x not in value]
        elif name.startswith("$"):
            continue
        elif value is None:
            document.pop(name, None)
        elif isinstance(value, list):
            document[name] = _merge_list(document.get(name), value, shape.field(name))
        else:
            document[name] = strategic_merge(document.get(name), value, shape.field(name))
    _put_in_order(document, patch, shape)
    return document


def _merge_list(current: Any, patch: list[Any], shape: Shape) -> list[Any]:
    current = current if isinstance(current, list) else []
    directive = next((i for i in patch if isinstance(i, dict) and i.get("$patch") == "replace"), None)
    if directive is not None:
        return [i for i in patch if i is not directive]
    if shape.is_set:
        return list(dict.fromkeys([*current, *patch]))
    changes, items = keyed_items(shape, patch), keyed_items(shape, current)
    if changes is None or items is None:
        return patch
    for key, change in changes.items():
        if change.get("$patch") == "delete":
            items.pop(key, None)
        else:
            items[key] = strategic_merge(items.get(key), change, shape.item())
    return list(items.values())


def _put_in_order(document: Json, patch: Json, shape: Shape) -> None:
    """Bring lists into the order that the client asked for; items it did not name keep their place behind."""
    for name, order in patch.items():
        if not name.startswith(_ELEMENT_ORDER):
            continue
        listed = name.removeprefix(_ELEMENT_ORDER)
        items = document.get(listed)
        places = keyed_items(shape.field(listed), order) if order and isinstance(order[0], dict) else None
        known = keyed_items(shape.field(listed), items) if isinstance(items, list) else None
        if places is not None and known is not None:
            ranks = {key: n for n, key in enumerate(places)}
            document[listed] = [known[k] for k in sorted(known, key=lambda k: ranks.get(k, len(ranks)))]


# ---- server-side apply


def merge_applied(document: Any, applied: Any, shape: Shape) -> Any:
    """Lay an applied configuration over a document; what it does not name stays."""
    if isinstance(applied, dict) and not shape.atomic:
        document = document if isinstance(document, dict) else {}
        for name, value in applied.items():
            document[name] = merge_applied(document.get(name), value, shape.field(name))
        return document
    if isinstance(applied, list) and isinstance(document, list):
        if shape.is_set:
            return list(dict.fromkeys([*document, *applied]))
        changes, items = keyed_items(shape, applied), keyed_items(shape, document)
        if changes is not None and items is not None:
            for key, change in changes.items():
                items[key] = merge_applied(items.get(key), change, shape.item())
            return list(items.values())
    return applied
