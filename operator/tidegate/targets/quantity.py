"""Kubernetes quantities (``250m``, ``2``, ``1.5Gi``, ``1e3``) as exact numbers.

``kubernetes.utils`` has the same; importing it loads the synchronous client with all its models.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([numkMGTPE]|[KMGTPE]i)?")
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


def quantity(text: Any) -> Decimal | None:
    """A quantity as a number of its unit; None for what is none."""
    found = _QUANTITY.fullmatch(str(text).strip()) if isinstance(text, str | int | float) else None
    return Decimal(found[1]) * _SCALES[found[2]] if found else None
