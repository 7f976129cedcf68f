"""The one door: ``make_plan(world, now) -> Plan``.

``Planner`` is the same function with a memory of sums, so that one changed event among tens of thousands costs
milliseconds. Both give the same plan (a property test holds them together). Whoever plans again and again may let the
decisions stand that rest on nothing new (``standing``): then a plan costs what changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice

from tidegate.planning.book import Book
from tidegate.planning.curves import Curves
from tidegate.planning.decision import Plan
from tidegate.planning.explain import Askers
from tidegate.planning.isolation import Failure, attempt
from tidegate.planning.making import PAST, Making, frozen
from tidegate.planning.model import Announcement, Key, PlanSettings, Policy, TargetKey, TargetSpec
from tidegate.planning.queue import bounds_of
from tidegate.planning.roster import Roster, roster_of
from tidegate.planning.speaking import Speaking
from tidegate.planning.standing import Decisions
from tidegate.planning.timeline import Timeline
from tidegate.planning.world import World

BACK = 2 * PAST
"""Seconds of the past that the book keeps: more than a plan looks back, for a clock that is set back."""
SLACK = 7200.0
"""Seconds that the book reaches beyond the horizon, so that it is rebuilt every two hours and not at every beat. No
plan looks that far.
"""
WHOLE = 1_000_000
"""Targets that ``plan`` decides at a time."""


@dataclass(slots=True)
class Planning:
    """One plan, made in slices: ``step`` until it says that all is decided, then read ``plan``."""

    rebuilt: bool
    """The sums are made from nothing: tens of thousands of new objects that will stay."""
    _work: Iterator[None] = field(init=False)
    _making: Making | None = None
    """Once the sums are up."""
    _complete: bool = False
    _superseded: bool = False

    def step(self, count: int) -> bool:
        """Decide up to ``count`` more targets, at least one, or do as much of the sums; whether all is decided now."""
        if self._superseded:
            raise RuntimeError("another plan was begun on the same sums: this one cannot be completed")
        if not self._complete:
            done = sum(1 for _ in islice(self._work, max(count, 1)))
            self._complete = done < max(count, 1)
        return self._complete

    @property
    def plan(self) -> Plan:
        """All that was decided."""
        if self._making is None or not self._complete:
            raise RuntimeError("not all targets are decided yet: step() says when they are")
        return self._making.plan()

    def bring_up(self) -> Making:
        """Bring the sums up, all at once."""
        while self._making is None:
            self.step(1)
        return self._making

    def supersede(self) -> None:
        """The sums are about to move: what is not decided by now cannot be decided any more."""
        self._superseded = not self._complete


@dataclass(slots=True)
class Planner:
    """Plans again and again, summing only what changed.

    A planner makes one plan at a time: what ``begin`` gave before cannot be completed after the next ``begin``.
    """

    settings: PlanSettings = field(default_factory=PlanSettings)
    _curves: Curves | None = None
    """The sums of the last plan, with the book that they are made from."""
    _building: Curves | None = None
    """Those that will follow; nobody reads them before they are complete."""
    _roster: Roster | None = None
    _owed: frozenset[Key] | None = frozenset()
    """Announcements that may have changed since the book was last brought up; None: any of them."""
    _askers: Askers = field(default_factory=Askers)
    _decisions: Decisions = field(default_factory=Decisions)
    _begun: Planning | None = None
    _speaking: Speaking = field(default_factory=Speaking)

    def plan(self, world: World, now: float, *, changed: frozenset[Key] | None = None) -> Plan:
        """Work out the plan of an instant, in one go.

        ``changed`` names the announcements that may differ from the last call (None: compare them all). ``world`` may
        be another object each time; its values are compared by identity first.
        """
        planning = self.begin(world, now, changed=changed)
        while not planning.step(WHOLE):
            pass
        return planning.plan

    def begin(
        self,
        world: World,
        now: float,
        *,
        changed: frozenset[Key] | None = None,
        stands: float = 0.0,
        only: frozenset[str] | None = None,
    ) -> Planning:
        """Begin a plan that is made in slices. ``stands``: seconds for which a decision may stand that rests on nothing
        new; 0: everything is decided anew. ``only``: the plan leaves what changed elsewhere than in these namespaces
        to the next one that names none; what time makes due, and what is new, does not wait.

        Sums are brought up in slices too, by the announcements as they are now: one event of a month in which
        everything moves takes as long as fifty others. ``changed`` is forgotten only when the sums are up: what a
        plan took that raised, or was never completed, is made up for by the next.
        """
        if world.settings != self.settings:
            self.__init__(world.settings)  # type: ignore[misc]
        if self._begun is not None:
            self._begun.supersede()
        self._owed = None if changed is None or self._owed is None else self._owed | changed
        own, announcements = frozen(world), world.announcements
        if self._roster is None or not self._roster.of(own.policies):
            self._roster = roster_of(own.policies, self._roster)
        own = replace(own, overrides=self._speaking.of(world.overrides, self._roster.policies, now))
        curves, owed = self._sums(now)
        self._begun = planning = Planning(rebuilt=curves is self._building)
        waiting = frozenset[Key]()
        if owed is not None and only is not None:
            waiting = frozenset(key for key in owed if key.namespace not in only)
            owed -= waiting
        given = dict(announcements) if owed is None else _some(announcements, owed | curves.book.left_out.keys())
        making = partial(Making, stands=stands, only=only)
        planning._work = self._make(planning, own, given, curves, owed, now, waiting, making)
        return planning

    def timeline(self, world: World, policy: Policy, target: TargetSpec, now: float) -> Timeline | None:
        """A target's need and lead over time, for explaining and for looking ahead; None without any need."""
        return self.begin(world, now).bring_up().timeline(policy, target)

    def lines(self, world: World, keys: Iterable[TargetKey]) -> Iterator[tuple[TargetKey, Timeline | None]]:
        """Timelines of some targets as of the last plan, with what overrides add; none of one that cannot be planned.

        ``world`` may be what that plan has led to: its observations count.
        """
        if self._begun is None:
            raise RuntimeError("plan() has not been called yet")
        last = self._begun.bring_up()
        making = Making(world, last.now, last.book, last.curves, last.roster, last.lag, last.askers)
        for key in keys:
            policy, target = last.roster.policies[key[0]], last.roster.driven.get(key)
            line = attempt(partial(making.boosted, policy, target)) if target is not None else None
            if target is not None and not isinstance(line, Failure):
                yield key, line

    def told(self) -> Book | None:
        """The demand book as of the last plan; None before the first one."""
        return self._curves.book if self._curves is not None else None

    @property
    def book(self) -> Book:
        """The demand book as of the last plan."""
        if self._curves is None:
            raise RuntimeError("plan() has not been called yet")
        return self._curves.book

    def _sums(self, now: float) -> tuple[Curves, frozenset[Key] | None]:
        """The sums to bring up, and by which changes: those of the last plan, or new ones when their time is over."""
        assert self._roster is not None  # noqa: S101 - begin() has made it
        reach, ahead = self._roster.reach, self.settings.horizon
        if self._curves is not None and _reaches(self._curves.book, now, back=reach, ahead=ahead):
            return self._curves, self._owed
        if self._building is None or not _reaches(self._building.book, now, back=reach, ahead=ahead):
            self._building = Curves(_book(self.settings, now, reach))
        return self._building, None

    def _make(
        self,
        planning: Planning,
        world: World,
        announcements: Mapping[Key, Announcement],
        curves: Curves,
        owed: frozenset[Key] | None,
        now: float,
        waiting: frozenset[Key],
        make: Callable[..., Making],
    ) -> Iterator[None]:
        """All the work of a plan: the sums, the pools, the decisions. What is ``waiting`` stays owed."""
        roster = self._roster
        assert roster is not None  # noqa: S101 - begin() has made it
        try:
            yield from curves.book.sync(announcements, owed)
            yield from curves.sync(roster, bounds_of(world, roster, now))
        except Exception:
            self._building = None  # what failed while it was built is never believed
            raise
        if curves is self._building:
            self._curves, self._building, self._askers, self._decisions = curves, None, Askers(), Decisions()
        self._owed = waiting
        lag = curves.lag(now, self.settings, world.writes_per_second)
        decisions = self._decisions
        planning._making = making = make(world, now, curves.book, curves, roster, lag, self._askers, decisions)
        making.ask_pools()
        yield from making.decide_all()


def make_plan(world: World, now: float) -> Plan:
    """Work out, from nothing but the arguments, what is to be done at an instant and why.

    Equal arguments give equal plans; the order of objects in ``world`` does not matter.
    """
    return Planner(world.settings).plan(world, now)


def _some(announcements: Mapping[Key, Announcement], keys: Iterable[Key]) -> Mapping[Key, Announcement]:
    """Those of some keys that there are."""
    return {key: announcements[key] for key in keys if key in announcements}


def _reaches(book: Book, now: float, *, back: float, ahead: float) -> bool:
    """Whether a book holds all that a plan of an instant looks up."""
    return book.index(now - back - PAST) >= 0 and book.index(now + ahead) < book.size


def _book(settings: PlanSettings, now: float, reach: float) -> Book:
    back = BACK + reach
    size = math.ceil((back + settings.horizon + SLACK) / settings.cell) + 1
    return Book(settings.cell, math.floor((now - back) / settings.cell), size)
