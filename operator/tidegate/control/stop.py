"""The durable stop: one ConfigMap in the operator's namespace that outlives every process.

Written by ``tidegate release --all`` before anything is returned, so that a live operator does not take back what was
given back; lifted by ``tidegate resume``.
"""

from __future__ import annotations

from tidegate.ports import Json

NAME = "tidegate-stop"


def stop_object(namespace: str, *, by: str, at: str) -> Json:
    """The ConfigMap; its presence is the stop, what it says is for people."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": "tidegate"}},
        "data": {"stoppedBy": by, "stoppedAt": at, "liftWith": "tidegate resume"},
    }


def stop_path(namespace: str, name: str = "") -> str:
    """Path of the ConfigMap, or of its collection."""
    return f"/api/v1/namespaces/{namespace}/configmaps" + (f"/{name}" if name else "")
