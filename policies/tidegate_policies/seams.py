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

DATABASES: frozenset[tuple[str, str]] = frozenset(
    {
        ("apps.kubeblocks.io", "Cluster"),
        ("core.pingcap.com", "Cluster"),
        ("oceanbase.oceanbase.com", "OBCluster"),
        ("planetscale.com", "VitessCluster"),
        ("postgresql.cnpg.io", "Cluster"),
        ("pxc.percona.com", "PerconaXtraDBCluster"),
    }
)
"""Kinds whose deletion deletes data."""
