"""What a borrowed field holds, told apart: our own level, a re-applied one, or somebody's new intent. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from tidegate.planning.instants import on_record
from tidegate.planning.model import MANAGER, Key, LoanState
from tidegate.ports import Beneath, HandOverNote, Held, Loan, Manager

WANTED_BY_MOST = 16
"""Names that a loan lists; the rest is counted."""
LEVELS_MOST = 16
"""Levels that a loan remembers. Judgment: more steps than a late copy is old."""
AUTOSCALER = ("kube-controller-manager", "scale")
"""Manager and subresource by which every HPA writes a workload's replicas."""
_DEFAULTED = {"apps", "autoscaling"}
"""API groups in which a level that is left out counts as 1: replicas and minReplicas."""


class Drift(Enum):
    """What became of a borrowed field since we last looked."""

    OURS = "Ours"
    REAPPLIED = "Reapplied"
    """A tool brought back the original, or one of our own levels out of an old copy."""
    NEW_INTENT = "NewIntent"


@dataclass(frozen=True, slots=True)
class Debt:
    """What was lent in a field in which the level lies no more, for the loan of the field in which it lies now."""

    loan: Loan
    """As it was made."""
    original: int
    """What the new field returns to."""
    former: Manager | None
    """Who gets the new field back."""
    level: int
    """What the new field is to hold for now."""
    beneath: Beneath | None


@dataclass(frozen=True, slots=True)
class Terms:
    """What a loan is for, beside its level."""

    policy: Key
    target: str
    until: float
    wanted_by: tuple[str, ...]
    hand_over: HandOverNote | None = None
    beneath: Beneath | None = None
    """What a new loan of an autoscaler's floor says of the workload behind it."""
    debt: Debt | None = None
    """What a new loan takes over from another field's."""
    lasting: bool = False
    """It is borrowed at all times, so that whoever applies the object has to leave the field out."""


def drift(loan: Loan, held: Held) -> Drift:
    """Tell what a field holds. A level that we wrote before is nobody's intent, whoever brings it back."""
    if _is_wished_alike(loan, held):
        return Drift.NEW_INTENT
    if held.value in (loan.verified, loan.pending) or (is_autoscaled(held) and loan.hand_over is None):
        return Drift.OURS
    if held.value == loan.original or _is_left_out(loan, held):
        return Drift.REAPPLIED
    if held.value in loan.levels:  # by ourselves: a write that was applied late
        return Drift.OURS if held.manager is None or held.manager.name == MANAGER else Drift.REAPPLIED
    return Drift.NEW_INTENT


def _is_wished_alike(loan: Loan, held: Held) -> bool:
    """Whether the owner of lent work asks for the very level to which it was lent. Our write took the field from
    whoever had applied it: an applier that owns it now has applied it since.
    """
    lent = loan.hand_over is not None and loan.pending != loan.original and held.value == loan.pending
    return lent and held.manager is not None and held.manager.operation == "Apply" and held.manager.name != MANAGER


def is_autoscaled(held: Held) -> bool:
    """Whether an HPA wrote that number: it follows our floor, or a metric, and is nobody's intent."""
    return held.manager is not None and (held.manager.name, held.manager.subresource) == AUTOSCALER


def _is_left_out(loan: Loan, held: Held) -> bool:
    """Whether a level is what the API server fills in for a field that a tool left out, or set to null. Nobody can tell
    it from a 1 that was written out, by anything but ``/scale``.
    """
    defaulted = loan.place.ref.identity.group in _DEFAULTED and loan.hand_over is None
    said = held.manager is not None and held.manager.subresource == "scale"
    return defaulted and held.value == 1 and not said


def learned(loan: Loan, held: Held) -> tuple[Loan, Drift]:
    """The loan in line with what its field holds, and what that is."""
    if _has_left_out(loan, held):
        loan = replace(loan, former=None)
    found = drift(loan, held)
    if found is Drift.NEW_INTENT:
        below = loan.beneath
        if below is not None:  # a workload behind that floor would have had as much
            below = replace(below, level=max(below.level, held.value))
        loan = replace(loan, former=other_than_us(held), beneath=below)
        if loan.hand_over is not None and loan.pending == loan.original:  # nothing is out: no level there is ours
            loan = replace(loan, pending=held.value, verified=held.value)
        return replace(loan, original=held.value), found
    if found is Drift.OURS and held.value != loan.verified:
        return replace(loan, verified=held.value), found
    return loan, found


def _has_left_out(loan: Loan, held: Held) -> bool:
    """Whether the former owner has applied the object since, without the field. Given back to him, his next apply would
    drop it to what the API server fills in: a 1. A field without an owner is anybody's to apply.
    """
    former = loan.former
    if former is None or not _applies(former):
        return False
    return any(name == former.name and at > loan.started_at for name, at in held.without)


