"""The configuration of a stack that holds everything, checked as one: all that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate_stacks.batch import BatchArgs
from tidegate_stacks.cache import CacheArgs
from tidegate_stacks.checks import Args, load
from tidegate_stacks.database import DatabaseArgs
from tidegate_stacks.edge import EdgeCacheArgs
from tidegate_stacks.live import LiveOriginArgs
from tidegate_stacks.platform import OperatorArgs
from tidegate_stacks.policy import EventPolicyArgs

SERVING = ("cache", "database", "edge", "live")
"""Sections of what lives in the stack's namespace and leaves its targets to the joint policy."""


class Together(Args):
    """One section per component."""

    operator: OperatorArgs
    database: DatabaseArgs
    cache: CacheArgs
    live: LiveOriginArgs
    edge: EdgeCacheArgs
    batch: BatchArgs
    events: EventPolicyArgs
    """The policy that events name, with the workloads that the stack does not make."""


SECTIONS = tuple(Together.model_fields)


def read(sections: Mapping[str, Any], *, namespace: str, protect: bool) -> Together:
    """The stack's settings from its configuration. ArgsError names every field that is wrong, as ``config.edge.disk``.

    ``namespace`` is given once and holds for all that serve; ``protect``: whether the database outlives the stack.
    """
    given = dict(sections)
    for name in SERVING:
        given[name] = _with(given.get(name), namespace=namespace, policy=None)
    given["database"] = _with(given.get("database"), protect=protect)
    given["events"] = _with(given.get("events") or {}, namespace=namespace)
    return load(Together, {name: section for name, section in given.items() if section is not None}, "config")


def _with(section: Any, **shared: Any) -> Any:
    """A section with what it shares with others; what is missing or no map is left for ``load`` to name."""
    return {**shared, **section} if isinstance(section, Mapping) else section
