"""Loans as objects of the cluster.

A loan stands in the namespace of what it changed, under a name made from the very field, so that two leaders (or two
lives of one) can never write two loans of one field. What a loan looks like as a resource is the API's knowledge: both
ways of that mapping are handed in.

The book remembers the uid and the resourceVersion of each Loan as the server last told them. A write bears them, so
that it costs one request, and the server refuses it when somebody wrote in between. A deletion bears them as well: one
that arrives late takes nothing that was written after it was sent. For that each write must change the object, also
where the loan says the same as before (``REPLACES``).
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from tidegate.planning.model import Key, Ref
from tidegate.ports import (
    ConflictError,
    Json,
    Loan,
    NotFoundError,
    Place,
    RefusedError,
    UnavailableError,
    UnreadableLoan,
)
from tidegate.targets.client import KubeClient, the_object
from tidegate.targets.discovery import Resource
from tidegate.targets.errors import ExistsError, NotServedError
from tidegate.targets.read import child, mapping, text, version_of, whole
from tidegate.targets.rules import Rule
from tidegate.targets.scopes import Patience, listed

log = logging.getLogger("tidegate.loans")

API_VERSION = "tidegate.dev/v1alpha1"
KIND = "Loan"
LOANS = Resource(API_VERSION, KIND, "loans", namespaced=True, scale=False)

RULES = (Rule("tidegate.dev", ("loans",), ("get", "list", "create", "update", "delete")),)

SAVE_TRIES = 5
"""Rounds of write and read until a save gives up; only a second writer can make it need more than two."""

NAME_ROOM = 200
"""Characters of a loan's name before its digest: with it the name stays below the 253 that a name may have."""

MOST_EPOCH = 2**30
"""Epochs above it were written by nobody who held a Lease: its counter ends at twice that."""

NOTE = 500
"""Characters that are kept of why a Loan cannot be understood."""

REPLACES = "tidegate.dev/replaces"
"""Annotation of a Loan: the resourceVersion that its last write replaced. It makes each write a change."""


def loan_name(place: Place) -> str:
    """The one name of the loan of a field: readable first, then a digest of uid, field and subresource.

    Kind, name and field are cut and folded to what a name may hold; the digest keeps them apart.
    """
    words = f"{place.ref.kind}-{place.ref.name}-{place.field.rpartition('/')[2]}".lower()
    readable = re.sub(r"[^a-z0-9]+", "-", words)[:NAME_ROOM].strip("-")
    exact = f"{place.ref.api_version} {place.ref.kind} {place.ref.name} {place.uid} {place.field} {place.subresource}"
    return f"{readable}-{hashlib.sha256(exact.encode()).hexdigest()[:10]}"


def loan_key(place: Place) -> Key:
    """Namespace and name of the loan of a field."""
    return Key(place.ref.namespace, loan_name(place))


class NotUnderstoodError(ConflictError):
    """A Loan stands there that cannot be understood. It is never overwritten: it may hold the only original."""


class DeposedError(RefusedError):
    """Somebody has led after us: nothing of ours may be written any more."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """A Loan object as the server last told it."""

    metadata: Json
    """Without managedFields. Others' labels, annotations and finalizers stay in it when we write."""
    epoch: int

    @property
    def version(self) -> int:
        return version_of({"metadata": self.metadata})


