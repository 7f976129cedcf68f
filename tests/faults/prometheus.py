"""A Prometheus that tells what it is told to, well or badly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

from tidegate.metrics.ages import PART, age_check

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
    _ages: dict[str, str] = field(default_factory=dict)
    """Queries by the question for the age of their samples."""

    async def ask(self, query: str) -> Any:
        """What ``PrometheusConnect.custom_query`` returns or raises."""
        plain = self._ages.get(query, query)
        check = age_check(plain)
        self._ages[check.question] = plain
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
        if query != plain:
            return [{"metric": {PART: part}, "value": [now, str(at)]} for part in check.parts]
        value = [now, self._value(plain, how)]
        series = [{"metric": {}, "value": value}]
        return [*series, {"metric": {"pod": "b"}, "value": value}] if how == "many" else series

    def _value(self, query: str, how: str) -> str:
        said = {"nan": "NaN", "inf": "+Inf", "negative": "-50", "text": "a lot", "huge": "1e18"}
        return said.get(how) or f"{self.demand(query):g}"
