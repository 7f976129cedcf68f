"""What was learned, as objects of the cluster: one Learned for each policy, in its namespace, and one for each pool, in
the operator's.

The mapping to and from the resource is handed in, as for Loans.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tidegate.planning.model import Key
from tidegate.ports import ConflictError, Json, Learned, NotFoundError, RefusedError
from tidegate.targets.client import KubeClient, the_object
from tidegate.targets.discovery import Resource
from tidegate.targets.errors import ExistsError
from tidegate.targets.read import child, text, whole
from tidegate.targets.rules import Rule
from tidegate.targets.scopes import Patience, listed

log = logging.getLogger("tidegate.learned")

LEARNED = Resource("tidegate.dev/v1alpha1", "Learned", "learned", namespaced=True, scale=False)
RULES = (Rule("tidegate.dev", ("learned",), ("get", "list", "create", "update", "delete")),)

AT_ONCE = 20
"""Objects that are read in one go: ten milliseconds."""
NAME_ROOM = 200
"""Characters of a name before its digest."""


def learned_name(of: Key) -> str:
    """The name of the object of a policy, of a pool (which has no namespace), or of the operator as a whole."""
    if not of.name:
        return "operator"
    kind = "policy" if of.namespace else "pool"
    readable = re.sub(r"[^a-z0-9]+", "-", of.name.lower())[:NAME_ROOM].strip("-")
    return f"{kind}-{readable}-{hashlib.sha256(of.name.encode()).hexdigest()[:10]}"


class KubeLearnedBook:
    """``ports.LearnedBook`` over Learned resources; of all namespaces when ``namespaces`` is None."""

    def __init__(
        self,
        client: KubeClient,
        namespaces: Sequence[str] | None,
        *,
        home: str,
        to_object: Callable[[Learned, Key], Json],
        from_object: Callable[[Mapping[str, Any]], Learned],
    ) -> None:
        """``home`` is the operator's namespace, where what belongs to pools stands. ``from_object`` raises a ValueError
        for what it cannot understand.
        """
        self._client, self._home = client, home
        self._to_object, self._from_object = to_object, from_object
        self._scopes = ("",) if namespaces is None else tuple(sorted({*namespaces}))
        self._stored: dict[Key, Json] = {}
        """Metadata as the server last told it, without managedFields, by whose it is."""
        self._closed: frozenset[str] = frozenset()
        self._patience = Patience()

    @property
    def closed(self) -> frozenset[str]:
        """See ``ports.LearnedBook``."""
        return self._closed

    async def list(self) -> Sequence[Learned]:
        """See ``ports.LearnedBook``."""
        found: dict[Key, Learned] = {}
        listing = await listed(self._client, LEARNED, self._scopes, self._patience)
        self._patience.wait(listing)
        self._stored.clear()
        self._closed = listing.missing
        for number, document in enumerate(listing.found, 1):
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
            if (one := self._read(document)) is not None:
                found[one.of] = one
                self._remember(one.of, document)
        return [found[of] for of in sorted(found)]

    async def save(self, one: Learned) -> None:
        """See ``ports.LearnedBook``."""
        if self._at(one.of).namespace in self._closed:
            raise RefusedError(f"what was learned in namespace {one.of.namespace} was never read: it stays as it is")
        async with self._client.one_write(f"saving what was learned of {one.of}"):
            stored = self._stored.get(one.of)
            try:
                if stored is None:
                    path = LEARNED.path(self._at(one.of).namespace)
                    written = await self._client.create(path, self._to_object(one, self._at(one.of)))
                else:
                    written = await self._client.replace(self._path(one.of), self._onto(one, stored))
            except NotFoundError:
                self._stored.pop(one.of, None)
                raise
            except (ExistsError, ConflictError):
                await self._look(one)
                raise
            self._remember(one.of, the_object(written, f"saving {self._path(one.of)}", self._at(one.of).name))

    async def remove(self, of: Key) -> None:
        """See ``ports.LearnedBook``."""
        stored = self._stored.pop(of, None)
        if stored is None:
            return
        try:
            async with self._client.one_write(f"removing what was learned of {of}"):
                await self._client.delete(self._path(of), uid=stored["uid"], version=stored["resourceVersion"])
        except NotFoundError:
            pass  # gone is well gone

    # ---- beneath

    def _at(self, of: Key) -> Key:
        return Key(of.namespace or self._home, learned_name(of))

    def _path(self, of: Key) -> str:
        at = self._at(of)
        return LEARNED.path(at.namespace, at.name)

    def _remember(self, of: Key, document: Json) -> None:
        metadata = child(document, "metadata")
        self._stored[of] = {name: value for name, value in metadata.items() if name != "managedFields"}

    def _onto(self, one: Learned, stored: Json) -> Json:
        return {**self._to_object(one, self._at(one.of)), "metadata": stored}

    async def _look(self, one: Learned) -> None:
        """Learn what stands there, for the next try. RefusedError when a leader of a later epoch wrote it."""
        try:
            document = await self._client.find(self._path(one.of), self._at(one.of).name)
        except NotFoundError:
            self._stored.pop(one.of, None)
            return
        if (epoch := whole(child(document, "spec").get("epoch")) or 0) > one.epoch:
            raise RefusedError(f"what was learned of {one.of} was written by the leader of epoch {epoch}")
        self._remember(one.of, document)

    def _read(self, document: Json) -> Learned | None:
        """An object, or None for one that tells nothing or bears another's name: it is written over."""
        metadata = child(document, "metadata")
        at = Key(text(metadata.get("namespace")), text(metadata.get("name")))
        try:
            one = self._from_object(document)
        except ValueError as error:
            log.warning("Learned %s cannot be understood and counts as empty: %s", at, str(error)[:500])
            return None
        except Exception:
            log.exception("Learned %s cannot be understood and counts as empty", at)
            return None
        if self._at(one.of) != at:
            log.warning(
                "Learned %s speaks of %s, whose name would be %s: it is left alone", at, one.of, self._at(one.of)
            )
            return None
        return one
