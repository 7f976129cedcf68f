"""Runs coroutines in an order that a test chooses: every call to the cluster waits to be let in, every answer to be
let out.

``explore`` runs a scene again and again, each time with another order, until all have been seen (or so many).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Order:
    """Which of several things that may happen next does: a prefix that is given, then the first or a random one."""

    prefix: tuple[int, ...] = ()
    dice: random.Random | None = None
    taken: list[tuple[int, int]] = field(default_factory=list)
    """(chosen, among how many), as it went."""

    def pick(self, among: int) -> int:
        at = len(self.taken)
        if at < len(self.prefix):
            chosen = min(self.prefix[at], among - 1)
        else:
            chosen = self.dice.randrange(among) if self.dice is not None else 0
        self.taken.append((chosen, among))
        return chosen

    def next_prefix(self) -> tuple[int, ...] | None:
        """The order after this one, depth first; None after the last."""
        for at in range(len(self.taken) - 1, -1, -1):
            chosen, among = self.taken[at]
            if chosen + 1 < among:
                return (*(one for one, _ in self.taken[:at]), chosen + 1)
        return None


@dataclass
class Stepped:
    """Calls under way, and the gates at which they wait."""

    order: Order
    _waiting: list[tuple[str, asyncio.Future[None]]] = field(default_factory=list)

    async def gate(self, name: str) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((name, future))
        await future

    async def call(self, name: str, effect: Callable[[], Any]) -> Any:
        """Let in, done, let out: what is read is what stands there in between."""
        await self.gate(f"{name} in")
        error: Exception | None = None
        result: Any = None
        try:
            result = effect()
        except Exception as raised:  # noqa: BLE001 - a refusal is an answer too, and travels as long
            error = raised
        await self.gate(f"{name} out")
        if error is not None:
            raise error
        return result

    async def step(self, others: list[Callable[[], None]]) -> bool:
        """Let one thing happen: a waiting call goes on, or one of ``others``; False when nothing can."""
        for _ in range(8):
            await asyncio.sleep(0)
        among = len(self._waiting) + len(others)
        if not among:
            return False
        chosen = self.order.pick(among)
        if chosen < len(self._waiting):
            _, future = self._waiting.pop(chosen)
            if not future.done():
                future.set_result(None)
            for _ in range(8):
                await asyncio.sleep(0)
        else:
            others[chosen - len(self._waiting)]()
        return True


def orders(most: int, *, seed: int | None = None) -> Iterator[Order]:
    """All orders depth first, as far as ``most``; with a seed so many random ones."""
    prefix: tuple[int, ...] | None = ()
    for number in range(most):
        dice = random.Random(f"{seed}-{number}") if seed is not None else None
        order = Order(prefix or (), dice)
        yield order
        if seed is None:
            prefix = order.next_prefix()
            if prefix is None:
                return


async def ended(*tasks: Awaitable[Any]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
