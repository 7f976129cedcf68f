"""What the tests of the loop's parts stand on."""

from __future__ import annotations

import pytest
from sites import Site


@pytest.fixture
async def site() -> Site:
    made = Site()
    await made.ledger.load()
    return made
