"""What can be seen of a ``helm.v3.Release``: Helm makes its objects, and Pulumi sees the values that they are made of.

A chart's objects are not known while a release is declared, and ``ignore_changes`` does not reach into them; Helm's
upgrade sets every field that the chart renders back to what it renders. So a release whose values switch on something
that moves by itself, or set a field that the operator moves, is a finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tidegate_policies.paths import written
from tidegate_policies.values import UNKNOWN, Path, look

_SWITCHES = frozenset({"autoscaler", "autoscaling", "horizontalpodautoscaler", "hpa", "keda", "scaledobject"})
"""Keys under which charts switch an autoscaler on, in lower case."""
_FIELDS = frozenset({"minReplicas", "minReplicaCount", "minReplicaCounts", "stopPolicy", "suspend"})
"""Keys by which charts set a field that the operator moves."""


def moved_by(values: Any) -> list[str]:
    """Values that make something that the operator moves, as paths."""
    return [written(path) for path in _moved(values, ("values",))]


def _moved(value: Any, at: Path) -> Iterator[Path]:
    if isinstance(value, dict):
        for key, inner in value.items():
            here = (*at, key)
            if key.lower() in _SWITCHES and (switch := _switch(inner)) is not None:
                if switch:
                    yield (*here, "enabled") if isinstance(inner, dict) else here
            elif key in _FIELDS and inner is not None:
                yield here
            else:
                yield from _moved(inner, here)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _moved(inner, (*at, place))
    elif value is UNKNOWN and len(at) == 1:
        yield at


def _switch(value: Any) -> bool | None:
    """Whether an autoscaler is on; None when this is no switch. What is not known yet may be on, and so is any text for
    a template, be it "false".
    """
    found = look(value, "enabled") if isinstance(value, dict) else value
    if found is UNKNOWN or (isinstance(value, dict) and isinstance(found, str) and found):
        return True
    return found if isinstance(found, bool) else None
