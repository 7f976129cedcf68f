"""What an object as read says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.planning.model import Key


def key_of(obj: Mapping[str, Any]) -> Key:
    """Namespace and name of an object as read."""
    metadata = obj["metadata"]
    return Key(metadata.get("namespace", ""), metadata["name"])


def generation_of(obj: Mapping[str, Any]) -> int:
    """Generation of an object as read; 0 without one."""
    generation = obj["metadata"].get("generation")
    return generation if isinstance(generation, int) else 0


def policy_of(obj: Mapping[str, Any]) -> str:
    """The policy that an object names; empty where that cannot be read."""
    spec = obj.get("spec")
    ref = spec.get("policyRef") if isinstance(spec, Mapping) else None
    name = ref.get("name") if isinstance(ref, Mapping) else None
    return name if isinstance(name, str) else ""
