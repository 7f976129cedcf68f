"""What we changed, what it was, until when: every write of a level goes through here.

The order of one step, so that a crash at any point leaves a loan that says how to undo it:

    Loan (pending = wanted)  ->  compare-and-swap  ->  read back  ->  Loan (verified = wanted)

and of a return:

    compare-and-swap to the original  ->  ownership handed back  ->  read back  ->  Loan removed

A write without an answer may be carried out minutes later. The Loan of a returned field stays until that is over, so
that a level which comes late is returned as well.

What was seen of a field counts only if it was asked after our last write of that field was read back: older knowledge
settles nothing (``is_current``). A write without an answer may have happened, so that after it the field is unknown
until somebody has asked anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from tidegate.control.drift import (
    Drift,
    Terms,
    aiming,
    dated,
    drift,
    inheriting,
    joined,
    kept,
    learned,
    manager_name,
    on_terms,
    other_than_us,
    tells,
)
from tidegate.control.errors import NotLeadingError, UnreadableLoanError
from tidegate.control.former import Former
from tidegate.control.late import LateWrites
from tidegate.planning.model import MANAGER, Key
from tidegate.ports import (
    Clock,
    ConflictError,
    FieldId,
    Held,
    Leadership,
    Loan,
    LoanBook,
    Manager,
    NotFoundError,
    OverwrittenError,
    Place,
    RefusedError,
    Targets,
    TidegateError,
    UnreadableLoan,
)


@dataclass(frozen=True, slots=True)
class Known:
    """A field as we last read it back after a write."""

    held: Held
    asked: int
    """When that was asked, in the ledger's own order."""


