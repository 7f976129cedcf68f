"""``validate`` and ``explain`` say when a live floor lies below what the autoscaler in front wishes anyway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_cli_learned import learned
from test_cli_pools import Site, run, tenant

from tidegate.api.learned import learned_to_object
from tidegate.planning.growth import Growth
from tidegate.planning.model import Key
from tidegate.targets.learned import learned_name

CORE = Key("shop", "core")
CPU_80 = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}


def external(average: str) -> dict[str, Any]:
    target = {"type": "AverageValue", "averageValue": average}
    return {"type": "External", "external": {"metric": {"name": "orders"}, "target": target}}


def hpa(*metrics: dict[str, Any], scales: str = "orders") -> dict[str, Any]:
    behind = {"apiVersion": "apps/v1", "kind": "Deployment", "name": scales}
    spec = {"scaleTargetRef": behind, "minReplicas": 2, "maxReplicas": 90, "metrics": list(metrics)}
    metadata = {"name": "web", "namespace": "shop"}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def shop(*metrics: dict[str, Any], live: bool = True, headroom: int = 0) -> list[dict[str, Any]]:
    """A policy whose units carry 50 orders each, and an HPA in front of its workload."""
    home, workload, policy, _ = tenant("shop")
    policy["spec"].pop("poolRef")
    policy["spec"]["targets"][0].pop("lane")
    policy["spec"]["targets"][0]["headroomPercent"] = headroom
    policy["spec"] |= {"signals": [{"name": "orders", "query": "sum(orders)"}]} | ({"live": {}} if live else {})
    return [home, workload, policy, *([hpa(*metrics)] if metrics else [])]


def warnings(tmp_path: Path, *documents: dict[str, Any]) -> list[dict[str, str]]:
    path = tmp_path / "objects.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    code, out, _ = run("validate", str(path), "-o", "json")
    assert code == 0
    found: list[dict[str, str]] = json.loads(out)["warnings"]
    return found


def test_validate_warns_of_a_live_floor_over_an_autoscaler_at_80_percent(tmp_path: Path) -> None:
    (found,) = warnings(tmp_path, *shop(CPU_80))
    assert (found["kind"], found["path"]) == ("ScalingPolicy", "spec.live")
    assert found["wrong"] == (
        "the floor of orders is dead weight nearly always: HorizontalPodAutoscaler/web holds cpu at 80 % of its"
        " request: where demand takes 100 units it wishes 125 by itself, and 126 is the smallest floor that matters"
    )
    assert "live over one at 90 % 0.031 % at 1.111, live without one 0.049 % at 1.08" in found["right"]


def test_validate_tells_a_demand_metric_its_new_target(tmp_path: Path) -> None:
    (found,) = warnings(tmp_path, *shop(external("40")))
    assert "raise its averageValue to 45, which is 90 % of what a unit carries" in found["right"]


@pytest.mark.parametrize(
    "documents",
    [
        shop(external("45")),
        shop(CPU_80, live=False),
        shop(CPU_80, headroom=20),
        shop(),
        [*shop(), hpa(CPU_80, scales="another")],
        shop({"type": "Resource", "resource": {"name": "memory", "target": {"averageUtilization": 50}}}),
    ],
    ids=["at 90 %", "without live", "with headroom", "not in the files", "of another workload", "memory"],
)
def test_validate_says_nothing_where_the_floor_matters_or_nobody_can_tell(
    tmp_path: Path, documents: list[dict[str, Any]]
) -> None:
    assert warnings(tmp_path, *documents) == []


def explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *documents: dict[str, Any]) -> tuple[Any, str]:
    """(what explain says as JSON, and for people) on a cluster with these objects."""
    site = Site(list(documents), tmp_path / "kubeconfig")
    try:
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        code, out, err = run("explain", "core", "orders", "-o", "json")
        assert code == 0, err
        return json.loads(out)["beneath"], run("explain", "core", "orders")[1]
    finally:
        site.close()


@pytest.mark.parametrize(("grows", "asks", "dead"), [(0.0, 20, True), (0.3, 30, False)], ids=["calm", "steep"])
def test_explain_says_it_of_the_cluster_with_what_was_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grows: float, asks: float, dead: bool
) -> None:
    monkeypatch.setattr(Growth, "outlook", lambda *_: (grows, []))
    written = learned_to_object(learned(), Key("shop", learned_name(CORE)))
    told, text = explained(tmp_path, monkeypatch, *shop(CPU_80), written)
    assert (told["scaler"], told["targetPercent"], told["wishesMorePercent"]) == ("HorizontalPodAutoscaler/web", 80, 25)
    assert (told["liveAsksForPercent"], told["deadWeight"]) == (asks, dead)
    verdict = "dead weight" if dead else "that matters"
    assert f"the live floor asks for {asks} % above demand at the most, nine minutes in ten: {verdict}" in text
    assert "126 is the smallest floor that matters" in text


def test_explain_says_that_a_floor_over_90_percent_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, text = explained(tmp_path, monkeypatch, *shop(external("45")))
    assert (told["deadWeight"], told["advice"]) == (False, None)
    assert "above demand at the most, nine minutes in ten: that matters" in text


def test_explain_tells_a_policy_without_live_what_stands_beneath_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, text = explained(tmp_path, monkeypatch, *shop(CPU_80, live=False))
    assert told["deadWeight"] is None
    assert "beneath    HorizontalPodAutoscaler/web holds cpu at 80 %" in text
    assert "live floor" not in text


def test_without_an_autoscaler_nothing_stands_beneath(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, text = explained(tmp_path, monkeypatch, *shop())
    assert told is None
    assert "beneath" not in text
