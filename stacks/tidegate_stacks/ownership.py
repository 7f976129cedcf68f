"""Who owns which field, as data: infrastructure code sets first values, the operator moves them afterwards.

Every object that a component registers passes through ``ignored``, so that no later ``pulumi up`` undoes what the
operator holds. Data and no code of the operator: the two packages never import each other, a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass

GROUP = "tidegate.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
FIELD_MANAGER = "tidegate"
"""Name under which the operator writes to the cluster."""


@dataclass(frozen=True, slots=True, order=True)
class OwnedPath:
    """A field whose level belongs to the operator, or to the autoscaler beneath it, once the object exists."""

    group: str
    """API group; empty for the core group."""
    kind: str
    path: str
    """Property path in Pulumi's notation. No list indices: the Kubernetes provider cannot look into lists here, and a
    ClusterQueue's resourceGroups is one atomic list for field ownership anyway."""


OPERATOR_OWNED: tuple[OwnedPath, ...] = (
    OwnedPath("apps", "Deployment", "spec.replicas"),
    OwnedPath("apps", "StatefulSet", "spec.replicas"),
    OwnedPath("autoscaling", "HorizontalPodAutoscaler", "spec.minReplicas"),
    OwnedPath("autoscaling.x-k8s.io", "CapacityBuffer", "spec.replicas"),
    OwnedPath("batch", "CronJob", "spec.suspend"),
    OwnedPath("batch", "Job", "spec.suspend"),
    OwnedPath("keda.sh", "ScaledObject", "spec.minReplicaCount"),
    OwnedPath("kueue.x-k8s.io", "ClusterQueue", "spec.resourceGroups"),
    OwnedPath("kueue.x-k8s.io", "ClusterQueue", "spec.stopPolicy"),
    OwnedPath("postgresql.cnpg.io", "Cluster", "spec.instances"),
    OwnedPath("postgresql.cnpg.io", "Pooler", "spec.instances"),
)
"""Sorted by group, kind, path."""


def group_of(api_version: str) -> str:
    """``apps/v1`` → ``apps``; the core group is empty."""
    return api_version.rpartition("/")[0]


def ignored(api_version: str, kind: str) -> list[str]:
    """Paths for ``ignore_changes`` of an object of this kind; versions do not matter."""
    group = group_of(api_version)
    return [owned.path for owned in OPERATOR_OWNED if (owned.group, owned.kind) == (group, kind)]
