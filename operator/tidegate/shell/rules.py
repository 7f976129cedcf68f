"""All that the operator's account may do, and the account that returns everything: collected from where it is done.

The chart renders exactly this (``charts/tidegate/files/rules.yaml``, written by ``tidegate rbac``). A feature that
comes with requests of its own brings its ``RULES`` and one line here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.control.stop import NAME as STOP
from tidegate.shell import events, leader, publisher
from tidegate.targets import evidence, hpa, learned, loans, pools, quotas, scale
from tidegate.targets.rules import Rule, ScaleVerbs, Where


@dataclass(frozen=True, slots=True)
class Account:
    """What one account is for, and may do."""

    rules: tuple[Rule, ...]
    targets: ScaleVerbs
    """On every kind that may be scaled: those of ``scale.KINDS`` and those that the administrator adds."""


_OURS = "tidegate.dev"

WATCHING = (
    Rule(_OURS, ("liveevents", "overrides", "scalingpolicies"), ("get", "list", "watch")),
    Rule(_OURS, ("capacitypools",), ("get", "list", "watch"), Where.CLUSTER),
)
"""``runtime.py`` lists and watches; ``publisher.py`` and ``events.py`` read one."""
STOP_SIGN = (Rule("", ("configmaps",), ("list", "watch"), Where.HOME, names=(STOP,)),)
"""``runtime.py`` watches for the durable stop, by a field selector on its name."""
KOPF = (Rule("apiextensions.k8s.io", ("customresourcedefinitions",), ("list", "watch"), Where.CLUSTER),)
"""kopf notices kinds that are installed later; in namespace scope it is told not to look (``app.py``)."""

OPERATOR = Account(
    rules=(
        *WATCHING,
        *STOP_SIGN,
        *KOPF,
        *publisher.RULES,
        *events.RULES,
        *leader.RULES,
        *loans.RULES,
        *learned.RULES,
        *hpa.RULES,
        *scale.RULES,
        *evidence.RULES,
        *quotas.RULES,
        *pools.RULES,
    ),
    targets=scale.VERBS,
)
"""The operator."""

RELEASE = Account(
    rules=(
        # "release" is no verb of any request: holding it is what lets somebody else than the operator end a loan.
        Rule(_OURS, ("loans",), ("get", "list", "update", "delete", "release")),
        # Listed to see whether one has come in front of what was lent through /scale.
        Rule("autoscaling", ("horizontalpodautoscalers",), ("get", "list", "patch")),
        Rule("", ("configmaps",), ("create",), Where.HOME),
        Rule("", ("configmaps",), ("get",), Where.HOME, names=(STOP,)),
        *scale.RULES,
        Rule("batch", ("jobs",), ("get", "patch"), Where.CLUSTER),
    ),
    targets=ScaleVerbs(main=("get", "patch"), scale=("get", "patch")),
)
"""Whoever runs ``tidegate release --all``: a person, or the job that runs before the chart is uninstalled."""


def merged(rules: Iterable[Rule], where: Where) -> list[Rule]:
    """The rules of one reach, sorted by group and resource, one rule for each resource and set of names."""
    verbs: dict[tuple[str, str, tuple[str, ...]], set[str]] = {}
    for rule in rules:
        for resource in rule.resources if rule.where is where else ():
            verbs.setdefault((rule.group, resource, rule.names), set()).update(rule.verbs)
    return [
        Rule(group, (resource,), tuple(sorted(verbs[group, resource, names])), where, names)
        for group, resource, names in sorted(verbs)
    ]
