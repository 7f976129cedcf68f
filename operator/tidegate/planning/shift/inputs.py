"""What a timetable is made from, and what comes back: frozen values that may go to another process.

``timetable(inputs)`` is expensive, so that nobody waits for it: a plan is made with the last timetable there is
(``present``). Two values tell whether that one is still good: the digest of what it was made from, and the instant that
it was made for.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from tidegate.planning.resources import Resources
from tidegate.planning.shift.model import Member, Need, NeedStep, Pool, PoolFacts
from tidegate.planning.shift.outcome import PoolPlan, Promise

KEEP = 30.0
"""Seconds for which a timetable is kept while what it was made from stands. Judgment: the loop's two beats."""
OLD = 120.0
"""Seconds after which a timetable whose inputs have changed decides no refusal any more. Judgment: the age at which
what was last seen of a pool counts as unseen."""


@dataclass(frozen=True, slots=True)
class Timetabled:
    """A timetable, and what it was made from."""

    digest: str
    """Of its inputs."""
    made_for: float
    """The instant that it was made for: not when the answer came."""
    asked: tuple[Need, ...]
    """The needs that it knows."""
    plan: PoolPlan

    @property
    def result(self) -> str:
        """A digest of what was decided: equal inputs give equal results, on every machine."""
        decided = (self.plan.grants, self.plan.refusals, sorted(self.plan.lendings.items()))
        return hashlib.sha256(repr(decided).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class TimetableInputs:
    """All that the timetable of one pool is made from."""

    pool: Pool
    facts: PoolFacts
    needs: tuple[Need, ...]
    promises: tuple[Promise, ...]
    """Of the last plan: who was granted first keeps its place."""
    now: float
    slack: float
    """Seconds that a return may take; what is promised back is planned back so much sooner."""
    standing: Timetabled | None = None
    """The last timetable; None: there is none."""
    grace: float = 0.0
    """Seconds after a rise of a need for which machines may be missing and nobody is late: the lead time of the need
    keeps so much for a late write."""
    digest: str = field(init=False)
    """Of all this but the last timetable, as far as it changes what would be planned."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", _digest(self))


def due(inputs: TimetableInputs) -> bool:
    """Whether a timetable has to be made: there is something to plan, and what there is was made from something else or
    is no longer kept.
    """
    standing = inputs.standing
    if standing is None:
        return bool(inputs.needs)
    if not inputs.needs and not standing.plan.grants and not standing.plan.lendings:
        return False
    return standing.digest != inputs.digest or not standing.made_for <= inputs.now < standing.made_for + KEEP


def _digest(inputs: TimetableInputs) -> str:
    """Left out: what pods hold just now, which moves with every pod; when work was last saved and how much is left of
    it, but for its magnitude; the past of needs. A timetable is made anew soon enough for those (``KEEP``).
    """
    facts, made = inputs.facts, hashlib.sha256()

    def add(*values: object) -> None:
        made.update(repr(values).encode())

    add(inputs.pool.name, inputs.pool.uid, inputs.slack, inputs.grace)
    for lane in inputs.pool.lanes:
        add(replace(lane, allowed_namespaces=frozenset()), sorted(lane.allowed_namespaces))
    add(_amount(facts.capacity), _amount(facts.reserve), facts.current)
    for name, use in sorted(facts.lanes.items()):
        add(name, _amount(use.standing), sorted(owner for owner, have in use.asked.items() if not have.nothing))
    for name, work in sorted(facts.works.items()):
        left = None if work.remaining is None else math.frexp(work.remaining)[1]
        add(name, work.deadline, left)
    for member in sorted(facts.members, key=lambda m: m.ref):
        add(*_member(member))
    for need in sorted(inputs.needs, key=lambda n: n.key):
        add(need.owner, need.lane, need.namespace, _ahead(need.steps, inputs.now))
    return made.hexdigest()


def _amount(amount: Resources) -> tuple[int, int]:
    return amount.cpu, amount.memory


def _member(member: Member) -> Iterable[object]:
    mark = member.mark
    yield from (tuple(member.ref), member.lane, member.kind.value, _amount(member.unit), member.level, member.seen)
    yield from (member.running_since, member.saved_at is None, member.work, member.lends, member.unplaced)
    if mark is not None:
        yield from (mark.original, mark.asked, mark.notices, mark.stops, mark.promises)


def _ahead(steps: Sequence[NeedStep], now: float) -> list[tuple[float, float, int, int]]:
    """Steps without their past, in numbers."""
    return [(s.start if s.start > now else 0.0, s.end, *_amount(s.amount)) for s in steps if s.end > now]
