"""What a borrowed field holds, told apart: our own level, a re-applied one, or somebody's new intent. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from tidegate.planning.instants import on_record
from tidegate.planning.model import MANAGER, Key, LoanState
from tidegate.ports import HandOverNote, Held, Loan, Manager

WANTED_BY_MOST = 16
"""Names that a loan lists; the rest is counted."""
LEVELS_MOST = 16
"""Levels that a loan remembers. Judgment: more steps than a late copy is old."""


class Drift(Enum):
    """What became of a borrowed field since we last looked."""

    OURS = "Ours"
    REAPPLIED = "Reapplied"
    """A tool brought back the original, or one of our own levels out of an old copy."""
    NEW_INTENT = "NewIntent"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a loan is for, beside its level."""

    policy: Key
    target: str
    until: float
    wanted_by: tuple[str, ...]
    hand_over: HandOverNote | None = None


def drift(loan: Loan, held: Held) -> Drift:
    """Tell what a field holds. A level that we wrote before is nobody's intent, whoever brings it back."""
    if held.value in (loan.verified, loan.pending):
        return Drift.OURS
    if held.value == loan.original:
        return Drift.REAPPLIED
    if held.value in loan.levels:  # by ourselves: a write that was applied late
        return Drift.OURS if held.manager is None or held.manager.name == MANAGER else Drift.REAPPLIED
    return Drift.NEW_INTENT


def learned(loan: Loan, held: Held) -> tuple[Loan, Drift]:
    """The loan in line with what its field holds, and what that is."""
    found = drift(loan, held)
    if found is Drift.NEW_INTENT:
        return replace(loan, original=held.value, former=other_than_us(held)), found
    if found is Drift.OURS and held.value != loan.verified:
        return replace(loan, verified=held.value), found
    return loan, found


def aiming(loan: Loan, level: int, terms: Terms, *, now: float) -> Loan:
    """The loan as it is written down before its field is moved to a level."""
    levels = remembered(loan.levels, level)
    highest = max(loan.highest, level)
    return replace(on_terms(loan, terms), pending=level, highest=highest, stepped_at=now, levels=levels)


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
    )


def state_of(loan: Loan, now: float) -> LoanState:
    """The part of a loan that the planner needs. Instants ahead of now were written by a clock that was ahead."""
    return LoanState(loan.original, loan.highest, min(loan.stepped_at, now), min(loan.started_at, now), loan.until)


def dated(loan: Loan, now: float) -> Loan:
    """The loan with every instant of the past bounded by now: from a clock that was ahead, none may bind us longer."""
    note = loan.hand_over
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
