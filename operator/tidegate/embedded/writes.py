"""Every change of an object: identity, the door it came through, schema, owners, generation, commit.

The order is that of the real server. A write that changes nothing leaves the object alone, its version included.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from tidegate.embedded import managed
from tidegate.embedded.admission import admit, without_nulls
from tidegate.embedded.errors import (
    Cause,
    Json,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
)
from tidegate.embedded.managed import Owned, Writer
from tidegate.embedded.resources import Resource
from tidegate.embedded.schema import Report
from tidegate.embedded.store import Key, Store, Stored

NAMESPACES = ("", "namespaces")

_SERVER_OWNED = (
    *("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "name", "namespace"),
    *("resourceVersion", "selfLink"),
)
_EMPTY_WHEN_NONE = ("labels", "annotations", "finalizers", "ownerReferences", "managedFields")


@dataclass(frozen=True, slots=True)
class Options:
    """How a write is meant."""

    manager: str | None = None
    """Field manager; None keeps no record of ownership (bulk loads)."""
    dry_run: bool = False
    field_validation: Literal["Ignore", "Warn", "Strict"] = "Warn"
    force: bool = False
    """Take disputed fields in a server-side apply."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a write left: the object's bytes (as stored, or as they would be), and what the client should be told."""

    raw: bytes
    created: bool = False
    removed: bool = False
    warnings: tuple[str, ...] = ()
    document: Json = field(default_factory=dict)


Now = Callable[[], str]


