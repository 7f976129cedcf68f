"""The plan of a pool: which needs are granted, from when; which are refused, and why; which work is out when.

All needs of the pool are planned together. A need is refused only where no timetable was found that serves it beside
what was granted before it (``asks.asks_of`` gives the order, ``search`` the rules); the refusal names the resource, the
lane, the time and the numbers, and the earliest time at which it could be served.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tidegate.planning.model import Ref
from tidegate.planning.shift import diagnose
from tidegate.planning.shift.asks import Ask, asks_of, before_instant, from_instant, scaled
from tidegate.planning.shift.model import Need, NeedStep, Pool, PoolFacts, amount_at, base_of, floor_of
from tidegate.planning.shift.outcome import Grant, Lending, PoolPlan, Refusal
from tidegate.planning.shift.pieces import pieces_of
from tidegate.planning.shift.resources import total
from tidegate.planning.shift.search import EFFORT, Absence, Search, Shortfall, segments_of
from tidegate.planning.shift.served import Rank, Standing

REACTION = 5.0
"""Seconds that a stop is planned before its last moment: the loop needs a moment, and a stop that comes late makes the
borrower late. Judgment."""
EARLY_NOTICE = 30.0
"""Seconds that a notice is given before its last moment: two beats of the loop. Judgment."""
PARTS = 16
"""A need that was served and does not fit any more is cut in steps of this share. Judgment."""
WANTED_BY_MOST = 16
"""Keys of needs that a lending lists."""


def plan_pool(
    pool: Pool, facts: PoolFacts, needs: Iterable[Need], now: float, *, promises: Iterable[str] = ()
) -> PoolPlan:
    """Decide for all needs of a pool together.

    ``promises`` are those of the last plan (``PoolPlan.promises``). Needs that are served already, as marks and facts
    say, come first and are cut no further than they must when the pool shrank; then what was promised. Needs that are
    over are ignored. The order of ``needs``, members and promises does not matter.
    """
    live = [need for need in needs if need.end > now]
    return _Planning(pool, facts, now).plan(live, Standing(facts, promises, now))


class _Planning:
    """One planning of one pool."""

    def __init__(self, pool: Pool, facts: PoolFacts, now: float) -> None:
        self.pool, self.facts, self.now = pool, facts, now
        self.pieces = pieces_of(pool, facts, now)
        bases = {lane.name: base_of(lane, facts) for lane in pool.lanes}
        self.limits = {lane.name: (bases[lane.name] - floor_of(lane, facts)).positive for lane in pool.lanes}
        self.free = facts.capacity - total(bases.values())
        self.grants: list[Grant] = []
        self.refusals: list[Refusal] = []
        self.timetable: Search | None = None
        self.effort = EFFORT

    def plan(self, needs: Sequence[Need], standing: Standing) -> PoolPlan:
        asks = asks_of(self.pool, self.facts, self._allowed(needs), self.now, standing)
        if self._all_fit(asks):
            self.grants = [_grant(ask) for ask in asks]
        else:
            self._one_by_one(asks)
        kept = {g.name for g in self.grants} | {ask.name for ask in asks if ask.rank <= Rank.PROMISED}
        return PoolPlan(
            self.now, self.pool.name, tuple(self.grants), tuple(self.refusals), self._lendings(), tuple(sorted(kept))
        )

    def _one_by_one(self, asks: Sequence[Ask]) -> None:
        """Grant in order. Whoever is served or was promised keeps its place, also when it must wait; of the others,
        those that can be served in time come before those that cannot.
        """
        waiting: list[tuple[Ask, Shortfall]] = []
        for ask in asks:
            shortfall = self._in_time(ask)
            if shortfall is None:
                continue
            if ask.rank <= Rank.PROMISED:
                self._otherwise(ask, shortfall)
            else:
                waiting.append((ask, shortfall))
        for ask, shortfall in waiting:
            self._otherwise(ask, shortfall)

    def _allowed(self, needs: Sequence[Need]) -> list[Need]:
        allowed: list[Need] = []
        for need in sorted(needs, key=lambda n: n.key):
            lane = self.pool.lane(need.lane)
            if lane is None:
                self.refusals.append(diagnose.unknown_lane(need, self.pool))
            elif need.namespace not in lane.allowed_namespaces:
                self.refusals.append(diagnose.not_allowed(need, self.pool))
            else:
                allowed.append(need)
        return allowed

    def _all_fit(self, asks: Sequence[Ask]) -> bool:
        """The common case: nothing has to be refused, and one search is enough."""
        if any(self._over_cap(ask, asks[:n]) for n, ask in enumerate(asks)):
            return False
        return self._try([step for ask in asks for step in ask.steps]) is None

    def _over_cap(self, ask: Ask, before: Sequence[Ask | Grant]) -> Refusal | None:
        """The instant at which a namespace would pass its cap, as a refusal."""
        lane = self.pool.lane(ask.need.lane)
        if lane is None or lane.cap is None:
            return None
        cap = self.facts.capacity.percent(lane.cap)
        mine = [step for one in before if _owner(one) == (lane.name, ask.need.namespace) for step in one.steps]
        cuts = {t for step in mine for t in (step.start, step.end)}
        for step in ask.steps:
            for at in sorted({step.start, *(t for t in cuts if step.start < t < step.end)}):
                taken = amount_at(mine, at)
                if not (taken + step.amount).fits(cap):
                    return diagnose.over_cap(ask, self.pool, NeedStep(at, step.end, step.amount), taken, cap)
        return None

    def _in_time(self, ask: Ask) -> Shortfall | None:
        """Grant an ask in full; or refuse it for its cap; or say what is missing."""
        capped = self._over_cap(ask, self.grants)
        if capped is not None:
            self.refusals.append(capped)
            return None
        shortfall = self._try([*self._load(), *ask.steps])
        if shortfall is None:
            self.grants.append(_grant(ask))
        return shortfall

    def _otherwise(self, ask: Ask, shortfall: Shortfall) -> None:
        """Grant an ask later, and in part meanwhile when it is served already; refuse the rest."""
        granted = amount_at(self._load(), shortfall.segment.start)
        later = self._later(ask)
        if later is not None:
            self.grants.append(later)
        if ask.rank <= Rank.PROMISED:
            self._meanwhile(ask, until=later.since if later else ask.end)
        self.refusals.append(
            diagnose.short(
                ask, self.pool, self.facts, shortfall,
                pieces=self.pieces, limits=self.limits, free=self.free, granted=granted,
                earliest=later.since if later else None,
            )
        )  # fmt: skip

    def _later(self, ask: Ask) -> Grant | None:
        """The ask from the first instant at which its machines can be free; None when that never comes."""
        ready = {p.stop_from + p.lane.drain.seconds if p.last is None else p.free_at for p in self.pieces}
        starts = sorted(t for t in ready if ask.start < t < ask.end)
        low, high = 0, len(starts)
        while low < high:
            middle = (low + high) // 2
            if self._try([*self._load(), *from_instant(ask.steps, starts[middle])]) is None:
                high = middle
            else:
                low = middle + 1
        if low == len(starts):
            return None
        steps = from_instant(ask.steps, starts[low])
        self._try([*self._load(), *steps])
        return replace(_grant(ask), steps=steps, since=starts[low], late=True)

    def _meanwhile(self, ask: Ask, *, until: float) -> None:
        """Grant what fits of an ask that was served before, until it fits in full again."""
        steps = before_instant(ask.steps, until)
        for part in range(PARTS - 1, 0, -1):
            less = scaled(steps, part, PARTS)
            if less and self._try([*self._load(), *less]) is None:
                self.grants.append(replace(_grant(ask), steps=less, partial=True))
                return

    def _load(self) -> list[NeedStep]:
        return [step for grant in self.grants for step in grant.steps]

    def _try(self, load: Sequence[NeedStep]) -> Shortfall | None:
        """Search a timetable for a load; kept when there is one."""
        segments = segments_of(load, self.free, self.now, self.pieces)
        search = Search(segments, self.pieces, self.limits, self.now, effort=self.effort)
        shortfall = search.run()
        self.effort = max(search.effort, 0)
        if shortfall is None:
            self.timetable = search
        return shortfall

    def _lendings(self) -> dict[Ref, tuple[Lending, ...]]:
        """The timetable by member."""
        found: dict[Ref, list[Lending]] = defaultdict(list)
        for absence in self.timetable.absences() if self.timetable else ():
            found[absence.piece.ref].append(self._lending(absence))
        return {ref: tuple(sorted(ones, key=lambda o: (o.stop_at, o.until))) for ref, ones in sorted(found.items())}

    def _lending(self, absence: Absence) -> Lending:
        piece, drain = absence.piece, absence.piece.lane.drain
        stop = max(absence.stop_at - REACTION, absence.stop_from)
        names = {
            g.key for g in self.grants if any(s.start < absence.until and s.end > absence.free_by for s in g.steps)
        }
        return Lending(
            notify_at=stop - drain.notice - EARLY_NOTICE,
            stop_at=stop,
            free_by=absence.free_by,
            until=absence.until,
            return_by=absence.until + piece.lane.give_back_within,
            needs=tuple(sorted(names)[:WANTED_BY_MOST]),
        )


def _grant(ask: Ask) -> Grant:
    late = ask.rank is Rank.LATE
    since = max(ask.since, ask.start) if late else ask.since
    return Grant(ask.need.key, ask.need.lane, ask.need.namespace, ask.guaranteed, since, ask.steps, late=late)


def _owner(one: Ask | Grant) -> tuple[str, str]:
    return (one.need.lane, one.need.namespace) if isinstance(one, Ask) else (one.lane, one.namespace)
