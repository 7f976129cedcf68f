"""In cluster scope, what a policy's queries may read: the numbers of its own namespace, or with ``free`` any.

A policy that a version before this one accepted is left as it is, and warned about, until it is changed; from the next
version on it is confined like any other. That it was accepted stands in its status, which its owner does not write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidegate.api.problems import InvalidObject, Problem
from tidegate.metrics.scoped import UnscopedError, scoped
from tidegate.planning.model import Policy

CONFINED = "Confined"
"""Type of the condition."""
FREE = (
    "Its queries read what the operator may read. From the next version on they read namespace {namespace} alone, as"
    " those of a policy that is changed now do; the setting queries: free keeps them."
)


def confined(policy: Policy, obj: Mapping[str, Any]) -> tuple[Policy, str]:
    """The policy with queries that read its own namespace alone; and why they do not, empty when they do.

    InvalidObject for a query that cannot be confined, unless a version before this one has accepted it.
    """
    namespace, signals, problems = policy.key.namespace, [], []
    for number, signal in enumerate(policy.signals):
        try:
            query = scoped(signal.query, namespace) if signal.query else signal.query
        except UnscopedError as error:
            right = f'PromQL whose every selector can be given namespace="{namespace}", or the setting queries: free'
            problems.append(Problem(f"spec.signals[{number}].query", str(error), right))
        else:
            signals.append(replace(signal, query=query))
    if _was_accepted(obj) and (problems or tuple(signals) != policy.signals):
        return policy, " ".join([FREE.format(namespace=namespace), *map(str, problems)])
    if problems:
        raise InvalidObject(problems)
    return replace(policy, signals=tuple(signals)), ""


def _was_accepted(obj: Mapping[str, Any]) -> bool:
    """Whether this very generation was accepted with free queries."""
    status = obj.get("status")
    if not isinstance(status, Mapping) or status.get("observedGeneration") != obj["metadata"].get("generation"):
        return False
    conditions = status.get("conditions")
    by_type = {
        one.get("type"): one.get("status")
        for one in (conditions if isinstance(conditions, list) else ())
        if isinstance(one, Mapping)
    }
    return by_type.get("Accepted") == "True" and by_type.get(CONFINED, "False") == "False"
