"""What the cluster does by itself when certain objects come and go: definitions are served, namespaces are emptied."""

from __future__ import annotations

from tidegate.embedded.errors import Json
from tidegate.embedded.resources import Registry, from_definition
from tidegate.embedded.store import DELETED, MODIFIED, Change, Store
from tidegate.embedded.writes import NAMESPACES, Now, Writes

DEFINITIONS = ("apiextensions.k8s.io", "customresourcedefinitions")


class Lifecycle:
    """Listens to the store. A definition is established in the moment it is created, unless a name of it is taken."""

    def __init__(self, store: Store, registry: Registry, writes: Writes, now: Now) -> None:
        self._store, self._registry, self._writes, self._now = store, registry, writes, now
        store.listen(self._changed)

    def _changed(self, kind: tuple[str, str], change: Change) -> None:
        if kind == DEFINITIONS:
            self._definition_changed(change)
        elif kind == NAMESPACES:
            if change.type == MODIFIED and b'"deletionTimestamp"' in change.item.raw:
                self._empty(change.item.name)
        elif change.type == DELETED and change.item.namespace:
            self._finish_namespace(change.item.namespace)

    # ---- definitions

    def _definition_changed(self, change: Change) -> None:
        definition = change.item.document()
        group, plural = definition["spec"]["group"], definition["spec"]["names"]["plural"]
        if change.type == DELETED:
            if change.before and _established(change.before.document()):
                self._registry.drop(group, plural)
                bucket = self._store.bucket((group, plural))
                for item in bucket.items():
                    self._store.commit((group, plural), item.document(), delete=True)
            return
        taken = self._taken(definition)
        status = self._status(definition, taken)
        if not taken:
            self._registry.drop(group, plural)
            for resource in from_definition(definition):
                self._registry.add(resource)
        if definition.get("status") != status:
            definition["status"] = status
            self._store.commit(DEFINITIONS, definition)

    def _taken(self, definition: Json) -> str | None:
        """A name that another kind of the same group already answers to."""
        spec = definition["spec"]
        wanted: set[str] = {
            spec["names"]["plural"],
            spec["names"]["singular"],
            *(spec["names"].get("shortNames") or ()),
        }
        for other in self._registry:
            if other.group != spec["group"] or other.plural == spec["names"]["plural"]:
                continue
            clash = wanted & {other.plural, other.singular, *other.short_names}
            if clash:
                return min(clash)
            if other.kind == spec["names"]["kind"]:
                return other.kind
        return None

    def _status(self, definition: Json, taken: str | None) -> Json:
        spec, before = definition["spec"], definition.get("status") or {}
        stored = list(before.get("storedVersions") or ())
        stored += [v["name"] for v in spec["versions"] if v.get("storage") and v["name"] not in stored]
        said = {c["type"]: c for c in before.get("conditions") or ()}
        answer = "False" if taken else "True"
        reasons = {
            "NamesAccepted": ("NameConflict", f'"{taken}" is already in use')
            if taken
            else ("NoConflicts", "no conflicts found"),
            "Established": ("NotAccepted", "not all names are accepted")
            if taken
            else ("InitialNamesAccepted", "the initial names have been accepted"),
        }
        conditions = []
        for kind, (reason, message) in reasons.items():
            since = said[kind]["lastTransitionTime"] if said.get(kind, {}).get("status") == answer else self._now()
            conditions.append(
                {"type": kind, "status": answer, "reason": reason, "message": message, "lastTransitionTime": since}
            )
        accepted = {"plural": "", "kind": ""} if taken else spec["names"]
        return {"acceptedNames": accepted, "storedVersions": stored, "conditions": conditions}

    # ---- namespaces

    def _empty(self, namespace: str) -> None:
        for resource in [r for r in self._registry if r.namespaced]:
            for item in self._store.bucket(resource.bucket).items(namespace):
                if self._store.bucket(resource.bucket).get((namespace, item.name)):
                    self._writes.delete(resource, (namespace, item.name))
        self._finish_namespace(namespace)

    def _finish_namespace(self, namespace: str) -> None:
        item = self._store.bucket(NAMESPACES).get(("", namespace))
        resource = self._registry.find("", "v1", "namespaces")
        if item is not None and resource is not None and b'"deletionTimestamp"' in item.raw:
            self._writes.delete(resource, ("", namespace))


def _established(definition: Json) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
