"""What an autoscaler holds, read from its spec as it comes."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.planning.beneath import Aim, Aims
from tidegate.targets.hpa import aims_of


def metric(kind: str, source: dict[str, Any], target: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, kind[0].lower() + kind[1:]: {**source, "target": target}}


@pytest.mark.parametrize(
    ("given", "aim"),
    [
        (
            metric("Resource", {"name": "cpu"}, {"type": "Utilization", "averageUtilization": 80}),
            Aim("Resource", "cpu", percent=80.0),
        ),
        (
            metric("ContainerResource", {"name": "cpu", "container": "app"}, {"averageUtilization": 60}),
            Aim("ContainerResource", "cpu", percent=60.0),
        ),
        (metric("Pods", {"metric": {"name": "orders"}}, {"averageValue": "1500m"}), Aim("Pods", "orders", average=1.5)),
        (
            metric("External", {"metric": {"name": "orders"}}, {"averageValue": "2k"}),
            Aim("External", "orders", average=2e3),
        ),
        (metric("Object", {"metric": {"name": "orders"}}, {"value": "2k"}), Aim("Object", "orders")),
        ({"type": "Resource", "resource": "cpu"}, Aim("Resource", "")),
        ({"type": 3}, Aim("", "")),
        (metric("Resource", {"name": "cpu"}, {"averageUtilization": "80"}), Aim("Resource", "cpu")),
    ],
)
def test_each_kind_of_metric_is_read_and_what_is_no_number_is_left_out(given: dict[str, Any], aim: Aim) -> None:
    assert aims_of({"metrics": [given]}) == Aims((aim,))


def test_an_object_of_the_first_version_has_one_metric() -> None:
    assert aims_of({"targetCPUUtilizationPercentage": 75}).metrics == (Aim("Resource", "cpu", percent=75.0),)


def test_the_window_on_the_way_down_is_five_minutes_if_nobody_says() -> None:
    assert aims_of({}).window == 300.0
    assert aims_of({"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}).window == 0.0
