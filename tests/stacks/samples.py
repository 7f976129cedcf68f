"""One of each component, valid by default; a test names only what it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ground import unknown

from tidegate_stacks.component import Component
from tidegate_stacks.edge import EdgeCache, EdgeCacheArgs, RegionArgs

Make = Callable[[str, Callable[[str], Any]], Component]
"""Makes a component of a name; what is only passed on goes through the second argument: as it is, or unknown."""

REGIONS = (
    RegionArgs(name="cn-east", normal_mbps=4_000, peak_mbps=90_000),
    RegionArgs(name="cn-south", normal_mbps=2_000, peak_mbps=40_000),
)


def edge(name: str, text: Callable[[str], Any]) -> Component:
    args = EdgeCacheArgs(namespace=text("shop"), origin=text("live.shop:8080"), regions=REGIONS, image=text("edge:1"))
    return EdgeCache(name, args)


EACH: dict[str, Make] = {"edge": edge}


def as_it_is(value: str) -> Any:
    return value


def not_yet_known(_value: str) -> Any:
    return unknown()
