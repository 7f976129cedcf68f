"""Collections of several namespaces, of which some may refuse us, or not answer.

One that was deleted takes our rights there with it, and whoever owns it may take them from us. Neither is anything to
the other namespaces; and of what is refused nothing is known, which is not the same as nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from tidegate.ports import Json, RefusedError, TidegateError, UnavailableError
from tidegate.targets.client import KubeClient
from tidegate.targets.discovery import Resource

AT_ONCE = 4
"""Namespaces that are listed at the same time: fewer than a client has places for requests."""
ANSWERED_WITHIN = 10.0
"""Seconds that each of several may take: the others' answers wait for it. Judgment; a client's own retries take 35."""


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


async def listed(client: KubeClient, resource: Resource, namespaces: Sequence[str]) -> Listing:
    """All objects of a kind in these namespaces, in the order of the namespaces. The error of one of them, of one that
    did not answer first, where none was listed.
    """
    places = asyncio.Semaphore(AT_ONCE)

    async def one(namespace: str) -> list[Json] | TidegateError:
        async with places:
            try:
                async with asyncio.timeout(ANSWERED_WITHIN if len(namespaces) > 1 else None):
                    return await client.items(resource.path(namespace))
            except TidegateError as error:
                return error
            except TimeoutError:
                return UnavailableError(f"GET {resource.path(namespace)}: no answer within {ANSWERED_WITHIN:.0f} s")

    answers = dict(zip(namespaces, await asyncio.gather(*map(one, namespaces)), strict=True))
    errors = {namespace: it for namespace, it in answers.items() if isinstance(it, TidegateError)}
    unanswered = {namespace: it for namespace, it in errors.items() if not isinstance(it, RefusedError)}
    if errors and len(errors) == len(answers):
        raise next(iter((unanswered or errors).values()))
    found = [document for it in answers.values() if not isinstance(it, TidegateError) for document in it]
    return Listing(found, frozenset(errors.keys() - unanswered.keys()), unanswered)


@dataclass(slots=True)
class Patience:
    """One that does not answer is waited for once: the whole list is to be asked for again. Then the others are not
    kept waiting, and it is as one that refuses.
    """

    _waited: frozenset[str] = frozenset()
    """Those that did not answer the last time."""

    def wait(self, listing: Listing) -> None:
        """The error of one that answered the last time, and does not now."""
        new = listing.unanswered.keys() - self._waited
        self._waited = frozenset(listing.unanswered)
        if new:
            raise listing.unanswered[min(new)]
