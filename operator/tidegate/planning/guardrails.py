"""The guardrails: one visible, ordered list of small functions between the announced demand and a write.

Each gets the facts and the level so far and returns a ``Judgement`` when it has something to say, else None; its level
is the next one's input. The order is the meaning (``GUARDRAILS`` below, tested as such): demand first, then what may
only add, then the bounds, then the owner, then what slows a way down, then what forbids
it; on-call has the last word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tidegate.planning import override as overrides
from tidegate.planning.beneath import wish
from tidegate.planning.decision import Judgement, PoolLimit
from tidegate.planning.instants import elapsed
from tidegate.planning.model import LoanState, Mode, Observed, PlanSettings, Policy, Release, TargetSpec
from tidegate.planning.override import Override
from tidegate.planning.readings import Measure
from tidegate.planning.reasons import Reason
from tidegate.planning.release import pause, step_down

EXACT = 0.001
"""Seconds to which instants are told apart: a wait is over at the instant that was told as its end, however that was
rounded."""

LITTLE_UP, UP_APART = 0.03, 60.0
"""A floor that follows demand rises by less than this share no sooner than so many seconds after its last move. What
the two below and these bring and cost stands in docs/concepts.md, 6: fewer writes an hour."""
LITTLE_DOWN, DOWN_APART = 0.05, 60.0
"""The same on the way down, of one unit too, however large a share that is."""

OVERRUN_MAX = 3600.0
"""Seconds after the announced end for which real demand may keep a bare workload from its original. Judgment: a floor
that never ends would make this a reactive autoscaler."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the guardrails look at, for one target at one instant."""

    now: float
    policy: Policy
    target: TargetSpec
    settings: PlanSettings
    observed: Observed
    due: int
    """Largest need that is due by now: present, held from the past, or coming within its lead time."""
    need: int
    """Need of the current cell."""
    soon: int
    """Largest need that falls due within one more lead time: what is lowered below it would have to rise at once."""
    measure: Measure
    """What the target's measured signals say."""
    ended_at: float | None
    """When the announced need last ended, for a loan that outlived it; None while there is one."""
    announced: int | None = None
    """``due`` without what overrides add; None: they add nothing."""
    overrides: tuple[Override, ...] = ()
    """Those in force."""
    pool: PoolLimit | None = None
    """How far the target's pool lets it rise; None: it has none, or the pool says nothing."""
    held: int = 0
    """The largest need, the present one or of a past whose hold is not over."""
    sure: int | None = None
    """What a blind target keeps when the rest of its level rests on one sample that was never confirmed; None: all."""
    said: int = 0
    """``due`` as it was announced, whatever is measured."""
    left_out: str = ""
    """Which event of the policy is near and could not be summed, and why; empty when all of them count."""

    @property
    def current(self) -> int:
        """The level now."""
        return self.observed.level if self.observed.level is not None else 0

    @property
    def blind_since(self) -> float | None:
        """Since when the first of the blind signals is blind; None when all are fresh, or none is measured."""
        return self.measure.blind_since

    @property
    def follows(self) -> bool:
        """Whether measured demand alone holds a level: the policy asks for it, and does not only observe what it has
        lent.
        """
        return self.policy.live is not None and (self.policy.mode is Mode.ENFORCE or self.observed.loan is None)

    @property
    def rest(self) -> int:
        """The owner's level: where the target returns to."""
        return self.observed.loan.original if self.observed.loan else self.current


Guardrail = Callable[[Facts, int], Judgement | None]


def demand(facts: Facts, level: int) -> Judgement | None:
    """What the announced events need, by the time they need it."""
    due = facts.due if facts.announced is None else facts.announced
    if due <= 0 < facts.said:
        return Judgement(
            Reason.EVENT_DEMAND, 0, f"announced events need {facts.said} units, and nothing is measured of it"
        )
    if due <= 0:
        return Judgement(Reason.NO_EVENT_AHEAD, 0, "no announced event needs units now")
    if due > facts.need and facts.observed.loan and due <= facts.held:
        return Judgement(Reason.RELEASE_HOLD, due, f"{due} units kept: the need has fallen, its hold is not over")
    return Judgement(Reason.EVENT_DEMAND, due, f"announced events need {due} units")


