"""Which fields belong to the operator, and which kinds hold data: what the rules know of the world.

The same facts stand in the components' package, which this one never imports; a test compares the two.
"""

from __future__ import annotations

GROUP = "tidegate.dev"

OPERATOR_OWNED: dict[tuple[str, str], tuple[str, ...]] = {
    ("autoscaling", "HorizontalPodAutoscaler"): ("spec.minReplicas",),
    ("autoscaling.x-k8s.io", "CapacityBuffer"): ("spec.replicas",),
    ("batch", "CronJob"): ("spec.suspend",),
    ("batch", "Job"): ("spec.suspend",),
    ("keda.sh", "ScaledObject"): ("spec.minReplicaCount",),
    ("kueue.x-k8s.io", "ClusterQueue"): ("spec.resourceGroups", "spec.stopPolicy"),
    ("postgresql.cnpg.io", "Cluster"): ("spec.instances",),
    ("postgresql.cnpg.io", "Pooler"): ("spec.instances",),
}
"""(group, kind) → property paths that are the operator's wherever such an object is."""

OPERATOR_OWNED_WHERE_MOVED: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps", "Deployment"): ("spec.replicas",),
    ("apps", "StatefulSet"): ("spec.replicas",),
}
"""The same for workloads that may just as well stand still: only where a policy, a pool or an autoscaler moves them."""

SCALED_PATH = ("spec", "replicas")
"""What is moved of any other kind that a policy or a pool names: the field that nearly every scale subresource maps."""

AUTOSCALERS = frozenset({("autoscaling", "HorizontalPodAutoscaler"), ("keda.sh", "ScaledObject")})
"""Kinds that move another workload's replicas by themselves."""

_FORMER_GROUPS = {
    ("extensions", "DaemonSet"): "apps",
    ("extensions", "Deployment"): "apps",
    ("extensions", "ReplicaSet"): "apps",
    ("extensions", "StatefulSet"): "apps",
    ("keda.k8s.io", "ScaledJob"): "keda.sh",
    ("keda.k8s.io", "ScaledObject"): "keda.sh",
}
"""Kinds that were served under another group; the same object is meant."""


def canonical(group: str, kind: str) -> tuple[str, str]:
    """(group, kind) under today's group."""
    return _FORMER_GROUPS.get((group, kind), group), kind
