"""The one door: ``make_plan(world, now) -> Plan``.

``Planner`` is the same function with a memory of sums, so that one changed event among tens of thousands costs
milliseconds. It remembers no decision: every target is decided anew by every plan. Both give the same plan (a property
test holds them together).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.planning.book import Book
from tidegate.planning.curves import Curves
from tidegate.planning.decision import Plan
from tidegate.planning.explain import Askers
from tidegate.planning.making import Planning, frozen
from tidegate.planning.model import Announcement, Key, PlanSettings, Policy, TargetSpec
from tidegate.planning.pools import PoolPlanner
from tidegate.planning.roster import Roster, roster_of
from tidegate.planning.timeline import Timeline
from tidegate.planning.world import World

BACK = 7200.0
"""Seconds of the past that the book keeps: holds and ends of events are looked up there."""
SLACK = 7200.0
"""Seconds that the book reaches beyond the horizon, so that it is rebuilt every two hours and not at every beat."""
SLICE = 1000
"""Targets that ``plan`` decides at a time; it does nothing in between."""


@dataclass(slots=True)
class Planner:
    """Plans again and again, summing only what changed.

    A planner makes one plan at a time: what ``begin`` gave before cannot be completed after the next ``begin``.
    """

    settings: PlanSettings = field(default_factory=PlanSettings)
    _curves: Curves | None = None
    """With the book on which they are: what failed while it was built is not kept."""
    _roster: Roster | None = None
    _owed: frozenset[Key] | None = frozenset()
    """Announcements that may have changed since the book was last brought up; None: any of them."""
    _pools: PoolPlanner = field(default_factory=PoolPlanner)
    _askers: Askers = field(default_factory=Askers)
    _begun: Planning | None = None

    def plan(self, world: World, now: float, *, changed: frozenset[Key] | None = None) -> Plan:
        """Work out the plan of an instant, in one go.

        ``changed`` names the announcements that may differ from the last call (None: compare them all). ``world`` may
        be another object each time; its values are compared by identity first.
        """
        planning = self.begin(world, now, changed=changed)
        while not planning.step(SLICE):
            pass
        return planning.plan

    def begin(self, world: World, now: float, *, changed: frozenset[Key] | None = None) -> Planning:
        """Bring the sums up and plan the pools, at once; deciding the targets is left to whoever drives the answer.

        ``changed`` is forgotten only when the sums are up: after a call that raised, the next one makes up for it.
        """
        if world.settings != self.settings:
            self.__init__(world.settings)  # type: ignore[misc]
        if self._begun is not None:
            self._begun.supersede()
        self._owed = None if changed is None or self._owed is None else self._owed | changed
        own = frozen(world)
        if self._roster is None or not self._roster.of(own.policies):
            self._roster = roster_of(own.policies)
        curves = self._bring_up(world.announcements, self._roster, now)
        lag = curves.lag(now, self.settings, world.writes_per_second)
        self._begun = planning = Planning(own, now, curves.book, curves, self._roster, lag, self._askers)
        planning.ask_pools(self._pools)
        return planning

    def timeline(self, world: World, policy: Policy, target: TargetSpec, now: float) -> Timeline | None:
        """A target's need and lead over time, for explaining and for looking ahead; None without any need."""
        return self.begin(world, now).timeline(policy, target)

    @property
    def book(self) -> Book:
        """The demand book as of the last plan."""
        if self._curves is None:
            raise RuntimeError("plan() has not been called yet")
        return self._curves.book

    def _bring_up(self, announcements: Mapping[Key, Announcement], roster: Roster, now: float) -> Curves:
        """The sums as of now: those of the last plan with what changed, or new ones when their time is over."""
        curves, changed = self._curves, self._owed
        if curves is None or not _reaches(curves.book, now, back=roster.reach, ahead=self.settings.horizon):
            curves, changed = Curves(_book(self.settings, now, roster.reach)), None
        curves.book.sync(announcements, changed)
        self._owed = frozenset()
        curves.sync(roster)
        if curves is not self._curves:
            self._curves, self._askers = curves, Askers()
        return curves


def make_plan(world: World, now: float) -> Plan:
    """Work out, from nothing but the arguments, what is to be done at an instant and why.

    Equal arguments give equal plans; the order of objects in ``world`` does not matter.
    """
    return Planner(world.settings).plan(world, now)


def _reaches(book: Book, now: float, *, back: float, ahead: float) -> bool:
    """Whether a book holds all that a plan of an instant looks up."""
    return book.index(now - back - BACK / 2) >= 0 and book.index(now + ahead) < book.size


def _book(settings: PlanSettings, now: float, reach: float) -> Book:
    back = BACK + reach
    size = math.ceil((back + settings.horizon + SLACK) / settings.cell) + 1
    return Book(settings.cell, math.floor((now - back) / settings.cell), size)
