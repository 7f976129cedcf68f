"""Whether a request stood between the operator and the level of a workload."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fault_list import Fault
from fault_scene import Workload
from wire import Ask, Hit

FEW = ("liveevents", "scalingpolicies", "overrides", "capacitypools")
STARTS_WITHIN = 60.0
"""Seconds from the start of a process to the end of its start-up, when nothing is in its way."""
REOPENED = 60.0
"""Seconds until what was announced in a namespace that refused us is written."""

HOLDERS = ("horizontalpodautoscalers", "deployments", "statefulsets", "jobs")


def concerns(ask: Ask, one: Workload) -> bool:
    """Whether a request stood between the operator and the level of a workload."""
    if ask.deed in ("discover", "watch") or ask.plural == "leases":
        return ask.deed != "watch"
    if ask.plural in (*HOLDERS, "namespaces"):
        return ask.namespace in ("", one.namespace) and ask.name in ("", one.name)
    if ask.plural == "loans":
        return ask.namespace in ("", one.namespace) and (not ask.name or f"-{one.name}-" in ask.name)
    ours = ask.namespace in ("", one.namespace)
    return ours and ask.plural in FEW and ask.deed in ("list", "get")


def closed_lately(faults: Iterable[Fault], namespace: str, now: float) -> bool:
    """Whether a namespace refuses us, or has until a moment ago: it is asked for again every ten seconds, and what is
    announced there within half a minute.
    """
    mine = [one for one in faults if one.kind == "closed" and one.args["namespace"] == namespace]
    return any(one.at <= now < one.end + REOPENED for one in mine)


def held_up(hits: Iterable[Hit], slot: str, faults: Sequence[Fault], now: float) -> bool:
    """Whether any of these was in the way of a replica's start; that a namespace of several refuses us is not."""
    mine = (hit for hit in hits if hit.ask.slot == slot)
    return any(hit.how != "403" or not closed_lately(faults, hit.ask.namespace, now) for hit in mine)


def failing_since(hits: Iterable[Hit], plural: str, now: float, *, pause: float) -> float | None:
    """Since when lists of a kind have failed with no pause of ``pause`` seconds; None where they do not fail now."""
    since = None
    for hit in sorted(hits, key=lambda hit: hit.end, reverse=True):
        if hit.ask.plural == plural and hit.ask.deed == "list":
            if hit.end < (now if since is None else since) - pause:
                break
            since = hit.start if since is None else min(since, hit.start)
    return since