class KubeLoanBook:
    """``ports.LoanBook`` over Loan resources; of all namespaces when ``namespaces`` is None."""

    def __init__(
        self,
        client: KubeClient,
        namespaces: Sequence[str] | None = None,
        *,
        to_object: Callable[[Loan], Json],
        from_object: Callable[[Mapping[str, Any]], Loan],
    ) -> None:
        """``from_object`` raises a ValueError for what it cannot understand."""
        self._client = client
        self._to_object = to_object
        self._from_object = from_object
        self._namespaces = tuple(sorted(set(namespaces))) if namespaces is not None else ("",)
        self._stored: dict[Key, _Stored] = {}
        self._closed: frozenset[str] = frozenset()
        self._patience = Patience()

    @property
    def closed(self) -> frozenset[str]:
        """See ``ports.LoanBook``."""
        return self._closed

    async def list(self) -> Sequence[Loan | UnreadableLoan]:
        """See ``ports.LoanBook``; in order of their keys."""
        found: dict[Key, Loan | UnreadableLoan] = {}
        listing = await listed(self._client, LOANS, self._namespaces, self._patience)
        self._patience.wait(listing)
        for document in listing.found:
            read = self._read(document)
            found[read.key] = read
            if isinstance(read, Loan):
                self._remember(read.key, document)
            else:  # nothing may be written over it
                self._stored.pop(read.key, None)
        for key in [key for key in self._stored if key.namespace in listing.missing]:
            del self._stored[key]
        self._closed = listing.missing
        return [found[key] for key in sorted(found)]

    async def names(self) -> frozenset[Key]:
        """See ``ports.LoanBook``."""
        listing = await listed(self._client, LOANS, self._namespaces, self._patience)
        every = (child(one, "metadata") for one in listing.found)
        there = {Key(text(one.get("namespace")), text(one.get("name"))) for one in every}
        # Of those that may be read again and hold loans all are read anew before they count as open: see the loader.
        self._closed &= listing.missing | {key.namespace for key in there}
        return frozenset(there | {key for key in self._stored if key.namespace in listing.missing})

    async def save(self, loan: Loan, *, fresh: bool) -> None:
        """See ``ports.LoanBook``. DeposedError when a leader of a later epoch has written it."""
        async with self._writing(f"saving loan {loan.key}"):
            if fresh:
                await self._create(loan)
            else:
                await self._replace(loan)

    async def remove(self, loan: Loan) -> None:
        """See ``ports.LoanBook``. After a ConflictError the book knows what was written since; asked again, it deletes
        that. DeposedError when a leader of a later epoch has written it.
        """
        async with self._writing(f"removing loan {loan.key}"):
            try:
                stored = self._stored.get(loan.key) or (await self._look(loan))[0]
                _not_deposed(loan, stored)
                await self._delete(loan, stored)
            except NotServedError:
                raise
            except NotFoundError:
                pass  # gone is well gone
        self._stored.pop(loan.key, None)

    # ---- beneath

    @asynccontextmanager
    async def _writing(self, what: str) -> AsyncGenerator[None, None]:
        """Bound one write. Where the kind itself is not served nothing can be said of any Loan."""
        try:
            async with self._client.one_write(what):
                yield
        except NotServedError as error:
            raise UnavailableError(f"{what}: the cluster serves no Loans") from error

    async def _create(self, loan: Loan) -> None:
        try:
            made = await self._made(loan)
        except ExistsError:
            await self._adopt(loan)
        else:
            self._remember(loan.key, made)

    async def _made(self, loan: Loan) -> Json:
        path = LOANS.path(loan.key.namespace)
        return the_object(await self._client.create(path, self._to_object(loan)), f"POST {path}", loan.key.name)

    async def _adopt(self, loan: Loan) -> None:
        """Take a Loan that is there already, if it is the one that we meant to create: the answer was lost then. It is
        written once more, so that no deletion that is still on its way may take it.
        """
        try:
            stored, there = await self._look(loan)
        except NotFoundError as error:
            raise ConflictError(f"loan {loan.key} was there a moment ago and is gone") from error
        _not_deposed(loan, stored)
        if "deletionTimestamp" in stored.metadata:
            raise ConflictError(f"loan {loan.key} is being deleted, and something in its finalizers keeps it")
        if _comparable(there) != _comparable(self._from_object(self._to_object(loan))):
            raise ConflictError(f"loan {loan.key} is there already and says something else")
        await self._replace(loan)

    async def _replace(self, loan: Loan) -> None:
        for _ in range(SAVE_TRIES):
            try:
                stored = self._stored.get(loan.key) or (await self._look(loan))[0]
                _not_deposed(loan, stored)
                written = await self._client.replace(_path(loan.key), self._onto(stored, loan))
                the_object(written, f"PUT {_path(loan.key)}", loan.key.name)
            except NotFoundError:  # somebody deleted it, or a deletion of ours arrived late
                self._stored.pop(loan.key, None)
                with suppress(ExistsError):  # it came between our two requests
                    self._remember(loan.key, await self._made(loan))
                    return
            except NotUnderstoodError:
                raise
            except ConflictError:  # written in between: read again, so that the epoch is compared again
                self._stored.pop(loan.key, None)
            else:
                self._remember(loan.key, written)
                return
        raise ConflictError(f"loan {loan.key} was written by somebody else in each of {SAVE_TRIES} rounds")

    async def _delete(self, loan: Loan, stored: _Stored) -> None:
        metadata = stored.metadata
        try:
            await self._client.delete(_path(loan.key), uid=metadata["uid"], version=metadata["resourceVersion"])
        except ConflictError:
            self._stored.pop(loan.key, None)
            _not_deposed(loan, (await self._look(loan))[0])
            raise

    async def _look(self, loan: Loan) -> tuple[_Stored, Loan]:
        """The Loan that is there. NotUnderstoodError for one that cannot be read: it keeps the original."""
        document = await self._client.find(_path(loan.key), loan.key.name)
        read = self._read(document)
        if isinstance(read, UnreadableLoan):
            raise NotUnderstoodError(f"loan {loan.key} is there and cannot be understood: {read.note}")
        return self._remember(loan.key, document), read

    def _remember(self, key: Key, document: Json) -> _Stored:
        """Keep what the server told, unless a newer answer came before this one."""
        metadata = {name: value for name, value in child(document, "metadata").items() if name != "managedFields"}
        told = _Stored(metadata, whole(child(document, "spec").get("epoch")) or 0)
        known = self._stored.get(key)
        if known is not None and known.version > told.version:
            return known
        self._stored[key] = told
        return told

    def _onto(self, stored: _Stored, loan: Loan) -> Json:
        """The object that replaces the one that is stored."""
        annotations = {**mapping(stored.metadata.get("annotations")), REPLACES: stored.metadata["resourceVersion"]}
        return {**self._to_object(loan), "metadata": {**stored.metadata, "annotations": annotations}}

    def _read(self, document: Json) -> Loan | UnreadableLoan:
        """A Loan object, or why it is none. Nothing that one object holds may hide the others."""
        metadata = child(document, "metadata")
        key = Key(text(metadata.get("namespace")), text(metadata.get("name")))
        try:
            loan = self._from_object(document)
        except ValueError as error:
            return UnreadableLoan(key, str(error)[:NOTE], _ref(document))
        except Exception as error:  # whatever else the mapping stumbles over
            log.exception("loan %s: not understood", key)
            return UnreadableLoan(key, f"{type(error).__name__}: {error}"[:NOTE], _ref(document))
        if loan.key != key or loan_key(loan.place) != key:
            wanted = loan_key(loan.place)
            note = f"metadata: the loan of {loan.place.ref} {loan.place.field} is {wanted}, not {key}"
            return UnreadableLoan(key, note)
        return loan


