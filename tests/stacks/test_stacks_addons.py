"""Others' operators by their own charts, as an option of the platform."""

from __future__ import annotations

from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from test_stacks_projects import STACKS  # noqa: E402

from tidegate_stacks import checks, dry  # noqa: E402
from tidegate_stacks.platform import ADDONS, Addons, AddonsArgs, ChartArgs  # noqa: E402


def laid(**given: Any) -> Any:
    return ground.lay(lambda: Addons("addons", AddonsArgs(**given)))[1]


@pytest.mark.parametrize("name", list(ADDONS))
def test_an_add_on_comes_by_the_chart_of_its_makers_in_the_version_that_is_asked_for(name: str) -> None:
    found = laid(**{name: ChartArgs(version="1.2.3", values={"replicas": 2})})
    chart = next(one for one in found.resources if one.kind == "Chart")
    (namespace,) = [one for one in found.objects if one.kind == "Namespace"]
    assert chart.type == "kubernetes:helm.sh/v4:Chart"
    assert chart.inputs["chart"] == ADDONS[name].chart
    assert chart.inputs["version"] == "1.2.3"
    assert chart.inputs["values"] == {**ADDONS[name].values, "replicas": 2}
    assert chart.inputs["namespace"] == namespace.inputs["metadata"]["name"] == ADDONS[name].namespace
    assert chart.inputs.get("repositoryOpts", {}).get("repo", "") == ADDONS[name].repository


def values_of_prometheus(**given: Any) -> Any:
    found = laid(prometheus=ChartArgs(version="1.2.3", values=given))
    return next(one for one in found.resources if one.kind == "Chart").inputs["values"]


def test_prometheus_mounts_no_certificate_that_only_a_hook_would_make() -> None:
    without = {"admissionWebhooks": {"enabled": False}, "tls": {"enabled": False}}
    assert values_of_prometheus(grafana={"enabled": False})["prometheusOperator"] == without


def test_what_the_user_says_of_a_chart_wins_value_by_value() -> None:
    webhooks = {"enabled": True, "certManager": {"enabled": True}}
    seen = values_of_prometheus(prometheusOperator={"admissionWebhooks": webhooks, "logLevel": "warn"})
    assert seen["prometheusOperator"] == {
        "admissionWebhooks": webhooks,
        "tls": {"enabled": False},
        "logLevel": "warn",
    }


def test_a_copy_of_a_chart_in_a_namespace_of_one_s_own_needs_no_repository() -> None:
    found = laid(cloudnative_pg=ChartArgs(version="1.2.3", chart="oci://registry.example/cnpg", namespace="pg"))
    chart = next(one for one in found.resources if one.kind == "Chart").inputs
    assert (chart["chart"], chart["namespace"]) == ("oci://registry.example/cnpg", "pg")
    assert "repositoryOpts" not in chart


def test_manifests_are_applied_as_they_are() -> None:
    found = laid(manifests=("gateway-api.yaml",))
    (group,) = [one for one in found.resources if one.kind == "ConfigGroup"]
    assert group.type == "kubernetes:yaml/v2:ConfigGroup"
    assert group.inputs["files"] == ["gateway-api.yaml"]


def test_without_any_of_them_nothing_is_made() -> None:
    assert [one.kind for one in laid().resources] == ["Addons"]


def test_a_chart_without_a_version_is_refused() -> None:
    with pytest.raises(checks.ArgsError, match=r"config.addons.kueue.version: is missing"):
        checks.load(AddonsArgs, {"kueue": {}}, "config.addons")


def test_the_trial_settings_bring_what_a_bare_cluster_lacks() -> None:
    found = dry.run(STACKS / "platform", "dev")
    charts = {one.name for one in found.resources if one.kind == "Chart"}
    assert charts == {"addons-cloudnative-pg", "addons-kueue", "tidegate"}
