"""Mailboxes: one a field, where the last wish wins and at most one write is under way. A round.

There is no queue: each decision replaces every wish that is not under way, so that nothing is written which the last
decision did not want. Only the time for which a field has been waiting is kept, for fairness.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from tidegate.control.conflicts import Conflicts
from tidegate.control.debts import bequeath, is_driven
from tidegate.control.drift import Drift, Terms, drift
from tidegate.control.errors import UnreadableLoanError
from tidegate.control.ledger import Ledger
from tidegate.control.refusals import Refusals
from tidegate.control.rounds import Backoff, Job
from tidegate.control.telling import tell
from tidegate.control.wishes import Applied, Kind, Wish, next_orphan_step
from tidegate.control.writerate import WriteRate
from tidegate.planning.decision import Action
from tidegate.planning.model import Key
from tidegate.planning.reasons import Reason
from tidegate.ports import (
    Clock,
    ConflictError,
    EventSink,
    FieldId,
    Held,
    Loan,
    NotFoundError,
    OverwrittenError,
    RefusedError,
    TidegateError,
    UnavailableError,
)

log = logging.getLogger("tidegate.writer")

DOWN_LATER = 5.0
"""Seconds that what lowers a level stands behind what raises one. Judgment."""
SLOTS = 32
"""Writes under way at a time. Judgment: an API server's fair share for one client, and 2,000 floors in 20 s at 300 ms
a write."""


@dataclass(slots=True)
class Writer:
    """Carries out wishes through the ledger. See ``rounds.Round``."""

    ledger: Ledger
    clock: Clock
    conflicts: Conflicts
    events: EventSink
    may_begin: Callable[[], bool]
    """Whether writes may begin: we lead, the loans are loaded, and no durable stop stands."""
    letting: Callable[[], Callable[[Wish], bool]] = lambda: lambda wish: True
    """Tells, as of now, whether what on-call said of a wish's namespace was heard, or levels may rise all the same."""
    on_done: Callable[[Applied], None] = lambda applied: None
    slots: int = SLOTS
    refusals: Refusals = field(default_factory=Refusals)
    _wishes: dict[FieldId, Wish] = field(default_factory=dict)
    _since: dict[FieldId, float] = field(default_factory=dict)
    _busy: set[FieldId] = field(default_factory=set)
    _backoff: Backoff = field(default_factory=lambda: Backoff(first=1.0, longest=15.0))
    rate: WriteRate = field(init=False)

    def __post_init__(self) -> None:
        self.rate = WriteRate(self.slots)

    @property
    def name(self) -> str:
        """See ``rounds.Round``."""
        return "writes"

    @property
    def idle(self) -> bool:
        """No write is under way."""
        return not self._busy

    def is_busy(self, one: FieldId) -> bool:
        """Whether a write of a field is under way: what is known of it is about to change."""
        return one in self._busy

    def post(self, wishes: Iterable[Wish], now: float, *, aside: frozenset[Key] = frozenset()) -> None:
        """Replace all wishes. The first one of a field counts; one whose field is being written waits for the next.

        What was to rise of policies that were left ``aside`` still is.
        """
        before, self._wishes = self._wishes, {}
        others = [one for one in before.values() if one.upwards and one.said.policy in aside]
        for wish in chain(wishes, others):
            if wish.field not in self._busy and not self._rests(wish):
                self._wishes.setdefault(wish.field, wish)
        self._since = {one: min(self._since.get(one, now), now) for one in self._wishes}
        self._backoff.expire(now)
        self.refusals.expire(now, self._wishes.keys() | self._busy)

    def withdraw(self) -> None:
        """Nothing more is to be written; what is under way ends by itself."""
        self._wishes = {}

    # ---- rounds.Round

    def due(self, now: float) -> Sequence[Job]:
        """See ``rounds.Round``."""
        if not self.may_begin():
            return []
        found, lets = list[Job](), self.letting()
        for one, wish in self._wishes.items():
            if self._until(wish, now) > now or self._is_vain(wish, now) or not lets(wish):
                continue
            due_at = self._since.get(one, now) + (0.0 if wish.upwards else DOWN_LATER)
            found.append(Job(one, wish.tenant, due_at, self._suspects(one)))
        return found

    def next_at(self, now: float) -> float | None:
        """See ``rounds.Round``."""
        return min((at for one in self._wishes.values() if (at := self._until(one, now)) > now), default=None)

    async def do(self, job: Job) -> None:
        """Carry out the wish of a field."""
        one: FieldId = job.key  # type: ignore[assignment]
        wish = self._wishes.pop(one, None)
        if wish is None or wish.field in self._busy or not self.may_begin() or not self.letting()(wish):
            return
        self._busy.add(wish.field)
        begun = self.clock.now()
        self._backoff.failed(wish.field, begun)  # held against it until it has ended well
        try:
            applied = await self._tried(wish)
        finally:
            self._busy.discard(wish.field)
        if applied is None:
            self._well(wish.field)
            return
        if applied.error is None:
            self._well(wish.field)
            self._since.pop(wish.field, None)
            self.rate.took(self.clock.now() - begun)
        self.on_done(replace(applied, at=self.clock.now()))

    # ---- beneath

    def _rests(self, wish: Wish) -> bool:
        """Whether all that a wish asks for is done, and its loan stays for a write that may come late."""
        value = self.ledger.returned(wish.field) if wish.kind in (Kind.RETURN, Kind.LEAD_BACK) else None
        moved = wish.held is not None and wish.held.value != value
        return value is not None and not moved and self.ledger.late.rests(wish.field, value)

    def _is_vain(self, wish: Wish, now: float) -> bool:
        """Whether a wish needs a new loan in a namespace that is being deleted."""
        makes = wish.kind in (Kind.MOVE, Kind.RECORD) and wish.field not in self.ledger.loans
        return makes and self.refusals.is_ending(wish.tenant, now)

    def _until(self, wish: Wish, now: float) -> float:
        refused = self.refusals.until(wish.field, now, must_by=now if wish.must_by is None else wish.must_by)
        return max(refused, self._backoff.until(wish.field, now))

    def _well(self, one: FieldId) -> None:
        self._backoff.well(one)
        self.refusals.well(one)

    def _suspects(self, one: FieldId) -> bool:
        return self._backoff.suspects(one) or self.refusals.suspects(one)

    async def _tried(self, wish: Wish) -> Applied | None:
        try:
            return await self._carry_out(wish)
        except NotFoundError:
            return replace(wish.said, error=f"{wish.said.ref} is gone")
        except ConflictError as error:
            by = f" ({error.manager})" if error.manager else ""
            return replace(wish.said, error=f"{error}{by}; read again at the next beat")
        except RefusedError as error:
            if not isinstance(error, UnreadableLoanError):  # that is our own, and costs the server nothing
                self._backoff.well(wish.field)
                self.refusals.refused(wish.field, wish.about, str(error), self.clock.now())
            if error.ending:
                self.refusals.ends(wish.tenant, self.clock.now())
            return replace(wish.said, error=str(error))
        except UnavailableError as error:
            if error.after is not None:
                self._backoff.put_off(wish.field, self.clock.now() + error.after)
            return replace(wish.said, error=str(error))
        except TidegateError as error:
            return replace(wish.said, error=str(error))
        except Exception as error:
            log.exception("%s: a write failed", wish.said.ref)  # one broken object does not stop the rest
            return replace(wish.said, error=repr(error))

    async def _carry_out(self, wish: Wish) -> Applied | None:
        said, loan = wish.said, wish.loan
        if wish.kind in (Kind.RETURN, Kind.LEAD_BACK) and self.ledger.returned(wish.field) is not None:
            said = replace(said, told=False)  # it was told when it was done, and its loan stayed
        if wish.kind is Kind.MOVE:
            await self._move(wish)
        elif wish.kind is Kind.RECORD:
            await self._record(wish)
        elif loan is None:
            return None
        elif wish.kind is Kind.RETURN:
            return await self._give_back(replace(wish, said=said), self.ledger.loans.get(loan.place.id, loan))
        elif wish.kind is Kind.LEAD_BACK:
            return await self._lead_back(replace(wish, said=said))
        elif wish.kind is Kind.LET_GO:
            await self.ledger.let_go(loan)
            log.info("loan %s: the level lies elsewhere by now; the field is left as it is", loan.key)
        elif wish.kind is Kind.STORE:
            await self.ledger.store(loan)
        elif wish.kind is Kind.REMOVE:
            await self.ledger.remove_surplus(loan)
        return said

    async def _move(self, wish: Wish) -> None:
        if wish.place is None or wish.held is None or wish.terms is None:
            return
        loan = self.ledger.of(wish.place)
        # Whatever is written next: what a pool lets in step by step begins below the level that was there.
        overruled = loan is not None and _is_set_back(loan, wish.held)
        try:
            await self.ledger.move(wish.place, held=wish.held, level=wish.level, terms=wish.terms)
        except OverwrittenError:  # whoever is quicker than our reading back is one of them too
            self.conflicts.asserted(wish.field, self.clock.now())
            raise
        if overruled:  # ours was there, and was so no more
            self.conflicts.asserted(wish.field, self.clock.now())

    async def _record(self, wish: Wish) -> None:
        if wish.place is None or wish.held is None or wish.terms is None:
            return
        terms = wish.terms
        if wish.notice and terms.hand_over is not None:
            # Told before it is stored: who dies in between tells it again, in full time.
            tell(self.events, wish.said.ref, terms.hand_over, terms.hand_over.notices[-1], wish.notice)
            terms = _told_now(terms, self.clock.now())
        await self.ledger.record(wish.place, held=wish.held, terms=terms)

    async def _give_back(self, wish: Wish, loan: Loan) -> Applied:
        """Return what a loan took. Work that somebody else keeps stopping is let go: it is his to start."""
        now = self.clock.now()
        if loan.hand_over is not None and not self.conflicts.may_assert(wish.field, now):
            await self.ledger.let_go(loan)
            self.conflicts.forget(wish.field)
            words = f"somebody keeps setting {loan.place.field} back: it is left to them, and not at {loan.original}"
            return replace(wish.said, reason=Reason.FIELD_MANAGER_CONFLICT, message=words)
        believed = wish.held.value if wish.held is not None else None
        ours = self.ledger.returned(wish.field) is not None  # and the loan stays for a write that may come late
        set_back = wish.held is not None and not ours and _is_set_back(loan, wish.held)
        writes = self.ledger.writes
        try:
            await self.ledger.give_back(loan, believed=believed)
        except ConflictError:
            if self.ledger.writes > writes:  # it was written, and is not there: whoever was quicker counts
                self.conflicts.asserted(wish.field, now)
            raise
        if set_back:  # and needed no more, or not to be had just now: what is borrowed anew overrules that
            self.conflicts.asserted(wish.field, now)
        else:
            self.conflicts.forget(wish.field)
        return wish.said

    async def _lead_back(self, wish: Wish) -> Applied | None:
        """Look at the field of a loan that nobody speaks for, and take the next gentle step."""
        assert wish.loan is not None  # noqa: S101 - the caller has looked
        loan = self.ledger.loans.get(wish.field, wish.loan)
        try:
            held = await self.ledger.look(loan.place)
        except NotFoundError:
            heir = await bequeath(self.ledger, loan)
            if heir is not None:
                log.info("%s is gone: %s owes what was lent there", loan.place.ref, heir.place.ref)
            return replace(wish.said, before=0, level=loan.original, told=heir is None)
        if await is_driven(self.ledger, loan):
            await self.ledger.let_go(loan)
            return None
        self.ledger.learn(loan.place, held)
        loan = self.ledger.loans.get(wish.field, loan)
        action, level = next_orphan_step(loan, held.value, wish.release, self.clock.now())
        if action is Action.NOTHING:
            return None
        if action is Action.RETURN:
            await self.ledger.give_back(loan)
        else:
            await self.ledger.move(loan.place, held=held, level=level, terms=_same_terms(loan))
        return replace(wish.said, action=action, before=held.value, level=level)


def _is_set_back(loan: Loan, held: Held) -> bool:
    """Whether our level was there, and somebody has brought another back. A first write that never came is no such."""
    return loan.verified is not None and drift(loan, held) is Drift.REAPPLIED


def _same_terms(loan: Loan) -> Terms:
    return Terms(loan.policy, loan.target, loan.until, ())


def _told_now(terms: Terms, now: float) -> Terms:
    """Terms whose last notice was given just now: its time counts from when the work was told."""
    note = terms.hand_over
    if note is None or not note.notices:
        return terms
    notices = (*note.notices[:-1], note.notices[-1]._replace(at=now))
    return replace(terms, hand_over=replace(note, notices=notices))