def boost(facts: Facts, level: int) -> Judgement | None:
    """What on-call adds to the need, by when it is due; before any bound."""
    if facts.announced is None or facts.due <= level:
        return None
    found = overrides.boosted(level, facts.overrides, now=facts.now)
    if found is None or found.level < facts.due:
        message = f"{facts.due} units kept of a boost that is over: within hold"
    elif found.level > facts.due:
        message = f"{facts.due} units: it reaches a part of the need. {found.message}"
    else:
        message = found.message
    return Judgement(Reason.OVERRIDE_BOOST, facts.due, message)


def live(facts: Facts, level: int) -> Judgement | None:
    """Measured demand adds at once, while an event is on or the policy follows it at all times; it never lowers. What
    one reading alone says adds up to a factor of the plan, until a second sample confirms it.
    """
    if (facts.due <= 0 and not facts.follows) or not facts.measure.demands:
        return None
    held = facts.current if facts.observed.loan is not None else 0
    most, found = max(((one.allowed(level, held), one) for one in facts.measure.demands), key=lambda pair: pair[0])
    if facts.policy.live is not None and (more := overrides.boosted(most, facts.overrides, now=facts.now)) is not None:
        message = f"{found.signal} needs {found.now} units, and up to {most} within the lead time. {more.message}"
        return Judgement(Reason.OVERRIDE_BOOST, more.level, message) if more.level > level else None
    if most <= level:
        return None
    message = f"measured demand of {found.signal} needs {found.units} units, the plan {level}"
    if facts.policy.live is not None:
        message = f"{found.signal} needs {found.now} units, and up to {found.units} within the lead time"
        message += _wished(facts, found.now, most)
    if found.units > found.bound(level):
        message += f": {most} until a second sample confirms it"
    return Judgement(Reason.LIVE_DEMAND, most, message)


def _wished(facts: Facts, needed: int, level: int) -> str:
    """That the scaler wishes more than a live floor asks for, in words; empty where it does not, or nobody can tell."""
    held = wish(facts.observed.aims, facts.target.capacity)
    wishes = held.units(needed / (1.0 + facts.target.headroom)) if held is not None else 0
    return f"; {facts.observed.scaler} wishes {wishes} of them by its own target" if wishes > level else ""


def little_rise(facts: Facts, level: int) -> Judgement | None:
    """A floor that follows demand is not raised by a few units at each beat: what was prepared for lasts a while. What
    is needed by now, by plan or measurement, and what on-call says, does not wait.
    """
    loan, current = facts.observed.loan, facts.current
    if loan is None or not _tracks(facts) or facts.overrides or level <= current:
        return None
    if max(facts.due, *(one.now for one in facts.measure.demands)) > current:
        return None
    if level - current >= LITTLE_UP * current or not _moved_within(loan, UP_APART, facts.now):
        return None
    return Judgement(Reason.LIVE_DEMAND, facts.current, f"{level} units soon: it was moved within {UP_APART:g} s")


def _tracks(facts: Facts) -> bool:
    """Whether the level follows what is measured now, so that it may move at each beat. A plan alone moves seldom."""
    return facts.policy.live is not None and bool(facts.measure.demands)


def _moved_within(loan: LoanState, seconds: float, now: float) -> bool:
    return elapsed(now, loan.stepped_at, wait=seconds) < seconds - EXACT


def policy_minimum(facts: Facts, level: int) -> Judgement | None:
    """The policy's min, while an event needs the target."""
    if level <= 0 or level >= facts.target.minimum:
        return None
    return Judgement(Reason.POLICY_MINIMUM, facts.target.minimum, f"raised to the policy's min {facts.target.minimum}")


def policy_maximum(facts: Facts, level: int) -> Judgement | None:
    """The policy's max."""
    if level <= facts.target.maximum:
        return None
    message = f"{level} units needed, cut to the policy's max {facts.target.maximum}"
    return Judgement(Reason.POLICY_MAXIMUM, facts.target.maximum, message)


def scaler_maximum(facts: Facts, level: int) -> Judgement | None:
    """A reactive scaler's own maximum: a finding, never silently raised."""
    most = facts.observed.maximum
    if most is None or level <= most:
        return None
    return Judgement(Reason.SCALER_MAXIMUM, most, f"{level} units needed, but the autoscaler's maxReplicas is {most}")