class Writes:
    """Creates, changes and deletes objects. ``now`` gives the time stamp."""

    def __init__(self, store: Store, now: Now) -> None:
        self._store = store
        self._now = now

    # ---- create

    def create(self, resource: Resource, namespace: str, document: Json, options: Options) -> Outcome:
        """409 when the name is taken, 404 when the namespace is not there."""
        document = self._incoming(resource, document)
        self._name(resource, namespace, document)
        meta = document["metadata"]
        meta.pop("managedFields", None)
        return self._insert(resource, document, [], options, applied=None)

    def _insert(
        self, resource: Resource, document: Json, owners: list[Owned], options: Options, applied: Json | None
    ) -> Outcome:
        meta = document["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        self._require_namespace(resource, key)
        if self._store.bucket(resource.bucket).get(key):
            raise already_exists(resource.plural, resource.group, key[1])
        if "status" in resource.subresources:
            document.pop("status", None)
        for name in _SERVER_OWNED:
            if name not in ("name", "namespace"):
                meta.pop(name, None)
        warnings = self._check(resource, document, options)
        now = self._now()
        if options.manager and applied is None:
            writer = Writer(options.manager, "Update", "", resource.api_version)
            owners = managed.own_updates(owners, old={}, new=document, shape=resource.shape, writer=writer, now=now)
        meta.update(uid=str(uuid.uuid4()), creationTimestamp=now)
        if resource.has_generation:
            meta["generation"] = 1
        _tidy(meta, owners)
        if options.dry_run:
            return Outcome(orjson.dumps(document), created=True, warnings=warnings, document=document)
        item = self._store.commit(resource.bucket, document)
        return Outcome(item.raw, created=True, warnings=warnings, document=document)

    def _name(self, resource: Resource, namespace: str, document: Json) -> None:
        meta = document["metadata"]
        if resource.namespaced:
            given = meta.setdefault("namespace", namespace or "default")
            if namespace and given != namespace:
                raise bad_request(
                    f"the namespace of the object ({given}) does not match that of the request ({namespace})"
                )
        else:
            meta.pop("namespace", None)
        if not meta.get("name"):
            if not meta.get("generateName"):
                cause = Cause("metadata.name", "Required value: name or generateName is required", "FieldValueRequired")
                raise invalid(resource.kind, resource.group, "", [cause])
            meta["name"] = meta["generateName"] + uuid.uuid4().hex[:5]

    def _require_namespace(self, resource: Resource, key: Key) -> None:
        if not resource.namespaced:
            return
        namespace = self._store.bucket(NAMESPACES).get(("", key[0]))
        if namespace is None:
            raise not_found("namespaces", "", key[0])
        if b'"deletionTimestamp"' in namespace.raw:
            why = f"unable to create new content in namespace {key[0]} because it is being terminated"
            raise forbidden(f'{resource.plural} "{key[1]}" is forbidden: {why}')

    # ---- update

    def update(
        self,
        resource: Resource,
        key: Key,
        change: Callable[[Json], Json],
        options: Options,
        *,
        subresource: str = "",
    ) -> Outcome:
        """Change an object: ``change`` gets a document of its own and returns what it should be. Through a subresource
        only its part is taken.
        """
        stored = self._existing(resource, key)
        old = stored.document()
        new = self._incoming(resource, change(stored.document()))
        self.require_identity(resource, old, new["metadata"])
        owners = managed.current_owners(old, new, subresource=subresource)
        new = _through(resource, old, new, subresource)
        warnings = self._check(resource, new, options)
        if options.manager:
            writer = Writer(options.manager, "Update", subresource, resource.api_version)
            owners = managed.own_updates(owners, old=old, new=new, shape=resource.shape, writer=writer, now=self._now())
        return self._replace(resource, stored, old, new, owners, options, warnings)

    def apply(self, resource: Resource, key: Key, config: Json, options: Options, *, subresource: str = "") -> Outcome:
        """Server-side apply: creates what is not there."""
        if not options.manager:
            raise bad_request(
                "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: is required for apply patch"
            )
        config = self._incoming(resource, config)
        if config["metadata"].get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        config["metadata"].setdefault("name", key[1])
        if resource.namespaced:
            config["metadata"].setdefault("namespace", key[0])
        if subresource == "status":
            config = {
                name: value for name, value in config.items() if name in ("apiVersion", "kind", "metadata", "status")
            }
        elif "status" in resource.subresources:
            config.pop("status", None)
        writer = Writer(options.manager, "Apply", subresource, resource.api_version)
        stored = self._store.bucket(resource.bucket).get(key)
        old = stored.document() if stored else {"metadata": {}}
        if stored:
            self.require_identity(resource, old, config["metadata"])
        elif subresource:
            raise not_found(resource.plural, resource.group, key[1])
        owners = managed.current_owners(old, {}, subresource=subresource)
        start = stored.document() if stored else {}
        new, owners = managed.apply(
            start, config, owners=owners, shape=resource.shape, writer=writer, force=options.force, now=self._now()
        )
        if stored is None:
            return self._insert(resource, new, owners, options, applied=config)
        new = _through(resource, old, self._incoming(resource, new), subresource)
        warnings = self._check(resource, new, options)
        return self._replace(resource, stored, old, new, owners, options, warnings)

    def _replace(
        self,
        resource: Resource,
        stored: Stored,
        old: Json,
        new: Json,
        owners: Sequence[Owned],
        options: Options,
        warnings: tuple[str, ...],
    ) -> Outcome:
        before = managed.decode(old["metadata"].get("managedFields"))
        same_owners = {_known(one) for one in owners} == {_known(one) for one in before}
        _tidy(new["metadata"], before if same_owners else owners)
        if same_owners and "managedFields" in old["metadata"]:
            new["metadata"]["managedFields"] = old["metadata"]["managedFields"]
        if new == old:
            return Outcome(stored.raw, warnings=warnings, document=new)
        if resource.has_generation and _meaning(old, resource) != _meaning(new, resource):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        removed = bool(new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"))
        if resource.kind == "Namespace":
            removed = False  # a namespace goes when it is empty
        if options.dry_run:
            return Outcome(orjson.dumps(new), warnings=warnings, document=new)
        item = self._store.commit(resource.bucket, new, delete=removed)
        return Outcome(item.raw, removed=removed, warnings=warnings, document=new)

    # ---- delete

    def delete(
        self, resource: Resource, key: Key, *, dry_run: bool = False, uid: str = "", revision: str = ""
    ) -> Outcome:
        """Remove an object, or mark it while finalizers hold it; 409 when its uid or version is another."""
        stored = self._existing(resource, key)
        document = stored.document()
        meta = document["metadata"]
        for name, wanted in (("uid", uid), ("resourceVersion", revision)):
            if wanted and meta[name] != wanted:
                why = f"the {name} in the precondition ({wanted}) does not match the one in record ({meta[name]})"
                raise conflict(resource.plural, resource.group, key[1], "Precondition failed: " + why)
        held = bool(meta.get("finalizers")) or (resource.kind == "Namespace" and not self._empty(key[1]))
        if dry_run or (held and "deletionTimestamp" in meta):
            return Outcome(stored.raw, removed=not held, document=document)
        if held:
            meta.update(deletionTimestamp=self._now(), deletionGracePeriodSeconds=0)
            if resource.has_generation:
                meta["generation"] = meta.get("generation", 0) + 1
            if resource.kind == "Namespace":
                document["status"] = {"phase": "Terminating"}
        item = self._store.commit(resource.bucket, document, delete=not held)
        return Outcome(item.raw, removed=not held, document=document)

    def _empty(self, namespace: str) -> bool:
        return not any(bucket.items(namespace) for kind, bucket in self._store.buckets() if kind != NAMESPACES)

    # ---- the steps

    def _existing(self, resource: Resource, key: Key) -> Stored:
        stored = self._store.bucket(resource.bucket).get(key)
        if stored is None:
            raise not_found(resource.plural, resource.group, key[1])
        return stored

    @staticmethod
    def _incoming(resource: Resource, document: Any) -> Json:
        if not isinstance(document, dict) or not isinstance(document.get("metadata", {}) or {}, dict):
            raise bad_request("the object provided is unrecognized: it must be a map with metadata")
        if resource.custom and not (document.get("kind") and document.get("apiVersion")):
            raise bad_request(
                f"the object provided is unrecognized (must be of type {resource.kind}): Object 'Kind' is missing"
            )
        api_version, kind = document.get("apiVersion") or resource.api_version, document.get("kind") or resource.kind
        if kind != resource.kind or api_version not in (resource.api_version, resource.stored_api_version):
            raise bad_request(
                f"the API version in the data ({api_version}, Kind={kind}) does not match the expected "
                f"({resource.api_version}, Kind={resource.kind})"
            )
        if not resource.custom:
            document = without_nulls(document)
        rest = {name: value for name, value in document.items() if name not in ("apiVersion", "kind", "metadata")}
        meta = dict(document.get("metadata") or {})
        return {"apiVersion": resource.stored_api_version, "kind": resource.kind, "metadata": meta, **rest}

    @staticmethod
    def require_identity(resource: Resource, old: Json, claimed: Json) -> None:
        """409 when a write names another version or another uid, 400 when it names another object."""
        meta = old["metadata"]
        for name in ("name", "namespace"):
            if claimed.get(name) and claimed[name] != meta.get(name):
                raise bad_request(f"the {name} of the object ({claimed[name]}) does not match the {name} on the URL")
        if claimed.get("resourceVersion") not in (None, "", meta["resourceVersion"]):
            raise conflict(resource.plural, resource.group, meta["name"])
        if claimed.get("uid") not in (None, "", meta["uid"]):
            why = f"Precondition failed: UID in precondition: {claimed['uid']}, UID in object meta: {meta['uid']}"
            raise conflict(resource.plural, resource.group, meta["name"], why)

    @staticmethod
    def _check(resource: Resource, document: Json, options: Options) -> tuple[str, ...]:
        """Default, prune and validate; returns warnings."""
        admit(resource, document)
        if resource.checker is None:
            return ()
        report = Report()
        resource.checker(document, "", report)
        if report.unknown and options.field_validation == "Strict":
            told = ", ".join(f'unknown field "{path}"' for path in report.unknown)
            raise bad_request(
                f"{resource.kind} in version {resource.version!r} cannot be handled: strict decoding error: {told}"
            )
        if report.causes:
            raise invalid(resource.kind, resource.group, document["metadata"]["name"], report.causes)
        if options.field_validation == "Ignore":
            return ()
        return tuple(f'unknown field "{path}"' for path in report.unknown)


def _known(owned: Owned) -> tuple[Writer, object, str]:
    """What tells whether an entry is another one. The time of a writer that does not apply tells nobody anything, and a
    status is written often.
    """
    return owned.writer, owned.paths, owned.time if owned.writer.operation == "Apply" else ""


def _through(resource: Resource, old: Json, new: Json, subresource: str) -> Json:
    """Keep what this door cannot change."""
    if subresource == "status":
        meta = dict(old["metadata"])
        result = {**old, "metadata": meta}
        result.pop("status", None)
        return {**result, "status": new["status"]} if new.get("status") is not None else result
    if "status" in resource.subresources:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    meta = new["metadata"]
    for name in _SERVER_OWNED:
        meta.pop(name, None)
        if name in old["metadata"]:
            meta[name] = old["metadata"][name]
    return new


def _tidy(meta: Json, owners: Sequence[Owned]) -> None:
    meta["managedFields"] = managed.encode(list(owners))
    for name in _EMPTY_WHEN_NONE:
        if not meta.get(name, True):
            del meta[name]


def _meaning(document: Json, resource: Resource) -> Json:
    """The part whose change makes a new generation."""
    without = {"metadata", "status"} if "status" in resource.subresources else {"metadata"}
    return {name: value for name, value in document.items() if name not in without}
