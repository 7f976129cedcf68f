"""Instants as the API writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(instant: float) -> str:
    """Epoch seconds as ``2026-11-10T12:00:00Z``; parts of a second are cut off, as the real server does."""
    return datetime.fromtimestamp(int(instant), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch(text: str | None) -> float | None:
    """Back to epoch seconds; None for what is no instant."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None
