"""Suppression of one rule on one resource, with a reason.

On an object: the annotation ``tidegate.dev/allow: "rule: reason"``, several of them separated by semicolons. For what
has no annotations: the setting ``allow`` of the rule in the pack's configuration, from a URN, a name or a pattern of
them (``*`` for any text) to the reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from tidegate_policies.resources import Object, Seen
from tidegate_policies.values import look_at, plain

ANNOTATION = "tidegate.dev/allow"
_PLACE = ("metadata", "annotations", ANNOTATION)


def written_on(props: Any) -> dict[str, str]:
    """Reason by rule, of an object; the reason may be empty."""
    text = look_at(props, _PLACE)
    found = {}
    for part in re.split(r"[;\n]", text) if isinstance(text, str) else ():
        rule, _, reason = part.partition(":")
        if rule.strip():
            found[rule.strip()] = reason.strip()
    return found


def on(seen: Seen, one: Object | None) -> dict[str, str]:
    """The same of a resource, and of one object within it."""
    return {**written_on(seen.props), **(written_on(one.props) if one else {})}


def settings(args: Any) -> Mapping[str, Any]:
    """A rule's part of the pack's configuration."""
    given: Any = getattr(args, "get_config", dict)()
    return given if isinstance(given, Mapping) else {}


def configured(args: Any) -> dict[str, str]:
    """Reason by pattern, of a rule's configuration."""
    allow = plain(settings(args)).get("allow")
    return {str(key): str(reason or "").strip() for key, reason in allow.items()} if isinstance(allow, dict) else {}


def is_allowed(rule: str, seen: Seen, one: Object | None, granted: Mapping[str, str]) -> bool:
    """Whether a finding is suppressed: only with a reason."""
    if on(seen, one).get(rule):
        return True
    return any(reason and _names(pattern, seen) for pattern, reason in granted.items())


def _names(pattern: str, seen: Seen) -> bool:
    return fnmatchcase(seen.urn, pattern) or fnmatchcase(seen.name, pattern)