def aiming(loan: Loan, level: int, terms: Terms, *, now: float) -> Loan:
    """The loan as it is written down before its field is moved to a level."""
    levels = remembered(loan.levels, level)
    highest = max(loan.highest, level)
    return replace(on_terms(loan, terms), pending=level, highest=highest, stepped_at=now, levels=levels)


def tells(stored: Loan, loan: Loan) -> bool:
    """Whether a loan that is stored says all that undoing the move to another's level needs: of one tried again."""
    beside = {one: getattr(stored, one) for one in ("epoch", "highest", "stepped_at", "until", "verified", "wanted_by")}
    return stored.verified != loan.pending and stored == replace(loan, **beside)


def remembered(levels: tuple[int, ...], level: int) -> tuple[int, ...]:
    """Levels with one more, the latest last; the oldest go first."""
    return (*(one for one in levels if one != level), level)[-LEVELS_MOST:]


def on_terms(loan: Loan, terms: Terms) -> Loan:
    """The loan with what it is for now."""
    return replace(
        loan,
        until=terms.until,
        policy=terms.policy,
        target=terms.target,
        wanted_by=(terms.wanted_by or loan.wanted_by)[:WANTED_BY_MOST],
        hand_over=terms.hand_over or loan.hand_over,
        former=None if terms.lasting and _applies(loan.former) else loan.former,
    )


def _applies(manager: Manager | None) -> bool:
    return manager is not None and manager.operation == "Apply"


def inheriting(loan: Loan, debt: Debt, held: Held) -> Loan:
    """A new loan of a field that holds that, with what another field's loan says."""
    before = debt.loan
    levels = dict.fromkeys((*loan.levels, *before.levels, before.pending, debt.level))
    return replace(
        loan,
        original=debt.original,
        former=debt.former,
        verified=held.value if held.value == loan.pending else None,
        highest=max(loan.highest, before.highest),
        started_at=before.started_at,
        stepped_at=before.stepped_at,
        until=max(loan.until, before.until),
        wanted_by=before.wanted_by,
        levels=tuple(one for one in levels if one != debt.original)[-LEVELS_MOST:],
        beneath=debt.beneath or loan.beneath,
    )


def joined(first: Loan, second: Loan) -> Loan:
    """One loan of two on the same field: the older one's original, and every level that either wrote."""
    last = max(first, second, key=lambda one: one.stepped_at)
    levels = (*first.levels, *second.levels, first.original, second.original, first.pending, second.pending)
    return replace(
        first,
        verified=last.verified,
        pending=last.pending,
        highest=max(first.highest, second.highest),
        stepped_at=last.stepped_at,
        until=max(first.until, second.until),
        levels=tuple(dict.fromkeys(one for one in levels if one != first.original)),
    )


def state_of(loan: Loan, now: float) -> LoanState:
    """The part of a loan that the planner needs. Instants ahead of now were written by a clock that was ahead."""
    return LoanState(loan.original, loan.highest, min(loan.stepped_at, now), min(loan.started_at, now), loan.until)


def dated(loan: Loan, now: float) -> Loan:
    """The loan with every instant of the past bounded by now: from a clock that was ahead, none may bind us longer."""
    note = loan.hand_over
    if note is None and loan.stepped_at <= now and loan.started_at <= now:
        return loan
    if note is not None:
        notices = tuple(one._replace(at=min(one.at, now)) for one in note.notices)
        stops = tuple(one._replace(at=min(one.at, now)) for one in note.stops)
        note = replace(note, notices=notices, stops=stops)
    stepped, started = min(loan.stepped_at, now), min(loan.started_at, now)
    return replace(loan, stepped_at=stepped, started_at=started, hand_over=note)


def kept(loan: Loan) -> Loan:
    """The loan as its record will be read: a later life must not see other instants than the one that wrote them."""
    note = loan.hand_over
    if note is not None:
        note = replace(
            note,
            notices=tuple(one._replace(at=on_record(one.at)) for one in note.notices),
            stops=tuple(one._replace(at=on_record(one.at)) for one in note.stops),
            promises=tuple(one._replace(at=on_record(one.at)) for one in note.promises),
            free_by=on_record(note.free_by),
            until=on_record(note.until),
        )
    started, stepped, until = map(on_record, (loan.started_at, loan.stepped_at, loan.until))
    return replace(loan, started_at=started, stepped_at=stepped, until=until, hand_over=note)


def wanted_by(names: Iterable[str]) -> tuple[str, ...]:
    """Who asked, bounded: the first names and a count of the rest."""
    every = tuple(names)
    if len(every) <= WANTED_BY_MOST:
        return every
    return (*every[: WANTED_BY_MOST - 1], f"and {len(every) - WANTED_BY_MOST + 1} more")


def other_than_us(held: Held) -> Manager | None:
    """The field's owner unless it is us: after a crash our own entry must not become the one to hand back to."""
    return held.manager if held.manager is not None and held.manager.name != MANAGER else None


def manager_name(held: Held) -> str:
    """Who owns a field, for a sentence."""
    return held.manager.name if held.manager else "somebody"