def pool_limit(facts: Facts, level: int) -> Judgement | None:
    """No further up than the pool has machines for; down only where they are promised back."""
    if facts.pool is None:
        return None
    if facts.pool.cut is not None and level > facts.pool.cut:
        return Judgement(Reason.GIVE_BACK_PROMISE, facts.pool.cut, f"{level} units needed: {facts.pool.message}")
    most = max(facts.pool.units, facts.current)
    if level <= most:
        return None
    return Judgement(facts.pool.reason, most, f"{level} units needed: {facts.pool.message}")


def owner_level(facts: Facts, level: int) -> Judgement | None:
    """Never below what the owner asked for."""
    if facts.observed.loan is None:
        if level > facts.current:
            return None
        if level <= 0:
            return Judgement(
                Reason.NO_EVENT_AHEAD, facts.current, "nothing is borrowed and no event needs anything now"
            )
        return Judgement(
            Reason.ALREADY_ENOUGH,
            facts.current,
            f"{_asked(facts, level, facts.current)}, {facts.current} are there anyway",
        )
    if level > facts.rest:
        return None
    if level > 0:
        message = f"{_asked(facts, level, facts.rest)}, the owner's own value is {facts.rest}"
        return Judgement(Reason.OWNER_LEVEL, facts.rest, message)
    return Judgement(Reason.LOAN_ENDED, facts.rest, f"no event needs more than the owner's own {facts.rest}")


def _asked(facts: Facts, level: int, there: int) -> str:
    """What is needed, or, where that is more than is there, what a bound has left of it."""
    asked = max(level, facts.due)
    return f"{asked} units needed" if asked <= there else f"{level} units left of the need"


def release(facts: Facts, level: int) -> Judgement | None:
    """Downwards only in steps: a share of the loan's highest floor per minute, and not below real demand."""
    loan = facts.observed.loan
    if loan is None or level >= facts.current:
        return None
    if facts.follows and any(one.alone for one in facts.measure.demands):
        message = "measured once since the start: nothing falls before a second sample agrees"
        return Judgement(Reason.LIVE_DEMAND, facts.current, message)
    kept = min(facts.soon, facts.current) > level
    if kept:
        level = min(facts.soon, facts.current)
        if level == facts.current:
            return Judgement(Reason.EVENT_DEMAND, level, f"{facts.soon} units are needed again soon")
    gate = _demand_gate(facts)
    if gate > level:
        level = min(gate, facts.current)
        if level == facts.current:
            return Judgement(Reason.LIVE_DEMAND, level, f"measured demand still needs {gate} units")
    else:
        gate = 0
    plan, highest = pace(facts.policy, loan, facts.current)
    if waits(loan, plan, now=facts.now, highest=highest):
        return Judgement(Reason.RELEASE_WAIT, facts.current, "the next step down is not due yet")
    allowed = step_down(plan, highest)
    if facts.current - level <= allowed:
        if gate:
            return Judgement(Reason.LIVE_DEMAND, level, f"measured demand still needs {gate} units")
        return Judgement(Reason.RELEASE_STEP, level, "which is needed again soon") if kept else None
    lowered = facts.current - allowed
    share = 100.0 * plan.step_per_minute
    return Judgement(Reason.RELEASE_STEP, lowered, f"on the way to {level} ({share:g} % of {highest} a minute)")


def pace(policy: Policy, loan: LoanState, level: int) -> tuple[Release, int]:
    """(how a floor comes down, the level of which a step is a share): of one that follows demand at all times, whose
    loan may last for months, the level itself.
    """
    return policy.release, loan.highest if policy.live is None else level


def waits(loan: LoanState, release: Release, *, now: float, highest: int | None = None) -> bool:
    """Whether a loan's next step down is not due yet; ``highest``: of which a step is a share, if not its highest."""
    wait = pause(release, loan.highest if highest is None else highest)
    return elapsed(now, loan.stepped_at, wait=wait) < wait - EXACT


def _demand_gate(facts: Facts) -> int:
    """Level that measured demand forbids to go below; a workload with a reactive scaler is kept by that scaler."""
    units = facts.measure.units
    if units is None or facts.observed.maximum is not None:
        return 0
    if facts.ended_at is not None and facts.now - facts.ended_at > OVERRUN_MAX:
        return 0
    return min(units, facts.target.maximum)