def _path(key: Key) -> str:
    return LOANS.path(key.namespace, key.name)


def _not_deposed(loan: Loan, stored: _Stored) -> None:
    if stored.epoch > loan.epoch:
        raise DeposedError(f"loan {loan.key} was written by the leader of epoch {stored.epoch}; ours is {loan.epoch}")


def _comparable(loan: Loan) -> Loan:
    """A loan without what the CRD of an older version drops."""
    return replace(loan, levels=(), beneath=None)


def _ref(document: Json) -> Ref | None:
    """The object that an unreadable Loan speaks of, in the Loan's own namespace; None where it does not say."""
    target = child(document, "spec", "target")
    ref = Ref(*(text(target.get(name)) for name in ("apiVersion", "kind", "namespace", "name")))
    mine = ref.namespace == child(document, "metadata").get("namespace")
    return ref if all(ref) and mine else None


async def latest_epoch(client: KubeClient, namespaces: Sequence[str] | None = None) -> int:
    """The highest epoch that any loan bears, 0 without loans (or before their kind is installed).

    A Lease that somebody deleted counts from nought again; the leader that takes it goes on from here.
    """
    try:
        listing = await listed(client, LOANS, ("",) if namespaces is None else sorted(set(namespaces)))
        Patience().wait(listing)
    except NotFoundError:
        return 0
    epochs = (whole(child(document, "spec").get("epoch")) or 0 for document in listing.found)
    return max((epoch for epoch in epochs if epoch <= MOST_EPOCH), default=0)