@dataclass(slots=True)
class Ledger:
    """All loans of this operator's scope, in step with the cluster's Loan objects."""

    targets: Targets
    book: LoanBook
    clock: Clock
    leadership: Leadership
    key_of: Callable[[Place], Key]
    """The name of a new loan of a field."""
    loans: dict[FieldId, Loan] = field(default_factory=dict)
    """As we believe them to be."""
    unreadable: dict[Key, UnreadableLoan] = field(default_factory=dict)
    surplus: list[Loan] = field(default_factory=list)
    """Second loans of one field, taken by the names of two of its object's versions: to be removed, and no more."""
    strange: frozenset[Key] = frozenset()
    """Loans that were there beside ours when their names were last asked for: one whose deletion was accepted and not
    done, or that somebody made or brought back."""
    drops: int = 0
    """Loans removed."""
    writes: int = 0
    """Level writes made, for the figures."""
    epoch: int | None = None
    """Of the leadership for which the loans were loaded; None: they must be loaded before anything is written."""
    _stored: dict[FieldId, Loan] = field(default_factory=dict)
    """As the server surely has them."""
    _known: dict[FieldId, Known] = field(default_factory=dict)
    _peaks: dict[FieldId, int] = field(default_factory=dict)
    """The highest level that a field had since its pool was last looked at: so many pods may still be there."""
    _unknown_since: dict[FieldId, int] = field(default_factory=dict)
    """Fields of which nothing tells that was asked before, by when: their last write got no answer, or others may have
    written since."""
    _returned: dict[FieldId, tuple[int, Manager | None]] = field(default_factory=dict)
    """Value and owner of fields that were handed back while their loans are there still."""
    former: Former = field(init=False)
    late: LateWrites = field(init=False)
    _order: int = 0
    _loaded_at: int = 0

    def __post_init__(self) -> None:
        self.former = Former(self.clock)
        self.late = LateWrites(self.clock)

    # ---- order of knowledge

    def tick(self) -> int:
        """The next number in the order of questions and answers."""
        self._order += 1
        return self._order

    def is_current(self, place: Place, *, asked: int, version: int) -> bool:
        """Whether what was asked then (or bears that version) tells of the field as it is after our last write."""
        since = max(self._unknown_since.get(place.id, 0), self._loaded_at if place.id in self.loans else 0)
        if asked <= since and since > 0:  # what a watch brought was never asked for, and is told by its version
            return False
        known = self._known.get(place.id)
        return known is None or asked > known.asked or 0 < known.held.version <= version

    def latest(self, place: Place) -> Held | None:
        """The field as last read back, if its last write was answered."""
        known = self._known.get(place.id)
        return known.held if known is not None and place.id not in self._unknown_since else None

    def peak(self, place: Place, *, asked: int) -> int:
        """The highest level that a field may have had since its pool was looked at; 0 when that look tells."""
        known, lost = self._known.get(place.id), self._unknown_since.get(place.id, 0)
        if asked > max(known.asked if known is not None else 0, lost):
            self._peaks.pop(place.id, None)
        return self._peaks.get(place.id, 0)

    def asked_anew(self, place: Place, asked: int) -> None:
        """The field was looked at: a write that got no answer before that is no question any more."""
        if self._unknown_since.get(place.id, math.inf) < asked:
            del self._unknown_since[place.id]

    def learn(self, place: Place, held: Held) -> Drift | None:
        """Take in what a field was seen to hold, of current knowledge only; None where nothing is borrowed."""
        loan = self.loans.get(place.id)
        if loan is None:
            return None
        self.loans[place.id], found = learned(loan, held)
        return found

    def bound(self, now: float) -> None:
        """Bound the instants of all loans by now: a clock that was ahead has written some of them."""
        for one, loan in self.loans.items():
            if (past := dated(loan, now)) is not loan and past != loan:
                self.loans[one] = past

    # ---- what there is

    async def load(self) -> None:
        """Read all loans, also those of a former life. No write may be under way."""
        epoch, asked = self.leadership.epoch, self.tick()
        found = await self.book.list()
        self.unreadable = {one.key: one for one in found if isinstance(one, UnreadableLoan)}
        loans: dict[FieldId, Loan] = {}
        self.surplus = []
        # Of two loans of one field the older one knows the owner's value.
        for loan in sorted((one for one in found if isinstance(one, Loan)), key=lambda one: (one.started_at, one.key)):
            if loan.place.id in loans:
                self.surplus.append(loan)
                loans[loan.place.id] = joined(loans[loan.place.id], loan)
            else:
                loans[loan.place.id] = loan
        self.former.read_anew(before=self.loans.values(), there=loans.values())
        self.late.recall(loans.values())
        # Others may have written while we did not hold them: what was read back or seen before tells nothing any more.
        ours = (self.loans.keys() | self._known.keys() | self._unknown_since.keys()) - loans.keys()
        self._known.clear()
        self._unknown_since = dict.fromkeys(ours, asked)
        self.loans, self._stored = loans, dict(loans)
        self._loaded_at, self.epoch = asked, epoch

    async def watch(self) -> None:
        """See which loans there are while others may be ending them: a level that one of them lent may come back."""
        self.former.watch(one for one in await self.book.list() if isinstance(one, Loan))

    async def miss(self) -> Sequence[Loan]:
        """The loans in use whose objects are gone: each is to be written anew, or nothing would say what is owed.

        Whoever removes one, a person or a finalizer that ends late, does not tell us. One that was written since the
        names were asked for is not among them. What is there beside ours is kept in ``strange``.
        """
        before, held = dict(self._stored), {loan.key for loan in self.loans.values()}
        there = await self.book.names()
        ours = held | {loan.key for loan in (*self.loans.values(), *self.surplus)} | self.unreadable.keys()
        self.strange = there - ours
        gone = [one for one, loan in before.items() if loan.key not in there and self._stored.get(one) is loan]
        for one in gone:
            del self._stored[one]
        return [self.loans[one] for one in gone if one in self.loans]

    @property
    def loaded(self) -> bool:
        """Whether the loans are those of the leadership that we have now."""
        return self.epoch is not None and self.epoch == self.leadership.epoch

    def unload(self) -> None:
        """Read all loans again before anything is written: they may be changed from outside."""
        self.epoch = None

    def of(self, place: Place) -> Loan | None:
        """The loan of a field."""
        return self.loans.get(place.id)

    def unreadable_of(self, place: Place) -> UnreadableLoan | None:
        """The loan of a field that is there and cannot be understood."""
        if not self.unreadable:
            return None
        named = self.unreadable.get(self.key_of(place))
        alike = (one for one in self.unreadable.values() if one.ref and one.ref.identity == place.ref.identity)
        return named or next(alike, None)

    def unsaved(self) -> list[Loan]:
        """Loans that say more than the server was told."""
        return [loan for one, loan in self.loans.items() if self._stored.get(one) != loan]

    # ---- writes

    async def move(self, place: Place, *, held: Held, level: int, terms: Terms) -> Loan:
        """Borrow a field, or move a borrowed one: returns the loan with the level verified.

        ``held`` is what the field is believed to hold. ConflictError when it does not: the loan then says what was
        meant, and nothing was written. OverwrittenError when it was written and another level stood there right after.
        """
        known = self.of(place)
        fresh = known is None
        loan = self._begun(place, held, level, terms) if known is None else learned(known, held)[0]
        loan = aiming(loan, level, terms, now=self.clock.now())
        known = self._stored.get(place.id)
        if known is None or known.epoch != self.leadership.epoch or not tells(known, loan):
            loan = await self._save(loan)
        try:
            await self._swap(place, believed=held.value, wanted=level)
        except ConflictError:  # after a refusal the loan stays for the next try: nothing is owed under it
            if fresh and not await self._may_be_done(place, level):
                await self._drop(loan)
            raise
        back = await self._read_back(place)
        if back.value != level:
            raise OverwrittenError(f"{place.ref} shows {back.value} right after {level} was written", _owner(back))
        return await self._save(replace(loan, verified=level))

    async def record(self, place: Place, *, held: Held, terms: Terms) -> Loan:
        """Write down what a loan says beside its level; a new one begins with the level that is there."""
        known = self.of(place)
        loan = self._begun(place, held, held.value, terms) if known is None else learned(known, held)[0]
        return await self._save(on_terms(loan, terms))

    async def store(self, loan: Loan) -> None:
        """Write down what was learned of a loan."""
        await self._save(self.loans.get(loan.place.id, loan))

    async def give_back(self, loan: Loan, *, believed: int | None = None) -> None:
        """Restore the original, hand the field back to its former owner, read back, remove the loan; or keep the loan
        while a write of the field may still come (``returned``).

        A field whose object is gone needs nothing, but for NotFoundError where a workload stood behind it: see
        ``debts.bequeath``. Somebody's newer value is left as it is. ``believed`` is the level
        on which the return was decided: ConflictError when another one of ours stands there.
        """
        try:
            await self._restore(loan, believed)
        except NotFoundError:  # the object, or that incarnation of it, is gone: there is nothing to restore
            if loan.beneath is not None:  # but perhaps behind it
                raise
        else:
            if self.late.waits(loan.place.id, self._returned[loan.place.id][0]):
                return
        await self._drop(loan)

    def returned(self, one: FieldId) -> int | None:
        """What a field that was handed back holds while its loan is still there; None of others."""
        found = self._returned.get(one)
        return found[0] if found is not None else None

    async def _restore(self, loan: Loan, believed: int | None) -> None:
        place = loan.place
        held = await self.look(place)
        if self._returned.get(place.id) == (held.value, held.manager):
            return  # all is done but for the loan, whose removal was refused
        if believed not in (None, held.value) and drift(loan, held) is Drift.OURS:
            words = f"{place.ref} shows {held.value}, and its return was decided on {believed}"
            raise ConflictError(words, _owner(held))
        loan, _ = learned(loan, held)
        if loan.original != self._told_original(loan):
            loan = await self._save(loan)  # said before it is returned to
        if held.value != loan.original:
            loan = await self._save(replace(loan, pending=loan.original))
            await self._swap(place, believed=held.value, wanted=loan.original)
        await self._hand_back(loan)
        back = await self._read_back(place)
        if back.value != loan.original and drift(loan, back) is not Drift.NEW_INTENT:
            raise ConflictError(f"{place.ref} shows {back.value}, not the original {loan.original}", _owner(back))
        if back.manager is not None and back.manager.name == MANAGER:
            raise ConflictError(f"{place.ref}: {place.field} is ours still, though it was handed back", MANAGER)
        self._returned[place.id] = back.value, back.manager

    def _told_original(self, loan: Loan) -> int | None:
        stored = self._stored.get(loan.place.id)
        return stored.original if stored is not None else None

    async def let_go(self, loan: Loan) -> None:
        """End a loan and leave its value: the level lies elsewhere by now, this field is another's to drive."""
        with suppress(NotFoundError):
            await self._hand_back(loan)
        await self._drop(loan)

    async def remove_surplus(self, loan: Loan) -> None:
        """Remove a second loan of one field: what it says stands in the first."""
        self._demand_leadership()
        await self.book.remove(loan)
        self.surplus = [one for one in self.surplus if one.key != loan.key]

    async def look(self, place: Place) -> Held:
        """The field fresh from the server; settles a write that got no answer."""
        asked = self.tick()
        held = await self.targets.held(place)
        self.asked_anew(place, asked)
        return held

    # ---- beneath

    async def _may_be_done(self, place: Place, level: int) -> bool:
        """Whether a first write that was refused stands there all the same: its loan alone knows the owner's value."""
        try:
            return (await self.look(place)).value == level
        except NotFoundError:
            return False
        except TidegateError:
            return True

    def _begun(self, place: Place, held: Held, level: int, terms: Terms) -> Loan:
        if (bad := self.unreadable_of(place)) is not None:
            raise UnreadableLoanError(f"Loan {bad.key} is there and cannot be understood: {bad.note}")
        now = self.clock.now()
        loan = Loan(
            key=self.key_of(place),
            place=place,
            policy=terms.policy,
            target=terms.target,
            original=held.value,
            former=other_than_us(held),
            verified=None,
            pending=level,
            highest=level,
            started_at=now,
            stepped_at=now,
            until=terms.until,
            epoch=self.leadership.epoch,
            levels=self.former.levels(place, held.value),
            beneath=terms.beneath,
        )
        return loan if terms.debt is None else inheriting(loan, terms.debt, held)

    async def _swap(self, place: Place, *, believed: int, wanted: int) -> None:
        self._demand_leadership()
        self.writes += 1
        self._peaks[place.id] = max(self._peaks.get(place.id, 0), believed, wanted)
        try:
            await self.targets.swap(place, believed=believed, wanted=wanted)
        except (RefusedError, NotFoundError):
            raise
        except BaseException as error:  # no answer, so that it may have happened; or the field is not as believed
            self._lost(place)
            if not isinstance(error, ConflictError) and getattr(error, "in_doubt", True):
                self.late.sent(place.id, replacing=believed)
            raise

    def _lost(self, place: Place) -> None:
        """Nothing that was asked before now tells what the field holds."""
        self._unknown_since[place.id] = self.tick()

    async def _hand_back(self, loan: Loan) -> None:
        self._demand_leadership()
        with suppress(ConflictError):  # the field has another owner by now: there is nothing of ours to hand back
            await self.targets.hand_back(loan.place, loan.former)

    async def _read_back(self, place: Place) -> Held:
        asked = self.tick()
        try:
            held = await self.targets.held(place)
        except BaseException:  # written, and not read back: unknown until somebody has asked
            self._lost(place)
            raise
        self._known[place.id] = Known(held, asked)
        self._unknown_since.pop(place.id, None)
        return held

    async def _save(self, loan: Loan) -> Loan:
        epoch = self._demand_leadership()
        loan = kept(replace(loan, epoch=epoch))
        one = loan.place.id
        before = self.loans.get(one)
        if before is None or before.pending != loan.pending:
            self._returned.pop(one, None)
        # Without an answer it may have been written: it is believed to be there before it is sent, and nowhere lost.
        self.loans[one] = loan
        try:
            await self.book.save(loan, fresh=before is None)
        except (ConflictError, RefusedError) as error:
            if before is None:
                del self.loans[one]
            else:
                self.loans[one] = before
            if isinstance(error, ConflictError):
                self.unload()  # somebody else wrote it: read all of them anew
            raise
        if self.epoch == epoch:
            self._stored[one] = loan
        return loan

    async def _drop(self, loan: Loan) -> None:
        epoch = self._demand_leadership()
        try:
            await self.book.remove(loan)
        except ConflictError:
            self.unload()
            raise
        self.former.ended(loan)
        self.drops += 1
        if self.epoch == epoch:
            self.loans.pop(loan.place.id, None)
            self._stored.pop(loan.place.id, None)
            self._returned.pop(loan.place.id, None)

    def _demand_leadership(self) -> int:
        """The epoch for which we write; NotLeadingError when it is over, or its loans are not loaded."""
        if not self.leadership.may_write():
            raise NotLeadingError("the Lease was not renewed within the last 10 s: another leader may be writing")
        if not self.loaded or self.epoch is None:
            raise NotLeadingError("leadership has changed since: the loans must be read anew")
        return self.epoch


def _owner(held: Held) -> str | None:
    return manager_name(held) if held.manager else None
