"""Values: each is explained, checked and used; a misspelt one is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_chart import CHART, Json, default_values, helm, of_kind, one, pod_of, render, template

from tidegate.shell import settings
from tidegate.shell.runtime import STUCK

SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
FREE = {
    "affinity",
    "global",
    "nodeSelector",
    "podAnnotations",
    "podLabels",
    "prometheusRule.additionalLabels",
    "resources.limits",
    "resources.requests",
    "serviceAccount.annotations",
    "serviceMonitor.additionalLabels",
}
"""Values that are Kubernetes' or somebody else's own: their keys are not ours to know."""


def maps(values: Json, path: str = "") -> Iterator[str]:
    """Path of every mapping of values, the whole first, those that are FREE left out."""
    yield path
    for name, value in values.items():
        inner = f"{path}.{name}".lstrip(".")
        if isinstance(value, dict) and inner not in FREE:
            yield from maps(value, inner)


def leaves(values: Json, path: str = "") -> Iterator[str]:
    """Path of every single value."""
    for name, value in values.items():
        inner = f"{path}.{name}".lstrip(".")
        if isinstance(value, dict) and inner not in FREE and inner != "resources":
            yield from leaves(value, inner)
        else:
            yield inner


@pytest.mark.parametrize("where", maps(default_values()))
def test_a_misspelt_value_is_refused_wherever_it_stands(where: str, tmp_path: Path) -> None:
    values: Json = {"misspelt": True}
    for name in reversed(where.split(".") if where else []):
        values = {name: values}
    done = template(tmp_path, **values)
    assert done.returncode != 0
    assert "misspelt" in done.stderr


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"rbac": {"scope": "everywhere"}}, "scope"),
        ({"replicas": -1}, "replicas"),
        ({"watchNamespaces": ["Shop"]}, "watchNamespaces"),
        ({"image": {"digest": "sha256:short"}}, "digest"),
        ({"settings": {"beatSeconds": 0}}, "beatSeconds"),
        ({"settings": {"beatSeconds": 45}}, "beatSeconds"),
        ({"prometheusRule": {"enabled": True}}, "set serviceMonitor.enabled too"),
        ({"ports": {"metrics": 8080}}, "ports.metrics and ports.probes are both 8080"),
        ({"ports": {"admission": 8081}, "admissionWebhook": {"enabled": True}}, "ports.admission"),
        ({"settings": {"prometheusUrl": "prometheus:9090"}}, "prometheusUrl"),
        ({"settings": {"prometheusSecret": "thanos-token"}}, "prometheusUrl"),
        ({"settings": {"prometheusUrl": "http://p", "prometheusSecret": "Not_A_Name"}}, "prometheusSecret"),
        ({"settings": {"log": {"format": "xml"}}}, "format"),
        ({"targets": {"extraScaleResources": [{"group": "agones.dev", "kind": "Fleet"}]}}, "resource"),
        ({"targets": {"extraScaleResources": [{"group": "*", "kind": "A", "resource": "as"}]}}, "group"),
        (
            {
                "targets": {
                    "extraScaleResources": [{"group": "rbac.authorization.k8s.io", "kind": "Role", "resource": "roles"}]
                }
            },
            "group",
        ),
    ],
)
def test_a_value_that_cannot_be_right_is_refused_by_name(values: Json, named: str, tmp_path: Path) -> None:
    done = template(tmp_path, **values)
    assert done.returncode != 0
    assert named in done.stderr


def test_an_umbrella_chart_may_pass_globals(tmp_path: Path) -> None:
    assert template(tmp_path, **{"global": {"imageRegistry": "registry.example"}}).returncode == 0


def test_the_longest_beat_is_that_of_the_operator(tmp_path: Path) -> None:
    """The alert's minute and the probe's three are counted from the last beat."""
    assert SCHEMA["properties"]["settings"]["properties"]["beatSeconds"]["maximum"] == settings.MOST_BEAT
    assert 2 * settings.MOST_BEAT <= 60.0 < STUCK
    rules = one(render(tmp_path, prometheusRule={"enabled": True}, serviceMonitor={"enabled": True}), "PrometheusRule")
    alert = next(one for one in rules["spec"]["groups"][0]["rules"] if one["alert"] == "TidegateNobodyActs")
    assert alert["expr"].endswith("== 1) > 60")


def test_a_port_that_nobody_listens_on_is_anybodys(tmp_path: Path) -> None:
    assert template(tmp_path, ports={"admission": 8081}).returncode == 0


@pytest.mark.parametrize(
    ("release", "namespace", "more"),
    [("2024", "1234", []), ("1e3", "0x1f", []), ("true", "null", ["fullnameOverride=007"])],
)
def test_names_that_yaml_takes_for_something_else_stay_names(
    release: str, namespace: str, more: list[str], tmp_path: Path
) -> None:
    every = {"admissionWebhook": {"enabled": True}, "serviceMonitor": {"enabled": True}, "replicas": 2}
    values = {**every, "prometheusRule": {"enabled": True}, "rbac": {"aggregate": True}, "crds": {"enabled": False}}
    secret = {"prometheusUrl": "http://p", "prometheusSecret": "2024", "leaseName": "1e3"}
    values |= {"settings": secret, "priorityClassName": "007"}
    (tmp_path / "values.yaml").write_text(json.dumps(values), encoding="utf-8")
    words = [word for one_more in more for word in ("--set-string", one_more)]
    for extra in ([], ["--set", "admissionWebhook.certManager=true,rbac.scope=namespaces"]):
        done = helm("template", release, str(CHART), "-n", namespace, "-f", f"{tmp_path}/values.yaml", *words, *extra)
        assert done.returncode == 0, done.stderr
        wrong = [where for obj in yaml.safe_load_all(done.stdout) if obj for where in unnamed(obj, obj["kind"])]
        assert wrong == []


NAMES = {"name", "namespace", "serviceAccountName", "priorityClassName", "secretName", "policyName", "value"}


def unnamed(value: Any, path: str) -> Iterator[str]:
    """Where a name, a label, or a value of an environment variable is no text."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from unnamed(item, f"{path}[{number}]")
    if isinstance(value, dict):
        for name, item in value.items():
            inner = f"{path}.{name}"
            is_text = name in NAMES or path.endswith(("abels", ".selector")) or name == "resourceNames"
            for one_of_them in item if isinstance(item, list) else [item]:
                if is_text and not isinstance(one_of_them, str | dict):
                    yield inner
            yield from unnamed(item, inner)


