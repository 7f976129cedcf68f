"""What we changed, what it was, until when: every write of a level goes through here.

The order of one step, so that a crash at any point leaves a loan that says how to undo it:

    Loan (pending = wanted)  ->  compare-and-swap  ->  read back  ->  Loan (verified = wanted)

and of a return:

    compare-and-swap to the original  ->  ownership handed back  ->  read back  ->  Loan removed

A value that is neither the original nor ours is somebody's new intent and becomes the original. The original itself
coming back means that a tool re-applied it: it is overruled a few times (``ASSERTIONS``), then left alone and said.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum

from tidegate.planning.model import MANAGER, Key, LoanState
from tidegate.ports import (
    Clock,
    ConflictError,
    HandOverNote,
    Held,
    Leadership,
    Loan,
    LoanBook,
    Manager,
    NotFoundError,
    Place,
    RefusedError,
    Targets,
    UnavailableError,
)

ASSERTIONS = 5
"""Times that a re-applied original is overruled within ``ASSERTION_WINDOW``."""
ASSERTION_WINDOW = 600.0
"""Seconds."""
WRITE_WITHIN = 4.0
"""Real seconds for one write, retries included."""
WANTED_BY_MOST = 16
"""Names that a loan lists; the rest is counted."""


class Drift(Enum):
    """What became of a borrowed field since we last looked."""

    OURS = "Ours"
    REAPPLIED = "Reapplied"
    NEW_INTENT = "NewIntent"


class NotLeadingError(UnavailableError):
    """We may not write now: the Lease was not renewed in time."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a loan is for, beside its level."""

    policy: Key
    target: str
    until: float
    wanted_by: tuple[str, ...]
    hand_over: HandOverNote | None = None


def state_of(loan: Loan) -> LoanState:
    """The part of a loan that the planner needs."""
    return LoanState(loan.original, loan.highest, loan.stepped_at, loan.started_at)


def drift(loan: Loan, held: Held) -> Drift:
    """Tell our own value from a re-applied original and from somebody's new intent."""
    if held.value in (loan.verified, loan.pending):
        return Drift.OURS
    return Drift.REAPPLIED if held.value == loan.original else Drift.NEW_INTENT