def blind(facts: Facts, level: int) -> Judgement | None:
    """A missing or stale metric is never zero: no way down while an event is on, until ``blindMaxSeconds``. What rests
    on one sample that was never confirmed is not kept.
    """
    if facts.blind_since is None or level >= facts.current or facts.observed.loan is None:
        return None
    age, why = elapsed(facts.now, facts.blind_since, wait=facts.policy.blind_max), facts.measure.blindness
    if facts.due <= 0 and not facts.follows:
        message = f"blind, but no event needs the loan any more: down to {level} by the plan alone"
        return Judgement(Reason.LOAN_ENDED, level, message)
    if age >= facts.policy.blind_max:
        message = f"blind for {facts.policy.blind_max:g} s and more: down to {level} by the plan alone. {why}"
        return Judgement(Reason.BLIND_TOO_LONG, level, message)
    if facts.sure is not None and facts.sure < facts.current:
        kept = max(level, facts.sure)
        message = f"blind, and what is above {facts.sure} rests on one sample that was never confirmed. {why}"
        return Judgement(Reason.BLIND, kept, message)
    return Judgement(Reason.BLIND, facts.current, f"kept at {facts.current}. {why}")


def unseen(facts: Facts, level: int) -> Judgement | None:
    """What is older than its bound lowers nothing and returns nothing; the level may rise."""
    if facts.observed.seen or level > facts.current:
        return None
    message = facts.observed.note or f"the target was not seen lately: kept at {facts.current}"
    return Judgement(Reason.NOT_SEEN_LATELY, facts.current, message)


def left_out(facts: Facts, level: int) -> Judgement | None:
    """What an event needs that could not be summed is not known: nothing is lowered and nothing is returned."""
    returns = level == facts.rest == facts.current
    if not facts.left_out or facts.observed.loan is None or (level >= facts.current and not returns):
        return None
    return Judgement(Reason.EVENT_LEFT_OUT, facts.current, f"kept at {facts.current}: {facts.left_out}")


def small_change(facts: Facts, level: int) -> Judgement | None:
    """A few units less are not worth a write, unless they are the last, or all that the release lets go at a time: what
    is put off because a step is small would be put off for ever where every step is.
    """
    loan, less = facts.observed.loan, facts.current - level
    if less <= 0 or level == facts.rest or loan is None:
        return None
    few = less <= 1 or less < LITTLE_DOWN * facts.current
    waiting = few and _tracks(facts) and _moved_within(loan, DOWN_APART, facts.now)
    most = step_down(*pace(facts.policy, loan, facts.current))
    if less >= min(facts.settings.smallest_step_down * facts.current, most) and not waiting:
        return None
    return Judgement(
        Reason.SMALL_CHANGE, facts.current, f"{level} would do, {facts.current} is kept: too small a change"
    )


def hold(facts: Facts, level: int) -> Judgement | None:
    """On-call forbids every step down."""
    found = overrides.held(level, facts.overrides, current=facts.current, now=facts.now)
    return Judgement(found.reason, found.level, found.message) if found is not None else None


def pause_writes(facts: Facts, level: int) -> Judgement | None:
    """On-call forbids every write."""
    found = overrides.paused(level, facts.overrides, current=facts.current, now=facts.now)
    return Judgement(found.reason, found.level, found.message) if found is not None else None


KEEPING = frozenset({Reason.NOT_SEEN_LATELY, Reason.EVENT_LEFT_OUT})
"""Reasons for which a loan is not returned, even where its level is the original already."""

GUARDRAILS: tuple[Guardrail, ...] = (
    demand,
    boost,
    live,
    little_rise,
    policy_minimum,
    policy_maximum,
    scaler_maximum,
    pool_limit,
    owner_level,
    release,
    blind,
    unseen,
    left_out,
    small_change,
    hold,
    pause_writes,
)


def judge(facts: Facts) -> tuple[Judgement, ...]:
    """Run the level through all guardrails; the last judgement's level is the answer."""
    trail: list[Judgement] = []
    level = 0
    for guardrail in GUARDRAILS:
        judgement = guardrail(facts, level)
        if judgement is not None:
            trail.append(judgement)
            level = judgement.level
    return tuple(trail)
