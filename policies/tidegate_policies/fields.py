"""Who applied which field, as ``metadata.managedFields`` tells it.

A stack's rule sees outputs, and those of an update are the live object, in which an autoscaler has written. What the
program itself sets is what Pulumi's provider is a manager of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tidegate_policies.values import Path, items, look, look_at

PULUMI_MANAGER = re.compile(r"pulumi-(resource-)?kubernetes(\.exe)?(-[0-9a-f]{8})?")
"""Names under which Pulumi's Kubernetes provider writes. By server-side apply each resource has a manager of its own,
``pulumi-kubernetes-`` and eight hexadecimal digits; client-side it is the program's name.
``pulumi-kubernetes-operator`` is another program."""
_MANAGER_ANNOTATION = ("metadata", "annotations", "pulumi.com/patchFieldManager")
"""Another name that the program gives to its manager."""


def known(props: Any) -> bool:
    """Whether the object says who manages its fields."""
    return bool(items(look(props, "metadata.managedFields")))


def of_pulumi(props: Any) -> Iterator[Mapping[str, Any]]:
    """Fields that Pulumi applied, one tree for each of its entries; ``{}`` is a leaf.

    An entry of a subresource is none: Pulumi writes whole objects, ``scale`` and ``status`` are others'.
    """
    own = look_at(props, _MANAGER_ANNOTATION)
    for entry in items(look(props, "metadata.managedFields")):
        manager = look(entry, "manager")
        ours = isinstance(manager, str) and (manager == own or PULUMI_MANAGER.fullmatch(manager) is not None)
        fields = look(entry, "fieldsV1")
        if ours and not look(entry, "subresource") and isinstance(fields, Mapping):
            yield fields


def applied_by_pulumi(props: Any, path: Path) -> bool:
    """Whether Pulumi set what stands at a path, by itself or as part of something atomic."""
    return any(_holds(fields, path) for fields in of_pulumi(props))


def _holds(fields: Any, path: Path) -> bool:
    for key in path:
        fields = fields.get(f"f:{key}") if isinstance(fields, Mapping) else None
        if fields is None:
            return False
        if not fields:
            return True
    return True
