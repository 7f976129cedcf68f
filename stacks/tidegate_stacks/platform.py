"""What the rest stands on: namespaces, and the operator by its chart.

``pulumi destroy`` does not run the chart's hooks, since Pulumi renders a chart and applies the objects itself: run
``tidegate release --all`` first, so that what is borrowed is returned while the operator is still there to do it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


class ChartArgs(Args):
    """A chart of somebody else's."""

    version: Text
    """Version of the chart: what is installed tomorrow is what is installed today."""
    chart: Text | None = None
    """Path of a copy, or another reference. None: where its makers publish it."""
    namespace: Text | None = None
    """None: the one that its makers install it in. It is made."""
    values: Mapping[str, Any] = {}
    """Values of the chart, as in a values file."""


class AddonsArgs(Args):
    """Others' operators that the ground stands on, for a cluster that has none of them. Each is an option."""

    cloudnative_pg: ChartArgs | None = None
    """CloudNativePG, for databases."""
    kueue: ChartArgs | None = None
    """Kueue, for the queues of data processing."""
    prometheus: ChartArgs | None = None
    """Prometheus and its operator (kube-prometheus-stack), for measured signals and ``monitor``. Its webhook and its
    operator's TLS are off: a hook would make their certificate, and no hook runs."""
    manifests: tuple[Text, ...] = Field(default=(), max_length=32)
    """Files or URLs of manifests that are applied as they are, e.g. the kinds of Gateway API."""


@dataclass(frozen=True, slots=True)
class Addon:
    """Where the makers of an add-on publish its chart, and the namespace that they install it in."""

    chart: str
    namespace: str
    repository: str = ""
    """Empty: the reference of an OCI chart holds its registry."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """What the chart needs where its hooks do not run. The user's own values win."""


ADDONS: Mapping[str, Addon] = {
    "cloudnative_pg": Addon("cloudnative-pg", "cnpg-system", "https://cloudnative-pg.github.io/charts"),
    "kueue": Addon("oci://registry.k8s.io/kueue/charts/kueue", "kueue-system"),
    # A hook of the chart makes the certificate that its operator mounts, and Pulumi runs none: the operator's pod would
    # wait for it for ever. Without the webhook nothing asks the operator over TLS.
    "prometheus": Addon(
        "oci://ghcr.io/prometheus-community/charts/kube-prometheus-stack",
        "monitoring",
        values={"prometheusOperator": {"admissionWebhooks": {"enabled": False}, "tls": {"enabled": False}}},
    ),
}


def over(beneath: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a chart over others, as Helm puts a values file over a chart's own: map by map."""
    made = dict(beneath)
    for key, value in given.items():
        below = made.get(key)
        made[key] = over(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return made


class Addons(Component):
    """Others' operators by their own charts. Their kinds exist once this component does."""

    names: pulumi.Output[list[str]]
    """Which of them there are."""

    def __init__(self, name: str, args: AddonsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Pulumi's provider renders each chart, so that policies and transforms see every object; hooks do not run."""
        super().__init__("tidegate:platform:Addons", name, opts)
        given = {one: chart for one in ADDONS if (chart := getattr(args, one)) is not None}
        for one, chart in given.items():
            self._chart(naming.child(name, one.replace("_", "-")), one, chart)
        if args.manifests:
            from pulumi_kubernetes.yaml.v2 import ConfigGroup

            opts = pulumi.ResourceOptions(parent=self)
            ConfigGroup(naming.child(name, "manifests"), files=list(args.manifests), opts=opts)
        self.finish(names=list(given))

    def _chart(self, called: str, one: str, args: ChartArgs) -> None:
        from pulumi_kubernetes.helm.v4 import Chart, RepositoryOptsArgs

        addon = ADDONS[one]
        repository = addon.repository if args.chart is None else ""
        place = addon.namespace if args.namespace is None else args.namespace
        # Their pods need more than restricted ones may: who installs an operator trusts it.
        labels = naming.labels(called, self._name_of_component)
        home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place, "labels": labels}}
        made = self.put(home, called=naming.child(called, "namespace"))
        Chart(
            called,
            chart=addon.chart if args.chart is None else args.chart,
            repository_opts=RepositoryOptsArgs(repo=repository) if repository else None,
            version=args.version,
            namespace=place,
            values=over(addon.values, args.values),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[made]),
        )


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
