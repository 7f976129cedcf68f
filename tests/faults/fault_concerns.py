"""Whether a request stood between the operator and the level of a workload."""

from __future__ import annotations

from fault_scene import Workload
from wire import Ask

HOLDERS = ("horizontalpodautoscalers", "deployments", "statefulsets", "jobs")


def concerns(ask: Ask, one: Workload) -> bool:
    """Whether a request stood between the operator and the level of a workload."""
    if ask.deed in ("discover", "watch") or ask.plural == "leases":
        return ask.deed != "watch"
    if ask.plural in (*HOLDERS, "namespaces"):
        return ask.namespace in ("", one.namespace) and ask.name in ("", one.name)
    if ask.plural == "loans":
        return ask.namespace in ("", one.namespace) and (not ask.name or f"-{one.name}-" in ask.name)
    return ask.plural in ("liveevents", "scalingpolicies", "overrides", "capacitypools") and ask.deed in ("list", "get")
