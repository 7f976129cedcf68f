"""Services as a cluster holds them, before anything is announced: Deployments, each with its own HPA."""

from __future__ import annotations

from typing import Any

from tidegate.demo.objects import NAMESPACE
from tidegate.simulation.hpa import Behavior, Direction, PercentPolicy
from tidegate.simulation.scenario import Service

Json = dict[str, Any]

START_ANNOTATION = "tidegate.dev/start-seconds"
"""How long a pod of the simulated cluster takes from being on a machine to ready."""

HPA_BENEATH_PERCENT = 90.0
"""Target of the autoscalers beneath Tidegate: while the plan holds a floor, the reactive part may run hot."""
DOWN_PERCENT_PER_MINUTE = 50
BENEATH = Behavior(down=Direction(window=0.0, policies=(PercentPolicy(DOWN_PERCENT_PER_MINUTE, 60.0),)))
"""How the HPAs beneath Tidegate come down: no window, since a floor holds what matters, and at most half in a minute,
so that a floor that is lost is no cliff."""


def pod_template(name: str, *, start_seconds: float, annotations: Json | None = None, **spec: Any) -> Json:
    """A pod of one container that bears the name. ``annotations`` and ``spec`` are added to the pod's own."""
    return {
        "metadata": {
            "labels": {"app": name},
            "annotations": {START_ANNOTATION: f"{start_seconds:g}", **(annotations or {})},
        },
        "spec": {"containers": [{"name": "main", "image": f"registry.example/{name}:1"}], **spec},
    }


def deployment(name: str, namespace: str, replicas: int, template: Json) -> Json:
    """A Deployment of such pods."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": template["metadata"]["labels"]},
            "template": template,
        },
    }


def autoscaler(service: Service) -> Json:
    """The metric is the demand in pods that would be fully used: the same one that the baselines are judged by."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": service.name, "namespace": NAMESPACE},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": service.name},
            "minReplicas": service.minimum,
            "maxReplicas": service.maximum,
            "metrics": [
                {
                    "type": "External",
                    "external": {
                        "metric": {"name": f"{service.signal}_in_pods"},
                        "target": {"type": "AverageValue", "averageValue": f"{HPA_BENEATH_PERCENT * 10:.0f}m"},
                    },
                }
            ],
            "behavior": {
                "scaleDown": {
                    "stabilizationWindowSeconds": 0,
                    "policies": [{"type": "Percent", "value": DOWN_PERCENT_PER_MINUTE, "periodSeconds": 60}],
                }
            },
        },
    }
