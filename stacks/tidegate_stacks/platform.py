"""What the rest stands on: namespaces, and the operator by its chart.

``pulumi destroy`` does not run the chart's hooks, since Pulumi renders a chart and applies the objects itself: run
``tidegate release --all`` first, so that what is borrowed is returned while the operator is still there to do it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pydantic import Field

from tidegate_stacks import naming
from tidegate_stacks.checks import Args, Name, Text
from tidegate_stacks.component import Component
from tidegate_stacks.objects import Obj, priority_class


class NamespacesArgs(Args):
    """Namespaces that are made before anything is put into them."""

    names: tuple[Name, ...] = Field(min_length=1, max_length=64)
    protect: tuple[Name, ...] = ()
    """Those that ``pulumi destroy`` leaves: a namespace takes what is in it along, protected or not."""


def namespace(name: str, component: str) -> Obj:
    """A namespace that refuses privileged pods, and warns of what falls short of the restricted standard."""
    labels = {
        **naming.labels(name, component),
        "pod-security.kubernetes.io/enforce": "baseline",
        "pod-security.kubernetes.io/warn": "restricted",
    }
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


class Namespaces(Component):
    """Namespaces."""

    names: pulumi.Output[list[str]]

    def __init__(self, name: str, args: NamespacesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Everything is rendered from ``args`` by the function above."""
        super().__init__("tidegate:platform:Namespaces", name, opts)
        for one in args.names:
            protect = True if one in args.protect else None
            self.put(namespace(one, name), called=naming.child(name, one), protect=protect)
        self.finish(names=list(args.names))


class PrioritiesArgs(Args):
    """The PriorityClass that everything that serves bears. What may be lent has one of its own, below the default."""

    serving: int = Field(default=100_000, ge=1, le=1_000_000_000)
    """Above the cluster's default of 0: where machines are short, what serves goes first."""


class Priorities(Component):
    """Who goes first where machines are short."""

    serving: pulumi.Output[str]
    """Name of the class, for ``priority`` of every component that serves."""

    def __init__(self, name: str, args: PrioritiesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Everything is rendered from ``args``."""
        super().__init__("tidegate:platform:Priorities", name, opts)
        called = naming.child(name, "serving")
        says = "Serves people who wait: it may drive out what can wait."
        self.put(priority_class(called, name, value=args.serving, preempts=True, says=says))
        self.finish(serving=called)


class OperatorArgs(Args):
    """The operator's chart and what is set in it."""

    chart: Text
    """Path of the chart, or its reference in a registry."""
    version: Text | None = None
    """Version of the chart, where it comes from a registry."""
    namespace: Text = "tidegate-system"
    values: Mapping[str, Any] = {}
    """Values of the chart, as in a values file."""


def chart_values(args: OperatorArgs, scaled_kinds: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Values with the kinds that this stack's policies name added to those that the values name already."""
    values = dict(args.values)
    named = {**values.get("targets", {})}
    if scaled_kinds:
        named["extraScaleResources"] = [*named.get("extraScaleResources", ()), *map(dict, scaled_kinds)]
        values["targets"] = named
    return values


class Operator(Component):
    """The Tidegate operator. Its kinds exist once this component does: what makes policies depends on it."""

    namespace: pulumi.Output[str]
    release: pulumi.Output[str]
    """Name that the chart was rendered with."""

    def __init__(
        self,
        name: str,
        args: OperatorArgs,
        *,
        scaled_kinds: Sequence[Mapping[str, str]] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """The chart is rendered by Pulumi's provider, so that policies and transforms see each object.

        ``scaled_kinds``: what it shall move besides Deployments and StatefulSets, as ``database.SCALED_KINDS``.
        """
        super().__init__("tidegate:platform:Operator", name, opts)
        from pulumi_kubernetes.helm.v4 import Chart

        self.chart = Chart(
            name,
            chart=args.chart,
            version=args.version,
            namespace=args.namespace,
            values=chart_values(args, scaled_kinds),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.finish(namespace=args.namespace, release=name)