@dataclass(slots=True)
class Ledger:
    """All loans of this operator's scope, in step with the cluster's Loan objects."""

    targets: Targets
    book: LoanBook
    clock: Clock
    leadership: Leadership
    key_of: Callable[[Place], Key]
    """The one name of the loan of a field."""
    loans: dict[Key, Loan] = field(default_factory=dict)
    writes: int = 0
    """Level writes made, for the figures."""
    _asserted: dict[Key, deque[float]] = field(default_factory=dict)

    async def load(self) -> None:
        """Read all loans, also those of a former life of the operator."""
        self.loans = {loan.key: loan for loan in await self.book.list() if isinstance(loan, Loan)}

    def of(self, place: Place) -> Loan | None:
        """The loan of a field."""
        return self.loans.get(self.key_of(place))

    def of_target(self, policy: Key, target: str) -> list[Loan]:
        """Loans taken for a target, wherever they lie."""
        return [loan for loan in self.loans.values() if (loan.policy, loan.target) == (policy, target)]

    async def settle(self, loan: Loan, held: Held) -> tuple[Loan, Drift]:
        """Bring a loan in line with what its field holds, after a crash or somebody's change."""
        found = drift(loan, held)
        if found is Drift.NEW_INTENT:
            loan = await self._save(replace(loan, original=held.value, former=_other(held)))
        elif found is Drift.OURS and held.value != loan.verified:
            loan = await self._save(replace(loan, verified=held.value))
        return loan, found

    def may_assert(self, loan: Loan) -> bool:
        """Whether a re-applied original may be overruled once more."""
        recent = self._asserted.get(loan.key, deque())
        horizon = self.clock.now() - ASSERTION_WINDOW
        return sum(at > horizon for at in recent) < ASSERTIONS

    def forgive(self, key: Key) -> None:
        """Count assertions of a loan anew: its next step has come."""
        self._asserted.pop(key, None)

    async def move(self, place: Place, *, held: Held, level: int, wish: Wish) -> Loan:
        """Borrow a field, or move a borrowed one: returns the loan with the level verified.

        ConflictError when the field was not as believed; the loan then says what was meant, and nothing was written.
        """
        now, known = self.clock.now(), self.of(place)
        fresh = known is None
        loan = self._begun(place, held, level, wish) if known is None else known
        loan = replace(self._wished(loan, wish), pending=level, highest=max(loan.highest, level), stepped_at=now)
        asserting = loan.verified == level and held.value == loan.original  # ours was there, and is so no more
        loan = await self._save(loan)
        try:
            await self._swap(place, believed=held.value, wanted=level)
        except (ConflictError, RefusedError):
            if fresh:
                await self._drop(loan)
            raise
        if asserting:
            self._asserted.setdefault(loan.key, deque(maxlen=2 * ASSERTIONS)).append(now)
        back = await self.targets.held(place)
        if back.value != level:
            raise ConflictError(f"{place.ref} shows {back.value} right after {level} was written", _name(back))
        return await self._save(replace(loan, verified=level))

    async def record(self, place: Place, *, held: Held, wish: Wish) -> Loan:
        """Write down what a loan says beside its level; a new one begins with the level that is there."""
        loan = self.of(place) or self._begun(place, held, held.value, wish)
        return await self._save(self._wished(loan, wish))

    def _begun(self, place: Place, held: Held, level: int, wish: Wish) -> Loan:
        now = self.clock.now()
        return Loan(
            key=self.key_of(place),
            place=place,
            policy=wish.policy,
            target=wish.target,
            original=held.value,
            former=_other(held),
            verified=None,
            pending=level,
            highest=level,
            started_at=now,
            stepped_at=now,
            until=wish.until,
            epoch=self.leadership.epoch,
        )

    def _wished(self, loan: Loan, wish: Wish) -> Loan:
        return replace(
            loan,
            until=wish.until,
            policy=wish.policy,
            target=wish.target,
            wanted_by=(wish.wanted_by or loan.wanted_by)[:WANTED_BY_MOST],
            hand_over=wish.hand_over or loan.hand_over,
        )

    async def give_back(self, loan: Loan) -> None:
        """Restore the original, hand the field back to its former owner, read back, remove the loan.

        A field whose object is gone needs nothing; somebody's newer value is left as it is.
        """
        try:
            held = await self.targets.held(loan.place)
            loan, found = await self.settle(loan, held)
            if found is Drift.OURS and held.value != loan.original:
                loan = await self._save(replace(loan, pending=loan.original))
                await self._swap(loan.place, believed=held.value, wanted=loan.original)
            with suppress(ConflictError):  # the field has another owner by now: there is nothing of ours to hand back
                await self.targets.hand_back(loan.place, loan.former)
            back = await self.targets.held(loan.place)
            if back.value != loan.original and drift(loan, back) is Drift.OURS:
                raise ConflictError(
                    f"{loan.place.ref} shows {back.value}, not the original {loan.original}", _name(back)
                )
        except NotFoundError:
            pass  # the object, or that incarnation of it, is gone: there is nothing to restore
        await self._drop(loan)

    async def let_go(self, loan: Loan) -> None:
        """End a loan and leave its value: the level lies elsewhere by now, this field is another's to drive."""
        with suppress(NotFoundError, ConflictError):
            await self.targets.hand_back(loan.place, loan.former)
        await self._drop(loan)

    async def _swap(self, place: Place, *, believed: int, wanted: int) -> None:
        self._demand_leadership()
        self.writes += 1
        await self._soon(self.targets.swap(place, believed=believed, wanted=wanted))

    async def _save(self, loan: Loan) -> Loan:
        self._demand_leadership()
        loan = replace(loan, epoch=self.leadership.epoch)
        await self._soon(self.book.save(loan, fresh=loan.key not in self.loans))
        self.loans[loan.key] = loan
        return loan

    async def _drop(self, loan: Loan) -> None:
        self._demand_leadership()
        await self._soon(self.book.remove(loan))
        self.loans.pop(loan.key, None)
        self._asserted.pop(loan.key, None)

    async def _soon(self, write: Awaitable[None]) -> None:
        """A write, given up while the Lease is surely still ours: it may be taken 5 s after we may no longer write."""
        try:
            async with asyncio.timeout(WRITE_WITHIN):
                await write
        except TimeoutError as error:
            raise UnavailableError(f"no answer to a write within {WRITE_WITHIN:g} s") from error

    def _demand_leadership(self) -> None:
        if not self.leadership.may_write():
            raise NotLeadingError("the Lease was not renewed within the last 10 s: another leader may be writing")


def wanted_by(names: Iterable[str]) -> tuple[str, ...]:
    """Who asked, bounded: the first names and a count of the rest."""
    every = tuple(names)
    if len(every) <= WANTED_BY_MOST:
        return every
    return (*every[: WANTED_BY_MOST - 1], f"and {len(every) - WANTED_BY_MOST + 1} more")


def _other(held: Held) -> Manager | None:
    """The field's owner unless it is us: after a crash our own entry must not become the one to hand back to."""
    return held.manager if held.manager is not None and held.manager.name != MANAGER else None


def _name(held: Held) -> str | None:
    return held.manager.name if held.manager else None
