"""Errors of compiled libraries that are no ``Exception``.

Where a library that is written in Rust breaks off at what it was given, Python gets a ``PanicException``, which passes
every ``except Exception``. Doors that keep one tenant's object from stopping others ask here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

NAME = "PanicException"
"""Name of its type, which cannot be imported: each library has one of its own."""

P = ParamSpec("P")
T = TypeVar("T")


class BrokeOffError(ValueError):
    """A library broke off at what it was given; the message is its own."""


def is_panic(error: BaseException) -> bool:
    """Whether a library broke off; false of what ends a task or the process."""
    return type(error).__name__ == NAME and not isinstance(error, Exception)


def contained(function: Callable[P, T]) -> Callable[P, T]:
    """The function, that raises BrokeOffError where a library breaks off in it."""

    @wraps(function)
    def guarded(*args: P.args, **given: P.kwargs) -> T:
        try:
            return function(*args, **given)
        except BaseException as error:
            if not is_panic(error):
                raise
            raise BrokeOffError(f"{NAME}: {error}") from None

    return guarded
