"""The parser of PromQL, as far as it does not break off.

It is compiled, and where a number is too large for it (``a[1e300]``) it panics: what it raises then is no ``Exception``
and would pass every door that isolates one tenant's object from the others. Lengths that it can hold and Python cannot
are errors of their own kinds, when they are looked at. Here all of them are one error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tidegate.panics import is_panic


class UnreadableError(ValueError):
    """The parser can make nothing of a query."""


@contextmanager
def reading() -> Iterator[None]:
    """While a query is parsed, and its parts are looked at. UnreadableError for whatever the parser breaks off at."""
    try:
        yield
    except OverflowError as error:
        raise UnreadableError("has a length of time that is too long") from error
    except BaseException as error:
        if is_panic(error):
            raise UnreadableError("has a number that is too large for a length of time") from None
        raise
