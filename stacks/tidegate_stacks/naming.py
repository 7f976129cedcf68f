"""Names and labels. One function each, so that a name is spelt in one place.

A Pulumi URN holds the type of a parent, not its name: two components of one type whose children are named alike
collide. So every child's name starts with its component's.
"""

from __future__ import annotations

import re

MAX_COMPONENT = 30
"""Longest name of a component: a region (24) and a suffix still fit into a DNS label of 63."""
MAX_LABEL = 63

_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def component_name(name: str) -> str:
    """The name itself if a component may bear it; ValueError says what would be right."""
    if len(name) <= MAX_COMPONENT and _LABEL.fullmatch(name):
        return name
    raise ValueError(
        f"{name!r} cannot name a component: use up to {MAX_COMPONENT} lower-case letters, digits and dashes,"
        " starting with a letter"
    )


def child(component: str, *parts: str) -> str:
    """Name of a child: the component's, then its parts. ValueError when it is no DNS label."""
    name = "-".join((component, *parts))
    if len(name) > MAX_LABEL or not _LABEL.fullmatch(name):
        raise ValueError(
            f"{name!r} is no DNS label of at most {MAX_LABEL} characters: shorten {component!r} or its parts"
        )
    return name


def selector(name: str) -> dict[str, str]:
    """Labels that pods of one workload are found by. They never change: a selector is immutable."""
    return {"app.kubernetes.io/name": name}


def labels(name: str, component: str) -> dict[str, str]:
    """Labels of an object: what it is, what it is part of, and who made it."""
    return {**selector(name), "app.kubernetes.io/part-of": component, "app.kubernetes.io/managed-by": "pulumi"}
