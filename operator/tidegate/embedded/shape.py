"""How lists and maps merge: which lists are keyed, which are sets, and what is replaced as a whole.

Server-side apply, field ownership and strategic merge all ask this. For a custom resource the answer stands in its
schema; for built-in kinds it hangs on the field's name, which is unambiguous but for ``ports``.
"""

from __future__ import annotations

from typing import Any, Protocol

import orjson


class Shape(Protocol):
    """What is known about the value at one place of an object."""

    @property
    def atomic(self) -> bool:
        """The value has one owner and is replaced as a whole."""

    @property
    def is_set(self) -> bool:
        """A list of scalars without order."""

    def field(self, name: str) -> Shape:
        """The shape of a member of this map."""

    def item(self) -> Shape:
        """The shape of an item of this list."""

    def key_of(self, item: Any) -> dict[str, Any] | None:
        """What tells an item of this list from its siblings; None when the list is not keyed or the item has no key."""


_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "secrets": ("name",),
    "hostAliases": ("ip",),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
_SETS = frozenset({"finalizers"})
_ATOMIC = frozenset({"selector", "nodeSelector", "scaleTargetRef"})


class BuiltinShape:
    """The shape of a field of a built-in kind, from its name alone."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def atomic(self) -> bool:
        """True for selectors and references."""
        return self._name in _ATOMIC

    @property
    def is_set(self) -> bool:
        """True for finalizers."""
        return self._name in _SETS

    def field(self, name: str) -> Shape:
        """The member of that name."""
        return BuiltinShape(name)

    def item(self) -> Shape:
        """Items are maps without a name of their own."""
        return BUILTIN

    def key_of(self, item: Any) -> dict[str, Any] | None:
        """The item's key where the list is keyed."""
        if not isinstance(item, dict):
            return None
        if self._name == "ports":
            port = "containerPort" if "containerPort" in item else "port"
            return {port: item[port], "protocol": item.get("protocol", "TCP")} if port in item else None
        keys = _KEYS.get(self._name)
        if keys is None or any(k not in item for k in keys):
            return None
        return {k: item[k] for k in keys}


BUILTIN = BuiltinShape("")


class SchemaShape:
    """The shape of a value of a custom resource, from its structural schema."""

    __slots__ = ("_root", "_schema")

    def __init__(self, schema: dict[str, Any], *, root: bool = False) -> None:
        self._schema = schema
        self._root = root

    @property
    def atomic(self) -> bool:
        """``x-kubernetes-map-type: atomic``, and every list that does not say otherwise."""
        return self._schema.get("x-kubernetes-map-type") == "atomic"

    @property
    def is_set(self) -> bool:
        """``x-kubernetes-list-type: set``."""
        return self._schema.get("x-kubernetes-list-type") == "set"

    def field(self, name: str) -> Shape:
        """The member of that name; ``metadata`` of the object itself is that of every kind."""
        if self._root and name == "metadata":
            return BUILTIN
        found = (self._schema.get("properties") or {}).get(name)
        if found is None:
            found = self._schema.get("additionalProperties")
        return SchemaShape(found if isinstance(found, dict) else {})

    def item(self) -> Shape:
        """``items``."""
        return SchemaShape(self._schema.get("items") or {})

    def key_of(self, item: Any) -> dict[str, Any] | None:
        """The keys of ``x-kubernetes-list-map-keys``, defaults included."""
        if self._schema.get("x-kubernetes-list-type") != "map" or not isinstance(item, dict):
            return None
        key: dict[str, Any] = {}
        properties = (self._schema.get("items") or {}).get("properties") or {}
        for name in self._schema.get("x-kubernetes-list-map-keys") or ():
            if name in item:
                key[name] = item[name]
            elif "default" in properties.get(name, {}):
                key[name] = properties[name]["default"]
            else:
                return None
        return key


def keyed_items(shape: Shape, items: list[Any]) -> dict[bytes, Any] | None:
    """The items of a keyed list by their key's JSON, in order; None when the list (or an item) has no key."""
    found: dict[bytes, Any] = {}
    for item in items:
        key = shape.key_of(item)
        if key is None:
            return None
        found[orjson.dumps(key, option=orjson.OPT_SORT_KEYS)] = item
    return found
