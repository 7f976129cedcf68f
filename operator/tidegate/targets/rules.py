"""What an account must be allowed to do: declared beside the code that does it, rendered by the chart as RBAC rules.

A rule is written down where its request is sent (``RULES`` in each module), so that whoever adds a request sees the
rule that goes with it. ``shell/rules.py`` collects them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Where(StrEnum):
    """How far a rule reaches."""

    WATCHED = "watched"
    """In every watched namespace: a Role in each of them, or one ClusterRole for all."""
    HOME = "home"
    """In the operator's own namespace alone, whatever it watches."""
    CLUSTER = "cluster"
    """Objects of the cluster itself: only an operator of the whole cluster gets these."""


LEASE_NAME = "$(leaseName)"
"""Stands for the name of the Lease in ``Rule.names``: it is a setting, the chart knows it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Verbs on resources of one API group."""

    group: str
    """Empty for the core group."""
    resources: tuple[str, ...]
    """Plural names; subresources as ``plural/name``."""
    verbs: tuple[str, ...]
    where: Where = Where.WATCHED
    names: tuple[str, ...] = ()
    """Only objects of these names; all when empty. ``create`` knows no names: it needs a rule without."""


@dataclass(frozen=True, slots=True)
class ScaleVerbs:
    """Verbs on a kind that is scaled: the same for every kind, and the administrator may add kinds."""

    main: tuple[str, ...]
    """On the object."""
    scale: tuple[str, ...]
    """On its ``/scale``."""


@dataclass(frozen=True, slots=True)
class ScaleKind:
    """A kind with ``/scale`` that may be a target without further ado."""

    group: str
    kind: str
    resource: str
