"""A debt moves, it does not vanish: what was lent in one field is owed in another when the level lies there now.

An HPA comes in front of a workload in mid-loan, goes away, is renamed, points elsewhere, or is made again; a workload
is made again. The loan of the field in which the level lay stands until a loan of the new field says what is owed: a
crash in between finds both, or the first alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from tidegate.control.drift import Debt, Terms, is_autoscaled, other_than_us
from tidegate.control.ledger import Ledger
from tidegate.control.looker import Look, Looker
from tidegate.planning.decision import Plan
from tidegate.planning.model import MANAGER, UNKNOWN, Identity, TargetKey
from tidegate.ports import Beneath, ConflictError, FieldId, Held, Loan, Place, Sight, UnavailableError

SCALE = "scale"
PATIENCE = 600.0
"""Seconds beyond its time for which a loan waits to be taken over where that is refused. Judgment."""


@dataclass(frozen=True, slots=True)
class Debts:
    """What is owed elsewhere than it was lent."""

    heirs: Mapping[FieldId, tuple[TargetKey, Debt]] = field(default_factory=dict)
    """By the field that owes it now; it has no loan yet."""
    kept: frozenset[FieldId] = frozenset()
    """Fields whose loans nothing may end yet: what they say was not taken over."""


def debts_of(plan: Plan, looker: Looker, ledger: Ledger, now: float) -> Debts:
    """Debts of all targets, on what was seen of them just now."""
    loose = _by_owner(looker, ledger)
    if not loose:
        return Debts()
    heirs: dict[FieldId, tuple[TargetKey, Debt]] = {}
    kept: set[FieldId] = set()
    for key, target in plan.targets.items():
        found = [*loose.get(target.ref.identity, ()), *loose.get(key, ())]
        look = looker.sights.get(key)
        if not found or look is None or look.sight.place is None or ledger.of(look.sight.place) is not None:
            continue
        place, held = look.sight.place, looker.believed(key)
        loan = max(found, key=lambda one: (one.stepped_at, one.key))
        debt = owed(loan, look.sight, held) if held is not None else None
        if debt is not None and target.withheld is None and looker.is_seen(key, now):
            heirs.setdefault(place.id, (key, debt))
        if debt is not None or held is None:
            kept |= {one.place.id for one in found if now <= one.until + PATIENCE}
    return Debts(heirs, frozenset(kept))


def _by_owner(looker: Looker, ledger: Ledger) -> dict[object, list[Loan]]:
    """Loans of fields in which their workload's level does not lie, by that workload; by the target for which they were
    taken where no loan says which workload it is.
    """
    places = {look.sight.place.id: key for key, look in looker.sights.items() if look.sight.place is not None}
    found: dict[object, list[Loan]] = {}
    for one, loan in ledger.loans.items():
        workload = workload_of(loan)
        driver = places.get(one)
        at_home = driver is not None and (workload is None or looker.names(driver, workload))
        if loan.hand_over is None and not at_home:
            found.setdefault(workload or (loan.policy, loan.target), []).append(loan)
    return found


def workload_of(loan: Loan) -> Identity | None:
    """The workload whose level a loan's field is; None for an autoscaler's of which nobody wrote that down."""
    if loan.place.subresource == SCALE:
        return loan.place.ref.identity
    return loan.beneath.place.ref.identity if loan.beneath is not None else None


def owed(loan: Loan, sight: Sight, held: Held) -> Debt | None:
    """What a field owes of a loan that lies elsewhere; None when somebody else has spoken, or nothing is left of it."""
    place = sight.place
    if place is None:
        return None
    return _by_workload(loan, place, held) if place.subresource == SCALE else _by_scaler(loan, sight, place, held)


def _by_workload(loan: Loan, place: Place, held: Held) -> Debt | None:
    """Its autoscaler is gone, or it was made again. A number that a person wrote since is that person's."""
    rest, beneath = loan.original, loan.beneath
    if beneath is not None and beneath.place.id == place.id:
        rest = beneath.level
    followed = loan.place.subresource != SCALE and is_autoscaled(held)
    if held.value <= rest or not (followed or held.value in _levels(loan)):
        return None
    return Debt(loan, rest, None if followed else other_than_us(held), held.value, None)


