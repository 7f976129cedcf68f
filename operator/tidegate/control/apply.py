"""Apply: carry out the steps of a plan, only what differs, collecting errors target by target.

Loans that no plan speaks for any more (their policy or target was deleted) are led back gently and returned here too.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tidegate.control.gather import Look, TargetKey, limited
from tidegate.control.ledger import Drift, Ledger, Wish, state_of, wanted_by
from tidegate.planning.book import Book
from tidegate.planning.decision import Action, Plan, Step
from tidegate.planning.explain import who
from tidegate.planning.model import Key, Observed, Ref, Release, Trouble
from tidegate.planning.reasons import Reason
from tidegate.planning.targets import release_step
from tidegate.planning.world import World
from tidegate.ports import Clock, ConflictError, Held, Loan, NotFoundError, Targets, TidegateError

log = logging.getLogger("tidegate.apply")

ORPHAN_RELEASE = Release(hold=0.0, step_per_minute=0.2)
"""How a loan comes down whose policy is gone: the API's default step."""
CONFLICT_PAUSE = 600.0
"""Seconds that a field stays untouched after a conflict, unless another step falls due before. The window of
``ledger.ASSERTIONS``."""


_LASTING = {Trouble.SCALING_DISABLED, Trouble.FOREIGN_OWNER, Trouble.NOT_SCALABLE}
"""Troubles that do not pass by themselves."""


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


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that somebody else keeps writing."""

    trouble: Trouble
    note: str
    loan: Key
    until: float
    about: Ref
    """The object that holds the field."""


@dataclass(slots=True)
class Applier:
    """Carries out plans through the ledger."""

    targets: Targets
    ledger: Ledger
    clock: Clock
    _conflicts: dict[TargetKey, Conflict] = field(default_factory=dict)

    def conflicts(self, now: float) -> dict[TargetKey, Conflict]:
        """Targets that are left alone for now; one whose next step has come is tried again."""
        for key, conflict in list(self._conflicts.items()):
            if conflict.until <= now:
                self.ledger.forgive(conflict.loan)
                del self._conflicts[key]
        return self._conflicts

    async def settle(self, sights: Mapping[TargetKey, Look], plan: Plan | None) -> None:
        """Bring loans in line with what their fields hold, before anything is planned on them."""
        waiting = self.conflicts(self.clock.now())
        for key, look in sights.items():
            place, held = look.sight.place, look.sight.held
            loan = self.ledger.of(place) if place else None
            if loan is None or held is None or held.value == loan.verified:
                continue
            try:
                loan, found = await self.ledger.settle(loan, held)
            except TidegateError as error:
                log.warning("loan %s: %s", loan.key, error)
                continue
            if found is Drift.NEW_INTENT:
                log.info("%s: %s set %d; that is the original now", key[1], _manager(held), held.value)
            elif found is Drift.REAPPLIED and key not in waiting and not self.ledger.may_assert(loan):
                self._give_way(key, loan, held, plan)

    def _give_way(self, key: TargetKey, loan: Loan, held: Held, plan: Plan | None) -> None:
        """Leave a field to whoever keeps re-applying it, until the next step is due."""
        now = self.clock.now()
        target = plan.targets.get(key) if plan else None
        until = now + CONFLICT_PAUSE
        if target is not None and target.next_at is not None and target.next_at > now:
            until = min(until, target.next_at)
        note = f"{_manager(held)} keeps setting {loan.place.field} of {loan.place.ref} back to {held.value}"
        self._conflicts[key] = Conflict(Trouble.MANAGER_CONFLICT, note, loan.key, until, loan.place.ref)

    async def apply(
        self,
        world: World,
        plan: Plan,
        book: Book,
        sights: Mapping[TargetKey, Look],
        *,
        unusable: frozenset[Key] = frozenset(),
    ) -> tuple[Applied, ...]:
        """Write what is due, in the order of readiness; then lead back the loans that nobody speaks for.

        ``unusable`` policies are there but cannot be understood: their loans stay as they are.
        """
        jobs = [self._step(step, plan, book, sights) for step in plan.steps]
        elsewhere = _behind_a_scaler(world, sights)
        for loan in self._orphans(world, sights):
            if loan.policy in unusable:
                continue
            jobs.append(self._let_go(loan) if loan.place.ref in elsewhere else self._orphan(loan))
        return tuple(one for one in await limited(jobs) if one is not None)

    async def _step(self, step: Step, plan: Plan, book: Book, sights: Mapping[TargetKey, Look]) -> Applied | None:
        key = step.policy, step.target
        sight = sights[key].sight
        if sight.place is None or sight.held is None:
            return None
        target = plan.targets[key]
        try:
            if step.action is Action.RETURN:
                loan = self.ledger.of(sight.place)
                if loan is not None:
                    await self.ledger.give_back(loan)
            else:
                names = (
                    who(book, step.policy, plan.now, target.until or plan.now) if step.action is Action.RAISE else ()
                )
                wish = Wish(step.policy, step.target, target.until or plan.now, wanted_by(names))
                await self.ledger.move(sight.place, held=sight.held, level=step.level, wish=wish)
        except NotFoundError:
            return self._said(step, f"{step.ref} is gone")
        except ConflictError as error:
            by = f" ({error.manager})" if error.manager else ""
            return self._said(step, f"{error}{by}; read again at the next beat")
        except TidegateError as error:
            return self._said(step, str(error))
        except Exception as error:
            log.exception("%s: a step failed", step.ref)  # one broken target does not stop the rest
            return self._said(step, repr(error))
        return self._said(step, None)

    def _said(self, step: Step, error: str | None) -> Applied:
        return Applied(
            step.policy,
            step.target,
            step.ref,
            step.action,
            step.before,
            step.level,
            self.clock.now(),
            step.reason,
            step.message,
            error,
            measured=step.action is Action.RAISE and error is None,
        )

    def _orphans(self, world: World, sights: Mapping[TargetKey, Look]) -> list[Loan]:
        """Loans that no target speaks for any more.

        A loan belongs to whichever target's level lies in its field, whatever policy and name once took it: a target
        that was renamed, or moved to another policy, takes its loan along.
        """
        driven = {self.ledger.key_of(look.sight.place) for look in sights.values() if look.sight.place}
        known = {(key, t.name) for key, policy in world.policies.items() for t in policy.targets}
        unseen = {key[0].namespace for key, look in sights.items() if _unseen(look)}
        return [
            loan
            for loan in self.ledger.loans.values()
            if loan.hand_over is None and loan.key not in driven and self._is_over(loan, known, unseen, sights)
        ]

    def _is_over(self, loan: Loan, known: set[TargetKey], unseen: set[str], sights: Mapping[TargetKey, Look]) -> bool:
        """Whether a loan in whose field no target's level lies may be led back."""
        key = (loan.policy, loan.target)
        if key not in known:
            return loan.place.ref.namespace not in unseen  # a target nobody could look at yet may be its new name
        look = sights.get(key)
        if look is None:
            return False
        if look.sight.place is not None:
            return True  # the level lies elsewhere by now: another autoscaler, another uid
        # Nothing may be borrowed here any more; what was borrowed ends when it was meant to.
        trouble = look.sight.observed.trouble
        return trouble is Trouble.MISSING or (trouble in _LASTING and self.clock.now() > loan.until)

    async def _let_go(self, loan: Loan) -> None:
        """A workload that got an autoscaler in front: its floor is there from now on, its replicas are the scaler's."""
        try:
            await self.ledger.let_go(loan)
            log.info("loan %s: the level lies elsewhere by now; the field is left as it is", loan.key)
        except TidegateError as error:
            log.warning("loan %s: %s", loan.key, error)

    async def _orphan(self, loan: Loan) -> Applied | None:
        try:
            held = await self.targets.held(loan.place)
            loan, _ = await self.ledger.settle(loan, held)
            seen = Observed(level=held.value, loan=state_of(loan))
            action, level = release_step(seen, ORPHAN_RELEASE, now=self.clock.now())
            if action is Action.NOTHING:
                return None
            step = Step(loan.policy, loan.target, loan.place.ref, action, held.value, level, Reason.LOAN_ENDED, "")
            if action is Action.RETURN:
                await self.ledger.give_back(loan)
            else:
                wish = Wish(loan.policy, loan.target, loan.until, ())
                await self.ledger.move(loan.place, held=held, level=level, wish=wish)
        except NotFoundError:
            await self.ledger.give_back(loan)
            step = Step(
                loan.policy, loan.target, loan.place.ref, Action.RETURN, 0, loan.original, Reason.LOAN_ENDED, ""
            )
        except TidegateError as error:
            log.warning("loan %s: %s", loan.key, error)
            return None
        except Exception:
            log.exception("loan %s", loan.key)
            return None
        return self._said(replace(step, message="no policy asks for this loan any more"), None)


def _behind_a_scaler(world: World, sights: Mapping[TargetKey, Look]) -> set[Ref]:
    """Workloads whose level lies in an autoscaler's field."""
    refs = {(key, t.name): t.ref for key, policy in world.policies.items() for t in policy.targets}
    places = {key: look.sight.place for key, look in sights.items() if key in refs}
    return {refs[key] for key, place in places.items() if place is not None and place.ref != refs[key]}


def _unseen(look: Look) -> bool:
    return look.sight.place is None and look.sight.observed.trouble in (Trouble.UNREADABLE, Trouble.FORBIDDEN)


def _manager(held: Held) -> str:
    return held.manager.name if held.manager else "somebody"
