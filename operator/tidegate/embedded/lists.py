"""Lists in pages. A page's ``continue`` token names a snapshot and a place in it: later pages show what the first one
saw. A token may be used again, after a lost answer or for a smaller page.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from dataclasses import dataclass

from tidegate.embedded.errors import Json, bad_request, gone
from tidegate.embedded.resources import Resource
from tidegate.embedded.selectors import FieldTest, LabelTest, field_test, label_test
from tidegate.embedded.store import Store, Stored

_SNAPSHOTS = 32
"""How many paged lists are remembered; tokens of older ones are answered with 410."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which objects a request is about."""

    namespace: str | None
    labels: LabelTest | None
    fields: FieldTest | None

    @classmethod
    def parse(cls, resource: Resource, namespace: str | None, label_selector: str, field_selector: str) -> Filter:
        """Compile the selectors of a request; 400 when they make no sense."""
        return cls(namespace, label_test(label_selector), field_test(field_selector, resource.selectable))

    def __call__(self, item: Stored) -> bool:
        """Whether an object is chosen."""
        if self.namespace is not None and item.namespace != self.namespace:
            return False
        if self.labels is not None and not self.labels(item.labels):
            return False
        return self.fields is None or self.fields(item.document())


@dataclass(frozen=True, slots=True)
class Page:
    """One page and the list's metadata."""

    items: list[Stored]
    meta: Json


class Lists:
    """Lists objects; keeps the snapshots of those that took more than one page."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._snapshots: OrderedDict[str, tuple[int, list[Stored]]] = OrderedDict()

    def page(self, resource: Resource, chosen: Filter, *, limit: int, token: str) -> Page:
        """The first page, or the one that a token promises."""
        if token:
            snapshot, start = self._named(token)
            revision, items = self._resume(snapshot)
        else:
            snapshot, start = uuid.uuid4().hex, 0
            revision, items = self._store.revision, self.all(resource, chosen)
        end = start + limit if limit > 0 else len(items)
        meta: Json = {"resourceVersion": str(revision)}
        if end < len(items):
            self._remember(snapshot, revision, items)
            meta["continue"] = f"{snapshot}-{end}"
            meta["remainingItemCount"] = len(items) - end
        return Page(items[start:end], meta)

    def all(self, resource: Resource, chosen: Filter) -> list[Stored]:
        """Everything that is chosen, by namespace and name."""
        items = self._store.bucket(resource.bucket).items(chosen.namespace)
        if chosen.labels is None and chosen.fields is None:
            return items
        return [item for item in items if chosen(item)]

    def _remember(self, snapshot: str, revision: int, items: list[Stored]) -> None:
        self._snapshots[snapshot] = (revision, items)
        self._snapshots.move_to_end(snapshot)
        while len(self._snapshots) > _SNAPSHOTS:
            self._snapshots.popitem(last=False)

    def _named(self, token: str) -> tuple[str, int]:
        snapshot, _, place = token.partition("-")
        if len(snapshot) != 32 or not place.isdecimal():
            raise bad_request("continue key is not valid")
        return snapshot, int(place)

    def _resume(self, snapshot: str) -> tuple[int, list[Stored]]:
        found = self._snapshots.get(snapshot)
        if found is None:
            raise gone("The provided continue parameter is too old to display a consistent list result.")
        return found
