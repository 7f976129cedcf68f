"""The last valid version of each object, as JSON, for when somebody edits it into something invalid."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from tidegate.planning.model import Announcement, Key
from tidegate.ports import LastValid

MOST = 4096
"""Bytes of one version; of an object that takes more none is kept."""
AHEAD, BEHIND = 86_400.0, 6 * 3600.0
"""Seconds: an event counts that begins within the one, or has ended within the other. Judgment: what is lent for an
event is back hours after its end."""

_PLANNED_WITH = ("namespace", "name", "uid", "generation", "creationTimestamp")


@dataclass(slots=True)
class Versions:
    """By kind and key."""

    _documents: dict[tuple[str, Key], tuple[str, bytes]] = field(default_factory=dict)
    """uid and document, packed: there is one of each of tens of thousands of events, and hardly any is ever needed.
    orjson's own bytes hold on to the four kilobytes that they were written into."""
    _recalled: dict[tuple[str, Key], LastValid] = field(default_factory=dict)
    """What a former life knew of objects of which we know no valid version yet."""
    last: Mapping[Key, tuple[LastValid, ...]] = field(default_factory=dict)
    """What was told last."""

    def note(self, kind: str, key: Key, obj: Mapping[str, Any]) -> None:
        """The object is valid as it is now."""
        metadata = {name: obj["metadata"].get(name) for name in _PLANNED_WITH if name != "namespace" or key.namespace}
        whole = {"apiVersion": obj.get("apiVersion"), "kind": kind, "metadata": metadata, "spec": obj.get("spec")}
        document = orjson.dumps(whole, default=str)
        if len(document) <= MOST:
            self._documents[kind, key] = str(metadata["uid"] or ""), zlib.compress(document, 1)
        else:
            self._documents.pop((kind, key), None)
        self._recalled.pop((kind, key), None)

    def drop(self, kind: str, key: Key) -> None:
        """The object is gone."""
        self._documents.pop((kind, key), None)
        self._recalled.pop((kind, key), None)

    def recall(self, versions: Iterable[LastValid]) -> None:
        """What a former life knew."""
        self._recalled.update({(one.kind, one.key): one for one in versions})

    def take_recalled(self, kind: str, key: Key, uid: str) -> dict[str, Any] | None:
        """The version that a former life knew of that very object, once; None without one."""
        one = self._recalled.pop((kind, key), None)
        if one is None or one.uid != uid:
            return None
        try:
            found = orjson.loads(one.document)
        except ValueError:
            return None
        if not isinstance(found, dict) or not isinstance(told := found.get("metadata"), dict):
            return None
        metadata = {part: told[part] for part in _PLANNED_WITH if part in told and part != "namespace"}
        metadata |= {"name": key.name, "uid": uid}  # nobody else's object
        if key.namespace:
            metadata["namespace"] = key.namespace
        # Nothing but what ``note`` wrote: a status in it would be nobody's word.
        return {part: found[part] for part in ("apiVersion", "kind", "spec") if part in found} | {"metadata": metadata}

    def told(
        self, invalid: Iterable[tuple[str, Key, Key]], events: Mapping[Key, Announcement], now: float
    ) -> Mapping[Key, tuple[LastValid, ...]]:
        """Versions of invalid objects (kind, object, policy or pool), by policy or pool: its own, then overrides, then
        events, the nearest first. The same mapping while nothing changed.
        """
        found: dict[Key, list[tuple[float, LastValid]]] = {}
        for kind, key, policy in invalid:
            uid, document = self._documents.get((kind, key), ("", b""))
            at = _when(kind, events.get(key), now)
            if document and at is not None:
                found.setdefault(policy, []).append((at, LastValid(kind, key, uid, zlib.decompress(document).decode())))
        told = {of: tuple(one for _, one in sorted(ones, key=_order)) for of, ones in sorted(found.items())}
        if told != self.last:
            self.last = told
        return self.last


def _when(kind: str, event: Announcement | None, now: float) -> float | None:
    """Where in the order it comes; None for an event that is not near."""
    if kind != "LiveEvent":
        return 0.0 if kind == "Override" else float("-inf")
    return min(_near(event, now), default=None) if event is not None else None


def _near(event: Announcement, now: float) -> Iterator[float]:
    for one in event.occurrences:
        if one.start - AHEAD <= now <= one.start + one.duration + BEHIND:
            yield one.start


def _order(one: tuple[float, LastValid]) -> tuple[float, str, Key]:
    return one[0], one[1].kind, one[1].key
