"""Lists in pages. A page's ``continue`` token names a snapshot: later pages show what the first one saw."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from dataclasses import dataclass

from tidegate.embedded.errors import Json, bad_request, gone
from tidegate.embedded.resources import Resource
from tidegate.embedded.selectors import FieldTest, LabelTest, field_test, label_test
from tidegate.embedded.store import Store, Stored

_SNAPSHOTS = 32
"""How many unfinished paged lists are remembered; older tokens are answered with 410."""


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
    """Lists objects; keeps the snapshots of unfinished ones."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._snapshots: OrderedDict[str, tuple[int, int, list[Stored]]] = OrderedDict()

    def page(self, resource: Resource, chosen: Filter, *, limit: int, token: str) -> Page:
        """The first page, or the one that a token promises."""
        if token:
            revision, start, items = self._resume(token)
        else:
            revision, start, items = self._store.revision, 0, self.all(resource, chosen)
        end = start + limit if limit > 0 else len(items)
        meta: Json = {"resourceVersion": str(revision)}
        if end < len(items):
            meta["continue"] = self._remember(revision, end, items)
            meta["remainingItemCount"] = len(items) - end
        return Page(items[start:end], meta)

    def all(self, resource: Resource, chosen: Filter) -> list[Stored]:
        """Everything that is chosen, by namespace and name."""
        items = self._store.bucket(resource.bucket).items(chosen.namespace)
        if chosen.labels is None and chosen.fields is None:
            return items
        return [item for item in items if chosen(item)]

    def _remember(self, revision: int, position: int, items: list[Stored]) -> str:
        token = uuid.uuid4().hex
        self._snapshots[token] = (revision, position, items)
        while len(self._snapshots) > _SNAPSHOTS:
            self._snapshots.popitem(last=False)
        return token

    def _resume(self, token: str) -> tuple[int, int, list[Stored]]:
        if len(token) != 32:
            raise bad_request("continue key is not valid")
        found = self._snapshots.pop(token, None)
        if found is None:
            raise gone("The provided continue parameter is too old to display a consistent list result.")
        return found
