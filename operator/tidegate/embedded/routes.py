"""The HTTP door: reads requests, calls the cluster, writes answers. No rule of the API lives here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import orjson
import yaml
from aiohttp import web

from tidegate.embedded import discovery, openapi, protobuf
from tidegate.embedded.cluster import AuditEntry, EmbeddedCluster
from tidegate.embedded.errors import (
    ApiError,
    Json,
    bad_request,
    no_such_path,
    not_acceptable,
    not_found,
    unsupported_body,
    unsupported_patch,
)
from tidegate.embedded.lists import Filter
from tidegate.embedded.merge import json_patch, merge_patch, strategic_merge
from tidegate.embedded.paths import Subject, parse
from tidegate.embedded.resources import Resource
from tidegate.embedded.scale import scale_of, with_replicas
from tidegate.embedded.store import Stored
from tidegate.embedded.table import table
from tidegate.embedded.watch import WatchOptions, stream
from tidegate.embedded.writes import Options, Outcome

_MERGE = "application/merge-patch+json"
_JSON_PATCH = "application/json-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_APPLY = ("application/apply-patch+yaml", "application/apply-patch+json")

_TRUE = ("1", "t", "true", "True", "TRUE")


def application(cluster: EmbeddedCluster) -> web.Application:
    """The aiohttp application in front of a cluster."""
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{path:.*}", Door(cluster).answer)
    return app


class Door:
    """One handler for all paths: what is served changes while it runs."""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self._cluster = cluster
        self._on: dict[str, Callable[[web.Request, Subject], Awaitable[web.StreamResponse]]] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Every request comes in here; a refusal leaves as a ``Status``."""
        try:
            steps = [unquote(step) for step in request.path.split("/") if step]
            if _is_about_objects(steps):
                return await self._on_objects(request, steps)
            return self._on_server(request, steps)
        except ApiError as error:
            return _json(error.status(), code=error.code)

    # ---- the server itself

    def _on_server(self, request: web.Request, steps: list[str]) -> web.Response:
        registry = self._cluster.registry
        match steps:
            case ["healthz" | "readyz" | "livez", *_]:
                return web.Response(text="ok")
            case ["version"]:
                return _json(discovery.VERSION)
            case ["api"]:
                return _json(discovery.core_versions())
            case ["apis"]:
                return _json(discovery.groups(registry))
            case ["apis", group]:
                return _json(discovery.group(registry, group))
            case ["api", version]:
                return _json(discovery.resources(registry, "", version))
            case ["apis", group, version]:
                return _json(discovery.resources(registry, group, version))
            case ["openapi", "v2"]:
                _require_json(request)
                return _json(openapi.document_v2(registry))
            case ["openapi", "v3"]:
                return _json(openapi.index_v3(registry, revision=self._cluster.store.revision))
            case ["openapi", "v3", *place]:
                _require_json(request)
                return _json(openapi.document_v3(registry, "/".join(place)))
        raise no_such_path()

    # ---- objects

    async def _on_objects(self, request: web.Request, steps: list[str]) -> web.StreamResponse:
        subject = parse(self._cluster.registry, request.method, steps, watch=_flag(request, "watch"))
        agent = _agent(request)
        self._cluster.requests[subject.verb, subject.label, agent] += 1
        if not self._cluster.keeps_audit:
            return await self._on[subject.verb](request, subject)
        code = 500
        try:
            response = await self._on[subject.verb](request, subject)
            code = response.status
        except ApiError as error:
            code = error.code
            raise
        finally:
            self._cluster.audit.append(
                AuditEntry(
                    self._cluster.clock.now(),
                    subject.verb,
                    subject.label,
                    subject.namespace or "",
                    subject.name,
                    agent,
                    code,
                )
            )
        return response

    async def _get(self, request: web.Request, subject: Subject) -> web.StreamResponse:
        resource = subject.resource
        stored = self._cluster.store.bucket(resource.bucket).get(subject.key)
        if stored is None:
            raise not_found(resource.plural, resource.group, subject.name)
        if subject.subresource == "scale":
            return _json(scale_of(resource, stored.document()))
        if _wants_table(request):
            meta = {"resourceVersion": str(stored.revision)}
            return _json(self._table(request, resource, [stored], meta))
        return _raw(_shown(resource, stored.raw))

    async def _list(self, request: web.Request, subject: Subject) -> web.StreamResponse:
        resource, query = subject.resource, request.query
        limit = int(query.get("limit") or 0)
        page = self._cluster.lists.page(
            resource, _filter(request, subject), limit=limit, token=query.get("continue", "")
        )
        if _wants_table(request):
            return _json(self._table(request, resource, page.items, page.meta))
        items = b",".join([_shown(resource, item.raw) for item in page.items])
        head = {"kind": resource.kind + "List", "apiVersion": resource.api_version, "metadata": page.meta}
        return _raw(orjson.dumps(head)[:-1] + b',"items":[' + items + b"]}")

    async def _watch(self, request: web.Request, subject: Subject) -> web.StreamResponse:
        resource, query = subject.resource, request.query
        initial = _flag(request, "sendInitialEvents")
        if initial and query.get("resourceVersionMatch") != "NotOlderThan":
            told = "resourceVersionMatch: Forbidden: must be NotOlderThan when sendInitialEvents is set"
            raise ApiError(422, "Invalid", f"ListOptions.meta.k8s.io is invalid: {told}")
        timeout = query.get("timeoutSeconds")
        options = WatchOptions(
            revision=query.get("resourceVersion", ""),
            timeout=float(timeout) if timeout else None,
            bookmarks=_flag(request, "allowWatchBookmarks"),
            initial_events=initial,
        )

        def as_table(item: Stored) -> bytes:
            return orjson.dumps(self._table(request, resource, [item], {"resourceVersion": str(item.revision)}))

        return await stream(
            request,
            store=self._cluster.store,
            lists=self._cluster.lists,
            resource=resource,
            chosen=_filter(request, subject),
            options=options,
            render=as_table if _wants_table(request) else lambda item: _shown(resource, item.raw),
            bookmark_seconds=self._cluster.bookmark_seconds,
        )

    def _table(self, request: web.Request, resource: Resource, items: list[Stored], meta: Json) -> Json:
        documents = (item.document() for item in items)
        include = request.query.get("includeObject", "Metadata")
        return table(resource, documents, meta=meta, now=self._cluster.clock.now(), include=include)

    # ---- writes

    async def _create(self, request: web.Request, subject: Subject) -> web.StreamResponse:
        document = await _body(request)
        outcome = self._cluster.writes.create(subject.resource, subject.namespace or "", document, _options(request))
        return _written(subject.resource, outcome)

    async def _update(self, request: web.Request, subject: Subject) -> web.StreamResponse:
        document = await _body(request)
        return self._change(request, subject, lambda _: document)

    async def _patch(self, request: web.Request, subject: Subject) -> web.StreamResponse:
        body = await _body(request, kind=(dict, list))
        kind, resource = request.content_type, subject.resource
        if kind in _APPLY:
            options = _options(request)
            if not request.query.get("fieldManager"):
                options = Options(manager=None)
            outcome = self._cluster.writes.apply(
                resource, subject.key, _applied(subject, body), options, subresource=subject.subresource
            )
            return self._changed(subject, outcome)
        if kind == _MERGE:
            return self._change(request, subject, lambda document: _require_map(merge_patch(document, body)))
        if kind == _JSON_PATCH:
            return self._change(request, subject, lambda document: json_patch(document, body))
        if kind == _STRATEGIC and not resource.custom:
            shape = resource.shape
            return self._change(request, subject, lambda document: _require_map(strategic_merge(document, body, shape)))
        accepted = [_JSON_PATCH, _MERGE, *([] if resource.custom else [_STRATEGIC]), _APPLY[0]]
        raise unsupported_patch(kind, accepted)

    def _change(self, request: web.Request, subject: Subject, change: Callable[[Json], Json]) -> web.Response:
        resource = subject.resource

        def through_scale(document: Json) -> Json:
            view = change(scale_of(resource, document))
            self._cluster.writes.require_identity(resource, document, view.get("metadata") or {})
            return with_replicas(resource, document, view)

        outcome = self._cluster.writes.update(
            resource,
            subject.key,
            through_scale if subject.subresource == "scale" else change,
            _options(request),
            subresource=subject.subresource,
        )
        return self._changed(subject, outcome)

    @staticmethod
    def _changed(subject: Subject, outcome: Outcome) -> web.Response:
        if subject.subresource == "scale":
            return _json(scale_of(subject.resource, outcome.document))
        return _written(subject.resource, outcome)

    async def _delete(self, request: web.Request, subject: Subject) -> web.StreamResponse:
        asked = await _delete_options(request)
        conditions = asked.get("preconditions") or {}
        outcome = self._cluster.writes.delete(
            subject.resource,
            subject.key,
            dry_run=_dry_run(request, asked),
            uid=conditions.get("uid", ""),
            revision=conditions.get("resourceVersion", ""),
        )
        if not outcome.removed:
            return _raw(_shown(subject.resource, outcome.raw))
        details = {"name": subject.name, "kind": subject.resource.plural, "uid": outcome.document["metadata"]["uid"]}
        if subject.resource.group:
            details["group"] = subject.resource.group
        return _json({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})

    async def _delete_collection(self, request: web.Request, subject: Subject) -> web.StreamResponse:
        asked = await _delete_options(request)
        resource = subject.resource
        chosen = self._cluster.lists.all(resource, _filter(request, subject))
        for item in chosen:
            self._cluster.writes.delete(resource, (item.namespace, item.name), dry_run=_dry_run(request, asked))
        items = b",".join([_shown(resource, item.raw) for item in chosen])
        meta = {"resourceVersion": str(self._cluster.store.revision)}
        head = {"kind": resource.kind + "List", "apiVersion": resource.api_version, "metadata": meta}
        return _raw(orjson.dumps(head)[:-1] + b',"items":[' + items + b"]}")


