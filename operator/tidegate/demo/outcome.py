"""What a demonstration came to, and the ways in which it can be shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result and the ways in which it can be shown."""

    figures: dict[str, Any]
    page: Callable[[], str]
    """The HTML report."""
    drawing: Callable[[], str]
    """The picture, SVG."""
    tell: Callable[[Path | None], None]
    """Print it; the path is where the report stands, None: it could not be written."""
