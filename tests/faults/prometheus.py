"""A Prometheus that tells what it is told to, well or badly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

TIMEOUT = 5.0
"""Seconds after which the real client gives one request up."""

BAD = ("hang", "empty", "nan", "inf", "negative", "stale", "many", "text", "error", "huge", "refused")
"""How an answer may be bad."""


@dataclass
class FakePrometheus:
    """Answers instant queries."""

    wall: Callable[[], float]
    demand: Callable[[str], float]
    """The true value of a query now."""
    badness: Callable[[str], str] = field(default=lambda query: "")
    """How a query is answered badly now; empty: well."""

    async def ask(self, query: str) -> Any:
        """What ``PrometheusConnect.custom_query`` returns or raises."""
        plain = query.removeprefix("timestamp(").removesuffix(")") if query.startswith("timestamp(") else query
        how, now = self.badness(plain), self.wall()
        if how == "hang":
            await asyncio.sleep(TIMEOUT)
            raise requests.ReadTimeout("Read timed out.")
        await asyncio.sleep(0.01)
        if how == "error":
            raise requests.HTTPError("503 Server Error")
        if how == "refused":
            raise requests.ConnectionError("Connection refused")
        if how == "empty":
            return []
        at = now - 900.0 if how == "stale" else now - 5.0
        value = str(at) if query != plain else self._value(plain, how)
        series = [{"metric": {}, "value": [now, value]}]
        return [*series, {"metric": {"pod": "b"}, "value": [now, value]}] if how == "many" else series

    def _value(self, query: str, how: str) -> str:
        said = {"nan": "NaN", "inf": "+Inf", "negative": "-50", "text": "a lot", "huge": "1e18"}
        return said.get(how) or f"{self.demand(query):g}"
