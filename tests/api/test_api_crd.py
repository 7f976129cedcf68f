"""The CRDs are what the models say, bounded everywhere, in the words of the models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer import Typer
from typer.testing import CliRunner

from tidegate.api.crd import all_crds, drift, write_crds
from tidegate.cli.crds import crds
from tidegate.planning.shape import PROFILES

CHART = Path(__file__).parents[2] / "charts/tidegate/files/crds"
CRDS = all_crds()
APP = Typer()
APP.command()(crds)


def nodes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside a schema, with its path."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from nodes(schema[name], f"{path}[]")


ALL = [
    pytest.param(schema, id=path)
    for crd in CRDS
    for path, schema in nodes(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], crd["spec"]["names"]["kind"])
    if path.count(".") and not path.endswith((".apiVersion", ".kind", ".metadata"))
]


def test_the_crds_of_the_chart_are_what_the_models_say() -> None:
    assert drift(CHART) == []


def test_drift_is_found_in_changed_missing_and_foreign_files(tmp_path: Path) -> None:
    written = write_crds(tmp_path)
    assert drift(tmp_path) == []

    written[0].write_text("changed: true\n")
    written[1].unlink()
    (tmp_path / "other.yaml").write_text("{}\n")

    assert len(drift(tmp_path)) == 3


@pytest.mark.parametrize("schema", ALL)
def test_every_node_is_bounded_and_structural(schema: dict[str, Any]) -> None:
    kind = schema.get("type")
    assert kind in ("object", "array", "string", "integer", "boolean") or schema["x-kubernetes-int-or-string"]
    if kind == "array":
        assert schema["maxItems"] <= 1024
        assert schema["x-kubernetes-list-type"] in ("map", "set", "atomic")
    if kind == "string":
        assert "maxLength" in schema or "enum" in schema
    if kind == "integer":
        assert "minimum" in schema
    if "additionalProperties" in schema:
        assert schema["maxProperties"] <= 64
    assert not {"title", "anyOf", "$ref", "$defs", "patternProperties", "examples"} & set(schema)


@pytest.mark.parametrize("schema", ALL)
def test_every_field_and_every_rule_says_what_it_means(schema: dict[str, Any]) -> None:
    for name, inner in schema.get("properties", {}).items():
        assert inner.get("description"), name
    for rule in schema.get("x-kubernetes-validations", []):
        assert len(rule["message"]) > 15


def test_the_profiles_of_the_api_are_those_of_the_core() -> None:
    event = next(c for c in CRDS if c["spec"]["names"]["kind"] == "LiveEvent")
    spec = event["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]

    assert set(spec["properties"]["profile"]["enum"]) == set(PROFILES)


def test_crds_prints_yaml_and_json_of_the_same() -> None:
    as_yaml = CliRunner().invoke(APP, [])
    as_json = CliRunner().invoke(APP, ["--output", "json"])

    assert list(yaml.safe_load_all(as_yaml.stdout)) == yaml.safe_load(as_json.stdout) == CRDS


def test_crds_check_exits_1_when_the_folder_differs(tmp_path: Path) -> None:
    assert CliRunner().invoke(APP, ["--check", str(tmp_path)]).exit_code == 1
    assert CliRunner().invoke(APP, ["--write", str(tmp_path)]).exit_code == 0
    assert CliRunner().invoke(APP, ["--check", str(tmp_path)]).exit_code == 0


def test_the_server_fills_in_nothing_in_a_status() -> None:
    """What the operator writes comes back as it was written, or every look would find a difference to write."""

    def defaults(node: object, path: str = "") -> list[str]:
        if not isinstance(node, dict):
            return []
        found = [path] if "default" in node and not path.endswith(".properties") else []
        return found + [where for name, inner in node.items() for where in defaults(inner, f"{path}.{name}")]

    for crd in all_crds():
        status = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].get("status", {})
        assert defaults(status) == []
