"""Kubernetes quantities (``250m``, ``2``, ``1.5Gi``, ``1e3``) as exact numbers.

As the API server does, a number that is too large is taken for the largest, and one below a billionth for a
billionth. The size of an exponent is looked at before any arithmetic: ``1e999999`` must cost nothing.

``kubernetes.utils`` has the same; importing it loads the synchronous client with all its models.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

MOST = Decimal(10**24)
"""A million exa: far beyond what any amount is, and what a Decimal still counts exactly."""
LEAST = Decimal("1e-9")
LONGEST = 64
"""Characters of a quantity: the API server writes far shorter ones, and a longer one is nobody's honest number."""
_DIGITS = 40
"""Powers of ten, up and down, beyond which a number is only "too large" or "too small", whatever its suffix says."""

_QUANTITY = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?([numkMGTPE]|[KMGTPE]i)?", re.ASCII)
_SCALES = {
    None: Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}


def quantity(value: object) -> Decimal | None:
    """A quantity as a number of its unit; None for what is none."""
    if type(value) is int:
        return _bounded(Decimal(max(-(10**25), min(value, 10**25))))
    if type(value) is float:
        value = repr(value)
    if not isinstance(value, str) or len(value) > LONGEST:
        return None
    return _of_text(value)


@lru_cache(maxsize=4096)
def _of_text(text: str) -> Decimal | None:
    found = _QUANTITY.fullmatch(text.strip())
    if found is None:
        return None
    sign, ahead, behind, exponent, suffix = found.groups()
    digits = (ahead or "") + (behind or "")
    if not digits:
        return None
    unsigned = digits.lstrip("0")
    if not unsigned:
        return Decimal(0)
    power = int(exponent or 0) - len(behind or "")
    size = len(unsigned) + power  # the number is between 10^(size-1) and 10^size
    if size > _DIGITS:
        number = MOST
    elif size < -_DIGITS:
        number = LEAST
    else:
        number = Decimal((0, tuple(map(int, unsigned)), power)) * _SCALES[suffix]
    return _bounded(-number if sign == "-" else number)


def _bounded(number: Decimal) -> Decimal:
    """As the API server keeps it."""
    size = min(abs(number), MOST)
    return Decimal(0) if not number else max(size, LEAST).copy_sign(number)
