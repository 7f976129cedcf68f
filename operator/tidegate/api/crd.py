"""CustomResourceDefinitions from the models: a structural schema with the bounds, defaults, rules and words that stand
there.

pydantic's JSON schema is brought into the shape that an API server takes: references inlined, null and titles gone,
nothing that a structural schema may not hold. Bounds matter twice here: the server prices CEL rules by them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tidegate.api.base import GROUP, VERSION
from tidegate.api.capacitypool import CapacityPool
from tidegate.api.learned import Learned
from tidegate.api.liveevent import LiveEvent
from tidegate.api.loan import Loan
from tidegate.api.override import Override
from tidegate.api.scalingpolicy import ScalingPolicy

KINDS: tuple[Any, ...] = (CapacityPool, Learned, LiveEvent, Loan, Override, ScalingPolicy)
CATEGORY = "tidegate"

_DROPPED = {"title", "$defs", "examples", "propertyNames"}
_HEADER = "# Generated from the models in operator/tidegate/api by `tidegate crds`: change those, not this file.\n"


def crd_of(kind: Any) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind of ``KINDS``."""
    name: str = kind.KIND
    names: dict[str, Any] = {
        "kind": name,
        "listKind": f"{name}List",
        "plural": kind.PLURAL,
        "singular": name.lower(),
        "categories": [CATEGORY],
    }
    if kind.SHORT_NAMES:
        names["shortNames"] = kind.SHORT_NAMES
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": kind.COLUMNS,
        "schema": {"openAPIV3Schema": _root_schema(kind)},
    }
    if kind.STATUS is not None:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.PLURAL}.{GROUP}"},
        "spec": {"group": GROUP, "scope": kind.SCOPE, "names": names, "versions": [version]},
    }


def all_crds() -> list[dict[str, Any]]:
    """The CRDs of all kinds, sorted by kind."""
    return [crd_of(kind) for kind in KINDS]


def crd_yaml(crd: dict[str, Any]) -> str:
    """A CRD as the YAML text that is kept in the chart."""
    text: str = yaml.dump(crd, Dumper=_PlainDumper, sort_keys=False, width=116, allow_unicode=True)
    return _HEADER + text


class _PlainDumper(yaml.SafeDumper):
    """YAML without anchors: equal parts are written out, because people read it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def crd_files() -> dict[str, str]:
    """File name to text, as written to the chart."""
    return {f"{crd['metadata']['name'].replace('.' + GROUP, '')}.yaml": crd_yaml(crd) for crd in all_crds()}


def write_crds(folder: Path) -> list[Path]:
    """Write all CRDs to a folder, replacing what is there. OSError when it cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in crd_files().items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def drift(folder: Path) -> list[str]:
    """What differs between a folder and the models, as sentences; empty when nothing does."""
    wanted = crd_files()
    there = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yaml"))}
    found = [f"{folder / name} is missing" for name in wanted if name not in there]
    found += [
        f"{folder / name} is not what the models say"
        for name in wanted
        if there.get(name, "") not in ("", wanted[name])
    ]
    return found + [f"{folder / name} belongs to no kind" for name in there if name not in wanted]


def _root_schema(kind: Any) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "apiVersion": {"type": "string", "description": "Version of this representation: tidegate.dev/v1alpha1."},
        "kind": {"type": "string", "description": f"Kind of this object: {kind.KIND}."},
        "metadata": {"type": "object"},
        "spec": structural_schema(kind.SPEC),
    }
    if kind.STATUS is not None:
        properties["status"] = _without_defaults(structural_schema(kind.STATUS))
    return {"type": "object", "description": kind.DESCRIPTION, "required": ["spec"], "properties": properties}


def _without_defaults(node: Any) -> Any:
    """What the operator writes must come back as it was written: a field that the server fills in would look like a
    difference at every look.
    """
    if isinstance(node, list):
        return [_without_defaults(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        name: {field: _without_defaults(inner) for field, inner in value.items()}
        if name == "properties"
        else _without_defaults(value)
        for name, value in node.items()
        if name != "default"
    }


def structural_schema(model: Any) -> dict[str, Any]:
    """A model's schema as an API server takes it."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    result = _convert(schema, schema.get("$defs", {}))
    assert isinstance(result, dict)  # noqa: S101 - the schema of a model is an object
    return result


def _convert(node: Any, definitions: dict[str, Any]) -> Any:
    """One node of a JSON schema, with all below it."""
    if isinstance(node, list):
        return [_convert(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    node = _inlined(node, definitions)
    made: dict[str, Any] = {}
    for name, value in node.items():
        if name in _DROPPED or (name == "additionalProperties" and value is False):
            continue
        if name == "default":
            if _is_default(value, node):
                made[name] = value
        elif name == "patternProperties":
            # A structural schema has no patterns for keys: CEL rules beside it say what the keys may be.
            (made["additionalProperties"],) = (_convert(inner, definitions) for inner in value.values())
        elif name == "properties":
            made[name] = {field: _convert(inner, definitions) for field, inner in value.items()}
        elif name == "description":
            made[name] = " ".join(value.replace("``", "").split())
        elif name in ("required", "enum", "x-kubernetes-validations", "x-kubernetes-list-map-keys"):
            made[name] = value
        else:
            made[name] = _convert(value, definitions)
    return made


def _inlined(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The node without ``$ref`` and without the null alternative; words beside a reference win over those behind it."""
    choices = [c for c in node.get("anyOf", ()) if c != {"type": "null"}]
    if "anyOf" in node:
        if len(choices) != 1:
            raise TypeError(f"a field of the API has more than one type: {node}")
        node = {**choices[0], **{name: value for name, value in node.items() if name != "anyOf"}}
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        node = {**target, **{name: value for name, value in node.items() if name != "$ref"}}
        return _inlined(node, definitions)
    return node


def _is_default(value: Any, node: dict[str, Any]) -> bool:
    """Whether a default is written out. Empty lists and maps are not (objects would be stored with them); an empty
    object is, where it makes the server fill in the defaults inside.
    """
    if value is None or value == []:
        return False
    return value != {} or "properties" in node
