"""From what was decided to what is to be written: one wish a field. Pure.

A wish says on which knowledge it rests; the writer carries it out, or drops it when the field has moved since.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from tidegate.control.debts import SCALE, Debts, beneath_of, sleeps, terms_of, workload_of
from tidegate.control.drift import Terms, state_of, wanted_by
from tidegate.control.ledger import Ledger
from tidegate.control.looker import Look, Looker
from tidegate.planning.decision import Action, Plan, Step
from tidegate.planning.model import UNKNOWN, Identity, Key, Observed, Policy, Ref, Release, TargetKey, Trouble
from tidegate.planning.reasons import Reason
from tidegate.planning.targets import release_step
from tidegate.planning.world import World
from tidegate.ports import FieldId, Held, Loan, Place

ORPHAN_RELEASE = Release(hold=0.0, step_per_minute=0.2)
"""How a loan comes down whose policy is gone: the API's default step. Others come down by their policy's."""
_LASTING = {Trouble.SCALING_DISABLED, Trouble.FOREIGN_OWNER, Trouble.NOT_SCALABLE}
"""Troubles that do not pass by themselves."""


class Kind(Enum):
    """What a wish is for."""

    MOVE = "Move"
    """Move the level."""
    RETURN = "Return"
    """Restore the original and end the loan."""
    LEAD_BACK = "LeadBack"
    """A loan that nobody speaks for: look, and take one gentle step back."""
    LET_GO = "LetGo"
    """End the loan and leave the level."""
    RECORD = "Record"
    """Write down what the loan says beside its level."""
    STORE = "Store"
    """Write down what was learned of the loan."""
    REMOVE = "Remove"
    """Remove a second loan of one field."""


@dataclass(frozen=True, slots=True)
class Applied:
    """One write, or one that failed."""

    policy: Key
    target: str
    ref: Ref
    action: Action
    before: int
    level: int
    at: float
    reason: Reason
    message: str
    error: str | None = None
    measured: bool = False
    """The write raised a level: how long it takes until ready is worth knowing."""
    told: bool = True
    """False: it is nothing that people want to hear of, unless it failed."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One field as it should be."""

    kind: Kind
    field: FieldId
    tenant: str
    """The namespace of the object that holds the field."""
    said: Applied
    """What is told once it is done."""
    place: Place | None = None
    held: Held | None = None
    """What the field is believed to hold."""
    level: int = 0
    terms: Terms | None = None
    loan: Loan | None = None
    release: Release = ORPHAN_RELEASE
    """How a loan that nobody speaks for comes down."""
    must_by: float | None = math.inf
    """When it must be written, epoch seconds; infinite when nothing waits for it, None: it should be by now."""
    notice: str = ""
    """What the work is told before its mark is stored; empty: nothing."""

    @property
    def about(self) -> Ref:
        """The object that holds the field."""
        place = self.place or (self.loan.place if self.loan is not None else None)
        return place.ref if place is not None else self.said.ref

    @property
    def upwards(self) -> bool:
        """What raises a level goes before what lowers one."""
        return self.kind is Kind.MOVE and self.held is not None and self.level > self.held.value


def of_steps(plan: Plan, policies: Mapping[Key, Policy], looker: Looker, ledger: Ledger, now: float) -> Iterator[Wish]:
    """The steps of a plan, in its order; none of a field of which nobody can tell what it holds."""
    for step in plan.steps:
        look = looker.sights.get((step.policy, step.target))
        held = looker.believed((step.policy, step.target))
        if look is None or look.sight.place is None or held is None:
            continue
        place, target = look.sight.place, plan.targets[step.policy, step.target]
        names, below = wanted_by(step.wanted_by), beneath_of(ledger, place, look)
        lasting = step.policy in policies and policies[step.policy].live is not None
        terms = Terms(step.policy, step.target, target.until or now, names, beneath=below, lasting=lasting)
        said = _of_step(step, now)
        if step.action is Action.RETURN:
            if (loan := ledger.of(place)) is not None:
                yield Wish(Kind.RETURN, place.id, place.ref.namespace, said, place=place, held=held, loan=loan)
        else:
            must_by = target.must_by if step.action is Action.RAISE else math.inf
            move = Wish(Kind.MOVE, place.id, place.ref.namespace, said, place=place, held=held, level=step.level)
            yield replace(move, terms=terms, must_by=must_by)


def _of_step(step: Step, now: float) -> Applied:
    return Applied(
        step.policy,
        step.target,
        step.ref,
        step.action,
        step.before,
        step.level,
        now,
        step.reason,
        step.message,
        measured=step.action is Action.RAISE,
    )


def of_debts(debts: Debts, plan: Plan, looker: Looker, now: float) -> Iterator[Wish]:
    """Fields that owe what was lent in another one: the loan that says so, with the level of the plan's own step where
    that is higher.
    """
    steps = {(step.policy, step.target): step for step in plan.steps if step.action is not Action.RETURN}
    for one, (key, debt) in debts.heirs.items():
        place, held, step = looker.sights[key].sight.place, looker.believed(key), steps.get(key)
        if place is None or held is None:
            continue
        level = max(debt.level, step.level if step is not None else 0)
        names = wanted_by(step.wanted_by) if step is not None else ()
        message = f"{debt.loan.place.ref} held the level before: what was lent there is owed here now"
        action = Action.RAISE if level > held.value else Action.NOTHING
        target = plan.targets[key]
        said = Applied(
            *key, target.ref, action, held.value, level, now, target.reason, message, told=level > held.value
        )
        kind = Kind.MOVE if level > held.value else Kind.RECORD
        terms = terms_of(plan, key, debt, names)
        yield Wish(kind, one, one.object.namespace, said, place=place, held=held, level=level, terms=terms)


