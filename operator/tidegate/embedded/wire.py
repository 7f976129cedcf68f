"""Bodies, queries and headers: what a request says, and how answers look."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import yaml
from aiohttp import web

from tidegate.embedded import protobuf
from tidegate.embedded.errors import Json, bad_request, not_acceptable, unsupported_body
from tidegate.embedded.lists import Filter
from tidegate.embedded.paths import Subject
from tidegate.embedded.resources import Resource
from tidegate.embedded.scale import with_replicas
from tidegate.embedded.writes import Options, Outcome

_TRUE = ("1", "t", "true", "True", "TRUE")

# ---- reading requests


async def read_body(request: web.Request, kind: type | tuple[type, ...] = dict) -> Any:
    """The body as a document of that type, from JSON, YAML or protobuf; ApiError 400 or 415."""
    if "cbor" in request.content_type:
        raise unsupported_body(request.content_type)
    raw = await request.read()
    if request.content_type == protobuf.CONTENT_TYPE:
        return protobuf.decode(raw)
    try:
        document = yaml.safe_load(raw) if "yaml" in request.content_type and raw[:1] != b"{" else orjson.loads(raw)
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"the body of the request cannot be read: {error}") from error
    if not isinstance(document, kind):
        raise bad_request("the body of the request is not what was expected: a map (or a list, for a JSON patch)")
    return document


def whole(request: web.Request, name: str) -> int | None:
    """A whole number of the query; None where it is absent or empty. ApiError 400 for anything else, as Go says it."""
    text = request.query.get(name)
    if not text:
        return None
    if re.fullmatch(r"[-+]?[0-9]+", text) is None:
        raise bad_request(f"strconv.ParseInt: parsing {json.dumps(text)}: invalid syntax")
    if not -(2**63) <= (number := int(text[:30])) < 2**63:
        raise bad_request(f"strconv.ParseInt: parsing {json.dumps(text)}: value out of range")
    return number


async def read_delete_options(request: web.Request) -> Json:
    """The DeleteOptions; empty when none were sent."""
    if not request.can_read_body:
        return {}
    raw = await request.read()
    if not raw.strip():
        return {}
    if request.content_type == protobuf.CONTENT_TYPE:
        return protobuf.decode(raw)
    try:
        document = orjson.loads(raw)
    except ValueError as error:
        raise bad_request(f"the DeleteOptions cannot be read: {error}") from error
    return document if isinstance(document, dict) else {}


def require_map(document: Any) -> Json:
    """400 for what is no object."""
    if not isinstance(document, dict):
        raise bad_request("the patch does not leave an object")
    return document


def applied_config(subject: Subject, body: Any) -> Json:
    """The configuration to apply to the object itself; one for ``/scale`` speaks of its replicas alone."""
    document = require_map(body)
    if subject.subresource != "scale":
        return document
    bare: Json = {"apiVersion": subject.resource.api_version, "kind": subject.resource.kind, "metadata": {}}
    return with_replicas(subject.resource, bare, document)


def write_options(request: web.Request) -> Options:
    """How a write is meant, from the query."""
    query = request.query
    validation = query.get("fieldValidation", "Warn")
    if validation not in ("Ignore", "Warn", "Strict"):
        raise bad_request(f"fieldValidation: Unsupported value: {validation}")
    return Options(
        manager=query.get("fieldManager") or agent_of(request),
        dry_run=is_dry_run(request, {}),
        field_validation=validation,  # type: ignore[arg-type]
        force=flag(request, "force"),
    )


def is_dry_run(request: web.Request, body: Json) -> bool:
    """Whether query or body ask for a dry run; 400 for one that is not of everything."""
    asked = request.query.getall("dryRun", []) + list(body.get("dryRun") or [])
    if any(value != "All" for value in asked):
        raise bad_request(f'dryRun: Unsupported value: {asked}: supported values: "All"')
    return bool(asked)


def flag(request: web.Request, name: str) -> bool:
    """A switch of the query, in any of the spellings that the real server takes."""
    return request.query.get(name, "") in _TRUE


def agent_of(request: web.Request) -> str:
    """The first word of the user agent: also the field manager of those who give none."""
    agent = request.headers.get("User-Agent", "unknown").split("/")[0].strip()
    return agent[:128] or "unknown"


def chosen_by(request: web.Request, subject: Subject) -> Filter:
    """The objects that a request is about."""
    query = request.query
    fields = query.get("fieldSelector", "")
    if subject.name:  # the old way to watch one object
        fields = f"metadata.name={subject.name}" + (f",{fields}" if fields else "")
    return Filter.parse(subject.resource, subject.namespace, query.get("labelSelector", ""), fields)


def wants_table(request: web.Request) -> bool:
    """Whether the answer is for kubectl to print."""
    return "as=Table" in request.headers.get("Accept", "")


def require_json(request: web.Request) -> None:
    """406 for clients that take protobuf alone."""
    accepted = request.headers.get("Accept", "*/*")
    if not any(word in accepted for word in ("json", "*/*")):
        raise not_acceptable("application/json")


# ---- writing answers


def raw_answer(body: bytes, *, code: int = 200) -> web.Response:
    """An answer from JSON."""
    return web.Response(body=body, status=code, content_type="application/json")


def json_answer(document: Json, *, code: int = 200) -> web.Response:
    """An answer from a document."""
    return raw_answer(orjson.dumps(document), code=code)


def written(resource: Resource, outcome: Outcome) -> web.Response:
    """The answer to a write, with its warnings."""
    response = raw_answer(shown(resource, outcome.raw), code=201 if outcome.created else 200)
    for warning in outcome.warnings:
        response.headers.add("Warning", "299 - " + orjson.dumps(warning).decode())
    return response


def shown(resource: Resource, raw: bytes) -> bytes:
    """An object in the version that was asked for."""
    if resource.api_version == resource.stored_api_version:
        return raw
    document = orjson.loads(raw)
    return orjson.dumps({**document, "apiVersion": resource.api_version})