def test_a_release_whose_name_has_dots_gets_names_that_a_service_and_the_lease_take(tmp_path: Path) -> None:
    done = helm("template", "eu.shop", str(CHART), "-n", "ops", "--set", "admissionWebhook.enabled=true")
    objects = [obj for obj in yaml.safe_load_all(done.stdout) if obj]
    assert {obj["metadata"]["name"] for obj in of_kind(objects, "Service")} == {"eu-shop-tidegate-admission"}
    (container,) = pod_of(one(objects, "Deployment", "eu-shop-tidegate"))["containers"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert settings.load_settings(environment).lease_name == "eu-shop-tidegate"


@pytest.mark.parametrize("scope", ["cluster", "namespaces"])
def test_helm_lint_finds_nothing(scope: str) -> None:
    done = helm("lint", "--strict", str(CHART), "--set", f"rbac.scope={scope}")
    assert done.returncode == 0, done.stdout


def test_the_schema_knows_exactly_the_values() -> None:
    def compare(values: Any, schema: Json, path: str) -> None:
        if "properties" not in schema or path in FREE | {"resources"}:
            return
        assert set(schema["properties"]) == set(values), path
        assert schema["additionalProperties"] is False, path
        for name, value in values.items():
            compare(value, schema["properties"][name], f"{path}.{name}".lstrip("."))

    compare(default_values(), SCHEMA, "")


def test_every_value_has_a_comment_above_it() -> None:
    lines = (CHART / "values.yaml").read_text(encoding="utf-8").splitlines()
    bare = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if (key := re.match(r"( *)([A-Za-z]+):(.*)", line))
        and not before.lstrip().startswith("#")
        and not (key[3].strip() == "" or line.startswith(("  requests:", "  limits:")))
    ]
    assert bare == [], "say what it is"


@pytest.mark.parametrize("path", sorted(set(leaves(default_values())) - {"global"}))
def test_every_value_is_used(path: str) -> None:
    texts = "".join(file.read_text(encoding="utf-8") for file in (CHART / "templates").iterdir())
    assert f".Values.{path}" in texts


NOT_VALUES = {
    "TIDEGATE_API_URL": "a server without credentials: for the embedded one",
    "TIDEGATE_CLOCK_SCHEDULE": "for demonstrations",
    "TIDEGATE_IDENTITY": "the pod's name is the default",
    "TIDEGATE_RECORDED_METRICS": "for demonstrations",
}
"""Settings that extraEnv can still set, and why they are no values."""


def test_every_setting_of_the_operator_is_set_or_left_out_for_a_reason() -> None:
    text = (CHART / "templates" / "deployment.yaml").read_text(encoding="utf-8")
    set_there = set(re.findall(r"name: (TIDEGATE_\w+)", text))
    assert set_there | set(NOT_VALUES) == set(settings._VARIABLES)
    assert set_there & set(NOT_VALUES) == set()
