"""Collections of several namespaces, of which some may refuse us, or not answer.

One that was deleted takes our rights there with it, and whoever owns it may take them from us. Neither is anything to
the other namespaces; and of what is refused nothing is known, which is not the same as nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from tidegate.ports import Json, RefusedError, TidegateError, UnavailableError
from tidegate.targets.client import KubeClient
from tidegate.targets.discovery import Resource

AT_ONCE = 4
"""Namespaces that are listed at the same time: fewer than a client has places for requests."""
ANSWERED_WITHIN = 10.0
"""Seconds that each of several may take: the others' answers wait for it. Judgment; a client's own retries take 35."""
LEAST = 2.0
"""Seconds that each of those has that did not answer the last time, however many they are. Judgment: one that answers
again does so within a fraction of that."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What was listed of some namespaces."""

    found: list[Json]
    """All objects of those that answered."""
    closed: frozenset[str] = frozenset()
    """Those that the server refuses us."""
    unanswered: dict[str, TidegateError] = field(default_factory=dict)
    """Those that told nothing, and why."""

    @property
    def missing(self) -> frozenset[str]:
        """Those of which nothing is known."""
        return self.closed | self.unanswered.keys()


async def listed(
    client: KubeClient, resource: Resource, namespaces: Sequence[str], patience: Patience | None = None
) -> Listing:
    """All objects of a kind in these namespaces, in the order of the namespaces. The error of one of them, of one that
    did not answer first, where none was listed.

    However many hang, it takes hardly longer than where one does: once one hangs, those that wait for their turn have
    not answered. ``patience`` knows who did not the last time: they are asked last, and share the time of one.
    """
    silent = patience.silent if patience is not None else frozenset()
    places, hangs = asyncio.Semaphore(AT_ONCE), False
    share = max(LEAST, ANSWERED_WITHIN / max(1, math.ceil(len(silent) / AT_ONCE)))

    async def one(namespace: str) -> list[Json] | TidegateError:
        nonlocal hangs
        request, within = f"GET {resource.path(namespace)}", share if namespace in silent else ANSWERED_WITHIN
        async with places:
            if hangs:
                return UnavailableError(f"{request}: not asked, because other namespaces gave no answer")
            try:
                async with asyncio.timeout(within if len(namespaces) > 1 else None):
                    return await client.items(resource.path(namespace))
            except TidegateError as error:
                return error
            except TimeoutError:
                hangs = hangs or namespace not in silent
                return UnavailableError(f"{request}: no answer within {within:.0f} s")

    order = sorted(namespaces, key=lambda namespace: namespace in silent)
    answered = dict(zip(order, await asyncio.gather(*map(one, order)), strict=True))
    answers = {namespace: answered[namespace] for namespace in namespaces}
    errors = {namespace: it for namespace, it in answers.items() if isinstance(it, TidegateError)}
    unanswered = {namespace: it for namespace, it in errors.items() if not isinstance(it, RefusedError)}
    if patience is not None:
        patience.silent = frozenset(unanswered)
    if errors and len(errors) == len(answers):
        raise next(iter((unanswered or errors).values()))
    found = [document for it in answers.values() if not isinstance(it, TidegateError) for document in it]
    return Listing(found, frozenset(errors.keys() - unanswered.keys()), unanswered)


@dataclass(slots=True)
class Patience:
    """One that does not answer is waited for once: the whole list is to be asked for again. Then the others are not
    kept waiting, and it is as one that refuses.
    """

    silent: frozenset[str] = frozenset()
    """Those that did not answer the last time, whoever was asking."""
    _waited: frozenset[str] = frozenset()
    """The same of the last time that was waited for."""

    def wait(self, listing: Listing) -> None:
        """The error of one that answered the last time, and does not now."""
        new = listing.unanswered.keys() - self._waited
        self._waited = frozenset(listing.unanswered)
        if new:
            raise listing.unanswered[min(new)]