# ---- reading requests


def _is_about_objects(steps: list[str]) -> bool:
    return (steps[:1] == ["api"] and len(steps) > 2) or (steps[:1] == ["apis"] and len(steps) > 3)


async def _body(request: web.Request, kind: type | tuple[type, ...] = dict) -> Any:
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


async def _delete_options(request: web.Request) -> Json:
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


def _require_map(document: Any) -> Json:
    if not isinstance(document, dict):
        raise bad_request("the patch does not leave an object")
    return document


def _applied(subject: Subject, body: Any) -> Json:
    """The configuration to apply to the object itself; one for ``/scale`` speaks of its replicas alone."""
    document = _require_map(body)
    if subject.subresource != "scale":
        return document
    bare: Json = {"apiVersion": subject.resource.api_version, "kind": subject.resource.kind, "metadata": {}}
    return with_replicas(subject.resource, bare, document)


def _options(request: web.Request) -> Options:
    query = request.query
    validation = query.get("fieldValidation", "Warn")
    if validation not in ("Ignore", "Warn", "Strict"):
        raise bad_request(f"fieldValidation: Unsupported value: {validation}")
    return Options(
        manager=query.get("fieldManager") or _agent(request),
        dry_run=_dry_run(request, {}),
        field_validation=validation,  # type: ignore[arg-type]
        force=_flag(request, "force"),
    )


