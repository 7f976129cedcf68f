"""Statuses that need not be made again: those whose reasons are the same as when they were made last.

Each decision is shown, and most of what it decided stands. What an object shows is still told each time, so that what
somebody else wrote into it does not stay.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from tidegate.planning.model import Key
from tidegate.ports import Json


@dataclass(frozen=True, slots=True)
class Kept:
    """A status and all that it was made from."""

    inputs: tuple[object, ...]
    status: Json


@dataclass(slots=True)
class KeptStatuses:
    """The last status of each object of one kind."""

    _of: dict[Key, Kept] = field(default_factory=dict)

    def of(self, key: Key, inputs: tuple[object, ...], make: Callable[[], Json]) -> Kept:
        """The status of an object. ``inputs`` are all that ``make`` looks at; compared by identity first, then by
        value. While they are equal, one and the same object is returned, and nobody may change it.
        """
        known = self._of.get(key)
        if known is None or known.inputs != inputs:
            known = self._of[key] = Kept(inputs, make())
        return known

    def keep(self, keys: Collection[Key]) -> None:
        """Forget all objects but these."""
        if len(self._of) != len(keys) or self._of.keys() != set(keys):
            self._of = {key: one for key, one in self._of.items() if key in keys}
