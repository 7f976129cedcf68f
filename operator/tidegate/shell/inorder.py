"""Overrides by key, which are asked for in the order of their keys far more often than one of them changes."""

from __future__ import annotations

from tidegate.planning.model import Key
from tidegate.planning.override import Override


class InOrder(dict[Key, Override]):
    """``in_order`` is one and the same object while nothing changes."""

    _sorted: tuple[Override, ...] | None = None

    @property
    def in_order(self) -> tuple[Override, ...]:
        """All of them, in the order of their keys."""
        if self._sorted is None:
            self._sorted = tuple([self[key] for key in sorted(self)])
        return self._sorted

    def __setitem__(self, key: Key, value: Override) -> None:
        self._sorted = None
        super().__setitem__(key, value)

    def __delitem__(self, key: Key) -> None:
        self._sorted = None
        super().__delitem__(key)
