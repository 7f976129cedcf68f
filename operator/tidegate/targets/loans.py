"""Loans as objects of the cluster.

A loan stands in the namespace of what it changed, under a name made from the very field, so that two leaders (or two
lives of one) can never write two loans of one field. What a loan looks like as a resource is the API's knowledge: both
ways of that mapping are handed in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from tidegate.planning.model import Key
from tidegate.ports import ConflictError, Json, Loan, NotFoundError, Place, RefusedError
from tidegate.targets.client import KubeClient
from tidegate.targets.discovery import Resource
from tidegate.targets.errors import ExistsError
from tidegate.targets.rules import Rule

API_VERSION = "tidegate.dev/v1alpha1"
KIND = "Loan"
LOANS = Resource(API_VERSION, KIND, "loans", namespaced=True, scale=False)

RULES = (Rule("tidegate.dev", ("loans",), ("get", "list", "create", "update", "delete")),)

SAVE_TRIES = 5
"""Rounds of read and write until a save gives up; only a second writer can make it need more than one."""

NAME_ROOM = 200
"""Characters of a loan's name before its digest: with it the name stays below the 253 that a name may have."""


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


def _not_deposed(loan: Loan, there: Json) -> None:
    epoch = (there.get("spec") or {}).get("epoch", 0)
    if epoch > loan.epoch:
        raise DeposedError(f"loan {loan.key} was written by the leader of epoch {epoch}; ours is {loan.epoch}")


class DeposedError(RefusedError):
    """Somebody has led after us: nothing of ours may be written any more."""


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
        self.unreadable: tuple[tuple[Key, str], ...] = ()
        """Loans of the last list that could not be understood, and why: they stay, and somebody must be told."""

    async def list(self) -> Sequence[Loan]:
        """See ``ports.LoanBook``; in order of their keys."""
        found: dict[Key, Loan] = {}
        unreadable: list[tuple[Key, str]] = []
        for namespace in self._namespaces:
            for document in await self._client.items(LOANS.path(namespace)):
                key = Key(document["metadata"]["namespace"], document["metadata"]["name"])
                try:
                    found[key] = self._from_object(document)
                except ValueError as error:
                    unreadable.append((key, str(error)))
        self.unreadable = tuple(unreadable)
        return [found[key] for key in sorted(found)]

    async def save(self, loan: Loan, *, fresh: bool) -> None:
        """See ``ports.LoanBook``. DeposedError when a leader of a later epoch has written it."""
        path = LOANS.path(loan.key.namespace, loan.key.name)
        for _ in range(SAVE_TRIES):
            try:
                await self._save_once(path, loan)
            except (ExistsError, NotFoundError):
                continue  # it came or went between our two requests
            except ConflictError:
                continue  # written in between: read again, so that the epoch is compared again
            else:
                return
        raise ConflictError(f"loan {loan.key} was written by somebody else in each of {SAVE_TRIES} rounds")

    async def remove(self, loan: Loan) -> None:
        """See ``ports.LoanBook``."""
        path = LOANS.path(loan.key.namespace, loan.key.name)
        with suppress(NotFoundError):
            there = await self._client.get(path)
            _not_deposed(loan, there)
            await self._client.delete(path, uid=there["metadata"]["uid"])

    async def _save_once(self, path: str, loan: Loan) -> None:
        body = self._to_object(loan)
        try:
            there = await self._client.get(path)
        except NotFoundError:
            await self._client.create(LOANS.path(loan.key.namespace), body)
            return
        _not_deposed(loan, there)
        if there.get("spec") != body["spec"]:
            await self._client.replace(path, {**there, "spec": body["spec"]})


async def latest_epoch(client: KubeClient, namespaces: Sequence[str] | None = None) -> int:
    """The highest epoch that any loan bears, 0 without loans (or before their kind is installed).

    A Lease that somebody deleted counts from nought again; the leader that takes it goes on from here.
    """
    epochs = [0]
    for namespace in [""] if namespaces is None else sorted(set(namespaces)):
        with suppress(NotFoundError):
            documents = await client.items(LOANS.path(namespace))
            epochs.extend(int((document.get("spec") or {}).get("epoch") or 0) for document in documents)
    return max(epochs)