def _by_scaler(loan: Loan, sight: Sight, place: Place, held: Held) -> Debt | None:
    """An autoscaler has come in front of a workload, or in the place of another one. Its own minimum is its owner's,
    unless it was made from a copy of the one that we lifted, or of the workload as it stands lifted.
    """
    lent_by_scaler = loan.place.subresource != SCALE
    lent = loan.verified if loan.verified is not None else loan.pending
    # Of a workload only the level that stands there: an earlier one may be a minimum that somebody has thought of.
    copies = _levels(loan) if lent_by_scaler else {lent}
    original = loan.original if held.value in copies else held.value
    beneath = (loan.beneath or sight.beneath) if lent_by_scaler else Beneath(loan.place, loan.original)
    most = sight.observed.maximum
    level = max(held.value, lent if most is None else min(lent, most))
    return Debt(loan, original, other_than_us(held), level, beneath) if level > original else None


def terms_of(plan: Plan, key: TargetKey, debt: Debt, names: tuple[str, ...]) -> Terms:
    """What the loan of the new field is for."""
    return Terms(*key, plan.targets[key].until or debt.loan.until, names, debt=debt)


def beneath_of(ledger: Ledger, place: Place, look: Look) -> Beneath | None:
    """What a new loan of an autoscaler's floor says of the workload behind it. A number that follows a floor which was
    ours a while ago is none of the workload's own.
    """
    beneath, held = look.sight.beneath, look.sight.held
    if beneath is None or held is None or beneath.level not in ledger.former.levels(place, held.value):
        return beneath
    return replace(beneath, level=held.value)


def sleeps(loan: Loan, told: Collection[FieldId], now: float) -> bool:
    """Whether the loan of a workload behind an autoscaler has to stay: the autoscaler may go away as it came, and no
    other loan says what is owed then. ``told``: the fields of which another one does.
    """
    return loan.place.id not in told and now <= loan.until


async def is_driven(ledger: Ledger, loan: Loan) -> bool:
    """Whether an autoscaler drives by now what was lent through ``/scale``: nothing is stepped down against it.
    UnavailableError while that cannot be told.
    """
    if loan.place.subresource != SCALE:
        return False
    sight = await ledger.targets.see(loan.place.ref)
    if sight.beneath is None and sight.observed.trouble in UNKNOWN:
        raise UnavailableError(f"{loan.place.ref}: what drives it cannot be told: {sight.observed.note}")
    return sight.beneath is not None


async def bequeath(ledger: Ledger, loan: Loan) -> Loan | None:
    """End the loan of an autoscaler that is gone, for which no target speaks; what the workload behind it owes is in a
    loan of its own then. UnavailableError while that cannot be told: the loan stands.
    """
    heir, found = None, await _owed_beneath(ledger, loan)
    if found is not None:
        place, held, debt = found
        terms = Terms(loan.policy, loan.target, loan.until, (), debt=debt)
        heir = await ledger.record(place, held=held, terms=terms)
    await ledger.let_go(loan)
    return heir


async def settle(ledger: Ledger, loan: Loan) -> None:
    """End the loan of an autoscaler that is gone, and return at once what the workload behind it owes. No other loan is
    made for that, which takes a right that only the operator has: this one stands until the return was read back.
    """
    found = await _owed_beneath(ledger, loan)
    if found is not None:
        place, held, debt = found
        await ledger.targets.swap(place, believed=held.value, wanted=debt.original)
        with suppress(ConflictError):  # somebody else owns the field by now: there is nothing of ours to hand back
            await ledger.targets.hand_back(place, debt.former)
        back = await ledger.look(place)
        if back.manager is not None and back.manager.name == MANAGER:
            raise ConflictError(f"{place.ref}: {place.field} is ours still, though it was handed back", MANAGER)
    await ledger.let_go(loan)


async def _owed_beneath(ledger: Ledger, loan: Loan) -> tuple[Place, Held, Debt] | None:
    """What the workload behind an autoscaler that is gone holds and owes; None when it owes nothing."""
    below = loan.beneath
    if below is None or ledger.of(below.place) is not None:
        return None
    sight = await ledger.targets.see(below.place.ref)
    if sight.observed.trouble in UNKNOWN:
        raise UnavailableError(f"{below.place.ref}: what it owes cannot be told: {sight.observed.note}")
    if sight.place is not None and sight.place.id == loan.place.id:
        raise UnavailableError(f"{loan.place.ref} is gone, and a watch shows it still")
    if sight.place is None or sight.place.id != below.place.id:
        return None
    held = await ledger.look(below.place)
    debt = owed(loan, sight, held)
    return None if debt is None else (below.place, held, debt)


def _levels(loan: Loan) -> set[int]:
    """Ours, whoever brings them back."""
    return {one for one in (*loan.levels, loan.verified, loan.pending) if one is not None} - {loan.original}
