"""How numbers that were learned are put on record, and read again."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

KEPT_BITS = 8
"""Of what events bring, how large errors are and their histograms; the trend is kept as it is. Judgment."""
MOST_PACKED = 65_536
"""Bytes of what was learned, unpacked."""


def rounded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same to a part in five hundred: what is equal in all of them packs well."""
    cut = 23 - KEPT_BITS
    bits = values.view(np.uint32) + np.uint32(1 << (cut - 1))
    return (bits >> np.uint32(cut) << np.uint32(cut)).view(np.float32)


def inflated(packed: bytes) -> bytes:
    """ValueError where more comes out than can have been put in."""
    stream = zlib.decompressobj()
    raw = stream.decompress(packed, MOST_PACKED)
    if stream.unconsumed_tail or not stream.eof:
        raise ValueError("it is too long, or cut off")
    return raw
