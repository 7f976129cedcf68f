"""OpenAPI v2 and v3: enough for validation by the server, ``kubectl explain``, ``apply`` and ``diff``.

Custom resources are described by their schema. Built-in kinds appear as maps of anything: nothing is known about them
here. Both versions come as JSON only (the real server also speaks protobuf).
"""

from __future__ import annotations

import copy
from typing import Any

from tidegate.embedded.errors import Json, no_such_path
from tidegate.embedded.resources import Registry, Resource

_INFO: Json = {"title": "Kubernetes", "version": "v1.32.0"}
_QUERY = ("dryRun", "fieldManager", "fieldValidation", "pretty")
_ANYTHING: Json = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_META_V3: Json = {"type": "object", "description": "Standard object metadata."}


def index_v3(registry: Registry, *, revision: int) -> Json:
    """``/openapi/v3``: where the document of each group and version is."""
    places = sorted({_place(r) for r in registry})
    return {"paths": {place: {"serverRelativeURL": f"/openapi/v3/{place}?hash={revision}"} for place in places}}


def document_v3(registry: Registry, place: str) -> Json:
    """``/openapi/v3/apis/{group}/{version}``."""
    served = [r for r in registry if _place(r) == place]
    if not served:
        raise no_such_path()
    parameters = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in _QUERY]
    paths: Json = {}
    schemas: Json = {}
    for resource in served:
        paths.update(_paths(resource, parameters, _answer_v3(resource)))
        schemas[_name(resource)] = _schema(resource)
    return {"openapi": "3.0.0", "info": _INFO, "paths": paths, "components": {"schemas": schemas}}


def document_v2(registry: Registry) -> Json:
    """``/openapi/v2``: everything in one document."""
    parameters = [{"name": name, "in": "query", "type": "string", "uniqueItems": True} for name in _QUERY]
    paths: Json = {}
    definitions: Json = {}
    for resource in registry:
        answer = {"200": {"description": "OK", "schema": {"$ref": f"#/definitions/{_name(resource)}"}}}
        paths.update(_paths(resource, parameters, answer))
        definitions[_name(resource)] = _without_v3_words(_schema(resource))
    return {"swagger": "2.0", "info": _INFO, "paths": paths, "definitions": definitions}


def _place(resource: Resource) -> str:
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"


def _name(resource: Resource) -> str:
    if not resource.custom:
        return f"io.k8s.api.{(resource.group or 'core').split('.')[0]}.{resource.version}.{resource.kind}"
    return ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])


def _kind(resource: Resource) -> Json:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _schema(resource: Resource) -> Json:
    schema: Json = copy.deepcopy(resource.schema) if resource.custom else dict(_ANYTHING)
    if resource.custom:
        properties = schema.setdefault("properties", {})
        properties["metadata"] = _META_V3
        for name in ("apiVersion", "kind"):
            properties.setdefault(name, {"type": "string"})
    return {**schema, "x-kubernetes-group-version-kind": [_kind(resource)]}


def _answer_v3(resource: Resource) -> Json:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{_name(resource)}"}}}
    return {"200": {"description": "OK", "content": content}}


def _paths(resource: Resource, parameters: list[Json], answer: Json) -> Json:
    prefix = f"/{_place(resource)}/" + ("namespaces/{namespace}/" if resource.namespaced else "") + resource.plural
    kind = _kind(resource)

    def operation(action: str, verb: str) -> Json:
        return {
            "operationId": f"{verb}{resource.version.capitalize()}{resource.kind}",
            "parameters": parameters,
            "responses": answer,
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": kind,
        }

    return {
        prefix: {"get": operation("list", "list"), "post": operation("post", "create")},
        prefix + "/{name}": {
            "get": operation("get", "read"),
            "put": operation("put", "replace"),
            "patch": operation("patch", "patch"),
            "delete": operation("delete", "delete"),
        },
    }


def _without_v3_words(schema: Any) -> Any:
    """OpenAPI v2 has no ``nullable``, ``oneOf``, ``anyOf``, ``not`` and no schema for ``default`` values."""
    if isinstance(schema, list):
        return [_without_v3_words(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = ("nullable", "oneOf", "anyOf", "allOf", "not", "default", "x-kubernetes-validations")
    return {
        name: {k: _without_v3_words(v) for k, v in part.items()} if name == "properties" else _without_v3_words(part)
        for name, part in schema.items()
        if name not in dropped
    }