def of_orphans(
    world: World,
    looker: Looker,
    ledger: Ledger,
    unusable: frozenset[Key],
    now: float,
    kept: frozenset[FieldId] = frozenset(),
) -> Iterator[Wish]:
    """Loans that no target speaks for any more, led back gently; those of a policy that cannot be understood stay.

    A loan belongs to whichever target's level lies in its field, whatever policy and name once took it: a target
    that was renamed, or moved to another policy, takes its loan along. ``kept``: see ``Debts``.
    """
    sights = looker.sights
    driven = {look.sight.place.id for look in sights.values() if look.sight.place}
    known = {(key, t.name): t.ref.identity for key, policy in world.policies.items() for t in policy.targets}
    unseen = _unseen_of(known, sights)
    elsewhere = _behind_a_scaler(world, sights)
    told = {loan.beneath.place.id for loan in ledger.loans.values() if loan.beneath is not None}
    for one, loan in ledger.loans.items():
        if loan.hand_over is not None or one in driven or loan.policy in unusable or one in kept:
            continue
        if not _is_over(loan, known, unseen, looker, now):
            continue
        said = _of_orphan(loan, now)
        if loan.place.ref.identity in elsewhere:
            if not sleeps(loan, told, now):
                yield Wish(Kind.LET_GO, one, one.object.namespace, replace(said, told=False), loan=loan)
            continue
        release = world.policies[loan.policy].release if loan.policy in world.policies else ORPHAN_RELEASE
        release = replace(release, hold=0.0)
        if _falls(loan, release, now):
            yield Wish(Kind.LEAD_BACK, one, one.object.namespace, said, loan=loan, release=release)


def of_records(ledger: Ledger, now: float) -> Iterator[Wish]:
    """What was learned of loans and is not written down; loans that are one too many."""
    for loan in ledger.unsaved():
        said = replace(_of_orphan(loan, now), told=False, action=Action.NOTHING, message="what was learned is stored")
        yield Wish(Kind.STORE, loan.place.id, loan.place.ref.namespace, said, loan=loan)
    for loan in ledger.surplus:
        said = replace(_of_orphan(loan, now), told=False, action=Action.NOTHING, message="a second loan is removed")
        another = loan.place.id._replace(field=f"{loan.place.field} as {loan.key.name}")
        yield Wish(Kind.REMOVE, another, loan.place.ref.namespace, said, loan=loan)


def next_orphan_step(loan: Loan, level: int, release: Release, now: float) -> tuple[Action, int]:
    """The next move of a loan that nobody speaks for, from the level that its field holds."""
    return release_step(Observed(level=level, loan=state_of(loan, now)), release, now=now)


def _falls(loan: Loan, release: Release, now: float) -> bool:
    level = loan.verified if loan.verified is not None else loan.pending
    return next_orphan_step(loan, level, release, now)[0] is not Action.NOTHING


def _of_orphan(loan: Loan, now: float) -> Applied:
    return Applied(
        loan.policy,
        loan.target,
        loan.place.ref,
        Action.RETURN,
        loan.pending,
        loan.original,
        now,
        Reason.LOAN_ENDED,
        "no policy asks for this loan any more",
    )


def _is_over(
    loan: Loan, known: Mapping[TargetKey, Identity], unseen: Mapping[str, _Unseen], looker: Looker, now: float
) -> bool:
    """Whether a loan in whose field no target's level lies may be led back."""
    key, workload = (loan.policy, loan.target), workload_of(loan)
    if key not in known or workload not in (None, known[key]):
        return not _may_be_renamed(loan, workload, unseen.get(loan.place.ref.namespace), now)
    look = looker.sights.get(key)
    if look is None or not looker.is_seen(key, now):
        return False
    if look.sight.place is not None:
        return True  # the level lies elsewhere by now: another autoscaler, another uid
    # Nothing may be borrowed here any more; what was borrowed ends when it was meant to.
    trouble = look.sight.observed.trouble
    return trouble is Trouble.MISSING or (trouble in _LASTING and now > loan.until)


@dataclass(slots=True)
class _Unseen:
    """Targets of a namespace of which nobody can tell where their levels lie."""

    waiting: bool = False
    """One of them was not looked at yet."""
    workloads: set[Identity] = field(default_factory=set)
    """Those that the others name."""


def _unseen_of(known: Mapping[TargetKey, Identity], sights: Mapping[TargetKey, Look]) -> Mapping[str, _Unseen]:
    found: dict[str, _Unseen] = {}
    for key, workload in known.items():
        look = sights.get(key)
        if look is None:
            found.setdefault(key[0].namespace, _Unseen()).waiting = True
        elif look.sight.place is None and look.sight.observed.trouble in UNKNOWN:
            found.setdefault(key[0].namespace, _Unseen()).workloads.add(workload)
    return found


def _may_be_renamed(loan: Loan, workload: Identity | None, unseen: _Unseen | None, now: float) -> bool:
    """Whether a target of which nobody can tell may be the new name of the one that a loan was taken for. Of another
    workload than the loan's it is that only where an autoscaler's field was lent, which may point there by now; one
    that nobody can ever tell of keeps such a loan no longer than its time.
    """
    if unseen is None:
        return False
    elsewhere = loan.place.subresource != SCALE and now <= loan.until
    return unseen.waiting or workload in unseen.workloads or elsewhere


def _behind_a_scaler(world: World, sights: Mapping[TargetKey, Look]) -> set[object]:
    """Workloads whose level lies in an autoscaler's field."""
    refs = {(key, t.name): t.ref for key, policy in world.policies.items() for t in policy.targets}
    places = {key: look.sight.place for key, look in sights.items() if key in refs}
    return {
        refs[key].identity
        for key, place in places.items()
        if place is not None and place.ref.identity != refs[key].identity
    }
