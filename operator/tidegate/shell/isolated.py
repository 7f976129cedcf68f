"""What is told of single objects: one of which nothing can be told keeps no other from being told of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.panics import is_panic
from tidegate.planning.model import Key
from tidegate.ports import StatusPatch

log = logging.getLogger("tidegate.shown")

REMEMBERED = 1000
"""Objects of which it is remembered that their failure was logged. Beyond that each is logged once more."""


class Telling(NamedTuple):
    """One object whose status is to be shown, and what makes that status."""

    kind: str
    key: Key
    make: Callable[[], Iterable[StatusPatch]]


@dataclass(slots=True)
class Isolated:
    """Runs one job an object, and goes on with the next where a job raises."""

    _failed: dict[tuple[str, object], str] = field(default_factory=dict)
    """The objects whose last job failed, and by what kind of error."""

    def run(self, what: str, of: object, job: Callable[[], object]) -> bool:
        """Run a job, and say whether it was done; ``what`` says what it is for, ``of`` which object. An error is logged
        when it is new to that object: the job comes again with each decision.
        """
        name = what, of
        try:
            job()
        except BaseException as error:
            if not isinstance(error, Exception) and not is_panic(error):
                raise
            why = type(error).__name__
            if self._failed.get(name) != why:
                log.exception("%s %s: failed; the others are told all the same", what, of)
            if len(self._failed) >= REMEMBERED:
                self._failed.clear()
            self._failed[name] = why
            return False
        if self._failed:
            self._failed.pop(name, None)
        return True