def _dry_run(request: web.Request, body: Json) -> bool:
    asked = request.query.getall("dryRun", []) + list(body.get("dryRun") or [])
    if any(value != "All" for value in asked):
        raise bad_request(f'dryRun: Unsupported value: {asked}: supported values: "All"')
    return bool(asked)


def _flag(request: web.Request, name: str) -> bool:
    return request.query.get(name, "") in _TRUE


def _agent(request: web.Request) -> str:
    """The first word of the user agent: also the field manager of those who give none."""
    agent = request.headers.get("User-Agent", "unknown").split("/")[0].strip()
    return agent[:128] or "unknown"


def _filter(request: web.Request, subject: Subject) -> Filter:
    query = request.query
    fields = query.get("fieldSelector", "")
    if subject.name:  # the old way to watch one object
        fields = f"metadata.name={subject.name}" + (f",{fields}" if fields else "")
    return Filter.parse(subject.resource, subject.namespace, query.get("labelSelector", ""), fields)


def _wants_table(request: web.Request) -> bool:
    return "as=Table" in request.headers.get("Accept", "")


def _require_json(request: web.Request) -> None:
    accepted = request.headers.get("Accept", "*/*")
    if not any(word in accepted for word in ("json", "*/*")):
        raise not_acceptable("application/json")


# ---- writing answers


def _raw(body: bytes, *, code: int = 200) -> web.Response:
    return web.Response(body=body, status=code, content_type="application/json")


def _json(document: Json, *, code: int = 200) -> web.Response:
    return _raw(orjson.dumps(document), code=code)


def _written(resource: Resource, outcome: Outcome) -> web.Response:
    response = _raw(_shown(resource, outcome.raw), code=201 if outcome.created else 200)
    for warning in outcome.warnings:
        response.headers.add("Warning", "299 - " + orjson.dumps(warning).decode())
    return response


def _shown(resource: Resource, raw: bytes) -> bytes:
    """An object in the version that was asked for."""
    if resource.api_version == resource.stored_api_version:
        return raw
    document = orjson.loads(raw)
    return orjson.dumps({**document, "apiVersion": resource.api_version})
