"""A Pulumi program under mocks, for tests: ``tidegate_stacks.dry``, and outputs that must be known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

pulumi = pytest.importorskip("pulumi", reason="needs the extra [stacks]: make test-ground")

from pulumi.runtime.stack import wait_for_rpcs  # noqa: E402

from tidegate_stacks.dry import Ground, Registered, fresh, known, lay  # noqa: E402

__all__ = ["Ground", "Registered", "known", "lay", "outputs_of", "unknown"]


def outputs_of(component: Callable[[], Any], *, preview: bool = False) -> dict[str, Any]:
    """Every declared output of a component, resolved, each of them known."""
    values: dict[str, Any] = {}

    async def run() -> None:
        fresh(Ground(), preview=preview)
        made = component()
        for name, kind in type(made).__annotations__.items():
            if str(kind).startswith("pulumi.Output["):
                values[name] = await known(getattr(made, name))
        await wait_for_rpcs()

    asyncio.run(run())
    return values


def unknown() -> Any:
    """An Output whose value nobody knows yet, as during a preview. To be called inside the program."""
    loop = asyncio.get_running_loop()
    value: asyncio.Future[Any] = loop.create_future()
    value.set_result(None)
    is_known: asyncio.Future[bool] = loop.create_future()
    is_known.set_result(False)
    return pulumi.Output(set(), value, is_known)
