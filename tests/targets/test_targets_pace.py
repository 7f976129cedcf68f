"""What workloads and autoscalers say of their own pace."""

from __future__ import annotations

from typing import Any

import pytest
from builders_embedded import HandClock, autoscaler, deployment

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.planning.model import Ref
from tidegate.planning.reasons import Reason
from tidegate.targets.hpa import hpa_of
from tidegate.targets.scale import ScalePaths, workload_of
from tidegate.targets.sights import sight_of

FORBIDDEN = "the HPA controller was unable to update the target scale: no"


def workload(kind: str = "Deployment", replicas: int = 3, **spec: object) -> Any:
    metadata = {"namespace": "shop", "name": "web", "uid": "u1", "resourceVersion": "7"}
    document = {"metadata": metadata, "spec": {"replicas": replicas, **spec}, "status": {"readyReplicas": replicas}}
    return workload_of(document, Ref("apps/v1", kind, "shop", "web"), ScalePaths())


def hpa(why: str = "Why", **said: str) -> Any:
    at = "2026-11-09T16:00:00Z"
    conditions = [
        {"type": kind, "status": status, "reason": why, "message": FORBIDDEN, "lastTransitionTime": at}
        for kind, status in said.items()
    ]
    found = hpa_of(
        {
            "metadata": {"namespace": "shop", "name": "web", "uid": "u2", "resourceVersion": "8"},
            "spec": {
                "minReplicas": 20,
                "maxReplicas": 60,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            },
            "status": {"conditions": conditions, "desiredReplicas": 3},
        }
    )
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("kind", "spec", "ordered"),
    [
        ("Deployment", {}, False),
        ("StatefulSet", {}, True),
        ("StatefulSet", {"podManagementPolicy": "OrderedReady"}, True),
        ("StatefulSet", {"podManagementPolicy": "Parallel"}, False),
    ],
)
def test_a_stateful_set_starts_its_units_in_a_row_unless_it_says_otherwise(
    kind: str, spec: dict[str, object], ordered: bool
) -> None:
    assert sight_of(workload(kind, **spec), []).observed.ordered is ordered


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"AbleToScale": "False"}, "status.conditions[AbleToScale]"),
        ({"AbleToScale": "False", "ScalingActive": "False"}, "status.conditions[AbleToScale]"),
        ({"AbleToScale": "True", "ScalingActive": "False"}, "status.conditions[ScalingActive]"),
    ],
)
def test_an_hpa_that_leaves_its_workload_below_the_floor_says_why(said: dict[str, str], field: str) -> None:
    (found,) = sight_of(workload(), [hpa(**said)]).observed.evidence
    assert (found.reason, str(found.object)) == (Reason.SCALER_UNABLE, "HorizontalPodAutoscaler/web")
    assert (found.field, FORBIDDEN in found.message) == (field, True)
    assert found.since == 0.0, "each sync sets a failed condition anew, and its time with it"


@pytest.mark.parametrize("replicas", [20, 25])
def test_an_hpa_whose_workload_has_its_floor_is_left_alone_whatever_it_says(replicas: int) -> None:
    """One that gets no metrics brings its workload to the floor all the same."""
    assert sight_of(workload(replicas=replicas), [hpa(ScalingActive="False")]).observed.evidence == ()


def test_an_hpa_that_works_is_no_evidence() -> None:
    said = {"AbleToScale": "True", "ScalingActive": "True", "ScalingLimited": "False"}
    assert sight_of(workload(), [hpa(**said)]).observed.evidence == ()


@pytest.mark.parametrize(
    ("why", "status", "told"),
    [
        ("TooManyReplicas", "True", True),
        ("ScaleUpLimit", "True", True),
        ("TooFewReplicas", "True", False),
        ("ScaleDownLimit", "True", False),
        ("DesiredWithinRange", "False", False),
        ("TooManyReplicas", "Unknown", False),
    ],
)
def test_an_hpa_that_may_not_add_what_its_metrics_ask_for_is_noted(why: str, status: str, told: bool) -> None:
    """That its metrics ask for less than its floor is so while we hold that, and says nothing."""
    observed = sight_of(workload(), [hpa(why, ScalingLimited=status)]).observed
    wants = f"HorizontalPodAutoscaler/web wants more by its metrics than it may have ({why}: {FORBIDDEN})"
    assert observed.limited == (wants if told else "")
    assert observed.evidence == (), "no floor waits for it"


def test_a_lifted_minimum_is_followed_in_one_step_by_an_hpa_that_may_add_one_pod_a_minute() -> None:
    """As by a real one: its rate binds what its metrics ask for, and that alone is noted."""
    clock = HandClock()
    cluster = EmbeddedCluster(clock=clock, load=lambda namespace, name, now: 50.0)
    cluster.create(deployment(replicas=2))
    made = autoscaler(low=2)
    made["spec"]["behavior"] = {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}
    cluster.create(made)

    def stands() -> tuple[int, str]:
        clock.advance(16.0)
        cluster.step()
        read = hpa_of(cluster.get("autoscaling/v2", "HorizontalPodAutoscaler", "web") or {})
        level = (cluster.get("apps/v1", "Deployment", "web") or {})["spec"]["replicas"]
        assert read is not None
        return level, read.limited

    level, limited = stands()
    assert level == 3
    assert "(ScaleUpLimit: the desired replica count is increasing faster than the maximum scale rate)" in limited
    cluster.patch("autoscaling/v2", "HorizontalPodAutoscaler", "web", {"spec": {"minReplicas": 30}})
    assert stands() == (30, "")
