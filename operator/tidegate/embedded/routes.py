"""The HTTP door: reads requests, calls the cluster, writes answers. No rule of the API lives here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import unquote

import orjson
from aiohttp import web

from tidegate.embedded import discovery, openapi
from tidegate.embedded.cluster import AuditEntry, EmbeddedCluster
from tidegate.embedded.errors import (
    ApiError,
    Json,
    no_such_path,
    not_found,
    unsupported_patch,
)
from tidegate.embedded.merge import json_patch, merge_patch, strategic_merge
from tidegate.embedded.paths import Subject, parse
from tidegate.embedded.resources import Resource
from tidegate.embedded.scale import scale_of, with_replicas
from tidegate.embedded.store import Stored
from tidegate.embedded.table import table
from tidegate.embedded.watch import WatchOptions, stream
from tidegate.embedded.wire import (
    agent_of,
    applied_config,
    chosen_by,
    flag,
    is_dry_run,
    json_answer,
    raw_answer,
    read_body,
    read_delete_options,
    require_json,
    require_map,
    shown,
    wants_table,
    whole,
    write_options,
    written,
)
from tidegate.embedded.writes import Options, Outcome

_MERGE = "application/merge-patch+json"
_JSON_PATCH = "application/json-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_APPLY = ("application/apply-patch+yaml", "application/apply-patch+json")


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
            return json_answer(error.status(), code=error.code)

    # ---- the server itself

    def _on_server(self, request: web.Request, steps: list[str]) -> web.Response:
        registry = self._cluster.registry
        match steps:
            case ["healthz" | "readyz" | "livez", *_]:
                return web.Response(text="ok")
            case ["version"]:
                return json_answer(discovery.VERSION)
            case ["api"]:
                return json_answer(discovery.core_versions())
            case ["apis"]:
                return json_answer(discovery.groups(registry))
            case ["apis", group]:
                return json_answer(discovery.group(registry, group))
            case ["api", version]:
                return json_answer(discovery.resources(registry, "", version))
            case ["apis", group, version]:
                return json_answer(discovery.resources(registry, group, version))
            case ["openapi", "v2"]:
                require_json(request)
                return json_answer(openapi.document_v2(registry))
            case ["openapi", "v3"]:
                return json_answer(openapi.index_v3(registry, revision=self._cluster.store.revision))
            case ["openapi", "v3", *place]:
                require_json(request)
                return json_answer(openapi.document_v3(registry, "/".join(place)))
        raise no_such_path()

    # ---- objects

    async def _on_objects(self, request: web.Request, steps: list[str]) -> web.StreamResponse:
        subject = parse(self._cluster.registry, request.method, steps, watch=flag(request, "watch"))
        agent = agent_of(request)
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
            return json_answer(scale_of(resource, stored.document()))
        if wants_table(request):
            meta = {"resourceVersion": str(stored.revision)}
            return json_answer(self._table(request, resource, [stored], meta))
        return raw_answer(shown(resource, stored.raw))

    async def _list(self, request: web.Request, subject: Subject) -> web.StreamResponse:
        resource, query = subject.resource, request.query
        limit = whole(request, "limit") or 0
        page = self._cluster.lists.page(
            resource, chosen_by(request, subject), limit=limit, token=query.get("continue", "")
        )
        if wants_table(request):
            return json_answer(self._table(request, resource, page.items, page.meta))
        items = b",".join([shown(resource, item.raw) for item in page.items])
        head = {"kind": resource.kind + "List", "apiVersion": resource.api_version, "metadata": page.meta}
        return raw_answer(orjson.dumps(head)[:-1] + b',"items":[' + items + b"]}")

    async def _watch(self, request: web.Request, subject: Subject) -> web.StreamResponse:
        resource, query = subject.resource, request.query
        initial = flag(request, "sendInitialEvents")
        if initial and query.get("resourceVersionMatch") != "NotOlderThan":
            told = "resourceVersionMatch: Forbidden: must be NotOlderThan when sendInitialEvents is set"
            raise ApiError(422, "Invalid", f"ListOptions.meta.k8s.io is invalid: {told}")
        timeout = whole(request, "timeoutSeconds")
        options = WatchOptions(
            revision=query.get("resourceVersion", ""),
            timeout=float(timeout) if timeout else None,
            bookmarks=flag(request, "allowWatchBookmarks"),
            initial_events=initial,
        )

        def as_table(item: Stored) -> bytes:
            return orjson.dumps(self._table(request, resource, [item], {"resourceVersion": str(item.revision)}))

        return await stream(
            request,
            store=self._cluster.store,
            lists=self._cluster.lists,
            resource=resource,
            chosen=chosen_by(request, subject),
            options=options,
            render=as_table if wants_table(request) else lambda item: shown(resource, item.raw),
            bookmark_seconds=self._cluster.bookmark_seconds,
        )

    def _table(self, request: web.Request, resource: Resource, items: list[Stored], meta: Json) -> Json:
        documents = (item.document() for item in items)
        include = request.query.get("includeObject", "Metadata")
        return table(resource, documents, meta=meta, now=self._cluster.clock.now(), include=include)

    # ---- writes

    async def _create(self, request: web.Request, subject: Subject) -> web.StreamResponse:
        document = await read_body(request)
        outcome = self._cluster.writes.create(
            subject.resource, subject.namespace or "", document, write_options(request)
        )
        return written(subject.resource, outcome)

    async def _update(self, request: web.Request, subject: Subject) -> web.StreamResponse:
        document = await read_body(request)
        return self._change(request, subject, lambda _: document)

    async def _patch(self, request: web.Request, subject: Subject) -> web.StreamResponse:
        body = await read_body(request, kind=(dict, list))
        kind, resource = request.content_type, subject.resource
        if kind in _APPLY:
            options = write_options(request)
            if not request.query.get("fieldManager"):
                options = Options(manager=None)
            outcome = self._cluster.writes.apply(
                resource, subject.key, applied_config(subject, body), options, subresource=subject.subresource
            )
            return self._changed(subject, outcome)
        if kind == _MERGE:
            return self._change(request, subject, lambda document: require_map(merge_patch(document, body)))
        if kind == _JSON_PATCH:
            return self._change(request, subject, lambda document: json_patch(document, body))
        if kind == _STRATEGIC and not resource.custom:
            shape = resource.shape
            return self._change(request, subject, lambda document: require_map(strategic_merge(document, body, shape)))
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
            write_options(request),
            subresource=subject.subresource,
        )
        return self._changed(subject, outcome)

    @staticmethod
    def _changed(subject: Subject, outcome: Outcome) -> web.Response:
        if subject.subresource == "scale":
            return json_answer(scale_of(subject.resource, outcome.document))
        return written(subject.resource, outcome)

    async def _delete(self, request: web.Request, subject: Subject) -> web.StreamResponse:
        asked = await read_delete_options(request)
        conditions = asked.get("preconditions") or {}
        outcome = self._cluster.writes.delete(
            subject.resource,
            subject.key,
            dry_run=is_dry_run(request, asked),
            uid=conditions.get("uid", ""),
            revision=conditions.get("resourceVersion", ""),
        )
        if not outcome.removed:
            return raw_answer(shown(subject.resource, outcome.raw))
        details = {"name": subject.name, "kind": subject.resource.plural, "uid": outcome.document["metadata"]["uid"]}
        if subject.resource.group:
            details["group"] = subject.resource.group
        return json_answer(
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        )

    async def _delete_collection(self, request: web.Request, subject: Subject) -> web.StreamResponse:
        asked = await read_delete_options(request)
        resource = subject.resource
        chosen = self._cluster.lists.all(resource, chosen_by(request, subject))
        for item in chosen:
            self._cluster.writes.delete(resource, (item.namespace, item.name), dry_run=is_dry_run(request, asked))
        items = b",".join([shown(resource, item.raw) for item in chosen])
        meta = {"resourceVersion": str(self._cluster.store.revision)}
        head = {"kind": resource.kind + "List", "apiVersion": resource.api_version, "metadata": meta}
        return raw_answer(orjson.dumps(head)[:-1] + b',"items":[' + items + b"]}")


def _is_about_objects(steps: list[str]) -> bool:
    return (steps[:1] == ["api"] and len(steps) > 2) or (steps[:1] == ["apis"] and len(steps) > 3)
