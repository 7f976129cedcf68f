"""The one place of planning that isolates: what one announcement, policy or target raises leaves all others planned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from tidegate.panics import is_panic

T = TypeVar("T")


class NotPlannableError(ValueError):
    """Somebody says something that no plan can be made of; the message is for whoever said it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Something could not be worked out."""

    message: str
    final: bool
    """It fails by what it was made from, and would fail again."""


def attempt(job: Callable[[], T]) -> T | Failure:
    """What a job gives, or why it gives nothing, whatever it raises. Numbers beyond a float64 are an error in it."""
    try:
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            return job()
    except NotPlannableError as error:
        return Failure(str(error), True)
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        return Failure(f"{type(error).__name__}: {error}", False)
